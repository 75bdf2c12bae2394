/* Vectors of floats: simd.h for single precision, with only what the neural net needs.
 *
 * A vfloat holds SURR_FLANES floats, one cell per lane, and is as wide as a vdouble: the cells of
 * one vfloat are those of two vdoubles.  Conventions are those of simd.h; a comparison gives a
 * vfmask.
 */
#ifndef SURR_SIMDF_H
#define SURR_SIMDF_H

#include "simd.h"

#define SURR_FLANES (2 * SURR_LANES)

typedef float vfloat __attribute__((vector_size(4 * SURR_FLANES)));
typedef int32_t vint32 __attribute__((vector_size(4 * SURR_FLANES)));
typedef uint32_t vuint32 __attribute__((vector_size(4 * SURR_FLANES)));
typedef vint32 vfmask; /* lanes 0 or -1 */

/* ---- making, loading, storing ---- */

SURR_INLINE vfloat vf_set(float a)
{
#if SURR_FLANES == 2
    return (vfloat){a, a};
#elif SURR_FLANES == 4
    return (vfloat){a, a, a, a};
#elif SURR_FLANES == 8
    return (vfloat){a, a, a, a, a, a, a, a};
#else
    return (vfloat){a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a};
#endif
}

SURR_INLINE vfloat vf_loadu(const float *source)
{
    vfloat a;
    __builtin_memcpy(&a, source, sizeof a);
    return a;
}

SURR_INLINE void vf_storeu(float *target, vfloat a) { __builtin_memcpy(target, &a, sizeof a); }

/* ---- two vdoubles and back ---- */

/* Rounded to nearest: cells 0, 1, ... are the lanes of low, then those of high. */
SURR_INLINE vfloat vf_from_doubles(vdouble low, vdouble high)
{
#if defined SURR_AVX512
    __m256 first = _mm512_cvtpd_ps((__m512d)low), second = _mm512_cvtpd_ps((__m512d)high);
    return (vfloat)_mm512_insertf32x8(_mm512_castps256_ps512(first), second, 1);
#elif defined SURR_AVX2
    return (vfloat)_mm256_set_m128(_mm256_cvtpd_ps((__m256d)high), _mm256_cvtpd_ps((__m256d)low));
#elif defined SURR_SSE4
    return (vfloat)_mm_movelh_ps(_mm_cvtpd_ps((__m128d)low), _mm_cvtpd_ps((__m128d)high));
#else
    vfloat a = {0};
    for (int i = 0; i < SURR_LANES; i++) {
        a[i] = (float)low[i];
        a[SURR_LANES + i] = (float)high[i];
    }
    return a;
#endif
}

SURR_INLINE void vf_to_doubles(vfloat a, vdouble *low, vdouble *high)
{
#if defined SURR_AVX512
    *low = (vdouble)_mm512_cvtps_pd(_mm512_castps512_ps256((__m512)a));
    *high = (vdouble)_mm512_cvtps_pd(_mm512_extractf32x8_ps((__m512)a, 1));
#elif defined SURR_AVX2
    *low = (vdouble)_mm256_cvtps_pd(_mm256_castps256_ps128((__m256)a));
    *high = (vdouble)_mm256_cvtps_pd(_mm256_extractf128_ps((__m256)a, 1));
#elif defined SURR_SSE4
    *low = (vdouble)_mm_cvtps_pd((__m128)a);
    *high = (vdouble)_mm_cvtps_pd(_mm_movehl_ps((__m128)a, (__m128)a));
#else
    for (int i = 0; i < SURR_LANES; i++) {
        (*low)[i] = (double)a[i];
        (*high)[i] = (double)a[SURR_LANES + i];
    }
#endif
}

/* ---- arithmetic ---- */

/* m ? a : b per lane; as vd_select. */
SURR_INLINE vfloat vf_select(vfmask m, vfloat a, vfloat b) { return (vfloat)((m & (vfmask)a) ^ (~m & (vfmask)b)); }

/* a < b ? a : b; NaN and zeros as in vd_min. */
SURR_INLINE vfloat vf_min(vfloat a, vfloat b)
{
#if defined SURR_AVX512
    return (vfloat)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined SURR_AVX2
    return (vfloat)_mm256_min_ps((__m256)a, (__m256)b);
#elif defined SURR_SSE4
    return (vfloat)_mm_min_ps((__m128)a, (__m128)b);
#else
    return vf_select((vfmask)(a < b), a, b);
#endif
}

/* a > b ? a : b; NaN and zeros as in vd_min. */
SURR_INLINE vfloat vf_max(vfloat a, vfloat b)
{
#if defined SURR_AVX512
    return (vfloat)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined SURR_AVX2
    return (vfloat)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined SURR_SSE4
    return (vfloat)_mm_max_ps((__m128)a, (__m128)b);
#else
    return vf_select((vfmask)(a > b), a, b);
#endif
}

SURR_INLINE vfloat vf_abs(vfloat a) { return (vfloat)((vint32)a & INT32_MAX); }

/* Correctly rounded; NaN below zero. */
SURR_INLINE vfloat vf_sqrt(vfloat a)
{
#if defined SURR_AVX512
    return (vfloat)_mm512_sqrt_ps((__m512)a);
#elif defined SURR_AVX2
    return (vfloat)_mm256_sqrt_ps((__m256)a);
#elif defined SURR_SSE4
    return (vfloat)_mm_sqrt_ps((__m128)a);
#elif defined SURR_NEON
    return (vfloat)vsqrtq_f32((float32x4_t)a);
#else
    for (int i = 0; i < SURR_FLANES; i++) a[i] = __builtin_sqrtf(a[i]); /* one instruction under -fno-math-errno */
    return a;
#endif
}

/* a b + c, rounded once where SURR_HAS_FMA, twice elsewhere. */
SURR_INLINE vfloat vf_fma(vfloat a, vfloat b, vfloat c)
{
#if defined SURR_AVX512
    return (vfloat)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined SURR_AVX2 && defined SURR_HAS_FMA
    return (vfloat)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined SURR_SSE4 && defined SURR_HAS_FMA
    return (vfloat)_mm_fmadd_ps((__m128)a, (__m128)b, (__m128)c);
#elif defined SURR_NEON
    return (vfloat)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#elif defined SURR_HAS_FMA
    for (int i = 0; i < SURR_FLANES; i++) c[i] = __builtin_fmaf(a[i], b[i], c[i]); /* one instruction */
    return c;
#else
    return a * b + c;
#endif
}

/* The integer as a float, |a| < 2^22. */
SURR_INLINE vfloat vf_from_int(vint32 a)
{
    const vfloat anchor = vf_set(0x1.8p23f); /* whose last bit is 1 */
    return (vfloat)(a + (vint32)anchor) - anchor;
}

/* Neither infinite nor NaN.  Tests bits, so that it survives a host built with -ffast-math. */
SURR_INLINE vfmask vf_isfinite(vfloat a) { return (vfmask)(((vint32)a & INT32_MAX) < INT32_C(0x7f800000)); }

#endif
