/* The exchange of waiting cells between ranks: the same for every transport.
 *
 * A rank sends or receives cells, never both. Who sends keeps the messages going while it solves what it has kept; who
 * receives solves its own cells first, then the others' as they come. A rank that cannot solve what it got sends an empty
 * message back, and the owner solves it. */
#include "bits.h"
#include "clock.h"
#include "error.h"
#include "work.h"

#include "surrogate_balance.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define SLICE 4096 /* cells that a thread solves between two looks at the messages */

/* One message out and its answer, or the other way round. */
typedef struct parcel {
    int64_t n; /* cells */
    int32_t peer;
    const int64_t *which;
    double *out, *back;
    int came_back;
} parcel;

struct surr_exchange {
    int32_t n_rank, *node; /* NULL: all on one */
    double min_gain;
    int64_t interval, age;
    int is_even;           /* nobody had much more to do than the others in the last flush */
    double *load, planned; /* of all, when the plan was made; that of this rank */
    int32_t n_move, *from, *to;
    double *amount;
    parcel *parcels; /* of one exchange: room for every rank, as nothing may fail once others count on a message */
};

/* One exchange on one rank. */
typedef struct run {
    surr_exchange *e;
    surr_work *work;
    const surr_transport *t;
    surr_exchange_report *report;
    int64_t n_cell;
    double *cost;
    int32_t n_out, n_back;
} run;

/* ---- life -------------------------------------------------------------------------------------------------------- */

int32_t surr_exchange_free(surr_exchange *e)
{
    if (!e) return SURR_OK;
    free(e->node), free(e->load), free(e->from), free(e->to), free(e->amount), free(e->parcels);
    free(e);
    return SURR_OK;
}

int32_t surr_exchange_create(int32_t n_rank, const int32_t *node, double min_gain, int64_t interval,
                             surr_exchange **out)
{
    if (!out) return surr_fail(SURR_E_ARG, "out is NULL: give the address of a surr_exchange pointer");
    *out = NULL;
    if (n_rank < 1) return surr_fail(SURR_E_ARG, "n_rank is %d: give 1 or more", n_rank);
    if (!is_positive(min_gain)) return surr_fail(SURR_E_ARG, "min_gain is %g: give a positive number", min_gain);
    if (interval < 1) return surr_fail(SURR_E_ARG, "the interval is %lld: give 1 or more", (long long)interval);
    const size_t n = (size_t)n_rank;
    surr_exchange *e = calloc(1, sizeof *e);
    if (e) {
        *e = (surr_exchange){.n_rank = n_rank, .min_gain = min_gain, .interval = interval, .age = interval};
        e->load = calloc(n, sizeof *e->load);
        e->from = malloc(n * sizeof *e->from);
        e->to = malloc(n * sizeof *e->to);
        e->amount = malloc(n * sizeof *e->amount);
        e->parcels = malloc(n * sizeof *e->parcels);
        if (node) e->node = malloc(n * sizeof *e->node);
    }
    if (!e || !e->load || !e->from || !e->to || !e->amount || !e->parcels || (node && !e->node)) {
        surr_exchange_free(e);
        return surr_fail(SURR_E_NOMEM, "no memory for plans of %d ranks", n_rank);
    }
    if (node) memcpy(e->node, node, n * sizeof *node);
    *out = e;
    return SURR_OK;
}

int32_t surr_exchange_note(surr_exchange *e, double imbalance)
{
    if (!e) return surr_fail(SURR_E_ARG, "exchange is NULL: create one first");
    e->is_even = imbalance <= 1.0 + e->min_gain;
    return SURR_OK;
}

int32_t surr_exchange_is_due(const surr_exchange *e) { return e && !e->is_even; }

/* ---- the plan ---------------------------------------------------------------------------------------------------- */

static double spend(double *phase, double start)
{
    const double now = seconds_now();
    *phase += now - start;
    return now;
}

/* Largest over mean load. */
static double imbalance(int32_t n, const double *load)
{
    double sum = 0.0, most = 0.0;
    for (int32_t r = 0; r < n; r++) {
        sum += load[r];
        if (load[r] > most) most = load[r];
    }
    return sum > 0.0 ? most * n / sum : 1.0;
}

/* Makes the moves, or keeps those of the last exchanges, and tells what they are expected to do. */
static int32_t make_plan(surr_exchange *e, const surr_transport *t, double load, surr_exchange_report *report)
{
    if (e->age >= e->interval) {
        int32_t code = t->gather(t->context, load, e->load);
        if (code != SURR_OK) return code;
        code = surr_balance_plan(e->n_rank, e->load, e->node, e->min_gain, SURR_MESSAGE_WORK, &e->n_move, e->from,
                                 e->to, e->amount);
        if (code != SURR_OK) return code;
        e->age = 0;
        e->planned = load;
    }
    e->age++;
    report->load_before = imbalance(e->n_rank, e->load);
    for (int32_t m = 0; m < e->n_move; m++) e->load[e->from[m]] -= e->amount[m], e->load[e->to[m]] += e->amount[m];
    report->load_after = imbalance(e->n_rank, e->load);
    for (int32_t m = 0; m < e->n_move; m++) e->load[e->from[m]] += e->amount[m], e->load[e->to[m]] -= e->amount[m];
    return SURR_OK;
}

