/* The floating-point environment inside the engine: default rounding, no traps, and on x86 subnormal numbers as zero
 * (they would cost a hundred cycles each). What the host had comes back bit for bit, sticky flags included. */
#ifndef SURR_FPENV_H
#define SURR_FPENV_H
#if defined(__x86_64__)
#include <immintrin.h>
typedef unsigned int fp_state;
static inline fp_state fp_enter(void)
{
    fp_state host = _mm_getcsr(); /* all of it: x86-64 code does not compute on the x87 stack */
    _mm_setcsr(0x1f80u | _MM_FLUSH_ZERO_ON | 0x0040u /* denormals are zero */);
    return host;
}
static inline void fp_leave(fp_state host) { _mm_setcsr(host); }
#else
#include <fenv.h>
typedef fenv_t fp_state;
static inline fp_state fp_enter(void)
{
    fp_state host;
    fegetenv(&host);
    fesetenv(FE_DFL_ENV);
    return host;
}
static inline void fp_leave(fp_state host) { fesetenv(&host); }
#endif
#endif
