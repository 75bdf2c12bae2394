/* The queue flushed by all ranks together: results are those of surr_step on one rank, bit by bit, wherever the hard
 * cells are; errors reach every rank. "stuck" as a second argument: one rank never flushes, and the other does not
 * wait. */
#include "check.h"

#include "surrogate_mpi.h"

#include <math.h>
#include <mpi.h>
#include <time.h>

enum { N = 3000 }; /* of all ranks */
static const field fields[] = {
    {"A", SURR_Q_STATE, 0}, {"B", SURR_Q_STATE, 0}, {"T", SURR_Q_STATE, 0}, {"", SURR_Q_DT, 0}, {"", SURR_Q_COST, 0}};
enum { A = 0, B, TEMP, DT, COST, N_SLOT };
static double start[N][N_SLOT], expected[N][N_SLOT], found[N][N_SLOT];
static uint8_t status[N], expected_status[N];
static int rank, n_rank;

/* A tenth of the cells, the last ones, are hard; some are bad, or too hard. */
static void set_gas(void)
{
    for (int c = 0; c < N; c++) {
        start[c][A] = 0.5 + draw(), start[c][B] = draw();
        start[c][TEMP] = c % 2 == 0 ? 2000.0 : c % 10 == 1 ? 400.0 : 100.0; /* above 1000 K the net is not sure */
        start[c][DT] = c >= 9 * N / 10 ? 2e5 : 1e3;
        if (c % 501 == 0) start[c][DT] = 1e9;
        if (c % 401 == 0) start[c][TEMP] = -1.0;
    }
}

static surr_plan *make_plan(surr_model *model)
{
    surr_plan *plan = open_plan(model, fields, N_SLOT);
    CHECK(surr_plan_set_i(plan, "max_solver_steps", -1, 1000) == SURR_OK);
    CHECK(surr_plan_set_d(plan, "rtol", -1, 0.1) == SURR_OK);
    return plan;
}

/* Cells first .. last - 1 are this rank's: in pieces of changing length, with a different number of calls per rank. */
static void flush_together(surr_plan *plan, surr_work *work, surr_balancer *b, int first, int last, double *imbalance)
{
    int64_t stat[SURR_NSTAT], sum = 0, waiting = 0;
    for (int c = first, n; c < last; c += n) {
        n = 100 + 37 * rank < last - c ? 100 + 37 * rank : last - c;
        CHECK(surr_queue_block(plan, work, n, 1.0, found[c], N_SLOT, 1, NULL, status + c, stat) >= 0);
        sum += stat[SURR_STAT_CELLS];
    }
    for (int c = first; c < last; c++) waiting += status[c] == SURR_CELL_QUEUED;
    CHECK(surr_mpi_flush(b, work, &imbalance[0], &imbalance[1], stat) >= 0);
    CHECK(stat[SURR_STAT_CELLS] == waiting && sum + waiting == last - first);
    CHECK(memcmp(found[first], expected[first], (size_t)(last - first) * sizeof found[0]) == 0);
    CHECK(memcmp(status + first, expected_status + first, (size_t)(last - first)) == 0);
}

static void test_results(surr_model *model)
{
    static const char *const scopes[] = {"world", "node", "off"};
    for (int s = 0; s < 3; s++) {
        surr_balancer *b;
        surr_plan *plan = make_plan(model);
        surr_work *work = commit(plan);
        double imbalance[2], seconds[3];
        int64_t moved[3] = {-1, -1, -1};
        REQUIRE(surr_mpi_create(MPI_Comm_c2f(MPI_COMM_WORLD), &b) == SURR_OK);
        CHECK(surr_mpi_set_s(b, "scope", -1, scopes[s], -1) == SURR_OK);
        CHECK(surr_mpi_set_d(b, "interval", -1, 1.0 + s % 2) == SURR_OK);
        const int first = N * rank / n_rank, last = N * (rank + 1) / n_rank;
        for (int step = 0; step < 6; step++) { /* it learns what the cells cost; every second time nothing hard waits */
            memcpy(found, start, sizeof found);
            flush_together(plan, work, b, first, last, imbalance);
            CHECK(surr_mpi_report(b, moved, seconds) == SURR_OK && seconds[0] >= 0.0);
        }
        if (n_rank > 1) CHECK(imbalance[0] > 1.7 && (s == 2 ? imbalance[1] == imbalance[0] : imbalance[1] < 1.1));
        if (s == 2 || n_rank == 1) CHECK(moved[0] == 0 && moved[1] == 0 && moved[2] == 0);
        CHECK(surr_mpi_free(b) == SURR_OK);
        surr_work_free(work);
        surr_plan_free(plan);
    }
}

