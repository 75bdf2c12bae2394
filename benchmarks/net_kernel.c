/* Speed of whole nets made of dense.h, next to the multiply-add peak measured in the same minute.
 * Prints JSON; built and run by net_kernel.py.  Argument: repeats. */
#include "dense.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define N_IN 12
#define N_OUT 20
#define N_LAYER 3
#define BATCH 1024
#define SMALL 32
#define WIDTHS(EACH) EACH(32) EACH(64) EACH(96) EACH(128) EACH(192) EACH(256)
#define WIDEST 256
#define MAX_REPEATS 1000

#define BLOCKS(CELLS) (((CELLS) + DENSE_CELLS - 1) / DENSE_CELLS)

static float weights[N_LAYER + 2][WIDEST * WIDEST], bias[N_LAYER + 2][WIDEST];
static vfloat in[BLOCKS(BATCH)][N_IN * DENSE_VECTORS], out[BLOCKS(BATCH)][N_OUT * DENSE_VECTORS];

/* A linear layer in, residual SiLU layers, a linear layer out; for each width a function. */
#define NET(WIDTH)                                                                                 \
    __attribute__((noinline)) static void net_##WIDTH(int n_block)                                 \
    {                                                                                              \
        vfloat h[2][WIDTH * DENSE_VECTORS];                                                        \
        for (int k = 0; k < n_block; k++) {                                                        \
            dense(WIDTH, N_IN, weights[N_LAYER], bias[N_LAYER], in[k], h[0]);                      \
            for (int l = 0; l < N_LAYER; l++) {                                                    \
                dense(WIDTH, WIDTH, weights[l], bias[l], h[l % 2], h[1 - l % 2]);                  \
                dense_silu(WIDTH, h[l % 2], h[1 - l % 2]);                                         \
            }                                                                                      \
            dense(N_OUT, WIDTH, weights[N_LAYER + 1], bias[N_LAYER + 1], h[N_LAYER % 2], out[k]);  \
        }                                                                                          \
    }
WIDTHS(NET)

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* GFLOP/s of independent multiply-adds. */
static double measure_peak(void)
{
    enum { CHAINS = 12, LOOPS = 200000 };
    vfloat sum[CHAINS], factor = vf_set(0.999f), term = vf_set(0.001f);
    for (int i = 0; i < CHAINS; i++)
        sum[i] = vf_set((float)i);
    double start = now();
    for (int k = 0; k < LOOPS; k++)
        DENSE_UNROLL for (int i = 0; i < CHAINS; i++)
            sum[i] = vf_fma(sum[i], factor, term);
    double seconds = now() - start;
    for (int i = 1; i < CHAINS; i++)
        sum[0] += sum[i];
    volatile float used = sum[0][0];
    (void)used;
    return 2e-9 * CHAINS * LOOPS * SURR_FLANES / seconds;
}

/* Seconds per call. */
static double measure(void (*net)(int), int n_block, int calls)
{
    double start = now();
    for (int i = 0; i < calls; i++)
        net(n_block);
    return (now() - start) / calls;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(int n, double *values)
{
    qsort(values, (size_t)n, sizeof *values, compare);
    return values[n / 2];
}

/* Calls of about a millisecond, with the peak measured around each of them. */
static void report(int width, void (*net)(int), int repeats, const char *separator)
{
    static double peak[MAX_REPEATS], rate[MAX_REPEATS], share[MAX_REPEATS], small[MAX_REPEATS];
    double flops = 2.0 * (width * N_IN + N_LAYER * width * width + N_OUT * width) * BATCH;
    double estimate = measure(net, BLOCKS(BATCH), 1);
    int calls = 1 + (int)(1e-3 / estimate);

    double before = measure_peak();
    for (int i = 0; i < repeats; i++) {
        rate[i] = 1e-9 * flops / measure(net, BLOCKS(BATCH), calls);
        double after = measure_peak();
        small[i] = measure(net, BLOCKS(SMALL), calls * BATCH / SMALL);
        peak[i] = 0.5 * (before + after);
        share[i] = rate[i] / peak[i];
        before = measure_peak();
    }
    double gflops = median(repeats, rate);
    printf("%s{\"width\": %d, \"peak\": %.2f, \"gflops\": %.2f, \"best\": %.2f, \"share\": %.4f, \"us_cell\": %.5f, "
           "\"us_32\": %.4f}", separator, width, median(repeats, peak), gflops, rate[repeats - 1],
           median(repeats, share), 1e-3 * flops / gflops / BATCH, 1e6 * median(repeats, small));
    fflush(stdout);
}

int main(int n_arg, char **arg)
{
    int repeats = n_arg > 1 ? atoi(arg[1]) : 100;
    if (repeats < 1 || repeats > MAX_REPEATS) return 1;

    srand(1);
    for (int l = 0; l < N_LAYER + 2; l++)
        for (int i = 0; i < WIDEST * WIDEST; i++)
            weights[l][i] = 0.2f * ((float)rand() / (float)RAND_MAX - 0.5f);
    for (int k = 0; k < BLOCKS(BATCH); k++)
        for (int i = 0; i < N_IN * DENSE_VECTORS; i++)
            for (int lane = 0; lane < SURR_FLANES; lane++)
                in[k][i][lane] = (float)rand() / (float)RAND_MAX;

    const char *separator = "";
    printf("{\"lanes\": %d, \"block\": %d, \"nets\": [", SURR_FLANES, DENSE_CELLS);
#define REPORT(WIDTH)                                                                              \
    report(WIDTH, net_##WIDTH, repeats, separator);                                                \
    separator = ", ";
    WIDTHS(REPORT)
    printf("]}\n");
    return 0;
}
