/* The exchange between ranks without MPI: ranks are threads, messages go through memory. Whoever solves a cell, its
 * result is that of a step on one rank, bit by bit; a helper that fails is no harm. */
#include "check.h"

#include "surrogate_balance.h"

#include <pthread.h>

enum { N = 3000, MOST = 4, ROOM = 64 };
static const field fields[] = {{"A", SURR_Q_STATE, 0},    {"B", SURR_Q_STATE, 0}, {"T", SURR_Q_STATE, 0},
                               {"rate", SURR_Q_PARAM, 0}, {"", SURR_Q_DT, 0},     {"", SURR_Q_COST, 0}};
enum { A = 0, B, TEMP, RATE, DT, COST, N_SLOT };
static double start[N][N_SLOT], expected[N][N_SLOT], found[N][N_SLOT];
static uint8_t expected_status[N], found_status[N];

/* ---- messages ---------------------------------------------------------------------------------------------------- */

typedef struct message {
    int from, to, is_taken;
    int64_t n;
    double *x;
} message;

/* What all ranks share, and one lock for it. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int n_rank, n_given, round;
    double given[MOST], all[MOST];
    message messages[ROOM];
    int n_message;
} net = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

typedef struct request {
    int is_open, peer;
    double *into; /* NULL: of a message that is sent */
    int64_t most;
} request;

typedef struct rank {
    int number, refuses, fails;
    request requests[2 * MOST];
    surr_model *model;
    surr_exchange_report report;
    int32_t code;
    int64_t interval;
    int first, last; /* cells */
} rank;

static int32_t gather(void *context, double own, double *all)
{
    rank *self = context;
    pthread_mutex_lock(&net.lock);
    const int round = net.round;
    net.given[self->number] = own;
    if (++net.n_given == net.n_rank) {
        memcpy(net.all, net.given, sizeof net.all);
        net.n_given = 0, net.round++;
        pthread_cond_broadcast(&net.changed);
    }
    while (net.round == round) pthread_cond_wait(&net.changed, &net.lock);
    memcpy(all, net.all, (size_t)net.n_rank * sizeof *all);
    pthread_mutex_unlock(&net.lock);
    return self->fails ? surr_set_error(SURR_E_MPI, "the line is cut") : SURR_OK;
}

static int32_t send(void *context, int32_t number, int32_t peer, const double *x, int64_t n)
{
    rank *self = context;
    if (self->refuses) n = 0;
    pthread_mutex_lock(&net.lock);
    message *m = &net.messages[net.n_message++];
    *m = (message){.from = self->number, .to = peer, .n = n, .x = malloc((size_t)(n + 1) * sizeof *x)};
    memcpy(m->x, x, (size_t)n * sizeof *x);
    self->requests[number] = (request){.is_open = 1};
    pthread_cond_broadcast(&net.changed);
    pthread_mutex_unlock(&net.lock);
    return SURR_OK;
}

static int32_t receive(void *context, int32_t number, int32_t peer, double *x, int64_t n)
{
    ((rank *)context)->requests[number] = (request){.is_open = 1, .peer = peer, .into = x, .most = n};
    return SURR_OK;
}

/* Takes the first message for this request; -1: there is none. */
static int64_t take(const rank *self, const request *r)
{
    for (int i = 0; i < net.n_message; i++) {
        message *m = &net.messages[i];
        if (m->is_taken || m->from != r->peer || m->to != self->number) continue;
        const int64_t n = m->n <= r->most ? m->n : 0;
        memcpy(r->into, m->x, (size_t)n * sizeof *m->x);
        m->is_taken = 1;
        return n;
    }
    return -1;
}

static int32_t wait(void *context, int32_t first, int32_t n, int32_t *which, int64_t *count)
{
    rank *self = context;
    pthread_mutex_lock(&net.lock);
    for (;; pthread_cond_wait(&net.changed, &net.lock))
        for (int i = n - 1; i >= 0; i--) { /* any order will do */
            request *r = &self->requests[first + i];
            if (!r->is_open) continue;
            *count = r->into ? take(self, r) : 0;
            if (*count < 0) continue;
            r->is_open = 0;
            *which = i;
            pthread_mutex_unlock(&net.lock);
            return SURR_OK;
        }
}

static void progress(void *context) { (void)context; }

/* ---- ranks ------------------------------------------------------------------------------------------------------- */

static surr_plan *make_plan(surr_model *model)
{
    surr_plan *plan = open_plan(model, fields, N_SLOT);
    CHECK(surr_plan_set_d(plan, "rtol", -1, 0.1) == SURR_OK);
    CHECK(surr_plan_set_i(plan, "max_solver_steps", -1, 1000) == SURR_OK);
    return plan;
}

static void queue_cells(const rank *r, surr_plan *plan, surr_work *work)
{
    CHECK(surr_queue_block(plan, work, r->last - r->first, 1.0, found[r->first], N_SLOT, 1, NULL,
                           found_status + r->first, NULL) >= 0);
}

static void *run_rank(void *argument)
{
    rank *self = argument;
    surr_plan *plan = make_plan(self->model);
    surr_work *work = commit(plan);
    surr_exchange *exchange;
    const surr_transport t = {self, self->number, gather, send, receive, wait, progress};
    CHECK(surr_exchange_create(net.n_rank, NULL, 0.03, self->interval, &exchange) == SURR_OK);
    for (int step = 0; step < 4 && self->code == SURR_OK; step++) {
        double all[MOST];
        gather(&(rank){.number = self->number}, 0.0, all); /* the cells are as they were */
        memcpy(found[self->first], start[self->first], sizeof found[0] * (size_t)(self->last - self->first));
        queue_cells(self, plan, work);
        self->code = surr_exchange_run(exchange, work, &t, &self->report);
        CHECK(surr_flush(work, NULL) >= 0);
    }
    surr_exchange_free(exchange);
    surr_work_free(work);
    surr_plan_free(plan);
    return NULL;
}

