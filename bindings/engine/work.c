/* Works: the memory of one thread of the host, and how a call is cut into blocks that the plan's threads share. */
#include "work.h"
#include "error.h"
#include "harvest.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }

/* How a call is cut up. Several blocks per thread even out their cost; the results do not depend on it. */
typedef struct cut {
    int64_t block, n_block, n_thread, n_scratch;
} cut;

typedef struct crew {
    block_job *job;
    void *context;
    const cut *cut;
    surr_work *work;
    int64_t n_cell;
    int hold_back;
    atomic_int_fast64_t next_block;
} crew;

typedef struct member {
    crew *crew;
    scratch *own;
    pthread_t thread;
} member;

static cut make_cut(const surr_plan *p, int64_t n_cell, int hold_back)
{
    cut k = {.block = BLOCK};
    if (p->threads > 1) k.block = max(64, min(BLOCK, n_cell / (8 * p->threads)));
    k.block = max(1, min(k.block, n_cell));
    k.n_block = (n_cell + k.block - 1) / k.block;
    k.n_thread = max(1, min(p->threads, k.n_block));
    k.n_scratch = hold_back ? max(1, k.n_block) : k.n_thread;
    return k;
}

/* Room for a call; allocates only when a call is larger than all before it. */
static int32_t reserve(surr_work *w, const cut *k)
{
    if (k->n_scratch > w->n_scratch) {
        scratch **grown = realloc(w->scratch, (size_t)k->n_scratch * sizeof *grown);
        if (!grown) return surr_fail(SURR_E_NOMEM, "no memory for %lld blocks of cells", (long long)k->n_scratch);
        while (w->n_scratch < k->n_scratch) grown[w->n_scratch++] = NULL;
        w->scratch = grown;
    }
    for (int64_t i = 0; i < k->n_scratch; i++) {
        if (w->scratch[i] && w->scratch[i]->capacity >= k->block) continue;
        scratch *fresh = scratch_create(w->plan, k->block);
        if (!fresh) return surr_fail(SURR_E_NOMEM, "no memory for a block of %lld cells", (long long)k->block);
        free(w->scratch[i]);
        w->scratch[i] = fresh;
    }
    return SURR_OK;
}

int32_t surr_work_create(const surr_plan *p, int64_t max_cells_hint, surr_work **out)
{
    if (!out) return surr_fail(SURR_E_ARG, "out is NULL: give the address of a surr_work pointer");
    *out = NULL;
    if (!p) return surr_fail(SURR_E_ARG, "plan is NULL: create one first");
    if (!p->committed) return surr_fail(SURR_E_STATE, "the plan is not committed: call surr_plan_commit first");
    if (max_cells_hint < 0)
        return surr_fail(SURR_E_ARG, "max_cells_hint is %lld: give 0 if you do not know", (long long)max_cells_hint);
    surr_work *w = calloc(1, sizeof *w);
    if (!w) return surr_fail(SURR_E_NOMEM, "no memory for a work");
    atomic_init(&w->busy, 0);
    w->trust = 1.0;
    w->plan = plan_retain(p);
    w->members = calloc((size_t)p->threads, sizeof *w->members);
    w->outside = calloc((size_t)count_reasons(p->model->desc), sizeof *w->outside);
    cut k = make_cut(p, max_cells_hint, p->on_failure);
    int32_t code = w->members && w->outside ? reserve(w, &k)
                                            : surr_fail(SURR_E_NOMEM, "no memory for %d threads", (int)p->threads);
    if (code != SURR_OK) surr_work_free(w);
    else *out = w;
    return code;
}

int32_t surr_work_free(surr_work *w)
{
    if (!w) return SURR_OK;
    for (int64_t i = 0; i < w->n_scratch; i++) free(w->scratch[i]);
    free(w->scratch);
    free(w->members);
    free(w->outside);
    queue_free(&w->queue);
    plan_release(w->plan);
    free(w);
    return SURR_OK;
}

int32_t surr_work_seconds(const surr_work *w, double *seconds)
{
    if (!w || !seconds) return surr_fail(SURR_E_ARG, "work or seconds is NULL");
    memcpy(seconds, w->seconds, sizeof w->seconds);
    return SURR_OK;
}

int32_t surr_work_outside(const surr_work *w, int64_t *count)
{
    if (!w || !count) return surr_fail(SURR_E_ARG, "work or count is NULL");
    memcpy(count, w->outside, (size_t)count_reasons(w->plan->model->desc) * sizeof *count);
    return SURR_OK;
}

