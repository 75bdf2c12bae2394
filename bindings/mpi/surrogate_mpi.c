/* libsurrogate_mpi: the exchange of surrogate_balance.h over MPI, and a flush of all ranks together. */
#include "surrogate_mpi.h"

#include "surrogate_balance.h"

#include <mpi.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TAG = 1 };
enum { SCOPE_WORLD, SCOPE_NODE, SCOPE_OFF };

struct surr_balancer {
    MPI_Comm all, node, peers; /* peers: those who share work */
    int n_rank;                /* peers */
    int scope;
    double min_gain, timeout;
    int64_t interval;
    MPI_Request *requests; /* two for every peer */
    surr_transport transport;
    surr_exchange *exchange; /* NULL: to be made, of the options as they are */
    surr_exchange_report report;
    int is_dead; /* a wait was given up: MPI may still write into what was not freed */
};

static int32_t fail(int32_t code, const char *format, double value)
{
    char text[512];
    snprintf(text, sizeof text, format, value);
    return surr_set_error(code, text);
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

/* Waits for one of these requests. A message that did not fit counts as empty. */
static int32_t wait_for(surr_balancer *b, int n, MPI_Request *requests, int *which, MPI_Status *status)
{
    const double start = MPI_Wtime();
    for (long rounds = 0;; rounds++) {
        int flag = 0, kind = MPI_SUCCESS;
        const int code = MPI_Testany(n, requests, which, &flag, status);
        if (code != MPI_SUCCESS) MPI_Error_class(code, &kind);
        if (kind == MPI_ERR_TRUNCATE && *which != MPI_UNDEFINED) {
            MPI_Status_set_elements(status, MPI_DOUBLE, 0);
            return SURR_OK;
        }
        if (code != MPI_SUCCESS) {
            b->is_dead = 1;
            return fail(SURR_E_MPI, "MPI failed with code %g while waiting for messages", code);
        }
        if (flag) return SURR_OK;
        if (rounds < 1000) sched_yield();
        else nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL); /* there may be more ranks than cores */
        if (b->timeout > 0.0 && MPI_Wtime() - start > b->timeout) {
            b->is_dead = 1;
            return fail(SURR_E_MPI,
                        "another rank has not answered for %g s: it has failed, or does not flush. End the "
                        "run with MPI_Abort, or set a longer \"timeout\"",
                        b->timeout);
        }
    }
}

static int32_t wait_for_one(surr_balancer *b, MPI_Request *request)
{
    int which;
    MPI_Status status;
    return wait_for(b, 1, request, &which, &status);
}

/* ---- the transport ----------------------------------------------------------------------------------------------- */

static int32_t gather(void *context, double own, double *all)
{
    surr_balancer *b = context;
    MPI_Request request;
    if (MPI_Iallgather(&own, 1, MPI_DOUBLE, all, 1, MPI_DOUBLE, b->peers, &request) != MPI_SUCCESS)
        return surr_set_error(SURR_E_MPI, "MPI_Iallgather failed");
    return wait_for_one(b, &request);
}

static int32_t send(void *context, int32_t request, int32_t rank, const double *x, int64_t n)
{
    surr_balancer *b = context;
    const int code = MPI_Isend(x, (int)n, MPI_DOUBLE, rank, TAG, b->peers, &b->requests[request]);
    return code == MPI_SUCCESS ? SURR_OK : fail(SURR_E_MPI, "MPI_Isend failed with code %g", code);
}

static int32_t receive(void *context, int32_t request, int32_t rank, double *x, int64_t n)
{
    surr_balancer *b = context;
    const int code = MPI_Irecv(x, (int)n, MPI_DOUBLE, rank, TAG, b->peers, &b->requests[request]);
    return code == MPI_SUCCESS ? SURR_OK : fail(SURR_E_MPI, "MPI_Irecv failed with code %g", code);
}

static int32_t wait(void *context, int32_t first, int32_t n, int32_t *request, int64_t *count)
{
    surr_balancer *b = context;
    MPI_Status status;
    int which, number;
    int32_t code = wait_for(b, n, b->requests + first, &which, &status);
    if (code != SURR_OK) return code;
    MPI_Get_count(&status, MPI_DOUBLE, &number);
    *request = which;
    *count = number;
    return SURR_OK;
}

