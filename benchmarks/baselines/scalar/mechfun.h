/* See simd.h in this folder. */
#ifndef SURR_MECHFUN_H
#define SURR_MECHFUN_H
#include "simd.h"
#include "vecmath.h"

static inline vdouble vd_square(vdouble x) { return x * x; }
static inline vdouble vd_sin(vdouble x) { return sin(x); }
static inline vdouble vd_cos(vdouble x) { return cos(x); }

/* Piecewise cubic on n intervals of a width from lower: value (order 0) or slope (order 1). */
static inline vdouble vd_cubic(const double *coeffs, int n, double lower, double width, vdouble x, int order)
{
    const vdouble position = vd_min(vd_max((x - lower) / width, 0.0), n - 1);
    const int i = (int)position;
    const double u = x - (lower + i * width), *c = coeffs + 4 * i;
    return order == 0 ? c[0] + u * (c[1] + u * (c[2] + u * c[3])) : c[1] + u * (2.0 * c[2] + u * (3.0 * c[3]));
}

#endif
