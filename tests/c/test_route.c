/* Who advances a cell: the net, or the solver and why; and what the audit says of the net. */
#include "check.h"

#include <math.h>

enum { N = 1000, A = 0, B, TEMP };

static const field fields[3] = {
    {"A", SURR_Q_STATE, SURR_F_INDEXED}, {"B", SURR_Q_STATE, SURR_F_INDEXED}, {"T", SURR_Q_STATE, SURR_F_INDEXED}};
static double start[N][3], solved[N][3];

static void set_cells(void)
{
    for (int c = 0; c < N; c++) {
        start[c][A] = 1.0 + 1e-3 * c;
        start[c][B] = 2.0;
        start[c][TEMP] = c % 10 == 0 ? 2000.0 : c % 10 == 1 ? 700.0 : 100.0;
    }
}

static surr_plan *plan_with(surr_model *model, double rtol, double audit, int64_t threads)
{
    surr_plan *plan = open_plan(model, fields, 3);
    CHECK(surr_plan_set_d(plan, "rtol", -1, rtol) == SURR_OK && surr_plan_set_d(plan, "audit", -1, audit) == SURR_OK);
    CHECK(surr_plan_set_i(plan, "threads", -1, threads) == SURR_OK);
    return plan;
}

static void run(surr_plan *plan, surr_work *work, double q[N][3], uint8_t *status)
{
    memcpy(q, start, sizeof start);
    CHECK(surr_step_block(plan, work, N, 10.0, &q[0][0], 3, 1, NULL, status, NULL) == SURR_OK);
}

static void close_plan(surr_plan *plan, surr_work *work)
{
    surr_work_free(work);
    surr_plan_free(plan);
}

static void test_reasons(surr_model *model)
{
    double q[N][3];
    uint8_t status[N];
    surr_plan *plan = plan_with(model, 1e-2, 0.0, 1);
    surr_work *work = commit(plan);
    run(plan, work, solved, status);
    for (int c = 0; c < N; c++)
        CHECK(status[c] == (c % 10 == 0 ? SURR_CELL_OUTSIDE : c % 10 == 1 ? SURR_CELL_SOLVER : SURR_CELL_ERROR));
    close_plan(plan, work);

    plan = plan_with(model, 0.1, 0.0, 1);
    work = commit(plan);
    run(plan, work, q, status);
    for (int c = 0; c < N; c++) {
        CHECK(status[c] == (c % 10 == 0 ? SURR_CELL_OUTSIDE : c % 10 == 1 ? SURR_CELL_SOLVER : SURR_CELL_NET));
        CHECK(q[c][A] == (c % 10 > 1 ? solved[c][A] * 1.01001 : solved[c][A]));
    }
    int64_t count[SURR_NAUDIT];
    CHECK(surr_work_outside(work, count) == SURR_OK && count[1 + 2] == N / 10); /* T is variable 2 */
    for (int r = 0; r < 4 + 3 + 2; r++) CHECK(r == 1 + 2 || count[r] == 0);
    double error = -1.0, cell[3] = {1.0, 2.0, 700.0};
    int32_t only;
    CHECK(surr_work_audit(work, count) == SURR_OK);
    CHECK(surr_audit_quantile(count, 1.0, &error) == SURR_OK && error == 0.0);
    close_plan(plan, work);

    plan = plan_with(model, 0.1, 0.0, 1); /* where there is no solver, the net is asked all the same */
    CHECK(surr_plan_set_s(plan, "fallback", -1, "none", -1) == SURR_OK);
    work = commit(plan);
    CHECK(surr_step_cell(plan, work, 10.0, cell, &only) == SURR_OK && only == SURR_CELL_NET);
    close_plan(plan, work);
}

static int is_close(double x, double y) { return x >= y && x < 1.13 * y; }

