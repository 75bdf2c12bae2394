/* Who sends how much work to whom, and which cells: pure functions of numbers that all ranks know.
 *
 * Senders are the ranks above mean + grain; each gives away all that it has above the mean. Receivers are the ranks below
 * the mean; each takes up to mean + grain. Matching largest with largest, dropping pairs of less than a grain, places
 * everything: what the receivers' remainders lose, less than a grain each, is what they may take above the mean. */
#include "engine.h"

#include "surrogate_balance.h"

#include <stdlib.h>

typedef struct party {
    double left; /* to give away (> 0) or to take (< 0) */
    int32_t node, rank;
} party;

typedef struct moves {
    int32_t n, *from, *to;
    double *amount;
} moves;

/* Senders before receivers, the largest of each first. */
static int by_size(const void *a, const void *b)
{
    const party *x = a, *y = b;
    const double u = x->left, v = y->left;
    if ((u > 0.0) != (v > 0.0)) return u > 0.0 ? -1 : 1;
    if (u != v) return (u > 0.0) == (u > v) ? -1 : 1;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

static int by_node(const void *a, const void *b)
{
    const party *x = a, *y = b;
    return x->node != y->node ? (x->node > y->node) - (x->node < y->node) : by_size(a, b);
}

static double smaller(double a, double b) { return a < b ? a : b; }

/* Matches the parties of a sorted list until one side is used up. */
static void match(party *all, int32_t n, double grain, moves *m)
{
    int32_t s = 0, r = 0;
    while (r < n && all[r].left > 0.0) r++;
    const int32_t n_sender = r;
    while (s < n_sender && r < n) {
        party *sender = &all[s], *receiver = &all[r];
        const double amount = smaller(sender->left, -receiver->left);
        const int is_sender_smaller = sender->left <= -receiver->left;
        if (amount >= grain) {
            m->from[m->n] = sender->rank;
            m->to[m->n] = receiver->rank;
            m->amount[m->n++] = amount;
            sender->left -= amount;
            receiver->left += amount;
        }
        if (is_sender_smaller) s++;
        else r++;
    }
}

static void match_nodes(party *all, int32_t n, double grain, moves *m)
{
    qsort(all, (size_t)n, sizeof *all, by_node);
    for (int32_t first = 0, end; first < n; first = end) {
        for (end = first; end < n && all[end].node == all[first].node;) end++;
        match(all + first, end - first, grain, m);
    }
}

typedef struct move {
    int32_t from, to;
    double amount;
} move;

static int by_sender(const void *a, const void *b)
{
    const move *x = a, *y = b;
    if (x->from != y->from) return x->from < y->from ? -1 : 1;
    return (x->to > y->to) - (x->to < y->to);
}

static int32_t sort_moves(moves *m)
{
    move *sorted = malloc(((size_t)m->n + 1) * sizeof *sorted);
    if (!sorted) return surr_fail(SURR_E_NOMEM, "no memory for a plan of %d moves", m->n);
    for (int32_t i = 0; i < m->n; i++) sorted[i] = (move){m->from[i], m->to[i], m->amount[i]};
    qsort(sorted, (size_t)m->n, sizeof *sorted, by_sender);
    for (int32_t i = 0; i < m->n; i++)
        m->from[i] = sorted[i].from, m->to[i] = sorted[i].to, m->amount[i] = sorted[i].amount;
    free(sorted);
    return SURR_OK;
}

static int is_not_negative(double x) { return is_finite(x) && (bits_of(x) >> 63 == 0 || x == 0.0); }

static int32_t check_loads(int32_t n_rank, const double *load, double tolerance, double floor)
{
    if (n_rank < 1) return surr_fail(SURR_E_ARG, "n_rank is %d: give 1 or more", n_rank);
    if (!is_positive(tolerance)) return surr_fail(SURR_E_ARG, "the tolerance is %g: give a positive number", tolerance);
    if (!is_not_negative(floor)) return surr_fail(SURR_E_ARG, "the floor is %g: give 0 or more", floor);
    for (int32_t r = 0; r < n_rank; r++)
        if (!is_not_negative(load[r]))
            return surr_fail(SURR_E_ARG, "load[%d] is %g: give finite numbers, 0 or more", r, load[r]);
    return SURR_OK;
}

/* The ranks that send or receive; returns their number. */
static int32_t list_parties(int32_t n_rank, const double *load, const int32_t *node, double mean, double grain,
                            party *all)
{
    int32_t n = 0;
    for (int32_t r = 0; r < n_rank; r++) {
        const double above = load[r] - mean;
        const double left = above > grain ? above : above < 0.0 ? above - grain : 0.0;
        if (left != 0.0) all[n++] = (party){.left = left, .node = node ? node[r] : 0, .rank = r};
    }
    return n;
}

int32_t surr_balance_plan(int32_t n_rank, const double *load, const int32_t *node, double tolerance, double floor,
                          int32_t *n_move, int32_t *from, int32_t *to, double *amount)
{
    if (!load || !n_move || !from || !to || !amount)
        return surr_fail(SURR_E_ARG, "load, n_move, from, to or amount is NULL");
    int32_t code = check_loads(n_rank, load, tolerance, floor);
    if (code != SURR_OK) return code;
    party *all = malloc((size_t)n_rank * sizeof *all);
    if (!all) return surr_fail(SURR_E_NOMEM, "no memory for a plan of %d ranks", n_rank);
    double mean = 0.0;
    for (int32_t r = 0; r < n_rank; r++) mean += load[r] / n_rank;
    const double grain = tolerance * mean > floor ? tolerance * mean : floor;
    const int32_t n = list_parties(n_rank, load, node, mean, grain, all);
    moves m = {.from = from, .to = to, .amount = amount};
    if (node) match_nodes(all, n, grain, &m);
    qsort(all, (size_t)n, sizeof *all, by_size);
    match(all, n, grain, &m);
    free(all);
    *n_move = m.n;
    return sort_moves(&m);
}

/* ---- which cells ------------------------------------------------------------------------------------------------- */

typedef struct priced {
    double cost;
    int64_t cell;
} priced;

static int by_cost(const void *a, const void *b)
{
    const priced *x = a, *y = b;
    if (x->cost != y->cost) return x->cost > y->cost ? -1 : 1;
    return (x->cell > y->cell) - (x->cell < y->cell);
}

/* First cell at or after i that is not taken yet; next[] is a forest whose roots are those, with n as the last. */
static int64_t untaken(int64_t *next, int64_t i)
{
    while (next[i] != i) i = next[i] = next[next[i]];
    return i;
}

/* First place in the sorted list whose cost does not exceed `most`. */
static int64_t first_that_fits(const priced *sorted, int64_t n, double most)
{
    int64_t low = 0, high = n;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (sorted[middle].cost > most) low = middle + 1;
        else high = middle;
    }
    return low;
}

