/* The queue gives what the step gives, bit by bit, whenever it is flushed; and the host's own solver behind the net. */
#include "check.h"

#include <fenv.h>

enum { N = 3000, A = 0, B, TEMP, DT, MASK, COST, N_SLOT };
static const field fields[N_SLOT] = {
    {"A", SURR_Q_MASS_DENSITY, SURR_F_INDEXED}, {"B", SURR_Q_MASS_DENSITY, SURR_F_INDEXED},
    {"T", SURR_Q_T_OVER_MU, SURR_F_COMPACT},    {"", SURR_Q_DT, SURR_F_COMPACT},
    {"", SURR_Q_MASK, SURR_F_COMPACT},          {"", SURR_Q_COST, SURR_F_COMPACT}};

/* Cells as a host may have them: A and B behind a list of cell numbers, the others one per cell of the call. */
typedef struct gas {
    double ab[2][2 * N], t[N], dt[N], mask[N], cost[N];
    uint8_t status[N];
} gas;
static gas start, stepped, queued;
static int32_t list[N];

static void set_gas(void)
{
    memset(&start, 0, sizeof start);
    for (int c = 0; c < N; c++) {
        list[c] = 1 + (7 * c + 3) % (2 * N); /* 7 and 2 N have no common factor: none twice */
        start.ab[0][list[c] - 1] = (1.0 + 1e-3 * c) * 3.347e-24;
        start.ab[1][list[c] - 1] = 2.0 * 1.6735e-24;
        start.t[c] = c % 10 == 0 ? 2000.0 : c % 10 == 1 ? 400.0 : 100.0;
        start.dt[c] = c % 97 == 0 ? 1e9 : 10.0; /* too long for max_solver_steps */
        start.mask[c] = c % 31 == 0;
        if (c % 53 == 0) start.t[c] = -1.0;
    }
}

static surr_plan *make_plan(surr_model *model, int64_t threads, double rtol, double audit)
{
    surr_plan *plan = open_plan(model, fields, N_SLOT);
    CHECK(surr_plan_set_i(plan, "threads", -1, threads) == SURR_OK);
    CHECK(surr_plan_set_i(plan, "index_base", -1, 1) == SURR_OK);
    CHECK(surr_plan_set_i(plan, "max_solver_steps", -1, 1000) == SURR_OK);
    CHECK(surr_plan_set_d(plan, "rtol", -1, rtol) == SURR_OK && surr_plan_set_d(plan, "audit", -1, audit) == SURR_OK);
    return plan;
}

/* All cells in calls of changing length, every few calls a flush. What the calls were given is gone at the flush. */
static void queue_in_pieces(surr_plan *plan, surr_work *work, int length, int64_t sum[SURR_NSTAT])
{
    int64_t stat[SURR_NSTAT];
    memset(sum, 0, SURR_NSTAT * sizeof *sum);
    for (int first = 0, calls = 0; first < N; calls++) {
        int n = 1 + (13 * calls) % length;
        int32_t index[N];
        void *base[N_SLOT] = {queued.ab[0],      queued.ab[1],        queued.t + first,
                              queued.dt + first, queued.mask + first, queued.cost + first};
        int64_t stride[N_SLOT] = {1, 1, 1, 1, 1, 1};
        if (n > N - first) n = N - first;
        memcpy(index, list + first, (size_t)n * sizeof index[0]);
        CHECK(surr_queue(plan, work, n, 1.0, base, stride, SURR_F64, index, queued.status + first, stat) >= 0);
        for (int j = 0; j < SURR_NSTAT; j++) sum[j] += stat[j];
        int64_t waiting = 0;
        for (int c = first; c < first + n; c++) waiting += queued.status[c] == SURR_CELL_QUEUED;
        CHECK(stat[SURR_STAT_CELLS] == n - waiting);
        memset(index, 0xff, sizeof index), memset(base, 0, sizeof base), memset(stride, 0xff, sizeof stride);
        first += n;
        if (calls % 5 != 4 && first < N) continue;
        CHECK(surr_flush(work, stat) >= 0);
        for (int j = 0; j < SURR_NSTAT; j++) sum[j] += stat[j];
    }
}

