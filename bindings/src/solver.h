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

#include "model_abi.h"
#include "tableau.h"

/* Step control: safety factor, largest decrease and increase per step. */
#define SAFETY 0.9
#define SHRINK 0.1
#define GROW   8.0
/* First step, in units of the one at which an explicit Euler step would err by the tolerance. */
#define FIRST 3.0
/* Where time is explicit: first step at most, in units of the interval, and largest increase per step. */
#define FIRST_OF_TIME 0.015625
#define GROW_OF_TIME  1.5
/* Share of the tolerance within which the quick attempt must be. */
#define QUICK 0.1
/* Cells looked at before those of them that are left are integrated: many, as the lanes run empty at the end. */
#define SOLVER_BLOCK 4096
/* A loss whose rate times the step is still above this at the end of the step keeps a variable at its balance. */
#define STILL_FAST 30.0
/* An elimination that cancels more than this has lost the digits that the step needs. */
#define PIVOT_MIN 1e-13
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

#define STATUS_SOLVER  4  /* SURR_CELL_SOLVER */
#define STATUS_FAILED  34 /* SURR_CELL_FAILED */
#define STATUS_STALLED 36 /* SURR_CELL_STALLED */

/* The options, and what follows from them for every cell. */
typedef struct settings {
    double rtol, atol_frac, max_attempts;
    double growth_bound, growth_bound_quick; /* of h gamma lambda, see factor */
    double window;                           /* attempts */
} settings;

typedef struct lanes {
    vdouble y[N_STATE], p[N_PARAM + 1], atol[N_STATE], invariant[N_CONSERVED + 1];
    vdouble t, dt, h, max_step, growth;      /* growth: bound on the next increase */
    vdouble attempts, mark_attempts, mark_t; /* mark: when progress was looked at last */
    vdouble strict, doubts;                  /* 1: has stalled once; see doubt */
    int64_t cell[SURR_LANES];                /* -1: idle */
} lanes;

/* Cells side by side, see solve in surr_kernels. */
typedef struct block {
    int n;
    double *y;
    const double *dt, *max_step, *params;
    uint8_t *status;
    int32_t *attempts;
} block;

static settings settings_of(const surr_solver_options *o)
{
    const settings s = {
        .rtol = o->rtol,
        .atol_frac = o->atol_frac,
        .max_attempts = (double)o->max_attempts,
        .growth_bound = growth_bound(&RODAS5P, o->rtol),
        .growth_bound_quick = growth_bound(&QUICK_METHOD, o->rtol),
        .window = STALL * pow(fmax(1.0, 1e-2 / o->rtol), 1.0 / RODAS5P.order),
    };
    return s;
}

/* The linear invariants of y. */
static inline void invariants_of(const vdouble *y, vdouble *invariant)
{
    for (int a = 0; a < N_CONSERVED; a++) {
        invariant[a] = vd_set(0.0);
        for (int k = 0; k < N_STATE; k++) invariant[a] += law[a * N_STATE + k] * y[k];
    }
}

/* Put cell c into lane l; its first step is for the caller to set. */
static void lane_load(lanes *s, int l, int64_t c, const settings *o, const block *b)
{
    double total[N_SCALE_GROUPS + 1] = {0.0};
    for (int k = 0; k < N_STATE; k++) {
        s->y[k][l] = b->y[c * N_STATE + k];
        if (scale_group[k] >= 0) total[scale_group[k]] += s->y[k][l];
    }
    for (int k = 0; k < N_STATE; k++) {
        const double own = scale_group[k] == SCALE_RANGE ? fabs(s->y[k][l]) : scale[k];
        s->atol[k][l] = o->atol_frac * (scale_group[k] >= 0 ? total[scale_group[k]] : own);
    }
    for (int k = 0; k < N_PARAM; k++) s->p[k][l] = b->params[c * N_PARAM + k];
    for (int m = 0; m < N_CONSERVED; m++) {
        double sum = 0.0;
        for (int k = 0; k < N_STATE; k++) sum += law[m * N_STATE + k] * s->y[k][l];
        s->invariant[m][l] = sum;
    }
    s->t[l] = s->mark_t[l] = 0.0;
    s->dt[l] = b->dt[c];
    s->max_step[l] = b->max_step ? b->max_step[c] : HUGE_VAL;
    s->growth[l] = GROW;
    s->attempts[l] = s->mark_attempts[l] = s->strict[l] = s->doubts[l] = 0.0;
    s->cell[l] = c;
}

