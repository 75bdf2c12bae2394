/* Who advances a cell: the net where it vouches for the tolerance, the stiff solver elsewhere. */
#include "engine.h"

#include <float.h>
#include <time.h>

double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Whether the audit draws this cell: from its own bits, so that the draw is the same in any batch and on any rank. */
static int is_drawn(const surr_plan *p, const double *y, double dt)
{
    if (p->audit <= 0.0) return 0;
    uint64_t h = bits_of(dt);
    for (int32_t k = 0; k < p->model->desc->n_state; k++) { /* a round of splitmix64 each (Steele et al. 2014) */
        h += bits_of(y[k]) + 0x9e3779b97f4a7c15u;
        h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
        h = (h ^ (h >> 27)) * 0x94d049bb133111ebu;
        h ^= h >> 31;
    }
    return (double)(h >> 11) * 0x1p-53 < p->audit;
}

/* Takes what the net may decide, lists the others in s->todo with the reason in s->state; returns their number. */
static int32_t accept(const surr_plan *p, scratch *s)
{
    const int32_t n_state = p->model->desc->n_state;
    int32_t n_todo = 0;
    for (int32_t i = 0; i < s->m; i++) {
        double *y = s->y + (int64_t)i * n_state;
        if (s->error[i] > FLT_MAX) s->state[i] = SURR_CELL_OUTSIDE;
        else if (!(s->error[i] <= p->rtol)) s->state[i] = SURR_CELL_ERROR;
        else if (is_drawn(p, y, s->dt[i])) s->state[i] = SURR_CELL_AUDIT;
        else s->state[i] = SURR_CELL_NET;
        s->attempts[i] = 0;
        if (s->state[i] == SURR_CELL_NET)
            memcpy(y, s->end + (int64_t)i * n_state, (size_t)n_state * sizeof(double));
        else
            s->todo[n_todo++] = i;
    }
    return n_todo;
}

/* The solver on the listed cells alone, packed side by side. */
static void solve_listed(const surr_plan *p, scratch *s, int32_t n_todo)
{
    const size_t state = (size_t)p->model->desc->n_state * sizeof(double);
    const size_t params = (size_t)p->model->desc->n_param * sizeof(double);
    char *y = (char *)s->y, *packed = (char *)s->end;
    for (int32_t j = 0; j < n_todo; j++) {
        const size_t i = (size_t)s->todo[j];
        memcpy(packed + (size_t)j * state, y + i * state, state);
        memcpy((char *)s->packed_params + (size_t)j * params, (char *)s->params + i * params, params);
        s->packed_dt[j] = s->dt[i];
    }
    p->kernels->solve(&p->options, n_todo, s->end, s->packed_dt, s->packed_params, s->outcome, s->tries);
    for (int32_t j = 0; j < n_todo; j++) {
        const size_t i = (size_t)s->todo[j];
        s->attempts[i] = s->tries[j];
        if (s->outcome[j] == SURR_CELL_SOLVER) memcpy(y + i * state, packed + (size_t)j * state, state);
        else s->state[i] = s->outcome[j];
    }
}

void block_advance(const surr_plan *p, scratch *s)
{
    if (s->m == 0) return;
    double t0 = seconds_now();
    if (!p->use_net) {
        p->kernels->solve(&p->options, s->m, s->y, s->dt, s->params, s->state, s->attempts);
        s->seconds[SURR_PHASE_SOLVER] += seconds_now() - t0;
        return;
    }
    p->kernels->predict(s->m, s->y, s->dt, s->params, s->end, s->error);
    int32_t n_todo = accept(p, s);
    double t1 = seconds_now();
    s->seconds[SURR_PHASE_NET] += t1 - t0;
    if (p->fallback == FALLBACK_NONE)
        for (int32_t j = 0; j < n_todo; j++) s->state[s->todo[j]] = SURR_CELL_FAILED;
    else if (n_todo)
        solve_listed(p, s, n_todo);
    s->seconds[SURR_PHASE_SOLVER] += seconds_now() - t1;
}
