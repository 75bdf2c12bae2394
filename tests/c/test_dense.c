/* simdf.h, vecmathf.h and dense.h as plain functions of arrays.  Driven by tests/test_dense.py. */
#include "dense.h"

#include <string.h>

int surr_test_lanes(void) { return SURR_FLANES; }

/* ---- y = f(x), n a multiple of SURR_FLANES ---- */

#define UNARY(NAME, EXPRESSION)                                   \
    void surr_test_##NAME(int64_t n, const float *in, float *out) \
    {                                                             \
        for (int64_t i = 0; i < n; i += SURR_FLANES) {            \
            vfloat x = vf_loadu(in + i);                          \
            vf_storeu(out + i, EXPRESSION);                       \
        }                                                         \
    }
UNARY(exp, vf_exp(x))
UNARY(log, vf_log(x))
UNARY(sigmoid, vf_sigmoid(x))
UNARY(adaptive_sigmoid, vf_adaptive_sigmoid(x, 1.5f))
UNARY(silu, vf_silu(x))
UNARY(tanh, vf_tanh(x))
UNARY(sqrt, vf_sqrt(x))
UNARY(abs, vf_abs(x))
UNARY(min, vf_min(x, vf_set(1.0f)))
UNARY(max, vf_max(x, vf_set(1.0f)))
UNARY(fma, vf_fma(x, x, vf_set(0.5f)))
UNARY(select, vf_select((vfmask)(x < 1.0f), x, vf_set(7.0f)))
UNARY(isfinite, vf_select(vf_isfinite(x), vf_set(1.0f), vf_set(0.0f)))

void surr_test_from_doubles(int64_t n, const double *in, float *out)
{
    for (int64_t i = 0; i < n; i += SURR_FLANES)
        vf_storeu(out + i, vf_from_doubles(vd_loadu(in + i), vd_loadu(in + i + SURR_LANES)));
}

void surr_test_to_doubles(int64_t n, const float *in, double *out)
{
    for (int64_t i = 0; i < n; i += SURR_FLANES) {
        vdouble low, high;
        vf_to_doubles(vf_loadu(in + i), &low, &high);
        vd_storeu(out + i, low);
        vd_storeu(out + i + SURR_LANES, high);
    }
}

/* ---- one layer of some cells: in[n][n_in], residual and out[n][DENSE_PADDED(n_out)], layer as in dense.h ---- */

/* The shapes, known at compile time as in a generated net. */
#define SHAPES(SHAPE) \
    SHAPE(1, 1)       \
    SHAPE(10, 11)     \
    SHAPE(19, 13)     \
    SHAPE(20, 64)     \
    SHAPE(64, 12)     \
    SHAPE(96, 96)     \
    SHAPE(192, 192)

typedef void epilogue(int n, const float *residual, float *x);
static epilogue *const epilogues[] = {NULL, dense_silu, dense_tanh, dense_sigmoid, dense_add};

int surr_test_layer(int n_out, int n_in, const float *layer, int n, const float *in, int i_epilogue,
                    const float *residual, float *out)
{
#define SHAPE(N_OUT, N_IN)                                                           \
    if (n_out == N_OUT && n_in == N_IN) dense(N_OUT, N_IN, layer, n, in, N_IN, out); \
    else
    SHAPES(SHAPE) return -1;

    if (epilogues[i_epilogue]) epilogues[i_epilogue](n * DENSE_PADDED(n_out), residual, out);
    return 0;
}
