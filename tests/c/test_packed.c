/* Waiting cells that are solved elsewhere come back as if they had been solved here, bit by bit; and what they cost is
 * learned. */
#include "check.h"

#include "surrogate_balance.h"

enum { N = 2500 };
static const field fields[] = {{"A", SURR_Q_STATE, 0},    {"B", SURR_Q_STATE, 0}, {"T", SURR_Q_STATE, 0},
                               {"rate", SURR_Q_PARAM, 0}, {"", SURR_Q_DT, 0},     {"", SURR_Q_COST, 0}};
enum { A = 0, B, TEMP, RATE, DT, COST, N_SLOT };
typedef double gas[N_SLOT][N];
static gas start, here, away;

static void set_gas(void)
{
    for (int c = 0; c < N; c++) {
        start[A][c] = 0.5 + draw(), start[B][c] = draw();
        start[TEMP][c] = c % 10 == 0 ? 2000.0 : c % 10 == 1 ? 400.0 : 100.0;
        start[RATE][c] = 1e-3 * (1.0 + draw());
        start[DT][c] = c % 97 == 0 ? 1e9 : c % 5 ? 10.0 : 5e4; /* the first is too long for max_solver_steps */
        start[COST][c] = -1.0;
    }
}

static surr_work *make_work(surr_model *model, surr_plan **plan, int64_t threads)
{
    *plan = open_plan(model, fields, N_SLOT);
    CHECK(surr_plan_set_i(*plan, "max_solver_steps", -1, 1000) == SURR_OK);
    CHECK(surr_plan_set_i(*plan, "threads", -1, threads) == SURR_OK);
    CHECK(surr_plan_set_d(*plan, "rtol", -1, 1e-2) == SURR_OK);
    return commit(*plan);
}

/* A third goes to another work, some of the rest is solved by list, what remains by the flush. */
static void test_elsewhere(surr_model *model, int64_t threads)
{
    static int64_t which[N];
    static double packed[8 * N];
    uint8_t status[N], expected[N];
    int64_t n, made, counted, stat[SURR_NSTAT];
    int32_t n_out, n_back;
    surr_plan *plan, *plan_2;
    surr_work *work = make_work(model, &plan, threads);
    surr_work *other = make_work(model, &plan_2, 1);
    memcpy(here, start, sizeof here), memcpy(away, start, sizeof away);
    CHECK(surr_step_block(plan, work, N, 1.0, here[0], 1, N, NULL, expected, stat) == SURR_FLAGGED);
    CHECK(surr_queue_block(plan, work, N, 1.0, away[0], 1, N, NULL, status, NULL) >= 0);
    CHECK(surr_queue_size(work, &n) == SURR_OK && n > 0);
    CHECK(surr_queue_width(work, &n_out, &n_back) == SURR_OK && n_out == 7 && n_back == 4);
    const int64_t n_away = n / 3, n_listed = n / 2;
    for (int64_t i = 0; i < n_listed; i++) which[i] = n - 1 - i;
    CHECK(surr_queue_take(work, n_away, which, packed) == SURR_OK);
    CHECK(surr_cells_solve(other, n_away, packed, &made) == SURR_OK);
    for (int64_t i = n_away * n_back; i < n_away * n_out; i++) packed[i] = -1.0; /* does not go back */
    CHECK(surr_queue_put(work, n_away, which, packed, &counted) == SURR_OK && counted == made && made > n_away);
    CHECK(surr_queue_solve(work, n_listed - n_away, which + n_away) == SURR_OK);
    CHECK_FAILS(surr_queue_take(work, 1, which, packed), SURR_E_ARG, "has its result already");
    CHECK_FAILS(surr_queue_solve(work, 1, which + n_away), SURR_E_ARG, "has its result already");
    CHECK(surr_flush(work, stat) >= 0);
    CHECK(memcmp(here, away, sizeof here) == 0 && memcmp(status, expected, sizeof status) == 0);
    CHECK(stat[SURR_STAT_CELLS] == n && surr_queue_size(work, &n) == SURR_OK && n == 0);
    surr_work_free(work), surr_work_free(other);
    surr_plan_free(plan), surr_plan_free(plan_2);
}

