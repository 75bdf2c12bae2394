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
#define GROW 8.0
/* First step, in units of the one at which an explicit Euler step would err by the tolerance. */
#define FIRST 3.0
/* Share of the tolerance within which the quick attempt must be. */
#define QUICK 0.1
/* Cells looked at before those of them that are left are integrated: many, as the lanes run empty at the end. */
#define SOLVER_BLOCK 4096
/* An elimination that cancels more than this has lost the digits that the step needs. */
#define PIVOT_MIN 1e-13
/* Shortest step, in units of the interval, before a cell is given up. */
#define STEP_MIN 1e-40

#define STATUS_SOLVER 4   /* SURR_CELL_SOLVER */
#define STATUS_FAILED 34  /* SURR_CELL_FAILED */

typedef struct lanes {
    vdouble y[N_STATE], p[N_PARAM + 1], atol[N_STATE], invariant[N_CONSERVED + 1];
    vdouble t, dt, h, growth;      /* growth: bound on the next increase */
    vdouble attempts;
    int64_t cell[SURR_LANES];      /* -1: idle */
} lanes;

/* The linear invariants of y. */
static inline void invariants_of(const vdouble *y, vdouble *invariant)
{
    for (int a = 0; a < N_CONSERVED; a++) {
        invariant[a] = vd_set(0.0);
        for (int k = 0; k < N_STATE; k++) invariant[a] += conserved[a * N_STATE + k] * y[k];
    }
}

/* Put cell c into lane l; its first step is for the caller to set. */
static void lane_load(lanes *s, int l, int64_t c, const surr_solver_options *o, const double *y, const double *dt,
    const double *params)
{
    double total = 0.0;
    for (int k = 0; k < N_STATE; k++) {
        s->y[k][l] = y[c * N_STATE + k];
        if (in_total[k]) total += s->y[k][l];
    }
    for (int k = 0; k < N_STATE; k++) s->atol[k][l] = o->atol_frac * (in_total[k] ? total : scale[k]);
    for (int k = 0; k < N_PARAM; k++) s->p[k][l] = params[c * N_PARAM + k];
    for (int m = 0; m < N_CONSERVED; m++) {
        double sum = 0.0;
        for (int k = 0; k < N_STATE; k++) sum += conserved[m * N_STATE + k] * s->y[k][l];
        s->invariant[m][l] = sum;
    }
    s->t[l] = 0.0;
    s->dt[l] = dt[c];
    s->growth[l] = GROW;
    s->attempts[l] = 0.0;
    s->cell[l] = c;
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

/* Clip to the floors, then restore the invariants by y_k *= 1 + (A^T z)_k with A D A^T z = invariant - A y. Returns
 * the lanes in which that was a small correction. */
static vmask restore(const vdouble *invariant, vdouble *y)
{
    vmask good = ~(vmask){0};
    (void)invariant;
#if HAS_FLOOR
    for (int k = 0; k < N_STATE; k++) y[k] = vd_max(y[k], vd_set(floor_value[k]));
#endif
#if N_CONSERVED
    vdouble g[N_CONSERVED][N_CONSERVED], z[N_CONSERVED];
    for (int a = 0; a < N_CONSERVED; a++) {
        z[a] = invariant[a];
        for (int b = 0; b < N_CONSERVED; b++) g[a][b] = vd_set(0.0);
        for (int k = 0; k < N_STATE; k++) {
            const vdouble w = conserved[a * N_STATE + k] * y[k];
            z[a] -= w;
            for (int b = 0; b <= a; b++) g[a][b] += conserved[b * N_STATE + k] * w;
        }
    }
    for (int a = 0; a < N_CONSERVED; a++)   /* Cholesky in place, zero rows (an absent element) skipped */
        for (int b = 0; b <= a; b++) {
            vdouble x = g[a][b];
            for (int c = 0; c < b; c++) x -= g[a][c] * g[b][c];
            if (a == b)
                g[a][a] = vd_select(x > 1e-12 * g[a][a], 1.0 / vd_sqrt(vd_max(x, vd_set(1e-300))), vd_set(0.0));
            else
                g[a][b] = x * g[b][b];
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
        for (int a = 0; a < N_CONSERVED; a++) change += conserved[a * N_STATE + k] * z[a];
        good &= vd_abs(change) < 0.5;
        y[k] += y[k] * change;
    }
#endif
    return good;
}

/* A step of length h by method m from s->y, where f, df/dt and the factors w of I/(h gamma) - J belong: result in y1,
 * error in units of the tolerance returned (NaN: breakdown). Changes f. */
static vdouble step(const tableau *m, const lanes *s, double rtol, vdouble h, vdouble *f, const vdouble *dfdt,
    const vdouble *w, vdouble *y1)
{
    vdouble u[STAGES_MAX][N_STATE];
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
            mechanism_rhs(t0 + m->alpha[i] * h, y1, s->p, f);
        }
        for (int k = 0; k < N_STATE; k++) {
            vdouble x = vd_set(0.0);
            for (int j = 0; j < i; j++) x += m->c[i][j] * u[j][k];
            u[i][k] = f[k] + x * inverse;
            if (HAS_TIME && m->delta[i] != 0.0) u[i][k] += (m->delta[i] * h) * dfdt[k];
        }
        mechanism_solve(w, u[i]);
    }
    vdouble error = vd_set(0.0), sum = vd_set(0.0); /* max drops NaN, the sum does not */
    for (int k = 0; k < N_STATE; k++) {
        const vdouble e = u[m->stages - 1][k];
        y1[k] += e;
        const vdouble tolerance = rtol * vd_abs(y1[k]) + s->atol[k] + 1e-300;
        const vdouble ratio = vd_abs(e) / tolerance;
        error = vd_max(error, ratio);
        sum += ratio;
    }
    error = vd_select(restore(s->invariant, y1), error, vd_set(1e3));
    return vd_select(vd_isfinite(sum), error, vd_set(NAN));
}

