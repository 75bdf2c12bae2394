/* Layers of a small neural net for a block of cells: out = f(weights in + bias).
 *
 * A block is DENSE_CELLS cells.  A row of it, one number of every cell, is DENSE_VECTORS vfloats;
 * `in` and `out` are n_in and n_out rows, one after the other.
 *
 * weights is float[n_out][n_in] in C order and bias float[n_out], as PyTorch's Linear holds them,
 * of any alignment.  (Interleaving the rows of a tile gains nothing: a weight is broadcast from
 * memory, and DENSE_ROWS streams of them are few.)  A slope within an activation belongs into
 * weights and bias.
 *
 * Sizes are to be compile-time constants.  A cell's result depends on that cell alone, bit for bit:
 * for each output bias + w[0] in[0] + w[1] in[1] + ... is summed in this order.
 *
 * Residual layer, out = in + silu(weights in + bias), and linear layer, out = weights in + bias:
 *
 *     dense(96, 96, weights, bias, in, out);        dense(20, 96, weights, bias, in, out);
 *     dense_silu(96, in, out);
 *
 * What this reaches of the multiply-add peak: benchmarks/net_kernel.py.
 */
#ifndef SURR_DENSE_H
#define SURR_DENSE_H

#include "vecmathf.h"

/* DENSE_ROWS outputs of all cells of a block are summed in registers at a time: 28 sums of 32
 * registers with AVX-512, 12 of 16 with AVX2, 8 of 16 where products need registers, too.
 * Measured alternatives on Sapphire Rapids, nets of width 64 and 128: 8 x 2 with AVX-512 is 4 %
 * slower, 6 x 4 is 2 % faster but makes blocks of 64 cells. */
#if defined SURR_AVX512
#define DENSE_ROWS 14
#define DENSE_VECTORS 2
#elif defined SURR_AVX2
#define DENSE_ROWS 6
#define DENSE_VECTORS 2
#else
#define DENSE_ROWS 2
#define DENSE_VECTORS 4
#endif
#define DENSE_CELLS (DENSE_VECTORS * SURR_FLANES)

/* Unrolls completely; clang 14 does not, if told the large number that gcc wants. */
#ifdef __clang__
#define DENSE_UNROLL _Pragma("clang loop unroll(full)")
#else
#define DENSE_UNROLL _Pragma("GCC unroll 16")
#endif

/* The first n_row <= DENSE_ROWS outputs of a layer. */
SURR_INLINE void dense_tile(int n_row, int n_in, const float *weights, const float *bias,
                            const vfloat *in, vfloat *out)
{
    vfloat sum[DENSE_ROWS][DENSE_VECTORS];
    DENSE_UNROLL for (int o = 0; o < n_row; o++)
        DENSE_UNROLL for (int v = 0; v < DENSE_VECTORS; v++)
            sum[o][v] = vf_set(bias[o]);

    _Pragma("GCC unroll 2") for (int i = 0; i < n_in; i++)
        DENSE_UNROLL for (int o = 0; o < n_row; o++) {
            vfloat weight = vf_set(weights[o * n_in + i]);
            DENSE_UNROLL for (int v = 0; v < DENSE_VECTORS; v++)
                sum[o][v] = vf_fma(weight, in[i * DENSE_VECTORS + v], sum[o][v]);
        }

    DENSE_UNROLL for (int o = 0; o < n_row; o++)
        DENSE_UNROLL for (int v = 0; v < DENSE_VECTORS; v++)
            out[o * DENSE_VECTORS + v] = sum[o][v];
}

/* out = weights in + bias; out must not overlap in. */
SURR_INLINE void dense(int n_out, int n_in, const float *weights, const float *bias,
                       const vfloat *in, vfloat *out)
{
    /* as few tiles as possible, and all but the last alike */
    const int n_tile = (n_out + DENSE_ROWS - 1) / DENSE_ROWS;
    const int n_row = (n_out + n_tile - 1) / n_tile;
    const int last = n_out % n_row, first_of_last = n_out - last;
    for (int o = 0; o < first_of_last; o += n_row)
        dense_tile(n_row, n_in, weights + o * n_in, bias + o, in, out + o * DENSE_VECTORS);
    if (last)
        dense_tile(last, n_in, weights + first_of_last * n_in, bias + first_of_last, in,
                   out + first_of_last * DENSE_VECTORS);
}

/* n_row rows x become f(x), or residual + f(x) where residual is not NULL; it may not overlap x.
 *
 * Functions, called once per layer, because gcc 12 would otherwise hold the coefficients of f in
 * registers during the loops above and the sums in memory: half the speed with AVX2.  Applied to
 * sums still in registers they would gain 2 % with AVX-512 and lose 2 % with AVX2. */
#define DENSE_EPILOGUE(NAME, F)                                                                    \
    __attribute__((noinline, unused)) static void NAME(int n_row, const vfloat *residual,          \
                                                       vfloat *x)                                  \
    {                                                                                              \
        if (residual)                                                                              \
            for (int i = 0; i < n_row * DENSE_VECTORS; i++)                                        \
                x[i] = residual[i] + F(x[i]);                                                      \
        else                                                                                       \
            for (int i = 0; i < n_row * DENSE_VECTORS; i++)                                        \
                x[i] = F(x[i]);                                                                    \
    }
DENSE_EPILOGUE(dense_silu, vf_silu)
DENSE_EPILOGUE(dense_tanh, vf_tanh)
DENSE_EPILOGUE(dense_sigmoid, vf_sigmoid)
DENSE_EPILOGUE(dense_add, ) /* f(x) = x */

#endif
