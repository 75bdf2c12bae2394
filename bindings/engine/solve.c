/* The solver of the model or of the host, for the cells that the net does not take. */
#include "solve.h"
#include "convert.h"

_Static_assert(SURR_SOLVED == SURR_CELL_SOLVER && SURR_GIVEN_UP == SURR_CELL_FAILED && SURR_STUCK == SURR_CELL_STALLED,
               "model_abi.h and surrogate_codes.def name the same statuses");

/* The host's solver runs in the host's floating-point environment, and its results are believed only where they make
 * sense: a cell that comes back negative, infinite or out of range has failed. */
void solve_cells(const surr_plan *p, fp_state host, int64_t n, double *y, const double *dt, const double *max_step,
                 const double *params, uint8_t *status, int32_t *attempts)
{
    const surr_model_desc *d = p->model->desc;
    if (p->fallback != FALLBACK_HOST) {
        p->kernels->solve(p->kernels, &p->options, n, y, dt, max_step, params, status, attempts);
        return;
    }
    fp_leave(host);
    int32_t refused = n > 0 ? p->host_solver(p->host_context, n, y, dt, params) : 0;
    (void)fp_enter();
    for (int64_t c = 0; c < n; c++) {
        int good = !refused && is_meaningful(p, y + c * d->n_state, params + c * d->n_param, dt[c]);
        status[c] = good ? SURR_CELL_SOLVER : SURR_CELL_FAILED;
        attempts[c] = 0;
    }
}