/* Largest of x in units of the tolerance at the start. */
static vdouble largest(const lanes *s, double rtol, const vdouble *x)
{
    vdouble worst = vd_set(0.0);
    for (int k = 0; k < N_STATE; k++)
        worst = vd_max(worst, vd_abs(x[k]) / (rtol * vd_abs(s->y[k]) + s->atol[k] + 1e-300));
    return worst;
}

/* Chooses the first step of each lane and tries it where it is the whole interval. Returns the lanes that are finished,
 * with the result in y1.
 *
 * The curvature of the solution, (J f + df/dt)/2, makes the error of explicit Euler. Where it comes from fast modes,
 * which only decay, it says nothing of the step that an L-stable method can take: traces that transport has moved off
 * their balance would make for short steps. What counts is what is left after (I/(h gamma) - J)^-1 has been applied
 * twice. Where this is within the tolerance for the whole interval, Rodas3 is tried on it, for half the cost of a step
 * of Rodas5P; its error must be well within the tolerance. Elsewhere the first step is FIRST times the one at which
 * Euler errs by the tolerance. */
static vmask quick_attempt(lanes *s, const surr_solver_options *o, vdouble *y1)
{
    vdouble f[N_STATE], jac[N_JAC], w[N_LU], dfdt[N_STATE], x[N_STATE];
    mechanism_jacobian(start_time(s), s->y, s->p, f, jac, dfdt);
    for (int k = 0; k < N_STATE; k++) x[k] = HAS_TIME ? 0.5 * dfdt[k] : vd_set(0.0);
    for (int k = 0; k < N_JAC; k++) x[jac_row[k]] += 0.5 * jac[k] * f[jac_col[k]];
    const vdouble euler = FIRST / vd_sqrt(vd_max(largest(s, o->rtol, x), vd_set(1e-300)));
    const vdouble pivots = mechanism_factor(1.0 / (RODAS3.gamma * s->dt), jac, w);
    mechanism_solve(w, x);
    mechanism_solve(w, x);
    const vmask whole = (largest(s, o->rtol, x) < 1.0) & (pivots > PIVOT_MIN);
    s->h = vd_select(whole, s->dt, vd_min(euler, s->dt));
    if (!vm_any(whole) || o->max_attempts < 2) return (vmask){0};
    s->attempts = vd_select(whole, vd_set(1.0), vd_set(0.0));
    return whole & (step(&RODAS3, s, o->rtol, s->dt, f, dfdt, w, y1) <= QUICK);
}

/* Cells of a block that are to be integrated. */
typedef struct listed {
    int n;
    int16_t cell[SOLVER_BLOCK], attempts[SOLVER_BLOCK];
    double h[SOLVER_BLOCK];
} listed;

/* Finishes the cells that take one quick attempt and lists the others. */
static void look_at(const surr_solver_options *o, int n, double *y, const double *dt, const double *params,
    uint8_t *status, int32_t *attempts, listed *todo)
{
    lanes s;
    todo->n = 0;
    for (int first = 0; first < n; first += SURR_LANES) {
        vdouble y1[N_STATE];
        for (int l = 0; l < SURR_LANES; l++) lane_load(&s, l, first + l < n ? first + l : n - 1, o, y, dt, params);
        const vmask finished = quick_attempt(&s, o, y1);
        for (int l = 0; l < SURR_LANES && first + l < n; l++) {
            const int c = first + l;
            if (finished[l]) {
                for (int k = 0; k < N_STATE; k++) y[c * N_STATE + k] = y1[k][l];
                status[c] = STATUS_SOLVER;
                attempts[c] = 1;
            } else {
                todo->cell[todo->n] = (int16_t)c;
                todo->attempts[todo->n] = (int16_t)s.attempts[l];
                todo->h[todo->n++] = s.h[l];
            }
        }
    }
}

