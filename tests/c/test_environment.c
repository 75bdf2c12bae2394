/* What a host must not notice: its floating-point environment, traps, allocations. And what it may ask: seconds. */
#include "check.h"

#include <fenv.h>
#include <pthread.h>

enum { N = 3000, N_SLOT = 3 };
static const field fields[N_SLOT] = {
    {"A", SURR_Q_NUMBER_DENSITY, 0}, {"B", SURR_Q_NUMBER_DENSITY, 0}, {"T", SURR_Q_EINT_MASS, 0}};
static double q[N][N_SLOT];

/* Good cells, and at every tenth place something that would trap in careless hands. */
static void fill(void)
{
    static const uint64_t nasty[] = {
        0x7ff8000000000000u, 0x7ff0000000000001u, 0x7ff0000000000000u, 0xfff0000000000000u, 0u, 1u,
        0x8000000000000001u, 0x7fefffffffffffffu};
    for (int c = 0; c < N; c++) {
        double row[N_SLOT] = {1.0, 2.0, 1e10};
        memcpy(q[c], row, sizeof row);
        if (c % 10 == 0) memcpy(&q[c][c / 10 % N_SLOT], &nasty[c / 30 % 8], sizeof nasty[0]);
        if (c % 10 == 5) q[c][0] = q[c][1] = 0.0; /* no gas: divisions by zero */
    }
}

static surr_plan *make_plan(surr_model *toy, int64_t threads)
{
    surr_plan *plan = open_plan(toy, fields, N_SLOT);
    CHECK(surr_plan_set_i(plan, "threads", -1, threads) == SURR_OK);
    return plan;
}

/* ---- allocations: this program's own malloc counts; sanitizers bring theirs -------------------------------------- */

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
#define COUNTS_ALLOCATIONS 1
static int64_t n_allocations, n_allowed = INT64_MAX; /* further ones fail */
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
static int is_granted(void) { return n_allocations++ < n_allowed; }
void *malloc(size_t n) { return is_granted() ? __libc_malloc(n) : NULL; }
void *calloc(size_t n, size_t size) { return is_granted() ? __libc_calloc(n, size) : NULL; }
void *realloc(void *p, size_t n) { return is_granted() ? __libc_realloc(p, n) : NULL; }
void *aligned_alloc(size_t alignment, size_t n) { return is_granted() ? __libc_memalign(alignment, n) : NULL; }

/* Every allocation of every function fails once; then all goes on. */
static void test_out_of_memory(surr_model *toy)
{
    static double before[N][N_SLOT];
    surr_plan *plan;
    surr_work *work = NULL;
    double error;
    int32_t code;
    n_allowed = n_allocations;
    int32_t create = surr_plan_create(toy, &plan), selftest = surr_model_selftest(toy, &error);
    n_allowed = INT64_MAX;
    CHECK(create == SURR_E_NOMEM && plan == NULL && selftest == SURR_E_NOMEM);
    plan = make_plan(toy, 3);
    REQUIRE(surr_plan_commit(plan) == SURR_OK);
    for (int failures = 0;; failures++) {
        n_allowed = n_allocations + failures;
        code = surr_work_create(plan, 1, &work);
        n_allowed = INT64_MAX;
        CHECK(failures >= 3 || (code == SURR_E_NOMEM && work == NULL));
        if (code == SURR_OK) break;
    }
    fill();
    memcpy(before, q, sizeof q);
    for (int failures = 0;; failures++) {
        n_allowed = n_allocations + failures;
        code = surr_step_block(plan, work, N, 1.0, &q[0][0], N_SLOT, 1, NULL, NULL, NULL);
        n_allowed = INT64_MAX;
        if (code != SURR_E_NOMEM) break;
        CHECK(memcmp(q, before, sizeof q) == 0);
    }
    CHECK(code == SURR_FLAGGED && memcmp(q, before, sizeof q) != 0);
    int failures = 0;
    fill();
    for (;; failures++) { /* the queue grows, or takes nothing */
        n_allowed = n_allocations + failures;
        code = surr_queue_block(plan, work, N, 1.0, &q[0][0], N_SLOT, 1, NULL, NULL, NULL);
        n_allowed = INT64_MAX;
        if (code != SURR_E_NOMEM) break;
        CHECK(memcmp(q, before, sizeof q) == 0);
    }
    CHECK(code == SURR_FLAGGED && failures >= 12 && surr_flush(work, NULL) == SURR_OK);
    surr_work_free(work);
    surr_plan_free(plan);
}