static void progress(void *context)
{
    surr_balancer *b = context;
    for (int i = 0, flag; i < 2 * b->n_rank; i++)
        if (b->requests[i] != MPI_REQUEST_NULL) MPI_Request_get_status(b->requests[i], &flag, MPI_STATUS_IGNORE);
}

/* ---- agreement --------------------------------------------------------------------------------------------------- */

static int32_t reduce(surr_balancer *b, MPI_Op op, int n, double *numbers)
{
    MPI_Request request;
    if (MPI_Iallreduce(MPI_IN_PLACE, numbers, n, MPI_DOUBLE, op, b->all, &request) != MPI_SUCCESS)
        return surr_set_error(SURR_E_MPI, "MPI_Iallreduce failed");
    return wait_for_one(b, &request);
}

/* Whether all ranks say the same number: reduced beside *most, of which the largest is found. */
static int32_t agree(surr_balancer *b, double *most, int64_t number, int *alike)
{
    const double low = (double)(uint32_t)number, high = (double)(uint32_t)((uint64_t)number >> 32);
    double all[5] = {*most, low, -low, high, -high};
    int32_t code = reduce(b, MPI_MAX, 5, all);
    *most = all[0];
    *alike = all[1] == -all[2] && all[3] == -all[4];
    return code;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

/* Messages to these peers; the exchange is made anew. */
static int32_t set_peers(surr_balancer *b, MPI_Comm peers)
{
    b->peers = peers;
    MPI_Comm_size(peers, &b->n_rank);
    b->transport = (surr_transport){
        .context = b, .gather = gather, .send = send, .receive = receive, .wait = wait, .progress = progress};
    MPI_Comm_rank(peers, &b->transport.rank);
    surr_exchange_free(b->exchange);
    b->exchange = NULL;
    free(b->requests);
    b->requests = malloc(2 * (size_t)b->n_rank * sizeof *b->requests);
    if (!b->requests) return fail(SURR_E_NOMEM, "no memory for messages of %g ranks", b->n_rank);
    for (int i = 0; i < 2 * b->n_rank; i++) b->requests[i] = MPI_REQUEST_NULL;
    return SURR_OK;
}

/* Where the peers run: the world rank of the first on each node. 0: all on one. */
static int find_nodes(const surr_balancer *b, int32_t *nodes)
{
    int32_t leader;
    int world_rank, several = 0;
    MPI_Comm_rank(b->all, &world_rank);
    leader = world_rank;
    MPI_Allreduce(MPI_IN_PLACE, &leader, 1, MPI_INT32_T, MPI_MIN, b->node);
    MPI_Allgather(&leader, 1, MPI_INT32_T, nodes, 1, MPI_INT32_T, b->peers);
    for (int r = 1; r < b->n_rank; r++) several |= nodes[r] != nodes[0];
    return several;
}

/* COLLECTIVE: the exchange, of the options that the ranks have agreed on. */
static int32_t make_exchange(surr_balancer *b)
{
    int32_t *nodes = malloc((size_t)b->n_rank * sizeof *nodes);
    double failed = !nodes;
    int32_t code = reduce(b, MPI_MAX, 1, &failed);
    if (code == SURR_OK && failed == 0.0) {
        const int several = find_nodes(b, nodes);
        surr_exchange_create(b->n_rank, several ? nodes : NULL, b->min_gain, b->interval, &b->exchange);
        failed = !b->exchange;
        code = reduce(b, MPI_MAX, 1, &failed);
    }
    free(nodes);
    if (code == SURR_OK && failed == 0.0) return SURR_OK;
    if (!b->is_dead) surr_exchange_free(b->exchange), b->exchange = NULL;
    return code == SURR_OK ? fail(SURR_E_NOMEM, "no memory for plans of %g ranks, here or there", b->n_rank) : code;
}

int32_t surr_mpi_create(int32_t fortran_comm, surr_balancer **out)
{
    int is_running = 0;
    if (!out) return surr_set_error(SURR_E_ARG, "out is NULL: give the address of a surr_balancer pointer");
    *out = NULL;
    MPI_Initialized(&is_running);
    if (!is_running) return surr_set_error(SURR_E_MPI, "MPI is not initialised: call MPI_Init first");
    const MPI_Comm comm = MPI_Comm_f2c(fortran_comm);
    surr_balancer *b = comm == MPI_COMM_NULL ? NULL : calloc(1, sizeof *b);
    if (comm == MPI_COMM_NULL) return surr_set_error(SURR_E_ARG, "the communicator is MPI_COMM_NULL");
    if (!b) return surr_set_error(SURR_E_NOMEM, "no memory for a balancer");
    b->min_gain = 0.03;
    b->interval = 1;
    if (MPI_Comm_dup(comm, &b->all) != MPI_SUCCESS ||
        MPI_Comm_split_type(b->all, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &b->node) != MPI_SUCCESS) {
        free(b);
        return surr_set_error(SURR_E_MPI, "the communicator cannot be duplicated or split by nodes");
    }
    MPI_Comm_set_errhandler(b->all, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(b->node, MPI_ERRORS_RETURN);
    int32_t code = set_peers(b, b->all);
    if (code != SURR_OK) surr_mpi_free(b);
    else *out = b;
    return code;
}

int32_t surr_mpi_free(surr_balancer *b)
{
    if (!b) return SURR_OK;
    if (!b->is_dead) {
        MPI_Comm_free(&b->node);
        MPI_Comm_free(&b->all);
    }
    surr_exchange_free(b->exchange);
    free(b->requests);
    free(b);
    return SURR_OK;
}

static int is_word(const char *text, int32_t len, const char *word)
{
    return text && strlen(word) == (len < 0 ? strlen(text) : (size_t)len) && strncmp(text, word, strlen(word)) == 0;
}

int32_t surr_mpi_set_s(surr_balancer *b, const char *key, int32_t key_len, const char *v, int32_t v_len)
{
    if (!b) return surr_set_error(SURR_E_ARG, "the balancer is NULL: create one first");
    const int scope = is_word(v, v_len, "world") ? SCOPE_WORLD : is_word(v, v_len, "node") ? SCOPE_NODE : SCOPE_OFF;
    const int is_known = is_word(key, key_len, "scope"), is_valid = scope != SCOPE_OFF || is_word(v, v_len, "off");
    double failed = !is_known || !is_valid;
    int alike = 1;
    int32_t code = agree(b, &failed, scope, &alike);
    if (!is_known) return surr_set_error(SURR_E_ARG, "unknown key: there is \"scope\"");
    if (!is_valid) return surr_set_error(SURR_E_ARG, "\"scope\" is none of world, node and off");
    if (code == SURR_OK && (failed > 0.0 || !alike))
        code = surr_set_error(SURR_E_MPI, "\"scope\" differs between ranks: set the same on all");
    if (code != SURR_OK) return code;
    b->scope = scope;
    return set_peers(b, scope == SCOPE_NODE ? b->node : b->all);
}

int32_t surr_mpi_set_d(surr_balancer *b, const char *key, int32_t key_len, double v)
{
    if (!b) return surr_set_error(SURR_E_ARG, "the balancer is NULL: create one first");
    const double lower = is_word(key, key_len, "interval") ? 1.0 : is_word(key, key_len, "min_gain") ? 1e-6 : 0.0;
    if (!(v >= lower && v <= 1e9)) return fail(SURR_E_ARG, "the value is %g: give one within the range of the key", v);
    if (is_word(key, key_len, "min_gain")) b->min_gain = v;
    else if (is_word(key, key_len, "interval")) b->interval = (int64_t)v;
    else if (is_word(key, key_len, "timeout")) b->timeout = v;
    else return surr_set_error(SURR_E_ARG, "unknown key: there are \"min_gain\", \"interval\" and \"timeout\"");
    if (is_word(key, key_len, "timeout") || b->is_dead) return SURR_OK;
    surr_exchange_free(b->exchange);
    b->exchange = NULL;
    return SURR_OK;
}

int32_t surr_mpi_report(const surr_balancer *b, int64_t *moved, double *seconds)
{
    if (!b) return surr_set_error(SURR_E_ARG, "the balancer is NULL: create one first");
    const surr_exchange_report *r = &b->report;
    if (moved) moved[0] = r->cells, moved[1] = r->bytes, moved[2] = r->messages;
    if (seconds) seconds[0] = r->plan_seconds, seconds[1] = r->pack_seconds, seconds[2] = r->wait_seconds;
    return SURR_OK;
}

/* A hash of what must be the same on all ranks, for the same bits and the same messages. */
static int64_t options_of(const surr_balancer *b, const surr_work *w)
{
    const double options[] = {b->min_gain, (double)b->interval, b->scope};
    uint64_t h;
    int64_t plan = 0;
    surr_work_fingerprint(w, &plan);
    memcpy(&h, &plan, sizeof h);
    for (size_t i = 0; i < sizeof options; i++) h = (h ^ ((const unsigned char *)options)[i]) * 0x100000001b3u;
    return (int64_t)h;
}

/* Imbalances and the errors of all ranks. */
static int32_t conclude(surr_balancer *b, int32_t code, double own, double *before, double *after)
{
    const double here = own + b->report.moved_work;
    double most[3] = {own, here, code < 0}, sum[2] = {own, here};
    int size;
    int32_t failed = reduce(b, MPI_MAX, 3, most);
    if (failed == SURR_OK) failed = reduce(b, MPI_SUM, 2, sum);
    if (failed != SURR_OK) return code < 0 ? code : failed;
    MPI_Comm_size(b->all, &size);
    if (before) *before = sum[0] > 0.0 ? most[0] * size / sum[0] : 1.0;
    if (after) *after = sum[1] > 0.0 ? most[1] * size / sum[1] : 1.0;
    if (code >= 0 && most[2] > 0.0)
        return surr_set_error(SURR_E_MPI,
                              "another rank could not flush its cells, see its own error; those of this rank "
                              "are advanced");
    return code;
}

/* COLLECTIVE. What waits is advanced, here or elsewhere, if the ranks agree. */
static int32_t share(surr_balancer *b, surr_work *w, double failed)
{
    int alike = 1, size;
    MPI_Comm_size(b->all, &size);
    int32_t code = size > 1 ? agree(b, &failed, failed > 0.0 ? 0 : options_of(b, w), &alike) : SURR_OK;
    if (code != SURR_OK || failed > 0.0 || size == 1) return code;
    if (!alike)
        return surr_set_error(SURR_E_MPI,
                              "the ranks differ in model, instruction set (\"isa\"), options of the plan (rtol, "
                              "atol_frac, audit, max_solver_steps, net, fallback) or of the balancer: give "
                              "the same on all. Every rank has advanced its own cells");
    if (b->scope == SCOPE_OFF) return SURR_OK;
    if (!b->exchange) code = make_exchange(b);
    return code == SURR_OK ? surr_exchange_run(b->exchange, w, &b->transport, &b->report) : code;
}

int32_t surr_mpi_flush(surr_balancer *b, surr_work *w, double *imbalance_before, double *imbalance_after, int64_t *stat)
{
    int64_t n_cell, own_stat[SURR_NSTAT] = {0};
    double own = 0.0, before = 1.0;
    if (!b) return surr_set_error(SURR_E_ARG, "the balancer is NULL: create one first");
    if (b->is_dead) return surr_set_error(SURR_E_MPI, "this balancer has given up another rank: end the run");
    b->report = (surr_exchange_report){.load_before = 1.0, .load_after = 1.0};
    int32_t code = surr_queue_size(w, &n_cell), moved = share(b, w, code < 0);
    if (code == SURR_OK) code = surr_flush(w, own_stat);
    if (code >= 0) surr_queue_work(w, &own);
    if (stat) memcpy(stat, own_stat, sizeof own_stat);
    if (moved < 0) code = moved;
    if (b->is_dead) return code;
    code = conclude(b, code, own, &before, imbalance_after);
    if (imbalance_before) *imbalance_before = before;
    if (b->exchange) surr_exchange_note(b->exchange, before);
    return code;
}
