/* The net of a model: from cells and time steps to new cells and the error to expect.
 *
 * Include after the mechanism, solver.h and the generated net.h. Cells are encoded in lanes of doubles, sorted by the
 * region expert that is responsible for them, evaluated in single precision, and decoded in lanes of doubles again,
 * where the invariants are restored as in the solver. A cell's result depends on that cell alone. The same steps in
 * Python: training/encoding.py, training/nets.py.
 *
 * The weights of an expert, layers as dense.h wants them, one after the other: in, NET_DEPTH residual ones, out, and
 * the linear part where there is one, a layer from the inputs to the outputs without activation; in the same way the
 * judge, a small perceptron from the inputs to the logarithm of the error. */
#ifndef SURR_PREDICT_H
#define SURR_PREDICT_H

#include <float.h>
#include <string.h>

#include "dense.h"

#define CHUNK 1024   /* cells encoded, sorted and decoded together; the arrays below are on the stack */
#define SPAN 64      /* cells that go through the layers together */
#define LOG10_E 0x1.bcb7b1526e50ep-2
#define LN_10 0x1.26bb1bbb55516p+1

#define LAYER_SIZE(N_OUT, N_IN) (DENSE_PADDED(N_OUT) * ((N_IN) + 1))
#define IN_ROW DENSE_PADDED(NET_IN)
#define HIDDEN_ROW DENSE_PADDED(NET_WIDTH)
#define OUT_ROW DENSE_PADDED(NET_OUT)
#define JUDGE_ROW DENSE_PADDED(NET_JUDGE_WIDTH)
#define ALIGNED __attribute__((aligned(64)))

_Static_assert(NET_EXPERTS <= 256, "experts are counted in bytes");

enum { ASKED, OUTSIDE, NOT_WORTH_IT };

typedef struct chunk {
    int n;
    const double *y, *dt, *params;
    float x[CHUNK][IN_ROW] ALIGNED;   /* standardised features */
    float out[CHUNK][OUT_ROW] ALIGNED; /* change per variable */
    float log_error[CHUNK];
    double rtol;
    unsigned char skipped[CHUNK];     /* ASKED or why not */
    unsigned char expert[CHUNK];
    short order[CHUNK];               /* cells by expert */
} chunk;

/* Cells first .. first + n - 1 of a span, which one expert takes. */
typedef struct segment {
    int first, n;
    const float *weights;
} segment;

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
    vdouble place[NET_LEVELS] = {0};
    for (int k = 0; k < NET_IN; k++) {
        inside &= (x[k] >= net_lower[k]) & (x[k] <= net_upper[k]);
        for (int level = 0; level < NET_LEVELS; level++) place[level] += net_route[level][k] * x[k];
    }
    inside &= laws_inside(y);
    for (int l = 0; l < SURR_LANES && i + l < c->n; l++) {
        int e = 0;
        for (int level = 0; level < NET_LEVELS; level++) {
            const int n_edge = net_bins[level] - 1;
            const double *edges = net_edges + net_first_edge[level] + e * n_edge;
            int bin = 0;
            while (bin < n_edge && place[level][l] > edges[bin]) bin++;
            e = e * net_bins[level] + bin;
        }
        c->expert[i + l] = (unsigned char)e;
        c->skipped[i + l] = !inside[l] ? OUTSIDE : c->rtol < net_pays_from[e] ? NOT_WORTH_IT : ASKED;
        if (c->skipped[i + l]) {
            memset(c->out[i + l], 0, sizeof c->out[0]);
            c->log_error[i + l] = 0.0f;
        }
        for (int k = 0; k < NET_IN; k++)
            c->x[i + l][k] = (float)((x[k][l] - net_mean[e][k]) * net_inverse_std[e][k]);
    }
}

