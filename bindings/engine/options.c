/* The options of a plan: one table of keys for each type. */
#include "bits.h"
#include "error.h"
#include "plan.h"
#include "text.h"

#include <float.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>

enum { MAX_WORD = 256 };

static const struct int_key {
    const char *name;
    size_t offset;
    int64_t lower, upper;
} int_keys[] = {
    {"threads", offsetof(surr_plan, threads), 1, 1024},
    {"index_base", offsetof(surr_plan, index_base), 0, 1},
    {"index_bytes", offsetof(surr_plan, index_bytes), 4, 8},
    {"max_solver_steps", offsetof(surr_plan, max_attempts), 1, INT32_MAX},
    {"net", offsetof(surr_plan, net), 0, 1},
};
static const struct real_key {
    const char *name;
    size_t offset;
    double lower, upper;
} real_keys[] = {
    {"rtol", offsetof(surr_plan, rtol), 1e-13, 0.5},
    {"atol_frac", offsetof(surr_plan, atol_frac), 1e-30, 0.5},
    {"audit", offsetof(surr_plan, audit), 0.0, 1.0},
    {"max_step", offsetof(surr_plan, max_step), DBL_MIN, DBL_MAX},
};
static const struct word_key {
    const char *name;
    size_t offset;
    const char *word;
    int32_t value;
} word_keys[] = {
    {"fallback", offsetof(surr_plan, fallback), "solver", FALLBACK_SOLVER},
    {"fallback", offsetof(surr_plan, fallback), "none", FALLBACK_NONE},
    {"on_failure", offsetof(surr_plan, on_failure), "flag", 0},
    {"on_failure", offsetof(surr_plan, on_failure), "error", 1},
    {"isa", offsetof(surr_plan, isa), "auto", ISA_AUTO},
    {"isa", offsetof(surr_plan, isa), "base", SURR_ISA_BASE},
    {"isa", offsetof(surr_plan, isa), "v3", SURR_ISA_V3},
    {"isa", offsetof(surr_plan, isa), "v4", SURR_ISA_V4},
};
#define COUNT(ARRAY) (sizeof(ARRAY) / sizeof(ARRAY)[0])

static int32_t read_key(const surr_plan *p, const char *key, int32_t key_len, char word[MAX_WORD])
{
    int32_t code = plan_check_open(p);
    if (code == SURR_OK && !copy_string(word, MAX_WORD, key, key_len))
        code = surr_fail(SURR_E_ARG, "the key is NULL or longer than %d characters", MAX_WORD - 1);
    return code;
}

int32_t surr_plan_set_i(surr_plan *p, const char *key, int32_t key_len, int64_t v)
{
    char word[MAX_WORD];
    int32_t code = read_key(p, key, key_len, word);
    if (code != SURR_OK) return code;
    for (size_t i = 0; i < COUNT(int_keys); i++) {
        const struct int_key *k = &int_keys[i];
        if (strcmp(word, k->name) != 0) continue;
        if (v < k->lower || v > k->upper || (strcmp(word, "index_bytes") == 0 && v != 4 && v != 8))
            return surr_fail(SURR_E_ARG, "%s is %lld: give %lld%s%lld", word, (long long)v, (long long)k->lower,
                             strcmp(word, "index_bytes") == 0 ? " or " : "..", (long long)k->upper);
        *(int64_t *)((char *)p + k->offset) = v;
        return SURR_OK;
    }
    return surr_fail(SURR_E_ARG,
                     "there is no integer key \"%s\": threads, index_base, index_bytes, max_solver_steps, net", word);
}

int32_t surr_plan_set_d(surr_plan *p, const char *key, int32_t key_len, double v)
{
    char word[MAX_WORD];
    int32_t code = read_key(p, key, key_len, word);
    if (code != SURR_OK) return code;
    for (size_t i = 0; i < COUNT(real_keys); i++) {
        const struct real_key *k = &real_keys[i];
        if (strcmp(word, k->name) != 0) continue;
        if (!is_finite(v) || v < k->lower || v > k->upper)
            return surr_fail(SURR_E_ARG, "%s is %g: give %g..%g", word, v, k->lower, k->upper);
        *(double *)((char *)p + k->offset) = v;
        return SURR_OK;
    }
    return surr_fail(SURR_E_ARG, "there is no real key \"%s\": rtol, atol_frac, audit, max_step", word);
}

int32_t surr_plan_set_s(surr_plan *p, const char *key, int32_t key_len, const char *v, int32_t v_len)
{
    char word[MAX_WORD], value[MAX_WORD], choices[MAX_WORD] = "";
    int32_t code = read_key(p, key, key_len, word);
    if (code != SURR_OK) return code;
    if (!copy_string(value, MAX_WORD, v, v_len))
        return surr_fail(SURR_E_ARG, "the value of \"%s\" is NULL or longer than %d characters", word, MAX_WORD - 1);
    for (size_t i = 0, used = 0; i < COUNT(word_keys); i++) {
        const struct word_key *k = &word_keys[i];
        if (strcmp(word, k->name) != 0) continue;
        used += (size_t)snprintf(choices + used, sizeof choices - used, " %s", k->word);
        if (strcmp(value, k->word) != 0) continue;
        *(int32_t *)((char *)p + k->offset) = k->value;
        return SURR_OK;
    }
    if (choices[0]) return surr_fail(SURR_E_ARG, "%s is \"%s\": give one of%s", word, value, choices);
    return surr_fail(SURR_E_ARG, "there is no word key \"%s\": fallback, on_failure, isa", word);
}

int32_t surr_plan_set_fallback(surr_plan *p, host_solver *advance, void *context)
{
    int32_t code = plan_check_open(p);
    if (code != SURR_OK) return code;
    p->host_solver = advance;
    p->host_context = context;
    p->fallback = advance ? FALLBACK_HOST : FALLBACK_SOLVER;
    return SURR_OK;
}
