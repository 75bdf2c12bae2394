/* Memory for one block of cells, of one thread. */
#ifndef SURR_SCRATCH_H
#define SURR_SCRATCH_H
#include "fpenv.h"
#include "plan.h"

enum { BLOCK = 1024 };  /* cells gathered and solved together, at most */
enum { HARVEST = 128 }; /* cells that are handed to the keeper of the harvest together, at most */

/* What the controller of trust.c learns from: audited cells that were taken, and the wrong ones of them; cells just
 * beyond the limit that were compared, and the wrong ones; cells that the calibration would take, further beyond. */
enum { TAKEN, TAKEN_WRONG, NEAR, NEAR_WRONG, FAR, N_OUTCOME };

/* Arrays of `capacity` cells. */
typedef struct scratch {
    int64_t capacity;
    int64_t first;         /* the block covers cells first .. first + n - 1 of the call */
    int32_t n, m;          /* cells in the block, and those of them handed to the solver */
    int64_t *position;     /* [n] element number in indexed fields */
    int32_t *cell;         /* [m] cell within the block */
    int32_t *attempts;     /* [m] */
    uint8_t *state;        /* [m] status of the cells handed to the solver */
    uint8_t *status;       /* [n] */
    double *y, *params;    /* [m][n_state], [m][n_param] */
    double *dt, *max_step; /* [m] */
    double *rho, *nh;      /* [m] */
    double *form;          /* [m] number density per unit of the host's species form */
    double *mask, *cost;   /* [n] */
    double *end;           /* [m][n_state] what the net predicts, then the cells packed for the solver */
    double *packed_params, *packed_dt, *packed_max_step;
    float *error;          /* [m] calibrated error of the prediction */
    float *expected;       /* [m] attempts that the solver would need, -1: unknown */
    int32_t n_todo, *todo; /* cells that the solver takes */
    int defer;             /* leave these to the queue */
    fp_state host;         /* the host's floating-point environment, for its solver */
    double trust;          /* share of rtol up to which the net is believed */
    struct {               /* cells on their way to the harvest; no arrays without one */
        int32_t n;
        double *y, *dt, *params; /* [HARVEST][n_state], [HARVEST], [HARVEST][n_param] */
    } kept;
    uint8_t *outcome; /* [m] of the solver, for the packed cells */
    int32_t *tries;
    /* sums over the blocks of a call */
    int64_t stat[SURR_NSTAT];
    int64_t n_flagged; /* bad input or failed */
    double seconds[SURR_NPHASE];
    int64_t audit[SURR_NAUDIT];
    int64_t learned[N_OUTCOME];
    int64_t n_reason, *outside; /* cells outside the domain, by reason as in surr_work_outside */
} scratch;

scratch *scratch_create(const surr_plan *p, int64_t capacity); /* to be freed; NULL without memory */
void scratch_reset(scratch *s);                                /* sums start anew */
void scratch_count(scratch *s); /* adds the cells of a block to the sums; those queued when they are done */

#endif