/* Once a queue has seen the most that waits between two flushes, it needs no more. */
static void test_queue_allocates_once(surr_model *toy)
{
    surr_plan *plan = make_plan(toy, 1);
    surr_work *work = commit(plan);
    int64_t before = 0;
    double one[N_SLOT] = {1.0, 2.0, 1e10};
    for (int round = 0; round < 3; round++) {
        fill();
        if (round == 1) before = n_allocations;
        for (int c = 0; c < N; c += 30)
            CHECK(surr_queue_block(plan, work, 30, 1.0, q[c], N_SLOT, 1, NULL, NULL, NULL) == SURR_FLAGGED);
        CHECK(surr_flush(work, NULL) == SURR_OK);
        CHECK(surr_step_cell(plan, work, 1.0, one, NULL) == SURR_OK);
    }
    CHECK(n_allocations == before && before > 0);
    surr_work_free(work);
    surr_plan_free(plan);
}

static void test_no_allocation(surr_model *toy, const char *on_failure)
{
    surr_plan *plan = make_plan(toy, 1);
    CHECK(surr_plan_set_s(plan, "on_failure", -1, on_failure, -1) == SURR_OK);
    surr_work *work = commit(plan);
    double t[3];
    int64_t before = n_allocations;
    fill();
    CHECK(surr_step_block(plan, work, N, 1.0, &q[0][0], N_SLOT, 1, NULL, NULL, NULL) != SURR_OK);
    CHECK(n_allocations > before); /* the counter counts: room for N cells was not there yet */
    before = n_allocations;
    for (int64_t n = 1; n <= N; n = 2 * n + 1)
        CHECK(surr_step_block(plan, work, n, 1.0, &q[0][0], N_SLOT, 1, NULL, NULL, NULL) != SURR_E_NOMEM);
    surr_work_seconds(work, t);
    CHECK(n_allocations == before);
    surr_work_free(work);
    REQUIRE(surr_work_create(plan, N, &work) == SURR_OK);
    before = n_allocations;
    CHECK(surr_step_block(plan, work, N, 1.0, &q[0][0], N_SLOT, 1, NULL, NULL, NULL) != SURR_OK);
    CHECK(n_allocations == before); /* with a good hint not even the first call allocates */
    surr_work_free(work);
    surr_plan_free(plan);
}
#else
static void test_out_of_memory(surr_model *toy) { (void)toy; }
static void test_queue_allocates_once(surr_model *toy) { (void)toy; }
static void test_no_allocation(surr_model *toy, const char *on_failure)
{
    (void)toy;
    printf("allocations are not counted in this build (on_failure=%s)\n", on_failure);
}
#endif

/* ---- floating point ---------------------------------------------------------------------------------------------- */

static unsigned int control(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_stmxcsr();
#else
    return (unsigned int)(fegetround() | fetestexcept(FE_ALL_EXCEPT));
#endif
}

static void test_environment_comes_back(surr_model *toy, int rounding, int flags)
{
    for (int64_t threads = 1; threads <= 3; threads += 2) {
        surr_plan *plan = make_plan(toy, threads);
        surr_work *work = commit(plan);
        int64_t stat[SURR_NSTAT];
        double error;
        fill();
        fesetround(rounding);
        feclearexcept(FE_ALL_EXCEPT);
        feraiseexcept(flags);
        unsigned int before = control();
        int32_t code = surr_step_block(plan, work, N, 1.0, &q[0][0], N_SLOT, 1, NULL, NULL, stat);
        unsigned int after = control();
        surr_model_selftest(toy, &error);
        unsigned int last = control();
        feclearexcept(FE_ALL_EXCEPT);
        fesetround(FE_TONEAREST);
        CHECK(code == SURR_FLAGGED && stat[SURR_STAT_UNTOUCHED] > N / 10 && stat[SURR_STAT_SOLVER] > N / 2);
        CHECK(after == before && last == before);
        surr_work_free(work);
        surr_plan_free(plan);
    }
}

