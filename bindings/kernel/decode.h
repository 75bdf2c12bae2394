/* From what the expert says to new cells. */
#ifndef SURR_DECODE_H
#define SURR_DECODE_H
#include "encode.h"

/* New cells from the changes of cells order[0 .. n), n <= lanes; good: whether they could be repaired. */
static void decode(const chunk *c, const short *order, int n, double *end, unsigned char *good)
{
    vdouble y[N_STATE], invariant[N_CONSERVED + 1], dt;
    short cell[SURR_LANES];
    for (int l = 0; l < SURR_LANES; l++) {
        cell[l] = order[l < n ? l : n - 1];
        dt[l] = c->dt[cell[l]];
    }
    const vdouble gate = dt / (dt + 0.1 * NET_DT_LOWER);
    gather_cells(order, n, c->y, y);
    invariants_of(y, invariant);
    const vdouble least = NET_FRACTION_FLOOR * total_density(y); /* what the net takes traces for */
    for (int k = 0; k < N_STATE; k++) {
        vdouble change;
        for (int l = 0; l < SURR_LANES; l++) change[l] = c->out[cell[l]][k];
        change *= gate;
        if (!net_is_log[k]) {
            y[k] += change;
            continue;
        }
        const vdouble factor = vd_exp(LN_10 * change), own = y[k];
        y[k] = own * factor;
        if (in_total[k]) y[k] = vd_select(own < least, vd_max(own + least * (factor - 1.0), vd_set(0.0)), y[k]);
    }
    for (int k = 0; k < N_STATE; k++) y[k] = vd_max(y[k], vd_set(floor_value[k]));
    vmask sound = restore(invariant, y);
    vdouble sum = vd_set(0.0);
    for (int k = 0; k < N_STATE; k++) sum += y[k];
    sound &= vd_isfinite(sum);
    for (int l = 0; l < n; l++) {
        for (int k = 0; k < N_STATE; k++) end[cell[l] * N_STATE + k] = y[k][l];
        good[cell[l]] = sound[l] != 0;
    }
}

#endif
