/* exp, log and the activations of a neural net for a vfloat: no branch, no call, small code.
 * A lane's result depends on that lane alone, bit for bit; other widths may round differently.
 *
 *                largest error   cycles per vector of 16, 8, 4
 *   vf_exp         1.05 ulp           7     8    10        +0 where the result would be subnormal
 *   vf_log         0.97 ulp          14    12    15        -inf at 0, NaN below
 *   vf_sigmoid     3.93 ulp          11     8    12        as vf_exp
 *   vf_silu        4.53 ulp           9     7    11        7.7 ulp below -16
 *   vf_tanh        2.61 ulp          15     9    13
 *
 * Errors: against libm's doubles at every third float, for each width; bars and special values are
 * in tests/test_dense.py.  Cycles: as in vecmath.h, whose rules hold: round-to-nearest, masked
 * exceptions; subnormal arguments of log count as zero and no result of exp, log or sigmoid is
 * subnormal.  Polynomials are minimax as there, coefficients rounded to float.
 */
#ifndef SURR_VECMATHF_H
#define SURR_VECMATHF_H

#include "simdf.h"

#ifdef __FAST_MATH__
#error "vecmathf.h rounds by adding a large constant: build it without -ffast-math"
#endif

#define VMF_LOG2_E 0x1.715476p+0f
#ifdef SURR_HAS_FMA
#define VMF_LN2_HIGH 0x1.62e430p-1f
#define VMF_LN2_LOW  (-0x1.05c610p-29f)
#else
#define VMF_LN2_HIGH 0x1.62e400p-1f /* 15 bits: its product with an exponent is exact */
#define VMF_LN2_LOW  0x1.7f7d1cp-20f
#endif
#define VMF_MIN_NORMAL     0x1p-126f
#define VMF_MAX_FINITE     0x1.fffffep+127f
#define VMF_LOG_MIN_NORMAL (-0x1.5d589ep+6f) /* first float whose exp is normal */
#define VMF_LOG_MAX_FINITE 0x1.62e42ep+6f    /* last float whose exp is finite */

/* ---- exp ---- */

/* x = sign k ln 2 + r with k a multiple of the last bit of the large number `anchor`. */
typedef struct {
    vfloat anchored, k, r; /* anchored = k + anchor */
} vmf_reduced;

/* With an FMA r is good to 2^-28 |x| unless `is_exact`, which costs one more instruction. */
SURR_INLINE vmf_reduced vmf_reduce(vfloat x, float sign, float anchor, int is_exact)
{
    vmf_reduced a;
    a.anchored = vf_fma(x, vf_set(sign * VMF_LOG2_E), vf_set(anchor));
    a.k = a.anchored - anchor;
    a.r = vf_fma(a.k, vf_set(-sign * VMF_LN2_HIGH), x);
#ifdef SURR_HAS_FMA
    if (!is_exact) return a;
#endif
    (void)is_exact;
    a.r = vf_fma(a.k, vf_set(-sign * VMF_LN2_LOW), a.r);
    return a;
}

/* The anchor for whole k: bits << 23 is the float 2^k for -127 < k < 128. */
#define VMF_ANCHOR (0x1.8p23f + 127.0f)

SURR_INLINE vfloat vmf_power(vfloat anchored) { return (vfloat)((vint32)anchored << 23); }

/* exp(r) - 1 to its own accuracy, |r| <= ln 2 / 2 */
SURR_INLINE vfloat vmf_expm1(vfloat r)
{
    vfloat q = vf_fma(r, vf_set(0x1.6bebf6p-10f), vf_set(0x1.1227b0p-7f));
    q = vf_fma(q, r, vf_set(0x1.555674p-5f));
    q = vf_fma(q, r, vf_set(0x1.5554b0p-3f));
    q = vf_fma(q, r, vf_set(0x1.fffffep-2f));
    return vf_fma(r * r, q, r);
}

#if defined SURR_AVX512
/* With AVX-512 k counts parts of 32: its fraction selects from a table that fills two registers,
 * |r| <= ln 2 / 64, and scalef multiplies by 2^floor(k). */
#define VMF_ANCHOR_32 0x1.8p18f