/* Counting sort by expert of the chunk's cells that are asked; start[e] is where expert e begins. */
static void sort_by_expert(chunk *c, int *start)
{
    for (int e = 0; e <= NET_EXPERTS; e++) start[e] = 0;
    for (int i = 0; i < c->n; i++)
        if (!c->skipped[i]) start[c->expert[i] + 1]++;
    for (int e = 0; e < NET_EXPERTS; e++) start[e + 1] += start[e];
    int next[NET_EXPERTS];
    for (int e = 0; e < NET_EXPERTS; e++) next[e] = start[e];
    for (int i = 0; i < c->n; i++)
        if (!c->skipped[i]) c->order[next[c->expert[i]]++] = (short)i;
}

/* One layer of a span; a function for each shape, as dense() is large. The weights of the layer begin at `offset`. */
#define LAYER(NAME, N_OUT, N_IN, IN_STRIDE)                                                                          \
    static __attribute__((noinline)) void NAME(int n, const segment *s, int64_t offset, const float *in, float *out) \
    {                                                                                                                \
        for (int i = 0; i < n; i++)                                                                                  \
            dense(N_OUT, N_IN, s[i].weights + offset, s[i].n, in + s[i].first * (IN_STRIDE), IN_STRIDE,              \
                  out + s[i].first * DENSE_PADDED(N_OUT));                                                           \
    }
LAYER(layer_in, NET_WIDTH, NET_IN, IN_ROW)
LAYER(layer_hidden, NET_WIDTH, NET_WIDTH, HIDDEN_ROW)
LAYER(layer_out, NET_OUT, NET_WIDTH, HIDDEN_ROW)

LAYER(judge_in, NET_JUDGE_WIDTH, NET_IN, IN_ROW)
LAYER(judge_hidden, NET_JUDGE_WIDTH, NET_JUDGE_WIDTH, JUDGE_ROW)
LAYER(judge_out, 1, NET_JUDGE_WIDTH, JUDGE_ROW)
#if NET_LINEAR
LAYER(layer_linear, NET_OUT, NET_IN, IN_ROW)
#endif

/* The n_cell <= SPAN cells order[0 .. n_cell), sorted by expert. Layer by layer for all experts: the next one starts
 * while the sums of the last are on their way. */
static void evaluate_span(chunk *c, const short *order, int n_cell)
{
    float x[SPAN * IN_ROW] ALIGNED, h[2][SPAN * HIDDEN_ROW] ALIGNED, out[SPAN * OUT_ROW] ALIGNED;
    segment s[SPAN];
    int n = 0;
    for (int i = 0; i < n_cell; i++) {
        const float *weights = surr_net_weights + (int64_t)c->expert[order[i]] * NET_STRIDE;
        if (n == 0 || s[n - 1].weights != weights) s[n++] = (segment){.first = i, .weights = weights};
        s[n - 1].n++;
        memcpy(x + i * IN_ROW, c->x[order[i]], sizeof c->x[0]);
    }
    int64_t at = 0;
    layer_in(n, s, at, x, h[0]);
    dense_silu(n_cell * HIDDEN_ROW, NULL, h[0]);
    at += LAYER_SIZE(NET_WIDTH, NET_IN);
    for (int layer = 0; layer < NET_DEPTH; layer++, at += LAYER_SIZE(NET_WIDTH, NET_WIDTH)) {
        layer_hidden(n, s, at, h[layer & 1], h[~layer & 1]);
        dense_silu(n_cell * HIDDEN_ROW, h[layer & 1], h[~layer & 1]);
    }
    layer_out(n, s, at, h[NET_DEPTH & 1], out);
    at += LAYER_SIZE(NET_OUT, NET_WIDTH);
#if NET_LINEAR
    float linear[SPAN * OUT_ROW] ALIGNED;
    layer_linear(n, s, at, x, linear);
    dense_add(n_cell * OUT_ROW, linear, out);
    at += LAYER_SIZE(NET_OUT, NET_IN);
#endif
    float g[2][SPAN * JUDGE_ROW] ALIGNED, log_error[SPAN * DENSE_PADDED(1)] ALIGNED;
    judge_in(n, s, at, x, g[0]);
    dense_silu(n_cell * JUDGE_ROW, NULL, g[0]);
    at += LAYER_SIZE(NET_JUDGE_WIDTH, NET_IN);
    for (int layer = 0; layer < NET_JUDGE_DEPTH; layer++, at += LAYER_SIZE(NET_JUDGE_WIDTH, NET_JUDGE_WIDTH)) {
        judge_hidden(n, s, at, g[layer & 1], g[~layer & 1]);
        dense_silu(n_cell * JUDGE_ROW, g[layer & 1], g[~layer & 1]);
    }
    judge_out(n, s, at, g[NET_JUDGE_DEPTH & 1], log_error);
    for (int i = 0; i < n_cell; i++) {
        memcpy(c->out[order[i]], out + i * OUT_ROW, sizeof c->out[0]);
        c->log_error[order[i]] = log_error[i * DENSE_PADDED(1)];
    }
}

