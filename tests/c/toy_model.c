/* A model library small enough to check by hand: A -> 2 B in collisions with any nucleus, T relaxes to 10 K.
 *
 *     N = 2 A + B (constant)    A(t) = A e^(-rate N t)    B(t) = N - 2 A(t)    T(t) = 10 + (T - 10) e^(-cooling t)
 *
 * A weighs twice B, so mass and hydrogen are conserved while the mean molecular weight changes; and no result scales
 * with its input, so that a wrong unit shows. The "solver" counts 1 + rate*dt step attempts, so that max_solver_steps
 * can be made too small. B and `rate` have no upper bound, so that an infinity must be told from a number.
 * Flaws for the loader's tests come from macros: TOY_ABI, TOY_TEST_F (a wrong test vector), TOY_NO_KERNELS,
 * TOY_NO_ENTRY, TOY_ROLE_OTHER (a system without species). TOY_NET adds a "net" that is off by 1 % in A, by 0.1 % in B
 * and right in T, says 0.02, knows cells below 1000 K and is to be asked above 500 K from rtol 0.3 on. */
#include "model_abi.h"

#include <math.h>
#include <stddef.h>

#ifndef TOY_ABI
#define TOY_ABI SURR_MODEL_ABI
#endif
#ifndef TOY_TEST_F
#define TOY_TEST_F 1.0e-2
#endif
#ifdef TOY_ROLE_OTHER
#define SPECIES   SURR_ROLE_OTHER, 0, 0.0
#define SPECIES_2 SURR_ROLE_OTHER, 0, 0.0
#define THERMAL   SURR_ROLE_OTHER
#define GAMMA     0.0
#else
#define SPECIES_2 SURR_ROLE_SPECIES, 2, 2.0 * MASS
#define SPECIES   SURR_ROLE_SPECIES, 1, MASS
#define THERMAL   SURR_ROLE_TEMPERATURE
#define GAMMA     (5.0 / 3.0)
#endif
#define MASS 1.6735e-24

/* SURR_CELL_SOLVER and SURR_CELL_FAILED of surrogate.h, which a model library does not see */
enum { SOLVED = 4, FAILED = 34 };

static void solve(const surr_kernels *self, const surr_solver_options *options, int64_t n, double *y, const double *dt,
                  const double *max_step, const double *params, uint8_t *status, int32_t *attempts)
{
    (void)self;
    for (int64_t c = 0; c < n; c++) {
        double rate = params[2 * c], cooling = params[2 * c + 1];
        double needed = 1.0 + rate * dt[c];
        int failed = needed > (double)options->max_attempts;
        attempts[c] = failed ? (int32_t)options->max_attempts : (int32_t)needed;
        status[c] = failed ? FAILED : SOLVED;
        if (failed) continue;
        double nuclei = 2.0 * y[3 * c] + y[3 * c + 1];
        double left = exp(-rate * nuclei * dt[c]);
        y[3 * c + 1] += 2.0 * y[3 * c] * (1.0 - left);
        y[3 * c] *= left;
        y[3 * c + 2] = 10.0 + (y[3 * c + 2] - 10.0) * exp(-cooling * dt[c]);
    }
}

static void evaluate(const surr_kernels *self, int64_t n, const double *y, const double *params, double *f,
                     double *jacobian)
{
    (void)self;
    for (int64_t c = 0; c < n; c++) {
        double rate = params[2 * c], cooling = params[2 * c + 1];
        double a = y[3 * c], b = y[3 * c + 1];
        f[3 * c] = -rate * a * (2.0 * a + b);
        f[3 * c + 1] = 2.0 * rate * a * (2.0 * a + b);
        f[3 * c + 2] = -cooling * (y[3 * c + 2] - 10.0);
        if (!jacobian) continue;
        const double d_a = -rate * (4.0 * a + b), d_b = -rate * a;
        const double rows[9] = {d_a, d_b, 0, -2.0 * d_a, -2.0 * d_b, 0, 0, 0, -cooling};
        for (int k = 0; k < 9; k++) jacobian[9 * c + k] = rows[k];
    }
}

static void predict(const surr_kernels *self, double rtol, int64_t n, const double *y, const double *dt,
                    const double *params, double *end, float *error, float *attempts)
{
    const surr_solver_options options = {.max_attempts = INT32_MAX};
    uint8_t status;
    int32_t tries;
    for (int64_t c = 0; c < n; c++) {
        for (int k = 0; k < 3; k++) end[3 * c + k] = y[3 * c + k];
        solve(self, &options, 1, end + 3 * c, dt + c, NULL, params + 2 * c, &status, &tries);
        end[3 * c] *= 1.01001;
        end[3 * c + 1] *= 0.998999;
        attempts[c] = y[3 * c + 2] > 1000.0 ? -4.0f : 1.0f; /* outside by T, variable 2 */
        error[c] = y[3 * c + 2] > 1000.0 ? HUGE_VALF : y[3 * c + 2] > 500.0 && rtol < 0.3 ? -1.0f : 0.02f;
    }
}

#ifdef TOY_NET
#define PREDICT predict
#else
#define PREDICT 0
#endif
static const surr_kernels kernels = {.lanes = 1, .solve = solve, .evaluate = evaluate, .predict = PREDICT};
static const surr_variable variables[] = {
    {"A", "cm^-3", 0.0, 1e30, SPECIES_2},
    {"B", "cm^-3", 0.0, HUGE_VAL, SPECIES},
    {"T", "K", 1.0, 1e9, THERMAL, 0, 0.0},
};
static const surr_parameter parameters[] = {
    {"rate", "cm^3/s", 1e-3, 0.0, HUGE_VAL},
    {"cooling", "s^-1", 5e-4, 0.0, 1e3},
};
static const double conserved[] = {2.0, 1.0, 0.0};
static const double test_y[] = {1.0, 3.0, 100.0}, test_param[] = {1e-3, 5e-4};
static const double test_f[] = {-5e-3, TOY_TEST_F, -4.5e-2}, test_scale[] = {1e-2, 1e-2, 1e-2};
static const surr_model_desc desc = {
    .abi = TOY_ABI,
    .n_state = 3,
    .n_param = 2,
    .n_conserved = 1,
    .name = "toy",
    .info = "{\"system\": \"toy\", \"description\": \"A -> 2 B, T cools\"}",
    .variables = variables,
    .parameters = parameters,
    .conserved = conserved,
    .gamma = GAMMA,
    .k_boltzmann = 1.380649e-16,
    .mass_hydrogen = MASS,
    .dt_lower = 1.0,
    .dt_upper = 1e6,
    .n_test = 1,
    .test_y = test_y,
    .test_param = test_param,
    .test_f = test_f,
    .test_scale = test_scale,
#ifndef TOY_NO_KERNELS
    .kernels = {&kernels, &kernels, 0},
#endif
};

#ifdef TOY_NO_ENTRY
#define surr_model_entry surr_some_other_name
const surr_model_desc *surr_some_other_name(void);
#endif
const surr_model_desc *surr_model_entry(void)
{
    (void)kernels, (void)predict;
    return &desc;
}
