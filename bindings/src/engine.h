/* The engine's own objects and the few functions its files share; see surrogate.h for what hosts see. */
#ifndef SURR_ENGINE_H
#define SURR_ENGINE_H
#include "fpenv.h"
#include "model_abi.h"
#include "surrogate.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

enum { BLOCK = 1024 }; /* cells gathered and solved together, at most */
enum { FALLBACK_SOLVER, FALLBACK_NONE, FALLBACK_HOST };

/* A solver of the host's, see surr_plan_set_fallback. */
typedef int32_t host_solver(void *context, int64_t n, double *state, const double *dt, const double *params);

struct surr_model {
    atomic_int refs; /* the host's handle and every plan hold one */
    const surr_model_desc *desc;
    void *library;      /* from dlopen, NULL for a registered model */
    uint64_t digest[2]; /* tells models apart: of the file, or of the info of a registered model */
};

/* One of the host's fields. `target` is the variable or parameter it feeds, 0 for the others. */
typedef struct slot {
    int32_t quantity, flags, target;
    double extra_scale;
    double scale; /* host value * scale = quantity in cgs; with the particle mass divided out of
                                    mass densities and fractions. Known after commit. */
} slot;

struct surr_plan {
    atomic_int refs; /* the host's handle and every work hold one */
    surr_model *model;
    int committed;
    double length, density, time; /* code units in cgs */

    int64_t threads, index_base, index_bytes, net;
    int32_t isa, fallback, on_failure;
    double rtol, atol_frac, audit, max_step; /* 0 until set; max_step in code units */
    int64_t max_attempts;
    host_solver *host_solver; /* for FALLBACK_HOST */
    void *host_context;

    /* what commit derives */
    const surr_kernels *kernels;
    int use_net; /* asked for, and the model has one */
    surr_solver_options options;
    int32_t species_form, thermal_form; /* SURR_Q_* */
    int32_t i_temperature;              /* -1: the model has none */
    int32_t n_species;
    int32_t density_slot, nh_slot, dt_slot, mask_slot, max_step_slot, cost_slot; /* -1: not bound */
    double thermal;       /* constant of the thermal form, see cells.c */
    uint64_t fingerprint; /* of all that a result depends on but the cell */

    int32_t n_slot;
    slot slots[]; /* room for every variable, every parameter and the six others */
};

/* Memory for one block of cells; arrays of `capacity` cells. */
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
    uint8_t *outcome;      /* [m] of the solver, for the packed cells */
    int32_t *tries;
    /* sums over the blocks of a call */
    int64_t stat[SURR_NSTAT];
    int64_t n_flagged; /* bad input or failed */
    double seconds[SURR_NPHASE];
    int64_t audit[SURR_NAUDIT];
    int64_t n_reason, *outside; /* cells outside the domain, by reason as in surr_work_outside */
} scratch;

/* Work that cells have needed over that expected, by bins of similar cells and by reason; see cost.c. */
enum { COST_BINS = 1024, N_REASON = SURR_CELL_SOLVER + 1 };
typedef struct cost_table {
    double bin[COST_BINS], reason[N_REASON]; /* 0: nothing known */
} cost_table;

/* Cells that wait for surr_flush, side by side as the solver takes them, and where their results go. Cell i came with
 * call origin[i], of which slot s is at base[origin*n_slot + s]. */
typedef struct queue {
    atomic_int_fast64_t n;
    int64_t room; /* cells */
    double *y, *params, *dt, *max_step, *rho, *form;
    int64_t *element, *position; /* number within the call, and in indexed fields */
    int64_t *origin;
    uint8_t *reason, *outcome; /* why it needs the solver, and what came of it: SURR_CELL_QUEUED until then */
    int32_t *attempts;
    float *expected; /* attempts, as the gauge has it; -1: unknown */
    float *spent;    /* work, see cost.c; 0: unknown */
    uint16_t *bin;   /* of the cost table */
    cost_table costs;
    double work; /* spent on the cells of the last flush */
    int64_t n_call, call_room;
    void **base;
    int64_t *stride;
    uint8_t **status;
    int32_t *dtype;
} queue;

struct surr_work {
    atomic_int busy; /* 0, or what work.c calls the generation of the process that is in a call */
    fp_state host;   /* what the host had when the call began */
    surr_plan *plan;
    int64_t n_scratch;
    scratch **scratch;
    struct member *members; /* one per thread of the plan, see work.c */
    queue queue;
    /* sums of the last call */
    int64_t stat[SURR_NSTAT];
    int64_t n_flagged;
    double seconds[SURR_NPHASE];
    int64_t audit[SURR_NAUDIT]; /* of all calls */
    int64_t *outside;           /* of the last call, by reason */
};

/* The arguments of one surr_step* or surr_queue* call. */
typedef struct call {
    const surr_plan *plan;
    int64_t n_cell;
    double dt;         /* [s] */
    void *const *base; /* general form ... */
    const int64_t *stride;
    char *block; /* ... or, where base is NULL, the block form */
    int64_t cell_stride, slot_stride;
    int32_t dtype;
    const void *index;
    uint8_t *status;
    int64_t *stat;
} call;

