/* Waiting cells on their way to another rank and back, and cells of others that are solved here.
 *
 * Packed cells are four arrays, one after the other: time steps [n], variables [n][n_state], longest steps of the
 * solver [n], parameters [n][n_param]. The solver works on them in place; outcomes replace the time steps, so that the
 * first n * (1 + n_state) numbers go back. */
#include "clock.h"
#include "error.h"
#include "solve.h"
#include "work.h"

#include <string.h>

#include "surrogate_balance.h"

int32_t surr_queue_size(const surr_work *w, int64_t *n_cell)
{
    if (!w || !n_cell) return surr_fail(SURR_E_ARG, "work or n_cell is NULL");
    *n_cell = w->queue.n;
    return SURR_OK;
}

int32_t surr_queue_width(const surr_work *w, int32_t *n_out, int32_t *n_back)
{
    if (!w || !n_out || !n_back) return surr_fail(SURR_E_ARG, "work, n_out or n_back is NULL");
    const surr_model_desc *d = w->plan->model->desc;
    *n_back = 1 + d->n_state;
    *n_out = 2 + d->n_state + d->n_param;
    return SURR_OK;
}

int32_t surr_work_fingerprint(const surr_work *w, int64_t *fingerprint)
{
    if (!w || !fingerprint) return surr_fail(SURR_E_ARG, "work or fingerprint is NULL");
    memcpy(fingerprint, &w->plan->fingerprint, sizeof *fingerprint);
    return SURR_OK;
}

static int32_t check_list(const surr_work *w, int64_t n, const int64_t *which)
{
    if (!w) return surr_fail(SURR_E_ARG, "work is NULL: create one first, one per thread");
    if (n < 0) return surr_fail(SURR_E_ARG, "n is %lld: give 0 or more cells", (long long)n);
    if (n > 0 && !which) return surr_fail(SURR_E_ARG, "which is NULL: give the numbers of %lld cells", (long long)n);
    const int64_t waiting = w->queue.n;
    for (int64_t i = 0; i < n; i++) {
        if (which[i] < 0 || which[i] >= waiting)
            return surr_fail(SURR_E_ARG, "which[%lld] is %lld: %lld cells wait, counted from 0", (long long)i,
                             (long long)which[i], (long long)waiting);
        if (w->queue.outcome[which[i]] != SURR_CELL_QUEUED)
            return surr_fail(SURR_E_ARG, "cell %lld, which[%lld], has its result already", (long long)which[i],
                             (long long)i);
    }
    return SURR_OK;
}

/* ---- packing ----------------------------------------------------------------------------------------------------- */

int32_t surr_queue_take(const surr_work *w, int64_t n, const int64_t *which, double *packed)
{
    int32_t code = check_list(w, n, which);
    if (code != SURR_OK || n == 0) return code;
    if (!packed) return surr_fail(SURR_E_ARG, "packed is NULL: give room for %lld cells", (long long)n);
    const surr_model_desc *d = w->plan->model->desc;
    const queue *q = &w->queue;
    double *y = packed + n, *max_step = y + n * d->n_state, *params = max_step + n;
    for (int64_t i = 0; i < n; i++) {
        const int64_t c = which[i];
        packed[i] = q->dt[c];
        max_step[i] = q->max_step[c];
        memcpy(y + i * d->n_state, q->y + c * d->n_state, (size_t)d->n_state * sizeof *y);
        memcpy(params + i * d->n_param, q->params + c * d->n_param, (size_t)d->n_param * sizeof *params);
    }
    return SURR_OK;
}

/* An outcome in the place of a double: bits, never computed with. */
typedef struct outcome {
    int32_t status, attempts; /* or microseconds of the host's solver */
} outcome;

static int32_t attempts_of(const surr_plan *p, outcome o) { return p->fallback == FALLBACK_HOST ? 0 : o.attempts; }

static double spent_of(const surr_plan *p, outcome o)
{
    return p->fallback == FALLBACK_HOST ? o.attempts : work_spent(o.attempts);
}
_Static_assert(sizeof(outcome) == sizeof(double), "an outcome takes the place of a time step");

static int is_outcome(outcome o)
{
    return (o.status == SURR_CELL_SOLVER || o.status == SURR_CELL_FAILED || o.status == SURR_CELL_STALLED) &&
           o.attempts >= 0;
}

