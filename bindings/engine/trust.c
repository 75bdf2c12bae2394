/* The audit and its controller.
 *
 * A net that is right in 99 % of the cells it takes is so on the populations of its calibration. In a run the audit
 * sees what it is worth there, and moves the limit of the expected error below which it is believed, by the rule of
 * adaptive conformal inference (Gibbs & Candes 2021, NeurIPS 34, 1660): with each audited cell that was wrong the limit
 * falls by STEP decades, with each that was right it rises by STEP (1 - coverage) / coverage, up to what the
 * calibration allows. So the share of wrong ones is at most 1 - coverage + decades/(STEP n) after n audited cells,
 * whatever the cells are. Where none is taken any more, those just beyond the limit, which the solver takes anyway,
 * tell whether it may rise; where there are none either, but some further on, it rises by STEP with each call, until
 * there are. */
#include "trust.h"
#include "bits.h"
#include "draw.h"
#include "error.h"
#include "work.h"

#include <math.h>
#include <string.h>

/* Bins of the audit. */
#define ERROR_MIN       1e-8
#define BINS_PER_DECADE 20.0
/* Species below this fraction of the total count neither for labels nor for the audit. */
#define TRACE 1e-10
/* Decades by which a wrong cell lowers the limit, and by which it may be lowered at most. */
#define STEP         0.05
#define MOST_DECADES 4.0

int audit_draws(const surr_plan *p, const double *y, double dt)
{
    return is_drawn(DRAW_AUDIT, p->audit, p->model->desc->n_state, y, dt);
}

double audit_compare(const surr_model_desc *d, const double *predicted, const double *solved, int64_t *count)
{
    double total = 0.0, worst = 0.0;
    for (int32_t k = 0; k < d->n_state; k++)
        if (d->variables[k].role == SURR_ROLE_SPECIES) total += solved[k];
    for (int32_t k = 0; k < d->n_state; k++) {
        if (solved[k] == 0.0 || (d->variables[k].role == SURR_ROLE_SPECIES && solved[k] < TRACE * total)) continue;
        const double error = fabs(predicted[k] / solved[k] - 1.0);
        const double place = error > ERROR_MIN ? BINS_PER_DECADE * log10(error / ERROR_MIN) : 0.0;
        if (!(error <= worst)) worst = error;
        if (count) count[place < SURR_NAUDIT - 1 ? (int)place : SURR_NAUDIT - 1]++;
    }
    return worst;
}

int32_t surr_audit_quantile(const int64_t *count, double q, double *error)
{
    if (!count || !error) return surr_fail(SURR_E_ARG, "count or error is NULL");
    if (!is_finite(q) || q < 0.0 || q > 1.0) return surr_fail(SURR_E_ARG, "the quantile is %g: give 0..1", q);
    int64_t total = 0, below = 0;
    int b = -1;
    for (int i = 0; i < SURR_NAUDIT; i++) total += count[i];
    while (b < SURR_NAUDIT - 1 && (b < 0 || (double)below < q * (double)total)) below += count[++b];
    *error = total ? ERROR_MIN * pow(10.0, (b + 1) / BINS_PER_DECADE) : 0.0;
    return SURR_OK;
}

double trust_after(double trust, double coverage, const int64_t learned[N_OUTCOME])
{
    const int first = learned[TAKEN] > 0 ? TAKEN : NEAR;
    const double wrong = (double)learned[first + 1], right = (double)learned[first] - wrong;
    double decades = -log10(trust) + STEP * (wrong - right * (1.0 - coverage) / coverage);
    if (learned[TAKEN] == 0 && learned[NEAR] == 0 && learned[FAR] > 0) decades -= STEP; /* back to where cells are */
    return pow(10.0, -fmin(fmax(decades, 0.0), MOST_DECADES));
}

void work_learn(surr_work *w)
{
    if (!w->plan->control) return;
    w->trust = trust_after(w->trust, w->plan->coverage, w->learned);
    memset(w->learned, 0, sizeof w->learned);
}

/* ---- what a host may ask and say --------------------------------------------------------------------------------- */

int32_t surr_work_trust(const surr_work *w, double *trust)
{
    if (!w || !trust) return surr_fail(SURR_E_ARG, "work or trust is NULL");
    *trust = w->trust;
    return SURR_OK;
}

int32_t surr_work_set_trust(surr_work *w, double trust)
{
    if (!w) return surr_fail(SURR_E_ARG, "work is NULL: create one first, one per thread");
    if (!is_positive(trust) || trust > 1.0)
        return surr_fail(SURR_E_ARG, "the trust is %g: give what surr_work_trust has said, above 0 and up to 1", trust);
    w->trust = trust;
    return SURR_OK;
}

int32_t surr_work_outcomes(const surr_work *w, int64_t *count)
{
    if (!w || !count) return surr_fail(SURR_E_ARG, "work or count is NULL");
    memcpy(count, w->learned, sizeof w->learned);
    return SURR_OK;
}

int32_t surr_work_learn(surr_work *w, const int64_t *count)
{
    if (!w || !count) return surr_fail(SURR_E_ARG, "work or count is NULL");
    for (int i = 0; i < N_OUTCOME; i++)
        if (count[i] < 0) return surr_fail(SURR_E_ARG, "count[%d] is %lld: give 0 or more", i, (long long)count[i]);
    for (int i = TAKEN; i <= NEAR; i += NEAR)
        if (count[i + 1] > count[i])
            return surr_fail(SURR_E_ARG, "%lld of %lld audited cells were wrong: give what surr_work_outcomes counts",
                             (long long)count[i + 1], (long long)count[i]);
    w->trust = trust_after(w->trust, w->plan->coverage, count);
    memset(w->learned, 0, sizeof w->learned);
    return SURR_OK;
}
