/* ODEPACK's DLSODES and DLSODE on a generated mechanism. See driver.h.
 *
 * Hindmarsh 1983, in Scientific Computing, p. 55; protocol "krome": Grassi et al. 2014, doi:10.1093/mnras/stu114. */
#include "driver.h"

/* task->method */
enum { METHOD_SPARSE, METHOD_FLAG, METHOD_IS_KROME };

/* Positions in ODEPACK's integer work array (its numbering less one). */
enum { IWORK_MAX_STEPS = 5, IWORK_STEPS = 10, IWORK_JACOBIANS = 12, IWORK_STRUCTURE = 30 };

/* ISTATE, in and out */
enum {
    ISTATE_FIRST = 1,
    ISTATE_DONE = 2,
    ISTATE_CHANGED = 3,
    ISTATE_STEP_LIMIT = -1,
    ISTATE_ERROR_TEST = -4,
    ISTATE_CONVERGENCE = -5
};

#define KROME_MAX_CALLS 100

/* Upper bounds of what the manual asks for, with a full LU. */
#define REAL_LENGTH    (100 + 40 * N_STATE + 8 * N_STATE * N_STATE)
#define INTEGER_LENGTH (IWORK_STRUCTURE + 64 + 2 * N_STATE + N_JAC)

typedef void lsode_rhs(const int32_t *n, const double *t, const double *y, double *f);
typedef void lsode_jacobian(const int32_t *n, const double *t, const double *y, const int32_t *ml, const int32_t *mu,
                            double *matrix, const int32_t *n_rows);
typedef void lsodes_jacobian(const int32_t *n, const double *t, const double *y, const int32_t *j, const int32_t *ia,
                             const int32_t *ja, double *column);

void dlsode_(lsode_rhs *rhs, const int32_t *n, double *y, double *t, const double *t_end, const int32_t *itol,
             const double *rtol, const double *atol, const int32_t *itask, int32_t *istate, const int32_t *iopt,
             double *rwork, const int32_t *lrw, int32_t *iwork, const int32_t *liw, lsode_jacobian *jacobian,
             const int32_t *mf);
void dlsodes_(lsode_rhs *rhs, const int32_t *n, double *y, double *t, const double *t_end, const int32_t *itol,
              const double *rtol, const double *atol, const int32_t *itask, int32_t *istate, const int32_t *iopt,
              double *rwork, const int32_t *lrw, int32_t *iwork, const int32_t *liw, lsodes_jacobian *jacobian,
              const int32_t *mf);
void xsetf_(const int32_t *is_verbose);

static double real_work[REAL_LENGTH];
static int32_t integer_work[INTEGER_LENGTH];

static void call_rhs(const int32_t *n, const double *t, const double *y, double *f)
{
    (void)n;
    evaluate_rhs(*t, y, f);
}

/* ODEPACK asks for columns 1..n in turn at one (t, y) and hands them over zeroed: all are computed with the first. */
static void fill_column(const int32_t *n, const double *t, const double *y, const int32_t *j, const int32_t *ia,
                        const int32_t *ja, double *column)
{
    static double entries[N_JAC];
    (void)n, (void)ia, (void)ja;
    if (*j == 1) evaluate_jacobian(*t, y, entries);
    for (int32_t k = column_start[*j - 1]; k < column_start[*j]; k++) column[column_row[k]] = entries[column_entry[k]];
}

static void fill_matrix(const int32_t *n, const double *t, const double *y, const int32_t *ml, const int32_t *mu,
                        double *matrix, const int32_t *n_rows)
{
    double entries[N_JAC];
    (void)n, (void)ml, (void)mu;
    evaluate_jacobian(*t, y, entries);
    for (int k = 0; k < N_JAC; k++) matrix[jac_row[k] + jac_col[k] * *n_rows] = entries[k];
}

