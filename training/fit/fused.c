/* Gradient of the training loss of stacked residual perceptrons, every expert on samples of its own.
 *
 * All that a few samples need stays in the caches: a tile of TILE samples goes forward and back through all layers
 * before the next. Matrices are in C order, as PyTorch holds them; lanes are the columns of a result.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vecmathf.h"

#define TILE       64
#define ROWS       8
#define MAX_LAYERS 16
#define LANES      SURR_FLANES
#define UNROLL     _Pragma("GCC unroll 16")

typedef struct {
    int32_t n_in, width, depth, n_out;
    int32_t batch; /* samples per expert */
    float beta;
    const float *inputs, *target, *counts;       /* (n, n_in), (n, n_out) twice, of all samples */
    const int64_t *rows;                         /* (n_experts, batch): which samples */
    const float *out_std;                        /* (n_experts, n_out) */
    const float *const *weights, *const *biases; /* depth + 2 stacks (n_experts, rows, columns) */
    float *const *d_weights, *const *d_biases;   /* gradients, written */
} fused_problem;

/* c[m][n] = (or +=) sum_k a[m a_row + k a_column] b[k][n] for `rows` m and `vectors` vfloats of n. */
SURR_INLINE void corner(int rows, int vectors, int n_k, const float *a, long a_row, long a_column, const float *b,
                        long b_row, float *c, long c_row, int add)
{
    vfloat sum[ROWS][2];
    UNROLL for (int m = 0; m < rows; m++)
        UNROLL for (int v = 0; v < vectors; v++)
            sum[m][v] = add ? vf_loadu(c + m * c_row + v * LANES) : vf_set(0);
    for (int k = 0; k < n_k; k++) {
        vfloat line[2];
        UNROLL for (int v = 0; v < vectors; v++)
            line[v] = vf_loadu(b + k * b_row + v * LANES);
        UNROLL for (int m = 0; m < rows; m++) {
            vfloat factor = vf_set(a[m * a_row + k * a_column]);
            UNROLL for (int v = 0; v < vectors; v++)
                sum[m][v] = vf_fma(factor, line[v], sum[m][v]);
        }
    }
    UNROLL for (int m = 0; m < rows; m++)
        UNROLL for (int v = 0; v < vectors; v++)
            vf_storeu(c + m * c_row + v * LANES, sum[m][v]);
}

/* The whole of it; n_n is a multiple of LANES. */
static void product(int n_m, int n_n, int n_k, const float *a, long a_row, long a_column, const float *b, long b_row,
                    float *c, long c_row, int add)
{
    for (int n = 0; n < n_n;) {
        int two = n + 2 * LANES <= n_n, m = 0;
        for (; m + ROWS <= n_m; m += ROWS)
            if (two)
                corner(ROWS, 2, n_k, a + m * a_row, a_row, a_column, b + n, b_row, c + m * c_row + n, c_row, add);
            else
                corner(ROWS, 1, n_k, a + m * a_row, a_row, a_column, b + n, b_row, c + m * c_row + n, c_row, add);
        for (; m < n_m; m++)
            if (two)
                corner(1, 2, n_k, a + m * a_row, a_row, a_column, b + n, b_row, c + m * c_row + n, c_row, add);
            else
                corner(1, 1, n_k, a + m * a_row, a_row, a_column, b + n, b_row, c + m * c_row + n, c_row, add);
        n += (1 + two) * LANES;
    }
}

static void transpose(int n_row, int n_column, const float *a, long a_row, float *out, long out_row)
{
    for (int i = 0; i < n_row; i++)
        for (int j = 0; j < n_column; j++)
            out[j * out_row + i] = a[i * a_row + j];
}

/* out[n] += sum_m a[m][n] */
static void add_rows(int n_m, int n_n, const float *a, float *out)
{
    for (int m = 0; m < n_m; m++)
        for (int n = 0; n < n_n; n++)
            out[n] += a[m * n_n + n];
}

/* h = (residual +) silu(z + bias), slope = silu'(z + bias), for n_m rows of n_n; z may be h. */
static void activate(int n_m, int n_n, const float *bias, const float *residual, const float *z, float *h,
                     float *slope)
{
    const vfloat one = vf_set(1);
    for (int m = 0; m < n_m; m++)
        for (int n = 0; n < n_n; n += LANES) {
            long i = (long)m * n_n + n;
            vfloat x = vf_loadu(z + i) + vf_loadu(bias + n), s = vf_sigmoid(x), f = x * s;
            vf_storeu(slope + i, s + f * (one - s));
            vf_storeu(h + i, residual ? f + vf_loadu(residual + i) : f);
        }
}

/* Loss of one sample and, in g, its derivative by the n outputs y. */
static double sample_loss(const fused_problem *p, int n, const float *y, const float *target, const float *counts,
                          const float *out_std, float *g)
{
    double loss = 0;
    for (int k = 0; k < n; k++) {
        float error = (y[k] * out_std[k] - target[k]) * counts[k], size = fabsf(error);
        loss += size < p->beta ? 0.5f * size * size / p->beta : size - 0.5f * p->beta;
        float slope = size < p->beta ? error / p->beta : copysignf(1, error);
        g[k] = slope * out_std[k] * counts[k];
    }
    return loss;
}

static long multiple(long n)
{
    return (n + LANES - 1) / LANES * LANES;
}

/* Floats of scratch space. */
int64_t fused_scratch(const fused_problem *p)
{
    long w = p->width, out = multiple(p->n_out), d = p->depth;
    return TILE * ((2 * d + 4) * w + p->n_in + 2 * out + 2 * p->n_out) + (d + 1) * w * (long)w + 3 * w * out;
}

