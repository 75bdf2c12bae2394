/* What the C tests share: checks that name the line, and plans for the toy model. */
#ifndef CHECK_H
#define CHECK_H
#include "surrogate.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int n_failures;

#define CHECK(CONDITION)                                                                             \
    do {                                                                                             \
        if (!(CONDITION)) {                                                                          \
            char text_[1024] = "";                                                                   \
            surr_last_error(text_, sizeof text_);                                                    \
            printf("%s:%d: not true: %s (last error: %s)\n", __FILE__, __LINE__, #CONDITION, text_); \
            n_failures++;                                                                            \
        }                                                                                            \
    } while (0)

#define REQUIRE(CONDITION)                 \
    do {                                   \
        int before_ = n_failures;          \
        CHECK(CONDITION);                  \
        if (n_failures > before_) exit(1); \
    } while (0)

/* The call failed with this code, and the message holds this text. */
#define CHECK_FAILS(CALL, CODE, TEXT)                                                                                  \
    do {                                                                                                               \
        char said_[1024] = "";                                                                                         \
        int32_t code_ = (CALL);                                                                                        \
        surr_last_error(said_, sizeof said_);                                                                          \
        if (code_ != (CODE) || !strstr(said_, (TEXT))) {                                                               \
            printf("%s:%d: %s gave %d, expected %s; said \"%s\", expected \"%s\"\n", __FILE__, __LINE__, #CALL, code_, \
                   #CODE, said_, TEXT);                                                                                \
            n_failures++;                                                                                              \
        }                                                                                                              \
    } while (0)

static inline surr_model *open_toy(const char *directory, const char *name)
{
    char path[4096];
    surr_model *model;
    snprintf(path, sizeof path, "%s/%s.so", directory, name);
    REQUIRE(surr_model_open(path, -1, &model) == SURR_OK);
    return model;
}

typedef struct field {
    const char *name;
    int32_t quantity, flags;
} field;

/* A plan with these fields, not committed; rtol is set. */
static inline surr_plan *open_plan(surr_model *model, const field *fields, int n)
{
    surr_plan *plan;
    int32_t slot = -1;
    REQUIRE(surr_plan_create(model, &plan) == SURR_OK);
    for (int i = 0; i < n; i++) {
        REQUIRE(surr_plan_field(plan, fields[i].name, -1, fields[i].quantity, 1.0, fields[i].flags, &slot) == SURR_OK);
        CHECK(slot == i);
    }
    REQUIRE(surr_plan_set_d(plan, "rtol", -1, 1e-2) == SURR_OK);
    return plan;
}

static inline surr_work *commit(surr_plan *plan)
{
    surr_work *work;
    REQUIRE(surr_plan_commit(plan) == SURR_OK);
    REQUIRE(surr_work_create(plan, 0, &work) == SURR_OK);
    return work;
}

/* Reproducible numbers in [0, 1). */
static inline double draw(void)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(state >> 11) * 0x1p-53;
}

static inline int report(const char *name)
{
    printf("%s: %s\n", name, n_failures ? "FAILED" : "passed");
    return n_failures != 0;
}
#endif
