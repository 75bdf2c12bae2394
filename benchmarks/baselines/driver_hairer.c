/* RODAS and RADAU5 on a generated mechanism, with their dense linear algebra. See driver.h.
 *
 * Hairer & Wanner 1996, Solving Ordinary Differential Equations II, doi:10.1007/978-3-642-05221-7. */
#include "driver.h"

/* task->method[0] */
enum { METHOD_RODAS, METHOD_RADAU5 };

/* Positions in the integer work array (the manuals' numbering less one). */
enum { IWORK_RODAS_MAX_STEPS = 0, IWORK_RADAU_MAX_STEPS = 1, IWORK_JACOBIANS = 14, IWORK_STEPS = 15 };

#define REAL_LENGTH    (4 * N_STATE * N_STATE + 14 * N_STATE + 20)
#define INTEGER_LENGTH (3 * N_STATE + 20)

typedef void hairer_rhs(const int32_t *n, const double *t, const double *y, double *f, double *rpar, int32_t *ipar);
typedef void hairer_jacobian(const int32_t *n, const double *t, const double *y, double *matrix, const int32_t *n_rows,
                             double *rpar, int32_t *ipar);
typedef void hairer_unused(void);

void rodas_(const int32_t *n, hairer_rhs *rhs, const int32_t *has_time, double *t, double *y, const double *t_end,
            double *h, const double *rtol, const double *atol, const int32_t *itol, hairer_jacobian *jacobian,
            const int32_t *ijac, const int32_t *mljac, const int32_t *mujac, hairer_unused *dfx, const int32_t *idfx,
            hairer_unused *mas, const int32_t *imas, const int32_t *mlmas, const int32_t *mumas, hairer_unused *solout,
            const int32_t *iout, double *work, const int32_t *lwork, int32_t *iwork, const int32_t *liwork,
            double *rpar, int32_t *ipar, int32_t *idid);
void radau5_(const int32_t *n, hairer_rhs *rhs, double *t, double *y, const double *t_end, double *h,
             const double *rtol, const double *atol, const int32_t *itol, hairer_jacobian *jacobian,
             const int32_t *ijac, const int32_t *mljac, const int32_t *mujac, hairer_unused *mas, const int32_t *imas,
             const int32_t *mlmas, const int32_t *mumas, hairer_unused *solout, const int32_t *iout, double *work,
             const int32_t *lwork, int32_t *iwork, const int32_t *liwork, double *rpar, int32_t *ipar, int32_t *idid);

static void call_rhs(const int32_t *n, const double *t, const double *y, double *f, double *rpar, int32_t *ipar)
{
    (void)n, (void)rpar, (void)ipar;
    evaluate_rhs(*t, y, f);
}

static void fill_matrix(const int32_t *n, const double *t, const double *y, double *matrix, const int32_t *n_rows,
                        double *rpar, int32_t *ipar)
{
    double entries[N_JAC];
    (void)rpar, (void)ipar;
    evaluate_jacobian(*t, y, entries);
    for (int j = 0; j < *n; j++) memset(matrix + j * *n_rows, 0, sizeof(double) * (size_t)*n);
    for (int k = 0; k < N_JAC; k++) matrix[jac_row[k] + jac_col[k] * *n_rows] = entries[k];
}

static void unused(void) {}

static int prepare(const baseline_task *task)
{
    (void)task;
    return 0;
}

/* The first guess of Hairer, Norsett & Wanner (Solving Ordinary Differential Equations I, section II.4): explicit Euler
 * changes the state by a hundredth. The codes' own default, 1e-6, knows nothing of our units. */
static double first_step(const double *y, double dt, double rtol, const double *atol)
{
    double f[N_STATE], size = 0, speed = 0;
    evaluate_rhs(0, y, f);
    for (int i = 0; i < N_STATE; i++) {
        const double scale = atol[i] + rtol * fabs(y[i]);
        size += y[i] / scale * (y[i] / scale);
        speed += f[i] / scale * (f[i] / scale);
    }
    const double h = 0.01 * sqrt(size / speed);
    return h < dt ? h : dt;
}

static void integrate(const baseline_task *task, double *y, double dt, const double *atol, int64_t *count)
{
    const int32_t n = N_STATE, itol = 1, yes = 1, no = 0, full = N_STATE, lwork = REAL_LENGTH, liwork = INTEGER_LENGTH;
    const int32_t has_time = HAS_TIME;
    double work[REAL_LENGTH] = {0}, rtols[N_STATE], atols[N_STATE], t = 0, rpar = 0;
    int32_t iwork[INTEGER_LENGTH] = {0}, ipar = 0, idid = 0;
    for (int i = 0; i < N_STATE; i++) {
        rtols[i] = task->rtol;
        atols[i] = task->is_vector_atol ? atol[i] : *atol;
    }
    double h = first_step(y, dt, task->rtol, atols);
    const int is_rodas = task->method[0] == METHOD_RODAS;
    iwork[is_rodas ? IWORK_RODAS_MAX_STEPS : IWORK_RADAU_MAX_STEPS] = (int32_t)task->max_steps;
    if (is_rodas)
        rodas_(&n, call_rhs, &has_time, &t, y, &dt, &h, rtols, atols, &itol, fill_matrix, &yes, &full, &full, unused,
               &no, unused, &no, &full, &full, unused, &no, work, &lwork, iwork, &liwork, &rpar, &ipar, &idid);
    else
        radau5_(&n, call_rhs, &t, y, &dt, &h, rtols, atols, &itol, fill_matrix, &yes, &full, &full, unused, &no, &full,
                &full, unused, &no, work, &lwork, iwork, &liwork, &rpar, &ipar, &idid);
    count[COUNT_STATUS] = idid == 1 ? 0 : idid;
    count[COUNT_STEPS] = iwork[IWORK_STEPS];
    count[COUNT_JACOBIAN] = iwork[IWORK_JACOBIANS];
}
