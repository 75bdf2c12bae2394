/* exp, log and pow of a vdouble, made for throughput: no branch, no call, small code.
 * A lane's result depends on that lane alone, bit for bit; other widths may round differently.
 *
 *              largest error   cycles per vector of 8, 4, 2
 *   vd_exp       1.12 ulp           8    10    17         +0 where the result would be subnormal
 *   vd_log       1.53 ulp          16    20    23         -inf at 0, NaN below
 *   vd_pow       1.64 ulp          64    76    82         x >= 0
 *
 * Errors: against quadruple precision at 4 million random arguments per width (pow: 1 million);
 * bars and special values are in tests/test_vecmath.py.  Cycles: Sapphire Rapids, gcc 12, x86-64-v4, -v3, -v2, sixteen
 * independent vectors.  Needs round-to-nearest and masked floating-point exceptions; spurious flags
 * may be raised.  Subnormal arguments of log and pow count as zero and no result is subnormal, so a
 * host that flushes subnormal numbers sees the same values.
 *
 * Polynomials are minimax for the relative error of the result: Remez exchange in 160-bit
 * arithmetic on the interval given beside each, coefficients rounded to double afterwards.
 */
#ifndef SURR_VECMATH_H
#define SURR_VECMATH_H

#include "simd.h"

#ifdef __FAST_MATH__
#error "vecmath.h rounds by adding a large constant: build it without -ffast-math"
#endif

#define VM_LOG2_E         0x1.71547652b82fep+0
#define VM_LN2_HIGH       0x1.62e42fefa3800p-1 /* 42 bits: its product with an exponent is exact */
#define VM_LN2_LOW        0x1.ef35793c76730p-45
#define VM_MIN_NORMAL     0x1p-1022
#define VM_MAX_FINITE     0x1.fffffffffffffp+1023
#define VM_LOG_MIN_NORMAL (-0x1.6232bdd7abcd2p+9) /* first double whose exp is normal */
#define VM_LOG_MAX_FINITE 0x1.62e42fefa39efp+9    /* last double whose exp is finite */

/* Sixteen doubles by index mod 16; two registers and no memory access with AVX-512. */
SURR_INLINE vdouble vm_lookup(const double *table, vint64 index)
{
#if defined SURR_AVX512
    return (vdouble)_mm512_permutex2var_pd(_mm512_load_pd(table), (__m512i)index, _mm512_load_pd(table + 8));
#else
    return vd_gather(table, index & 15);
#endif
}

/* The 26 leading bits: products of two such numbers are exact. */
SURR_INLINE vdouble vm_truncate(vdouble a) { return (vdouble)((vint64)a & ~INT64_C(0x7ffffff)); }

/* ---- exp ---- */

/* x = k ln 2 + r with k a multiple of the last bit of VM_ROUND, and exp(x) = 2^k exp(r).
 *
 * With AVX-512 k counts sixteenths: its fraction selects from a table, |r| <= ln 2 / 32, and
 * degree 6 is enough; scalef does 2^floor(k) with all special cases.  Elsewhere a lookup costs as
 * much as it saves, k counts units, |r| <= ln 2 / 2 needs degree 11, and k is added to the
 * exponent bits. */
#if defined SURR_AVX512
#define VM_ROUND 0x1.8p48

static const double vm_exp2_table[16] __attribute__((aligned(64))) = {
    /* 2^(j/16) */
    0x1.0000000000000p+0, 0x1.0b5586cf9890fp+0, 0x1.172b83c7d517bp+0, 0x1.2387a6e756238p+0,
    0x1.306fe0a31b715p+0, 0x1.3dea64c123422p+0, 0x1.4bfdad5362a27p+0, 0x1.5ab07dd485429p+0,
    0x1.6a09e667f3bcdp+0, 0x1.7a11473eb0187p+0, 0x1.8ace5422aa0dbp+0, 0x1.9c49182a3f090p+0,
    0x1.ae89f995ad3adp+0, 0x1.c199bdd85529cp+0, 0x1.d5818dcfba487p+0, 0x1.ea4afa2a490dap+0,
};

