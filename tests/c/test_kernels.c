/* Drives the kernels of a generated model through every instruction set this machine runs: linked with the model and
 * built with sanitizers by test_kernels.py. Exit status 0 if all is well. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model_abi.h"

static int runs_here(int isa)
{
#if defined __x86_64__
    if (isa == SURR_ISA_V3) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (isa == SURR_ISA_V4)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#endif
    return isa == SURR_ISA_BASE;
}

/* n cells, exactly sized buffers: an access beyond any of them is seen. */
static int drive(const surr_model_desc *m, const surr_kernels *k, int64_t n, double dt, double rtol)
{
    const surr_solver_options options = {rtol, 1e-10 * rtol, 20000};
    double *y = calloc(n * m->n_state, sizeof(double)), *f = malloc(sizeof(double) * n * m->n_state);
    double *J = malloc(sizeof(double) * n * m->n_state * m->n_state), *step = malloc(sizeof(double) * n);
    double *params = calloc(n * m->n_param + 1, sizeof(double));
    uint8_t *status = malloc(n);
    int32_t *attempts = malloc(sizeof(int32_t) * n);
    int bad = 0;
    for (int64_t c = 0; c < n; c++) {
        const int64_t i = c % m->n_test;
        memcpy(y + c * m->n_state, m->test_y + i * m->n_state, sizeof(double) * m->n_state);
        for (int p = 0; p < m->n_param; p++) params[c * m->n_param + p] = m->parameters[p].value;
        step[c] = dt;
    }
    k->evaluate(k, n, y, params, f, J);
    k->solve(k, &options, n, y, step, NULL, params, status, attempts);
    for (int64_t c = 0; c < n; c++) {
        if (status[c] != SURR_SOLVED || attempts[c] < 1) bad++;
        for (int j = 0; j < m->n_state; j++) bad += !isfinite(y[c * m->n_state + j]);
    }
    free(y), free(f), free(J), free(step), free(params), free(status), free(attempts);
    return bad;
}

int main(void)
{
    const surr_model_desc *m = surr_model_entry();
    int bad = 0, sets = 0;
    for (int isa = 0; isa < SURR_N_ISA; isa++) {
        if (!m->kernels[isa] || !runs_here(isa)) continue;
        sets++;
        for (int64_t n = 1; n <= 17; n++) bad += drive(m, m->kernels[isa], n, 1e8, 1e-3);
        bad += drive(m, m->kernels[isa], 33, 1e13, 1e-2);
    }
    printf("%s: %d instruction sets, %d bad cells\n", m->name, sets, bad);
    return bad || !sets;
}