/* One step of length s->h, cut to what is left: as `step`. */
static vdouble attempt(lanes *s, double rtol, vdouble *y1)
{
    vdouble f[N_STATE], jac[N_JAC], w[N_LU], dfdt[N_STATE];
    mechanism_jacobian(start_time(s) + s->t, s->y, s->p, f, jac, dfdt);
    s->h = vd_select(s->t + 1.01 * s->h >= s->dt, s->dt - s->t, s->h);
    const vdouble pivots = mechanism_factor(1.0 / (RODAS5P.gamma * s->h), jac, w);
    const vdouble error = step(&RODAS5P, s, rtol, s->h, f, dfdt, w, y1);
    return vd_select(pivots > PIVOT_MIN, error, vd_set(NAN));
}

/* Put the listed cell number i into lane l. */
static void lane_load_listed(lanes *s, int l, const listed *todo, int i, const surr_solver_options *o, const double *y,
    const double *dt, const double *params)
{
    lane_load(s, l, todo->cell[i], o, y, dt, params);
    s->h[l] = todo->h[i];
    s->attempts[l] = todo->attempts[i];
}

/* The listed cells; a lane that has finished takes the next one. */
static void integrate(const surr_solver_options *o, const listed *todo, double *y, const double *dt,
    const double *params, uint8_t *status, int32_t *attempts)
{
    lanes s;
    int next = 0, busy = 0;
    if (todo->n == 0) return;
    for (int l = 0; l < SURR_LANES; l++) {
        lane_load_listed(&s, l, todo, next < todo->n ? next : 0, o, y, dt, params);
        if (next < todo->n) next++, busy++;
        else s.cell[l] = -1;
    }
    while (busy) {
        vdouble y1[N_STATE];
        const vdouble error = attempt(&s, o->rtol, y1);
        const vmask sane = vd_isfinite(error), accept = (error <= 1.0) & sane;
        const vdouble bounded = vd_min(vd_max(error, vd_set(1e-12)), vd_set(1e12));
        vdouble factor = SAFETY * vd_exp((-1.0 / RODAS5P.order) * vd_log(bounded));
        factor = vd_min(vd_max(factor, vd_set(SHRINK)), s.growth);
        factor = vd_select(sane, factor, vd_set(SHRINK));
        s.growth = vd_select(accept, vd_set(GROW), vd_set(1.0));
        s.attempts += 1.0;
        const vmask finished = accept & (s.t + s.h >= s.dt);
        for (int k = 0; k < N_STATE; k++) s.y[k] = vd_select(accept, y1[k], s.y[k]);
        s.t = vd_select(accept, s.t + s.h, s.t);
        s.h *= factor;
        const vmask given_up = ~finished & ((s.attempts >= (double)o->max_attempts) | (s.h < STEP_MIN * s.dt));
        if (!vm_any(finished | given_up)) continue;
        for (int l = 0; l < SURR_LANES; l++) {
            const int64_t c = s.cell[l];
            if (c < 0 || !(finished[l] | given_up[l])) continue;
            attempts[c] = (int32_t)s.attempts[l];
            status[c] = finished[l] ? STATUS_SOLVER : STATUS_FAILED;
            if (finished[l])
                for (int k = 0; k < N_STATE; k++) y[c * N_STATE + k] = s.y[k][l];
            if (next < todo->n) lane_load_listed(&s, l, todo, next++, o, y, dt, params);
            else s.cell[l] = -1, busy--;
        }
    }
}

static void solve(const surr_solver_options *o, int64_t n, double *y, const double *dt, const double *params,
    uint8_t *status, int32_t *attempts)
{
    listed todo;
    for (int64_t first = 0; first < n; first += SOLVER_BLOCK) {
        const int m = n - first < SOLVER_BLOCK ? (int)(n - first) : SOLVER_BLOCK;
        double *of_y = y + first * N_STATE;
        const double *of_params = params + first * N_PARAM;
        look_at(o, m, of_y, dt + first, of_params, status + first, attempts + first, &todo);
        integrate(o, &todo, of_y, dt + first, of_params, status + first, attempts + first);
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
