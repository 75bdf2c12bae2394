/* The net of a model: from cells and time steps to new cells and the error to expect.
 *
 * Include after the mechanism, solver.h and the generated net.h. Cells are encoded in lanes of doubles, sorted by the
 * region expert that is responsible for them, evaluated in single precision in blocks of one expert, and decoded in
 * lanes of doubles again, where the invariants are restored as in the solver. A cell's result depends on that cell
 * alone. The same steps in Python: training/encoding.py, training/nets.py. */
#ifndef SURR_PREDICT_H
#define SURR_PREDICT_H

#include <float.h>

#include "dense.h"

#define CHUNK 1024   /* cells encoded, sorted and decoded together; the arrays below are on the stack */
#define LOG10_E 0x1.bcb7b1526e50ep-2
#define LN_10 0x1.26bb1bbb55516p+1

typedef struct chunk {
    int n;
    const double *y, *dt, *params;
    double x[NET_IN][CHUNK];         /* features */
    double outside[CHUNK];           /* not 0: outside the domain */
    unsigned char expert[CHUNK];
    short order[CHUNK];              /* cells by expert */
    float out[NET_OUT][CHUNK];
} chunk;

static inline vdouble lanes_of(const double *base, int stride, int first, int n)
{
    vdouble v;
    for (int l = 0; l < SURR_LANES; l++) v[l] = base[(first + l < n ? first + l : n - 1) * stride];
    return v;
}

static inline vdouble total_density(const vdouble *y)
{
    vdouble total = vd_set(0.0);
    for (int k = 0; k < N_STATE; k++)
        if (in_total[k]) total += y[k];
    return total;
}

/* Whether the laws of a cell stand in the proportions of the training set: elements to each other, charge to what
 * carries it. */
static inline vmask laws_inside(const vdouble *y)
{
    vmask inside = ~(vmask){0};
    vdouble first = vd_set(1.0);
    for (int a = 0; a < N_CONSERVED; a++) {
        vdouble sum = vd_set(0.0), carried = vd_set(1e-300);
        for (int k = 0; k < N_STATE; k++) {
            sum += conserved[a * N_STATE + k] * y[k];
            carried += vd_abs(vd_set(conserved[a * N_STATE + k])) * y[k];
        }
        if (a == 0) first = carried;
        const vdouble ratio = sum / (net_law_is_signed[a] ? carried : first);
        inside &= (ratio >= net_law_lower[a]) & (ratio <= net_law_upper[a]);
    }
    return inside;
}

static void encode(chunk *c, int i)
{
    vdouble y[N_STATE], x[NET_IN], dt = lanes_of(c->dt, 1, i, c->n);
    vmask inside = ~(vmask){0};
    int at = 0;
    for (int k = 0; k < N_STATE; k++) y[k] = lanes_of(c->y + k, N_STATE, i, c->n);
    for (int k = 0; k < N_PARAM; k++) {
        const vdouble p = lanes_of(c->params + k, N_PARAM, i, c->n);
        inside &= vd_abs(p - net_param[k]) <= 1e-9 * vd_abs(vd_set(net_param[k]));
    }
    const vdouble total = total_density(y);
    for (int k = 0; k < N_STATE; k++) {
        const vdouble floor = in_total[k] ? NET_FRACTION_FLOOR * total : vd_set(1e-300);
        x[at++] = net_is_log[k] ? LOG10_E * vd_log(vd_max(y[k], floor) / (in_total[k] ? total : vd_set(1.0))) : y[k];
    }
    if (NET_HAS_TOTAL) x[at++] = LOG10_E * vd_log(total);
    x[at++] = LOG10_E * vd_log(dt);
    vdouble u = vd_set(0.0), v = vd_set(0.0);
    for (int k = 0; k < NET_IN; k++) {
        inside &= (x[k] >= net_lower[k]) & (x[k] <= net_upper[k]);
        u += net_route[0][k] * x[k];
        v += net_route[1][k] * x[k];
    }
    inside &= laws_inside(y);
    for (int l = 0; l < SURR_LANES && i + l < c->n; l++) {
        int bin = 0, part = 0;
        while (bin < NET_REGIONS_1 - 1 && u[l] > net_edges_1[bin]) bin++;
        while (part < NET_REGIONS_2 - 1 && v[l] > net_edges_2[bin][part]) part++;
        c->expert[i + l] = (unsigned char)(bin * NET_REGIONS_2 + part);
        c->outside[i + l] = inside[l] ? 0.0 : 1.0;
        for (int k = 0; k < NET_IN; k++) c->x[k][i + l] = x[k][l];
    }
}

/* Counting sort of the chunk's cells by expert; start[e] is where expert e begins. */
static void sort_by_expert(chunk *c, int *start)
{
    for (int e = 0; e <= NET_EXPERTS; e++) start[e] = 0;
    for (int i = 0; i < c->n; i++) start[c->expert[i] + 1]++;
    for (int e = 0; e < NET_EXPERTS; e++) start[e + 1] += start[e];
    int next[NET_EXPERTS];
    for (int e = 0; e < NET_EXPERTS; e++) next[e] = start[e];
    for (int i = 0; i < c->n; i++) c->order[next[c->expert[i]]++] = (short)i;
}

