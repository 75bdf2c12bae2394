/* The net of a model: from cells and time steps to new cells and the error to expect.
 *
 * Include after the mechanism, solver.h and the generated net.h. Cells are encoded in lanes of doubles and sorted by
 * the region they lie in. Each region has three perceptrons: a tiny one, the gauge, says how many attempts the solver
 * would need; a small one, the judge, what error the net would make; the expert is the net. Each sees only the cells
 * that the one before has left, in single precision; what the expert says is decoded in lanes of doubles, where the
 * invariants are restored as in the solver. A cell's result depends on that cell alone. The same steps in Python:
 * training/encoding.py, training/nets.py.
 *
 * The weights of a region are those of gauge, judge and expert; layers as dense.h wants them, one after the other:
 * in, residual ones, out; after those of the expert its linear part where there is one, a layer from the inputs to the
 * outputs without activation. */
#ifndef SURR_PREDICT_H
#define SURR_PREDICT_H

#include <float.h>
#include <string.h>

#include "dense.h"

#define CHUNK   1024 /* cells encoded, sorted and decoded together; the arrays below are on the stack */
#define SPAN    64   /* cells that go through the layers together */
#define LOG10_E 0x1.bcb7b1526e50ep-2
#define LN_10   0x1.26bb1bbb55516p+1

#define LAYER_SIZE(N_OUT, N_IN) (DENSE_PADDED(N_OUT) * ((N_IN) + 1))
#define IN_ROW                  DENSE_PADDED(NET_IN)
#define HIDDEN_ROW              DENSE_PADDED(NET_WIDTH)
#define OUT_ROW                 DENSE_PADDED(NET_OUT)
#define ALIGNED                 __attribute__((aligned(64)))

#define PERCEPTRON_SIZE(N_IN, WIDTH, DEPTH, N_OUT) \
    (LAYER_SIZE(WIDTH, N_IN) + (DEPTH) * LAYER_SIZE(WIDTH, WIDTH) + LAYER_SIZE(N_OUT, WIDTH))
#define GAUGE_SIZE  PERCEPTRON_SIZE(NET_IN, NET_GAUGE_WIDTH, NET_GAUGE_DEPTH, 1)
#define JUDGE_SIZE  PERCEPTRON_SIZE(NET_IN, NET_JUDGE_WIDTH, NET_JUDGE_DEPTH, 1)
#define EXPERT_SIZE PERCEPTRON_SIZE(NET_IN, NET_WIDTH, NET_DEPTH, NET_OUT)

_Static_assert(NET_EXPERTS <= 256, "experts are counted in bytes");
_Static_assert(NET_STRIDE == GAUGE_SIZE + JUDGE_SIZE + EXPERT_SIZE + NET_LINEAR * LAYER_SIZE(NET_OUT, NET_IN),
               "weights of a region");

enum { ASKED, OUTSIDE, CHEAP, DOUBTED };

