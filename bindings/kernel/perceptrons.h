/* The perceptrons of a region: gauge, judge and expert, layer by layer for the cells of a span. The weights of a region
 * are those of gauge, judge and expert; layers as dense.h wants them, one after the other: in, residual ones, out; after
 * those of the expert its linear part where there is one, a layer from the inputs to the outputs without activation. */
#ifndef SURR_PERCEPTRONS_H
#define SURR_PERCEPTRONS_H
#include "chunk.h"

#include <string.h>

#define LAYER_SIZE(N_OUT, N_IN) (DENSE_PADDED(N_OUT) * ((N_IN) + 1))

#define PERCEPTRON_SIZE(N_IN, WIDTH, DEPTH, N_OUT) \
    (LAYER_SIZE(WIDTH, N_IN) + (DEPTH) * LAYER_SIZE(WIDTH, WIDTH) + LAYER_SIZE(N_OUT, WIDTH))
#define GAUGE_SIZE  PERCEPTRON_SIZE(NET_IN, NET_GAUGE_WIDTH, NET_GAUGE_DEPTH, 1)
#define JUDGE_SIZE  PERCEPTRON_SIZE(NET_IN, NET_JUDGE_WIDTH, NET_JUDGE_DEPTH, 1)
#define EXPERT_SIZE PERCEPTRON_SIZE(NET_IN, NET_WIDTH, NET_DEPTH, NET_OUT)

_Static_assert(NET_STRIDE == GAUGE_SIZE + JUDGE_SIZE + EXPERT_SIZE + NET_LINEAR * LAYER_SIZE(NET_OUT, NET_IN),
               "weights of a region");

/* Cells first .. first + n - 1 of a span, which one expert takes. */
typedef struct segment {
    int first, n;
    const float *weights;
} segment;

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

#endif