/* A host with -ffpe-trap: a raised trap would end this program. The bits do not depend on the host's rounding. */
static void test_traps_and_rounding(surr_model *toy)
{
    static double reference[N][N_SLOT];
    surr_plan *plan = make_plan(toy, 2);
    surr_work *work = commit(plan);
    fill();
    CHECK(surr_step_block(plan, work, N, 1.0, &q[0][0], N_SLOT, 1, NULL, NULL, NULL) == SURR_FLAGGED);
    memcpy(reference, q, sizeof q);
    fill();
    fesetround(FE_UPWARD);
#if defined(__GLIBC__)
    feclearexcept(FE_ALL_EXCEPT);
    feenableexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW | FE_UNDERFLOW);
#endif
    int32_t code = surr_step_block(plan, work, N, 1.0, &q[0][0], N_SLOT, 1, NULL, NULL, NULL);
    int32_t wrong = surr_step_block(plan, work, N, 0.0, &q[0][0], N_SLOT, 1, NULL, NULL, NULL);
#if defined(__GLIBC__)
    int enabled = fedisableexcept(FE_ALL_EXCEPT);
    CHECK(enabled == (FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW | FE_UNDERFLOW));
#endif
    fesetround(FE_TONEAREST);
    CHECK(code == SURR_FLAGGED && wrong == SURR_E_ARG);
    CHECK(memcmp(q, reference, sizeof q) == 0);
    surr_work_free(work);
    surr_plan_free(plan);
}

/* ---- threads of the host ----------------------------------------------------------------------------------------- */

static surr_plan *shared;

static void *step_on_my_own(void *cells)
{
    surr_work *work;
    intptr_t bad = 0;
    if (surr_work_create(shared, 0, &work) != SURR_OK) return (void *)1;
    for (int i = 0; i < 50; i++) bad += surr_step_block(shared, work, 100, 1.0, cells, N_SLOT, 1, NULL, NULL, NULL) < 0;
    bad += surr_step_cell(shared, work, -1.0, cells, NULL) != SURR_E_ARG;
    surr_work_free(work);
    return (void *)bad;
}

static void test_two_host_threads(surr_model *toy)
{
    pthread_t threads[2];
    void *bad[2];
    fill();
    memcpy(q[100], q[0], 100 * sizeof q[0]);
    shared = make_plan(toy, 1);
    CHECK(surr_plan_commit(shared) == SURR_OK);
    for (int i = 0; i < 2; i++) REQUIRE(pthread_create(&threads[i], NULL, step_on_my_own, q[100 * i]) == 0);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], &bad[i]);
    CHECK(bad[0] == NULL && bad[1] == NULL);
    CHECK(memcmp(q[0], q[100], 100 * sizeof q[0]) == 0);
    surr_plan_free(shared);
}

static void test_seconds(surr_model *toy)
{
    surr_plan *plan = make_plan(toy, 1);
    surr_work *work = commit(plan);
    double seconds[SURR_NPHASE] = {-1, -1, -1, -1};
    CHECK(surr_work_seconds(work, seconds) == SURR_OK && seconds[0] == 0 && seconds[1] == 0 && seconds[2] == 0 &&
          seconds[3] == 0);
    fill();
    surr_step_block(plan, work, N, 1.0, &q[0][0], N_SLOT, 1, NULL, NULL, NULL);
    CHECK(surr_work_seconds(work, seconds) == SURR_OK && seconds[0] > 0 && seconds[2] > 0 && seconds[3] > 0);
    CHECK(seconds[0] + seconds[2] + seconds[3] < 10);
    surr_work_free(work);
    surr_plan_free(plan);
}

int main(int argc, char **argv)
{
    REQUIRE(argc == 2);
    surr_model *toy = open_toy(argv[1], "toy");
    test_no_allocation(toy, "flag");
    test_no_allocation(toy, "error");
    test_out_of_memory(toy);
    test_queue_allocates_once(toy);
    test_environment_comes_back(toy, FE_TONEAREST, 0);
    test_environment_comes_back(toy, FE_UPWARD, FE_INVALID | FE_DIVBYZERO);
    test_environment_comes_back(toy, FE_TOWARDZERO, FE_ALL_EXCEPT);
    test_traps_and_rounding(toy);
    test_two_host_threads(toy);
    test_seconds(toy);
    surr_model_close(toy);
    return report("environment");
}