int32_t surr_queue_put(surr_work *w, int64_t n, const int64_t *which, const double *packed, int64_t *spent)
{
    if (spent) *spent = 0;
    int32_t code = check_list(w, n, which);
    if (code != SURR_OK || n == 0) return code;
    if (!packed) return surr_fail(SURR_E_ARG, "packed is NULL: give the results of %lld cells", (long long)n);
    const int32_t n_state = w->plan->model->desc->n_state;
    queue *q = &w->queue;
    for (int64_t i = 0; i < n; i++) {
        outcome o;
        memcpy(&o, packed + i, sizeof o);
        if (!is_outcome(o))
            return surr_fail(SURR_E_ARG, "packed cell %lld holds no result: give what surr_cells_solve has left there",
                             (long long)i);
    }
    for (int64_t i = 0; i < n; i++) {
        const int64_t c = which[i];
        outcome o;
        memcpy(&o, packed + i, sizeof o);
        q->outcome[c] = (uint8_t)o.status;
        q->attempts[c] = attempts_of(w->plan, o);
        q->spent[c] = (float)spent_of(w->plan, o);
        if (spent) *spent += (int64_t)spent_of(w->plan, o);
        memcpy(q->y + c * n_state, packed + n + i * n_state, (size_t)n_state * sizeof *q->y);
    }
    return SURR_OK;
}

/* ---- solving ----------------------------------------------------------------------------------------------------- */

typedef struct solving {
    surr_work *work;
    int64_t n;
    const int64_t *which; /* cells of the queue ... */
    double *packed;       /* ... or packed ones */
} solving;

static void solve_some(void *context, scratch *s, int64_t first, int32_t n)
{
    const solving *job = context;
    const surr_plan *p = job->work->plan;
    const surr_model_desc *d = p->model->desc;
    queue *q = &job->work->queue;
    const size_t state = (size_t)d->n_state * sizeof(double), params = (size_t)d->n_param * sizeof(double);
    double t0 = seconds_now();
    for (int32_t i = 0; i < n; i++) {
        const int64_t c = job->which[first + i];
        memcpy(s->y + (int64_t)i * d->n_state, q->y + c * d->n_state, state);
        memcpy(s->params + (int64_t)i * d->n_param, q->params + c * d->n_param, params);
        s->dt[i] = q->dt[c];
        s->max_step[i] = q->max_step[c];
    }
    double t1 = seconds_now();
    solve_cells(p, s->host, n, s->y, s->dt, s->max_step, s->params, s->state, s->attempts);
    double seconds = seconds_now() - t1;
    for (int32_t i = 0; i < n; i++) {
        const int64_t c = job->which[first + i];
        memcpy(q->y + c * d->n_state, s->y + (int64_t)i * d->n_state, state);
        q->outcome[c] = s->state[i];
        q->attempts[c] = s->attempts[i];
    }
    cost_book(p, q, job->which + first, 0, n, seconds);
    s->seconds[SURR_PHASE_SOLVER] += seconds_now() - t0;
}

static void solve_packed(void *context, scratch *s, int64_t first, int32_t n)
{
    const solving *job = context;
    const surr_plan *p = job->work->plan;
    const surr_model_desc *d = p->model->desc;
    double *dt = job->packed + first, *y = job->packed + job->n + first * d->n_state;
    const double *max_step = job->packed + job->n * (1 + d->n_state) + first;
    const double *params = job->packed + job->n * (2 + d->n_state) + first * d->n_param;
    double t0 = seconds_now();
    solve_cells(p, s->host, n, y, dt, max_step, params, s->state, s->attempts);
    const double each = 1e6 * (seconds_now() - t0) / n;
    for (int32_t i = 0; i < n; i++) {
        const outcome o = {s->state[i], p->fallback == FALLBACK_HOST ? 1 + (int32_t)each : s->attempts[i]};
        memcpy(dt + i, &o, sizeof o);
        s->stat[SURR_STAT_STEPS] += (int64_t)spent_of(p, o);
    }
    s->seconds[SURR_PHASE_SOLVER] += seconds_now() - t0;
}

/* Parameters without a field keep their constants in the scratch for ever, and solve_some overwrites them: with those
 * of cells of the same plan, which are the same. */
int32_t surr_queue_solve(surr_work *w, int64_t n, const int64_t *which)
{
    int32_t code = check_list(w, n, which);
    if (code == SURR_OK) code = work_enter(w);
    if (code != SURR_OK) return code;
    code = work_run(w, n, 0, solve_some, &(solving){.work = w, .n = n, .which = which});
    work_leave(w);
    return code;
}

int32_t surr_cells_solve(surr_work *w, int64_t n, double *packed, int64_t *spent)
{
    if (spent) *spent = 0;
    if (!w) return surr_fail(SURR_E_ARG, "work is NULL: create one first, one per thread");
    if (n < 0 || (n > 0 && !packed))
        return surr_fail(SURR_E_ARG, "n is %lld, packed is %p: give packed cells", (long long)n, (void *)packed);
    int32_t code = work_enter(w);
    if (code != SURR_OK) return code;
    code = work_run(w, n, 0, solve_packed, &(solving){.work = w, .n = n, .packed = packed});
    if (code == SURR_OK && spent) *spent = w->stat[SURR_STAT_STEPS];
    work_leave(w);
    return code;
}
