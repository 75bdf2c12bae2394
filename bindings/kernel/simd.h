/* Vectors of doubles: the one file that knows vector widths and instruction sets.
 *
 * A vdouble holds SURR_LANES doubles, one cell per lane.  Arithmetic (+ - * /) and comparisons are
 * the GNU vector operators; a comparison gives a vmask whose lanes are all ones or all zeros, and
 * masks combine with & | ^ ~.  What the operators cannot say is a vd_ (doubles) or vm_ (masks)
 * function below.  No lane ever looks at another one, except in vm_any, vm_all and vm_bits.
 *
 * Where gcc 12 turns the portable form into the best instructions, the portable form is all there
 * is: vd_select after a comparison is one compare and one vblendmpd with AVX-512.
 */
#ifndef SURR_SIMD_H
#define SURR_SIMD_H

#include <stdint.h>

#ifndef SURR_LANES
#if defined __AVX512F__
#define SURR_LANES 8
#elif defined __AVX2__
#define SURR_LANES 4
#else
#define SURR_LANES 2
#endif
#endif

#if SURR_LANES != 1 && SURR_LANES != 2 && SURR_LANES != 4 && SURR_LANES != 8
#error "SURR_LANES must be 1, 2, 4 or 8"
#endif

/* Which intrinsics serve this width; none is defined where portable code does. */
#if SURR_LANES == 8 && defined __AVX512F__ && defined __AVX512DQ__
#define SURR_AVX512 1
#elif SURR_LANES == 4 && defined __AVX2__
#define SURR_AVX2 1
#elif SURR_LANES == 2 && defined __SSE4_1__
#define SURR_SSE4 1
#elif SURR_LANES == 2 && defined __aarch64__
#define SURR_NEON 1
#endif
#if defined SURR_AVX512 || defined SURR_AVX2 || defined SURR_SSE4
#include <immintrin.h>
#elif defined SURR_NEON
#include <arm_neon.h>
#endif

/* A vector wider than the machine's registers is legal (the compiler splits it), and every function
 * here is inlined, so no such vector is ever passed by an ABI that could change. */
#pragma GCC diagnostic ignored "-Wpsabi"

typedef double vdouble __attribute__((vector_size(8 * SURR_LANES)));
typedef int64_t vint64 __attribute__((vector_size(8 * SURR_LANES)));
typedef uint64_t vuint64 __attribute__((vector_size(8 * SURR_LANES)));
typedef vint64 vmask; /* lanes 0 or -1 */

#define SURR_INLINE static inline __attribute__((always_inline, unused))

/* ---- making, loading, storing ---- */

SURR_INLINE vdouble vd_set(double a)
{
#if SURR_LANES == 1
    return (vdouble){a};
#elif SURR_LANES == 2
    return (vdouble){a, a};
#elif SURR_LANES == 4
    return (vdouble){a, a, a, a};
#else
    return (vdouble){a, a, a, a, a, a, a, a};
#endif
}

SURR_INLINE vdouble vd_loadu(const double *source)
{
    vdouble a;
    __builtin_memcpy(&a, source, sizeof a);
    return a;
}

SURR_INLINE void vd_storeu(double *target, vdouble a) { __builtin_memcpy(target, &a, sizeof a); }

/* base[index] per lane. */
SURR_INLINE vdouble vd_gather(const double *base, vint64 index)
{
#if defined SURR_AVX512
    return (vdouble)_mm512_i64gather_pd((__m512i)index, base, 8);
#elif defined SURR_AVX2
    return (vdouble)_mm256_i64gather_pd(base, (__m256i)index, 8);
#else
    vdouble a = {0};
    for (int i = 0; i < SURR_LANES; i++) a[i] = base[index[i]];
    return a;
#endif
}

/* ---- masks ---- */

/* m ? a : b per lane.  With ^ gcc 12 makes this one vblendmpd after a comparison and one vpternlogq
 * on a stored mask; with | it first rewrites the expression into two exclusive ors. */
SURR_INLINE vdouble vd_select(vmask m, vdouble a, vdouble b) { return (vdouble)((m & (vmask)a) ^ (~m & (vmask)b)); }

