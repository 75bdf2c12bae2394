/* The linear invariants of a system, and the floors of its variables: kept by every step. */
#ifndef SURR_LAWS_H
#define SURR_LAWS_H
#include "lanes.h"

/* The linear invariants of y. */
static inline void invariants_of(const vdouble *y, vdouble *invariant)
{
    for (int a = 0; a < N_CONSERVED; a++) {
        invariant[a] = vd_set(0.0);
        for (int k = 0; k < N_STATE; k++) invariant[a] += law[a * N_STATE + k] * y[k];
    }
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

#endif