/* Variables of either sign are measured against the largest value that they have had. */
static void follow_range(lanes *s, const settings *o)
{
    for (int k = 0; k < N_STATE; k++)
        if (scale_group[k] == SCALE_RANGE) s->atol[k] = vd_max(s->atol[k], o->atol_frac * vd_abs(s->y[k]));
}

static inline vdouble start_time(const lanes *s)
{
#if HAS_TIME
    return s->p[TIME_PARAM];
#else
    (void)s;
    return vd_set(0.0);
#endif
}

/* Variable k at the end of a step of length h if its own production and loss went on as at the start, where f and J
 * belong: what has been taken below zero is not set to zero, from where what grows later could not come back. */
static vdouble on_its_own(int k, vdouble y0, vdouble h, const vdouble *f, const vdouble *jac)
{
    const vdouble loss = jac_diagonal[k] < 0 ? vd_set(0.0) : -jac[jac_diagonal[k]];
    const vdouble balance = vd_max(f[k] + loss * y0, vd_set(0.0)) / vd_max(loss, vd_set(1e-300));
    return vd_select(loss > 0.0, balance + (y0 - balance) * vd_exp(-h * loss), y0);
}

/* Clips y1 to the floors; a variable that starts below its floor may stay there. `clipped` is by how much. */
static void clip(const lanes *s, vdouble h, const vdouble *f, const vdouble *jac, vdouble *y1, vdouble *clipped)
{
    for (int k = 0; k < N_STATE; k++) {
        const vdouble before = y1[k];
        if (floor_value[k] != 0.0) y1[k] = vd_max(y1[k], vd_min(vd_set(floor_value[k]), s->y[k]));
        else if (vm_any(y1[k] < 0.0))
            y1[k] = vd_select(y1[k] < 0.0, vd_min(on_its_own(k, s->y[k], h, f, jac), s->atol[k]), y1[k]);
        clipped[k] = y1[k] - before;
    }
}

/* By how much the error estimate of variable k may be too small, where it has fallen from y0 to y1.
 *
 * The estimate is a residual at the end, divided by the rate of loss at the start. Where a loss is quadratic
 * (recombination, annihilation), its rate has fallen as the variable has, and what is left of it is still fast: then
 * the residual stands for a distance that is larger by the same factor. */
static inline vdouble fallen(int k, vdouble y0, vdouble y1, vdouble h, const vdouble *jac)
{
    if (jac_diagonal[k] < 0 || floor_value[k] != 0.0) return vd_set(1.0);
    const vmask is_kept = (-h * jac[jac_diagonal[k]] * y1 > STILL_FAST * y0) & (y1 < y0);
    return vm_any(is_kept) ? vd_select(is_kept, y0 / y1, vd_set(1.0)) : vd_set(1.0);
}

/* Restores the invariants by y_k *= 1 + (A^T z)_k with A D A^T z = invariant - A y. Where what carries an invariant is
 * gone, that cannot be, and the variable of its own that each of them has takes the rest. Returns the lanes in which
 * that was a small correction. */
