/* CVODE (BDF, Newton, given Jacobian) on a generated mechanism, with its dense solver or with KLU. See driver.h.
 *
 * Hindmarsh et al. 2005, doi:10.1145/1089014.1089020. */
#include "driver.h"

#include <cvode/cvode.h>
#include <nvector/nvector_serial.h>
#include <sunlinsol/sunlinsol_dense.h>
#include <sunmatrix/sunmatrix_dense.h>
#ifdef WITH_KLU
#include <sunlinsol/sunlinsol_klu.h>
#include <sunmatrix/sunmatrix_sparse.h>
#endif

/* task->method[0] */
enum { METHOD_DENSE, METHOD_KLU };

static void *memory;
static SUNContext context;
static N_Vector state, tolerances;
static SUNMatrix matrix;
static SUNLinearSolver solver;

static int call_rhs(realtype t, N_Vector y, N_Vector f, void *user)
{
    (void)user;
    evaluate_rhs(t, N_VGetArrayPointer(y), N_VGetArrayPointer(f));
    return 0;
}

static int fill_dense(realtype t, N_Vector y, N_Vector f, SUNMatrix jacobian, void *user, N_Vector a, N_Vector b,
                      N_Vector c)
{
    double entries[N_JAC];
    (void)f, (void)user, (void)a, (void)b, (void)c;
    evaluate_jacobian(t, N_VGetArrayPointer(y), entries);
    double *data = SUNDenseMatrix_Data(jacobian);
    for (int k = 0; k < N_JAC; k++) data[jac_row[k] + jac_col[k] * N_STATE] = entries[k];
    return 0;
}

#ifdef WITH_KLU
static int fill_sparse(realtype t, N_Vector y, N_Vector f, SUNMatrix jacobian, void *user, N_Vector a, N_Vector b,
                       N_Vector c)
{
    double entries[N_JAC];
    (void)f, (void)user, (void)a, (void)b, (void)c;
    evaluate_jacobian(t, N_VGetArrayPointer(y), entries);
    double *data = SUNSparseMatrix_Data(jacobian);
    sunindextype *start = SUNSparseMatrix_IndexPointers(jacobian), *row = SUNSparseMatrix_IndexValues(jacobian);
    for (int j = 0; j <= N_STATE; j++) start[j] = column_start[j];
    for (int k = 0; k < N_JAC; k++) {
        row[k] = column_row[k];
        data[k] = entries[column_entry[k]];
    }
    return 0;
}
#endif

static void ignore_message(int code, const char *module, const char *function, char *message, void *user)
{
    (void)code, (void)module, (void)function, (void)message, (void)user;
}

static void free_all(void)
{
    if (memory) CVodeFree(&memory);
    if (solver) SUNLinSolFree(solver);
    if (matrix) SUNMatDestroy(matrix);
    if (state) N_VDestroy(state);
    if (tolerances) N_VDestroy(tolerances);
    memory = NULL, solver = NULL, matrix = NULL, state = NULL, tolerances = NULL;
}

static int make_linear_solver(const baseline_task *task)
{
    CVLsJacFn fill = fill_dense;
    if (task->method[0] == METHOD_DENSE) {
        matrix = SUNDenseMatrix(N_STATE, N_STATE, context);
        solver = SUNLinSol_Dense(state, matrix, context);
    } else {
#ifdef WITH_KLU
        fill = fill_sparse;
        matrix = SUNSparseMatrix(N_STATE, N_STATE, N_JAC, CSC_MAT, context);
        solver = SUNLinSol_KLU(state, matrix, context);
#else
        return -1;
#endif
    }
    return CVodeSetLinearSolver(memory, solver, matrix) || CVodeSetJacFn(memory, fill);
}

/* One memory block, re-initialised for every cell: the cheapest way CVODE offers. */
static int prepare(const baseline_task *task)
{
    free_all();
    if (!context && SUNContext_Create(NULL, &context)) return -1;
    state = N_VNew_Serial(N_STATE, context);
    tolerances = N_VNew_Serial(N_STATE, context);
    memory = CVodeCreate(CV_BDF, context);
    if (!state || !tolerances || !memory) return -1;
    N_VConst(0, state);
    N_VConst(1, tolerances);
    return CVodeInit(memory, call_rhs, 0, state) || CVodeSetErrHandlerFn(memory, ignore_message, NULL) ||
           CVodeSVtolerances(memory, task->rtol, tolerances) || CVodeSetMaxHnilWarns(memory, -1) ||
           make_linear_solver(task);
}

static int set_tolerances(const baseline_task *task, const double *atol)
{
    if (!task->is_vector_atol) return CVodeSStolerances(memory, task->rtol, *atol);
    memcpy(N_VGetArrayPointer(tolerances), atol, sizeof(double) * N_STATE);
    return CVodeSVtolerances(memory, task->rtol, tolerances);
}

static void integrate(const baseline_task *task, double *y, double dt, const double *atol, int64_t *count)
{
    realtype t = 0;
    int flag = set_tolerances(task, atol);
    memcpy(N_VGetArrayPointer(state), y, sizeof(double) * N_STATE);
    for (int restart = 0; flag >= 0; restart++) {
        long steps = 0, jacobians = 0;
        flag = CVodeReInit(memory, t, state) || CVodeSetMaxNumSteps(memory, task->max_steps - count[COUNT_STEPS])
                   ? CV_ILL_INPUT
                   : CVode(memory, dt, state, &t, CV_NORMAL);
        CVodeGetNumSteps(memory, &steps);
        CVodeGetNumJacEvals(memory, &jacobians);
        count[COUNT_STEPS] += steps;
        count[COUNT_JACOBIAN] += jacobians;
        count[COUNT_RESTARTS] = restart;
        const int is_broken = flag == CV_ERR_FAILURE || flag == CV_CONV_FAILURE;
        if (!is_broken || restart == MAX_RESTARTS || count[COUNT_STEPS] >= task->max_steps) break;
        flag = 0;
    }
    count[COUNT_STATUS] = flag < 0 ? flag : 0;
    memcpy(y, N_VGetArrayPointer(state), sizeof(double) * N_STATE);
}