/* The optional inputs and the structure: ODEPACK reads them at the start of a cell and leaves them alone. */
static int prepare(const baseline_task *task)
{
    const int32_t quiet = 0;
    (void)task;
    xsetf_(&quiet);
    memset(real_work, 0, sizeof real_work);
    memset(integer_work, 0, sizeof integer_work);
    int32_t *ia = integer_work + IWORK_STRUCTURE, *ja = ia + N_STATE + 1;
    for (int j = 0; j <= N_STATE; j++) ia[j] = column_start[j] + 1;
    for (int k = 0; k < N_JAC; k++) ja[k] = column_row[k] + 1;
    return 0;
}

/* One call of the library from *t towards t_end; returns the new ISTATE. */
static int32_t call_library(const baseline_task *task, double *y, double *t, double t_end, const double *rtol,
                            const double *atol, int32_t itol, int32_t istate)
{
    const int32_t n = N_STATE, itask = 1, lrw = REAL_LENGTH, liw = INTEGER_LENGTH;
    const int32_t iopt = task->method[METHOD_IS_KROME] ? 0 : 1, mf = task->method[METHOD_FLAG];
    if (task->method[METHOD_SPARSE])
        dlsodes_(call_rhs, &n, y, t, &t_end, &itol, rtol, atol, &itask, &istate, &iopt, real_work, &lrw, integer_work,
                 &liw, fill_column, &mf);
    else
        dlsode_(call_rhs, &n, y, t, &t_end, &itol, rtol, atol, &itask, &istate, &iopt, real_work, &lrw, integer_work,
                &liw, fill_matrix, &mf);
    return istate;
}

/* With which ISTATE to call again after a call that ended with `istate`, or 0 if the cell has arrived or is given up.
 * KROME: calls of 500 steps, each a restart at first order; -4 and -5 are taken for a wrong sparsity pattern.
 * Otherwise: a fresh start, pattern included, from where the integration broke off. */
static int32_t next_istate(int is_krome, int32_t istate)
{
    const int is_broken = istate == ISTATE_ERROR_TEST || istate == ISTATE_CONVERGENCE;
    if (is_krome) return is_broken ? ISTATE_CHANGED : istate == ISTATE_STEP_LIMIT ? ISTATE_FIRST : 0;
    return is_broken ? ISTATE_FIRST : 0;
}

static void integrate(const baseline_task *task, double *y, double dt, const double *atol, int64_t *count)
{
    const int is_krome = task->method[METHOD_IS_KROME];
    const int32_t itol = is_krome ? 4 : task->is_vector_atol ? 2 : 1;
    const int max_calls = is_krome ? KROME_MAX_CALLS : 1 + MAX_RESTARTS;
    double rtols[N_STATE], atols[N_STATE], t = 0;
    for (int i = 0; i < N_STATE; i++) {
        rtols[i] = task->rtol;
        atols[i] = task->is_vector_atol ? atol[i] : *atol;
    }
    int32_t istate = ISTATE_FIRST;
    integer_work[IWORK_STEPS] = integer_work[IWORK_JACOBIANS] = 0;
    for (int call = 1;; call++) {
        const int is_fresh = istate == ISTATE_FIRST;
        const int64_t steps_before = is_fresh ? 0 : integer_work[IWORK_STEPS];
        const int64_t jacobians_before = is_fresh ? 0 : integer_work[IWORK_JACOBIANS];
        integer_work[IWORK_MAX_STEPS] = (int32_t)(task->max_steps - count[COUNT_STEPS]);
        istate = call_library(task, y, &t, dt, rtols, atols, itol, istate);
        count[COUNT_STEPS] += integer_work[IWORK_STEPS] - steps_before;
        count[COUNT_JACOBIAN] += integer_work[IWORK_JACOBIANS] - jacobians_before;
        count[COUNT_RESTARTS] = call - 1;
        count[COUNT_STATUS] = istate == ISTATE_DONE ? 0 : istate;
        istate = next_istate(is_krome, istate);
        if (istate == 0 || call == max_calls || (!is_krome && count[COUNT_STEPS] >= task->max_steps)) break;
    }
}
