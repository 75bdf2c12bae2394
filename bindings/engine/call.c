/* The arguments of a call: both forms of them, and whether they can be used. */
#include "call.h"
#include "bits.h"
#include "error.h"

call call_of_fields(const surr_plan *p, int64_t n_cell, double dt, void *const *base, const int64_t *stride,
                    int32_t dtype, const void *index, uint8_t *status, int64_t *stat)
{
    return (call){.plan = p,
                  .n_cell = n_cell,
                  .dt = dt,
                  .base = base,
                  .stride = stride,
                  .dtype = dtype,
                  .index = index,
                  .status = status,
                  .stat = stat};
}

call call_of_block(const surr_plan *p, int64_t n_cell, double dt, double *q, int64_t cell_stride, int64_t slot_stride,
                   const void *index, uint8_t *status, int64_t *stat)
{
    return (call){.plan = p,
                  .n_cell = n_cell,
                  .dt = dt,
                  .block = (char *)q,
                  .cell_stride = cell_stride,
                  .slot_stride = slot_stride,
                  .dtype = SURR_F64,
                  .index = index,
                  .status = status,
                  .stat = stat};
}

static int32_t check_slots(const call *c)
{
    const surr_plan *p = c->plan;
    for (int32_t s = 0; s < p->n_slot; s++) {
        if (c->base && !c->base[s]) return surr_fail(SURR_E_ARG, "the base pointer of slot %d is NULL", s);
        if (slot_stride(c, s) == 0 && !(p->slots[s].flags & SURR_F_INPUT) && c->n_cell > 1)
            return surr_fail(SURR_E_ARG, "slot %d is written, its stride of 0 would put %lld cells into one place", s,
                             (long long)c->n_cell);
    }
    return SURR_OK;
}

static int32_t check_index(const call *c)
{
    const surr_plan *p = c->plan;
    for (int64_t i = 0; c->index && i < c->n_cell; i++) {
        int64_t at = p->index_bytes == 8 ? ((const int64_t *)c->index)[i] : ((const int32_t *)c->index)[i];
        if (at < p->index_base)
            return surr_fail(SURR_E_ARG,
                             "index[%lld] is %lld: cells are counted from %lld (index_base), in integers of %lld bytes "
                             "(index_bytes)",
                             (long long)i, (long long)at, (long long)p->index_base, (long long)p->index_bytes);
    }
    return SURR_OK;
}

int32_t check_call(const call *c, const surr_plan *plan)
{
    if (!c->plan) return surr_fail(SURR_E_ARG, "plan is NULL: create one first");
    if (!c->plan->committed) return surr_fail(SURR_E_STATE, "the plan is not committed: call surr_plan_commit first");
    if (!plan) return surr_fail(SURR_E_ARG, "work is NULL: create one first, one per thread");
    if (plan != c->plan) return surr_fail(SURR_E_ARG, "this work was made from another plan");
    if (c->n_cell < 0) return surr_fail(SURR_E_ARG, "n_cell is %lld: give 0 or more", (long long)c->n_cell);
    if (c->dtype != SURR_F64 && c->dtype != SURR_F32)
        return surr_fail(SURR_E_ARG, "dtype is %d: give SURR_F64 or SURR_F32", c->dtype);
    if (c->n_cell > 0 && !(c->base ? (const void *)c->stride : (const void *)c->block))
        return surr_fail(SURR_E_ARG, "the pointers to the host's fields, or their strides, are NULL");
    if (c->plan->dt_slot < 0 && !is_positive(c->dt))
        return surr_fail(SURR_E_ARG, "dt is %g: give a positive finite time step, or bind a SURR_Q_DT field", c->dt);
    int32_t code = c->n_cell > 0 ? check_slots(c) : SURR_OK;
    return code == SURR_OK ? check_index(c) : code;
}
