/* Who advances a cell: the net where it pays to ask it and it vouches for the tolerance, the stiff solver elsewhere. */
#include "bits.h"
#include "block.h"
#include "clock.h"
#include "harvest.h"
#include "solve.h"
#include "trust.h"

#include <float.h>
#include <math.h>

/* The reason why cell i is outside, which comes in place of the attempts that nobody knows. */
static void count_outside(scratch *s, int32_t i)
{
    const float reason = -1.0f - s->expected[i];
    s->outside[reason > 0.0f && reason < (float)s->n_reason ? (int)reason : 0]++;
    if (s->expected[i] < 0.0f) s->expected[i] = -1.0f;
}

/* Whether cell i, which is not taken, tells the controller what a little more trust would do. */
static int is_zone(const surr_plan *p, const scratch *s, int32_t i)
{
    return s->trust < 1.0 && s->error[i] <= ZONE * s->trust * p->rtol &&
           audit_draws(p, s->y + (int64_t)i * p->model->desc->n_state, s->dt[i]);
}

/* Takes what the net may decide, lists the others in s->todo with the reason in s->state; returns their number. */
static int32_t accept(const surr_plan *p, scratch *s)
{
    const int32_t n_state = p->model->desc->n_state;
    const double limit = s->trust * p->rtol;
    int32_t n_todo = 0;
    for (int32_t i = 0; i < s->m; i++) {
        double *y = s->y + (int64_t)i * n_state;
        if (s->error[i] < 0.0f) s->state[i] = SURR_CELL_SOLVER;
        else if (s->error[i] > FLT_MAX) s->state[i] = SURR_CELL_OUTSIDE, count_outside(s, i);
        else if (!(s->error[i] <= limit)) s->state[i] = is_zone(p, s, i) ? SURR_CELL_AUDIT : SURR_CELL_ERROR;
        else if (audit_draws(p, y, s->dt[i])) s->state[i] = SURR_CELL_AUDIT;
        else s->state[i] = SURR_CELL_NET;
        s->learned[FAR] += s->trust < 1.0 && s->state[i] == SURR_CELL_ERROR && s->error[i] <= p->rtol;
        s->attempts[i] = 0;
        if (s->state[i] == SURR_CELL_NET) memcpy(y, s->end + (int64_t)i * n_state, (size_t)n_state * sizeof(double));
        else s->todo[n_todo++] = i;
    }
    return n_todo;
}

/* Cell i into place j <= i of the packed cells, and the prediction end[i] into place of the cell. */
static void swap_states(const surr_plan *p, scratch *s, int64_t i, int64_t j)
{
    const int32_t n = p->model->desc->n_state;
    for (int32_t k = 0; k < n; k++) {
        const double predicted = s->end[i * n + k];
        s->end[j * n + k] = s->y[i * n + k];
        s->y[i * n + k] = predicted;
    }
}

/* End of the run of consecutive cells from todo[j] on, none of them but the first to be audited. */
static int32_t end_of_run(const scratch *s, int32_t n_todo, int32_t j)
{
    const int audited = s->state[s->todo[j]] == SURR_CELL_AUDIT;
    for (j++; j < n_todo && !audited; j++)
        if (s->todo[j] != s->todo[j - 1] + 1 || s->state[s->todo[j]] == SURR_CELL_AUDIT) break;
    return j;
}

/* What an audited cell tells: of those that would have been taken the audit, of the others the controller. */
static void settle_audit(const surr_plan *p, scratch *s, int32_t i, const double *predicted, const double *solved)
{
    const int is_taken = s->error[i] <= s->trust * p->rtol;
    const double error = audit_compare(p->model->desc, predicted, solved, is_taken ? s->audit : NULL);
    if (!is_taken) s->state[i] = SURR_CELL_ERROR;
    s->learned[is_taken ? TAKEN : NEAR]++;
    s->learned[is_taken ? TAKEN_WRONG : NEAR_WRONG] += error > p->rtol;
}

/* The solver on the listed cells alone, packed side by side over the predictions. That of a cell to be audited stays
 * in the cell's place, which a cell that fails never returns to its host. */