/* Gradients of experts first, ..., last - 1, divided by the batch; returns their loss, not divided.
 * scratch: fused_scratch() floats of this thread. The width is to be a multiple of LANES (fused_lanes()). */
double fused_gradient(const fused_problem *p, int32_t first, int32_t last, float *scratch)
{
    const int n_in = p->n_in, w = p->width, depth = p->depth, n_out = p->n_out, n_last = (int)multiple(n_out);
    float *place = scratch;
#define TAKE(n) (place += (n), place - (n))
    float *h = TAKE((long)(depth + 1) * TILE * w), *slope = TAKE((long)(depth + 1) * TILE * w);
    float *z = TAKE((long)TILE * w), *dh = TAKE((long)TILE * w), *x = TAKE(TILE * n_in);
    float *y = TAKE(TILE * n_last), *g = TAKE(TILE * n_last);
    float *target = TAKE(TILE * n_out), *counts = TAKE(TILE * n_out);
    float *turned = TAKE((long)depth * w * w), *last_w = TAKE((long)w * n_last), *last_turned = TAKE((long)n_last * w);
    float *d_last = TAKE((long)w * n_last);
#undef TAKE
    const long tile_size = (long)TILE * w;
    const float share = 1.0f / (float)p->batch;
    double loss = 0;
    for (int e = first; e < last; e++) {
        const float *weight[MAX_LAYERS], *bias[MAX_LAYERS];
        float *d_weight[MAX_LAYERS], *d_bias[MAX_LAYERS];
        for (int k = 0; k < depth + 2; k++) {
            long rows = k == 0 ? n_in : w, columns = k == depth + 1 ? n_out : w;
            weight[k] = p->weights[k] + e * rows * columns, bias[k] = p->biases[k] + e * columns;
            d_weight[k] = p->d_weights[k] + e * rows * columns, d_bias[k] = p->d_biases[k] + e * columns;
            memset(d_weight[k], 0, (size_t)(rows * columns) * sizeof(float));
            memset(d_bias[k], 0, (size_t)columns * sizeof(float));
        }
        for (int k = 1; k <= depth; k++)
            transpose(w, w, weight[k], w, turned + (long)(k - 1) * w * w, w);
        memset(last_w, 0, (size_t)w * n_last * sizeof(float));
        memset(d_last, 0, (size_t)w * n_last * sizeof(float));
        for (int i = 0; i < w; i++)
            memcpy(last_w + i * n_last, weight[depth + 1] + i * n_out, (size_t)n_out * sizeof(float));
        transpose(w, n_out, weight[depth + 1], n_out, last_turned, w);
        const float *out_std = p->out_std + (long)e * n_out;

        for (int start = 0; start < p->batch; start += TILE) {
            const int n = p->batch - start < TILE ? p->batch - start : TILE;
            const int64_t *rows = p->rows + (long)e * p->batch + start;
            for (int m = 0; m < n; m++) {
                memcpy(x + m * n_in, p->inputs + rows[m] * n_in, (size_t)n_in * sizeof(float));
                memcpy(target + m * n_out, p->target + rows[m] * n_out, (size_t)n_out * sizeof(float));
                memcpy(counts + m * n_out, p->counts + rows[m] * n_out, (size_t)n_out * sizeof(float));
            }
            product(n, w, n_in, x, n_in, 1, weight[0], w, z, w, 0);
            activate(n, w, bias[0], NULL, z, h, slope);
            for (int k = 1; k <= depth; k++) {
                product(n, w, w, h + (k - 1) * tile_size, w, 1, weight[k], w, z, w, 0);
                activate(n, w, bias[k], h + (k - 1) * tile_size, z, h + k * tile_size, slope + k * tile_size);
            }
            product(n, n_last, w, h + depth * tile_size, w, 1, last_w, n_last, y, n_last, 0);
            for (int m = 0; m < n; m++) {
                for (int k = 0; k < n_out; k++)
                    y[m * n_last + k] += bias[depth + 1][k];
                loss += sample_loss(p, n_out, y + m * n_last, target + m * n_out, counts + m * n_out, out_std,
                                    g + m * n_last);
                for (int k = 0; k < n_out; k++) {
                    g[m * n_last + k] *= share;
                    d_bias[depth + 1][k] += g[m * n_last + k];
                }
                memset(g + m * n_last + n_out, 0, (size_t)(n_last - n_out) * sizeof(float));
            }
            product(w, n_last, n, h + depth * tile_size, 1, w, g, n_last, d_last, n_last, 1);
            product(n, w, n_out, g, n_last, 1, last_turned, w, dh, w, 0);
            for (int k = depth; k >= 1; k--) {
                float *dz = slope + k * tile_size;
                for (long i = 0; i < (long)n * w; i += LANES)
                    vf_storeu(dz + i, vf_loadu(dz + i) * vf_loadu(dh + i));
                product(w, w, n, h + (k - 1) * tile_size, 1, w, dz, w, d_weight[k], w, 1);
                add_rows(n, w, dz, d_bias[k]);
                product(n, w, w, dz, w, 1, turned + (long)(k - 1) * w * w, w, dh, w, 1);
            }
            for (long i = 0; i < (long)n * w; i += LANES)
                vf_storeu(slope + i, vf_loadu(slope + i) * vf_loadu(dh + i));
            product(n_in, w, n, x, 1, n_in, slope, w, d_weight[0], w, 1);
            add_rows(n, w, slope, d_bias[0]);
        }
        for (int i = 0; i < w; i++)
            memcpy(d_weight[depth + 1] + i * n_out, d_last + i * n_last, (size_t)n_out * sizeof(float));
    }
    return loss;
}

int32_t fused_lanes(void)
{
    return LANES;
}

/* Layers, the first and the last counted, that fused_gradient takes at most. */
int32_t fused_max_layers(void)
{
    return MAX_LAYERS;
}
