/* Versions, names of codes, and the text of a thread's last failure. */
#include "error.h"

#include "surrogate_balance.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char last_error[1024];

int32_t surr_fail(int32_t code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(last_error, sizeof last_error, format, args);
    va_end(args);
    return code;
}

int32_t surr_set_error(int32_t code, const char *text) { return surr_fail(code, "%s", text ? text : ""); }

static int32_t put_string(const char *text, char *buf, int32_t len)
{
    if (!buf || len < 1)
        return surr_fail(SURR_E_ARG, "the buffer for a string is NULL or of length %d: give 1 or more", len);
    snprintf(buf, (size_t)len, "%s", text);
    return SURR_OK;
}

int32_t surr_last_error(char *buf, int32_t len)
{
    if (!buf || len < 1) return SURR_E_ARG; /* and keep the message */
    return put_string(last_error, buf, len);
}

int32_t surr_version(char *buf, int32_t len) { return put_string(SURR_VERSION, buf, len); }

int32_t surr_abi_check(int32_t major, int32_t minor)
{
    if (major == SURR_ABI_MAJOR && minor >= 0 && minor <= SURR_ABI_MINOR) return SURR_OK;
    return surr_fail(SURR_E_ABI, "the host was compiled for ABI %d.%d, this libsurrogate has %d.%d: recompile the host",
                     major, minor, SURR_ABI_MAJOR, SURR_ABI_MINOR);
}

int32_t surr_status_name(int32_t code, char *buf, int32_t len)
{
    switch (code) {
#define SURR_CELL_STATUS(NAME, VALUE, WORDS) \
    case VALUE: return put_string(WORDS, buf, len);
#include "surrogate_codes.def"
    default: break;
    }
    switch (code < 0 ? code : 1) { /* codes of 0 and above are status bytes here */
#define SURR_RETURN_CODE(NAME, VALUE, WORDS) \
    case (VALUE) < 0 ? (VALUE): 2 + (VALUE) : return put_string(WORDS, buf, len);
#include "surrogate_codes.def"
    default: break;
    }
    return surr_fail(SURR_E_ARG, "%d is neither a cell status nor a return code", code);
}
