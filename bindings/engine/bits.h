/* Questions to the bits of a number: they raise no floating-point exception and survive -ffast-math. */
#ifndef SURR_BITS_H
#define SURR_BITS_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t bits_of(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}
static inline int is_finite(double x) { return (bits_of(x) & 0x7ff0000000000000u) != 0x7ff0000000000000u; }
static inline int is_positive(double x) /* normal, finite, above zero */
{
    return bits_of(x) - 0x0010000000000000u < 0x7ff0000000000000u - 0x0010000000000000u;
}

/* FNV-1a (Fowler, Noll & Vo): goes on from h, which begins as HASH_START. */
#define HASH_START 0xcbf29ce484222325u
static inline uint64_t hash_bytes(uint64_t h, const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) h = (h ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3u;
    return h;
}

#endif