/* Spans of whole experts as far as they fit: cells left over by a full group cost more. */
static void evaluate_chunk(chunk *c, const int *start)
{
    int first = 0, end = 0;
    for (int e = 0; e < NET_EXPERTS; e++) {
        if (start[e + 1] - first > SPAN && end > first) {
            evaluate_span(c, c->order + first, end - first);
            first = end;
        }
        for (; start[e + 1] - first > SPAN; first += SPAN) evaluate_span(c, c->order + first, SPAN);
        end = start[e + 1];
    }
    if (end > first) evaluate_span(c, c->order + first, end - first);
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
    const vdouble least = NET_FRACTION_FLOOR * total_density(y); /* what the net takes traces for */
    for (int k = 0; k < N_STATE; k++) {
        vdouble change;
        for (int l = 0; l < SURR_LANES; l++) {
            const int cell = i + l < c->n ? i + l : c->n - 1;
            change[l] = c->out[cell][k];
        }
        change *= gate;
        if (!net_is_log[k]) {
            y[k] += change;
            continue;
        }
        const vdouble factor = vd_exp(LN_10 * change), own = y[k];
        y[k] = own * factor;
        if (in_total[k])
            y[k] = vd_select(own < least, vd_max(own + least * (factor - 1.0), vd_set(0.0)), y[k]);
    }
    vmask good = restore(invariant, y);
    vdouble predicted, sum = vd_set(0.0);
    for (int l = 0; l < SURR_LANES; l++) predicted[l] = c->log_error[i + l < c->n ? i + l : c->n - 1];
    for (int k = 0; k < N_STATE; k++) sum += y[k];
    good &= vd_isfinite(sum) & vd_isfinite(predicted);
    const vdouble bound = vd_select(good, vd_exp(LN_10 * calibrated(predicted)), vd_set(FLT_MAX));
    for (int l = 0; l < SURR_LANES && i + l < c->n; l++) {
        for (int k = 0; k < N_STATE; k++) end[(i + l) * N_STATE + k] = y[k][l];
        error[i + l] = c->skipped[i + l] == OUTSIDE ? INFINITY : c->skipped[i + l] ? -1.0f : (float)bound[l];
    }
}

static void predict(double rtol, int64_t n, const double *y, const double *dt, const double *params, double *end,
                    float *error)
{
    chunk c;
    c.rtol = rtol;
    int start[NET_EXPERTS + 1];
    for (int64_t first = 0; first < n; first += CHUNK) {
        c.n = n - first < CHUNK ? (int)(n - first) : CHUNK;
        c.y = y + first * N_STATE;
        c.dt = dt + first;
        c.params = params + first * N_PARAM;
        for (int i = 0; i < c.n; i += SURR_LANES) encode(&c, i);
        sort_by_expert(&c, start);
        evaluate_chunk(&c, start);
        for (int i = 0; i < c.n; i += SURR_LANES) decode(&c, i, end + first * N_STATE, error + first);
    }
}

#endif