int32_t surr_balance_pick(int64_t n_cell, const double *cost, int32_t n_move, const double *amount, int64_t *which,
                          int64_t *count)
{
    if (n_cell < 0 || n_move < 0)
        return surr_fail(SURR_E_ARG, "n_cell is %lld, n_move is %d: give 0 or more", (long long)n_cell, n_move);
    if ((n_cell > 0 && (!cost || !which)) || (n_move > 0 && (!amount || !count)))
        return surr_fail(SURR_E_ARG, "cost, which, amount or count is NULL");
    priced *sorted = malloc(((size_t)n_cell + 1) * sizeof *sorted);
    int64_t *next = malloc(((size_t)n_cell + 1) * sizeof *next);
    int32_t code = sorted && next ? SURR_OK : SURR_E_NOMEM;
    if (code != SURR_OK) surr_fail(code, "no memory to sort %lld cells", (long long)n_cell);
    for (int64_t c = 0; c < n_cell && code == SURR_OK; c++) {
        sorted[c] = (priced){.cost = cost[c], .cell = c};
        if (!is_positive(cost[c]))
            code = surr_fail(SURR_E_ARG, "cost[%lld] is %g: give positive numbers", (long long)c, cost[c]);
    }
    int64_t n = 0;
    if (code == SURR_OK) {
        qsort(sorted, (size_t)n_cell, sizeof *sorted, by_cost);
        for (int64_t i = 0; i <= n_cell; i++) next[i] = i;
        for (int32_t m = 0; m < n_move; m++) {
            double room = amount[m];
            const int64_t before = n;
            for (;;) {
                const int64_t i = untaken(next, first_that_fits(sorted, n_cell, room));
                if (i == n_cell) break;
                room -= sorted[i].cost;
                which[n++] = sorted[i].cell;
                next[i] = i + 1;
            }
            count[m] = n - before;
        }
        for (int64_t i = untaken(next, 0); i < n_cell; i = untaken(next, i + 1)) which[n++] = sorted[i].cell;
    }
    free(sorted);
    free(next);
    return code;
}