int32_t surr_work_audit(const surr_work *w, int64_t *count)
{
    if (!w || !count) return surr_fail(SURR_E_ARG, "work or count is NULL");
    memcpy(count, w->audit, sizeof w->audit);
    return SURR_OK;
}

/* 1, and one more in the child of each fork. */
static atomic_int generation = 1;
static void next_generation(void) { atomic_fetch_add(&generation, 1); }
static __attribute__((constructor)) void watch_forks(void) { pthread_atfork(NULL, NULL, next_generation); }

/* In the child of a fork that happened while another thread was in a call: that thread is not here, and what it was at
 * is in any state. Its memory is lost to the child, and the cells that wait are the parent's. */
static void forget(surr_work *w)
{
    w->n_scratch = 0;
    w->scratch = NULL;
    memset(&w->queue, 0, sizeof w->queue);
}

int32_t work_enter(surr_work *w)
{
    const int ours = atomic_load_explicit(&generation, memory_order_relaxed);
    int theirs = 0;
    if (!atomic_compare_exchange_strong_explicit(&w->busy, &theirs, ours, memory_order_acquire, memory_order_relaxed)) {
        if (theirs == ours || !atomic_compare_exchange_strong(&w->busy, &theirs, ours))
            return surr_fail(SURR_E_BUSY, "this work is in use by another thread: give each thread its own");
        forget(w);
    }
    w->host = fp_enter();
    return SURR_OK;
}

void work_leave(surr_work *w)
{
    fp_leave(w->host);
    atomic_store_explicit(&w->busy, 0, memory_order_release);
}

/* What every thread does: take the next block until there is none. */
static void *take_blocks(void *argument)
{
    member *self = argument;
    crew *all = self->crew;
    (void)fp_enter(); /* a new thread takes it to its end, the caller's is kept by work_enter */
    for (;;) {
        int64_t b = atomic_fetch_add_explicit(&all->next_block, 1, memory_order_relaxed);
        if (b >= all->cut->n_block) break;
        int64_t first = b * all->cut->block;
        int32_t n = (int32_t)min(all->cut->block, all->n_cell - first);
        all->job(all->context, all->hold_back ? all->work->scratch[b] : self->own, first, n);
    }
    return NULL;
}

/* A thread that cannot be started is a thread less; the others take its blocks. */
static void run_crew(crew *all)
{
    int64_t n = all->cut->n_thread, started = 1;
    member *members = all->work->members;
    for (int64_t i = 0; i < n; i++) members[i] = (member){.crew = all, .own = all->work->scratch[i]};
    while (started < n && pthread_create(&members[started].thread, NULL, take_blocks, &members[started]) == 0)
        started++;
    take_blocks(&members[0]);
    for (int64_t i = 1; i < started; i++) pthread_join(members[i].thread, NULL);
}

static void add_sums(surr_work *w, const scratch *s)
{
    for (int j = 0; j < SURR_NSTAT; j++) w->stat[j] += s->stat[j];
    for (int j = 0; j < SURR_NPHASE; j++) w->seconds[j] += s->seconds[j];
    for (int j = 0; j < SURR_NAUDIT; j++) w->audit[j] += s->audit[j];
    for (int j = 0; j < N_OUTCOME; j++) w->learned[j] += s->learned[j];
    for (int64_t j = 0; j < s->n_reason; j++) w->outside[j] += s->outside[j];
    w->n_flagged += s->n_flagged;
}

int32_t work_run(surr_work *w, int64_t n_cell, int hold_back, block_job *job, void *context)
{
    cut k = make_cut(w->plan, n_cell, hold_back);
    int32_t code = reserve(w, &k);
    if (code != SURR_OK) return code;
    for (int64_t i = 0; i < k.n_scratch; i++) {
        scratch_reset(w->scratch[i]);
        w->scratch[i]->host = w->host;
        w->scratch[i]->trust = w->trust;
    }
    crew all = {.job = job, .context = context, .cut = &k, .work = w, .n_cell = n_cell, .hold_back = hold_back};
    atomic_init(&all.next_block, 0);
    run_crew(&all);
    for (int64_t i = 0; i < k.n_scratch; i++) harvest_hand_over(w->plan, w->scratch[i]);
    memset(w->stat, 0, sizeof w->stat);
    memset(w->seconds, 0, sizeof w->seconds);
    memset(w->outside, 0, (size_t)count_reasons(w->plan->model->desc) * sizeof *w->outside);
    w->n_flagged = 0;
    for (int64_t i = 0; i < k.n_scratch; i++) add_sums(w, w->scratch[i]);
    return SURR_OK;
}