static const float vmf_exp2_table[32] __attribute__((aligned(64))) = {
    /* 2^(j/32) */
    0x1.000000p+0f, 0x1.059b0ep+0f, 0x1.0b5586p+0f, 0x1.11301ep+0f, 0x1.172b84p+0f, 0x1.1d4874p+0f, 0x1.2387a6p+0f,
    0x1.29e9e0p+0f, 0x1.306fe0p+0f, 0x1.371a74p+0f, 0x1.3dea64p+0f, 0x1.44e086p+0f, 0x1.4bfdaep+0f, 0x1.5342b6p+0f,
    0x1.5ab07ep+0f, 0x1.6247ecp+0f, 0x1.6a09e6p+0f, 0x1.71f75ep+0f, 0x1.7a1148p+0f, 0x1.82589ap+0f, 0x1.8ace54p+0f,
    0x1.93737cp+0f, 0x1.9c4918p+0f, 0x1.a5503cp+0f, 0x1.ae89fap+0f, 0x1.b7f770p+0f, 0x1.c199bep+0f, 0x1.cb720ep+0f,
    0x1.d5818ep+0f, 0x1.dfc974p+0f, 0x1.ea4afap+0f, 0x1.f50766p+0f,
};

SURR_INLINE vfloat vmf_lookup(vfloat anchored)
{
    return (vfloat)_mm512_permutex2var_ps(_mm512_load_ps(vmf_exp2_table), (__m512i)anchored,
                                          _mm512_load_ps(vmf_exp2_table + 16));
}
#endif

/* exp(x): +0 below log 2^-126 = -87.336..., +inf above 88.72283, NaN for NaN. */
SURR_INLINE vfloat vf_exp(vfloat x)
{
#if defined SURR_AVX512
    x = vf_min(vf_set(89.0f), x); /* or r is noise, of any sign */
    vmf_reduced a = vmf_reduce(x, 1.0f, VMF_ANCHOR_32, 1);
    /* (exp(r) - 1)/r, |r| <= ln 2 / 64 */
    vfloat q = vf_fma(a.r, vf_set(0x1.55548ep-3f), vf_set(0x1.000088p-1f));
    q = vf_fma(q, a.r, vf_set(1.0f));
    vfloat power = vmf_lookup(a.anchored);
    vfloat y = vf_fma(power * a.r, q, power);

    /* The mask clears what would be subnormal and keeps NaN. */
    vfloat limit = vf_set(VMF_LOG_MIN_NORMAL);
    __mmask16 keep = _mm512_cmp_ps_mask((__m512)x, (__m512)limit, _CMP_NLT_UQ);
    return (vfloat)_mm512_maskz_scalef_ps(keep, (__m512)y, (__m512)a.k);
#else
    vmf_reduced a = vmf_reduce(x, 1.0f, 0x1.8p23f, 1);
    vfloat y = vmf_expm1(a.r) + 1.0f;
    y = (vfloat)((vint32)y + ((vint32)a.anchored << 23));

    /* y is right in the finite range and any bits elsewhere. */
    y = vf_select((vfmask)(x <= VMF_LOG_MAX_FINITE), y, x + __builtin_inff());
    return (vfloat)(~(vfmask)(x < VMF_LOG_MIN_NORMAL) & (vfmask)y);
#endif
}

/* ---- log ---- */

/* log(x): -inf for 0 and all subnormal x of either sign, NaN below and for NaN, inf for inf.
 * log x = e ln 2 + log(1 + r),  x = 2^e (1 + r),  2/3 <= 1 + r < 4/3. */
SURR_INLINE vfloat vf_log(vfloat x)
{
    vint32 offset = (vint32)x - INT32_C(0x3f2aaaab); /* bits of 2/3 */
    vfloat r = (vfloat)((vint32)x - (offset & ~INT32_C(0x7fffff))) - 1.0f;
    vfloat e = vf_from_int(offset >> 23);

    /* (log(1 + r) - r + r^2/2)/r^3, |r| <= 1/3 */
    vfloat q = vf_fma(r, vf_set(-0x1.080496p-3f), vf_set(0x1.1e67f0p-3f));
    q = vf_fma(q, r, vf_set(-0x1.f31198p-4f));
    q = vf_fma(q, r, vf_set(0x1.1ed6dep-3f));
    q = vf_fma(q, r, vf_set(-0x1.559dc8p-3f));
    q = vf_fma(q, r, vf_set(0x1.99d02cp-3f));
    q = vf_fma(q, r, vf_set(-0x1.fffef0p-3f));
    q = vf_fma(q, r, vf_set(0x1.555506p-2f));
    q = vf_fma(q, r, vf_set(-0.5f));
    q = vf_fma(q, r * r, e * VMF_LN2_LOW);
    vfloat y = vf_fma(e, vf_set(VMF_LN2_HIGH), r + q);

    const float inf = __builtin_inff();
    vfloat not_positive = vf_select((vfmask)(x <= -VMF_MIN_NORMAL), vf_set(__builtin_nanf("")), vf_set(-inf));
    y = vf_select((vfmask)(x <= VMF_MAX_FINITE), y, x); /* inf and NaN are their own logarithm */
    return vf_select((vfmask)(x < VMF_MIN_NORMAL), not_positive, y);
}

