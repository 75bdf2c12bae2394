/* One attempt of a step by a Rosenbrock method, and the error that it makes. */
#ifndef SURR_ATTEMPT_H
#define SURR_ATTEMPT_H
#include "laws.h"

/* A loss whose rate times the step is still above this at the end of the step keeps a variable at its balance. */
#define STILL_FAST 30.0
/* An elimination that cancels more than this has lost the digits that the step needs. */
#define PIVOT_MIN 1e-13

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

#endif
