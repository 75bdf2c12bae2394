/* Functions that generated mechanisms call beyond simd.h and vecmath.h. */
#ifndef SURR_MECHFUN_H
#define SURR_MECHFUN_H
#include <math.h>

#include "simd.h"
#include "vecmath.h"

SURR_INLINE vdouble vd_square(vdouble x) { return x * x; }

/* Rare (systems forced periodically in time), so lane by lane through the C library. */
SURR_INLINE vdouble vd_sin(vdouble x)
{
    for (int l = 0; l < SURR_LANES; l++) x[l] = sin(x[l]);
    return x;
}

SURR_INLINE vdouble vd_cos(vdouble x)
{
    for (int l = 0; l < SURR_LANES; l++) x[l] = cos(x[l]);
    return x;
}

/* Piecewise cubic on n intervals of a width from lower: value (order 0) or slope (order 1). */
SURR_INLINE vdouble vd_cubic(const double *coeffs, int n, double lower, double width, vdouble x, int order)
{
    const vdouble position = vd_min(vd_max((x - lower) / width, vd_set(0.0)), vd_set(n - 1));
    const vint64 i = __builtin_convertvector(position, vint64);
    const vdouble u = x - (lower + __builtin_convertvector(i, vdouble) * width);
    const vdouble c1 = vd_gather(coeffs + 1, 4 * i), c2 = vd_gather(coeffs + 2, 4 * i);
    const vdouble c3 = vd_gather(coeffs + 3, 4 * i);
    if (order == 0) return vd_gather(coeffs, 4 * i) + u * (c1 + u * (c2 + u * c3));
    return c1 + u * (2.0 * c2 + u * (3.0 * c3));
}

#endif
