/* simd.h and vecmath.h as plain functions of arrays; n is a multiple of SURR_LANES.
 * Driven by tests/test_vecmath.py. */
#include "simd.h"
#ifndef __FAST_MATH__
#include "vecmath.h"
#endif

#define EACH_VECTOR(i) for (int64_t i = 0; i < n; i += SURR_LANES)

int surr_test_lanes(void) { return SURR_LANES; }

#ifndef __FAST_MATH__
void surr_test_exp(int64_t n, const double *x, double *y) { EACH_VECTOR(i) vd_storeu(y + i, vd_exp(vd_loadu(x + i))); }

void surr_test_log(int64_t n, const double *x, double *y) { EACH_VECTOR(i) vd_storeu(y + i, vd_log(vd_loadu(x + i))); }

void surr_test_pow(int64_t n, const double *x, const double *p, double *y)
{
    EACH_VECTOR(i) vd_storeu(y + i, vd_pow(vd_loadu(x + i), vd_loadu(p + i)));
}
#endif

void surr_test_sqrt(int64_t n, const double *x, double *y)
{
    EACH_VECTOR(i) vd_storeu(y + i, vd_sqrt(vd_loadu(x + i)));
}

void surr_test_abs(int64_t n, const double *x, double *y) { EACH_VECTOR(i) vd_storeu(y + i, vd_abs(vd_loadu(x + i))); }

void surr_test_min(int64_t n, const double *a, const double *b, double *y)
{
    EACH_VECTOR(i) vd_storeu(y + i, vd_min(vd_loadu(a + i), vd_loadu(b + i)));
}

void surr_test_max(int64_t n, const double *a, const double *b, double *y)
{
    EACH_VECTOR(i) vd_storeu(y + i, vd_max(vd_loadu(a + i), vd_loadu(b + i)));
}

void surr_test_fma(int64_t n, const double *a, const double *b, double *y)
{
    EACH_VECTOR(i) vd_storeu(y + i, vd_fma(vd_loadu(a + i), vd_loadu(b + i), vd_set(0.5)));
}

/* a < b ? a : 7 */
void surr_test_select(int64_t n, const double *a, const double *b, double *y)
{
    EACH_VECTOR(i)
    {
        vdouble u = vd_loadu(a + i);
        vd_storeu(y + i, vd_select((vmask)(u < vd_loadu(b + i)), u, vd_set(7.0)));
    }
}

void surr_test_isfinite(int64_t n, const double *x, double *y)
{
    EACH_VECTOR(i) vd_storeu(y + i, vd_select(vd_isfinite(vd_loadu(x + i)), vd_set(1), vd_set(0)));
}

/* base[index] with whole numbers as index. */
void surr_test_gather(int64_t n, const double *base, const double *index, double *y)
{
    EACH_VECTOR(i)
    {
        vint64 at;
        for (int lane = 0; lane < SURR_LANES; lane++) at[lane] = (int64_t)index[i + lane];
        vd_storeu(y + i, vd_gather(base, at));
    }
}

void surr_test_from_int(int64_t n, const double *x, double *y)
{
    EACH_VECTOR(i)
    {
        vint64 a;
        for (int lane = 0; lane < SURR_LANES; lane++) a[lane] = (int64_t)x[i + lane];
        vd_storeu(y + i, vd_from_int(a));
    }
}

/* One vector; the mask is x > 0.  Bits 0-7 vm_bits, bit 8 vm_any, bit 9 vm_all. */
int surr_test_mask(const double *x)
{
    vmask m = (vmask)(vd_loadu(x) > 0.0);
    return (int)(vm_bits(m) | (unsigned)vm_any(m) << 8 | (unsigned)vm_all(m) << 9);
}
