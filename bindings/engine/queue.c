/* The queue: what the net does not take waits for a flush.
 *
 * Cells are kept as the solver takes them, so that a flush solves them where they are. Solving and settling (back to
 * the host's fields) are separate, so that cells can be solved elsewhere in between: see packed.c. */
#include "queue.h"
#include "convert.h"
#include "error.h"
#include "quantities.h"

#include <stdlib.h>
#include <string.h>

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

int32_t queue_make_room(queue *q, const surr_plan *p, int64_t n_cell)
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

void queue_append_cells(queue *q, const call *c, scratch *s)
{
    const surr_model_desc *d = c->plan->model->desc;
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

void queue_append_call(queue *q, const call *c, int64_t n_before)
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
        if (f->kind == KIND_OUTPUT) write_value(p, q, i, s, attempt_cost(p) * q->attempts[i]);
        else if (is_advanced) write_value(p, q, i, s, y[f->target]);
    }
}

void queue_settle(queue *q, const surr_plan *p, scratch *s, int64_t first, int32_t n)
{
    s->first = first;
    s->n = s->m = n;
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