/* Bit i is lane i. */
SURR_INLINE unsigned vm_bits(vmask m)
{
#if defined SURR_AVX512
    return (unsigned)_mm512_movepi64_mask((__m512i)m);
#elif defined SURR_AVX2
    return (unsigned)_mm256_movemask_pd((__m256d)m);
#elif defined SURR_SSE4
    return (unsigned)_mm_movemask_pd((__m128d)m);
#else
    unsigned bits = 0;
    for (int i = 0; i < SURR_LANES; i++) bits |= (unsigned)(m[i] & 1) << i;
    return bits;
#endif
}

SURR_INLINE int vm_any(vmask m) { return vm_bits(m) != 0; }

SURR_INLINE int vm_all(vmask m) { return vm_bits(m) == (1u << SURR_LANES) - 1; }

/* ---- arithmetic ---- */

/* a < b ? a : b, like the x86 instruction: b if either is NaN, b if both are zero.
 * So vd_min(bound, x) passes a NaN in x on, and vd_min(x, bound) replaces it by the bound. */
SURR_INLINE vdouble vd_min(vdouble a, vdouble b)
{
#if defined SURR_AVX512
    return (vdouble)_mm512_min_pd((__m512d)a, (__m512d)b);
#elif defined SURR_AVX2
    return (vdouble)_mm256_min_pd((__m256d)a, (__m256d)b);
#elif defined SURR_SSE4
    return (vdouble)_mm_min_pd((__m128d)a, (__m128d)b);
#else
    return vd_select((vmask)(a < b), a, b);
#endif
}

/* a > b ? a : b; NaN and zeros as in vd_min. */
SURR_INLINE vdouble vd_max(vdouble a, vdouble b)
{
#if defined SURR_AVX512
    return (vdouble)_mm512_max_pd((__m512d)a, (__m512d)b);
#elif defined SURR_AVX2
    return (vdouble)_mm256_max_pd((__m256d)a, (__m256d)b);
#elif defined SURR_SSE4
    return (vdouble)_mm_max_pd((__m128d)a, (__m128d)b);
#else
    return vd_select((vmask)(a > b), a, b);
#endif
}

SURR_INLINE vdouble vd_abs(vdouble a) { return (vdouble)((vint64)a & INT64_MAX); }

/* Correctly rounded; NaN below zero. */
SURR_INLINE vdouble vd_sqrt(vdouble a)
{
#if defined SURR_AVX512
    return (vdouble)_mm512_sqrt_pd((__m512d)a);
#elif defined SURR_AVX2
    return (vdouble)_mm256_sqrt_pd((__m256d)a);
#elif defined SURR_SSE4
    return (vdouble)_mm_sqrt_pd((__m128d)a);
#elif defined SURR_NEON
    return (vdouble)vsqrtq_f64((float64x2_t)a);
#else
    for (int i = 0; i < SURR_LANES; i++) a[i] = __builtin_sqrt(a[i]); /* one instruction under -fno-math-errno */
    return a;
#endif
}

/* a b + c, rounded once where SURR_HAS_FMA, twice elsewhere. */
#if defined __FMA__ || defined __aarch64__
#define SURR_HAS_FMA 1
#endif
SURR_INLINE vdouble vd_fma(vdouble a, vdouble b, vdouble c)
{
#if defined SURR_AVX512
    return (vdouble)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined SURR_AVX2 && defined SURR_HAS_FMA
    return (vdouble)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined SURR_SSE4 && defined SURR_HAS_FMA
    return (vdouble)_mm_fmadd_pd((__m128d)a, (__m128d)b, (__m128d)c);
#elif defined SURR_NEON
    return (vdouble)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#elif defined SURR_HAS_FMA
    for (int i = 0; i < SURR_LANES; i++) c[i] = __builtin_fma(a[i], b[i], c[i]); /* one instruction */
    return c;
#else
    return a * b + c;
#endif
}

/* The integer as a double; |a| < 2^51. */
SURR_INLINE vdouble vd_from_int(vint64 a)
{
#if defined SURR_AVX512
    return (vdouble)_mm512_cvtepi64_pd((__m512i)a);
#else
    const vdouble anchor = vd_set(0x1.8p52); /* whose last bit is 1 */
    return (vdouble)(a + (vint64)anchor) - anchor;
#endif
}

/* Neither infinite nor NaN.  Tests bits, so that it survives a host built with -ffast-math. */
SURR_INLINE vmask vd_isfinite(vdouble a) { return (vmask)(((vint64)a & INT64_MAX) < INT64_C(0x7ff0000000000000)); }

#endif
