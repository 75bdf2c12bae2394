/* Batched stiff solver: lanes are cells, each with its own time and step; a finished lane takes the next cell.
 *
 * Include after a mechanism. Linearly implicit (Rosenbrock) methods with exact Jacobian: L-stable, no Newton
 * iteration that could stall, a fixed amount of work per attempt, hence the same instruction stream for all lanes.
 * Every cell is looked at first, and is done if one cheap step over the whole interval will do; the others are
 * integrated.
 * Linear invariants of the system survive every step up to round-off; what positivity takes is given back by a
 * projection that changes every component in proportion to itself.
 *
 * The error of a step is the largest over the variables, each measured against its own new value: the tolerance then
 * bounds what a cell incurs, also in species that vanish within a step. */
#ifndef SURR_SOLVER_H
#define SURR_SOLVER_H
#include "attempt.h"

#include <stddef.h>

/* Step control: safety factor, largest decrease per step. */
#define SAFETY 0.9
#define SHRINK 0.1
/* First step, in units of the one at which an explicit Euler step would err by the tolerance. */
#define FIRST 3.0
/* Where time is explicit: first step at most, in units of the interval, and largest increase per step. */
#define FIRST_OF_TIME 0.015625
#define GROW_OF_TIME  1.5
/* Share of the tolerance within which the quick attempt must be. */
#define QUICK 0.1
/* Cells looked at before those of them that are left are integrated: many, as the lanes run empty at the end. */
#define SOLVER_BLOCK 4096
/* After so many steps in which nothing grew, low pivots limit steps no more, and the sign of the determinant alone
 * counts. */
#define DOUBTS 20.0
/* Shortest step, in units of the interval, before a cell is given up. */
#define STEP_MIN 1e-40

/* A cell that would need more than `max_attempts` at the pace of the last STALL attempts, times (1e-2/rtol)^(1/order)
 * for tolerances below 1e-2, is given up, unless its time grows by the share STALL_GROWTH meanwhile: then it is still
 * accelerating. */
#define STALL        150.0
#define STALL_GROWTH 0.3
#define STALL_STRICT 1e-4

static settings settings_of(const surr_solver_options *o)
{
    const settings s = {
        .rtol = o->rtol,
        .atol_frac = o->atol_frac,
        .max_attempts = (double)o->max_attempts,
        .growth_bound = growth_bound(&METHOD, o->rtol),
        .growth_bound_quick = growth_bound(&QUICK_METHOD, o->rtol),
        .window = STALL * pow(fmax(1.0, 1e-2 / o->rtol), 1.0 / METHOD.order),
    };
    return s;
}

/* Chooses the first step of each lane and tries it where it is the whole interval. Returns the lanes that are finished,
 * with the result in y1.
 *
 * The curvature of the solution, (J f + df/dt)/2, makes the error of explicit Euler. Where it comes from fast modes,
 * which only decay, it says nothing of the step that an L-stable method can take: traces that transport has moved off
 * their balance would make for short steps. What counts is what is left after (I/(h gamma) - J)^-1 has been applied
 * twice. Where this is within the tolerance for the whole interval, the quick method is tried on it, for half the cost
 * of a step of Rodas5P; its error must be well within the tolerance. Elsewhere the first step is FIRST times the one at
 * which Euler errs by the tolerance.
 *
 * Where time is explicit, what happens at the start says nothing of what comes, and the first step is short. */
static vmask quick_attempt(lanes *s, const settings *o, vdouble *y1)
{
    vdouble f[N_STATE], jac[N_JAC], dfdt[N_STATE], x[N_STATE];
    mechanism_jacobian(start_time(s), s->y, s->p, f, jac, dfdt);
    for (int k = 0; k < N_STATE; k++) x[k] = HAS_TIME ? 0.5 * dfdt[k] : vd_set(0.0);
    for (int k = 0; k < N_JAC; k++) x[jac_row[k]] += 0.5 * jac[k] * f[jac_col[k]];
    s->h = FIRST / vd_sqrt(vd_max(largest(s, o->rtol, f, x), vd_set(1e-300)));
    s->h = vd_min(vd_min(s->h, s->max_step), (HAS_TIME ? FIRST_OF_TIME : 1.0) * s->dt);
#if HAS_TIME
    (void)y1;
    return (vmask){0};
#else
    vdouble w[N_LU];
    vdouble growth;
    const vmask sound = factor(&QUICK_METHOD, o->growth_bound_quick, s, s->dt, f, jac, w, &growth) & (growth <= 1.0);
    mechanism_solve(w, x);
    mechanism_solve(w, x);
    const vmask whole = (largest(s, o->rtol, f, x) < 1.0) & sound & (s->dt <= s->max_step);
    s->h = vd_select(whole, s->dt, s->h);
    if (!vm_any(whole) || o->max_attempts < 2) return (vmask){0};
    s->attempts = vd_select(whole, vd_set(1.0), vd_set(0.0));
    return whole & (step(&QUICK_METHOD, s, o->rtol, s->dt, f, jac, dfdt, w, y1) <= QUICK);
#endif
}

