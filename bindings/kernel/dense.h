/* Layers of a small neural net for some cells: out = weights in + bias.
 *
 * The lanes are the outputs of a layer, so that one cell is enough to fill them, and weights are read in the order in
 * which they are stored. A cell is a row of numbers: in[cell*in_stride + i], i < n_in, and
 * out[cell*DENSE_PADDED(n_out) + o]; outputs beyond n_out are what the padding gives.
 *
 * A layer is float[n_panel][n_in + 1][DENSE_PANEL]: for every DENSE_PANEL outputs the bias, then for each input its
 * weights; missing outputs are zeros. Nothing need be aligned, but a layer should begin on a cache line.
 *
 * n_out and n_in are to be compile-time constants. A cell's result depends on that cell alone, bit for bit: each output
 * is bias + w[0] in[0] + w[1] in[1] + ... summed in this order, by the same instructions for any number of cells.
 *
 * Residual layer, h1 = h0 + silu(weights h0 + bias), of n cells:
 *
 *     dense(96, 96, layer, n, h0, 96, h1);
 *     dense_silu(n * DENSE_PADDED(96), h0, h1);
 *
 * What this reaches of the multiply-add peak: benchmarks/net_kernel.py; what else was tried: bindings/NOTES.md. */
#ifndef SURR_DENSE_H
#define SURR_DENSE_H

#include "vecmathf.h"

/* n outputs in whole panels, and a panel in whole vectors of any width */
#define DENSE_PANEL     16
#define DENSE_PADDED(N) (((N) + DENSE_PANEL - 1) / DENSE_PANEL * DENSE_PANEL)

/* DENSE_VECTORS vectors of outputs of DENSE_CELLS cells are summed in registers at a time: 28 sums of 32 registers with
 * AVX-512, 12 of 16 elsewhere. Of fewer cells more outputs. */
#if defined SURR_AVX512
#define DENSE_CELLS          14
#define DENSE_VECTORS        2
#define DENSE_VECTORS_OF_FEW 6
#else
#define DENSE_CELLS          4
#define DENSE_VECTORS        3
#define DENSE_VECTORS_OF_FEW 3
#endif

/* Unrolls completely; clang 14 does not, if told the large number that gcc wants. */
#ifdef __clang__
#define DENSE_UNROLL _Pragma("clang loop unroll(full)")
#else
#define DENSE_UNROLL _Pragma("GCC unroll 16")
#endif

/* Vectors first .. first + n_vector - 1 of the outputs of n_cell cells. */
SURR_INLINE void dense_tile(int n_cell, int first, int n_vector, int n_out, int n_in, const float *layer,
                            const float *in, int in_stride, float *out)
{
    vfloat sum[DENSE_CELLS][2 * DENSE_VECTORS_OF_FEW], weights[2 * DENSE_VECTORS_OF_FEW];
    const float *column[2 * DENSE_VECTORS_OF_FEW];
    DENSE_UNROLL for (int v = 0; v < n_vector; v++)
    {
        const int o = (first + v) * SURR_FLANES;
        column[v] = layer + o / DENSE_PANEL * DENSE_PANEL * (n_in + 1) + o % DENSE_PANEL;
        DENSE_UNROLL for (int c = 0; c < n_cell; c++) sum[c][v] = vf_loadu(column[v]);
    }

    _Pragma("GCC unroll 2") for (int i = 0; i < n_in; i++)
    {
        DENSE_UNROLL for (int v = 0; v < n_vector; v++) weights[v] = vf_loadu(column[v] + (i + 1) * DENSE_PANEL);
        DENSE_UNROLL for (int c = 0; c < n_cell; c++)
        {
            const vfloat x = vf_set(in[c * in_stride + i]);
            DENSE_UNROLL for (int v = 0; v < n_vector; v++) sum[c][v] = vf_fma(x, weights[v], sum[c][v]);
        }
    }

    DENSE_UNROLL for (int c = 0; c < n_cell; c++) DENSE_UNROLL for (int v = 0; v < n_vector; v++)
        vf_storeu(out + c * DENSE_PADDED(n_out) + (first + v) * SURR_FLANES, sum[c][v]);
}

/* All outputs of n_cell cells, at most `most` vectors at a time: as few tiles as possible, and all but the last alike.
 */
SURR_INLINE void dense_group(int n_cell, int most, int n_out, int n_in, const float *layer, const float *in,
                             int in_stride, float *out)
{
    const int n_vector = DENSE_PADDED(n_out) / SURR_FLANES;
    const int n_tile = (n_vector + most - 1) / most, each = (n_vector + n_tile - 1) / n_tile, last = n_vector % each;
    for (int v = 0; v < n_vector - last; v += each) dense_tile(n_cell, v, each, n_out, n_in, layer, in, in_stride, out);
    if (last) dense_tile(n_cell, n_vector - last, last, n_out, n_in, layer, in, in_stride, out);
}

/* out = weights in + bias for n cells; out must not overlap in. */
SURR_INLINE void dense(int n_out, int n_in, const float *layer, int n, const float *in, int in_stride, float *out)
{
    const int stride = DENSE_PADDED(n_out);
    for (; n >= DENSE_CELLS; n -= DENSE_CELLS, in += DENSE_CELLS * in_stride, out += DENSE_CELLS * stride)
        dense_group(DENSE_CELLS, DENSE_VECTORS, n_out, n_in, layer, in, in_stride, out);
    for (; n >= 4; n -= 4, in += 4 * in_stride, out += 4 * stride)
        dense_group(4, DENSE_VECTORS_OF_FEW, n_out, n_in, layer, in, in_stride, out);
    if (n == 3) dense_group(3, DENSE_VECTORS_OF_FEW, n_out, n_in, layer, in, in_stride, out);
    if (n == 2) dense_group(2, DENSE_VECTORS_OF_FEW, n_out, n_in, layer, in, in_stride, out);
    if (n == 1) dense_group(1, 2 * DENSE_VECTORS_OF_FEW, n_out, n_in, layer, in, in_stride, out);
}

/* n numbers x, a multiple of SURR_FLANES, become f(x), or residual + f(x) where residual is not NULL; it may not
 * overlap x.
 *
 * Functions, called once per layer, because gcc 12 would otherwise hold the coefficients of f in registers during the
 * loops above and the sums in memory. */
#define DENSE_EPILOGUE(NAME, F)                                                                                     \
    __attribute__((noinline, unused)) static void NAME(int n, const float *residual, float *x)                      \
    {                                                                                                               \
        if (residual)                                                                                               \
            for (int i = 0; i < n; i += SURR_FLANES) vf_storeu(x + i, vf_loadu(residual + i) + F(vf_loadu(x + i))); \
        else                                                                                                        \
            for (int i = 0; i < n; i += SURR_FLANES) vf_storeu(x + i, F(vf_loadu(x + i)));                          \
    }
DENSE_EPILOGUE(dense_silu, vf_silu)
DENSE_EPILOGUE(dense_tanh, vf_tanh)
DENSE_EPILOGUE(dense_sigmoid, vf_sigmoid)
DENSE_EPILOGUE(dense_add, ) /* f(x) = x */

#endif
