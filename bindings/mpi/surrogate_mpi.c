/* The transport of libsurrogate_mpi: the same exchange as surrogate/mpi.py, over the same plan (balance.c).
 *
 * A rank sends or receives cells, never both. Who sends keeps the messages going while it solves what it has kept; who
 * receives solves its own cells first, then the others' as they come. A rank that cannot solve what it got sends an
 * empty message back, and the owner solves it. */
#include "surrogate_mpi.h"

#include "surrogate_balance.h"

#include <limits.h>
#include <mpi.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TAG_CELLS = 1, TAG_RESULTS = 2 };
enum { SCOPE_WORLD, SCOPE_NODE, SCOPE_OFF };
enum { SECONDS_PLAN, SECONDS_PACK, SECONDS_WAIT, N_SECONDS };
enum { MOVED_CELLS, MOVED_BYTES, MOVED_MESSAGES, N_MOVED };
#define SLICE 4096  /* cells solved between two looks at the messages */
#define FLOOR 250.0 /* work worth a message of some 10 us, in units of 0.4 us */

struct surr_balancer {
    MPI_Comm all, node, peers; /* peers: those who share work */
    int rank, n_rank;          /* among the peers */
    int32_t *nodes;            /* of the peers, NULL: all on one */
    int scope;
    double min_gain, timeout;
    int64_t interval, age;
    double *loads, planned; /* of the peers, when the plan was made; that of this rank */
    int32_t n_move, *from, *to;
    double *amount;
    int64_t moved[N_MOVED];
    double seconds[N_SECONDS];
    int64_t others, elsewhere; /* work done here for others, elsewhere for this rank */
    int is_dead;               /* a wait was given up: MPI may still write into what was not freed */
};

/* One message out and its answer, or the other way round. */
typedef struct parcel {
    int64_t n;
    int peer;
    const int64_t *which;
    double *out, *back;
} parcel;