/* What waits, and its cost. */
static int32_t ask_costs(run *x, double *load)
{
    int32_t code = surr_queue_size(x->work, &x->n_cell);
    if (code != SURR_OK) return code;
    x->cost = malloc((size_t)(x->n_cell + 1) * sizeof *x->cost);
    if (!x->cost) {
        x->n_cell = 0; /* they go on waiting, and count for nothing */
        return SURR_OK;
    }
    code = surr_queue_costs(x->work, x->cost);
    for (int64_t c = 0; c < x->n_cell; c++) *load += x->cost[c];
    return code;
}

/* ---- both sides -------------------------------------------------------------------------------------------------- */

/* No more than fits into one message; a cell costs 1 or more. */
static double limit(double amount, int32_t n_out)
{
    return amount < INT_MAX / n_out - 1 ? amount : INT_MAX / n_out - 1;
}

/* Solves cells of this rank and keeps messages going: many MPI libraries move them in their own calls alone. What fails
 * here goes on waiting, and the flush tells why. */
static void solve_own(const run *x, int64_t n, const int64_t *which)
{
    const int64_t slice = SLICE * x->work->plan->threads;
    for (int64_t first = 0; first < n; first += slice) {
        const int64_t some = n - first < slice ? n - first : slice;
        if (surr_queue_solve(x->work, some, which ? which + first : NULL) != SURR_OK) return;
        x->report->solver_seconds += x->work->seconds[SURR_PHASE_SOLVER];
        x->t->progress(x->t->context);
    }
}

static void count_sent(const run *x, int64_t n, int32_t width)
{
    x->report->bytes += n * width * (int64_t)sizeof(double);
    x->report->messages++;
}

static void empty_parcels(int32_t n, const parcel *parcels)
{
    for (int32_t i = 0; i < n; i++) free(parcels[i].out), free(parcels[i].back);
}

/* ---- who sends --------------------------------------------------------------------------------------------------- */

/* Packs and posts one parcel and its answer. Without memory it goes out empty. */
static int32_t post(const run *x, int32_t i, int32_t n, parcel *p)
{
    p->out = malloc((size_t)(p->n * x->n_out + 1) * sizeof *p->out);
    p->back = malloc((size_t)(p->n * x->n_back + 1) * sizeof *p->back);
    if (!p->out || !p->back || surr_queue_take(x->work, p->n, p->which, p->out) != SURR_OK) p->n = 0;
    int32_t code = x->t->receive(x->t->context, i, p->peer, p->back, p->n * x->n_back);
    if (code == SURR_OK) code = x->t->send(x->t->context, n + i, p->peer, p->out, p->n * x->n_out);
    x->report->cells += p->n;
    count_sent(x, p->n, x->n_out);
    return code;
}

/* Cells for the moves first .. first + n - 1, those that stay at the end; 0: none can be chosen, and the parcels are
 * empty. */
static int choose(const run *x, double share, int32_t first, int32_t n, int64_t *which, parcel *parcels)
{
    double *amount = malloc((size_t)n * sizeof *amount);
    int64_t *count = malloc((size_t)n * sizeof *count), done = 0;
    int good = amount && count && which;
    for (int32_t i = 0; good && i < n; i++) amount[i] = limit(share * x->e->amount[first + i], x->n_out);
    good = good && surr_balance_pick(x->n_cell, x->cost, n, amount, which, count) == SURR_OK;
    for (int32_t i = 0; i < n; i++) {
        parcels[i] = (parcel){.n = good ? count[i] : 0, .peer = x->e->to[first + i], .which = which + done};
        done += parcels[i].n;
    }
    free(amount), free(count);
    return good;
}

/* Waits for all answers and for what was sent. */
static int32_t wait_for_answers(const run *x, int32_t n, parcel *parcels)
{
    for (int32_t k = 0; k < 2 * n; k++) {
        int32_t i = 0;
        int64_t count = 0;
        const int32_t code = x->t->wait(x->t->context, k < n ? 0 : n, n, &i, &count);
        if (code != SURR_OK) return code;
        if (k < n) parcels[i].came_back = parcels[i].n > 0 && count == parcels[i].n * x->n_back;
    }
    return SURR_OK;
}

static int32_t send_away(const run *x, double share, int32_t first, int32_t n)
{
    double start = seconds_now();
    parcel *parcels = x->e->parcels;
    int64_t *which = malloc((size_t)(x->n_cell + 1) * sizeof *which), done = 0;
    const int chosen = choose(x, share, first, n, which, parcels);
    int32_t code = SURR_OK;
    for (int32_t i = 0; i < n && code == SURR_OK; done += parcels[i++].n) code = post(x, i, n, &parcels[i]);
    spend(&x->report->pack_seconds, start);
    if (code == SURR_OK && chosen) solve_own(x, x->n_cell - done, which + done);
    start = seconds_now();
    if (code == SURR_OK) code = wait_for_answers(x, n, parcels);
    if (code != SURR_OK) return code; /* what the transport may still use is not freed */
    start = spend(&x->report->wait_seconds, start);
    for (int32_t i = 0; i < n && code == SURR_OK; i++) {
        int64_t spent = 0;
        if (parcels[i].came_back)
            code = surr_queue_put(x->work, parcels[i].n, parcels[i].which, parcels[i].back, &spent);
        x->report->moved_work -= (double)spent;
    }
    spend(&x->report->pack_seconds, start);
    free(which);
    empty_parcels(n, parcels);
    return code;
}

