/* Interstellar gas cools: one cell, then many.
 *
 *     cc advance.c $(python -m surrogate config --cflags --libs) && ./a.out */
#include <stdio.h>
#include <stdlib.h>
#include <surrogate.h>
#include <time.h>

enum { N_STATE = 10, N_CELL = 100000 };
static const char *const names[N_STATE] = {"H", "H+", "H-", "H2", "H2+", "He", "He+", "He++", "e-", "T"};
static const double warm_gas[N_STATE] = {0.9,     0.1,  1e-6, 1e-3,     1e-6, /* [cm^-3], neutral, 70 % H and 30 % He */
                                         0.10738, 1e-6, 1e-6, 0.100003, 8000.0}; /* [K] */
static const double DT = 3.15576e12;                                             /* [s], 1e5 years */
static double q[N_CELL][N_STATE];

/* Stops on an error, passes on 0 and 1; a host would hand the message to its own error handler. */
static int check(int code)
{
    char message[1024];
    if (code >= 0) return code;
    surr_last_error(message, sizeof message);
    fprintf(stderr, "surrogate: %s\n", message);
    exit(1);
}

static double microseconds(clock_t since) { return 1e6 * (double)(clock() - since) / CLOCKS_PER_SEC; }

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
    check(surr_plan_set_d(plan, "rtol", -1, 0.1));
    check(surr_plan_commit(plan));
    check(surr_work_create(plan, N_CELL, &work));

    /* Many cells, one row each, from 1 to 100 times as dense; the first of them also alone. */
    double cell[N_STATE];
    for (int c = 0; c < N_CELL; c++)
        for (int k = 0; k < N_STATE; k++) q[c][k] = warm_gas[k] * (k < N_STATE - 1 ? 1.0 + 99.0 * c / N_CELL : 1.0);
    for (int k = 0; k < N_STATE; k++) cell[k] = q[0][k];

    clock_t start = clock();
    check(surr_step_cell(plan, work, DT, cell, &status));
    printf("one cell: status %d, T = %.2f K, n(H2) = %.4e cm^-3, %.0f us\n", status, cell[N_STATE - 1], cell[3],
           microseconds(start));
    start = clock();
    check(surr_step_block(plan, work, N_CELL, DT, q[0], N_STATE, 1, NULL, NULL, stat));
    double each = microseconds(start) / N_CELL;
    int n_net = (int)stat[SURR_STAT_NET], n_untouched = (int)stat[SURR_STAT_UNTOUCHED];
    int n_solved = (int)stat[SURR_STAT_CELLS] - n_net - n_untouched;
    printf("%d cells: %.2f us/cell; %d by the net, %d solved in %.1f steps each, %d untouched\n", N_CELL, each, n_net,
           n_solved, (double)stat[SURR_STAT_STEPS] / (double)(n_solved + !n_solved), n_untouched);

    surr_work_free(work);
    surr_plan_free(plan);
    surr_model_close(model);
    return q[0][N_STATE - 1] != cell[N_STATE - 1]; /* a cell's result depends on that cell alone */
}