/* 2^k exp(r); rounded is k + VM_ROUND, x is what k and r were made from.  The result is 0 where x is
 * too small, +inf where it is too large, NaN where it is NaN. */
SURR_INLINE vdouble vm_exp_scaled(vdouble x, vdouble rounded, vdouble r)
{
    /* (exp(r) - 1 - r)/r^2, |r| <= ln 2 / 32 */
    vdouble q = vd_fma(r, vd_set(0x1.6c14a754019cap-10), vd_set(0x1.11123ab49133cp-7));
    q = vd_fma(q, r, vd_set(0x1.555555591f52bp-5));
    q = vd_fma(q, r, vd_set(0x1.555555548f813p-3));
    q = vd_fma(q, r, vd_set(0x1.fffffffffffb7p-2));
    q = vd_fma(q, r, vd_set(1.0));

    vdouble power = vm_lookup(vm_exp2_table, (vint64)rounded);
    vdouble y = vd_fma(power * r, q, power);

    /* Huge x: r is noise, or NaN for an infinite x, but scalef(noise, +inf or large) is +inf.
     * The mask clears what would be subnormal and keeps NaN. */
    vdouble limit = vd_set(VM_LOG_MIN_NORMAL);
    __mmask8 keep = _mm512_cmp_pd_mask((__m512d)x, (__m512d)limit, _CMP_NLT_UQ);
    return (vdouble)_mm512_maskz_scalef_pd(keep, (__m512d)y, (__m512d)(rounded - VM_ROUND));
}

#else
#define VM_ROUND 0x1.8p52

SURR_INLINE vdouble vm_exp_scaled(vdouble x, vdouble rounded, vdouble r)
{
    /* (exp(r) - 1 - r)/r^2, |r| <= ln 2 / 2 */
    vdouble q = vd_fma(r, vd_set(0x1.ad7d9d4e67084p-26), vd_set(0x1.28ad6b0cc99bdp-22));
    q = vd_fma(q, r, vd_set(0x1.71df26528f6ffp-19));
    q = vd_fma(q, r, vd_set(0x1.a0199a149e20bp-16));
    q = vd_fma(q, r, vd_set(0x1.a01a0129f613ap-13));
    q = vd_fma(q, r, vd_set(0x1.6c16c18427184p-10));
    q = vd_fma(q, r, vd_set(0x1.1111111127cd3p-7));
    q = vd_fma(q, r, vd_set(0x1.555555555088ap-5));
    q = vd_fma(q, r, vd_set(0x1.55555555554fap-3));
    q = vd_fma(q, r, vd_set(0x1.000000000000ap-1));
    vdouble y = vd_fma(r * r, q, r) + 1.0;
    y = (vdouble)((vuint64)y + ((vuint64)rounded << 52)); /* unsigned: it may wrap where y is not used */

    /* y is right in the finite range and any bits elsewhere. */
    y = vd_select((vmask)(x <= VM_LOG_MAX_FINITE), y, x + __builtin_inf());
    return (vdouble)(~(vmask)(x < VM_LOG_MIN_NORMAL) & (vmask)y);
}
#endif

/* exp(x): +0 below log 2^-1022 = -708.396..., +inf above 709.782712893384, NaN for NaN. */
SURR_INLINE vdouble vd_exp(vdouble x)
{
    vdouble rounded = vd_fma(x, vd_set(VM_LOG2_E), vd_set(VM_ROUND));
    vdouble k = rounded - VM_ROUND;
    vdouble r = vd_fma(k, vd_set(-VM_LN2_HIGH), x);
    r = vd_fma(k, vd_set(-VM_LN2_LOW), r);
    return vm_exp_scaled(x, rounded, r);
}

/* ---- log ---- */