static void solve_listed(const surr_plan *p, scratch *s, int32_t n_todo)
{
    const size_t n_state = (size_t)p->model->desc->n_state, n_param = (size_t)p->model->desc->n_param;
    for (int32_t j = 0, end; j < n_todo; j = end) {
        const size_t i = (size_t)s->todo[j], to = (size_t)j, n = (size_t)((end = end_of_run(s, n_todo, j)) - j);
        if (s->state[i] == SURR_CELL_AUDIT) swap_states(p, s, (int64_t)i, j);
        else memcpy(s->end + to * n_state, s->y + i * n_state, n * n_state * sizeof(double));
        memcpy(s->packed_params + to * n_param, s->params + i * n_param, n * n_param * sizeof(double));
        memcpy(s->packed_dt + to, s->dt + i, n * sizeof(double));
        memcpy(s->packed_max_step + to, s->max_step + i, n * sizeof(double));
    }
    solve_cells(p, s->host, n_todo, s->end, s->packed_dt, s->packed_max_step, s->packed_params, s->outcome, s->tries);
    for (int32_t j = 0; j < n_todo; j++) {
        const size_t i = (size_t)s->todo[j];
        double *y = s->y + i * n_state, *solved = s->end + (size_t)j * n_state;
        s->attempts[i] = s->tries[j];
        if (s->outcome[j] != SURR_CELL_SOLVER) {
            s->state[i] = s->outcome[j];
            continue;
        }
        if (s->state[i] == SURR_CELL_AUDIT) settle_audit(p, s, (int32_t)i, y, solved);
        memcpy(y, solved, n_state * sizeof(double));
    }
}

/* Puts the cells to be audited first and returns their number: their predictions do not outlive the block. */
static int32_t audited_first(scratch *s)
{
    int32_t n = 0;
    for (int32_t j = 0; j < s->n_todo; j++) {
        const int32_t i = s->todo[j];
        if (s->state[i] != SURR_CELL_AUDIT) continue;
        s->todo[j] = s->todo[n];
        s->todo[n++] = i;
    }
    return n;
}

/* The solver on all cells: there is no net. */
static void solve_all(const surr_plan *p, scratch *s)
{
    s->n_todo = s->defer ? s->m : 0;
    for (int32_t i = 0; i < s->n_todo; i++) s->todo[i] = i, s->state[i] = SURR_CELL_SOLVER, s->attempts[i] = 0;
    if (!s->defer) solve_cells(p, s->host, s->m, s->y, s->dt, s->max_step, s->params, s->state, s->attempts);
}

void block_advance(const surr_plan *p, scratch *s)
{
    if (s->m == 0) return;
    double t0 = seconds_now();
    if (!p->use_net) {
        harvest_cells(p, s, NULL);
        solve_all(p, s);
        s->seconds[SURR_PHASE_SOLVER] += seconds_now() - t0;
        return;
    }
    /* without a fallback the net is all there is */
    const double rtol = p->fallback == FALLBACK_NONE ? INFINITY : p->rtol * fmin(1.0, ZONE * s->trust);
    p->kernels->predict(p->kernels, rtol, s->m, s->y, s->dt, s->params, s->end, s->error, s->expected);
    harvest_cells(p, s, s->error);
    s->n_todo = accept(p, s);
    double t1 = seconds_now();
    s->seconds[SURR_PHASE_NET] += t1 - t0;
    int32_t n_now = s->defer ? audited_first(s) : s->n_todo;
    if (p->fallback == FALLBACK_NONE) {
        for (int32_t j = 0; j < s->n_todo; j++) s->state[s->todo[j]] = SURR_CELL_FAILED;
        n_now = s->n_todo;
    } else if (n_now) solve_listed(p, s, n_now);
    s->n_todo -= n_now;
    memmove(s->todo, s->todo + n_now, (size_t)s->n_todo * sizeof s->todo[0]);
    s->seconds[SURR_PHASE_SOLVER] += seconds_now() - t1;
}
