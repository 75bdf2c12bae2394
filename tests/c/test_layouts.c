/* One answer for every layout, index, type, thread count and way of calling: bit for bit. */
#include "check.h"

#include <math.h>

enum { N = 2500, N_STATE = 3, N_PARAM = 2, N_SLOT = N_STATE + N_PARAM };
static const double DT = 700.0;
static double start[N][N_SLOT]; /* A, B, T, rate, cooling */
static double expected[N][N_SLOT];

static const field fields[N_SLOT] = {
    {"A", SURR_Q_NUMBER_DENSITY, SURR_F_INDEXED}, {"B", SURR_Q_NUMBER_DENSITY, SURR_F_INDEXED},
    {"T", SURR_Q_TEMPERATURE, SURR_F_INDEXED},    {"rate", SURR_Q_PARAM, SURR_F_INDEXED},
    {"cooling", SURR_Q_PARAM, SURR_F_INDEXED},
};

static void fill(void)
{
    for (int c = 0; c < N; c++) {
        double row[N_SLOT] = {draw() * 10, draw(), 10 + 1000 * draw(), draw() * 1e-4, draw() * 1e-3};
        memcpy(start[c], row, sizeof row);
    }
}

/* The closed form, which the toy evaluates in the same operations. */
static void test_answer_is_exact(surr_model *toy)
{
    surr_plan *plan = open_plan(toy, fields, N_SLOT);
    surr_work *work = commit(plan);
    int64_t stat[SURR_NSTAT];
    memcpy(expected, start, sizeof start);
    CHECK(surr_step_block(plan, work, N, DT, &expected[0][0], N_SLOT, 1, NULL, NULL, stat) == SURR_OK);
    CHECK(stat[SURR_STAT_CELLS] == N && stat[SURR_STAT_SOLVER] == N && stat[SURR_STAT_UNTOUCHED] == 0 &&
          stat[SURR_STAT_STEPS] >= N);
    for (int c = 0; c < N; c++) {
        double left = exp(-start[c][3] * (2 * start[c][0] + start[c][1]) * DT);
        CHECK(fabs(expected[c][0] / (start[c][0] * left) - 1) < 1e-14);
        CHECK(fabs(expected[c][1] / (start[c][1] + 2 * start[c][0] * (1 - left)) - 1) < 1e-14);
        CHECK(fabs(expected[c][2] / (10 + (start[c][2] - 10) * exp(-start[c][4] * DT)) - 1) < 1e-14);
        CHECK(expected[c][3] == start[c][3] && expected[c][4] == start[c][4]);
    }
    surr_work_free(work);
    surr_plan_free(plan);
}

static void test_soa(surr_model *toy)
{
    static double soa[N_SLOT][N];
    surr_plan *plan = open_plan(toy, fields, N_SLOT);
    surr_work *work = commit(plan);
    for (int c = 0; c < N; c++)
        for (int k = 0; k < N_SLOT; k++) soa[k][c] = start[c][k];
    CHECK(surr_step_block(plan, work, N, DT, &soa[0][0], 1, N, NULL, NULL, NULL) == SURR_OK);
    for (int c = 0; c < N; c++)
        for (int k = 0; k < N_SLOT; k++) CHECK(soa[k][c] == expected[c][k]);
    surr_work_free(work);
    surr_plan_free(plan);
}

static void test_one_cell_at_a_time(surr_model *toy)
{
    surr_plan *plan = open_plan(toy, fields, N_SLOT);
    surr_work *work = commit(plan);
    for (int c = 0; c < N; c++) {
        double q[N_SLOT];
        int32_t status = -1;
        memcpy(q, start[c], sizeof q);
        CHECK(surr_step_cell(plan, work, DT, q, &status) == SURR_OK && status == SURR_CELL_SOLVER);
        CHECK(memcmp(q, expected[c], sizeof q) == 0);
    }
    surr_work_free(work);
    surr_plan_free(plan);
}

