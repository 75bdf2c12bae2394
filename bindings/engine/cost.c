/* What a waiting cell will cost: what the gauge of the net expects (the least where there is none, or the cell is
 * outside its domain) times what similar cells have needed before, over what was expected of them.
 *
 * Work is counted in attempts, each two, but one for a cell that is done by the solver's quick first attempt, which
 * takes half as long. So counted it is proportional to time, to 15 %, and no clock is needed. A solver of the host's
 * counts no attempts: its calls are timed, and microseconds are its work. */
#include "bits.h"
#include "error.h"
#include "work.h"

#include "surrogate_balance.h"

/* Work of a cell of which nothing is known: nothing is lost by a wrong guess that is the same for all. */
#define UNKNOWN 10.0

/* Powers of 2^shift. */
static uint64_t magnitude(double x, int shift) { return (bits_of(x) >> (51 + shift)) & 0xfff; }

/* Cells are similar if they wait for the same reason, at the same temperature to a factor of two, and of the same
 * density and time step to a factor of four. Systems without these: the same in their first variables. Bins are drawn
 * by a hash; two kinds of cells in one bin share their mean. */
uint16_t cost_bin(const surr_model_desc *d, const double *y, double dt, uint8_t reason)
{
    double total = 0.0, temperature = 0.0;
    for (int32_t k = 0; k < d->n_state; k++) {
        if (d->variables[k].role == SURR_ROLE_SPECIES) total += y[k];
        if (d->variables[k].role == SURR_ROLE_TEMPERATURE) temperature = y[k];
    }
    if (total == 0.0) total = y[0];
    if (temperature == 0.0) temperature = y[d->n_state > 1];
    uint64_t h = magnitude(temperature, 1) << 36 | magnitude(total, 2) << 24 | magnitude(dt, 2) << 12 | reason;
    h *= 0x9e3779b97f4a7c15u; /* 2^64 over the golden ratio (Knuth, The Art of Computer Programming 3, 6.4) */
    return (uint16_t)(h >> 54);
}

/* The ratio of this flush and what was known, half and half. */
static void average(double *known, double sum, double n)
{
    if (n > 0.0) *known = *known > 0.0 ? 0.5 * (*known + sum / n) : sum / n;
}

static double work_of(double attempts) { return attempts < 1.5 ? 1.0 : 2.0 * attempts; }

double work_spent(int32_t attempts) { return attempts > 0 ? work_of(attempts) : 0.0; }

static double expected(const queue *q, int64_t i) { return work_of(q->expected[i]); }

static double cost_of(const queue *q, int64_t i)
{
    const double in_bin = q->costs.bin[q->bin[i]], in_reason = q->costs.reason[q->reason[i]];
    const double ratio = in_bin > 0.0 ? in_bin : in_reason > 0.0 ? in_reason : q->expected[i] < 0.0f ? UNKNOWN : 1.0;
    return ratio * expected(q, i);
}

/* Notes what n cells, those of the list or from the first on, have taken in one call of the solver. The time of the
 * host's is shared out in proportion to what was expected. */
void cost_book(const surr_plan *p, queue *q, const int64_t *which, int64_t first, int64_t n, double seconds)
{
    const int is_timed = p->fallback == FALLBACK_HOST;
    double sum = 0.0;
    for (int64_t k = 0; k < n && is_timed; k++) sum += cost_of(q, which ? which[k] : first + k);
    for (int64_t k = 0; k < n; k++) {
        const int64_t i = which ? which[k] : first + k;
        q->spent[i] = (float)(is_timed ? 1e6 * seconds * cost_of(q, i) / sum : work_spent(q->attempts[i]));
    }
}

/* Called before the queue forgets its cells. */
void cost_learn(queue *q)
{
    double sum[COST_BINS] = {0.0}, n[COST_BINS] = {0.0}, sum_reason[N_REASON] = {0.0}, n_reason[N_REASON] = {0.0};
    q->work = 0.0;
    for (int64_t i = 0; i < q->n; i++) {
        if (!(q->spent[i] > 0.0f)) continue;
        q->work += q->spent[i];
        sum[q->bin[i]] += q->spent[i];
        n[q->bin[i]] += expected(q, i);
        sum_reason[q->reason[i]] += q->spent[i];
        n_reason[q->reason[i]] += expected(q, i);
    }
    for (int b = 0; b < COST_BINS; b++) average(&q->costs.bin[b], sum[b], n[b]);
    for (int r = 0; r < N_REASON; r++) average(&q->costs.reason[r], sum_reason[r], n_reason[r]);
}

int32_t surr_queue_costs(const surr_work *w, double *cost)
{
    if (!w || (w->queue.n > 0 && !cost)) return surr_fail(SURR_E_ARG, "work or cost is NULL");
    for (int64_t i = 0; i < w->queue.n; i++) {
        const double c = cost_of(&w->queue, i);
        cost[i] = c > 1.0 ? c : 1.0;
    }
    return SURR_OK;
}

int32_t surr_queue_work(const surr_work *w, double *spent)
{
    if (!w || !spent) return surr_fail(SURR_E_ARG, "work or spent is NULL");
    *spent = w->queue.work;
    return SURR_OK;
}
