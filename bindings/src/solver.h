/* Batched stiff solver: lanes are cells, each with its own time and step; a finished lane takes the next cell.
 *
 * Include after a mechanism. A linearly implicit (Rosenbrock) method with exact Jacobian: L-stable, no Newton
 * iteration that could stall, a fixed amount of work per attempt, hence the same instruction stream for all lanes.
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
/* An elimination that cancels more than this has lost the digits that the step needs. */
#define PIVOT_MIN 1e-13
/* Shortest step, in units of the interval, before a cell is given up. */
#define STEP_MIN 1e-40

#define STATUS_SOLVER 4   /* SURR_CELL_SOLVER */
#define STATUS_FAILED 34  /* SURR_CELL_FAILED */

typedef struct lanes {
    vdouble y[N_STATE], p[N_PARAM + 1], atol[N_STATE], invariant[N_CONSERVED + 1];
    vdouble t, dt, h, growth;      /* growth: bound on the next increase */
    vmask fresh;                   /* no step taken yet: h is to be chosen */
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

/* Put cell c into lane l. */
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
    s->h[l] = dt[c];
    s->growth[l] = GROW;
    s->fresh[l] = -1;
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

/* First step: as long as explicit Euler errs by FIRST squared of the tolerance, h^2/2 times the curvature J f + df/dt of
 * the solution; or the whole interval, where this error is within the tolerance once it has passed (I - dt J)^-1 twice,
 * as fast modes do that only decay: traces that transport has moved off their balance do not make for short steps. */
static vdouble first_step(const lanes *s, double rtol, const vdouble *f, const vdouble *jac, const vdouble *dfdt)
{
    vdouble x[N_STATE], w[N_LU], explicit = vd_set(0.0), damped = vd_set(0.0);
    for (int i = 0; i < N_STATE; i++) x[i] = HAS_TIME ? 0.5 * dfdt[i] : vd_set(0.0);
    for (int k = 0; k < N_JAC; k++) x[jac_row[k]] += 0.5 * jac[k] * f[jac_col[k]];
    for (int i = 0; i < N_STATE; i++)
        explicit = vd_max(explicit, vd_abs(x[i]) / (rtol * vd_abs(s->y[i]) + s->atol[i] + 1e-300));
    const vdouble pivots = mechanism_factor(1.0 / s->dt, jac, w);
    mechanism_solve(w, x);
    mechanism_solve(w, x);
    for (int i = 0; i < N_STATE; i++)
        damped = vd_max(damped, vd_abs(x[i]) / (rtol * vd_abs(s->y[i]) + s->atol[i] + 1e-300));
    const vdouble h = FIRST / vd_sqrt(vd_max(explicit, vd_set(1e-300)));
    return vd_select((damped < 1.0) & (pivots > PIVOT_MIN), s->dt, vd_min(h, s->dt));
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

/* One step of length h from s->y: result in y1, error in units of the tolerance returned (NaN: breakdown). */
static vdouble attempt(lanes *s, double rtol, vdouble *y1)
{
    vdouble f[N_STATE], jac[N_JAC], w[N_LU], dfdt[N_STATE], u[STAGES][N_STATE];
    const vdouble t0 = start_time(s) + s->t;
    mechanism_jacobian(t0, s->y, s->p, f, jac, dfdt);
    if (vm_any(s->fresh)) s->h = vd_select(s->fresh, first_step(s, rtol, f, jac, dfdt), s->h);
    s->fresh = (vmask){0};
    s->h = vd_select(s->t + 1.01 * s->h >= s->dt, s->dt - s->t, s->h);
    const vdouble h = s->h, inverse = 1.0 / h;
    const vdouble pivots = mechanism_factor(inverse / GAMMA, jac, w);
    for (int i = 0; i < STAGES; i++) {
        int moved = 0;
        for (int j = 0; j < i; j++) moved |= A[i][j] != 0.0;
        if (moved) {
            for (int k = 0; k < N_STATE; k++) {
                vdouble x = s->y[k];
                for (int j = 0; j < i; j++) x += A[i][j] * u[j][k];
                y1[k] = x;
            }
            mechanism_rhs(t0 + ALPHA[i] * h, y1, s->p, f);
        }
        for (int k = 0; k < N_STATE; k++) {
            vdouble x = vd_set(0.0);
            for (int j = 0; j < i; j++) x += C[i][j] * u[j][k];
            u[i][k] = f[k] + x * inverse;
            if (HAS_TIME && DELTA[i] != 0.0) u[i][k] += (DELTA[i] * h) * dfdt[k];
        }
        mechanism_solve(w, u[i]);
    }
    vdouble error = vd_set(0.0), sum = vd_set(0.0); /* max drops NaN, the sum does not */
    for (int k = 0; k < N_STATE; k++) {
        const vdouble e = u[STAGES - 1][k];
        y1[k] += e;
        const vdouble tolerance = rtol * vd_abs(y1[k]) + s->atol[k] + 1e-300;
        const vdouble ratio = vd_abs(e) / tolerance;
        error = vd_max(error, ratio);
        sum += ratio;
    }
    error = vd_select(restore(s->invariant, y1), error, vd_set(1e3));
    return vd_select((pivots > PIVOT_MIN) & vd_isfinite(sum), error, vd_set(NAN));
}

static void solve(const surr_solver_options *o, int64_t n, double *y, const double *dt, const double *params,
    uint8_t *status, int32_t *attempts)
{
    lanes s;
    int64_t next = 0;
    int busy = 0;
    if (n <= 0) return;
    for (int l = 0; l < SURR_LANES; l++) {
        lane_load(&s, l, next < n ? next : 0, o, y, dt, params);
        if (next < n) next++, busy++;
        else s.cell[l] = -1;
    }
    while (busy) {
        vdouble y1[N_STATE];
        const vdouble error = attempt(&s, o->rtol, y1);
        const vmask sane = vd_isfinite(error), accept = (error <= 1.0) & sane;
        const vdouble bounded = vd_min(vd_max(error, vd_set(1e-12)), vd_set(1e12));
        vdouble factor = SAFETY * vd_exp((-1.0 / ORDER) * vd_log(bounded));
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
            if (next < n) lane_load(&s, l, next++, o, y, dt, params);
            else s.cell[l] = -1, busy--;
        }
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
