/* A work: the memory of one thread of the host. */
#ifndef SURR_WORK_H
#define SURR_WORK_H
#include "queue.h"
#include "scratch.h"

struct surr_work {
    atomic_int busy; /* 0, or what work.c calls the generation of the process that is in a call */
    fp_state host;   /* what the host had when the call began */
    surr_plan *plan;
    int64_t n_scratch;
    scratch **scratch;
    struct member *members; /* one per thread of the plan, see work.c */
    queue queue;
    /* sums of the last call */
    int64_t stat[SURR_NSTAT];
    int64_t n_flagged;
    double seconds[SURR_NPHASE];
    int64_t audit[SURR_NAUDIT]; /* of all calls */
    int64_t *outside;           /* of the last call, by reason */
};

/* One call at a time; in between the floating-point environment is ours. */
int32_t work_enter(surr_work *w);
void work_leave(surr_work *w);
/* A call in blocks, and these on the threads of the plan. `job` sees every block once; s is the thread's, or with
 * hold_back the block's own, which keeps its results. Sums end up in the work. */
typedef void block_job(void *context, scratch *s, int64_t first, int32_t n);
int32_t work_run(surr_work *w, int64_t n_cell, int hold_back, block_job *job, void *context);

#endif
