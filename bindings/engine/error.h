/* The text of a thread's last failure. */
#ifndef SURR_ERROR_H
#define SURR_ERROR_H
#include "surrogate.h"

/* Keeps the text (value, bound, advice) for surr_last_error; returns the code. */
__attribute__((format(printf, 2, 3))) int32_t surr_fail(int32_t code, const char *format, ...);

#endif
