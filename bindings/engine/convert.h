/* One cell between the host's quantities and the model's, and whether it makes sense. */
#ifndef SURR_CONVERT_H
#define SURR_CONVERT_H
#include "plan.h"

/* From what the host has to number densities and temperature, in place. 0: the densities make no sense. */
int convert_in(const surr_plan *p, double *y, double *rho, double nh, double *form);
/* Back to the host's quantities, in place. 0: a result that the host's type cannot hold. */
int convert_out(const surr_plan *p, double *y, double rho, double form, int32_t dtype);
int is_meaningful(const surr_plan *p, const double *y, const double *params, double dt);
double attempt_cost(const surr_plan *p); /* what a step attempt is in the host's cost field */

#endif
