/* The queue: what the net does not take waits for a flush.
 *
 * Cells are kept as the solver takes them, so that a flush solves them where they are. Solving and settling (back to
 * the host's fields) are separate, so that cells can be solved elsewhere in between: see exchange.c. */
#include "engine.h"

#include <stdlib.h>

void queue_free(queue *q)
{
    void *all[] = {q->y,        q->params, q->dt,     q->max_step, q->rho,      q->form,     q->element,
                   q->position, q->origin, q->reason, q->outcome,  q->attempts, q->expected, q->spent,
                   q->bin,      q->base,   q->stride, q->status,   q->dtype};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
}

/* *array, a pointer of any type, to `n` items; 0 without memory, and then it is as it was. */
static int resize(void *array, int64_t n, size_t item)
{
    void *old, *grown;
    memcpy(&old, array, sizeof old);
    grown = realloc(old, (size_t)n * item);
    if (grown) memcpy(array, &grown, sizeof grown);
    return grown != NULL;
}

static int64_t enough(int64_t room, int64_t needed) { return needed > 2 * room ? needed : 2 * room; }

static int resize_cells(queue *q, const surr_model_desc *d, int64_t room)
{
    return resize(&q->y, room, (size_t)d->n_state * sizeof *q->y) &&
           resize(&q->params, room, (size_t)(d->n_param + 1) * sizeof *q->params) &&
           resize(&q->dt, room, sizeof *q->dt) && resize(&q->max_step, room, sizeof *q->max_step) &&
           resize(&q->rho, room, sizeof *q->rho) && resize(&q->form, room, sizeof *q->form) &&
           resize(&q->element, room, sizeof *q->element) && resize(&q->position, room, sizeof *q->position) &&
           resize(&q->origin, room, sizeof *q->origin) && resize(&q->reason, room, sizeof *q->reason) &&
           resize(&q->outcome, room, sizeof *q->outcome) && resize(&q->attempts, room, sizeof *q->attempts) &&
           resize(&q->expected, room, sizeof *q->expected) && resize(&q->spent, room, sizeof *q->spent) &&
           resize(&q->bin, room, sizeof *q->bin);
}

static int resize_calls(queue *q, int32_t n_slot, int64_t room)
{
    return resize(&q->base, room, (size_t)n_slot * sizeof *q->base) &&
           resize(&q->stride, room, (size_t)n_slot * sizeof *q->stride) &&
           resize(&q->status, room, sizeof *q->status) && resize(&q->dtype, room, sizeof *q->dtype);
}

/* Room for one call more, all of whose cells may have to wait. */
static int32_t make_room(queue *q, const surr_plan *p, int64_t n_cell)
{
    const int64_t needed = q->n + n_cell;
    if (needed > q->room) {
        const int64_t room = enough(q->room, needed);
        if (!resize_cells(q, p->model->desc, room))
            return surr_fail(SURR_E_NOMEM, "no memory for a queue of %lld cells: flush more often", (long long)room);
        q->room = room;
    }
    if (q->n_call == q->call_room) {
        const int64_t room = enough(q->call_room, 16);
        if (!resize_calls(q, p->n_slot, room))
            return surr_fail(SURR_E_NOMEM, "no memory for a queue of %lld calls: flush more often", (long long)room);
        q->call_room = room;
    }
    return SURR_OK;
}

/* ---- in ---------------------------------------------------------------------------------------------------------- */

typedef struct queuing {
    const call *call;
    queue *queue;
} queuing;

static void append_cells(queue *q, const surr_model_desc *d, const call *c, scratch *s)
{
    int64_t at = atomic_fetch_add_explicit(&q->n, s->n_todo, memory_order_relaxed);
    for (int32_t j = 0; j < s->n_todo; j++, at++) {
        const int64_t i = s->todo[j];
        memcpy(q->y + at * d->n_state, s->y + i * d->n_state, (size_t)d->n_state * sizeof *q->y);
        memcpy(q->params + at * d->n_param, s->params + i * d->n_param, (size_t)d->n_param * sizeof *q->params);
        q->dt[at] = s->dt[i];
        q->max_step[at] = s->max_step[i];
        q->rho[at] = s->rho[i];
        q->form[at] = s->form[i];
        q->element[at] = s->first + s->cell[i];
        q->position[at] = c->index ? s->position[s->cell[i]] : q->element[at];
        q->origin[at] = q->n_call;
        q->reason[at] = s->state[i];
        q->outcome[at] = SURR_CELL_QUEUED;
        q->expected[at] = c->plan->use_net ? s->expected[i] : -1.0f;
        q->spent[at] = 0.0f;
        q->bin[at] = cost_bin(d, s->y + i * d->n_state, s->dt[i], s->state[i]);
        s->state[i] = SURR_CELL_QUEUED;
    }
}

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
    append_cells(job->queue, c->plan->model->desc, c, s);
    block_finish(c, s);
    block_scatter(c, s);
    s->seconds[SURR_PHASE_SCATTER] += seconds_now() - t1;
}