/* Every third cell, backwards; a compact field beside the indexed ones; indices of either width and base. */
static void test_indexed(surr_model *toy, int64_t bytes, int64_t base)
{
    static double q[N][N_SLOT], rate[N];
    static int32_t index4[N];
    static int64_t index8[N];
    static uint8_t status[N];
    int64_t n = 0;
    field mixed[N_SLOT];
    memcpy(mixed, fields, sizeof fields);
    mixed[3].flags = SURR_F_COMPACT;
    surr_plan *plan = open_plan(toy, mixed, N_SLOT);
    CHECK(surr_plan_set_i(plan, "index_bytes", -1, bytes) == SURR_OK);
    CHECK(surr_plan_set_i(plan, "index_base", -1, base) == SURR_OK);
    surr_work *work = commit(plan);
    memcpy(q, start, sizeof q);
    for (int c = N - 1; c >= 0; c -= 3, n++) {
        index4[n] = (int32_t)(c + base);
        index8[n] = c + base;
        rate[n] = start[c][3];
    }
    void *bases[N_SLOT] = {&q[0][0], &q[0][1], &q[0][2], rate, &q[0][4]};
    int64_t strides[N_SLOT] = {N_SLOT, N_SLOT, N_SLOT, 1, N_SLOT};
    const void *index = bytes == 8 ? (const void *)index8 : index4;
    CHECK(surr_step(plan, work, n, DT, bases, strides, SURR_F64, index, status, NULL) == SURR_OK);
    for (int64_t c = 0; c < N; c++) {
        int visited = (N - 1 - c) % 3 == 0;
        CHECK(memcmp(q[c], visited ? expected[c] : start[c], sizeof q[c]) == 0);
    }
    for (int64_t i = 0; i < n; i++) CHECK(status[i] == SURR_CELL_SOLVER);
    surr_work_free(work);
    surr_plan_free(plan);
}

/* A scalar for all cells equals a column that repeats it, and a parameter that is not bound its default. */
static void test_broadcast(surr_model *toy)
{
    static double q[N][N_STATE], column[N][N_SLOT];
    double rate = 2e-4, cooling = 5e-4; /* cooling is the default */
    surr_plan *plan = open_plan(toy, fields, N_SLOT), *bare = open_plan(toy, fields, N_SLOT - 1);
    surr_work *work = commit(plan), *bare_work = commit(bare);
    memcpy(column, start, sizeof column);
    for (int c = 0; c < N; c++) {
        column[c][3] = rate;
        column[c][4] = cooling;
        memcpy(q[c], start[c], sizeof q[c]);
    }
    CHECK(surr_step_block(plan, work, N, DT, &column[0][0], N_SLOT, 1, NULL, NULL, NULL) == SURR_OK);
    void *base[N_SLOT] = {&q[0][0], &q[0][1], &q[0][2], &rate};
    int64_t stride[N_SLOT] = {N_STATE, N_STATE, N_STATE, 0};
    CHECK(surr_step(bare, bare_work, N, DT, base, stride, SURR_F64, NULL, NULL, NULL) == SURR_OK);
    for (int c = 0; c < N; c++) CHECK(memcmp(q[c], column[c], sizeof q[c]) == 0);
    surr_work_free(work);
    surr_plan_free(plan);
    surr_work_free(bare_work);
    surr_plan_free(bare);
}

static void test_time_step_per_cell(surr_model *toy)
{
    static double q[N][N_SLOT + 1];
    field with_dt[N_SLOT + 1];
    memcpy(with_dt, fields, sizeof fields);
    with_dt[N_SLOT] = (field){NULL, SURR_Q_DT, SURR_F_COMPACT};
    surr_plan *plan = open_plan(toy, with_dt, N_SLOT + 1);
    surr_work *work = commit(plan);
    for (int c = 0; c < N; c++) {
        memcpy(q[c], start[c], sizeof start[c]);
        q[c][N_SLOT] = c % 2 ? DT : 1.0;
    }
    CHECK(surr_step_block(plan, work, N, -1.0, &q[0][0], N_SLOT + 1, 1, NULL, NULL, NULL) == SURR_OK);
    for (int c = 1; c < N; c += 2) CHECK(memcmp(q[c], expected[c], sizeof expected[c]) == 0);
    CHECK(memcmp(q[0], expected[0], sizeof expected[0]) != 0);
    surr_work_free(work);
    surr_plan_free(plan);
}

