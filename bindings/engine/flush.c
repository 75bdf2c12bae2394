/* Calls whose cells wait for the solver, and the flush that advances them. */
#include "block.h"
#include "clock.h"
#include "error.h"
#include "solve.h"
#include "work.h"

#include <string.h>

typedef struct queuing {
    const call *call;
    queue *queue;
} queuing;

static void queue_cells(void *context, scratch *s, int64_t first, int32_t n)
{
    const queuing *job = context;
    const call *c = job->call;
    double t0 = seconds_now();
    block_gather(c, s, first, n);
    s->seconds[SURR_PHASE_GATHER] += seconds_now() - t0;
    s->defer = 1;
    block_advance(c->plan, s);
    s->defer = 0;
    double t1 = seconds_now();
    queue_append_cells(job->queue, c, s);
    block_finish(c, s);
    block_scatter(c, s);
    s->seconds[SURR_PHASE_SCATTER] += seconds_now() - t1;
}

static int32_t enqueue(call *c, surr_work *w)
{
    queue *q = &w->queue;
    int32_t code = queue_make_room(q, c->plan, c->n_cell);
    if (code != SURR_OK) return code;
    const int64_t n_before = q->n;
    code = work_run(w, c->n_cell, 0, queue_cells, &(queuing){.call = c, .queue = q});
    if (code != SURR_OK) return code;
    queue_append_call(q, c, n_before);
    if (c->stat) memcpy(c->stat, w->stat, sizeof w->stat);
    return w->n_flagged ? SURR_FLAGGED : SURR_OK;
}

static int32_t check_and_enqueue(call *c, surr_work *w)
{
    int32_t code = check_call(c, w ? w->plan : NULL);
    if (code == SURR_OK && c->plan->on_failure)
        code = surr_fail(SURR_E_UNSUPPORTED, "\"on_failure\" is \"error\": a queue cannot undo the calls before. Use "
                                             "\"flag\", or surr_step");
    if (code == SURR_OK) code = work_enter(w);
    if (code != SURR_OK) return code;
    c->dt *= c->plan->time;
    code = enqueue(c, w);
    work_leave(w);
    return code;
}

int32_t surr_queue(const surr_plan *p, surr_work *w, int64_t n_cell, double dt, void *const *base,
                   const int64_t *stride, int32_t dtype, const void *index, uint8_t *status, int64_t *stat)
{
    if (!base) return surr_fail(SURR_E_ARG, "base is NULL: give an array with one pointer per slot");
    call c = call_of_fields(p, n_cell, dt, base, stride, dtype, index, status, stat);
    return check_and_enqueue(&c, w);
}

int32_t surr_queue_block(const surr_plan *p, surr_work *w, int64_t n_cell, double dt, double *q, int64_t cell_stride,
                         int64_t slot_stride, const void *index, uint8_t *status, int64_t *stat)
{
    call c = call_of_block(p, n_cell, dt, q, cell_stride, slot_stride, index, status, stat);
    return check_and_enqueue(&c, w);
}

/* Cells first .. first + n - 1, in place, save those with a result from elsewhere. */
static void solve_waiting(const surr_plan *p, queue *q, fp_state host, int64_t first, int64_t n)
{
    const surr_model_desc *d = p->model->desc;
    for (int64_t i = first, end = first; i < first + n; i = end) {
        while (end < first + n && q->outcome[end] == SURR_CELL_QUEUED) end++;
        if (end > i) {
            const double start = seconds_now();
            solve_cells(p, host, end - i, q->y + i * d->n_state, q->dt + i, q->max_step + i, q->params + i * d->n_param,
                        q->outcome + i, q->attempts + i);
            cost_book(p, q, NULL, i, end - i, seconds_now() - start);
        }
        while (end < first + n && q->outcome[end] != SURR_CELL_QUEUED) end++;
    }
}

static void solve_and_settle(void *context, scratch *s, int64_t first, int32_t n)
{
    surr_work *w = context;
    const surr_plan *p = w->plan;
    queue *q = &w->queue;
    double t0 = seconds_now();
    solve_waiting(p, q, s->host, first, n);
    double t1 = seconds_now();
    s->seconds[SURR_PHASE_SOLVER] += t1 - t0;
    queue_settle(q, p, s, first, n);
    scratch_count(s);
    s->seconds[SURR_PHASE_SCATTER] += seconds_now() - t1;
}

int32_t surr_flush(surr_work *w, int64_t *stat)
{
    if (!w) return surr_fail(SURR_E_ARG, "work is NULL: create one first, one per thread");
    int32_t code = work_enter(w);
    if (code != SURR_OK) return code;
    code = work_run(w, w->queue.n, 0, solve_and_settle, w);
    if (code == SURR_OK) {
        cost_learn(&w->queue);
        w->queue.n = 0;
        w->queue.n_call = 0;
        if (stat) memcpy(stat, w->stat, sizeof w->stat);
        if (w->n_flagged) code = SURR_FLAGGED;
    }
    work_leave(w);
    return code;
}
