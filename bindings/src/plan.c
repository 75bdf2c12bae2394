/* Plans: the host declares its fields, units and policy once; commit checks that they fit the model. */
#include "engine.h"
#include "fpenv.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

enum { ISA_AUTO = -1 };
enum { MAX_WORD = 256 };

int32_t surr_plan_create(surr_model *m, surr_plan **out)
{
    if (!out) return surr_fail(SURR_E_ARG, "out is NULL: give the address of a surr_plan pointer");
    *out = NULL;
    if (!m) return surr_fail(SURR_E_ARG, "model is NULL: open one first");
    size_t room = (size_t)m->desc->n_state + (size_t)m->desc->n_param + 6;
    surr_plan *p = calloc(1, sizeof *p + room * sizeof p->slots[0]);
    if (!p) return surr_fail(SURR_E_NOMEM, "no memory for a plan");
    atomic_init(&p->refs, 1);
    p->model = model_retain(m);
    p->length = p->density = p->time = 1.0;
    p->threads = 1;
    p->net = 1;
    p->index_bytes = 4;
    p->isa = ISA_AUTO;
    p->max_attempts = 100000;
    p->density_slot = p->nh_slot = p->dt_slot = p->mask_slot = p->max_step_slot = p->cost_slot = -1;
    *out = p;
    return SURR_OK;
}

surr_plan *plan_retain(const surr_plan *p)
{
    surr_plan *shared = (surr_plan *)p; /* const for the host, counted by us */
    atomic_fetch_add(&shared->refs, 1);
    return shared;
}

void plan_release(surr_plan *p)
{
    if (atomic_fetch_sub(&p->refs, 1) != 1) return;
    model_release(p->model);
    free(p);
}

int32_t surr_plan_free(surr_plan *p)
{
    if (p) plan_release(p);
    return SURR_OK;
}

static int32_t check_open(const surr_plan *p)
{
    if (!p) return surr_fail(SURR_E_ARG, "plan is NULL: create one first");
    if (p->committed)
        return surr_fail(SURR_E_STATE, "the plan is committed and cannot change any more: create another");
    return SURR_OK;
}

int32_t surr_plan_units(surr_plan *p, double length_cm, double density_gcc, double time_s)
{
    int32_t code = check_open(p);
    if (code != SURR_OK) return code;
    if (!is_positive(length_cm) || !is_positive(density_gcc) || !is_positive(time_s))
        return surr_fail(SURR_E_ARG, "units are %g cm, %g g/cm^3 and %g s: give positive finite numbers (1 for cgs)",
                         length_cm, density_gcc, time_s);
    p->length = length_cm;
    p->density = density_gcc;
    p->time = time_s;
    return SURR_OK;
}

/* ---- fields ------------------------------------------------------------------------------------------------------ */

/* Where the slot number of a quantity without a name is kept, NULL for the others. */
static int32_t *nameless(surr_plan *p, int32_t quantity)
{
    switch (quantity) {
    case SURR_Q_DENSITY: return &p->density_slot;
    case SURR_Q_NH: return &p->nh_slot;
    case SURR_Q_DT: return &p->dt_slot;
    case SURR_Q_MASK: return &p->mask_slot;
    case SURR_Q_MAX_STEP: return &p->max_step_slot;
    case SURR_Q_COST: return &p->cost_slot;
    default: return NULL;
    }
}

static int32_t unknown_name(const surr_model_desc *d, const char *name, int want_state)
{
    char known[512] = "";
    size_t used = 0;
    int32_t n = want_state ? d->n_state : d->n_param;
    for (int32_t k = 0; k < n && used < sizeof known; k++)
        used += (size_t)snprintf(known + used, sizeof known - used, " %s",
                                 want_state ? d->variables[k].name : d->parameters[k].name);
    return surr_fail(SURR_E_FIELD, "%s has no %s \"%s\"; it has:%s", d->name, want_state ? "variable" : "parameter",
                     name, n ? known : " none");
}

static int32_t find_target(const surr_model_desc *d, const char *name, int32_t quantity, int32_t *target)
{
    int want_state = is_state(quantity);
    int32_t n = want_state ? d->n_state : d->n_param;
    int32_t k = 0;
    while (k < n && strcmp(want_state ? d->variables[k].name : d->parameters[k].name, name) != 0) k++;
    if (k == n) return unknown_name(d, name, want_state);
    int32_t role = want_state ? d->variables[k].role : -1;
    if (is_species_form(quantity) && role != SURR_ROLE_SPECIES)
        return surr_fail(SURR_E_UNITS, "\"%s\" of %s is no species, quantity %d does not apply: use SURR_Q_STATE%s",
                         name, d->name, quantity, role == SURR_ROLE_TEMPERATURE ? " or a thermal form" : "");
    if (is_thermal_form(quantity) && role != SURR_ROLE_TEMPERATURE)
        return surr_fail(SURR_E_UNITS, "\"%s\" of %s is no temperature, quantity %d does not apply: use SURR_Q_STATE%s",
                         name, d->name, quantity, role == SURR_ROLE_SPECIES ? " or a species form" : "");
    *target = k;
    return SURR_OK;
}

