/* The audit, and what it teaches: how far the net's own opinion of its errors may be trusted. */
#ifndef SURR_TRUST_H
#define SURR_TRUST_H
#include "scratch.h"

/* Cells whose expected error is up to so many times the limit tell whether the limit may be raised. */
#define ZONE 2.0

/* Whether the audit draws this cell: from its own bits, so that the draw is the same in any batch and on any rank. */
int audit_draws(const surr_plan *p, const double *y, double dt);
/* Largest relative error of a prediction among the variables that count, the solver's result taken for right; all of
 * them are counted in the bins of the audit, if there is a count. */
double audit_compare(const surr_model_desc *d, const double *predicted, const double *solved, int64_t *count);
/* The trust after what has been learned. */
double trust_after(double trust, double coverage, const int64_t learned[N_OUTCOME]);

#endif