/* Text and code of this thread's last failure; returns the code. */
__attribute__((format(printf, 2, 3))) int32_t surr_fail(int32_t code, const char *format, ...);

/* library.c: before dlopen, whether a file is whole and as it was written. digest: tells its content from another. */
int32_t library_check(const char *path, uint64_t digest[2]);

surr_model *model_retain(surr_model *m);
void model_release(surr_model *m);
surr_plan *plan_retain(const surr_plan *p);
void plan_release(surr_plan *p);
int isa_runs_here(int32_t isa);
int32_t best_isa(const surr_model_desc *d); /* that the model has and this CPU runs; -1: none */

/* work.c: a call in blocks, and these on the threads of the plan. `job` sees every block once; s is the thread's, or
 * with hold_back the block's own, which keeps its results. Sums end up in the work. */
typedef void block_job(void *context, scratch *s, int64_t first, int32_t n);
int32_t work_enter(surr_work *w); /* one call at a time; in between the floating-point environment is ours */
void work_leave(surr_work *w);
int32_t work_run(surr_work *w, int64_t n_cell, int hold_back, block_job *job, void *context);

/* step.c */
call call_of_fields(const surr_plan *p, int64_t n_cell, double dt, void *const *base, const int64_t *stride,
                    int32_t dtype, const void *index, uint8_t *status, int64_t *stat);
call call_of_block(const surr_plan *p, int64_t n_cell, double dt, double *q, int64_t cell_stride, int64_t slot_stride,
                   const void *index, uint8_t *status, int64_t *stat);
int32_t check_call(const call *c, const surr_work *w);

/* queue.c */
void queue_free(queue *q);

/* cost.c: what a waiting cell will cost */
uint16_t cost_bin(const surr_model_desc *d, const double *y, double dt, uint8_t reason);
double work_spent(int32_t attempts);
void cost_book(const surr_plan *p, queue *q, const int64_t *which, int64_t first, int64_t n, double seconds);
void cost_learn(queue *q);

/* cells.c: a block's way in and out */
scratch *scratch_create(const surr_plan *p, int64_t capacity);
void scratch_reset(scratch *s);
void *slot_base(const call *c, int32_t s);
int64_t slot_stride(const call *c, int32_t s);
int is_meaningful(const surr_plan *p, const double *y, const double *params, double dt);
void block_gather(const call *c, scratch *s, int64_t first, int32_t n);
void block_finish(const call *c, scratch *s);
void block_scatter(const call *c, scratch *s);
int convert_out(const surr_plan *p, double *y, double rho, double form, int32_t dtype);
double attempt_cost(const surr_plan *p);
void count_cells(scratch *s);

/* route.c */
void block_advance(const surr_plan *p, scratch *s);
double seconds_now(void);

/* fallback.c: the solver of the model or of the host; like solve of surr_kernels */
void solve_cells(const surr_plan *p, fp_state host, int64_t n, double *y, const double *dt, const double *max_step,
                 const double *params, uint8_t *status, int32_t *attempts);

/* Reasons for which a cell can be outside the domain of a net. */
static inline int64_t count_reasons(const surr_model_desc *d) { return 4 + (int64_t)d->n_state + d->n_param; }

static inline int is_species_form(int32_t q) { return q >= SURR_Q_NUMBER_DENSITY && q <= SURR_Q_PER_H_TIMES_RHO; }
static inline int is_thermal_form(int32_t q) { return q >= SURR_Q_TEMPERATURE && q <= SURR_Q_EINT_VOLUME; }
static inline int is_output(int32_t q) { return q == SURR_Q_COST; }
static inline int is_state(int32_t q) { return is_species_form(q) || is_thermal_form(q) || q == SURR_Q_STATE; }

/* Copies a string that may come without NUL; 0 if it does not fit or is NULL. */
static inline int copy_string(char *out, int32_t room, const char *text, int32_t len)
{
    if (!text) return 0;
    size_t n = len < 0 ? strlen(text) : (size_t)len;
    if (n >= (size_t)room) return 0;
    memcpy(out, text, n);
    out[n] = '\0';
    return 1;
}

/* Tests on bits: they raise no floating-point exception and survive -ffast-math. */
static inline uint64_t bits_of(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}
/* FNV-1a (Fowler, Noll & Vo): goes on from h, which begins as HASH_START. */
#define HASH_START 0xcbf29ce484222325u
static inline uint64_t hash_bytes(uint64_t h, const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) h = (h ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3u;
    return h;
}
static inline int is_finite(double x) { return (bits_of(x) & 0x7ff0000000000000u) != 0x7ff0000000000000u; }
static inline int is_positive(double x) /* normal, finite, above zero */
{
    return bits_of(x) - 0x0010000000000000u < 0x7ff0000000000000u - 0x0010000000000000u;
}

#endif
