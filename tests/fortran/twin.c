/* The C side of test_fortran.f90: what C thinks of sizes and constants, and the same run through the C interface. */
#include "surrogate.h"

#include <string.h>

/* Bytes of the i-th type that crosses the boundary. */
int32_t twin_size(int32_t i)
{
    const int32_t sizes[] = {sizeof(int32_t), sizeof(int64_t), sizeof(double),       sizeof(float),
                             sizeof(uint8_t), sizeof(void *),  sizeof(surr_model *), sizeof(int32_t (*)(void))};
    return i >= 0 && i < (int32_t)(sizeof sizes / sizeof sizes[0]) ? sizes[i] : -1;
}

/* n cells q[c*3 + k] of the toy model, advanced by surr_step_block. */
int32_t twin_step(const char *path, int64_t n, double dt, double *q, uint8_t *status, int64_t *stat)
{
    static const char *const names[] = {"A", "B", "T"};
    surr_model *model = NULL;
    surr_plan *plan = NULL;
    surr_work *work = NULL;
    int32_t code = surr_model_open(path, -1, &model);
    if (code == SURR_OK) code = surr_plan_create(model, &plan);
    for (int k = 0; k < 3 && code == SURR_OK; k++)
        code = surr_plan_field(plan, names[k], -1, k < 2 ? SURR_Q_MASS_DENSITY : SURR_Q_EINT_MASS, 1.0, 0, NULL);
    if (code == SURR_OK) code = surr_plan_units(plan, 1e5, 1e-24, 1e2);
    if (code == SURR_OK) code = surr_plan_set_d(plan, "rtol", -1, 1e-2);
    if (code == SURR_OK) code = surr_plan_commit(plan);
    if (code == SURR_OK) code = surr_work_create(plan, n, &work);
    if (code == SURR_OK) code = surr_step_block(plan, work, n, dt, q, 3, 1, NULL, status, stat);
    surr_work_free(work);
    surr_plan_free(plan);
    surr_model_close(model);
    return code;
}
