/* The harvest: which cells, the same in any batch, on any thread, through step and queue; that it changes nothing; and the
 * file, which is whole whenever its writer is stopped. */
#include "check.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N = 6000, A = 0, B, TEMP, MASK, DT, N_SLOT };

static const field fields[N_SLOT] = {{"A", SURR_Q_STATE, SURR_F_INDEXED},
                                     {"B", SURR_Q_STATE, SURR_F_INDEXED},
                                     {"T", SURR_Q_STATE, SURR_F_INDEXED},
                                     {"", SURR_Q_MASK, SURR_F_INDEXED},
                                     {"", SURR_Q_DT, SURR_F_INDEXED}};
static double start[N][N_SLOT];
static char folder[4096];

/* Of ten cells one is outside, one cheap, one bad, one masked; the net is asked for the others. */
static void set_cells(void)
{
    for (int c = 0; c < N; c++) {
        start[c][A] = 1.0 + 1e-3 * c;
        start[c][B] = 2.0;
        start[c][TEMP] = c % 10 == 0 ? 2000.0 : c % 10 == 1 ? 700.0 : c % 10 == 2 ? -1.0 : 100.0;
        start[c][MASK] = c % 10 == 3;
        start[c][DT] = 10.0 + 1e-6 * c;
    }
}

/* Which cells have been harvested, by A, and whether all else of them was as it came. */
typedef struct crop {
    pthread_mutex_t lock;
    int64_t n, n_call, times[N];
} crop;

static void keep(void *context, int64_t n, const double *state, const double *dt, const double *params)
{
    crop *k = context;
    pthread_mutex_lock(&k->lock);
    k->n_call++;
    for (int64_t c = 0; c < n; c++) {
        const int64_t i = (int64_t)floor((state[3 * c] - 1.0) * 1e3 + 0.5);
        CHECK(i >= 0 && i < N && memcmp(state + 3 * c, start[i], 3 * sizeof(double)) == 0 && dt[c] == start[i][DT]);
        CHECK(params[2 * c] == params[0]);
        k->times[i]++;
        k->n++;
    }
    pthread_mutex_unlock(&k->lock);
}

typedef struct way {
    int64_t threads;
    int batch, is_queued, net, all_or_nothing;
    double rtol, audit;
} way;

static void run(surr_plan *plan, surr_work *work, way how, double (*q)[N_SLOT])
{
    memcpy(q, start, sizeof start);
    for (int first = 0; first < N; first += how.batch) {
        const int n = how.batch < N - first ? how.batch : N - first;
        double *cells = q[first];
        if (how.is_queued) CHECK(surr_queue_block(plan, work, n, 1.0, cells, N_SLOT, 1, NULL, NULL, NULL) >= 0);
        else CHECK(surr_step_block(plan, work, n, 1.0, cells, N_SLOT, 1, NULL, NULL, NULL) >= 0);
    }
    if (how.is_queued) CHECK(surr_flush(work, NULL) >= 0);
}

static surr_plan *plan_for(surr_model *model, way how)
{
    surr_plan *plan = open_plan(model, fields, N_SLOT);
    CHECK(surr_plan_set_i(plan, "threads", -1, how.threads) == SURR_OK);
    CHECK(surr_plan_set_i(plan, "net", -1, how.net) == SURR_OK);
    CHECK(surr_plan_set_d(plan, "rtol", -1, how.rtol) == SURR_OK);
    CHECK(surr_plan_set_d(plan, "audit", -1, how.audit) == SURR_OK);
    return plan;
}

static crop *harvest(surr_model *model, way how, double share, double (*q)[N_SLOT])
{
    crop *k = calloc(1, sizeof *k);
    pthread_mutex_init(&k->lock, NULL);
    surr_plan *plan = plan_for(model, how);
    CHECK(surr_plan_set_harvest(plan, share, keep, k) == SURR_OK);
    surr_work *work = commit(plan);
    run(plan, work, how, q);
    surr_work_free(work);
    surr_plan_free(plan);
    return k;
}

static const way plain = {.threads = 1, .batch = N, .net = 1, .rtol = 0.1};
static double q[N][N_SLOT], r[N][N_SLOT];

static void test_which(surr_model *model)
{
    crop *all = harvest(model, plain, 1.0, q);
    for (int c = 0; c < N; c++) CHECK(all->times[c] == !(c % 10 >= 1 && c % 10 <= 3));
    way how = plain; /* without a net nobody knows what is cheap */
    how.net = 0;
    crop *solver = harvest(model, how, 1.0, q);
    for (int c = 0; c < N; c++) CHECK(solver->times[c] == !(c % 10 == 2 || c % 10 == 3));

    const double share = 0.1, expected = share * 0.7 * N;
    crop *some = harvest(model, plain, share, q);
    CHECK(fabs((double)some->n - expected) < 4.0 * sqrt(expected * (1.0 - share)));
    for (int c = 0; c < N; c++) CHECK(some->times[c] <= all->times[c]);
    CHECK(some->n_call < N / 1000 + some->n / 100 + 2); /* handed over together */
    crop *none = harvest(model, plain, 0.0, q);
    CHECK(none->n_call == 0);
    free(all), free(solver), free(some), free(none);
}

