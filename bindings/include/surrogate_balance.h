/* surrogate_balance.h: evening out the solver's work over ranks, without MPI.
 *
 * For those who move cells between ranks themselves. With MPI use surrogate_mpi.h, or comm= in Python: both are the
 * exchange below with a transport of their own, which is all that is left to write for messages of another kind. Step by
 * step, a flush on every rank is
 *
 *     surr_queue_costs                   what each waiting cell will cost
 *     (all ranks tell each other their sums)
 *     surr_balance_plan                  who sends how much to whom: the same on every rank, a function of the sums
 *     surr_balance_pick                  which cells go
 *     surr_queue_take -> (send) -> surr_cells_solve -> (send back) -> surr_queue_put
 *     surr_queue_solve                   the others, while messages are under way
 *     surr_flush                         solves what came back unsolved, and writes all results
 *
 * A cell's result does not depend on where it is solved. Nothing here changes a field of the host before surr_flush. */
#ifndef SURROGATE_BALANCE_H
#define SURROGATE_BALANCE_H
#ifndef SURR_CFFI
#include "surrogate.h"
#endif
#if defined(__cplusplus) && !defined(SURR_CFFI)
extern "C" {
#endif

/* ---- the plan: pure functions ------------------------------------------------------------------------------------
 * load[r] >= 0: the work that waits on rank r. node[r]: where it runs (NULL: all on one node). Moves m < *n_move, in
 * the order of from[m]: rank from[m] sends amount[m] of its work to rank to[m]; room for n_rank of them. With
 *
 *     grain = max(tolerance * mean load, floor)
 *
 * no rank ends above 1.005 mean + grain: half a percent more than would even them out moves, for handling it takes
 * time, too. No move is smaller than grain; a rank sends or receives, never both; work leaves a node only where that
 * node has more than its share. So a rank receives at most 1 + 1.005 mean/grain messages, and sends at most (its
 * load)/grain. tolerance > 0; floor >= 0 in the unit of the loads. */
SURR_API int32_t surr_balance_plan(int32_t n_rank, const double *load, const int32_t *node, double tolerance,
                                   double floor, int32_t *n_move, int32_t *from, int32_t *to, double *amount);
/* Cells for the moves of one rank: which[0 .. n_cell-1] becomes a permutation of the cells, first count[0] of them for
 * the first move, count[1] for the second, ..., then those that stay; in each group the costliest first, to a factor of
 * two. A move gets the costliest cells that fit, never more than its amount, and less only by less than any cell that
 * stays. cost[c] > 0. */
SURR_API int32_t surr_balance_pick(int64_t n_cell, const double *cost, int32_t n_move, const double *amount,
                                   int64_t *which, int64_t *count);

/* ---- the cells that wait in a work -------------------------------------------------------------------------------
 * They are counted from 0 in the order in which they came; the number is good until surr_flush. */
/* Ranks that share work must agree: a hash of the model, its instruction set, and the options of the plan that a result
 * depends on (all but "threads"). */
SURR_API int32_t surr_work_fingerprint(const surr_work *w, int64_t *fingerprint);
SURR_API int32_t surr_queue_size(const surr_work *w, int64_t *n_cell);
/* Doubles per cell that goes out, and that comes back: time step, variables, parameters; outcome, variables. */
SURR_API int32_t surr_queue_width(const surr_work *w, int32_t *n_out, int32_t *n_back);
/* Work: 2 per step attempt of the solver, but 1 for a cell done by the quick first one: about 0.4 us; of a solver of
 * the host's (surr_plan_set_fallback) microseconds. cost[n_cell], 1 or more: the work that the gauge of the net expects
 * (1 where it knows nothing), times the ratio of what was needed to what was expected in this queue, for cells that
 * waited for the same reason, of similar temperature, density and time step; averaged with a weight that halves with
 * every flush. */
SURR_API int32_t surr_queue_costs(const surr_work *w, double *cost);
/* Packs the n cells which[] (none twice) into packed[n * n_out]: first all time steps, then all variables, the longest
 * steps of the solver and all parameters. They go on waiting. */
SURR_API int32_t surr_queue_take(const surr_work *w, int64_t n, const int64_t *which, double *packed);
/* Results of the same cells, from the first n * n_back numbers. *spent (may be NULL): work on them, all together. */
SURR_API int32_t surr_queue_put(surr_work *w, int64_t n, const int64_t *which, const double *packed, int64_t *spent);
/* Solves n of the cells that wait here, or, in place, n packed ones from anywhere: the plan must be that of the rank
 * they come from. surr_work_seconds tells how long it took. */
SURR_API int32_t surr_queue_solve(surr_work *w, int64_t n, const int64_t *which);
SURR_API int32_t surr_cells_solve(surr_work *w, int64_t n, double *packed, int64_t *spent);
/* Work on the cells of the last surr_flush, wherever they were solved. */
SURR_API int32_t surr_queue_work(const surr_work *w, double *spent);

/* ---- the exchange: all of the above but the messages --------------------------------------------------------------
 * Who moves messages fills in a transport; on every rank, after cells have been queued and before surr_flush, follows
 *
 *     surr_exchange_run(exchange, work, &transport, &report);                  // COLLECTIVE
 *
 * The functions of a transport return SURR_OK or a negative code, which ends the exchange: then messages may be under way,
 * what they need is kept for ever, and neither exchange nor transport may be used again. `context` comes back in every
 * call. Messages are `n` doubles to or from a rank, which stay in place until they have been waited for; between two ranks
 * they arrive in the order in which they were sent. Requests are numbered from 0 to below 2 n_rank, each in use once. */
typedef struct surr_transport {
    void *context;
    int32_t rank; /* this one, from 0 */
    /* COLLECTIVE: all[r] becomes what rank r has given as `own`. */
    int32_t (*gather)(void *context, double own, double *all);
    /* Begin to send, and to receive at most n; of a longer message nothing need arrive, and its count is 0. */
    int32_t (*send)(void *context, int32_t request, int32_t rank, const double *x, int64_t n);
    int32_t (*receive)(void *context, int32_t request, int32_t rank, double *x, int64_t n);
    /* Waits for one of the requests first .. first + n - 1 that are open: which it is, and how many doubles came. */
    int32_t (*wait)(void *context, int32_t first, int32_t n, int32_t *request, int64_t *count);
    /* Lets messages move on; called now and then while there are cells to solve. */
    void (*progress)(void *context);
} surr_transport;

typedef struct surr_exchange
    surr_exchange;                    /* what is remembered from one exchange to the next; of one thread at a time */
typedef struct surr_exchange_report { /* of one exchange on this rank */
    double load_before, load_after;   /* largest over mean work of all ranks, as expected before and after moves */
    double moved_work;                /* done here for others, less that done elsewhere for this rank */
    double solver_seconds;
    double plan_seconds, pack_seconds, wait_seconds; /* the first with the wait for the last rank */
    int64_t cells, bytes, messages;                  /* sent from here: cells, and with them results of others */
} surr_exchange_report;

enum { SURR_MESSAGE_WORK = 250 }; /* work that is worth a message of some 10 us: the floor of the plans */

/* node[n_rank]: where the ranks run, copied (NULL: all on one). min_gain > 0: ranks with less than 1 + this times the mean
 * send nothing. interval: exchanges for which a plan is used. All alike on all ranks. */
SURR_API int32_t surr_exchange_create(int32_t n_rank, const int32_t *node, double min_gain, int64_t interval,
                                      surr_exchange **out);
SURR_API int32_t surr_exchange_free(surr_exchange *e); /* NULL is fine */
/* COLLECTIVE. Solves what waits in the works of all ranks, here or where there is less to do; what could not be solved
 * goes on waiting for surr_flush. report may be NULL. */
SURR_API int32_t surr_exchange_run(surr_exchange *e, surr_work *w, const surr_transport *t,
                                   surr_exchange_report *report);
/* The imbalance of the solver's work that was measured in a step, largest over mean, alike on all ranks: below 1 + min_gain
 * the next runs do nothing and ask nobody, until another one is noted. */
SURR_API int32_t surr_exchange_note(surr_exchange *e, double imbalance);
SURR_API int32_t surr_exchange_is_due(const surr_exchange *e); /* 0: the next run will do nothing */

/* For transports: makes this text (value, bound, advice) the thread's surr_last_error, and returns code. */
SURR_API int32_t surr_set_error(int32_t code, const char *text);

#if defined(__cplusplus) && !defined(SURR_CFFI)
}
#endif
#endif
