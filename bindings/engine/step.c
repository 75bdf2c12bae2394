/* The step: every cell of the call advances before it returns. */
#include "block.h"
#include "clock.h"
#include "error.h"
#include "work.h"

#include <string.h>

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
    int32_t code = check_call(c, w ? w->plan : NULL);
    if (code == SURR_OK) code = work_enter(w);
    if (code != SURR_OK) return code;
    c->dt *= c->plan->time;
    code = advance(c, w);
    work_leave(w);
    return code;
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