/* All on n ranks; the last tenth is hard. */
static void run(surr_model *model, int n, rank *ranks)
{
    pthread_t threads[MOST];
    net.n_rank = n;
    memset(found, 0, sizeof found);
    for (int r = 0; r < n; r++) {
        ranks[r].number = r, ranks[r].model = model, ranks[r].first = N * r / n, ranks[r].last = N * (r + 1) / n;
        if (!ranks[r].interval) ranks[r].interval = 1;
        pthread_create(&threads[r], NULL, run_rank, &ranks[r]);
    }
    for (int r = 0; r < n; r++) pthread_join(threads[r], NULL);
    for (int i = 0; i < net.n_message; i++) free(net.messages[i].x);
    net.n_message = 0;
}

static void check_results(void)
{
    CHECK(memcmp(found, expected, sizeof found) == 0 &&
          memcmp(found_status, expected_status, sizeof found_status) == 0);
}

static void test_results(surr_model *model)
{
    for (int n = 1; n <= MOST; n++)
        for (int64_t interval = 1; interval <= 3; interval++) {
            rank ranks[MOST] = {
                {.interval = interval}, {.interval = interval}, {.interval = interval}, {.interval = interval}};
            int64_t cells = 0;
            double moved = 0.0;
            run(model, n, ranks);
            check_results();
            for (int r = 0; r < n; r++) cells += ranks[r].report.cells, moved += ranks[r].report.moved_work;
            CHECK(n == 1 ? cells == 0 : cells > 0 && ranks[0].report.load_before > 1.2);
            CHECK(n == 1 || (ranks[0].report.load_after < 1.06 && ranks[0].report.moved_work > 0.0));
            CHECK(moved == 0.0); /* what is done for others is done elsewhere for them */
        }
}

/* A helper that sends nothing back: the owner does it. A line that is cut: an error there, and its cells are done. */
static void test_failures(surr_model *model)
{
    rank refusing[MOST] = {{.refuses = 1}};
    run(model, 2, refusing);
    check_results();
    CHECK(refusing[1].report.cells > 0 && refusing[1].report.moved_work == 0.0);
    rank cut[MOST] = {{.fails = 1}, {.fails = 1}};
    run(model, 2, cut);
    check_results();
    CHECK(cut[0].code == SURR_E_MPI && cut[1].code == SURR_E_MPI);
}

static void test_misuse(surr_model *model)
{
    surr_exchange *e;
    surr_plan *plan = make_plan(model);
    surr_work *work = commit(plan);
    rank self = {0};
    surr_transport t = {&self, 0, gather, send, receive, wait, progress};
    CHECK_FAILS(surr_exchange_create(0, NULL, 0.03, 1, &e), SURR_E_ARG, "n_rank");
    CHECK_FAILS(surr_exchange_create(2, NULL, 0.0, 1, &e), SURR_E_ARG, "min_gain");
    CHECK_FAILS(surr_exchange_create(2, NULL, 0.1, 0, &e), SURR_E_ARG, "interval");
    CHECK_FAILS(surr_exchange_create(2, NULL, 0.1, 1, NULL), SURR_E_ARG, "out");
    CHECK(surr_exchange_create(2, (const int32_t[]){0, 1}, 0.1, 1, &e) == SURR_OK);
    CHECK_FAILS(surr_exchange_run(NULL, work, &t, NULL), SURR_E_ARG, "NULL");
    CHECK_FAILS(surr_exchange_run(e, work, NULL, NULL), SURR_E_ARG, "transport");
    CHECK_FAILS(surr_exchange_note(NULL, 1.0), SURR_E_ARG, "NULL");
    t.rank = 2;
    CHECK_FAILS(surr_exchange_run(e, work, &t, NULL), SURR_E_ARG, "0..1");
    t.rank = 0;
    CHECK(surr_exchange_is_due(e) == 1 && surr_exchange_note(e, 1.05) == SURR_OK && surr_exchange_is_due(e) == 0);
    CHECK(surr_exchange_run(e, work, &t, NULL) == SURR_OK); /* asks nobody: there is nobody */
    CHECK(surr_exchange_note(e, 1.2) == SURR_OK && surr_exchange_is_due(e) == 1);
    CHECK(surr_exchange_free(e) == SURR_OK && surr_exchange_free(NULL) == SURR_OK);
    surr_work_free(work);
    surr_plan_free(plan);
}

int main(int argc, char **argv)
{
    REQUIRE(argc == 2);
    surr_model *toy = open_toy(argv[1], "toy");
    for (int c = 0; c < N; c++) {
        start[c][A] = 0.5 + draw(), start[c][B] = draw(), start[c][TEMP] = 100.0;
        start[c][RATE] = 1e-3 * (1.0 + draw()), start[c][DT] = c >= N - N / 10 ? 1e5 : 1e3;
    }
    surr_plan *plan = make_plan(toy);
    surr_work *work = commit(plan);
    memcpy(expected, start, sizeof expected);
    CHECK(surr_step_block(plan, work, N, 1.0, expected[0], N_SLOT, 1, NULL, expected_status, NULL) == SURR_OK);
    surr_work_free(work);
    surr_plan_free(plan);
    test_results(toy);
    test_failures(toy);
    test_misuse(toy);
    surr_model_close(toy);
    return report("exchange between ranks");
}
