/* The two-route check: the net is asked once at a stroke, and again by way of a time between. Their mean is the answer,
 * and what they are apart the error to expect. Training has the same in nets/routes.py. */
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
/* One leg of a route for n cells side by side, which may arrive where they start; good: whether all legs so far were
 * sound. */
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

/* What the ways to cells i, i + 1, ... say, in logarithms over the direct one, or in units of the scale of a signed
 * variable: sums, and the largest and least of them. */
typedef struct ways {
    double sum[CHUNK][N_STATE], most[CHUNK][N_STATE], least[CHUNK][N_STATE];
} ways;

static void add_way(ways *w, int i, int n, const vdouble *direct, const double *arrived)
{
    const vdouble trace = NET_FRACTION_FLOOR * total_density(direct); /* below, all are alike */
    for (int k = 0; k < N_STATE; k++) {
        const vdouble other = lanes_of(arrived + k, N_STATE, i, n);
        vdouble apart;
        const vdouble least = in_total[k] ? trace : vd_set(1e-300);
        if (net_is_log[k]) apart = vd_log(vd_max(other, least) / vd_max(direct[k], least));
        else apart = (other - direct[k]) / (scale[k] > 0.0 ? scale[k] : 1.0);
        for (int l = 0; l < lanes_left(i, n); l++) {
            w->sum[i + l][k] += apart[l];
            if (apart[l] > w->most[i + l][k]) w->most[i + l][k] = apart[l];
            if (apart[l] < w->least[i + l][k]) w->least[i + l][k] = apart[l];
        }
    }
}

/* The mean of all ways to cells i, i + 1, ... in place of the direct one, laws restored, and the largest distance of a
 * way from it; sound: whether the laws could be. */
static vdouble mean_of_ways(const ways *w, int i, int n, const vdouble *start, vdouble *y, vmask *sound)
{
    vdouble invariant[N_CONSERVED + 1], spread[N_STATE], worst = vd_set(0.0);
    invariants_of(start, invariant);
    for (int k = 0; k < N_STATE; k++) {
        const vdouble mean = lanes_of(w->sum[0] + k, N_STATE, i, n) * (1.0 / (NET_ROUTES + 1));
        spread[k] =
            vd_max(lanes_of(w->most[0] + k, N_STATE, i, n) - mean, mean - lanes_of(w->least[0] + k, N_STATE, i, n));
        if (net_is_log[k]) y[k] *= vd_exp(mean);
        else y[k] += mean * (scale[k] > 0.0 ? scale[k] : 1.0);
    }
    const vdouble least = LEAST_COMPARED * total_density(y);
    for (int k = 0; k < N_STATE; k++)
        worst = vd_max(worst, in_total[k] ? vd_select(y[k] > least, spread[k], vd_set(0.0)) : spread[k]);
    *sound = restore(invariant, y);
    return worst;
}

/* Of all cells that are asked: the mean of the direct way and of all routes in end, and in expected[], by cell, log10 of
 * what they are apart. */
static void compare_routes(const chunk *c, double *end, float *expected)
{
    static const double almost_nothing = 1e-30;
    double start[CHUNK][N_STATE], way[CHUNK][N_STATE], params[CHUNK * N_PARAM + 1], dt[CHUNK], part[CHUNK];
    ways w;
    unsigned char walked[CHUNK];
    chunk leg;
    const int n = c->start[NET_EXPERTS];
    leg.rtol = INFINITY;
    memset(&w, 0, sizeof w);
    for (int i = 0; i < n; i++) {
        const int cell = c->order[i];
        memcpy(start[i], c->y + cell * N_STATE, sizeof start[i]);
        memcpy(params + i * N_PARAM, c->params + (int64_t)cell * N_PARAM, N_PARAM * sizeof(double));
        dt[i] = c->dt[cell], walked[i] = 1;
    }
    for (int route = 0; route < NET_ROUTES; route++) {
        for (int i = 0; i < n; i++) part[i] = net_stops[route] * dt[i];
        walk(&leg, n, start[0], part, params, way[0], walked);
        for (int i = 0; i < n; i++) part[i] = (1.0 - net_stops[route]) * dt[i];
        walk(&leg, n, way[0], part, params, way[0], walked);
        for (int i = 0; i < n; i += SURR_LANES) {
            vdouble direct[N_STATE];
            gather_cells(c->order + i, lanes_left(i, n), end, direct);
            add_way(&w, i, n, direct, way[0]);
        }
    }
    for (int i = 0; i < n; i += SURR_LANES) {
        vdouble from[N_STATE], y[N_STATE];
        vmask sound;
        gather_cells(c->order + i, lanes_left(i, n), c->y, from);
        gather_cells(c->order + i, lanes_left(i, n), end, y);
        const vdouble worst = mean_of_ways(&w, i, n, from, y, &sound);
        const vdouble logs = LOG10_E * vd_log(vd_max(worst, vd_set(almost_nothing)));
        for (int l = 0; l < lanes_left(i, n); l++) {
            const int cell = c->order[i + l];
            const int holds = walked[i + l] && sound[l];
            expected[cell] = holds ? (float)logs[l] : HUGE_VALF;
            for (int k = 0; k < N_STATE && holds; k++) end[cell * N_STATE + k] = y[k][l];
        }
    }
}
#endif

#endif
