/* A cell that cannot be advanced is flagged, left untouched bit by bit, and does not disturb its neighbours.
 * Compiled a second time with -ffast-math, as hosts are: so this file itself may not compare NaNs. */
#include "check.h"

enum { N = 16, BAD = 5, A = 0, B, TEMP, RATE, DT, RHO, MASK, N_SLOT };

/* Two hosts: one whose densities and temperatures all need rho, one that merely has it. */
static const field hosts[2][N_SLOT] = {
    {{"A", SURR_Q_MASS_FRACTION, 0},
     {"B", SURR_Q_MASS_FRACTION, 0},
     {"T", SURR_Q_T_OVER_MU, 0},
     {"rate", SURR_Q_PARAM, 0},
     {NULL, SURR_Q_DT, 0},
     {NULL, SURR_Q_DENSITY, 0},
     {NULL, SURR_Q_MASK, 0}},
    {{"A", SURR_Q_NUMBER_DENSITY, 0},
     {"B", SURR_Q_NUMBER_DENSITY, 0},
     {"T", SURR_Q_TEMPERATURE, 0},
     {"rate", SURR_Q_PARAM, 0},
     {NULL, SURR_Q_DT, 0},
     {NULL, SURR_Q_DENSITY, 0},
     {NULL, SURR_Q_MASK, 0}},
};

static double from_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

#define QUIET_NAN     0x7ff8000000000000u
#define SIGNALING_NAN 0x7ff0000000000001u
#define NEGATIVE_NAN  0xfff8000000000000u
#define INF           0x7ff0000000000000u
#define MINUS_INF     0xfff0000000000000u

static double start[N][N_SLOT], expected[N][N_SLOT];
static surr_plan *plan, *strict;
static surr_work *work, *strict_work;

static void expect(int slot, uint64_t bits, int32_t status)
{
    double q[N][N_SLOT], before[N][N_SLOT];
    uint8_t got[N];
    int64_t stat[SURR_NSTAT];
    int is_flagged = status == SURR_CELL_BAD_INPUT || status == SURR_CELL_FAILED;
    memcpy(q, start, sizeof q);
    memcpy(&q[BAD][slot], &bits, sizeof bits);
    memcpy(before, q, sizeof q);

    int32_t code = surr_step_block(strict, strict_work, N, 1.0, &q[0][0], N_SLOT, 1, NULL, got, NULL);
    CHECK(code == (is_flagged ? SURR_E_CELLS : SURR_OK));
    CHECK(got[BAD] == status);
    if (is_flagged) CHECK(memcmp(q, before, sizeof q) == 0);

    memcpy(q, before, sizeof q);
    code = surr_step_block(plan, work, N, 1.0, &q[0][0], N_SLOT, 1, NULL, got, stat);
    CHECK(code == (is_flagged ? SURR_FLAGGED : SURR_OK));
    CHECK(stat[SURR_STAT_CELLS] == N && stat[SURR_STAT_SOLVER] == N - (status >= SURR_CELL_MASKED) &&
          stat[SURR_STAT_UNTOUCHED] == (status >= SURR_CELL_MASKED));
    for (int c = 0; c < N; c++) {
        if (c != BAD) CHECK(got[c] == SURR_CELL_SOLVER && memcmp(q[c], expected[c], sizeof q[c]) == 0);
    }
    CHECK(got[BAD] == status);
    if (status >= SURR_CELL_MASKED) CHECK(memcmp(q[BAD], before[BAD], sizeof q[BAD]) == 0);
    if (n_failures) printf("  slot %d, bits %016llx\n", slot, (unsigned long long)bits);
}

static void expect_value(int slot, double value, int32_t status)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    expect(slot, bits, status);
}