typedef struct chunk {
    int n;
    double rtol;
    const double *y, *dt, *params;
    float x[CHUNK][IN_ROW] ALIGNED;              /* standardised features */
    float out[CHUNK][OUT_ROW] ALIGNED;           /* change per variable, of the cells that are asked */
    float log_attempts[CHUNK], log_error[CHUNK]; /* what gauge and judge say, log10 */
    unsigned char skipped[CHUNK];                /* ASKED or why not */
    short why[CHUNK];                            /* of cells that are OUTSIDE: a reason as in surr_work_outside */
    unsigned char expert[CHUNK];
    int start[NET_EXPERTS + 1]; /* in `order`, where the cells of each expert begin */
    short order[CHUNK];         /* cells that are asked, by expert */
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

/* Whether features are in the box of the training cells of their part of the domain: training/domain.py. */
static inline vmask parts_inside(const vdouble *x)
{
    vmask inside = ~(vmask){0};
    vint64 node = {0};
    for (int left = NET_CUTS; left > 0; left /= 2) {
        vdouble value = vd_set(0.0);
        const vdouble cut = vd_gather(net_cut_value, node);
        for (int l = 0; l < SURR_LANES; l++) value[l] = x[net_cut_feature[node[l]]][l];
        node = 2 * node + 1 - (value > cut); /* true is -1 */
    }
    node = (node - NET_CUTS) * NET_IN;
    for (int k = 0; k < NET_IN; k++)
        inside &= (x[k] >= vd_gather(net_part_lower[0] + k, node)) & (x[k] <= vd_gather(net_part_upper[0] + k, node));
    return inside;
}

/* Why cell i, lane l of these features, is outside: the first reason, counted as in surr_work_outside. */
static short reason_of(const chunk *c, int i, int l, const vdouble *x, vdouble total, vmask laws)
{
    for (int k = 0; k < N_PARAM; k++)
        if (!(fabs(c->params[(int64_t)i * N_PARAM + k] - net_param[k]) <= 1e-9 * fabs(net_param[k])))
            return 4 + N_STATE + k;
    for (int k = 0; k < NET_IN; k++)
        if (!(x[k][l] >= net_lower[k] && x[k][l] <= net_upper[k])) return k + 1 + (k >= N_STATE && !NET_HAS_TOTAL);
    for (int k = 0; k < N_STATE; k++)
        if (c->y[(int64_t)i * N_STATE + k] < net_least[k] * total[l]) return k + 1;
    return laws[l] ? 0 : 3 + N_STATE;
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
    for (int k = 0; k < N_STATE; k++) inside &= y[k] >= net_least[k] * total;
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
    const vmask laws = laws_inside(y);
    inside &= laws & parts_inside(x);
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
        c->skipped[i + l] = inside[l] ? ASKED : OUTSIDE;
        if (!inside[l]) c->why[i + l] = reason_of(c, i + l, l, x, total, laws);
        for (int k = 0; k < NET_IN; k++) c->x[i + l][k] = (float)((x[k][l] - net_mean[e][k]) * net_inverse_std[e][k]);
    }
}

/* Counting sort by expert of the cells that are asked. */
static void sort_by_expert(chunk *c)
{
    int next[NET_EXPERTS], *start = c->start;
    for (int e = 0; e <= NET_EXPERTS; e++) start[e] = 0;
    for (int i = 0; i < c->n; i++)
        if (c->skipped[i] == ASKED) start[c->expert[i] + 1]++;
    for (int e = 0; e < NET_EXPERTS; e++) start[e + 1] += start[e];
    for (int e = 0; e < NET_EXPERTS; e++) next[e] = start[e];
    for (int i = 0; i < c->n; i++)
        if (c->skipped[i] == ASKED) c->order[next[c->expert[i]]++] = (short)i;
}

/* One layer of a span; a function for each shape, as dense() is large. The weights of the layer begin at `offset`. */
#define LAYER(NAME, N_OUT, N_IN, IN_STRIDE)                                                                          \
    static __attribute__((noinline)) void NAME(int n, const segment *s, int64_t offset, const float *in, float *out) \
    {                                                                                                                \
        for (int i = 0; i < n; i++)                                                                                  \
            dense(N_OUT, N_IN, s[i].weights + offset, s[i].n, in + s[i].first * (IN_STRIDE), IN_STRIDE,              \
                  out + s[i].first * DENSE_PADDED(N_OUT));                                                           \
    }

/* A perceptron of n_cell cells in n segments, its weights from `at` on. Layer by layer for all segments: the next
 * starts while the sums of the last are on their way. */
