/* surrogate_mpi.h: flush a queue on all ranks together, with the solver's work shared among them.
 *
 *     surr_balancer *balancer;
 *     surr_mpi_create(MPI_Comm_c2f(comm), &balancer);                          // Fortran: its communicator as it is
 *     ...
 *     surr_queue(plan, work, ...);                                             // as often as this rank likes
 *     surr_mpi_flush(balancer, work, &before, &after, stat);                   // all ranks, every time step
 *
 * In libsurrogate_mpi, which needs MPI; this header does not. Results are those of surr_flush, bit by bit, on any
 * number of ranks. Functions marked COLLECTIVE are called by all ranks of the communicator, in the same order. */
#ifndef SURROGATE_MPI_H
#define SURROGATE_MPI_H
#include "surrogate.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct surr_balancer surr_balancer; /* of one thread at a time, like a work */

/* COLLECTIVE. The communicator as MPI_Comm_c2f gives it; messages use a duplicate. */
SURR_API int32_t surr_mpi_create(int32_t fortran_comm, surr_balancer **out);
/* COLLECTIVE: "scope" (world: all ranks, those of a node first | node: the ranks of each node | off). */
SURR_API int32_t surr_mpi_set_s(surr_balancer *b, const char *key, int32_t key_len, const char *v, int32_t v_len);
/* Alike on all ranks: "min_gain" (0.03: ranks with less than 1 + this times the mean send nothing), "interval" (1:
 * flushes until the ranks ask each other again how much work waits), "timeout" (0, for ever: seconds after which a rank
 * that does not answer is given up. Then call MPI_Abort, and not this library.) */
SURR_API int32_t surr_mpi_set_d(surr_balancer *b, const char *key, int32_t key_len, double v);
/* COLLECTIVE. Advances all that waits in the works of all ranks; empty queues are fine. Imbalance of the solver's work
 * (see surrogate_balance.h) in this flush, largest over mean among ranks: as the cells were distributed, and as they
 * were solved (both may be NULL). stat[SURR_NSTAT], of this rank's cells, may be NULL. An error on one rank is an error
 * on all, SURR_E_MPI on those that have none of their own, whose cells are advanced all the same. So it is where model,
 * options of the plan (but for "threads") or options of the balancer (but for "timeout") are not the same on all ranks.
 */
SURR_API int32_t surr_mpi_flush(surr_balancer *b, surr_work *w, double *imbalance_before, double *imbalance_after,
                                int64_t *stat);
/* Of the last flush on this rank: cells, bytes and messages sent; seconds for the plan (with the wait for the last
 * rank), for packing, and waiting for messages. */
SURR_API int32_t surr_mpi_report(const surr_balancer *b, int64_t *moved, double *seconds);
/* COLLECTIVE, before MPI_Finalize; NULL is fine. */
SURR_API int32_t surr_mpi_free(surr_balancer *b);

#ifdef __cplusplus
}
#endif
#endif