/* One step of length s->h, cut to what is left: as `step`; *growth as in `factor`. */
static vdouble attempt(lanes *s, const settings *o, vdouble *y1, vdouble *growth)
{
    vdouble f[N_STATE], jac[N_JAC], w[N_LU], dfdt[N_STATE];
    mechanism_jacobian(start_time(s) + s->t, s->y, s->p, f, jac, dfdt);
    s->h = vd_min(s->h, s->max_step);
    s->h = vd_select(s->t + 1.01 * s->h >= s->dt, s->dt - s->t, s->h);
    const vmask sound = factor(&METHOD, o->growth_bound, s, s->h, f, jac, w, growth);
    *growth = vd_select(s->doubts < DOUBTS, *growth, vd_set(0.0));
    const vdouble error = step(&METHOD, s, o->rtol, s->h, f, jac, dfdt, w, y1);
    return vd_select(sound, error, vd_set(NAN));
}

/* Counts the steps in a row that growth has limited while nothing grew: then the pivots are no sign of it. */
static void doubt(lanes *s, const vdouble *y1, vmask accept, vdouble growth)
{
    vmask grew = (vmask){0};
    for (int k = 0; k < N_STATE; k++) grew |= vd_abs(y1[k] - s->y[k]) > 0.5 * vd_abs(s->y[k]);
    const vmask limited = (growth > 0.1) & (s->doubts < DOUBTS), idle = limited & accept & ~grew;
    s->doubts = vd_select(idle, s->doubts + 1.0, vd_select(limited & accept, vd_set(0.0), s->doubts));
}

/* Cells of a block that are to be integrated. */
typedef struct listed {
    int n;
    int16_t cell[SOLVER_BLOCK], attempts[SOLVER_BLOCK];
    double h[SOLVER_BLOCK];
} listed;

/* Finishes the cells that take one quick attempt and lists the others. */
static void look_at(const settings *o, const block *b, listed *todo)
{
    lanes s;
    todo->n = 0;
    for (int first = 0; first < b->n; first += SURR_LANES) {
        vdouble y1[N_STATE];
        for (int l = 0; l < SURR_LANES; l++) lane_load(&s, l, first + l < b->n ? first + l : b->n - 1, o, b);
        const vmask finished = quick_attempt(&s, o, y1);
        for (int l = 0; l < SURR_LANES && first + l < b->n; l++) {
            const int c = first + l;
            if (finished[l]) {
                for (int k = 0; k < N_STATE; k++) b->y[c * N_STATE + k] = y1[k][l];
                b->status[c] = SURR_SOLVED;
                b->attempts[c] = 1;
            } else {
                todo->cell[todo->n] = (int16_t)c;
                todo->attempts[todo->n] = (int16_t)s.attempts[l];
                todo->h[todo->n++] = s.h[l];
            }
        }
    }
}

/* The lanes that would not reach the end at the present pace; looks once per window. The first time their absolute
 * tolerance falls instead: a trace that is not resolved may have gone round in circles. */
static vmask stalled(lanes *s, const settings *o)
{
    const vmask due = s->attempts - s->mark_attempts >= o->window;
    if (!vm_any(due)) return due;
    const vdouble advance = s->t - s->mark_t;
    const vmask slow =
        due & (advance * (o->max_attempts / o->window) < s->dt - s->t) & (advance < STALL_GROWTH * s->mark_t);
    s->mark_t = vd_select(due, s->t, s->mark_t);
    s->mark_attempts = vd_select(due, s->attempts, s->mark_attempts);
    const vmask again = slow & (s->strict > 0.0);
    for (int k = 0; k < N_STATE; k++) s->atol[k] *= vd_select(slow & ~again, vd_set(STALL_STRICT), vd_set(1.0));
    s->strict = vd_select(slow, vd_set(1.0), s->strict);
    return again;
}

/* Put the listed cell number i into lane l. */
static void lane_load_listed(lanes *s, int l, const listed *todo, int i, const settings *o, const block *b)
{
    lane_load(s, l, todo->cell[i], o, b);
    s->h[l] = todo->h[i];
    s->attempts[l] = todo->attempts[i];
}