/* All cells on one rank; one cell alone; none at all. */
static void test_corners(surr_model *model)
{
    surr_balancer *b;
    surr_plan *plan = make_plan(model);
    surr_work *work = commit(plan);
    double imbalance[2];
    REQUIRE(surr_mpi_create(MPI_Comm_c2f(MPI_COMM_WORLD), &b) == SURR_OK);
    for (int step = 0; step < 6; step++) {
        memcpy(found, start, sizeof found);
        flush_together(plan, work, b, rank == n_rank - 1 ? 0 : N, N, imbalance);
    }
    CHECK(imbalance[0] == n_rank && imbalance[1] < 1.1);
    memcpy(found, start, sizeof found);
    flush_together(plan, work, b, rank == 0 ? N - 1 : N, N, imbalance);
    CHECK(imbalance[0] == n_rank && imbalance[1] == n_rank);
    flush_together(plan, work, b, 0, 0, imbalance);
    CHECK(imbalance[0] == 1.0 && imbalance[1] == 1.0);
    surr_mpi_free(b);
    surr_work_free(work);
    surr_plan_free(plan);
}

static void test_errors(surr_model *model)
{
    surr_balancer *b, *none;
    surr_plan *plan = make_plan(model);
    surr_work *work = commit(plan);
    CHECK_FAILS(surr_mpi_create(MPI_Comm_c2f(MPI_COMM_NULL), &none), SURR_E_ARG, "MPI_COMM_NULL");
    CHECK_FAILS(surr_mpi_create(MPI_Comm_c2f(MPI_COMM_WORLD), NULL), SURR_E_ARG, "NULL");
    REQUIRE(surr_mpi_create(MPI_Comm_c2f(MPI_COMM_WORLD), &b) == SURR_OK);
    CHECK_FAILS(surr_mpi_set_s(b, "scope", -1, "universe", -1), SURR_E_ARG, "world");
    CHECK_FAILS(surr_mpi_set_s(b, "scape", -1, "node", -1), SURR_E_ARG, "scope");
    CHECK_FAILS(surr_mpi_set_d(b, "min_gain", -1, -1.0), SURR_E_ARG, "-1");
    CHECK_FAILS(surr_mpi_set_d(b, "patience", -1, 1.0), SURR_E_ARG, "timeout");
    CHECK_FAILS(surr_mpi_set_d(NULL, "timeout", -1, 1.0), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_mpi_report(NULL, NULL, NULL), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_mpi_flush(NULL, work, NULL, NULL, NULL), SURR_E_ARG, "NULL");
    CHECK(surr_mpi_free(NULL) == SURR_OK);

    double cell[1][N_SLOT] = {{1.0, 2.0, 100.0, 10.0, 0.0}};
    CHECK(surr_queue_block(plan, work, 1, 1.0, cell[0], N_SLOT, 1, NULL, NULL, NULL) == SURR_OK);
    if (rank == n_rank - 1) CHECK_FAILS(surr_mpi_flush(b, NULL, NULL, NULL, NULL), SURR_E_ARG, "work");
    else CHECK_FAILS(surr_mpi_flush(b, work, NULL, NULL, NULL), SURR_E_MPI, "another rank");
    CHECK(cell[0][COST] == (rank == n_rank - 1 ? 0.0 : 1.0)); /* the others have advanced theirs */
    CHECK(surr_mpi_flush(b, work, NULL, NULL, NULL) == SURR_OK);
    CHECK(cell[0][COST] == 1.0);
    surr_mpi_free(b);
    surr_work_free(work);
    surr_plan_free(plan);
}

/* Ranks that differ would give other bits, or wait for messages that nobody sends: they are told, and solve their own.
 */
static void test_ranks_that_differ(surr_model *toy, surr_model *with_net)
{
    surr_balancer *b;
    const int is_last = rank == n_rank - 1;
    REQUIRE(surr_mpi_create(MPI_Comm_c2f(MPI_COMM_WORLD), &b) == SURR_OK);
    for (int what = 0; what < 6; what++) { /* 0: nothing, 5: threads, which make no difference */
        surr_plan *plan = open_plan(what == 1 && is_last ? with_net : toy, fields, N_SLOT);
        CHECK(surr_plan_set_d(plan, "rtol", -1, what == 2 && is_last ? 0.2 : 0.1) == SURR_OK);
        CHECK(surr_plan_set_i(plan, "max_solver_steps", -1, what == 3 && is_last ? 10 : 1000) == SURR_OK);
        CHECK(surr_plan_set_i(plan, "threads", -1, what == 5 && is_last ? 2 : 1) == SURR_OK);
        CHECK(surr_mpi_set_d(b, "min_gain", -1, what == 4 && is_last ? 0.5 : 0.03) == SURR_OK);
        surr_work *work = commit(plan);
        double cell[1][N_SLOT] = {{1.0, 2.0, 100.0, 10.0, 0.0}};
        CHECK(surr_queue_block(plan, work, 1, 1.0, cell[0], N_SLOT, 1, NULL, NULL, NULL) == SURR_OK);
        if (n_rank == 1 || what == 0 || what == 5) CHECK(surr_mpi_flush(b, work, NULL, NULL, NULL) == SURR_OK);
        else CHECK_FAILS(surr_mpi_flush(b, work, NULL, NULL, NULL), SURR_E_MPI, "the ranks differ");
        CHECK(what == 1 || cell[0][COST] == 1.0);
        surr_work_free(work);
        surr_plan_free(plan);
    }
    if (n_rank > 1) {
        CHECK_FAILS(surr_mpi_set_s(b, "scope", -1, is_last ? "node" : "world", -1), SURR_E_MPI, "differs");
        if (is_last) CHECK_FAILS(surr_mpi_set_s(b, "scope", -1, "universe", -1), SURR_E_ARG, "world");
        else CHECK_FAILS(surr_mpi_set_s(b, "scope", -1, "world", -1), SURR_E_MPI, "differs");
    }
    surr_mpi_free(b);
}