/* log x = e ln 2 - log c + log(1 + r),  x = 2^e m,  0.734375 <= m < 1.46875,  r = m c - 1.
 *
 * Sixteen intervals of m, the one around 1 with c = 1, so that the sum never cancels.  Each c is
 * the 26-bit number within 2^-9 of the reciprocal of the middle whose logarithm is closest to a
 * double: the table of logarithms is good to 2^-70. */
static const double vm_inverse_table[16] __attribute__((aligned(64))) = {
    /* c */
    0x1.5511398p+0, 0x1.474b378p+0, 0x1.3b9d0f0p+0, 0x1.2eeb238p+0, 0x1.251ada0p+0, 0x1.1a87668p+0,
    0x1.10b4568p+0, 0x1.08a5f88p+0, 0x1.0000000p+0, 0x1.e2d0378p-1, 0x1.c74b280p-1, 0x1.aeb12a8p-1,
    0x1.9929330p-1, 0x1.858cdd8p-1, 0x1.74ca4a0p-1, 0x1.64ad510p-1,
};

static const double vm_log_table[16] __attribute__((aligned(64))) = {
    /* -log c */
    -0x1.25c9b92df133fp-2, -0x1.f7278462534fep-3, -0x1.acbaf2dde9d74p-3,
    -0x1.58a687e65fbe9p-3, -0x1.1533ff4b7ebe2p-3, -0x1.93e13080a11e1p-4,
    -0x1.02e9b079481d6p-4, -0x1.102ca73f32c95p-5, 0x0.0p+0,
    0x1.e0d3452d9fd3fp-5,  0x1.e0cc247460b08p-4,  0x1.6229cb8fd7038p-3,
    0x1.cb31caa44e331p-3,  0x1.17e446d7cc19fp-2,  0x1.44ec9ca14d586p-2,
    0x1.722b796e753b2p-2,
};

typedef struct {
    vdouble e, minus_log_c; /* log x = e ln 2 + minus_log_c + log(1 + r) */
    vdouble r, r_low;       /* r + r_low = m c - 1 exactly */
} vm_log_parts;

SURR_INLINE vm_log_parts vm_log_split(vdouble x)
{
    vint64 offset = (vint64)((vuint64)x - UINT64_C(0x3fe7800000000000)); /* bits of 0.734375 */
    vint64 e = offset >> 52;
    vdouble m = (vdouble)((vuint64)x - (vuint64)(offset & ~INT64_C(0xfffffffffffff)));
    vint64 interval = (vint64)((vuint64)offset >> 48); /* mod 16 */
    vdouble c = vm_lookup(vm_inverse_table, interval);

    /* m c - 1 = a + b: products of 26 by 26 and 27 by 26 bits are exact, with or without FMA. */
    vdouble m_high = vm_truncate(m);
    vdouble a = m_high * c - 1.0;
    vdouble b = (m - m_high) * c;

    vm_log_parts parts;
    parts.e = vd_from_int(e);
    parts.minus_log_c = vm_lookup(vm_log_table, interval);
#ifdef SURR_HAS_FMA
    parts.r = vd_fma(m, c, vd_set(-1.0)); /* a + b, in one instruction */
#else
    parts.r = a + b;
#endif
    parts.r_low = (a - parts.r) + b;
    return parts;
}

/* (log(1 + r) - r + r^2/2)/r^3, -0.0276 <= r <= 0.0315 */
SURR_INLINE vdouble vm_log_cubic(vdouble r)
{
    vdouble q = vd_fma(r, vd_set(-0x1.93a37a598ad42p-4), vd_set(0x1.c7d27f6b56ea6p-4));
    q = vd_fma(q, r, vd_set(-0x1.0001432b84c49p-3));
    q = vd_fma(q, r, vd_set(0x1.249239bf808dfp-3));
    q = vd_fma(q, r, vd_set(-0x1.5555552cbe70ep-3));
    q = vd_fma(q, r, vd_set(0x1.9999999a9f15ep-3));
    q = vd_fma(q, r, vd_set(-0x1.0000000000c12p-2));
    return vd_fma(q, r, vd_set(0x1.555555555552cp-2));
}

