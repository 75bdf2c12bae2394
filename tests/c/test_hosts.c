/* What hosts do: their own OpenMP threads, and opening and closing everything again and again. */
#include "check.h"

#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
#include <malloc.h>
#endif

enum { N = 5000, CHUNK = 32 };
static const field fields[3] = {{"A", SURR_Q_STATE, 0}, {"B", SURR_Q_STATE, 0}, {"T", SURR_Q_STATE, 0}};
static double serial[N][3], parallel[N][3];

static void fill(double q[N][3])
{
    for (int c = 0; c < N; c++) {
        const double row[3] = {1.0 + 1e-3 * c, 2.0, 50.0 + c % 1500};
        memcpy(q[c], row, sizeof row);
    }
}

/* Two threads with a work each, chunks of cells as they come: the bits of one thread. */
static void test_openmp(surr_model *model, int later)
{
    surr_plan *plan = open_plan(model, fields, 3);
    CHECK(surr_plan_set_d(plan, "rtol", -1, 0.1) == SURR_OK);
    surr_work *work = commit(plan);
    int bad = 0;
    fill(serial);
    fill(parallel);
    CHECK(surr_step_block(plan, work, N, 7.0, serial[0], 3, 1, NULL, NULL, NULL) == SURR_OK);
#pragma omp parallel num_threads(2) reduction(+ : bad)
    {
        surr_work *own;
        bad += surr_work_create(plan, CHUNK, &own) != SURR_OK;
#pragma omp for schedule(dynamic)
        for (int c = 0; c < N; c += CHUNK) {
            const int n = N - c < CHUNK ? N - c : CHUNK;
            bad += (later ? surr_queue_block : surr_step_block)(plan, own, n, 7.0, parallel[c], 3, 1, NULL, NULL,
                                                                NULL) < 0;
        }
        bad += surr_flush(own, NULL) != SURR_OK;
        surr_work_free(own);
    }
    CHECK(bad == 0 && memcmp(serial, parallel, sizeof serial) == 0);
    surr_work_free(work);
    surr_plan_free(plan);
}

static void one_cycle(const char *directory)
{
    double q[3] = {1.0, 2.0, 100.0};
    surr_model *model = open_toy(directory, "toy_net");
    surr_plan *plan = open_plan(model, fields, 3);
    surr_work *work = commit(plan);
    CHECK(surr_queue_block(plan, work, 1, 1.0, q, 3, 1, NULL, NULL, NULL) == SURR_OK);
    CHECK(surr_flush(work, NULL) == SURR_OK && surr_step_cell(plan, work, 1.0, q, NULL) == SURR_OK);
    CHECK_FAILS(surr_step_cell(plan, work, -1.0, q, NULL), SURR_E_ARG, "dt is -1");
    surr_work_free(work);
    surr_plan_free(plan);
    surr_model_close(model);
}

static size_t bytes_in_use(void)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33) && !defined(__SANITIZE_ADDRESS__)
    return mallinfo2().uordblks;
#else
    return 0; /* the sanitizer tells of leaks at the end */
#endif
}

int main(int argc, char **argv)
{
    REQUIRE(argc == 2);
    surr_model *model = open_toy(argv[1], "toy_net");
    test_openmp(model, 0);
    test_openmp(model, 1);
    surr_model_close(model);
    one_cycle(argv[1]);
    const size_t before = bytes_in_use();
    for (int i = 0; i < 10000; i++) one_cycle(argv[1]);
    CHECK(bytes_in_use() < before + 10000); /* less than a byte per cycle: the loader keeps a little */
    return report("hosts");
}
