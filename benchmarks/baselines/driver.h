/* What the drivers of all opponents share: the mechanism under plain-double names, the sparsity pattern by columns,
 * counters, and the loop over cells.
 *
 * Compiled once per system and opponent against the `mechanism.h` that the code generator writes, so that every
 * opponent runs the very right-hand side and Jacobian our own solver runs: as scalar C (headers in scalar/), or as
 * vectors of one lane (-DSURR_LANES=1, headers in bindings/kernel; -fno-strict-aliasing, since a vector and a double share
 * storage). */
#ifndef BASELINE_DRIVER_H
#define BASELINE_DRIVER_H
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "mechfun.h"
#include "simd.h"
#include "vecmath.h"

#include "mechanism.h"

_Static_assert(sizeof(vdouble) == sizeof(double), "compile with the headers in scalar/, or with -DSURR_LANES=1");

enum { COUNT_STATUS, COUNT_STEPS, COUNT_RHS, COUNT_JACOBIAN, COUNT_RESTARTS, N_COUNT };

/* Fresh starts granted to a cell whose integration breaks off. */
#define MAX_RESTARTS 20

/* One call of `baseline_solve`: what the cells share. */
typedef struct baseline_task {
    int32_t method[3]; /* meaning known to the driver */
    int32_t is_vector_atol;
    int64_t max_steps; /* per cell, less than 2^31 */
    double rtol;
    const double *atol; /* of cell c: atol + c*atol_stride; one value, or N_STATE values */
    int64_t atol_stride;
} baseline_task;

static vdouble mechanism_params[N_PARAM + 1];
static double time_origin; /* time at the start of the cell, for systems that depend on it */
static int64_t n_rhs_calls, n_jacobian_calls;

static inline void load_params(const double *params)
{
    for (int i = 0; i < N_PARAM; i++) mechanism_params[i] = vd_set(params[i]);
#if HAS_TIME && defined TIME_PARAM
    time_origin = TIME_PARAM < 0 ? 0 : params[TIME_PARAM < 0 ? 0 : TIME_PARAM];
#endif
}

static inline void evaluate_rhs(double t, const double *y, double *f)
{
    n_rhs_calls++;
    mechanism_rhs(vd_set(time_origin + t), (const vdouble *)y, mechanism_params, (vdouble *)f);
}

/* Non-zero entries in the order of jac_row[], jac_col[]. The rhs and df/dt that come with them are not used; where the
 * function is inlined the compiler drops them. */
static inline void evaluate_jacobian(double t, const double *y, double *entries)
{
    vdouble f[N_STATE], dfdt[N_STATE];
    n_jacobian_calls++;
    mechanism_jacobian(vd_set(time_origin + t), (const vdouble *)y, mechanism_params, f, (vdouble *)entries, dfdt);
}

/* The pattern by columns: entries column_start[j] .. column_start[j+1]-1 are (column_row[k], j), stored at
 * column_entry[k] of what evaluate_jacobian returns. Rows ascend within a column. */
static int32_t column_start[N_STATE + 1], column_row[N_JAC], column_entry[N_JAC];

static void sort_pattern_by_columns(void)
{
    int32_t n = 0;
    for (int j = 0; j < N_STATE; j++) {
        column_start[j] = n;
        for (int i = 0; i < N_STATE; i++)
            for (int k = 0; k < N_JAC; k++)
                if (jac_row[k] == i && jac_col[k] == j) {
                    column_row[n] = i;
                    column_entry[n++] = k;
                }
    }
    column_start[N_STATE] = n;
}

static inline double thread_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Each driver defines these two. Prepare what the cells of a task share (not timed; 0 if all is well), then advance one
 * cell from 0 to dt and fill its status and counts of steps, Jacobians and restarts. */
static int prepare(const baseline_task *task);
static void integrate(const baseline_task *task, double *y, double dt, const double *atol, int64_t *count);

int32_t baseline_shape(int32_t *n_param);
int32_t baseline_solve(const baseline_task *task, int64_t n_cells, double *y, const double *dt, const double *params,
                       int64_t *counts, double *seconds);

int32_t baseline_shape(int32_t *n_param)
{
    *n_param = N_PARAM;
    return N_STATE;
}

/* Advance n_cells cells in place: y[n_cells][N_STATE], dt[n_cells], params[n_cells][N_PARAM], counts[n_cells][N_COUNT].
 * seconds: CPU time of this thread in the loop over the cells. Not re-entrant. */
int32_t baseline_solve(const baseline_task *task, int64_t n_cells, double *y, const double *dt, const double *params,
                       int64_t *counts, double *seconds)
{
    sort_pattern_by_columns();
    if (prepare(task) != 0) return -1;
    memset(counts, 0, sizeof(int64_t) * N_COUNT * (size_t)n_cells);
    const double start = thread_seconds();
    for (int64_t c = 0; c < n_cells; c++) {
        int64_t *count = counts + c * N_COUNT;
        n_rhs_calls = n_jacobian_calls = 0;
        load_params(params + c * N_PARAM);
        if (dt[c] > 0) integrate(task, y + c * N_STATE, dt[c], task->atol + c * task->atol_stride, count);
        count[COUNT_RHS] = n_rhs_calls;
    }
    *seconds = thread_seconds() - start;
    return 0;
}

#endif