/* y, the logarithm of a normal positive x, or what the others have. */
SURR_INLINE vdouble vm_log_special(vdouble x, vdouble y)
{
    const double inf = __builtin_inf();
    vdouble not_positive = vd_select((vmask)(x <= -VM_MIN_NORMAL), vd_set(__builtin_nan("")), vd_set(-inf));
    y = vd_select((vmask)(x <= VM_MAX_FINITE), y, x); /* inf and NaN are their own logarithm */
    return vd_select((vmask)(x < VM_MIN_NORMAL), not_positive, y);
}

/* log(x): -inf for 0 and all subnormal x of either sign, NaN below and for NaN, inf for inf. */
SURR_INLINE vdouble vd_log(vdouble x)
{
    vm_log_parts parts = vm_log_split(x);
    vdouble r = parts.r;
    vdouble high = vd_fma(parts.e, vd_set(VM_LN2_HIGH), parts.minus_log_c);
    vdouble low = vd_fma(vm_log_cubic(r), r, vd_set(-0.5));
    low = vd_fma(low, r * r, parts.e * VM_LN2_LOW);
    return vm_log_special(x, high + (r + low));
}

/* ---- pow ---- */

/* high + low = a + b, rounded to nearest, for |a| >= |b| or a = 0. */
SURR_INLINE vdouble vm_sum(vdouble a, vdouble b, vdouble *low)
{
    vdouble high = a + b;
    *low = (a - high) + b;
    return high;
}

/* log x to about 2^-66, as a sum of two doubles. */
SURR_INLINE vdouble vm_log_extended(vdouble x, vdouble *low)
{
    vm_log_parts parts = vm_log_split(x);
    vdouble r = parts.r;

    /* r - r^2/2 with r^2 = s^2 + (r - s)(r + s), s^2 exact */
    vdouble s = vm_truncate(r), low_r;
    vdouble high_r = vm_sum(r, -0.5 * (s * s), &low_r);
    low_r += vd_fma(vm_log_cubic(r), r * r * r, -0.5 * ((r - s) * (r + s)));
    low_r += parts.r_low - parts.r_low * r;

    vdouble low_c, low_sum;
    vdouble high = vm_sum(parts.e * VM_LN2_HIGH, parts.minus_log_c, &low_c);
    high = vm_sum(high, high_r, &low_sum);
    low_sum += low_c + vd_fma(parts.e, vd_set(VM_LN2_LOW), low_r);
    return vm_sum(high, low_sum, low);
}

/* x^p for x >= 0 and finite p, as exp(p log x).  x^0 = 1; 0 (and any subnormal x) gives 0 or inf;
 * NaN for negative x and if either argument is NaN. */
SURR_INLINE vdouble vd_pow(vdouble x, vdouble p)
{
    vdouble log_low;
    vdouble log_high = vm_log_special(x, vm_log_extended(x, &log_low));

    vdouble p_high = vm_truncate(p);
    vdouble l_high = vm_truncate(log_high);
    vdouble high = p_high * l_high; /* exact */
    vdouble low = p_high * ((log_high - l_high) + log_low) + (p - p_high) * log_high;

    /* Beyond +-1000 only the sign counts, and low may be inf - inf. */
    low = vd_select((vmask)(vd_abs(high) < 1000.0), low, vd_set(0.0));
    high = vm_sum(vd_max(vd_set(-1000.0), vd_min(vd_set(1000.0), high)), low, &low);

    vdouble rounded = vd_fma(high, vd_set(VM_LOG2_E), vd_set(VM_ROUND));
    vdouble k = rounded - VM_ROUND;
    vdouble r = vd_fma(k, vd_set(-VM_LN2_HIGH), high);
    r = vd_fma(k, vd_set(-VM_LN2_LOW), r) + low;
    vdouble y = vm_exp_scaled(high, rounded, r);
    return vd_select((vmask)(p == 0.0), vd_set(1.0), y);
}

#endif
