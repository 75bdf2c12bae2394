/* Memory for one block of cells: arrays side by side in one piece, each from a cache line of its own. */
#include "scratch.h"
#include "bits.h"

#include <math.h>
#include <stdlib.h>

scratch *scratch_create(const surr_plan *p, int64_t capacity)
{
    const surr_model_desc *d = p->model->desc;
    size_t n = ((size_t)capacity + 7) & ~(size_t)7; /* every array starts on a cache line of its own */
    size_t net = p->use_net;                        /* room for predictions and for the cells packed for the solver */
    size_t doubles = (1 + net) * ((size_t)d->n_state + (size_t)d->n_param) + 7 + 2 * net;
    size_t kept = p->harvest > 0.0 ? HARVEST * (1 + (size_t)d->n_state + (size_t)d->n_param) : 0;
    size_t header = (sizeof(scratch) + 63) & ~(size_t)63;
    size_t bytes = header +
                   n * (doubles * sizeof(double) + sizeof(int64_t) + (3 + 3 * net) * sizeof(int32_t) + 2 + net) +
                   (size_t)count_reasons(d) * sizeof(int64_t) + kept * sizeof(double);
    scratch *s = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
    if (!s) return NULL;
    memset(s, 0, bytes);
    s->capacity = capacity;
    double *next = (double *)((char *)s + header);
    s->y = next, next += n * (size_t)d->n_state;
    s->params = next, next += n * (size_t)d->n_param;
    s->dt = next, next += n;
    s->max_step = next, next += n;
    s->rho = next, next += n;
    s->nh = next, next += n;
    s->form = next, next += n;
    s->mask = next, next += n;
    s->cost = next, next += n;
    s->end = next, next += net * n * (size_t)d->n_state;
    s->packed_params = next, next += net * n * (size_t)d->n_param;
    s->packed_dt = next, next += net * n;
    s->packed_max_step = next, next += net * n;
    if (kept) {
        s->kept.y = next, next += HARVEST * (size_t)d->n_state;
        s->kept.params = next, next += HARVEST * (size_t)d->n_param;
        s->kept.dt = next, next += HARVEST;
    }
    s->n_reason = count_reasons(d);
    s->outside = (int64_t *)next;
    s->position = s->outside + s->n_reason;
    s->cell = (int32_t *)(s->position + n);
    s->attempts = s->cell + n;
    s->todo = s->attempts + n;
    s->tries = s->todo + n;
    s->error = (float *)(s->tries + net * n);
    s->expected = s->error + net * n;
    s->state = (uint8_t *)(s->expected + net * n);
    s->status = s->state + n;
    s->outcome = s->status + n;
    const double max_step = is_positive(p->max_step) ? p->max_step * p->time : HUGE_VAL;
    for (size_t c = 0; c < n; c++) s->max_step[c] = max_step;
    for (size_t c = 0; c < n; c++) /* columns without a field keep these values for ever */
        for (int32_t k = 0; k < d->n_param; k++) s->params[c * (size_t)d->n_param + (size_t)k] = d->parameters[k].value;
    return s;
}

void scratch_reset(scratch *s)
{
    memset(s->stat, 0, sizeof s->stat);
    memset(s->seconds, 0, sizeof s->seconds);
    memset(s->audit, 0, sizeof s->audit);
    memset(s->learned, 0, sizeof s->learned);
    memset(s->outside, 0, (size_t)s->n_reason * sizeof *s->outside);
    s->n_flagged = 0;
    s->m = s->n_todo = 0;
}

void scratch_count(scratch *s)
{
    for (int32_t i = 0; i < s->n; i++) {
        if (s->status[i] == SURR_CELL_QUEUED) continue;
        s->stat[SURR_STAT_CELLS]++;
        s->stat[s->status[i] < SURR_CELL_MASKED ? SURR_STAT_NET + s->status[i] : SURR_STAT_UNTOUCHED]++;
        s->n_flagged += s->status[i] > SURR_CELL_MASKED;
    }
    for (int32_t i = 0; i < s->m; i++) s->stat[SURR_STAT_STEPS] += s->attempts[i];
}
