/* The arguments of one surr_step* or surr_queue* call. */
#ifndef SURR_CALL_H
#define SURR_CALL_H
#include "plan.h"

typedef struct call {
    const surr_plan *plan;
    int64_t n_cell;
    double dt;         /* [s] */
    void *const *base; /* general form ... */
    const int64_t *stride;
    char *block; /* ... or, where base is NULL, the block form */
    int64_t cell_stride, slot_stride;
    int32_t dtype;
    const void *index;
    uint8_t *status;
    int64_t *stat;
} call;

call call_of_fields(const surr_plan *p, int64_t n_cell, double dt, void *const *base, const int64_t *stride,
                    int32_t dtype, const void *index, uint8_t *status, int64_t *stat);
call call_of_block(const surr_plan *p, int64_t n_cell, double dt, double *q, int64_t cell_stride, int64_t slot_stride,
                   const void *index, uint8_t *status, int64_t *stat);
/* Whether the call can be made with a work of `plan` (NULL: there is no work); dt still in code units. */
int32_t check_call(const call *c, const surr_plan *plan);

static inline void *slot_base(const call *c, int32_t s)
{
    return c->base ? c->base[s] : c->block + (int64_t)sizeof(double) * s * c->slot_stride;
}
static inline int64_t slot_stride(const call *c, int32_t s) { return c->base ? c->stride[s] : c->cell_stride; }

#endif