/* The toy's solver needs 1 + rate dt attempts, twice as much work, or 1: after a flush every kind of cell is known. */
static void test_costs(surr_model *model)
{
    const double cells[4][3] = {{1, 2, 100}, {1, 2, 100}, {1, 2, 900}, {1, 2, 2000}};
    double spent, cost[4], q[4][3];
    memcpy(q, cells, sizeof q);
    const field plain[] = {{"A", SURR_Q_STATE, 0}, {"B", SURR_Q_STATE, 0}, {"T", SURR_Q_STATE, 0}};
    surr_plan *plan = open_plan(model, plain, 3);
    surr_work *work = commit(plan);
    CHECK(surr_queue_block(plan, work, 4, 4000.0, q[0], 3, 1, NULL, NULL, NULL) == SURR_OK);
    CHECK(surr_queue_costs(work, cost) == SURR_OK && cost[0] == cost[3] && cost[0] >= 1.0);
    CHECK(surr_queue_block(plan, work, 1, 500.0, q[0], 3, 1, NULL, NULL, NULL) == SURR_OK);
    CHECK(surr_flush(work, NULL) == SURR_OK);
    CHECK(surr_queue_work(work, &spent) == SURR_OK && spent == 4 * 10.0 + 1.0);
    memcpy(q, cells, sizeof q);
    CHECK(surr_queue_block(plan, work, 2, 4000.0, q[0], 3, 1, NULL, NULL, NULL) == SURR_OK);
    CHECK(surr_queue_block(plan, work, 1, 40000.0, q[0], 3, 1, NULL, NULL, NULL) == SURR_OK); /* no such cell before */
    CHECK(surr_queue_block(plan, work, 1, 500.0, q[0], 3, 1, NULL, NULL, NULL) == SURR_OK);
    CHECK(surr_queue_costs(work, cost) == SURR_OK && cost[0] == 10.0 && cost[1] == 10.0 && cost[3] == 1.0);
    CHECK(cost[2] == spent / 5.0); /* the mean of all */
    surr_work_free(work);
    surr_plan_free(plan);
}

static void test_errors(surr_model *model)
{
    double packed[7] = {0.0}, q[3] = {1, 2, 100};
    int64_t which[] = {0, 1}, n;
    int32_t out;
    const field plain[] = {{"A", SURR_Q_STATE, 0}, {"B", SURR_Q_STATE, 0}, {"T", SURR_Q_STATE, 0}};
    surr_plan *plan = open_plan(model, plain, 3);
    surr_work *work = commit(plan);
    CHECK(surr_queue_block(plan, work, 1, 1.0, q, 1, 1, NULL, NULL, NULL) == SURR_OK);
    CHECK_FAILS(surr_queue_take(work, 2, which, packed), SURR_E_ARG, "which[1] is 1: 1 cells wait");
    CHECK_FAILS(surr_queue_take(work, -1, which, packed), SURR_E_ARG, "n is -1");
    CHECK_FAILS(surr_queue_take(work, 1, NULL, packed), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_queue_take(work, 1, which, NULL), SURR_E_ARG, "NULL");
    CHECK(surr_queue_take(work, 1, which, packed) == SURR_OK);
    CHECK_FAILS(surr_queue_put(work, 1, which, packed, NULL), SURR_E_ARG, "no result");
    CHECK_FAILS(surr_queue_put(work, 1, which, NULL, NULL), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_queue_solve(NULL, 1, which), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_cells_solve(NULL, 1, packed, NULL), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_cells_solve(work, 1, NULL, NULL), SURR_E_ARG, "packed");
    CHECK_FAILS(surr_queue_costs(NULL, packed), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_queue_size(NULL, &n), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_queue_work(work, NULL), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_queue_width(work, &out, NULL), SURR_E_ARG, "NULL");
    CHECK(surr_queue_solve(work, 0, NULL) == SURR_OK && surr_cells_solve(work, 0, NULL, NULL) == SURR_OK);
    CHECK(surr_flush(work, NULL) == SURR_OK);
    surr_work_free(work);
    surr_plan_free(plan);
}

int main(int argc, char **argv)
{
    REQUIRE(argc == 2);
    surr_model *toy = open_toy(argv[1], "toy"), *with_net = open_toy(argv[1], "toy_net");
    set_gas();
    for (int64_t threads = 1; threads <= 3; threads += 2) {
        test_elsewhere(toy, threads);
        test_elsewhere(with_net, threads);
    }
    test_costs(toy);
    test_errors(toy);
    surr_model_close(toy);
    surr_model_close(with_net);
    return report("exchange");
}
