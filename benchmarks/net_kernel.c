/* Speed of whole nets made of dense.h, next to the multiply-add peak measured in the same minute.
 * Prints JSON; built and run by net_kernel.py.  Argument: repeats. Also built as a library, for `net_run`. */
#include "dense.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define N_IN         12
#define N_OUT        20
#define N_LAYER      3
#define N_EXPERT     16 /* sets of weights, of which the small calls use one or all */
#define BATCH        1024
#define MOST         4096 /* cells of the largest call */
#define SPAN         64   /* cells that go through the layers together, as in predict.h */
#define SMALL        32
#define WIDTHS(EACH) EACH(32) EACH(64) EACH(96) EACH(128) EACH(192) EACH(256)
#define WIDEST       256
#define MAX_REPEATS  1000

#define LAYER_SIZE(N_OUT, N_IN) (DENSE_PADDED(N_OUT) * ((N_IN) + 1))
#define SIZE(W)                 (LAYER_SIZE(W, N_IN) + N_LAYER * LAYER_SIZE(W, W) + LAYER_SIZE(N_OUT, W))
#define ALIGNED                 __attribute__((aligned(64)))

static float weights[N_EXPERT * SIZE(WIDEST)] ALIGNED;
static float in[MOST][DENSE_PADDED(N_IN)] ALIGNED, out[MOST][DENSE_PADDED(N_OUT)] ALIGNED;

/* A linear layer in, residual SiLU layers, a linear layer out; for each width a function. The n cells of a span are
 * dealt to n_expert sets of weights, layer by layer as in predict.h. */
#define NET(WIDTH)                                                                                                     \
    __attribute__((noinline)) static void span_##WIDTH(int n, int n_expert, int first)                                 \
    {                                                                                                                  \
        float h[2][SPAN][DENSE_PADDED(WIDTH)] ALIGNED;                                                                 \
        const float *w = weights;                                                                                      \
        int start[N_EXPERT + 1];                                                                                       \
        for (int e = 0; e <= n_expert; e++) start[e] = e * n / n_expert;                                               \
        for (int e = 0; e < n_expert; e++)                                                                             \
            dense(WIDTH, N_IN, w + e * SIZE(WIDTH), start[e + 1] - start[e], in[first + start[e]], DENSE_PADDED(N_IN), \
                  h[0][start[e]]);                                                                                     \
        w += LAYER_SIZE(WIDTH, N_IN);                                                                                  \
        for (int l = 0; l < N_LAYER; l++, w += LAYER_SIZE(WIDTH, WIDTH)) {                                             \
            for (int e = 0; e < n_expert; e++)                                                                         \
                dense(WIDTH, WIDTH, w + e * SIZE(WIDTH), start[e + 1] - start[e], h[l % 2][start[e]],                  \
                      DENSE_PADDED(WIDTH), h[1 - l % 2][start[e]]);                                                    \
            dense_silu(n * DENSE_PADDED(WIDTH), h[l % 2][0], h[1 - l % 2][0]);                                         \
        }                                                                                                              \
        for (int e = 0; e < n_expert; e++)                                                                             \
            dense(N_OUT, WIDTH, w + e * SIZE(WIDTH), start[e + 1] - start[e], h[N_LAYER % 2][start[e]],                \
                  DENSE_PADDED(WIDTH), out[first + start[e]]);                                                         \
    }                                                                                                                  \
    static void net_##WIDTH(int n, int n_expert)                                                                       \
    {                                                                                                                  \
        for (int first = 0; first < n; first += SPAN)                                                                  \
            span_##WIDTH(n - first < SPAN ? n - first : SPAN, n_expert, first);                                        \
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
    for (int i = 0; i < CHAINS; i++) sum[i] = vf_set((float)i);
    double start = now();
    for (int k = 0; k < LOOPS; k++) DENSE_UNROLL for (int i = 0; i < CHAINS; i++) sum[i] = vf_fma(sum[i], factor, term);
    double seconds = now() - start;
    for (int i = 1; i < CHAINS; i++) sum[0] += sum[i];
    volatile float used = sum[0][0];
    (void)used;
    return 2e-9 * CHAINS * LOOPS * SURR_FLANES / seconds;
}

/* Seconds per call. */
static double measure(void (*net)(int, int), int n, int n_expert, int calls)
{
    double start = now();
    for (int i = 0; i < calls; i++) net(n, n_expert);
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
static void report(int width, void (*net)(int, int), int repeats, const char *separator)
{
    static double peak[MAX_REPEATS], rate[MAX_REPEATS], share[MAX_REPEATS], small[2][MAX_REPEATS];
    double flops = 2.0 * (width * N_IN + N_LAYER * width * width + N_OUT * width) * BATCH;
    double estimate = measure(net, BATCH, 1, 1);
    int calls = 1 + (int)(1e-3 / estimate);

    double before = measure_peak();
    for (int i = 0; i < repeats; i++) {
        rate[i] = 1e-9 * flops / measure(net, BATCH, 1, calls);
        double after = measure_peak();
        small[0][i] = measure(net, SMALL, 1, calls * BATCH / SMALL);
        small[1][i] = measure(net, SMALL, N_EXPERT, calls * BATCH / SMALL);
        peak[i] = 0.5 * (before + after);
        share[i] = rate[i] / peak[i];
        before = measure_peak();
    }
    double gflops = median(repeats, rate);
    printf("%s{\"width\": %d, \"peak\": %.2f, \"gflops\": %.2f, \"best\": %.2f, \"share\": %.4f, \"us_cell\": %.5f, "
           "\"us_32\": %.4f, \"us_32_experts\": %.4f}",
           separator, width, median(repeats, peak), gflops, rate[repeats - 1], median(repeats, share),
           1e-3 * flops / gflops / BATCH, 1e6 * median(repeats, small[0]), 1e6 * median(repeats, small[1]));
    fflush(stdout);
}

void net_fill(void);
void net_fill(void)
{
    srand(1);
    for (size_t i = 0; i < sizeof weights / sizeof weights[0]; i++)
        weights[i] = 0.2f * ((float)rand() / (float)RAND_MAX - 0.5f);
    for (int k = 0; k < MOST; k++)
        for (int i = 0; i < N_IN; i++) in[k][i] = (float)rand() / (float)RAND_MAX;
}

/* Seconds per call of n <= MOST cells of the net of a width, or -1 if there is none. */
double net_run(int width, int n, int calls);
double net_run(int width, int n, int calls)
{
#define RUN(WIDTH) \
    if (width == WIDTH) return measure(net_##WIDTH, n, 1, calls);
    WIDTHS(RUN)
    return -1;
}

int main(int n_arg, char **arg)
{
    int repeats = n_arg > 1 ? atoi(arg[1]) : 100;
    if (repeats < 1 || repeats > MAX_REPEATS) return 1;
    net_fill();
    const char *separator = "";
    printf("{\"lanes\": %d, \"nets\": [", SURR_FLANES);
#define REPORT(WIDTH)                               \
    report(WIDTH, net_##WIDTH, repeats, separator); \
    separator = ", ";
    WIDTHS(REPORT)
    printf("]}\n");
    return 0;
}