/* Single precision is the double-precision answer of the rounded input, rounded. */
static void test_single_precision(surr_model *toy)
{
    static float q[N][N_SLOT];
    static double wide[N][N_SLOT];
    surr_plan *plan = open_plan(toy, fields, N_SLOT);
    surr_work *work = commit(plan);
    for (int c = 0; c < N; c++)
        for (int k = 0; k < N_SLOT; k++) wide[c][k] = q[c][k] = (float)start[c][k];
    void *base[N_SLOT];
    int64_t stride[N_SLOT];
    for (int k = 0; k < N_SLOT; k++) base[k] = &q[0][k], stride[k] = N_SLOT;
    CHECK(surr_step(plan, work, N, DT, base, stride, SURR_F32, NULL, NULL, NULL) == SURR_OK);
    CHECK(surr_step_block(plan, work, N, DT, &wide[0][0], N_SLOT, 1, NULL, NULL, NULL) == SURR_OK);
    for (int c = 0; c < N; c++)
        for (int k = 0; k < N_SLOT; k++) CHECK(q[c][k] == (float)wide[c][k]);
    surr_work_free(work);
    surr_plan_free(plan);
}

static void test_threads_and_policy(surr_model *toy, int64_t threads, const char *on_failure, const char *isa)
{
    static double q[N][N_SLOT];
    surr_plan *plan = open_plan(toy, fields, N_SLOT);
    CHECK(surr_plan_set_i(plan, "threads", -1, threads) == SURR_OK);
    CHECK(surr_plan_set_s(plan, "on_failure", -1, on_failure, -1) == SURR_OK);
    CHECK(surr_plan_set_s(plan, "isa", -1, isa, -1) == SURR_OK);
    surr_work *work = commit(plan);
    for (int64_t n = 1; n <= N; n = n < N && 5 * n > N ? N : 5 * n) {
        int64_t stat[SURR_NSTAT];
        memcpy(q, start, sizeof q);
        CHECK(surr_step_block(plan, work, n, DT, &q[0][0], N_SLOT, 1, NULL, NULL, stat) == SURR_OK);
        CHECK(stat[SURR_STAT_CELLS] == n && stat[SURR_STAT_SOLVER] == n);
        CHECK(memcmp(q, expected, (size_t)n * sizeof q[0]) == 0);
        CHECK(memcmp((char *)q + n * (int64_t)sizeof q[0], (char *)start + n * (int64_t)sizeof q[0],
                     (size_t)(N - n) * sizeof q[0]) == 0);
    }
    surr_work_free(work);
    surr_plan_free(plan);
}

/* A state field flagged as input is read but stays as it is. */
static void test_read_only_state(surr_model *toy)
{
    double q[N_SLOT];
    field frozen[N_SLOT];
    memcpy(frozen, fields, sizeof fields);
    frozen[2].flags = SURR_F_INPUT;
    surr_plan *plan = open_plan(toy, frozen, N_SLOT);
    surr_work *work = commit(plan);
    memcpy(q, start[0], sizeof q);
    CHECK(surr_step_cell(plan, work, DT, q, NULL) == SURR_OK);
    CHECK(q[0] == expected[0][0] && q[1] == expected[0][1] && q[2] == start[0][2]);
    surr_work_free(work);
    surr_plan_free(plan);
}

int main(int argc, char **argv)
{
    REQUIRE(argc == 2);
    surr_model *toy = open_toy(argv[1], "toy");
    fill();
    test_answer_is_exact(toy);
    test_soa(toy);
    test_one_cell_at_a_time(toy);
    for (int64_t base = 0; base <= 1; base++) {
        test_indexed(toy, 4, base);
        test_indexed(toy, 8, base);
    }
    test_broadcast(toy);
    test_time_step_per_cell(toy);
    test_single_precision(toy);
    test_threads_and_policy(toy, 1, "error", "auto");
    test_threads_and_policy(toy, 2, "flag", "base");
    test_threads_and_policy(toy, 7, "flag", "auto");
    test_threads_and_policy(toy, 3, "error", "auto");
    test_read_only_state(toy);
    surr_model_close(toy);
    return report("layouts");
}