/* The cells order[0 .. n), at most DENSE_CELLS, all of expert e; a short block is filled up with its first cell. */
static __attribute__((noinline)) void evaluate_block(chunk *c, int e, const short *order, int n)
{
    vfloat in[NET_IN * DENSE_VECTORS], h[2][NET_WIDTH * DENSE_VECTORS], out[NET_OUT * DENSE_VECTORS];
    float row[DENSE_CELLS];
    const float *w = surr_net_weights + (int64_t)e * NET_STRIDE;
    for (int k = 0; k < NET_IN; k++) {
        for (int i = 0; i < DENSE_CELLS; i++)
            row[i] = (float)((c->x[k][order[i < n ? i : 0]] - net_mean[e][k]) * net_inverse_std[e][k]);
        for (int v = 0; v < DENSE_VECTORS; v++) in[k * DENSE_VECTORS + v] = vf_loadu(row + v * SURR_FLANES);
    }
    dense(NET_WIDTH, NET_IN, w, w + NET_WIDTH * NET_IN, in, h[0]);
    dense_silu(NET_WIDTH, NULL, h[0]);
    w += NET_WIDTH * (NET_IN + 1);
    for (int layer = 0; layer < NET_DEPTH; layer++, w += NET_WIDTH * (NET_WIDTH + 1)) {
        dense(NET_WIDTH, NET_WIDTH, w, w + NET_WIDTH * NET_WIDTH, h[layer & 1], h[~layer & 1]);
        dense_silu(NET_WIDTH, h[layer & 1], h[~layer & 1]);
    }
    dense(NET_OUT, NET_WIDTH, w, w + NET_OUT * NET_WIDTH, h[NET_DEPTH & 1], out);
    for (int k = 0; k < NET_OUT; k++) {
        for (int v = 0; v < DENSE_VECTORS; v++) vf_storeu(row + v * SURR_FLANES, out[k * DENSE_VECTORS + v]);
        for (int i = 0; i < n; i++) c->out[k][order[i]] = row[i];
    }
}

/* log10 of the tolerance at which a prediction may be accepted: a step function of it. */
static inline vdouble calibrated(vdouble predicted)
{
    const vdouble place = (predicted - NET_CALIBRATION_LOWER) * (1.0 / NET_CALIBRATION_WIDTH);
    const vdouble bounded = vd_min(vd_max(place, vd_set(0.0)), vd_set(NET_CALIBRATION_NODES - 1));
    const vint64 below = __builtin_convertvector(bounded, vint64);
    return vd_gather(net_calibration, below - (bounded > __builtin_convertvector(below, vdouble)));
}

static void decode(const chunk *c, int i, double *end, float *error)
{
    vdouble y[N_STATE], invariant[N_CONSERVED + 1];
    const vdouble dt = lanes_of(c->dt, 1, i, c->n), gate = dt / (dt + 0.1 * NET_DT_LOWER);
    for (int k = 0; k < N_STATE; k++) y[k] = lanes_of(c->y + k, N_STATE, i, c->n);
    invariants_of(y, invariant);
    for (int k = 0; k < N_STATE; k++) {
        vdouble change;
        for (int l = 0; l < SURR_LANES; l++) {
            const int cell = i + l < c->n ? i + l : c->n - 1;
            change[l] = (double)c->out[k][cell] * net_out_std[c->expert[cell]][k];
        }
        change *= gate;
        y[k] = net_is_log[k] ? y[k] * vd_exp(LN_10 * change) : y[k] + change;
    }
    vmask good = restore(invariant, y);
    vdouble predicted, sum = vd_set(0.0);
    for (int l = 0; l < SURR_LANES; l++) predicted[l] = c->out[NET_OUT - 1][i + l < c->n ? i + l : c->n - 1];
    for (int k = 0; k < N_STATE; k++) sum += y[k];
    good &= vd_isfinite(sum) & vd_isfinite(predicted);
    const vdouble bound = vd_select(good, vd_exp(LN_10 * calibrated(predicted)), vd_set(FLT_MAX));
    for (int l = 0; l < SURR_LANES && i + l < c->n; l++) {
        for (int k = 0; k < N_STATE; k++) end[(i + l) * N_STATE + k] = y[k][l];
        error[i + l] = c->outside[i + l] != 0.0 ? INFINITY : (float)bound[l];
    }
}

static void predict(int64_t n, const double *y, const double *dt, const double *params, double *end, float *error)
{
    chunk c;
    int start[NET_EXPERTS + 1];
    for (int64_t first = 0; first < n; first += CHUNK) {
        c.n = n - first < CHUNK ? (int)(n - first) : CHUNK;
        c.y = y + first * N_STATE;
        c.dt = dt + first;
        c.params = params + first * N_PARAM;
        for (int i = 0; i < c.n; i += SURR_LANES) encode(&c, i);
        sort_by_expert(&c, start);
        for (int e = 0; e < NET_EXPERTS; e++)
            for (int i = start[e]; i < start[e + 1]; i += DENSE_CELLS)
                evaluate_block(&c, e, c.order + i, start[e + 1] - i < DENSE_CELLS ? start[e + 1] - i : DENSE_CELLS);
        for (int i = 0; i < c.n; i += SURR_LANES) decode(&c, i, end + first * N_STATE, error + first);
    }
}

#endif
