/* Which cells are drawn where a share of them is wanted: by their own bits, and so the same ones in any batch, on any
 * thread and on any rank. */
#ifndef SURR_DRAW_H
#define SURR_DRAW_H
#include "bits.h"

/* What cells are drawn for: one purpose draws others than the next. */
enum { DRAW_AUDIT = 0, DRAW_HARVEST = 1 };

/* h after one number more: a round of splitmix64 (Steele et al. 2014) each. */
static inline uint64_t stirred(uint64_t h, uint64_t x)
{
    h += x + 0x9e3779b97f4a7c15u;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
    h = (h ^ (h >> 27)) * 0x94d049bb133111ebu;
    return h ^ (h >> 31);
}

/* Number in 0..1 of a hash. */
static inline double unit_of_hash(uint64_t h) { return (double)(h >> 11) * 0x1p-53; }

static inline int is_drawn(int purpose, double share, int32_t n_state, const double *y, double dt)
{
    if (share <= 0.0) return 0;
    uint64_t h = bits_of(dt);
    for (int32_t k = 0; k < n_state; k++) h = stirred(h, bits_of(y[k]));
    if (purpose) h = stirred(h, (uint64_t)purpose);
    return unit_of_hash(h) < share;
}

#endif
