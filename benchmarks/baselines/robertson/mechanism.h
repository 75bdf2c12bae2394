/* Robertson's problem in the form the code generator writes a mechanism: the check of every opponent's build.
 * Robertson 1966, in Numerical Analysis: An Introduction, p. 178. Parameters: 0.04, 3e7, 1e4. */
#ifndef MECHANISM_H
#define MECHANISM_H
#include "simd.h"

#define N_STATE  3
#define N_PARAM  3
#define N_JAC    7
#define HAS_TIME 0

static const short jac_row[N_JAC] = {0, 0, 0, 1, 1, 1, 2};
static const short jac_col[N_JAC] = {0, 1, 2, 0, 1, 2, 1};

static inline void mechanism_rhs(vdouble t, const vdouble *y, const vdouble *p, vdouble *f)
{
    (void)t;
    const vdouble decay = p[0] * y[0], merge = p[1] * y[1] * y[1], back = p[2] * y[1] * y[2];
    f[0] = back - decay;
    f[1] = decay - back - merge;
    f[2] = merge;
}

static inline void mechanism_jacobian(vdouble t, const vdouble *y, const vdouble *p, vdouble *f, vdouble *jac,
                                      vdouble *dfdt)
{
    const vdouble zero = p[0] - p[0], merge_1 = 2 * p[1] * y[1], back_1 = p[2] * y[2], back_2 = p[2] * y[1];
    mechanism_rhs(t, y, p, f);
    dfdt[0] = dfdt[1] = dfdt[2] = zero;
    jac[0] = -p[0];
    jac[1] = back_1;
    jac[2] = back_2;
    jac[3] = p[0];
    jac[4] = -back_1 - merge_1;
    jac[5] = -back_2;
    jac[6] = merge_1;
}

#endif