/* A tenth of the cells is audited and holds what the solver gives; one third each of the errors is 1 %, 0.1 % and 0. */
static void test_audit(surr_model *model, int64_t threads)
{
    double q[N][3], error;
    uint8_t status[N], again[N];
    int64_t count[SURR_NAUDIT], total = 0;
    int n_audit = 0;
    surr_plan *plan = plan_with(model, 0.1, 0.1, threads);
    surr_work *work = commit(plan);
    run(plan, work, q, status);
    for (int c = 0; c < N; c++) {
        if (status[c] != SURR_CELL_AUDIT) continue;
        n_audit++;
        CHECK(memcmp(q[c], solved[c], sizeof q[c]) == 0);
    }
    CHECK(n_audit > 60 && n_audit < 120);
    CHECK(surr_work_audit(work, count) == SURR_OK);
    for (int b = 0; b < SURR_NAUDIT; b++) total += count[b];
    CHECK(total == 3 * n_audit && count[0] == n_audit);
    CHECK(surr_audit_quantile(count, 0.3, &error) == SURR_OK && is_close(error, 1e-8));
    CHECK(surr_audit_quantile(count, 0.5, &error) == SURR_OK && is_close(error, 1.001e-3));
    CHECK(surr_audit_quantile(count, 0.9, &error) == SURR_OK && is_close(error, 1.001e-2));
    CHECK(surr_audit_quantile(count, 1.0, &error) == SURR_OK && is_close(error, 1.001e-2));
    run(plan, work, q, again);
    CHECK(memcmp(status, again, sizeof status) == 0);
    CHECK(surr_work_audit(work, count) == SURR_OK && count[0] == 2 * n_audit);
    close_plan(plan, work);
}

/* A net that is off by more than rtol in cells that are audited is trusted less, and more again when it is not. */
static void test_controller(surr_model *model)
{
    double q[N][3], trust = 0.0;
    uint8_t status[N];
    int64_t count[5] = {-1, -1, -1, -1, -1};
    surr_plan *plan = plan_with(model, 0.1, 0.5, 1);
    CHECK(surr_plan_set_d(plan, "coverage", -1, 0.9) == SURR_OK);
    CHECK(surr_plan_set_i(plan, "control", -1, 0) == SURR_OK);
    surr_work *work = commit(plan);
    CHECK(surr_work_trust(work, &trust) == SURR_OK && trust == 1.0);
    run(plan, work, q, status);
    CHECK(surr_work_outcomes(work, count) == SURR_OK && count[0] > N / 5 && count[1] == 0 && count[2] == 0);
    CHECK(surr_work_learn(work, count) == SURR_OK);
    CHECK(surr_work_outcomes(work, count) == SURR_OK && count[0] == 0);
    CHECK(surr_work_trust(work, &trust) == SURR_OK && trust == 1.0); /* all right: it cannot be trusted more */
    CHECK(surr_work_learn(work, (const int64_t[5]){100, 20, 0, 0, 9}) == SURR_OK);
    CHECK(surr_work_trust(work, &trust) == SURR_OK && fabs(trust - pow(10.0, -0.05 * (20.0 - 80.0 / 9.0))) < 1e-12);
    CHECK(surr_work_learn(work, (const int64_t[5]){0, 0, 90, 0, 9}) ==
          SURR_OK); /* none taken: those just beyond tell */
    CHECK(surr_work_trust(work, &trust) == SURR_OK && fabs(trust - pow(10.0, -0.05 * (20.0 - 170.0 / 9.0))) < 1e-12);
    CHECK(surr_work_set_trust(work, 0.01) == SURR_OK &&
          surr_work_learn(work, (const int64_t[5]){0, 0, 0, 0, 9}) == SURR_OK);
    CHECK(surr_work_trust(work, &trust) == SURR_OK && fabs(trust - pow(10.0, -1.95)) < 1e-12);
    CHECK(surr_work_set_trust(work, 0.15) == SURR_OK); /* it says 0.02 */
    run(plan, work, q, status);
    for (int c = 0; c < N; c++) CHECK(status[c] != SURR_CELL_NET && status[c] != SURR_CELL_AUDIT);
    CHECK(surr_work_outcomes(work, count) == SURR_OK && count[0] == 0 && count[2] > N / 5);
    CHECK_FAILS(surr_work_set_trust(work, 0.0), SURR_E_ARG, "above 0");
    CHECK_FAILS(surr_work_set_trust(NULL, 1.0), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_work_trust(work, NULL), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_work_outcomes(NULL, count), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_work_learn(work, (const int64_t[5]){1, 2, 0, 0, 0}), SURR_E_ARG, "2 of 1");
    close_plan(plan, work);
}

static void test_bad_arguments(void)
{
    int64_t count[SURR_NAUDIT] = {0};
    double error;
    CHECK_FAILS(surr_work_audit(NULL, count), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_work_outside(NULL, count), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_audit_quantile(NULL, 0.5, &error), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_audit_quantile(count, 0.5, NULL), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_audit_quantile(count, 1.5, &error), SURR_E_ARG, "1.5");
}

int main(int argc, char **argv)
{
    REQUIRE(argc == 2);
    surr_model *model = open_toy(argv[1], "toy_net");
    set_cells();
    test_reasons(model);
    test_audit(model, 1);
    test_audit(model, 3);
    test_controller(model);
    test_bad_arguments();
    surr_model_close(model);
    return report("route");
}
