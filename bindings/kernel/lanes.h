/* Cells in lanes: what the solver knows of each while it is under way. */
#ifndef SURR_LANES_H
#define SURR_LANES_H
#include "model_abi.h"
#include "tableau.h"

#define GROW 8.0 /* largest increase of a step */

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

#endif