static void test_queue_is_step(surr_model *model, int64_t threads, double rtol, double audit, int length)
{
    int64_t stat[SURR_NSTAT], sum[SURR_NSTAT], found[SURR_NAUDIT], again[SURR_NAUDIT];
    surr_plan *plan = make_plan(model, threads, rtol, audit);
    surr_work *work = commit(plan), *other;
    stepped = queued = start;
    void *base[N_SLOT] = {stepped.ab[0], stepped.ab[1], stepped.t, stepped.dt, stepped.mask, stepped.cost};
    int64_t stride[N_SLOT] = {1, 1, 1, 1, 1, 1};
    CHECK(surr_step(plan, work, N, 1.0, base, stride, SURR_F64, list, stepped.status, stat) == SURR_FLAGGED);
    REQUIRE(surr_work_create(plan, 0, &other) == SURR_OK);
    queue_in_pieces(plan, other, length, sum);
    CHECK(memcmp(&stepped, &queued, sizeof stepped) == 0);
    CHECK(memcmp(stat, sum, sizeof stat) == 0 && stat[SURR_STAT_UNTOUCHED] > 50 && stat[SURR_STAT_STEPS] > N);
    for (int c = 0; c < N; c++)
        CHECK((stepped.cost[c] > 0.0) == (stepped.status[c] != SURR_CELL_NET && stepped.status[c] != SURR_CELL_MASKED &&
                                          stepped.status[c] != SURR_CELL_BAD_INPUT));
    CHECK(surr_work_audit(work, found) == SURR_OK && surr_work_audit(other, again) == SURR_OK);
    CHECK(memcmp(found, again, sizeof found) == 0);
    CHECK(surr_flush(other, stat) == SURR_OK && stat[SURR_STAT_CELLS] == 0); /* nothing waits any more */
    surr_work_free(work);
    surr_work_free(other);
    surr_plan_free(plan);
}

/* Rows of single precision, and a block; cells wait untouched, and for ever if the work goes first. */
static void test_layouts(surr_model *model)
{
    static const field plain[3] = {{"A", SURR_Q_STATE, 0}, {"B", SURR_Q_STATE, 0}, {"T", SURR_Q_STATE, 0}};
    float row[2][3] = {{1, 2, 100}, {1.5, 2, 100}}, expected[2][3];
    double block[3][2] = {{1, 1.5}, {2, 2}, {100, 100}}, before[3][2], solved[3][2];
    void *base[3] = {row[0], row[0] + 1, row[0] + 2};
    int64_t stride[3] = {3, 3, 3};
    surr_plan *plan = open_plan(model, plain, 3);
    surr_work *work = commit(plan);
    memcpy(expected, row, sizeof row), memcpy(before, block, sizeof block), memcpy(solved, block, sizeof block);
    void *other[3] = {expected[0], expected[0] + 1, expected[0] + 2};
    CHECK(surr_step(plan, work, 2, 5.0, other, stride, SURR_F32, NULL, NULL, NULL) == SURR_OK);
    CHECK(surr_step_block(plan, work, 2, 5.0, solved[0], 1, 2, NULL, NULL, NULL) == SURR_OK);
    CHECK(surr_queue(plan, work, 2, 5.0, base, stride, SURR_F32, NULL, NULL, NULL) == SURR_OK);
    CHECK(surr_queue_block(plan, work, 2, 5.0, block[0], 1, 2, NULL, NULL, NULL) == SURR_OK);
    CHECK(memcmp(block, before, sizeof block) == 0);
    CHECK(surr_flush(work, NULL) == SURR_OK);
    CHECK(memcmp(row, expected, sizeof row) == 0 && memcmp(block, solved, sizeof block) == 0);
    CHECK(surr_queue_block(plan, work, 2, 5.0, block[0], 1, 2, NULL, NULL, NULL) == SURR_OK);
    surr_work_free(work);
    surr_plan_free(plan);
    CHECK(memcmp(block, solved, sizeof block) == 0);
}

static void test_errors(surr_model *model)
{
    double q[3] = {1, 2, 100};
    void *base[3] = {q, q + 1, q + 2};
    int64_t stride[3] = {1, 1, 1};
    static const field plain[3] = {{"A", SURR_Q_STATE, 0}, {"B", SURR_Q_STATE, 0}, {"T", SURR_Q_STATE, 0}};
    surr_plan *plan = open_plan(model, plain, 3);
    CHECK(surr_plan_set_s(plan, "on_failure", -1, "error", -1) == SURR_OK);
    surr_work *work = commit(plan);
    CHECK_FAILS(surr_queue_block(plan, work, 1, 1.0, q, 1, 1, NULL, NULL, NULL), SURR_E_UNSUPPORTED, "surr_step");
    CHECK_FAILS(surr_queue(plan, work, 1, 1.0, base, stride, SURR_F64, NULL, NULL, NULL), SURR_E_UNSUPPORTED, "flag");
    CHECK_FAILS(surr_queue(plan, work, 1, 1.0, NULL, stride, SURR_F64, NULL, NULL, NULL), SURR_E_ARG, "base");
    CHECK_FAILS(surr_queue(plan, work, 1, -1.0, base, stride, SURR_F64, NULL, NULL, NULL), SURR_E_ARG, "dt is -1");
    CHECK_FAILS(surr_queue_block(NULL, work, 1, 1.0, q, 1, 1, NULL, NULL, NULL), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_flush(NULL, NULL), SURR_E_ARG, "NULL");
    CHECK(q[0] == 1 && q[1] == 2 && q[2] == 100);
    surr_work_free(work);
    surr_plan_free(plan);
}

/* ---- the host's solver ------------------------------------------------------------------------------------------- */

typedef struct host {
    int64_t n_calls, n_cells;
    int rounding;
    int32_t answer, nested;
    double sign;
    surr_work *work;
} host;