static int32_t bind(surr_plan *p, const char *name, int32_t quantity, int32_t *target)
{
    int32_t *lone = nameless(p, quantity);
    *target = 0;
    if (lone) {
        if (*lone >= 0) return surr_fail(SURR_E_FIELD, "quantity %d is bound twice, first as slot %d", quantity, *lone);
        *lone = p->n_slot;
        return SURR_OK;
    }
    int32_t code = find_target(p->model->desc, name, quantity, target);
    for (int32_t s = 0; s < p->n_slot && code == SURR_OK; s++)
        if (!nameless(p, p->slots[s].quantity) && p->slots[s].target == *target &&
            is_state(p->slots[s].quantity) == is_state(quantity))
            code = surr_fail(SURR_E_FIELD, "\"%s\" is bound twice, first as slot %d", name, s);
    return code;
}

int32_t surr_plan_field(surr_plan *p, const char *name, int32_t name_len, int32_t quantity, double extra_scale,
                        int32_t flags, int32_t *slot_number)
{
    char word[MAX_WORD] = "";
    int32_t target, code = check_open(p);
    if (code != SURR_OK) return code;
    if (!is_state(quantity) && quantity != SURR_Q_PARAM && !nameless(p, quantity))
        return surr_fail(SURR_E_UNITS, "quantity %d is not one of SURR_Q_*", quantity);
    if (!nameless(p, quantity) && (!copy_string(word, sizeof word, name, name_len) || !word[0]))
        return surr_fail(SURR_E_ARG, "the name of a field is NULL, empty or longer than %d characters", MAX_WORD - 1);
    if (!is_positive(extra_scale))
        return surr_fail(SURR_E_ARG, "extra_scale of \"%s\" is %g: give a positive finite number (1 for none)", word,
                         extra_scale);
    if (flags & ~(SURR_F_INDEXED | SURR_F_INPUT))
        return surr_fail(SURR_E_ARG, "flags %d of \"%s\": only SURR_F_INDEXED and SURR_F_INPUT exist", flags, word);
    code = bind(p, word, quantity, &target);
    if (code != SURR_OK) return code;
    if (!is_state(quantity) && !is_output(quantity)) flags |= SURR_F_INPUT;
    p->slots[p->n_slot] = (slot){.quantity = quantity, .flags = flags, .target = target, .extra_scale = extra_scale};
    if (slot_number) *slot_number = p->n_slot;
    p->n_slot++;
    return SURR_OK;
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

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
    int32_t code = check_open(p);
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

/* ---- commit ------------------------------------------------------------------------------------------------------ */

static int32_t choose_kernels(surr_plan *p)
{
    const surr_model_desc *d = p->model->desc;
    int32_t isa = p->isa == ISA_AUTO ? best_isa(d) : p->isa;
    if (isa < 0)
        return surr_fail(SURR_E_UNSUPPORTED, "%s has no code for this CPU: export it again on this machine", d->name);
    if (!d->kernels[isa] || !isa_runs_here(isa))
        return surr_fail(SURR_E_UNSUPPORTED, "%s for isa %d: use \"auto\"",
                         d->kernels[isa] ? "this CPU cannot run the code" : "the model has no code", isa);
    p->kernels = d->kernels[isa];
    p->use_net = p->net && p->kernels->predict;
    return SURR_OK;
}

static int32_t check_policy(surr_plan *p)
{
    if (!is_positive(p->rtol))
        return surr_fail(SURR_E_ARG, "\"rtol\" is not set: say which relative error per cell you accept, e.g. "
                                     "surr_plan_set_d(plan, \"rtol\", -1, 1e-2)");
    if (p->fallback == FALLBACK_NONE && !p->use_net)
        return surr_fail(SURR_E_UNSUPPORTED,
                         "\"fallback\" is \"none\", but %s has no net: nothing could be advanced. Use "
                         "\"solver\"",
                         p->model->desc->name);
    return SURR_OK;
}

/* Every variable bound, all species in one form; sets species_form, thermal_form, i_temperature and n_species. */
static int32_t check_fields(surr_plan *p)
{
    const surr_model_desc *d = p->model->desc;
    int32_t form = 0;
    p->thermal_form = SURR_Q_STATE;
    p->i_temperature = -1;
    p->n_species = 0;
    for (int32_t k = 0; k < d->n_state; k++) {
        const surr_variable *v = &d->variables[k];
        int32_t s = 0;
        while (s < p->n_slot && !(is_state(p->slots[s].quantity) && p->slots[s].target == k)) s++;
        if (s == p->n_slot)
            return surr_fail(SURR_E_FIELD, "variable \"%s\" [%s] of %s is not bound: declare it with surr_plan_field",
                             v->name, v->unit, d->name);
        int32_t quantity = p->slots[s].quantity;
        if (v->role == SURR_ROLE_TEMPERATURE) {
            p->i_temperature = k;
            p->thermal_form = quantity;
        } else if (v->role == SURR_ROLE_SPECIES) {
            p->n_species++;
            if (form && form != quantity)
                return surr_fail(SURR_E_UNITS,
                                 "\"%s\" is bound as quantity %d, the species before it as %d: all species of a "
                                 "plan need one form",
                                 v->name, quantity, form);
            form = quantity;
        }
    }
    p->species_form = form;
    return SURR_OK;
}

static int32_t check_conversions(const surr_plan *p)
{
    const surr_model_desc *d = p->model->desc;
    int32_t q = p->species_form, t = p->thermal_form;
    if ((q == SURR_Q_MASS_FRACTION || q == SURR_Q_PER_H_TIMES_RHO) && p->density_slot < 0)
        return surr_fail(SURR_E_FIELD, "species as quantity %d need the gas density: bind a SURR_Q_DENSITY field", q);
    if (q == SURR_Q_PER_H && p->density_slot < 0 && p->nh_slot < 0)
        return surr_fail(SURR_E_FIELD, "species per H need a SURR_Q_NH or a SURR_Q_DENSITY field");
    if (is_thermal_form(t) && t != SURR_Q_TEMPERATURE && p->n_species == 0)
        return surr_fail(SURR_E_UNITS,
                         "%s has no species, so T does not follow from quantity %d: give SURR_Q_TEMPERATURE", d->name,
                         t);
    if ((t == SURR_Q_EINT_MASS || t == SURR_Q_EINT_VOLUME) && !(d->gamma > 1.0))
        return surr_fail(SURR_E_UNITS,
                         "%s has no adiabatic index, so T does not follow from an energy: give SURR_Q_TEMPERATURE or "
                         "SURR_Q_T_OVER_MU",
                         d->name);
    return SURR_OK;
}

/* Code unit of a quantity in cgs. */
static double unit_of(const surr_plan *p, int32_t quantity)
{
    double velocity = p->length / p->time;
    switch (quantity) {
    case SURR_Q_NUMBER_DENSITY:
    case SURR_Q_NH: return 1.0 / (p->length * p->length * p->length);
    case SURR_Q_MASS_DENSITY:
    case SURR_Q_PER_H_TIMES_RHO:
    case SURR_Q_DENSITY: return p->density;
    case SURR_Q_EINT_MASS: return velocity * velocity;
    case SURR_Q_EINT_VOLUME: return p->density * velocity * velocity;
    case SURR_Q_MAX_STEP:
    case SURR_Q_DT: return p->time;
    default: return 1.0;
    }
}

static int32_t set_scales(surr_plan *p)
{
    const surr_model_desc *d = p->model->desc;
    for (int32_t i = 0; i < p->n_slot; i++) {
        slot *s = &p->slots[i];
        s->scale = s->extra_scale * unit_of(p, s->quantity);
        if (s->quantity == SURR_Q_MASS_DENSITY || s->quantity == SURR_Q_MASS_FRACTION)
            s->scale /= d->variables[s->target].mass;
        if (!is_positive(s->scale))
            return surr_fail(SURR_E_UNITS,
                             "slot %d: its unit in cgs is %g, out of the range of a double. Check surr_plan_units and "
                             "extra_scale",
                             i, s->scale);
    }
    double per_k = (d->gamma - 1.0) / d->k_boltzmann;
    p->thermal = p->thermal_form == SURR_Q_T_OVER_MU ? 1.0 / d->mass_hydrogen : per_k;
    return SURR_OK;
}

/* Model, kernels and options. Not the threads, nor the host's fields and units: they may differ between ranks. */
static uint64_t fingerprint(const surr_plan *p)
{
    int32_t isa = 0;
    while (isa < SURR_N_ISA && p->model->desc->kernels[isa] != p->kernels) isa++;
    const double reals[] = {p->options.rtol, p->options.atol_frac, p->audit, p->max_step * p->time};
    const int64_t integers[] = {p->options.max_attempts, isa, p->use_net, p->fallback, p->on_failure};
    uint64_t h = hash_bytes(HASH_START, p->model->digest, sizeof p->model->digest);
    h = hash_bytes(h, reals, sizeof reals);
    return hash_bytes(h, integers, sizeof integers);
}

int32_t surr_plan_commit(surr_plan *p)
{
    int32_t code = check_open(p);
    if (code != SURR_OK) return code;
    fp_state host = fp_enter();
    code = choose_kernels(p);
    if (code == SURR_OK) code = check_policy(p);
    if (code == SURR_OK) code = check_fields(p);
    if (code == SURR_OK) code = check_conversions(p);
    if (code == SURR_OK) code = set_scales(p);
    fp_leave(host);
    if (code != SURR_OK) return code;
    p->options = (surr_solver_options){
        .rtol = p->rtol,
        .atol_frac = is_positive(p->atol_frac) ? p->atol_frac : 1e-10 * p->rtol,
        .max_attempts = p->max_attempts,
    };
    p->fingerprint = fingerprint(p);
    p->committed = 1;
    return SURR_OK;
}