static vmask restore(const vdouble *invariant, vdouble *y)
{
    vmask good = ~(vmask){0};
    (void)invariant;
    (void)y;
#if N_CONSERVED
    vdouble g[N_CONSERVED][N_CONSERVED], z[N_CONSERVED];
    for (int a = 0; a < N_CONSERVED; a++) {
        z[a] = invariant[a];
        for (int b = 0; b < N_CONSERVED; b++) g[a][b] = vd_set(0.0);
        for (int k = 0; k < N_STATE; k++) {
            const vdouble w = law[a * N_STATE + k] * y[k];
            z[a] -= w;
            for (int b = 0; b <= a; b++) g[a][b] += law[b * N_STATE + k] * w;
        }
    }
    for (int a = 0; a < N_CONSERVED; a++) /* Cholesky in place, zero rows (an absent element) skipped */
        for (int b = 0; b <= a; b++) {
            vdouble x = g[a][b];
            for (int c = 0; c < b; c++) x -= g[a][c] * g[b][c];
            if (a == b) g[a][a] = vd_select(x > 1e-12 * g[a][a], 1.0 / vd_sqrt(vd_max(x, vd_set(1e-300))), vd_set(0.0));
            else g[a][b] = x * g[b][b];
        }
    for (int a = 0; a < N_CONSERVED; a++) {
        for (int b = 0; b < a; b++) z[a] -= g[a][b] * z[b];
        z[a] *= g[a][a];
    }
    for (int a = N_CONSERVED - 1; a >= 0; a--) {
        for (int b = a + 1; b < N_CONSERVED; b++) z[a] -= g[b][a] * z[b];
        z[a] *= g[a][a];
    }
    for (int k = 0; k < N_STATE; k++) {
        vdouble change = vd_set(0.0);
        for (int a = 0; a < N_CONSERVED; a++) change += law[a * N_STATE + k] * z[a];
        good &= vd_abs(change) < 0.5;
        y[k] += y[k] * change;
    }
    for (int a = 0; a < N_CONSERVED; a++) {
        vdouble rest = invariant[a], amount = vd_set(0.0);
        for (int k = 0; k < N_STATE; k++) {
            const vdouble w = law[a * N_STATE + k] * y[k];
            rest -= w;
            amount += vd_abs(w);
        }
        const vmask left = vd_abs(rest) > 1e-13 * amount;
        y[carrier[a]] += vd_select(left, rest, vd_set(0.0));
        good &= y[carrier[a]] >= 0.0;
    }
#endif
    return good;
}

/* Factors I/(h gamma) - J for a step of length h by method m, see mechanism_factor. Returns the lanes that may take it.
 *
 * Beyond 1/(h gamma) a real eigenvalue of J turns the sign of the determinant, and R(z) of an L-stable method is near
 * zero where e^z is large: it would damp what grows, and no estimate that compares two such methods can tell. Well
 * below, the relative error of R(z) grows with a power of z, in species far below the absolute tolerance as in others,
 * and what they grow to is not small. So h gamma times what grows has a bound, which shrinks with the tolerance
 * (growth_bound).
 *
 * What grows shows in the pivots: where rates are not negative between different species, and where the matrix can be
 * made symmetric, as in kinetics near a balance, a mode that grows as exp(lambda t) makes one of them about 1/(h gamma)
 * - lambda. *growth: h gamma lambda by the lowest pivot, in units of the bound. Other matrices may have such pivots for
 * no reason; see `doubts`. */
static inline vmask factor(const tableau *m, double bound, const lanes *s, vdouble h, const vdouble *f,
                           const vdouble *jac, vdouble *w, vdouble *growth)
{
    vdouble lowest;
    const vdouble diagonal = 1.0 / (m->gamma * h);
    const vmask sound = mechanism_factor(diagonal, s->y, f, jac, w, &lowest) > PIVOT_MIN;
    *growth = (1.0 - lowest / diagonal) / bound;
    return sound;
}

/* A step of length h by method m from s->y, where f0, J, df/dt and the factors w of I/(h gamma) - J belong: result in
 * y1, error in units of the tolerance returned (NaN: breakdown). */