static int32_t fail(int32_t code, const char *format, double value)
{
    char text[512];
    snprintf(text, sizeof text, format, value);
    return surr_set_error(code, text);
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

/* Waits until all requests are done (any < 0), or one of them (its number in *any). */
static int32_t wait_for(surr_balancer *b, int n, MPI_Request *requests, MPI_Status *statuses, int *any)
{
    const double start = MPI_Wtime();
    for (long rounds = 0;; rounds++) {
        int flag = 0;
        const int code =
            any ? MPI_Testany(n, requests, any, &flag, statuses) : MPI_Testall(n, requests, &flag, statuses);
        if (code != MPI_SUCCESS) return fail(SURR_E_MPI, "MPI failed with code %g while waiting for messages", code);
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

static int32_t wait_all(surr_balancer *b, int n, MPI_Request *requests, MPI_Status *statuses)
{
    return wait_for(b, n, requests, n ? statuses : MPI_STATUSES_IGNORE, NULL);
}

static int32_t reduce(surr_balancer *b, MPI_Op op, int n, double *numbers)
{
    MPI_Request request;
    if (MPI_Iallreduce(MPI_IN_PLACE, numbers, n, MPI_DOUBLE, op, b->all, &request) != MPI_SUCCESS)
        return surr_set_error(SURR_E_MPI, "MPI_Iallreduce failed");
    return wait_all(b, 1, &request, MPI_STATUSES_IGNORE);
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

/* The peers by node: the rank of the first peer on it. */
static int32_t find_nodes(surr_balancer *b)
{
    int32_t leader;
    int world_rank;
    MPI_Comm_rank(b->all, &world_rank);
    leader = world_rank;
    MPI_Allreduce(MPI_IN_PLACE, &leader, 1, MPI_INT32_T, MPI_MIN, b->node);
    MPI_Allgather(&leader, 1, MPI_INT32_T, b->nodes, 1, MPI_INT32_T, b->peers);
    int several = 0;
    for (int r = 1; r < b->n_rank; r++) several |= b->nodes[r] != b->nodes[0];
    if (several) return SURR_OK;
    free(b->nodes);
    b->nodes = NULL;
    return SURR_OK;
}

/* Room for the plans of these peers. */
static int32_t set_peers(surr_balancer *b, MPI_Comm peers)
{
    b->peers = peers;
    MPI_Comm_rank(peers, &b->rank);
    MPI_Comm_size(peers, &b->n_rank);
    const size_t n = (size_t)b->n_rank;
    free(b->nodes), free(b->loads), free(b->from), free(b->to), free(b->amount);
    b->nodes = malloc(n * sizeof *b->nodes);
    b->loads = malloc(n * sizeof *b->loads);
    b->from = malloc(n * sizeof *b->from);
    b->to = malloc(n * sizeof *b->to);
    b->amount = malloc(n * sizeof *b->amount);
    b->age = INT64_MAX;
    if (!b->nodes || !b->loads || !b->from || !b->to || !b->amount)
        return fail(SURR_E_NOMEM, "no memory for plans of %g ranks", b->n_rank);
    return find_nodes(b);
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
    free(b->nodes), free(b->loads), free(b->from), free(b->to), free(b->amount);
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
    return SURR_OK;
}

int32_t surr_mpi_report(const surr_balancer *b, int64_t *moved, double *seconds)
{
    if (!b) return surr_set_error(SURR_E_ARG, "the balancer is NULL: create one first");
    if (moved) memcpy(moved, b->moved, sizeof b->moved);
    if (seconds) memcpy(seconds, b->seconds, sizeof b->seconds);
    return SURR_OK;
}

/* ---- the exchange ------------------------------------------------------------------------------------------------ */

/* Makes the moves, or keeps those of the last flush. */
static int32_t make_plan(surr_balancer *b, double load)
{
    if (b->age < b->interval) {
        b->age++;
        return SURR_OK;
    }
    MPI_Request request;
    b->age = 1;
    b->planned = load;
    if (MPI_Iallgather(&load, 1, MPI_DOUBLE, b->loads, 1, MPI_DOUBLE, b->peers, &request) != MPI_SUCCESS)
        return surr_set_error(SURR_E_MPI, "MPI_Iallgather failed");
    int32_t code = wait_all(b, 1, &request, MPI_STATUSES_IGNORE);
    if (code != SURR_OK) return code;
    return surr_balance_plan(b->n_rank, b->loads, b->nodes, b->min_gain, FLOOR, &b->n_move, b->from, b->to, b->amount);
}

/* Solves cells of this rank and keeps messages going: many MPI libraries move them in their own calls alone. What fails
 * here goes on waiting, and the flush tells why. */
static void solve_own(surr_work *w, int64_t n, const int64_t *which, int n_request, MPI_Request *requests)
{
    for (int64_t first = 0; first < n; first += SLICE) {
        const int64_t some = n - first < SLICE ? n - first : SLICE;
        if (surr_queue_solve(w, some, which + first) != SURR_OK) return;
        for (int i = 0, flag; i < n_request; i++) MPI_Request_get_status(requests[i], &flag, MPI_STATUS_IGNORE);
    }
}

static void spend(surr_balancer *b, int phase, double *start)
{
    const double now = MPI_Wtime();
    b->seconds[phase] += now - *start;
    *start = now;
}

/* Ends an exchange: what MPI may still use is not freed. */
static int32_t finish(const surr_balancer *b, int32_t code, int n, parcel *parcels, MPI_Request *requests,
                      MPI_Status *statuses, int64_t *list)
{
    for (int i = 0; parcels && i < n && !b->is_dead; i++) free(parcels[i].out), free(parcels[i].back);
    if (!b->is_dead) free(requests);
    free(parcels), free(statuses), free(list);
    return code;
}

/* No more than fits into one message; a cell costs 1 or more. */
static double limit(double amount, int32_t n_out)
{
    return amount < INT_MAX / n_out - 1 ? amount : INT_MAX / n_out - 1;
}

/* Packs and posts one parcel and its answer. Without memory it goes out empty. */
static void post(surr_balancer *b, const surr_work *w, parcel *p, int32_t n_out, int32_t n_back, MPI_Request *send,
                 MPI_Request *reply)
{
    p->out = malloc((size_t)(p->n * n_out + 1) * sizeof *p->out);
    p->back = malloc((size_t)(p->n * n_back + 1) * sizeof *p->back);
    if (!p->out || !p->back || surr_queue_take(w, p->n, p->which, p->out) != SURR_OK) p->n = 0;
    MPI_Irecv(p->back, (int)(p->n * n_back), MPI_DOUBLE, p->peer, TAG_RESULTS, b->peers, reply);
    MPI_Isend(p->out, (int)(p->n * n_out), MPI_DOUBLE, p->peer, TAG_CELLS, b->peers, send);
    b->moved[MOVED_CELLS] += p->n;
    b->moved[MOVED_BYTES] += p->n * n_out * (int64_t)sizeof(double);
    b->moved[MOVED_MESSAGES]++;
}

static int32_t take_back(surr_balancer *b, surr_work *w, int n, const parcel *parcels, const MPI_Status *statuses,
                         int32_t n_back)
{
    for (int i = 0; i < n; i++) {
        int count = 0;
        int64_t spent = 0;
        MPI_Get_count(&statuses[i], MPI_DOUBLE, &count);
        if (parcels[i].n == 0 || count != parcels[i].n * n_back) continue; /* then the flush solves them */
        int32_t code = surr_queue_put(w, parcels[i].n, parcels[i].which, parcels[i].back, &spent);
        if (code != SURR_OK) return code;
        b->elsewhere += spent;
    }
    return SURR_OK;
}

static int32_t send_away(surr_balancer *b, surr_work *w, int64_t n_cell, const double *cost, double share, int first,
                         int n)
{
    int32_t n_out, n_back;
    double start = MPI_Wtime();
    surr_queue_width(w, &n_out, &n_back);
    parcel *parcels = calloc((size_t)n, sizeof *parcels);
    MPI_Request *requests = malloc(2 * (size_t)n * sizeof *requests);
    MPI_Status *statuses = malloc(2 * (size_t)n * sizeof *statuses);
    int64_t *which = malloc((size_t)(n_cell + n) * sizeof *which), *count = which + n_cell;
    double *amount = malloc((size_t)n * sizeof *amount);
    int32_t code = SURR_E_NOMEM;
    if (parcels && requests && statuses && which && amount) {
        for (int i = 0; i < n; i++) amount[i] = limit(share * b->amount[first + i], n_out);
        code = surr_balance_pick(n_cell, cost, n, amount, which, count);
    }
    free(amount);
    if (code != SURR_OK) { /* nothing may be left open */
        for (int i = 0; i < n; i++) {
            MPI_Send(NULL, 0, MPI_DOUBLE, b->to[first + i], TAG_CELLS, b->peers);
            MPI_Recv(NULL, 0, MPI_DOUBLE, b->to[first + i], TAG_RESULTS, b->peers, MPI_STATUS_IGNORE);
        }
        return finish(b, SURR_OK, 0, parcels, requests, statuses, which);
    }
    int64_t done = 0;
    for (int i = 0; i < n; done += count[i++]) {
        parcels[i] = (parcel){.n = count[i], .peer = b->to[first + i], .which = which + done};
        post(b, w, &parcels[i], n_out, n_back, &requests[n + i], &requests[i]);
    }
    spend(b, SECONDS_PACK, &start);
    solve_own(w, n_cell - done, which + done, 2 * n, requests);
    start = MPI_Wtime();
    code = wait_all(b, 2 * n, requests, statuses);
    spend(b, SECONDS_WAIT, &start);
    if (code == SURR_OK) code = take_back(b, w, n, parcels, statuses, n_back);
    spend(b, SECONDS_PACK, &start);
    return finish(b, code, n, parcels, requests, statuses, which);
}

/* Solves what has come from one rank and sends it back; empty if that cannot be. */
static void answer(surr_balancer *b, surr_work *w, parcel *p, int32_t n_out, int32_t n_back, const MPI_Status *status,
                   MPI_Request *reply)
{
    int count = 0;
    int64_t spent = 0;
    MPI_Get_count(status, MPI_DOUBLE, &count);
    p->n = count / n_out;
    if (surr_cells_solve(w, p->n, p->out, &spent) != SURR_OK) p->n = 0;
    b->others += spent;
    MPI_Isend(p->out, (int)(p->n * n_back), MPI_DOUBLE, p->peer, TAG_RESULTS, b->peers, reply);
    b->moved[MOVED_BYTES] += p->n * n_back * (int64_t)sizeof(double);
    b->moved[MOVED_MESSAGES]++;
}

/* Room for the cells of every move to this rank; 0 without memory. */
static int receive_parcels(const surr_balancer *b, int32_t n_out, parcel *parcels)
{
    int n = 0;
    for (int32_t m = 0; m < b->n_move; m++) {
        if (b->to[m] != b->rank) continue;
        const int64_t most = (int64_t)limit(b->amount[m], n_out) + 1;
        parcels[n] = (parcel){.n = most, .peer = b->from[m], .out = malloc((size_t)(most * n_out) * sizeof(double))};
        if (!parcels[n++].out) return 0;
    }
    return 1;
}

/* A rank without memory takes nothing: the messages are cut to nothing, which MPI calls an error, and answered so. */
static void refuse(const surr_balancer *b)
{
    for (int32_t m = 0; m < b->n_move; m++) {
        if (b->to[m] != b->rank) continue;
        (void)MPI_Recv(NULL, 0, MPI_DOUBLE, b->from[m], TAG_CELLS, b->peers, MPI_STATUS_IGNORE);
        MPI_Send(NULL, 0, MPI_DOUBLE, b->from[m], TAG_RESULTS, b->peers);
    }
}

static int32_t help(surr_balancer *b, surr_work *w, int64_t n_cell, int n)
{
    int32_t n_out, n_back, code = SURR_OK;
    surr_queue_width(w, &n_out, &n_back);
    parcel *parcels = calloc((size_t)n, sizeof *parcels);
    MPI_Request *requests = malloc(2 * (size_t)n * sizeof *requests);
    MPI_Status *statuses = malloc((size_t)n * sizeof *statuses);
    int64_t *own = malloc((size_t)(n_cell + 1) * sizeof *own);
    if (!parcels || !requests || !statuses || !own || !receive_parcels(b, n_out, parcels)) {
        refuse(b);
        return finish(b, SURR_OK, n, parcels, requests, statuses, own);
    }
    for (int i = 0; i < n; i++)
        MPI_Irecv(parcels[i].out, (int)(parcels[i].n * n_out), MPI_DOUBLE, parcels[i].peer, TAG_CELLS, b->peers,
                  &requests[i]);
    for (int64_t c = 0; c < n_cell; c++) own[c] = c;
    solve_own(w, n_cell, own, n, requests);
    for (int done = 0; done < n && code == SURR_OK; done++) {
        int i;
        double start = MPI_Wtime();
        code = wait_for(b, n, requests, &statuses[0], &i);
        spend(b, SECONDS_WAIT, &start);
        if (code == SURR_OK) answer(b, w, &parcels[i], n_out, n_back, &statuses[0], &requests[n + done]);
    }
    double start = MPI_Wtime();
    if (code == SURR_OK) code = wait_all(b, n, requests + n, statuses);
    spend(b, SECONDS_WAIT, &start);
    return finish(b, code, n, parcels, requests, statuses, own);
}

static int32_t exchange(surr_balancer *b, surr_work *w, int64_t n_cell, const double *cost, double load)
{
    double start = MPI_Wtime();
    int32_t code = make_plan(b, load);
    spend(b, SECONDS_PLAN, &start);
    if (code != SURR_OK) return code;
    int first = -1, n_send = 0, n_receive = 0;
    for (int32_t m = 0; m < b->n_move; m++) {
        if (b->from[m] == b->rank && n_send++ == 0) first = m;
        n_receive += b->to[m] == b->rank;
    }
    if (n_send) return send_away(b, w, n_cell, cost, load < b->planned ? load / b->planned : 1.0, first, n_send);
    return n_receive ? help(b, w, n_cell, n_receive) : SURR_OK;
}

/* What waits, and its cost; an error is kept for the others to know. */
static int32_t ask_costs(surr_work *w, int64_t *n_cell, double **cost, double *load)
{
    *n_cell = 0, *load = 0.0, *cost = NULL;
    int32_t code = surr_queue_size(w, n_cell);
    if (code != SURR_OK) return code;
    *cost = malloc((size_t)(*n_cell + 1) * sizeof **cost);
    if (!*cost) return fail(SURR_E_NOMEM, "no memory for the costs of %g cells", (double)*n_cell);
    code = surr_queue_costs(w, *cost);
    for (int64_t c = 0; c < *n_cell; c++) *load += (*cost)[c];
    return code;
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
    const double here = own + (double)(b->others - b->elsewhere);
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

int32_t surr_mpi_flush(surr_balancer *b, surr_work *w, double *imbalance_before, double *imbalance_after, int64_t *stat)
{
    int64_t n_cell, own_stat[SURR_NSTAT] = {0};
    double *cost, load, own = 0.0;
    if (!b) return surr_set_error(SURR_E_ARG, "the balancer is NULL: create one first");
    if (b->is_dead) return surr_set_error(SURR_E_MPI, "this balancer has given up another rank: end the run");
    memset(b->moved, 0, sizeof b->moved);
    memset(b->seconds, 0, sizeof b->seconds);
    b->others = b->elsewhere = 0;
    int32_t code = ask_costs(w, &n_cell, &cost, &load), moved = SURR_OK;
    double failed = code < 0;
    int size, alike = 1;
    MPI_Comm_size(b->all, &size);
    if (size > 1) moved = agree(b, &failed, code < 0 ? 0 : options_of(b, w), &alike);
    if (moved == SURR_OK && !failed && !alike)
        moved = surr_set_error(SURR_E_MPI,
                               "the ranks differ in model, instruction set (\"isa\"), options of the plan (rtol, "
                               "atol_frac, audit, max_solver_steps, net, fallback) or of the balancer: give "
                               "the same on all. Every rank has advanced its own cells");
    if (moved == SURR_OK && !failed && size > 1 && b->scope != SCOPE_OFF) moved = exchange(b, w, n_cell, cost, load);
    free(cost);
    if (code == SURR_OK) code = surr_flush(w, own_stat);
    if (code >= 0) surr_queue_work(w, &own);
    if (stat) memcpy(stat, own_stat, sizeof own_stat);
    if (moved < 0) code = moved;
    return b->is_dead ? code : conclude(b, code, own, imbalance_before, imbalance_after);
}
