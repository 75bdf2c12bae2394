/* Models: who holds them, and the questions that a host can ask them. */
#include "model.h"
#include "bits.h"
#include "error.h"
#include "fpenv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

int isa_runs_here(int32_t isa)
{
#if defined(__x86_64__)
    if (isa == SURR_ISA_BASE) return __builtin_cpu_supports("sse4.2");
    int v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
             __builtin_cpu_supports("bmi2");
    if (isa == SURR_ISA_V3) return v3;
    return v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
#else
    return isa == SURR_ISA_BASE;
#endif
}

int32_t best_isa(const surr_model_desc *d)
{
    int32_t isa = SURR_N_ISA - 1;
    while (isa >= 0 && !(d->kernels[isa] && isa_runs_here(isa))) isa--;
    return isa;
}

surr_model *model_retain(surr_model *m)
{
    atomic_fetch_add(&m->refs, 1);
    return m;
}

void model_release(surr_model *m)
{
    if (atomic_fetch_sub(&m->refs, 1) != 1) return;
    if (m->library) library_close(m->library);
    free(m);
}

int32_t surr_model_close(surr_model *m)
{
    if (m) model_release(m);
    return SURR_OK;
}

/* Largest |f - test_f| / test_scale over all test vectors; a value that is not finite counts as infinite. */
static double replay(const surr_model_desc *d, const surr_kernels *kernels, double *f)
{
    double worst = 0.0;
    for (int64_t i = 0; i < d->n_test; i++) {
        kernels->evaluate(kernels, 1, d->test_y + i * d->n_state, d->test_param + i * d->n_param, f, NULL);
        for (int k = 0; k < d->n_state; k++) {
            int64_t at = i * d->n_state + k;
            double error = fabs(f[k] - d->test_f[at]) / d->test_scale[at];
            if (!is_finite(error)) return INFINITY;
            if (error > worst) worst = error;
        }
    }
    return worst;
}

/* Largest |x/expected - 1| over ends and errors of all stored predictions; infinite where that is no number. */
static double replay_net(const surr_model_desc *d, const surr_kernels *kernels, double *end)
{
    double worst = 0.0;
    for (int64_t i = 0; i < d->n_net_test && kernels->predict; i++) {
        const double *expected = d->net_end + i * d->n_state;
        float bound, attempts;
        kernels->predict(kernels, INFINITY, 1, d->net_y + i * d->n_state, d->net_dt + i, d->net_param + i * d->n_param,
                         end, &bound, &attempts);
        for (int k = -1; k < d->n_state; k++) {
            double error = k < 0 ? fabs((double)bound / d->net_error[i] - 1.0) : fabs(end[k] / expected[k] - 1.0);
            if (!is_finite(error)) return INFINITY;
            if (error > worst) worst = error;
        }
    }
    return worst;
}

int32_t surr_model_selftest(const surr_model *m, double *max_error)
{
    if (!m) return surr_fail(SURR_E_ARG, "model is NULL: open one first");
    const surr_model_desc *d = m->desc;
    double *f = malloc((size_t)d->n_state * sizeof *f);
    if (!f) return surr_fail(SURR_E_NOMEM, "no memory for %d values", d->n_state);
    double worst = 0.0, worst_of_net = 0.0;
    fp_state host = fp_enter();
    for (int32_t isa = 0; isa < SURR_N_ISA; isa++) {
        if (!d->kernels[isa] || !isa_runs_here(isa)) continue;
        double error = replay(d, d->kernels[isa], f);
        if (error > worst) worst = error;
        error = replay_net(d, d->kernels[isa], f);
        if (error > worst_of_net) worst_of_net = error;
    }
    int passed = worst <= 1e-10, net_passed = worst_of_net <= 1e-4;
    fp_leave(host);
    free(f);
    if (max_error) *max_error = worst;
    if (passed && net_passed) return SURR_OK;
    if (passed)
        return surr_fail(
            SURR_E_CHECKSUM,
            "the net of %s does not reproduce its stored predictions: error %.3g, allowed 1e-4. Export the "
            "model again on this machine",
            d->name, worst_of_net);
    return surr_fail(SURR_E_CHECKSUM,
                     "%s does not reproduce its own test vectors: error %.3g, allowed 1e-10. Export the model "
                     "again on this machine",
                     d->name, worst);
}

