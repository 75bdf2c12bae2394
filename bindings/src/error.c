/* Versions, names of codes, and the text of a thread's last failure. */
#include "engine.h"

#include "surrogate_balance.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char last_error[1024];

#define NAMES(X)                                                          \
    X(SURR_CELL_NET, "net")                                               \
    X(SURR_CELL_OUTSIDE, "outside")                                       \
    X(SURR_CELL_ERROR, "error")                                           \
    X(SURR_CELL_AUDIT, "audit")                                           \
    X(SURR_CELL_SOLVER, "solver")                                         \
    X(SURR_CELL_MASKED, "masked")                                         \
    X(SURR_CELL_BAD_INPUT, "bad input")                                   \
    X(SURR_CELL_FAILED, "failed")                                         \
    X(SURR_CELL_QUEUED, "queued")                                         \
    X(SURR_CELL_STALLED, "stalled")                                       \
    X(SURR_E_ARG, "invalid argument")                                     \
    X(SURR_E_ABI, "header, library and model disagree")                   \
    X(SURR_E_IO, "no such model")                                         \
    X(SURR_E_FORMAT, "not a valid model library")                         \
    X(SURR_E_CHECKSUM, "self-test failed")                                \
    X(SURR_E_NOMEM, "out of memory")                                      \
    X(SURR_E_FIELD, "unknown, repeated or missing field")                 \
    X(SURR_E_UNITS, "no conversion between quantities")                   \
    X(SURR_E_STATE, "plan not committed, or changed after commit")        \
    X(SURR_E_CELLS, "some cell could not be advanced, none was modified") \
    X(SURR_E_MPI, "another rank failed or did not answer")                \
    X(SURR_E_BUSY, "work in use by another thread")                       \
    X(SURR_E_UNSUPPORTED, "not supported here")

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
#define CASE(CODE, NAME) \
    case CODE: return put_string(NAME, buf, len);
        NAMES(CASE)
    }
    return surr_fail(SURR_E_ARG, "%d is neither a cell status nor a return code", code);
}
