/* Who sends how much work to whom, and which cells: pure functions of numbers that all ranks know.
 *
 * Senders are the ranks above mean + grain; each gives away all that it has above the mean. Receivers are the ranks
 * below the mean; each takes up to mean + grain. Matching them in any order, dropping pairs of less than a grain,
 * places everything: what the receivers' remainders lose, less than a grain each, is what they may take above the mean.
 * In the order of ranks it takes as many operations as there are ranks, and neighbours help each other.
 *
 * On both sides HANDLING is added to what moves: a rank that sends the work of dozens of others would be the last to
 * finish, for packing and unpacking takes it as long as that share of the work (0.1 us for a hard cell of 50 us, and
 * its messages). */
#include "bits.h"
#include "error.h"

#include "surrogate_balance.h"

#include <math.h>
#include <stdlib.h>

#define HANDLING 0.005

typedef struct party {
    double left; /* to give away (> 0) or to take (< 0) */
    int32_t node, rank;
} party;

typedef struct moves {
    int32_t n, *from, *to;
    double *amount;
} moves;

static int by_node(const void *a, const void *b)
{
    const party *x = a, *y = b;
    if (x->node != y->node) return x->node < y->node ? -1 : 1;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

static double smaller(double a, double b) { return a < b ? a : b; }

/* Matches senders and receivers until one side is used up. */
static void match(party *all, int32_t n, double grain, moves *m)
{
    for (int32_t s = 0, r = 0;;) {
        while (s < n && !(all[s].left > 0.0)) s++;
        while (r < n && !(all[r].left < 0.0)) r++;
        if (s == n || r == n) return;
        const double amount = smaller(all[s].left, -all[r].left);
        const int is_sender_done = all[s].left <= -all[r].left;
        if (amount >= grain) {
            m->from[m->n] = all[s].rank;
            m->to[m->n] = all[r].rank;
            m->amount[m->n++] = amount;
            all[s].left -= amount;
            all[r].left += amount;
        }
        if (is_sender_done) s++;
        else r++;
    }
}

static void match_nodes(party *all, int32_t n, double grain, moves *m)
{
    int is_sorted = 1;
    for (int32_t i = 1; i < n; i++) is_sorted &= all[i].node >= all[i - 1].node;
    if (!is_sorted) qsort(all, (size_t)n, sizeof *all, by_node);
    for (int32_t first = 0, end; first < n; first = end) {
        for (end = first; end < n && all[end].node == all[first].node;) end++;
        match(all + first, end - first, grain, m);
    }
}

typedef struct move {
    int32_t from, to;
    double amount;
} move;

/* Brings the moves into the order of senders. */
static int32_t sort_moves(moves *m, int32_t n_rank)
{
    move *sorted = malloc(((size_t)m->n + 1) * sizeof *sorted);
    int32_t *place = calloc((size_t)n_rank + 1, sizeof *place); /* of the next move of each sender */
    const int32_t code = sorted && place ? SURR_OK : SURR_E_NOMEM;
    if (code == SURR_OK) {
        for (int32_t i = 0; i < m->n; i++) place[m->from[i] + 1]++;
        for (int32_t r = 0; r < n_rank; r++) place[r + 1] += place[r];
        for (int32_t i = 0; i < m->n; i++) sorted[place[m->from[i]]++] = (move){m->from[i], m->to[i], m->amount[i]};
        for (int32_t i = 0; i < m->n; i++)
            m->from[i] = sorted[i].from, m->to[i] = sorted[i].to, m->amount[i] = sorted[i].amount;
    }
    free(sorted);
    free(place);
    return code == SURR_OK ? code : surr_fail(code, "no memory for a plan of %d moves", m->n);
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
        const double left = above > grain ? above + smaller(HANDLING * above, mean) /* no more than it has */
                            : above < 0.0 ? (1.0 + HANDLING) * above - grain
                                          : 0.0;
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
    match(all, n, grain, &m);
    free(all);
    *n_move = m.n;
    return sort_moves(&m, n_rank);
}

/* ---- which cells ------------------------------------------------------------------------------------------------- */

/* Cells in classes of a factor of two in cost, costliest class first, and as they were within a class. Not in the order
 * of costs: they are guesses, the lowest of which are too low more often than not, and a rank that keeps these would
 * have more to do than was planned. */
enum { N_CLASS = 2048 };
typedef struct shelf {
    int64_t first[N_CLASS + 1]; /* of class k in `cell` */
    int end;                    /* classes from here on are empty */
    int64_t *cell;              /* cell numbers, by class */
    int64_t *next;              /* forest: the root of i is the first place at or after i that is not taken */
} shelf;

static int class_of(double cost) { return N_CLASS - 1 - (int)(bits_of(cost) >> 52); } /* from the exponent */

static void fill_shelf(shelf *s, int64_t n_cell, const double *cost)
{
    memset(s->first, 0, sizeof s->first);
    s->end = 0;
    for (int64_t c = 0; c < n_cell; c++) s->first[class_of(cost[c]) + 1]++;
    for (int k = 0; k < N_CLASS; k++)
        if (s->first[k + 1]) s->end = k + 1;
    for (int k = 0; k < N_CLASS; k++) s->first[k + 1] += s->first[k];
    for (int64_t c = 0; c < n_cell; c++) s->cell[s->first[class_of(cost[c])]++] = c;
    for (int k = N_CLASS; k > 0; k--) s->first[k] = s->first[k - 1];
    s->first[0] = 0;
    for (int64_t i = 0; i <= n_cell; i++) s->next[i] = i;
}

/* First cell at or after i that is not taken yet; next[] is a forest whose roots are those, with n as the last. */
static int64_t untaken(int64_t *next, int64_t i)
{
    while (next[i] != i) i = next[i] = next[next[i]];
    return i;
}

/* Takes from place `at` on, up to `end`, what fits into *room; returns the number of cells. Looks at no more than
 * PATIENCE cells that do not: of the class of the room at most one fits, and to look for it among thousands, for every
 * move, would take longer than all else. */
enum { PATIENCE = 16 };
static int64_t take_cells(shelf *s, const double *cost, int64_t at, int64_t end, double *room, int64_t *which)
{
    int64_t n = 0;
    int left = PATIENCE;
    for (int64_t i = untaken(s->next, at); i < end && left > 0; i = untaken(s->next, i + 1)) {
        if (cost[s->cell[i]] > *room) {
            left--;
            continue;
        }
        *room -= cost[s->cell[i]];
        which[n++] = s->cell[i];
        s->next[i] = i + 1;
    }
    return n;
}

/* Fills one move: class after class, in each what fits. Classes above that of the room do not fit, and what did not fit
 * into a class will not later, since the room only shrinks. */
static int64_t fill_move(shelf *s, const double *cost, double room, int64_t *which)
{
    int64_t n = 0;
    for (int k = 0; k < s->end && is_positive(room); k++) {
        if (k < class_of(room)) k = class_of(room);
        n += take_cells(s, cost, s->first[k], s->first[k + 1], &room, which + n);
    }
    return n;
}

int32_t surr_balance_pick(int64_t n_cell, const double *cost, int32_t n_move, const double *amount, int64_t *which,
                          int64_t *count)
{
    if (n_cell < 0 || n_move < 0)
        return surr_fail(SURR_E_ARG, "n_cell is %lld, n_move is %d: give 0 or more", (long long)n_cell, n_move);
    if ((n_cell > 0 && (!cost || !which)) || (n_move > 0 && (!amount || !count)))
        return surr_fail(SURR_E_ARG, "cost, which, amount or count is NULL");
    for (int64_t c = 0; c < n_cell; c++)
        if (!is_positive(cost[c]))
            return surr_fail(SURR_E_ARG, "cost[%lld] is %g: give positive numbers", (long long)c, cost[c]);
    const size_t bytes = ((size_t)n_cell + 1) * sizeof(int64_t);
    shelf s = {.cell = malloc(bytes), .next = malloc(bytes)};
    int32_t code = s.cell && s.next ? SURR_OK : SURR_E_NOMEM;
    if (code == SURR_OK) {
        int64_t n = 0;
        double everything = INFINITY;
        fill_shelf(&s, n_cell, cost);
        for (int32_t m = 0; m < n_move; m++) n += count[m] = fill_move(&s, cost, amount[m], which + n);
        take_cells(&s, cost, 0, n_cell, &everything, which + n);
    } else surr_fail(code, "no memory to sort %lld cells", (long long)n_cell);
    free(s.cell);
    free(s.next);
    return code;
}