/* ---- activations ---- */

/* 1 + exp(-x) for |x| < 87.34, NaN for NaN. */
SURR_INLINE vfloat vmf_one_plus_exp_minus(vfloat x, int is_exact)
{
#if defined SURR_AVX512
    vmf_reduced a = vmf_reduce(x, -1.0f, VMF_ANCHOR_32, is_exact);
    /* exp(-r), |r| <= ln 2 / 64, one degree less than in vf_exp: good to 2^-24 */
    vfloat q = vf_fma(a.r, vf_set(0x1.fffffep-2f), vf_set(-0x1.0000f6p+0f));
    q = vf_fma(q, a.r, vf_set(1.0f));
    vfloat power = vmf_lookup(a.anchored);
    return vf_fma((vfloat)_mm512_scalef_ps((__m512)power, (__m512)a.k), q, vf_set(1.0f));
#else
    vmf_reduced a = vmf_reduce(x, -1.0f, VMF_ANCHOR, is_exact);
    /* exp(-r), |r| <= ln 2 / 2, one degree less than in vf_exp: good to 2^-23 */
    vfloat q = vf_fma(a.r, vf_set(-0x1.106254p-7f), vf_set(0x1.572a66p-5f));
    q = vf_fma(q, a.r, vf_set(-0x1.5557b0p-3f));
    q = vf_fma(q, a.r, vf_set(0x1.fffdfcp-2f));
    q = vf_fma(q, a.r, vf_set(-1.0f));
    q = vf_fma(q, a.r, vf_set(1.0f));
    return vf_fma(q, vmf_power(a.anchored), vf_set(1.0f));
#endif
}

SURR_INLINE vfloat vmf_clamp(vfloat x)
{
    return vf_min(vf_set(-VMF_LOG_MIN_NORMAL), vf_max(vf_set(VMF_LOG_MIN_NORMAL), x));
}

/* 1/(1 + exp(-x)): +0 below -87.336..., 1 above 17, NaN for NaN. */
SURR_INLINE vfloat vf_sigmoid(vfloat x)
{
    vfloat y = 1.0f / vmf_one_plus_exp_minus(vmf_clamp(x), 1);
    return (vfloat)(~(vfmask)(x < VMF_LOG_MIN_NORMAL) & (vfmask)y);
}

/* 1/(1 + exp(-slope x)), the adaptive sigmoid. */
SURR_INLINE vfloat vf_adaptive_sigmoid(vfloat x, float slope) { return vf_sigmoid(x * slope); }

/* x/(1 + exp(-x)); x 2^-126 below -87.336..., NaN for NaN. */
SURR_INLINE vfloat vf_silu(vfloat x)
{
#if defined SURR_AVX512
    /* The smaller magnitude, with the sign of x, in one instruction; a NaN comes back with x below.
     * Dividing takes longer than all the rest, estimate and Newton step do not, and a sum with the
     * result is one more FMA. */
    vfloat clamped = (vfloat)_mm512_range_ps((__m512)x, (__m512)vf_set(VMF_LOG_MIN_NORMAL), 2);
    vfloat d = vmf_one_plus_exp_minus(clamped, 0);
    vfloat y = (vfloat)_mm512_rcp14_ps((__m512)d);
    return (x * y) * vf_fma(-d, y, vf_set(2.0f));
#else
    return x / vmf_one_plus_exp_minus(vmf_clamp(x), 0);
#endif
}

/* tanh(x) = t/(t + 2), t = exp(2 x) - 1; odd in every bit, +-1 beyond 9.1, NaN for NaN. */
SURR_INLINE vfloat vf_tanh(vfloat x)
{
    vfloat u = vf_min(vf_set(10.0f), vf_abs(x));
    vmf_reduced a = vmf_reduce(u + u, 1.0f, VMF_ANCHOR, 1);
    vfloat power = vmf_power(a.anchored);
    vfloat t = vf_fma(vmf_expm1(a.r), power, power - 1.0f);
    return (vfloat)((vint32)(t / (t + 2.0f)) | ((vint32)x & INT32_MIN));
}

#endif