/* ---- who helps --------------------------------------------------------------------------------------------------- */

/* Solves what has come from one rank and sends it back; empty if that cannot be. */
static int32_t answer(const run *x, int32_t request, parcel *p, int64_t count)
{
    int64_t n = count / x->n_out, spent = 0;
    if (surr_cells_solve(x->work, n, p->out, &spent) != SURR_OK) n = 0;
    else x->report->solver_seconds += x->work->seconds[SURR_PHASE_SOLVER];
    x->report->moved_work += (double)spent;
    count_sent(x, n, x->n_back);
    return x->t->send(x->t->context, request, p->peer, p->out, n * x->n_back);
}

/* Room for the cells of every move to this rank. Without memory for one it takes nothing: what comes is cut to nothing,
 * and answered so. */
static int32_t expect(const run *x, parcel *parcels)
{
    int32_t i = 0, code = SURR_OK;
    for (int32_t m = 0; m < x->e->n_move && code == SURR_OK; m++) {
        if (x->e->to[m] != x->t->rank) continue;
        const int64_t most = (int64_t)limit(x->e->amount[m], x->n_out) + 1;
        parcels[i] = (parcel){.peer = x->e->from[m], .out = malloc((size_t)(most * x->n_out) * sizeof(double))};
        code = x->t->receive(x->t->context, i, parcels[i].peer, parcels[i].out, parcels[i].out ? most * x->n_out : 0);
        i++;
    }
    return code;
}

static int32_t help(const run *x, int32_t n)
{
    parcel *parcels = x->e->parcels;
    int64_t *own = malloc((size_t)(x->n_cell + 1) * sizeof *own);
    int32_t code = expect(x, parcels), request;
    int64_t count;
    for (int64_t c = 0; own && c < x->n_cell; c++) own[c] = c;
    if (code == SURR_OK && own) solve_own(x, x->n_cell, own);
    for (int32_t done = 0; done < n && code == SURR_OK; done++) {
        const double start = seconds_now();
        code = x->t->wait(x->t->context, 0, n, &request, &count);
        spend(&x->report->wait_seconds, start);
        if (code == SURR_OK) code = answer(x, n + request, &parcels[request], count);
    }
    const double start = seconds_now();
    for (int32_t done = 0; done < n && code == SURR_OK; done++)
        code = x->t->wait(x->t->context, n, n, &request, &count);
    spend(&x->report->wait_seconds, start);
    if (code != SURR_OK) return code; /* what the transport may still use is not freed */
    free(own);
    empty_parcels(n, parcels);
    return code;
}

/* ---- the exchange ------------------------------------------------------------------------------------------------ */

static int32_t move_cells(const run *x, double load)
{
    const surr_exchange *e = x->e;
    int32_t first = -1, n_send = 0, n_receive = 0;
    for (int32_t m = 0; m < e->n_move; m++) {
        if (e->from[m] == x->t->rank && n_send++ == 0) first = m;
        n_receive += e->to[m] == x->t->rank;
    }
    if (n_send) return send_away(x, load < e->planned ? load / e->planned : 1.0, first, n_send);
    return n_receive ? help(x, n_receive) : SURR_OK;
}

static int32_t check_transport(const surr_exchange *e, const surr_transport *t)
{
    if (!t || !t->gather || !t->send || !t->receive || !t->wait || !t->progress)
        return surr_fail(SURR_E_ARG, "the transport, or a function of it, is NULL");
    if (t->rank < 0 || t->rank >= e->n_rank)
        return surr_fail(SURR_E_ARG, "the rank is %d: give 0..%d", t->rank, e->n_rank - 1);
    return SURR_OK;
}

int32_t surr_exchange_run(surr_exchange *e, surr_work *w, const surr_transport *t, surr_exchange_report *report)
{
    surr_exchange_report unread;
    double load = 0.0;
    if (!e || !w) return surr_fail(SURR_E_ARG, "exchange or work is NULL: create them first");
    run x = {.e = e, .work = w, .t = t, .report = report ? report : &unread};
    *x.report = (surr_exchange_report){.load_before = 1.0, .load_after = 1.0};
    int32_t code = check_transport(e, t);
    if (code == SURR_OK) code = surr_queue_width(w, &x.n_out, &x.n_back);
    if (code != SURR_OK || e->is_even) return code;
    const double start = seconds_now();
    code = ask_costs(&x, &load);
    if (code == SURR_OK) code = make_plan(e, t, load, x.report);
    spend(&x.report->plan_seconds, start);
    if (code == SURR_OK) code = move_cells(&x, load);
    free(x.cost);
    return code;
}
