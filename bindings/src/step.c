/* The step: cells go through in blocks, and blocks are handed to threads one by one. */
#include "engine.h"
#include "fpenv.h"

#include <pthread.h>
#include <stdlib.h>

/* ---- work -------------------------------------------------------------------------------------------------------- */

static int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }

/* How a call is cut up. Several blocks per thread even out their cost; the results do not depend on it. */
typedef struct cut {
    int64_t block, n_block, n_thread, n_scratch;
} cut;

typedef struct crew {
    const call *call;
    const cut *cut;
    surr_work *work;
    atomic_int_fast64_t next_block;
} crew;

typedef struct member {
    crew *crew;
    scratch *own;
    pthread_t thread;
} member;

static cut make_cut(const surr_plan *p, int64_t n_cell)
{
    cut k = {.block = BLOCK};
    if (p->threads > 1) k.block = max(64, min(BLOCK, n_cell / (8 * p->threads)));
    k.block = max(1, min(k.block, n_cell));
    k.n_block = (n_cell + k.block - 1) / k.block;
    k.n_thread = max(1, min(p->threads, k.n_block));
    k.n_scratch = p->on_failure ? max(1, k.n_block) : k.n_thread; /* all-or-nothing holds every result back */
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
    atomic_flag_clear(&w->busy);
    w->plan = plan_retain(p);
    w->members = calloc((size_t)p->threads, sizeof *w->members);
    cut k = make_cut(p, max_cells_hint);
    int32_t code = w->members ? reserve(w, &k) : surr_fail(SURR_E_NOMEM, "no memory for %d threads", (int)p->threads);
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

int32_t surr_work_audit(const surr_work *w, int64_t *count)
{
    if (!w || !count) return surr_fail(SURR_E_ARG, "work or count is NULL");
    memcpy(count, w->audit, sizeof w->audit);
    return SURR_OK;
}

/* ---- blocks and threads ------------------------------------------------------------------------------------------ */

static void advance_block(const call *c, scratch *s, int64_t first, int32_t n, int hold_back)
{
    const surr_plan *p = c->plan;
    double t0 = seconds_now();
    block_gather(c, s, first, n);
    s->seconds[SURR_PHASE_GATHER] += seconds_now() - t0;
    block_advance(p, s);
    double t1 = seconds_now();
    block_finish(c, s);
    if (!hold_back) block_scatter(c, s);
    s->seconds[SURR_PHASE_SCATTER] += seconds_now() - t1;
}

/* What every thread does: take the next block until there is none. */
static void *advance_blocks(void *argument)
{
    member *self = argument;
    crew *all = self->crew;
    int hold_back = self->own == NULL;
    (void)fp_enter(); /* a new thread takes it to its end, the caller's is kept in step() */
    for (;;) {
        int64_t b = atomic_fetch_add_explicit(&all->next_block, 1, memory_order_relaxed);
        if (b >= all->cut->n_block) break;
        int64_t first = b * all->cut->block;
        int32_t n = (int32_t)min(all->cut->block, all->call->n_cell - first);
        advance_block(all->call, hold_back ? all->work->scratch[b] : self->own, first, n, hold_back);
    }
    return NULL;
}

/* A thread that cannot be started is a thread less; the others take its blocks. */
static void run_crew(crew *all)
{
    int64_t n = all->cut->n_thread, started = 1;
    int hold_back = all->call->plan->on_failure;
    member *members = all->work->members;
    for (int64_t i = 0; i < n; i++) members[i] = (member){.crew = all, .own = hold_back ? NULL : all->work->scratch[i]};
    while (started < n && pthread_create(&members[started].thread, NULL, advance_blocks, &members[started]) == 0)
        started++;
    advance_blocks(&members[0]);
    for (int64_t i = 1; i < started; i++) pthread_join(members[i].thread, NULL);
}

/* ---- one call ---------------------------------------------------------------------------------------------------- */

static int32_t check_slots(const call *c)
{
    const surr_plan *p = c->plan;
    for (int32_t s = 0; s < p->n_slot; s++) {
        if (c->base && !c->base[s]) return surr_fail(SURR_E_ARG, "the base pointer of slot %d is NULL", s);
        if (slot_stride(c, s) == 0 && !(p->slots[s].flags & SURR_F_INPUT) && c->n_cell > 1)
            return surr_fail(SURR_E_ARG, "slot %d is written, its stride of 0 would put %lld cells into one place", s,
                             (long long)c->n_cell);
    }
    return SURR_OK;
}

static int32_t check_index(const call *c)
{
    const surr_plan *p = c->plan;
    for (int64_t i = 0; c->index && i < c->n_cell; i++) {
        int64_t at = p->index_bytes == 8 ? ((const int64_t *)c->index)[i] : ((const int32_t *)c->index)[i];
        if (at < p->index_base)
            return surr_fail(SURR_E_ARG,
                             "index[%lld] is %lld: cells are counted from %lld (index_base), in integers of %lld bytes "
                             "(index_bytes)",
                             (long long)i, (long long)at, (long long)p->index_base, (long long)p->index_bytes);
    }
    return SURR_OK;
}

static int32_t check_call(const call *c, const surr_work *w)
{
    if (!c->plan) return surr_fail(SURR_E_ARG, "plan is NULL: create one first");
    if (!c->plan->committed) return surr_fail(SURR_E_STATE, "the plan is not committed: call surr_plan_commit first");
    if (!w) return surr_fail(SURR_E_ARG, "work is NULL: create one first, one per thread");
    if (w->plan != c->plan) return surr_fail(SURR_E_ARG, "this work was made from another plan");
    if (c->n_cell < 0) return surr_fail(SURR_E_ARG, "n_cell is %lld: give 0 or more", (long long)c->n_cell);
    if (c->dtype != SURR_F64 && c->dtype != SURR_F32)
        return surr_fail(SURR_E_ARG, "dtype is %d: give SURR_F64 or SURR_F32", c->dtype);
    if (c->n_cell > 0 && !(c->base ? (const void *)c->stride : (const void *)c->block))
        return surr_fail(SURR_E_ARG, "the pointers to the host's fields, or their strides, are NULL");
    if (c->plan->dt_slot < 0 && !is_positive(c->dt))
        return surr_fail(SURR_E_ARG, "dt is %g: give a positive finite time step, or bind a SURR_Q_DT field", c->dt);
    int32_t code = c->n_cell > 0 ? check_slots(c) : SURR_OK;
    return code == SURR_OK ? check_index(c) : code;
}

static void collect(surr_work *w, const cut *k, int64_t stat[SURR_NSTAT], int64_t *n_flagged)
{
    memset(stat, 0, SURR_NSTAT * sizeof *stat);
    memset(w->seconds, 0, sizeof w->seconds);
    for (int64_t i = 0; i < k->n_scratch; i++) {
        for (int j = 0; j < SURR_NSTAT; j++) stat[j] += w->scratch[i]->stat[j];
        for (int j = 0; j < SURR_NPHASE; j++) w->seconds[j] += w->scratch[i]->seconds[j];
        for (int j = 0; j < SURR_NAUDIT; j++) w->audit[j] += w->scratch[i]->audit[j];
        *n_flagged += w->scratch[i]->n_flagged;
    }
}

static int32_t advance(call *c, surr_work *w)
{
    int64_t stat[SURR_NSTAT], n_flagged = 0;
    cut k = make_cut(c->plan, c->n_cell);
    int32_t code = reserve(w, &k);
    if (code != SURR_OK) return code;
    for (int64_t i = 0; i < k.n_scratch; i++) scratch_reset(w->scratch[i]);
    crew all = {.call = c, .cut = &k, .work = w};
    atomic_init(&all.next_block, 0);
    run_crew(&all);
    collect(w, &k, stat, &n_flagged);
    if (c->stat) memcpy(c->stat, stat, sizeof stat);
    if (c->plan->on_failure && n_flagged)
        return surr_fail(SURR_E_CELLS,
                         "%lld of %lld cells could not be advanced, so none was modified: see the status bytes 33 and "
                         "34, or set \"on_failure\" to \"flag\"",
                         (long long)n_flagged, (long long)c->n_cell);
    if (c->plan->on_failure)
        for (int64_t b = 0; b < k.n_block; b++) block_scatter(c, w->scratch[b]);
    return n_flagged ? SURR_FLAGGED : SURR_OK;
}

static int32_t step(call *c, surr_work *w)
{
    int32_t code = check_call(c, w);
    if (code != SURR_OK) return code;
    if (atomic_flag_test_and_set_explicit(&w->busy, memory_order_acquire))
        return surr_fail(SURR_E_BUSY, "this work is in use by another thread: give each thread its own");
    fp_state host = fp_enter();
    c->dt *= c->plan->time;
    code = advance(c, w);
    fp_leave(host);
    atomic_flag_clear_explicit(&w->busy, memory_order_release);
    return code;
}

int32_t surr_step(const surr_plan *p, surr_work *w, int64_t n_cell, double dt, void *const *base, const int64_t *stride,
                  int32_t dtype, const void *index, uint8_t *status, int64_t *stat)
{
    if (!base) return surr_fail(SURR_E_ARG, "base is NULL: give an array with one pointer per slot");
    call c = {.plan = p,
              .n_cell = n_cell,
              .dt = dt,
              .base = base,
              .stride = stride,
              .dtype = dtype,
              .index = index,
              .status = status,
              .stat = stat};
    return step(&c, w);
}

int32_t surr_step_block(const surr_plan *p, surr_work *w, int64_t n_cell, double dt, double *q, int64_t cell_stride,
                        int64_t slot_stride, const void *index, uint8_t *status, int64_t *stat)
{
    call c = {.plan = p,
              .n_cell = n_cell,
              .dt = dt,
              .block = (char *)q,
              .cell_stride = cell_stride,
              .slot_stride = slot_stride,
              .dtype = SURR_F64,
              .index = index,
              .status = status,
              .stat = stat};
    return step(&c, w);
}

int32_t surr_step_cell(const surr_plan *p, surr_work *w, double dt, double *q, int32_t *status)
{
    uint8_t byte = 0;
    int32_t code = surr_step_block(p, w, 1, dt, q, 1, 1, NULL, &byte, NULL);
    if (status && (code >= 0 || code == SURR_E_CELLS)) *status = byte;
    return code;
}