#define PERCEPTRON(NAME, WIDTH, DEPTH, N_OUT)                                                     \
    LAYER(NAME##_in, WIDTH, NET_IN, IN_ROW)                                                       \
    LAYER(NAME##_hidden, WIDTH, WIDTH, DENSE_PADDED(WIDTH))                                       \
    LAYER(NAME##_out, N_OUT, WIDTH, DENSE_PADDED(WIDTH))                                          \
    static void NAME(int n, const segment *s, int64_t at, int n_cell, const float *x, float *out) \
    {                                                                                             \
        float h[2][SPAN * DENSE_PADDED(WIDTH)] ALIGNED;                                           \
        NAME##_in(n, s, at, x, h[0]);                                                             \
        dense_silu(n_cell * DENSE_PADDED(WIDTH), NULL, h[0]);                                     \
        at += LAYER_SIZE(WIDTH, NET_IN);                                                          \
        for (int layer = 0; layer < (DEPTH); layer++, at += LAYER_SIZE(WIDTH, WIDTH)) {           \
            NAME##_hidden(n, s, at, h[layer & 1], h[~layer & 1]);                                 \
            dense_silu(n_cell * DENSE_PADDED(WIDTH), h[layer & 1], h[~layer & 1]);                \
        }                                                                                         \
        NAME##_out(n, s, at, h[(DEPTH) & 1], out);                                                \
    }
PERCEPTRON(gauge, NET_GAUGE_WIDTH, NET_GAUGE_DEPTH, 1)
PERCEPTRON(judge, NET_JUDGE_WIDTH, NET_JUDGE_DEPTH, 1)
PERCEPTRON(expert, NET_WIDTH, NET_DEPTH, NET_OUT)
#if NET_LINEAR
LAYER(expert_linear, NET_OUT, NET_IN, IN_ROW)
#endif

/* Packs the features of the n_cell <= SPAN cells order[0 .. n_cell), which are sorted by expert; returns the number of
 * segments. */
static int gather_span(const chunk *c, const short *order, int n_cell, float *x, segment *s)
{
    int n = 0;
    for (int i = 0; i < n_cell; i++) {
        const float *weights = surr_net_weights + (int64_t)c->expert[order[i]] * NET_STRIDE;
        if (n == 0 || s[n - 1].weights != weights) s[n++] = (segment){.first = i, .weights = weights};
        s[n - 1].n++;
        memcpy(x + i * IN_ROW, c->x[order[i]], sizeof c->x[0]);
    }
    return n;
}

static void gauge_span(chunk *c, const short *order, int n_cell)
{
    float x[SPAN * IN_ROW] ALIGNED, out[SPAN * DENSE_PADDED(1)] ALIGNED;
    segment s[SPAN];
    gauge(gather_span(c, order, n_cell, x, s), s, 0, n_cell, x, out);
    for (int i = 0; i < n_cell; i++) c->log_attempts[order[i]] = out[i * DENSE_PADDED(1)];
}

static void judge_span(chunk *c, const short *order, int n_cell)
{
    float x[SPAN * IN_ROW] ALIGNED, out[SPAN * DENSE_PADDED(1)] ALIGNED;
    segment s[SPAN];
    judge(gather_span(c, order, n_cell, x, s), s, GAUGE_SIZE, n_cell, x, out);
    for (int i = 0; i < n_cell; i++) c->log_error[order[i]] = out[i * DENSE_PADDED(1)];
}

static void evaluate_span(chunk *c, const short *order, int n_cell)
{
    float x[SPAN * IN_ROW] ALIGNED, out[SPAN * OUT_ROW] ALIGNED;
    segment s[SPAN];
    const int n = gather_span(c, order, n_cell, x, s);
    expert(n, s, GAUGE_SIZE + JUDGE_SIZE, n_cell, x, out);
#if NET_LINEAR
    float linear[SPAN * OUT_ROW] ALIGNED;
    expert_linear(n, s, GAUGE_SIZE + JUDGE_SIZE + EXPERT_SIZE, x, linear);
    dense_add(n_cell * OUT_ROW, linear, out);
#endif
    for (int i = 0; i < n_cell; i++) memcpy(c->out[order[i]], out + i * OUT_ROW, sizeof c->out[0]);
}

/* Hands out spans, of whole experts as far as they fit: cells left over by a full group cost more. */
static inline void in_spans(chunk *c, void (*take)(chunk *c, const short *order, int n_cell))
{
    const int *start = c->start;
    int first = 0, end = 0;
    for (int e = 0; e < NET_EXPERTS; e++) {
        if (start[e + 1] - first > SPAN && end > first) {
            take(c, c->order + first, end - first);
            first = end;
        }
        for (; start[e + 1] - first > SPAN; first += SPAN) take(c, c->order + first, SPAN);
        end = start[e + 1];
    }
    if (end > first) take(c, c->order + first, end - first);
}

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
    const vdouble bound = calibrated(log_error);
    for (int l = 0; l < n; l++) {
        error[order[l]] = (float)bound[l];
        if (!(bound[l] <= c->rtol)) c->skipped[order[l]] = DOUBTED;
    }
}

/* What the expected error of a prediction is multiplied by. It does not shrink with the step as that of a solver does,
 * so many short steps would add up many errors: where no variable changes by NET_CHANGE e-folds, minor species apart,
 * it is taken relative to the change. */
static inline vdouble per_change(const vdouble *start, const vdouble *end)
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

/* New cells from the changes of cells order[0 .. n), n <= lanes, and what they may be trusted with. */
static void decode(const chunk *c, const short *order, int n, double *end, float *error)
{
    vdouble y[N_STATE], start[N_STATE], invariant[N_CONSERVED + 1], dt, log_error;
    short cell[SURR_LANES];
    for (int l = 0; l < SURR_LANES; l++) {
        cell[l] = order[l < n ? l : n - 1];
        dt[l] = c->dt[cell[l]];
        log_error[l] = c->log_error[cell[l]];
    }
    const vdouble gate = dt / (dt + 0.1 * NET_DT_LOWER);
    for (int k = 0; k < N_STATE; k++)
        for (int l = 0; l < SURR_LANES; l++) y[k][l] = c->y[cell[l] * N_STATE + k];
    memcpy(start, y, sizeof start);
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
    vmask good = restore(invariant, y);
    vdouble sum = vd_set(0.0);
    for (int k = 0; k < N_STATE; k++) sum += y[k];
    good &= vd_isfinite(sum);
    if (c->rtol != INFINITY) log_error += LOG10_E * vd_log(per_change(start, y)); /* infinite: nobody else is asked */
    const vdouble bound = calibrated(log_error);
    for (int l = 0; l < n; l++) {
        for (int k = 0; k < N_STATE; k++) end[cell[l] * N_STATE + k] = y[k][l];
        error[cell[l]] = good[l] ? (float)bound[l] : FLT_MAX;
    }
}

static inline int lanes_left(int i, int n) { return n - i < SURR_LANES ? n - i : SURR_LANES; }

static void predict(double rtol, int64_t n, const double *y, const double *dt, const double *params, double *end,
                    float *error, float *attempts)
{
    chunk c;
    c.rtol = rtol;
    for (int64_t first = 0; first < n; first += CHUNK) {
        c.n = n - first < CHUNK ? (int)(n - first) : CHUNK;
        c.y = y + first * N_STATE;
        c.dt = dt + first;
        c.params = params + first * N_PARAM;
        for (int i = 0; i < c.n; i += SURR_LANES) encode(&c, i);
        sort_by_expert(&c);
        in_spans(&c, gauge_span);
        for (int i = 0; i < c.n; i += SURR_LANES) settle_cost(&c, i, error + first, attempts + first);
        sort_by_expert(&c);
        in_spans(&c, judge_span);
        for (int i = 0, n_asked = c.start[NET_EXPERTS]; i < n_asked; i += SURR_LANES)
            settle_error(&c, c.order + i, lanes_left(i, n_asked), error + first);
        sort_by_expert(&c);
        in_spans(&c, evaluate_span);
        for (int i = 0, n_asked = c.start[NET_EXPERTS]; i < n_asked; i += SURR_LANES)
            decode(&c, c.order + i, lanes_left(i, n_asked), end + first * N_STATE, error + first);
    }
}

#endif
