/* See simd.h in this folder. */
#ifndef SURR_VECMATH_H
#define SURR_VECMATH_H
#include "simd.h"

static inline vdouble vd_exp(vdouble x) { return exp(x); }
static inline vdouble vd_log(vdouble x) { return log(x); }

#endif
