/* What cffi reads: the C headers, which the preprocessor strips of their directives, and the functions in Python that
 * the engine calls: a transport as in surrogate_balance.h, and the keeper of a harvest. */
#include "surrogate.h"
#include "surrogate_balance.h"
extern "Python" int32_t surr_py_gather(void *context, double own, double *all);
extern "Python" int32_t surr_py_send(void *context, int32_t request, int32_t rank, const double *x, int64_t n);
extern "Python" int32_t surr_py_receive(void *context, int32_t request, int32_t rank, double *x, int64_t n);
extern "Python" int32_t surr_py_wait(void *context, int32_t first, int32_t n, int32_t *request, int64_t *count);
extern "Python" void surr_py_progress(void *context);
extern "Python" void surr_py_keep(void *context, int64_t n, const double *state, const double *dt,
                                  const double *params);