static vdouble step(const tableau *m, const lanes *s, double rtol, vdouble h, const vdouble *f0, const vdouble *jac,
                    const vdouble *dfdt, const vdouble *w, vdouble *y1)
{
    vdouble u[STAGES_MAX][N_STATE], changed[N_STATE];
    const vdouble *f = f0;
    const vdouble t0 = start_time(s) + s->t, inverse = 1.0 / h;
    for (int i = 0; i < m->stages; i++) {
        int moved = 0;
        for (int j = 0; j < i; j++) moved |= m->a[i][j] != 0.0;
        if (moved) {
            for (int k = 0; k < N_STATE; k++) {
                vdouble x = s->y[k];
                for (int j = 0; j < i; j++) x += m->a[i][j] * u[j][k];
                y1[k] = x;
            }
            mechanism_rhs(t0 + m->alpha[i] * h, y1, s->p, changed);
            f = changed;
        }
        for (int k = 0; k < N_STATE; k++) {
            vdouble x = vd_set(0.0);
            for (int j = 0; j < i; j++) x += m->c[i][j] * u[j][k];
            u[i][k] = f[k] + x * inverse;
            if (HAS_TIME && m->delta[i] != 0.0) u[i][k] += (m->delta[i] * h) * dfdt[k];
        }
        mechanism_solve(w, u[i]);
    }
    vdouble clipped[N_STATE], error = vd_set(0.0), sum = vd_set(0.0); /* max drops NaN, the sum does not */
    for (int k = 0; k < N_STATE; k++) y1[k] += u[m->stages - 1][k];
    clip(s, h, f0, jac, y1, clipped);
    for (int k = 0; k < N_STATE; k++) {
        const vdouble tolerance = rtol * vd_abs(y1[k]) + s->atol[k] + 1e-300;
        const vdouble e = vd_abs(u[m->stages - 1][k]) * fallen(k, s->y[k], y1[k], h, jac);
        const vdouble ratio = vd_max(e, clipped[k]) / tolerance;
        error = vd_max(error, ratio);
        sum += ratio;
    }
    error = vd_select(restore(s->invariant, y1), error, vd_set(1e3));
    return vd_select(vd_isfinite(sum), error, vd_set(NAN));
}

/* Largest of x, the error that a step of Euler's method of length 1 makes, in units of the tolerance at the start.
 * Where there is no tolerance, as at zero, the change of the step takes its place. */
static vdouble largest(const lanes *s, double rtol, const vdouble *f, const vdouble *x)
{
    vdouble worst = vd_set(0.0);
    for (int k = 0; k < N_STATE; k++) {
        const vdouble tolerance = rtol * vd_abs(s->y[k]) + s->atol[k];
        const vdouble ratio = vd_abs(x[k]) / (vd_select(tolerance > 0.0, tolerance, rtol * vd_abs(f[k])) + 1e-300);
        worst = vd_max(worst, vd_select(tolerance > 0.0, ratio, ratio * ratio));
    }
    return worst;
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
                b->status[c] = STATUS_SOLVER;
                b->attempts[c] = 1;
            } else {
                todo->cell[todo->n] = (int16_t)c;
                todo->attempts[todo->n] = (int16_t)s.attempts[l];
                todo->h[todo->n++] = s.h[l];
            }
        }
    }
}

/* One step of length s->h, cut to what is left: as `step`; *growth as in `factor`. */
static vdouble attempt(lanes *s, const settings *o, vdouble *y1, vdouble *growth)
{
    vdouble f[N_STATE], jac[N_JAC], w[N_LU], dfdt[N_STATE];
    mechanism_jacobian(start_time(s) + s->t, s->y, s->p, f, jac, dfdt);
    s->h = vd_min(s->h, s->max_step);
    s->h = vd_select(s->t + 1.01 * s->h >= s->dt, s->dt - s->t, s->h);
    const vmask sound = factor(&RODAS5P, o->growth_bound, s, s->h, f, jac, w, growth);
    *growth = vd_select(s->doubts < DOUBTS, *growth, vd_set(0.0));
    const vdouble error = step(&RODAS5P, s, o->rtol, s->h, f, jac, dfdt, w, y1);
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
        vdouble factor = SAFETY * vd_exp((-1.0 / RODAS5P.order) * vd_log(bounded));
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
            b->status[c] = finished[l] ? STATUS_SOLVER : slow[l] ? STATUS_STALLED : STATUS_FAILED;
            if (finished[l])
                for (int k = 0; k < N_STATE; k++) b->y[c * N_STATE + k] = s.y[k][l];
            if (next < todo->n) lane_load_listed(&s, l, todo, next++, o, b);
            else s.cell[l] = -1, busy--;
        }
    }
}

static void solve(const surr_solver_options *options, int64_t n, double *y, const double *dt, const double *max_step,
                  const double *params, uint8_t *status, int32_t *attempts)
{
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

static void evaluate(int64_t n, const double *y, const double *params, double *out, double *jacobian)
{
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