/* Another tolerance, and so other cells that the net takes, an audit, the queue, other threads and batches. */
static void test_same_cells_in_any_way(surr_model *model)
{
    const way others[] = {{.threads = 3, .batch = N, .net = 1, .rtol = 0.1},
                          {.threads = 1, .batch = 7, .net = 1, .rtol = 0.1},
                          {.threads = 3, .batch = 1111, .net = 1, .rtol = 1e-2},
                          {.threads = 1, .batch = 640, .net = 1, .rtol = 0.1, .is_queued = 1},
                          {.threads = 3, .batch = N, .net = 1, .rtol = 0.1, .audit = 0.3, .is_queued = 1}};
    crop *first = harvest(model, plain, 0.1, q);
    CHECK(first->n > 300);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        crop *other = harvest(model, others[i], 0.1, r);
        CHECK(memcmp(first->times, other->times, sizeof first->times) == 0);
        free(other);
    }
    free(first);
}

static void test_nothing_changes(surr_model *model)
{
    surr_plan *plan = plan_for(model, plain);
    surr_work *work = commit(plan);
    run(plan, work, plain, r);
    surr_work_free(work);
    surr_plan_free(plan);
    free(harvest(model, plain, 0.5, q));
    CHECK(memcmp(q, r, sizeof q) == 0);
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

/* Cells in a file, read as NumPy reads it: by the header alone. */
static int64_t count_in(const char *path, int64_t *n_bytes)
{
    unsigned char head[10];
    char text[4096] = "";
    FILE *file = fopen(path, "rb");
    if (!file) return -1;
    CHECK(fread(head, 1, 10, file) == 10 && memcmp(head, "\x93NUMPY\x01", 8) == 0);
    const size_t length = head[8] | (size_t)head[9] << 8;
    CHECK((length + 10) % 64 == 0 && length < sizeof text && fread(text, 1, length, file) == length);
    CHECK(strstr(text, "('A', '<f8'), ('B', '<f8'), ('T', '<f8'), ('dt', '<f8'), ('rate', '<f8')"));
    fseek(file, 0, SEEK_END);
    *n_bytes = ftell(file) - (int64_t)(length + 10);
    fclose(file);
    return strtoll(strstr(text, "'shape': (") + 10, NULL, 10);
}

static void test_file(surr_model *model)
{
    char path[4200];
    int64_t n_bytes, held, drawn;
    snprintf(path, sizeof path, "%s/run.npy", folder);
    crop *known = harvest(model, plain, 0.1, q);
    for (int again = 0; again < 2; again++) { /* the second plan goes on with the file of the first */
        way how = plain;
        how.threads = 3;
        surr_plan *plan = plan_for(model, how);
        CHECK(surr_plan_set_harvest_file(plan, 0.1, path, -1, 1000000) == SURR_OK);
        surr_work *work = commit(plan);
        run(plan, work, how, q);
        CHECK(surr_plan_harvested(plan, &held, &drawn) == SURR_OK && drawn == known->n);
        CHECK(held == (1 + again) * known->n && count_in(path, &n_bytes) == held && n_bytes == held * 6 * 8);
        surr_work_free(work);
        surr_plan_free(plan);
    }
    surr_plan *plan = plan_for(model, plain);
    CHECK_FAILS(surr_plan_set_harvest_file(plan, 0.1, path, -1, 10), SURR_E_ARG, "already");
    CHECK(unlink(path) == 0);

    /* a full file is a sample of all that came */
    enum { MOST = 50 };
    CHECK(surr_plan_set_harvest_file(plan, 1.0, path, -1, MOST) == SURR_OK);
    surr_work *work = commit(plan);
    run(plan, work, plain, q);
    CHECK(surr_plan_harvested(plan, &held, &drawn) == SURR_OK && held == MOST && drawn == 7 * N / 10);
    CHECK(count_in(path, &n_bytes) == MOST && n_bytes == MOST * 6 * 8);
    double row[MOST][6], mean = 0.0;
    FILE *file = fopen(path, "rb");
    CHECK(fseek(file, -(long)sizeof row, SEEK_END) == 0 && fread(row, sizeof row, 1, file) == 1);
    fclose(file);
    for (int i = 0; i < MOST; i++) mean += (row[i][A] - 1.0) * 1e3 / MOST / N;
    CHECK(fabs(mean - 0.5) < 4.0 * sqrt(1.0 / 12 / MOST));
    surr_work_free(work);
    surr_plan_free(plan);
    free(known);
}

/* Stopped while it writes, again and again: what the header promises is there. */
static void test_killed(surr_model *model)
{
    char path[4200];
    int64_t n_bytes = 0, n = 0, before = 0;
    snprintf(path, sizeof path, "%s/killed.npy", folder);
    for (int i = 0; i < 5; i++) {
        const pid_t child = fork();
        if (child == 0) {
            surr_plan *plan = plan_for(model, plain);
            if (surr_plan_set_harvest_file(plan, 1.0, path, -1, 100000000) != SURR_OK) _exit(1);
            surr_work *work = commit(plan);
            for (;;) run(plan, work, plain, q);
        }
        usleep(50000 + 7001 * i);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        n = count_in(path, &n_bytes);
        CHECK(n > before && n_bytes >= n * 6 * 8);
        before = n;
    }
}

static void test_misuse(surr_model *model)
{
    char path[4200], other[4200];
    snprintf(path, sizeof path, "%s/run.npy", folder);
    snprintf(other, sizeof other, "%s/other.npy", folder);
    surr_plan *plan = plan_for(model, plain);
    CHECK_FAILS(surr_plan_set_harvest(NULL, 0.1, keep, NULL), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_plan_set_harvest(plan, 1.5, keep, NULL), SURR_E_ARG, "0..1");
    CHECK_FAILS(surr_plan_set_harvest(plan, NAN, keep, NULL), SURR_E_ARG, "0..1");
    CHECK_FAILS(surr_plan_set_harvest_file(plan, 0.1, NULL, -1, 10), SURR_E_ARG, "path");
    CHECK_FAILS(surr_plan_set_harvest_file(plan, 0.1, path, -1, 0), SURR_E_ARG, "most");
    CHECK_FAILS(surr_plan_set_harvest_file(plan, 0.1, "/nowhere/run.npy", -1, 10), SURR_E_IO, "No such file");
    CHECK_FAILS(surr_plan_set_harvest_file(plan, 0.1, folder, -1, 10), SURR_E_IO, folder);
    CHECK_FAILS(surr_plan_harvested(plan, NULL, NULL), SURR_E_STATE, "surr_plan_set_harvest_file");
    FILE *file = fopen(other, "w"); /* nobody's text is overwritten */
    CHECK(file && fputs("mine", file) > 0 && fclose(file) == 0);
    CHECK_FAILS(surr_plan_set_harvest_file(plan, 0.1, other, -1, 10), SURR_E_FORMAT, "name another");
    CHECK(surr_plan_set_harvest_file(plan, 0.1, path, -1, 10000) == SURR_OK);
    const pid_t child = fork(); /* another process, as a rank is */
    if (child == 0) {
        surr_plan *same = plan_for(model, plain);
        _exit(surr_plan_set_harvest_file(same, 0.1, path, -1, 10000) == SURR_E_BUSY ? 0 : 1);
    }
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    surr_work *work = commit(plan);
    CHECK_FAILS(surr_plan_set_harvest(plan, 0.1, keep, NULL), SURR_E_STATE, "committed");
    surr_work_free(work);
    surr_plan_free(plan);
}

/* A full disk stops the harvest, not the run. */
static void test_full_disk(surr_model *model)
{
    if (access("/dev/full", W_OK) != 0) return;
    char path[4200];
    snprintf(path, sizeof path, "%s/full.npy", folder);
    surr_plan *plan = plan_for(model, plain);
    CHECK(surr_plan_set_harvest_file(plan, 1.0, path, -1, 1000000) == SURR_OK);
    for (int fd = 3; fd < 64; fd++) { /* its descriptor leads to a full device */
        char link[64], target[4200] = "";
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        if (readlink(link, target, sizeof target - 1) > 0 && strstr(target, "full.npy"))
            CHECK(dup2(open("/dev/full", O_RDWR), fd) == fd);
    }
    surr_work *work = commit(plan);
    run(plan, work, plain, q);
    CHECK_FAILS(surr_plan_harvested(plan, NULL, NULL), SURR_E_IO, "No space");
    surr_work_free(work);
    surr_plan_free(plan);
}

int main(int argc, char **argv)
{
    REQUIRE(argc == 2);
    snprintf(folder, sizeof folder, "/tmp/surr_harvest_XXXXXX");
    REQUIRE(mkdtemp(folder));
    surr_model *model = open_toy(argv[1], "toy_net");
    set_cells();
    test_which(model);
    test_same_cells_in_any_way(model);
    test_nothing_changes(model);
    test_file(model);
    test_killed(model);
    test_misuse(model);
    test_full_disk(model);
    surr_model_close(model);
    char command[5000];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    CHECK(system(command) == 0);
    return report("test_harvest");
}
