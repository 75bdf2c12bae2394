/* The step: every cell of the call advances before it returns. */
#include "engine.h"

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

int32_t check_call(const call *c, const surr_work *w)
{
    if (!c->plan) return surr_fail(SURR_E_ARG, "plan is NULL: create one first");
    if (!c->plan->committed) return surr_fail(SURR_E_STATE, "the plan is not committed: call surr_plan_commit first");
    if (!w) return surr_fail(SURR_E_ARG, "work is NULL: create one first, one per thread");
    if (w->plan != c->plan) return surr_fail(SURR_E_ARG, "this work was made from another plan");
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

static void advance_block(void *context, scratch *s, int64_t first, int32_t n)
{
    const call *c = context;
    double t0 = seconds_now();
    block_gather(c, s, first, n);
    s->seconds[SURR_PHASE_GATHER] += seconds_now() - t0;
    block_advance(c->plan, s);
    double t1 = seconds_now();
    block_finish(c, s);
    if (!c->plan->on_failure) block_scatter(c, s);
    s->seconds[SURR_PHASE_SCATTER] += seconds_now() - t1;
}

static int32_t advance(call *c, surr_work *w)
{
    const int all_or_nothing = c->plan->on_failure; /* then every result is held back until all are there */
    int32_t code = work_run(w, c->n_cell, all_or_nothing, advance_block, c);
    if (code != SURR_OK) return code;
    if (c->stat) memcpy(c->stat, w->stat, sizeof w->stat);
    if (all_or_nothing && w->n_flagged)
        return surr_fail(SURR_E_CELLS,
                         "%lld of %lld cells could not be advanced, so none was modified: see the status bytes 33 and "
                         "34, or set \"on_failure\" to \"flag\"",
                         (long long)w->n_flagged, (long long)c->n_cell);
    for (int64_t b = 0, done = 0; all_or_nothing && done < c->n_cell; done += w->scratch[b++]->n)
        block_scatter(c, w->scratch[b]);
    return w->n_flagged ? SURR_FLAGGED : SURR_OK;
}

static int32_t step(call *c, surr_work *w)
{
    int32_t code = check_call(c, w);
    if (code == SURR_OK) code = work_enter(w);
    if (code != SURR_OK) return code;
    c->dt *= c->plan->time;
    code = advance(c, w);
    work_leave(w);
    return code;
}

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

int32_t surr_step(const surr_plan *p, surr_work *w, int64_t n_cell, double dt, void *const *base, const int64_t *stride,
                  int32_t dtype, const void *index, uint8_t *status, int64_t *stat)
{
    if (!base) return surr_fail(SURR_E_ARG, "base is NULL: give an array with one pointer per slot");
    call c = call_of_fields(p, n_cell, dt, base, stride, dtype, index, status, stat);
    return step(&c, w);
}

int32_t surr_step_block(const surr_plan *p, surr_work *w, int64_t n_cell, double dt, double *q, int64_t cell_stride,
                        int64_t slot_stride, const void *index, uint8_t *status, int64_t *stat)
{
    call c = call_of_block(p, n_cell, dt, q, cell_stride, slot_stride, index, status, stat);
    return step(&c, w);
}

int32_t surr_step_cell(const surr_plan *p, surr_work *w, double dt, double *q, int32_t *status)
{
    uint8_t byte = 0;
    int32_t code = surr_step_block(p, w, 1, dt, q, 1, 1, NULL, &byte, NULL);
    if (status && (code >= 0 || code == SURR_E_CELLS)) *status = byte;
    return code;
}
