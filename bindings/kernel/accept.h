/* What gauge and judge say of a cell: whether the net is asked, and what its answer may be trusted with. */
#ifndef SURR_ACCEPT_H
#define SURR_ACCEPT_H
#include "encode.h"

#include <float.h>

/* The smallest tolerance at which a prediction may be accepted, from log10 of the error that the judge expects. */
static inline vdouble calibrated(vdouble predicted)
{
    const vdouble place = (predicted - NET_CALIBRATION_LOWER) * (1.0 / NET_CALIBRATION_WIDTH);
    const vdouble bounded = vd_min(vd_max(place, vd_set(0.0)), vd_set(NET_CALIBRATION_NODES - 1));
    const vint64 below = __builtin_convertvector(bounded, vint64);
    const vdouble node = vd_gather(net_calibration, below - (bounded > __builtin_convertvector(below, vdouble)));
    return vd_select(vd_isfinite(predicted), vd_exp(LN_10 * node), vd_set(FLT_MAX));
}

/* What the gauge says of cells i, i + 1, ...: attempts[], and error[] as it is where nobody else is asked. */
static void settle_cost(chunk *c, int i, float *error, float *attempts)
{
    vdouble log_attempts;
    for (int l = 0; l < SURR_LANES; l++) {
        const int cell = i + l < c->n ? i + l : c->n - 1;
        log_attempts[l] = c->skipped[cell] == OUTSIDE ? 0.0f : c->log_attempts[cell];
    }
    const vdouble number = vd_exp(LN_10 * vd_min(log_attempts, vd_set(9.0)));
    for (int l = 0; l < SURR_LANES && i + l < c->n; l++) {
        const int is_outside = c->skipped[i + l] == OUTSIDE;
        error[i + l] = is_outside ? INFINITY : -1.0f;
        attempts[i + l] = is_outside ? -1.0f - (float)c->why[i + l] : (float)number[l];
        if (!is_outside && c->rtol != INFINITY && number[l] < NET_CHEAP) c->skipped[i + l] = CHEAP;
    }
}

/* What the judge says of cells order[0 .. n), n <= lanes. */
static void settle_error(chunk *c, const short *order, int n, float *error)
{
    vdouble log_error;
    for (int l = 0; l < SURR_LANES; l++) log_error[l] = c->log_error[order[l < n ? l : n - 1]];
    /* with a check by routes it only turns away what is hopeless */
    const vdouble bound = NET_ROUTES ? vd_exp(LN_10 * log_error) * (1.0 / NET_HOPELESS) : calibrated(log_error);
    for (int l = 0; l < n; l++) {
        error[order[l]] = (float)bound[l];
        if (!(bound[l] <= c->rtol)) c->skipped[order[l]] = DOUBTED;
    }
}

/* What the expected error of a prediction is multiplied by. It does not shrink with the step as that of a solver does,
 * so many short steps would add up many errors: where no variable changes by NET_CHANGE e-folds, minor species apart,
 * it is taken relative to the change. */
static inline vdouble doubt_of(const vdouble *start, const vdouble *end)
{
    vdouble largest = vd_set(0.0), linear = vd_set(0.0);
    const vdouble minor = NET_MAJOR_FRACTION * total_density(start);
    for (int k = 0; k < N_STATE; k++) {
        const vdouble change = vd_abs(end[k] - start[k]);
        const vdouble smaller = vd_max(vd_min(start[k], end[k]), in_total[k] ? minor : vd_set(1e-300));
        if (net_is_log[k]) largest = vd_max(largest, change / smaller);
        else linear = vd_max(linear, change / (scale[k] > 0.0 ? scale[k] : 1.0));
    }
    const vdouble e_folds = vd_max(vd_log(1.0 + largest), linear);
    return vd_max(NET_CHANGE / vd_max(e_folds, vd_set(1e-30)), vd_set(1.0));
}

/* What the new cells order[0 .. n), n <= lanes, may be trusted with: error[], from log10 of the error to expect. */
static void settle_trust(const chunk *c, const short *order, int n, const double *end, const unsigned char *good,
                         const float *expected, float *error)
{
    vdouble from[N_STATE], to[N_STATE], log_error;
    gather_cells(order, n, c->y, from);
    gather_cells(order, n, end, to);
    for (int l = 0; l < SURR_LANES; l++) log_error[l] = expected[order[l < n ? l : n - 1]];
    if (c->rtol != INFINITY) log_error += LOG10_E * vd_log(doubt_of(from, to)); /* infinite: nobody else is asked */
    const vdouble bound = calibrated(log_error);
    for (int l = 0; l < n; l++) error[order[l]] = good[order[l]] ? (float)bound[l] : FLT_MAX;
}

#endif