/* A solver of the host's that takes 30 us for a hard cell: nobody knows before it has been timed. */
static int n_hard;
static int32_t slow(void *context, int64_t n, double *y, const double *dt, const double *params)
{
    (void)context, (void)params;
    for (int64_t c = 0; c < n; c++) {
        const double start = MPI_Wtime();
        n_hard += dt[c] > 1e5;
        while (dt[c] > 1e5 && MPI_Wtime() - start < 3e-5) {
        }
        y[3 * c] *= exp(-1e-6 * dt[c] * y[3 * c + 1]);
    }
    return 0;
}

static void test_timed_solver(surr_model *model)
{
    surr_balancer *b;
    surr_plan *plan = make_plan(model);
    CHECK(surr_plan_set_fallback(plan, slow, NULL) == SURR_OK);
    surr_work *work = commit(plan);
    double imbalance[2];
    int fewest = N;
    REQUIRE(surr_mpi_create(MPI_Comm_c2f(MPI_COMM_WORLD), &b) == SURR_OK);
    memcpy(expected, start, sizeof expected);
    CHECK(surr_step_block(plan, work, N, 1.0, expected[0], N_SLOT, 1, NULL, expected_status, NULL) == SURR_FLAGGED);
    for (int step = 0; step < 8; step++) {
        memcpy(found, start, sizeof found);
        n_hard = 0;
        flush_together(plan, work, b, N * rank / n_rank, N * (rank + 1) / n_rank, imbalance);
        MPI_Allreduce(MPI_IN_PLACE, &n_hard, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
        CHECK(n_rank == 1 || step > 0 || (imbalance[0] > 1.2 && imbalance[0] == imbalance[1]));
        fewest = n_hard < fewest ? n_hard : fewest;
    }
    if (n_rank > 1) CHECK(fewest < 3 * N / 10 / 4); /* three quarters of what the last rank has */
    surr_mpi_free(b);
    surr_work_free(work);
    surr_plan_free(plan);
}

static int test_stuck(surr_model *model)
{
    surr_balancer *b;
    surr_plan *plan = make_plan(model);
    surr_work *work = commit(plan);
    REQUIRE(surr_mpi_create(MPI_Comm_c2f(MPI_COMM_WORLD), &b) == SURR_OK);
    CHECK(surr_mpi_set_d(b, "timeout", -1, 0.5) == SURR_OK);
    CHECK(surr_mpi_flush(b, work, NULL, NULL, NULL) == SURR_OK);
    if (rank == 1) nanosleep(&(struct timespec){.tv_sec = 100}, NULL);
    CHECK_FAILS(surr_mpi_flush(b, work, NULL, NULL, NULL), SURR_E_MPI, "has not answered for 0.5 s");
    CHECK_FAILS(surr_mpi_flush(b, work, NULL, NULL, NULL), SURR_E_MPI, "given up");
    if (report("rank that is not waited for") == 0) fflush(stdout);
    MPI_Abort(MPI_COMM_WORLD, n_failures ? 1 : 42);
    return 1;
}

int main(int argc, char **argv)
{
    surr_balancer *none;
    REQUIRE(argc >= 2);
    CHECK_FAILS(surr_mpi_create(0, &none), SURR_E_MPI, "MPI_Init");
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &n_rank);
    surr_model *toy = open_toy(argv[1], "toy"), *with_net = open_toy(argv[1], "toy_net");
    if (argc > 2) return test_stuck(toy);
    set_gas();
    for (int net = 0; net < 2; net++) {
        surr_plan *plan = make_plan(net ? with_net : toy);
        surr_work *work = commit(plan);
        int64_t stat[SURR_NSTAT];
        memcpy(expected, start, sizeof expected);
        CHECK(surr_step_block(plan, work, N, 1.0, expected[0], N_SLOT, 1, NULL, expected_status, stat) == SURR_FLAGGED);
        CHECK(net ? stat[SURR_STAT_NET] > N / 3 && stat[SURR_STAT_NET] < 2 * N / 3 : stat[SURR_STAT_NET] == 0);
        surr_work_free(work);
        surr_plan_free(plan);
        test_results(net ? with_net : toy);
        if (!net) test_corners(toy);
    }
    test_timed_solver(toy);
    test_errors(toy);
    test_ranks_that_differ(toy, with_net);
    surr_model_close(toy);
    surr_model_close(with_net);
    MPI_Finalize();
    return report("mpi");
}
