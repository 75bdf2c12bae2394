/* Strings of hosts in Fortran come with a length and without NUL. */
#ifndef SURR_TEXT_H
#define SURR_TEXT_H
#include <stdint.h>
#include <string.h>

/* Copies a string that may come without NUL (len < 0: it has one); 0 if it does not fit or is NULL. */
static inline int copy_string(char *out, int32_t room, const char *text, int32_t len)
{
    if (!text) return 0;
    size_t n = len < 0 ? strlen(text) : (size_t)len;
    if (n >= (size_t)room) return 0;
    memcpy(out, text, n);
    out[n] = '\0';
    return 1;
}

#endif
