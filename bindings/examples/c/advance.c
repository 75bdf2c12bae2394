/* Interstellar gas cools: one cell, then many.
 *
 *     cc advance.c $(python -m surrogate config --cflags --libs) && ./a.out */
#include <stdio.h>
#include <stdlib.h>
#include <surrogate.h>

enum { N_STATE = 10, N_CELL = 100000 };
static const char *const names[N_STATE] = {"H", "H+", "H-", "H2", "H2+", "He", "He+", "He++", "e-", "T"};
static const double warm_gas[N_STATE] = {1.0, 1e-2, 0, 1e-3, 0, 0.10846, 0, 0, 1e-2, 8000.0}; /* [cm^-3], [K] */
static const double DT = 3.15576e12;                                                        /* [s], 1e5 years */

/* Stops on an error, passes on 0 and 1; a host would hand the message to its own error handler. */
static int check(int code)
{
    char message[1024];
    if (code >= 0) return code;
    surr_last_error(message, sizeof message);
    fprintf(stderr, "surrogate: %s\n", message);
    exit(1);
}

int main(void)
{
    surr_model *model;
    surr_plan *plan;
    surr_work *work;
    int32_t slot, status;
    int64_t stat[SURR_NSTAT];

    /* Once: which model, what we have, how accurate. */
    check(surr_abi_check(SURR_ABI_MAJOR, SURR_ABI_MINOR));
    check(surr_model_open("ism-molecular", -1, &model));
    check(surr_plan_create(model, &plan));
    for (int k = 0; k < N_STATE; k++) {
        int32_t quantity = k < N_STATE - 1 ? SURR_Q_NUMBER_DENSITY : SURR_Q_TEMPERATURE;
        check(surr_plan_field(plan, names[k], -1, quantity, 1.0, SURR_F_COMPACT, &slot));
    }
    check(surr_plan_set_d(plan, "rtol", -1, 1e-2));
    check(surr_plan_commit(plan));
    check(surr_work_create(plan, N_CELL, &work));

    /* One cell. */
    double cell[N_STATE];
    for (int k = 0; k < N_STATE; k++) cell[k] = warm_gas[k];
    check(surr_step_cell(plan, work, DT, cell, &status));
    printf("one cell: status %d, T = %.2f K, n(H2) = %.4e cm^-3\n", status, cell[N_STATE - 1], cell[3]);

    /* Many cells, one row each, from 1 to 100 times as dense. */
    double *q = malloc(sizeof(double) * N_STATE * N_CELL);
    if (!q) return 1;
    for (int c = 0; c < N_CELL; c++) {
        double density = 1.0 + 99.0 * c / N_CELL;
        for (int k = 0; k < N_STATE - 1; k++) q[c * N_STATE + k] = density * warm_gas[k];
        q[c * N_STATE + N_STATE - 1] = warm_gas[N_STATE - 1];
    }
    check(surr_step_block(plan, work, N_CELL, DT, q, N_STATE, 1, NULL, NULL, stat));
    printf("%d cells: %d advanced, %d untouched, %.1f solver steps per cell\n", N_CELL, (int)(stat[0] - stat[6]),
           (int)stat[6], (double)stat[7] / N_CELL);
    int same = q[N_STATE - 1] == cell[N_STATE - 1]; /* a cell's result depends on that cell alone */

    free(q);
    surr_work_free(work);
    surr_plan_free(plan);
    surr_model_close(model);
    return !same;
}
