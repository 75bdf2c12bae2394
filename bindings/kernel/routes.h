/* The two-route check: the net is asked once at a stroke, and once by way of a time between. Training has the same in
 * nets/routes.py. */
#ifndef SURR_ROUTES_H
#define SURR_ROUTES_H
#include "accept.h"
#include "decode.h"
#include "perceptrons.h"

#define LEAST_COMPARED 1e-10 /* species below this fraction of the total are not compared */

static inline int lanes_left(int i, int n) { return n - i < SURR_LANES ? n - i : SURR_LANES; }

/* What the experts say of all cells of a chunk that are asked, sorted already: new cells, and whether they are sound.
 */
static void ask_experts(chunk *c, double *end, unsigned char *good)
{
    in_spans(c, evaluate_span);
    for (int i = 0, n = c->start[NET_EXPERTS]; i < n; i += SURR_LANES)
        decode(c, c->order + i, lanes_left(i, n), end, good);
}

#if NET_ROUTES
/* One leg of a route for n cells side by side, wherever they are; good: whether all legs so far were sound. */
static void walk(chunk *leg, int n, const double *y, const double *dt, const double *params, double *end,
                 unsigned char *good)
{
    unsigned char sound[CHUNK];
    leg->n = n, leg->y = y, leg->dt = dt, leg->params = params;
    for (int i = 0; i < n; i += SURR_LANES) encode(leg, i);
    memset(leg->skipped, ASKED, sizeof leg->skipped);
    sort_by_expert(leg);
    ask_experts(leg, end, sound);
    for (int i = 0; i < n; i++) good[i] &= sound[i];
}

/* Largest disagreement of cells i, i + 1, ...: in logarithms, or in units of the scale of a signed variable. */
static vdouble disagreement(int n, int i, const double *one, const double *other)
{
    vdouble a[N_STATE], b[N_STATE], worst = vd_set(0.0);
    for (int k = 0; k < N_STATE; k++) {
        a[k] = lanes_of(one + k, N_STATE, i, n);
        b[k] = lanes_of(other + k, N_STATE, i, n);
    }
    const vdouble least = LEAST_COMPARED * total_density(a);
    for (int k = 0; k < N_STATE; k++) {
        vdouble apart;
        if (net_is_log[k]) apart = vd_abs(vd_log(vd_max(b[k], vd_set(1e-300)) / vd_max(a[k], vd_set(1e-300))));
        else apart = vd_abs(b[k] - a[k]) / (scale[k] > 0.0 ? scale[k] : 1.0);
        if (in_total[k]) apart = vd_select(a[k] > least, apart, vd_set(0.0));
        worst = vd_max(worst, apart);
    }
    return worst;
}

/* log10 of what all routes of the cells that are asked disagree by at most: expected[], by cell. */
static void compare_routes(const chunk *c, const double *end, float *expected)
{
    static const double almost_nothing = 1e-30;
    double start[CHUNK][N_STATE], direct[CHUNK][N_STATE], between[CHUNK][N_STATE], arrived[CHUNK][N_STATE];
    double params[CHUNK * N_PARAM + 1], dt[CHUNK], part[CHUNK], worst[CHUNK];
    unsigned char good[CHUNK];
    chunk leg;
    const int n = c->start[NET_EXPERTS];
    leg.rtol = INFINITY;
    for (int i = 0; i < n; i++) {
        const int cell = c->order[i];
        memcpy(start[i], c->y + cell * N_STATE, sizeof start[i]);
        memcpy(direct[i], end + cell * N_STATE, sizeof direct[i]);
        memcpy(params + i * N_PARAM, c->params + (int64_t)cell * N_PARAM, N_PARAM * sizeof(double));
        dt[i] = c->dt[cell], worst[i] = almost_nothing, good[i] = 1;
    }
    for (int route = 0; route < NET_ROUTES; route++) {
        for (int i = 0; i < n; i++) part[i] = net_stops[route] * dt[i];
        walk(&leg, n, start[0], part, params, between[0], good);
        for (int i = 0; i < n; i++) part[i] = (1.0 - net_stops[route]) * dt[i];
        walk(&leg, n, between[0], part, params, arrived[0], good);
        for (int i = 0; i < n; i += SURR_LANES) {
            const vdouble apart = disagreement(n, i, direct[0], arrived[0]);
            for (int l = 0; l < lanes_left(i, n); l++) worst[i + l] = worst[i + l] < apart[l] ? apart[l] : worst[i + l];
        }
    }
    for (int i = 0; i < n; i += SURR_LANES) {
        const vdouble logs = LOG10_E * vd_log(lanes_of(worst, 1, i, n));
        for (int l = 0; l < lanes_left(i, n); l++) expected[c->order[i + l]] = good[i + l] ? (float)logs[l] : HUGE_VALF;
    }
}
#endif

#endif
