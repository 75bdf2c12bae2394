/* Time of a call as a host makes it, for per_call_overhead.py.
 *
 *     per_call MODEL RTOL CELLS REPEATS    with rows of cells (variables, then dt [s]) as doubles in file CELLS */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <surrogate.h>
#include <time.h>

enum { MAX_CELL = 4096, MAX_STATE = 64 };
static double cells[MAX_CELL * (MAX_STATE + 1)], q[MAX_CELL * (MAX_STATE + 1)];

static void check(int32_t code)
{
    char message[1024];
    if (code >= 0) return;
    surr_last_error(message, sizeof message);
    fprintf(stderr, "%s\n", message);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e6 * (double)t.tv_sec + 1e-3 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_call(const surr_plan *plan, surr_work *work, int64_t n, int64_t width, int64_t n_cell, int repeats)
{
    double *times = malloc(sizeof *times * (size_t)repeats);
    int64_t stat[SURR_NSTAT];
    for (int i = 0; i < repeats; i++) {
        memcpy(q, cells + (i * n) % (n_cell - n + 1) * width, (size_t)(n * width) * sizeof *q);
        const double start = now();
        check(surr_step_block(plan, work, n, 1.0, q, width, 1, NULL, NULL, stat));
        times[i] = now() - start;
        if (stat[SURR_STAT_NET] != n) exit(2); /* not all by the net */
    }
    qsort(times, (size_t)repeats, sizeof *times, compare);
    const double median = times[repeats / 2];
    free(times);
    return median;
}

int main(int argc, char **argv)
{
    surr_model *model;
    surr_plan *plan;
    surr_work *work;
    int32_t n_state, n_param;
    char name[64];
    if (argc != 5) return 1;
    check(surr_model_open(argv[1], -1, &model));
    check(surr_plan_create(model, &plan));
    check(surr_model_count(model, &n_state, &n_param));
    for (int32_t k = 0; k < n_state; k++) {
        check(surr_model_field(model, k, name, sizeof name, NULL, 0, NULL, NULL, NULL, NULL));
        check(surr_plan_field(plan, name, -1, SURR_Q_STATE, 1.0, 0, NULL));
    }
    check(surr_plan_field(plan, "", -1, SURR_Q_DT, 1.0, 0, NULL));
    check(surr_plan_set_d(plan, "rtol", -1, atof(argv[2])));
    check(surr_plan_commit(plan));
    check(surr_work_create(plan, MAX_CELL, &work));
    FILE *file = fopen(argv[3], "rb");
    if (!file) return 1;
    const int64_t width = n_state + 1, n_cell = (int64_t)fread(cells, sizeof(double) * (size_t)width, MAX_CELL, file);
    for (int64_t n = 1; n <= 32; n += 31) { /* the lowest of five medians, against bursts of other load */
        double lowest = 1e30;
        for (int i = 0; i < 5; i++) {
            const double median = median_call(plan, work, n, width, n_cell, atoi(argv[4]) / 5);
            if (median < lowest) lowest = median;
        }
        printf("%lld %.3f\n", (long long)n, lowest);
    }
    file = freopen("/proc/self/status", "r", file);
    for (char line[256]; file && fgets(line, sizeof line, file);)
        if (strncmp(line, "VmRSS:", 6) == 0) printf("rss %.1f\n", atof(line + 6) / 1024);
    surr_work_free(work);
    surr_plan_free(plan);
    return surr_model_close(model);
}