/* A becomes B's mass at once, T stays. */
static int32_t convert_all(void *context, int64_t n, double *state, const double *dt, const double *params)
{
    host *h = context;
    h->n_calls++;
    h->n_cells += n;
    h->rounding = fegetround();
    if (h->work) h->nested = surr_flush(h->work, NULL);
    for (int64_t c = 0; c < n; c++) {
        state[3 * c + B] += h->sign * 2.0 * state[3 * c + A];
        state[3 * c + A] = 0.0;
        CHECK(dt[c] == 10.0 && params[2 * c] == 1e-3);
    }
    return h->answer;
}

static void test_host_solver(surr_model *toy, surr_model *with_net)
{
    static const field plain[3] = {{"A", SURR_Q_STATE, 0}, {"B", SURR_Q_STATE, 0}, {"T", SURR_Q_STATE, 0}};
    double q[4][3] = {{1, 2, 100}, {1, 3, 100}, {1, 4, 2000}, {-1, 2, 100}}, before[4][3], waiting[4][3];
    uint8_t status[4];
    int64_t stat[SURR_NSTAT];
    host h = {.sign = 1.0};
    memcpy(before, q, sizeof q);
    memcpy(waiting, q, sizeof q);
    surr_plan *plan = open_plan(toy, plain, 3);
    CHECK_FAILS(surr_plan_set_fallback(NULL, convert_all, &h), SURR_E_ARG, "NULL");
    CHECK(surr_plan_set_fallback(plan, convert_all, &h) == SURR_OK);
    surr_work *work = commit(plan);
    CHECK_FAILS(surr_plan_set_fallback(plan, NULL, NULL), SURR_E_STATE, "committed");
    fesetround(FE_UPWARD);
    int32_t code = surr_step_block(plan, work, 4, 10.0, q[0], 3, 1, NULL, status, stat);
    fesetround(FE_TONEAREST);
    CHECK(code == SURR_FLAGGED && h.n_calls == 1 && h.n_cells == 3 && h.rounding == FE_UPWARD);
    CHECK(q[0][A] == 0 && q[0][B] == 4 && q[2][B] == 6 && q[3][A] == -1 && stat[SURR_STAT_STEPS] == 0);
    CHECK(status[0] == SURR_CELL_SOLVER && status[3] == SURR_CELL_BAD_INPUT);
    CHECK(surr_queue_block(plan, work, 4, 10.0, waiting[0], 3, 1, NULL, NULL, NULL) == SURR_FLAGGED && h.n_calls == 1);
    h.work = work; /* it calls the engine again, with the work that calls it */
    CHECK(surr_flush(work, NULL) == SURR_OK && h.nested == SURR_E_BUSY);
    CHECK(memcmp(waiting, q, sizeof q) == 0);
    h = (host){.sign = 1.0, .answer = 7}; /* gives up */
    memcpy(q, before, sizeof q);
    CHECK(surr_step_block(plan, work, 4, 10.0, q[0], 3, 1, NULL, status, NULL) == SURR_FLAGGED);
    CHECK(status[0] == SURR_CELL_FAILED && memcmp(q, before, sizeof q) == 0);
    h = (host){.sign = -3.0}; /* nonsense: a negative density */
    CHECK(surr_step_block(plan, work, 4, 10.0, q[0], 3, 1, NULL, status, NULL) == SURR_FLAGGED);
    CHECK(status[1] == SURR_CELL_FAILED && memcmp(q, before, sizeof q) == 0);
    surr_work_free(work);
    surr_plan_free(plan);

    h = (host){.sign = 1.0};
    plan = open_plan(with_net, plain, 3);
    CHECK(surr_plan_set_d(plan, "rtol", -1, 0.1) == SURR_OK);
    CHECK(surr_plan_set_fallback(plan, convert_all, &h) == SURR_OK);
    work = commit(plan);
    CHECK(surr_step_block(plan, work, 3, 10.0, q[0], 3, 1, NULL, status, NULL) == SURR_OK);
    CHECK(h.n_cells == 1 && status[0] == SURR_CELL_NET && status[2] == SURR_CELL_OUTSIDE && q[2][A] == 0 &&
          q[0][A] > 0);
    surr_work_free(work);
    surr_plan_free(plan);
}

int main(int argc, char **argv)
{
    REQUIRE(argc == 2);
    surr_model *toy = open_toy(argv[1], "toy"), *with_net = open_toy(argv[1], "toy_net");
    set_gas();
    for (int64_t threads = 1; threads <= 3; threads += 2)
        for (int length = 32; length <= 2000; length += 1968) {
            test_queue_is_step(toy, threads, 1e-2, 0.0, length);
            test_queue_is_step(with_net, threads, 0.1, 0.1, length);
        }
    test_layouts(toy);
    test_errors(toy);
    test_host_solver(toy, with_net);
    surr_model_close(toy);
    surr_model_close(with_net);
    return report("queue");
}
