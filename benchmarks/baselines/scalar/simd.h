/* A generated mechanism as plain scalar C: these three headers stand in for those of the same names in bindings/kernel.
 *
 * With one-lane GNU vectors gcc 12 builds selections from integer masks and computes both sides of every branch; with
 * plain doubles and the C library's exp and log the right-hand side of ism-molecular takes 480 ns instead of 640 ns.
 * Opponents spend most of their time there and must not pay for our vectors. */
#ifndef SURR_SIMD_H
#define SURR_SIMD_H
#include <math.h>
#include <stdint.h>

typedef double vdouble;
typedef int vmask;

static inline vdouble vd_set(double a) { return a; }
static inline vdouble vd_min(vdouble a, vdouble b) { return a < b ? a : b; }
static inline vdouble vd_max(vdouble a, vdouble b) { return a > b ? a : b; }
static inline vdouble vd_abs(vdouble a) { return fabs(a); }
static inline vdouble vd_sqrt(vdouble a) { return sqrt(a); }

/* A macro, so that a side that is not taken need not be computed. */
#define vd_select(m, a, b) ((m) ? (a) : (b))

#endif
