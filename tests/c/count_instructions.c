/* Steps a few hundred cells, for callgrind to count instructions in surr_step_block: test_instructions.py.
 * Arguments: model, net (0 or 1), rtol, dt [s]. Prints cells that the net took, cells solved, attempts of the solver.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <surrogate.h>

enum { N_STATE = 10, N_CELL = 256 };
static const char *const names[N_STATE] = {"H", "H+", "H-", "H2", "H2+", "He", "He+", "He++", "e-", "T"};
static const double gas[N_STATE] = {0.9, 0.1, 1e-6, 1e-3, 1e-6, 0.10738, 1e-6, 1e-6, 0.100003, 8000.0};
static double q[N_CELL][N_STATE];

int main(int n_arg, char **arg)
{
    surr_model *model;
    surr_plan *plan;
    surr_work *work;
    int32_t slot;
    int64_t stat[SURR_NSTAT];
    if (n_arg != 5 || surr_model_open(arg[1], -1, &model) || surr_plan_create(model, &plan)) return 1;
    for (int k = 0; k < N_STATE; k++)
        if (surr_plan_field(plan, names[k], -1, k < N_STATE - 1 ? SURR_Q_NUMBER_DENSITY : SURR_Q_TEMPERATURE, 1.0,
                            SURR_F_COMPACT, &slot))
            return 2;
    if (surr_plan_set_i(plan, "net", -1, atoi(arg[2])) || surr_plan_set_d(plan, "rtol", -1, atof(arg[3])) ||
        surr_plan_set_s(plan, "isa", -1, "v3", -1) || surr_plan_commit(plan) || surr_work_create(plan, N_CELL, &work))
        return 3;
    for (int c = 0; c < N_CELL; c++)
        for (int k = 0; k < N_STATE; k++)
            q[c][k] = gas[k] * (k < N_STATE - 1 ? 1.0 + 99.0 * c / N_CELL : 0.75 + 0.3 * c / N_CELL);
    if (surr_step_block(plan, work, N_CELL, atof(arg[4]), q[0], N_STATE, 1, NULL, NULL, stat) < 0) return 4;
    printf("%ld %ld %ld\n", (long)stat[SURR_STAT_NET],
           (long)(stat[SURR_STAT_OUTSIDE] + stat[SURR_STAT_ERROR] + stat[SURR_STAT_AUDIT] + stat[SURR_STAT_SOLVER]),
           (long)stat[SURR_STAT_STEPS]);
    return 0;
}