/* Remembers where the results of a call go, if any of its cells waits. */
static void append_call(queue *q, const call *c, int64_t n_before)
{
    if (q->n == n_before) return;
    const int32_t n_slot = c->plan->n_slot;
    for (int32_t s = 0; s < n_slot; s++) {
        q->base[q->n_call * n_slot + s] = slot_base(c, s);
        q->stride[q->n_call * n_slot + s] = slot_stride(c, s);
    }
    q->status[q->n_call] = c->status;
    q->dtype[q->n_call] = c->dtype;
    q->n_call++;
}

static int32_t enqueue(call *c, surr_work *w)
{
    queue *q = &w->queue;
    int32_t code = make_room(q, c->plan, c->n_cell);
    if (code != SURR_OK) return code;
    const int64_t n_before = q->n;
    code = work_run(w, c->n_cell, 0, queue_cells, &(queuing){.call = c, .queue = q});
    if (code != SURR_OK) return code;
    append_call(q, c, n_before);
    if (c->stat) memcpy(c->stat, w->stat, sizeof w->stat);
    return w->n_flagged ? SURR_FLAGGED : SURR_OK;
}

static int32_t check_and_enqueue(call *c, surr_work *w)
{
    int32_t code = check_call(c, w);
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

/* ---- out --------------------------------------------------------------------------------------------------------- */

/* x into slot s of waiting cell i. */
static void write_value(const surr_plan *p, const queue *q, int64_t i, int32_t s, double x)
{
    const int64_t call = q->origin[i], field = call * p->n_slot + s;
    const int64_t at = (p->slots[s].flags & SURR_F_INDEXED ? q->position[i] : q->element[i]) * q->stride[field];
    if (q->dtype[call] == SURR_F32) ((float *)q->base[field])[at] = (float)x;
    else ((double *)q->base[field])[at] = x;
}

/* Results of waiting cell i, converted, into the host's fields; outputs alone where it was not advanced. */
static void write_cell(const surr_plan *p, const queue *q, int64_t i, int is_advanced)
{
    const double *y = q->y + i * p->model->desc->n_state;
    for (int32_t s = 0; s < p->n_slot; s++) {
        const slot *f = &p->slots[s];
        if (f->flags & SURR_F_INPUT) continue;
        if (is_output(f->quantity)) write_value(p, q, i, s, attempt_cost(p) * q->attempts[i]);
        else if (is_advanced) write_value(p, q, i, s, y[f->target]);
    }
}

static void settle_cells(const surr_plan *p, queue *q, scratch *s)
{
    for (int32_t c = 0; c < s->n; c++) {
        const int64_t i = s->first + c, call = q->origin[i];
        uint8_t status = q->outcome[i] == SURR_CELL_SOLVER ? q->reason[i] : q->outcome[i];
        if (status < SURR_CELL_MASKED &&
            !convert_out(p, q->y + i * p->model->desc->n_state, q->rho[i], q->form[i], q->dtype[call]))
            status = SURR_CELL_FAILED;
        write_cell(p, q, i, status < SURR_CELL_MASKED);
        if (q->status[call]) q->status[call][q->element[i]] = status;
        s->status[c] = status;
        s->attempts[c] = q->attempts[i];
    }
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
    s->first = first;
    s->n = s->m = n;
    solve_waiting(p, q, s->host, first, n);
    double t1 = seconds_now();
    s->seconds[SURR_PHASE_SOLVER] += t1 - t0;
    settle_cells(p, q, s);
    count_cells(s);
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