int32_t surr_model_evaluate(const surr_model *m, int64_t n_cell, const double *y, const double *params, double *f,
                            double *jacobian)
{
    if (!m) return surr_fail(SURR_E_ARG, "model is NULL: open one first");
    if (n_cell < 0) return surr_fail(SURR_E_ARG, "n_cell is %lld: give 0 or more", (long long)n_cell);
    if (!y || !f || (!params && m->desc->n_param)) return surr_fail(SURR_E_ARG, "y, f or params is NULL");
    int32_t isa = best_isa(m->desc);
    if (isa < 0)
        return surr_fail(SURR_E_UNSUPPORTED, "%s has no code for this CPU: export it again on this machine",
                         m->desc->name);
    fp_state host = fp_enter();
    const surr_kernels *k = m->desc->kernels[isa];
    k->evaluate(k, n_cell, y, params, f, jacobian);
    fp_leave(host);
    return SURR_OK;
}

int32_t surr_model_count(const surr_model *m, int32_t *n_state, int32_t *n_param)
{
    if (!m) return surr_fail(SURR_E_ARG, "model is NULL: open one first");
    if (n_state) *n_state = m->desc->n_state;
    if (n_param) *n_param = m->desc->n_param;
    return SURR_OK;
}

int32_t surr_model_field(const surr_model *m, int32_t i, char *name, int32_t name_len, char *unit, int32_t unit_len,
                         double *lower, double *upper, double *value, int32_t *is_param)
{
    if (!m) return surr_fail(SURR_E_ARG, "model is NULL: open one first");
    const surr_model_desc *d = m->desc;
    if (i < 0 || i >= d->n_state + d->n_param)
        return surr_fail(SURR_E_ARG, "field %d: %s has %d variables and %d parameters, give 0..%d", i, d->name,
                         d->n_state, d->n_param, d->n_state + d->n_param - 1);
    if ((name && name_len < 1) || (unit && unit_len < 1))
        return surr_fail(SURR_E_ARG, "the buffers for name and unit have lengths %d and %d: give 1 or more", name_len,
                         unit_len);
    const surr_variable *v = i < d->n_state ? &d->variables[i] : NULL;
    const surr_parameter *p = v ? NULL : &d->parameters[i - d->n_state];
    if (name) snprintf(name, (size_t)name_len, "%s", v ? v->name : p->name);
    if (unit) snprintf(unit, (size_t)unit_len, "%s", v ? v->unit : p->unit);
    if (lower) *lower = v ? v->lower : p->lower;
    if (upper) *upper = v ? v->upper : p->upper;
    if (value) *value = v ? 0.0 : p->value;
    if (is_param) *is_param = !v;
    return SURR_OK;
}

int32_t surr_model_dt_range(const surr_model *m, double *lower, double *upper)
{
    if (!m) return surr_fail(SURR_E_ARG, "model is NULL: open one first");
    if (lower) *lower = m->desc->dt_lower;
    if (upper) *upper = m->desc->dt_upper;
    return SURR_OK;
}

int32_t surr_model_info(const surr_model *m, char *json, int64_t len, int64_t *needed)
{
    if (!m) return surr_fail(SURR_E_ARG, "model is NULL: open one first");
    int64_t size = (int64_t)strlen(m->desc->info) + 1;
    if (needed) *needed = size;
    if (!json) return SURR_OK;
    if (len < size)
        return surr_fail(SURR_E_ARG, "the info of %s takes %lld bytes, the buffer has %lld", m->desc->name,
                         (long long)size, (long long)len);
    memcpy(json, m->desc->info, (size_t)size);
    return SURR_OK;
}