/* The listed cells; a lane that has finished takes the next one. */
static void integrate(const settings *o, const listed *todo, const block *b)
{
    lanes s;
    int next = 0, busy = 0;
    if (todo->n == 0) return;
    for (int l = 0; l < SURR_LANES; l++) {
        lane_load_listed(&s, l, todo, next < todo->n ? next : 0, o, b);
        if (next < todo->n) next++, busy++;
        else s.cell[l] = -1;
    }
    while (busy) {
        vdouble y1[N_STATE], growth;
        const vdouble error = attempt(&s, o, y1, &growth);
        const vmask sane = vd_isfinite(error), accept = (error <= 1.0) & (growth <= 1.0) & sane;
        const vdouble bounded = vd_min(vd_max(error, vd_set(1e-12)), vd_set(1e12));
        vdouble factor = SAFETY * vd_exp((-1.0 / METHOD.order) * vd_log(bounded));
        factor = vd_min(vd_max(factor, vd_set(SHRINK)), s.growth);
        factor = vd_select(sane, factor, vd_set(SHRINK));
        factor = vd_select(growth > SAFETY, vd_min(factor, vd_max(SAFETY / growth, vd_set(SHRINK))), factor);
        doubt(&s, y1, accept, growth);
        s.growth = vd_select(accept, vd_set(HAS_TIME ? GROW_OF_TIME : GROW), vd_set(1.0));
        s.attempts += 1.0;
        const vmask finished = accept & (s.t + s.h >= s.dt);
        for (int k = 0; k < N_STATE; k++) s.y[k] = vd_select(accept, y1[k], s.y[k]);
        follow_range(&s, o);
        s.t = vd_select(accept, s.t + s.h, s.t);
        s.h *= factor;
        const vmask slow = stalled(&s, o) & ~finished;
        const vmask given_up = ~finished & (slow | (s.attempts >= o->max_attempts) | (s.h < STEP_MIN * s.dt));
        if (!vm_any(finished | given_up)) continue;
        for (int l = 0; l < SURR_LANES; l++) {
            const int64_t c = s.cell[l];
            if (c < 0 || !(finished[l] | given_up[l])) continue;
            b->attempts[c] = (int32_t)s.attempts[l];
            b->status[c] = finished[l] ? SURR_SOLVED : slow[l] ? SURR_STUCK : SURR_GIVEN_UP;
            if (finished[l])
                for (int k = 0; k < N_STATE; k++) b->y[c * N_STATE + k] = s.y[k][l];
            if (next < todo->n) lane_load_listed(&s, l, todo, next++, o, b);
            else s.cell[l] = -1, busy--;
        }
    }
}

static void solve(const surr_kernels *self, const surr_solver_options *options, int64_t n, double *y, const double *dt,
                  const double *max_step, const double *params, uint8_t *status, int32_t *attempts)
{
    (void)self;
    const settings o = settings_of(options);
    listed todo;
    for (int64_t first = 0; first < n; first += SOLVER_BLOCK) {
        const block b = {.n = n - first < SOLVER_BLOCK ? (int)(n - first) : SOLVER_BLOCK,
                         .y = y + first * N_STATE,
                         .dt = dt + first,
                         .max_step = max_step ? max_step + first : NULL,
                         .params = params + first * N_PARAM,
                         .status = status + first,
                         .attempts = attempts + first};
        look_at(&o, &b, &todo);
        integrate(&o, &todo, &b);
    }
}

static void evaluate(const surr_kernels *self, int64_t n, const double *y, const double *params, double *out,
                     double *jacobian)
{
    (void)self;
    vdouble v[N_STATE], p[N_PARAM + 1], f[N_STATE], jac[N_JAC], dfdt[N_STATE];
    for (int64_t first = 0; first < n; first += SURR_LANES) {
        const int count = n - first < SURR_LANES ? (int)(n - first) : SURR_LANES;
        for (int l = 0; l < SURR_LANES; l++) {
            const int64_t c = first + (l < count ? l : 0);
            for (int k = 0; k < N_STATE; k++) v[k][l] = y[c * N_STATE + k];
            for (int k = 0; k < N_PARAM; k++) p[k][l] = params[c * N_PARAM + k];
        }
        const vdouble t = HAS_TIME ? p[TIME_PARAM < 0 ? 0 : TIME_PARAM] : vd_set(0.0);
        if (jacobian) mechanism_jacobian(t, v, p, f, jac, dfdt);
        else mechanism_rhs(t, v, p, f);
        for (int l = 0; l < count; l++) {
            for (int k = 0; k < N_STATE; k++) out[(first + l) * N_STATE + k] = f[k][l];
            if (!jacobian) continue;
            double *J = jacobian + (first + l) * N_STATE * N_STATE;
            for (int k = 0; k < N_STATE * N_STATE; k++) J[k] = 0.0;
            for (int k = 0; k < N_JAC; k++) J[jac_row[k] * N_STATE + jac_col[k]] = jac[k][l];
        }
    }
}

#endif
