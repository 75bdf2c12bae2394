/* The solver of the model, or of the host. */
#ifndef SURR_SOLVE_H
#define SURR_SOLVE_H
#include "fpenv.h"
#include "plan.h"

/* Like solve of surr_kernels. `host`: the floating-point environment in which the host's solver runs. */
void solve_cells(const surr_plan *p, fp_state host, int64_t n, double *y, const double *dt, const double *max_step,
                 const double *params, uint8_t *status, int32_t *attempts);

#endif