/* A result beyond the largest float is no result for a host in single precision. */
static void test_float_overflow(surr_model *toy)
{
    const field three[] = {{"A", SURR_Q_STATE, 0}, {"B", SURR_Q_STATE, 0}, {"T", SURR_Q_STATE, 0}};
    surr_plan *single;
    REQUIRE(surr_plan_create(toy, &single) == SURR_OK);
    for (int k = 0; k < 3; k++)
        CHECK(surr_plan_field(single, three[k].name, -1, three[k].quantity, k < 2 ? 1e-30 : 1.0, 0, NULL) == SURR_OK);
    CHECK(surr_plan_set_d(single, "rtol", -1, 1e-2) == SURR_OK);
    surr_work *single_work = commit(single);
    float q[3] = {3e38f, 3e38f, 100.0f}, before[3];
    void *base[3] = {&q[0], &q[1], &q[2]};
    int64_t stride[3] = {1, 1, 1};
    uint8_t status;
    memcpy(before, q, sizeof q);
    CHECK(surr_step(single, single_work, 1, 1e3, base, stride, SURR_F32, NULL, &status, NULL) == SURR_FLAGGED);
    CHECK(status == SURR_CELL_FAILED && memcmp(q, before, sizeof q) == 0);
    surr_work_free(single_work);
    surr_plan_free(single);
}

static void test_host(surr_model *toy, const field *fields)
{
    plan = open_plan(toy, fields, N_SLOT);
    strict = open_plan(toy, fields, N_SLOT);
    CHECK(surr_plan_set_s(strict, "on_failure", -1, "error", -1) == SURR_OK);
    work = commit(plan);
    strict_work = commit(strict);
    for (int c = 0; c < N; c++) {
        double row[N_SLOT] = {0.25, 0.75, 100.0 + c, 1e-3, 100.0, 1e-23 + 1e-25 * c, 0.0};
        memcpy(start[c], row, sizeof row);
    }
    memcpy(expected, start, sizeof start);
    CHECK(surr_step_block(plan, work, N, 1.0, &expected[0][0], N_SLOT, 1, NULL, NULL, NULL) == SURR_OK);

    const uint64_t never[] = {QUIET_NAN, SIGNALING_NAN, NEGATIVE_NAN, INF, MINUS_INF};
    for (int slot = A; slot <= RHO; slot++) {
        for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) expect(slot, never[i], SURR_CELL_BAD_INPUT);
        expect_value(slot, -1e-3, SURR_CELL_BAD_INPUT);
        expect_value(slot, -1e300, SURR_CELL_BAD_INPUT);
    }
    expect_value(A, 0.0, SURR_CELL_SOLVER); /* an absent species is fine */
    expect_value(A, 1e300, SURR_CELL_BAD_INPUT);
    expect_value(TEMP, 0.0, SURR_CELL_BAD_INPUT);
    expect_value(TEMP, 1e-3, SURR_CELL_BAD_INPUT); /* below the model's 1 K */
    expect_value(TEMP, 1e12, SURR_CELL_BAD_INPUT);
    expect_value(RATE, 0.0, SURR_CELL_SOLVER);
    expect_value(RATE, 1e6, SURR_CELL_FAILED); /* needs 1e8 steps, 1e5 are allowed */
    expect_value(DT, 0.0, SURR_CELL_BAD_INPUT);
    expect_value(DT, from_bits(1), SURR_CELL_BAD_INPUT); /* subnormal */
    expect_value(RHO, 0.0, SURR_CELL_BAD_INPUT);
    expect_value(MASK, 1.0, SURR_CELL_MASKED);
    expect_value(MASK, -0.0, SURR_CELL_SOLVER);
    expect(MASK, QUIET_NAN, SURR_CELL_MASKED);
    start[BAD][B] = expected[BAD][B] = 0.0;
    expect_value(A, 0.0, SURR_CELL_BAD_INPUT); /* no gas at all */

    surr_work_free(work);
    surr_work_free(strict_work);
    surr_plan_free(plan);
    surr_plan_free(strict);
}

int main(int argc, char **argv)
{
    REQUIRE(argc == 2);
    surr_model *toy = open_toy(argv[1], "toy");
    test_host(toy, hosts[0]);
    test_host(toy, hosts[1]);
    test_float_overflow(toy);
    surr_model_close(toy);
    return report("bad cells");
}
