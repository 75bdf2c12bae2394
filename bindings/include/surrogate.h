/* surrogate.h: advance the stiff thermo-chemistry of many cells, from any host code.
 *
 *     surr_model *model; surr_plan *plan; surr_work *work; int32_t slot;
 *     surr_model_open("ism-molecular", -1, &model);
 *     surr_plan_create(model, &plan);                               // what the host has, declared once
 *     surr_plan_field(plan, "H2", -1, SURR_Q_MASS_DENSITY, 1.0, SURR_F_INDEXED, &slot);  // ... one per field
 *     surr_plan_set_d(plan, "rtol", -1, 1e-2);
 *     surr_plan_commit(plan);
 *     surr_work_create(plan, n_cells, &work);
 *     surr_step(plan, work, n_cells, dt, base, stride, SURR_F64, index, status, stat);   // every time step, in place
 *
 * Rules. Every function returns an int32_t: 0 done, 1 done with flagged cells, negative: an error that changed nothing;
 * surr_last_error then holds the value, the bound and the advice. Only int32_t, int64_t, double and pointers cross the
 * boundary. Handles are opaque. Strings come in as (pointer, length), a negative length meaning NUL-terminated, and
 * are copied; strings go out NUL-terminated into the caller's buffer, cut to its length. Nothing prints, exits, or
 * touches MPI; the caller's floating-point environment is never changed and no trap is raised, whatever the cells hold.
 *
 * Threads. A model and a committed plan are immutable and may be shared; a work belongs to one thread at a time. */
#ifndef SURROGATE_H
#define SURROGATE_H
#ifndef SURR_CFFI /* the Python binding reads this header too, without its directives */
#include <stdint.h>
#endif
#ifndef SURR_API
#define SURR_API
#endif
#if defined(__cplusplus) && !defined(SURR_CFFI)
extern "C" {
#endif

/* A host compiled against another major number must not call further; see surr_abi_check. */
enum { SURR_ABI_MAJOR = 1, SURR_ABI_MINOR = 0 };

struct surr_model_desc;               /* what a model library exports */
typedef struct surr_model surr_model; /* one system and its solver: immutable, shared by threads */
typedef struct surr_plan surr_plan;   /* model + the host's fields, units and policy: immutable once committed */
typedef struct surr_work surr_work;   /* scratch memory and timers of one thread */

/* ---- codes -------------------------------------------------------------------------------------------------------
 * The table of them all, each with its meaning, is surrogate_codes.def: return codes SURR_OK, SURR_FLAGGED and
 * SURR_E_*; status bytes SURR_CELL_* (below 32 the cell holds a valid state at t + dt, from 32 on it was left
 * untouched); quantities SURR_Q_* of a field and its flags SURR_F_*; number types SURR_F64 and SURR_F32; what stat[]
 * and seconds[] count, SURR_STAT_* and SURR_PHASE_*. */
#define SURR_RETURN_CODE(NAME, VALUE, WORDS) NAME = VALUE,
enum surr_return_code {
#include "surrogate_codes.def"
};
#define SURR_CELL_STATUS(NAME, VALUE, WORDS) NAME = VALUE,
enum surr_cell_status {
#include "surrogate_codes.def"
};
#define SURR_QUANTITY(NAME, VALUE, KIND, UNIT, SLOT) NAME = VALUE,
enum surr_quantity {
#include "surrogate_codes.def"
};
#define SURR_FLAG(NAME, VALUE) NAME = VALUE,
enum surr_flag {
#include "surrogate_codes.def"
};
#define SURR_NUMBER_TYPE(NAME, VALUE) NAME = VALUE,
enum surr_number_type {
#include "surrogate_codes.def"
};
#define SURR_STAT(NAME, VALUE) NAME = VALUE,
enum surr_stat {
#include "surrogate_codes.def"
};
#define SURR_PHASE(NAME, VALUE, WORD) NAME = VALUE,
enum surr_phase {
#include "surrogate_codes.def"
};
#define SURR_SIZE(NAME, VALUE) NAME = VALUE,
enum surr_size {
#include "surrogate_codes.def"
};

/* ---- version and errors ------------------------------------------------------------------------------------------ */
SURR_API int32_t surr_abi_check(int32_t major, int32_t minor); /* call with the SURR_ABI_* of the host's header */
SURR_API int32_t surr_version(char *buf, int32_t len);         /* "major.minor.patch" */
SURR_API int32_t surr_last_error(char *buf, int32_t len);      /* message of this thread's last failure, "" if none */
SURR_API int32_t surr_status_name(int32_t code, char *buf, int32_t len); /* cell status >= 0, return code < 0 */

/* ---- model --------------------------------------------------------------------------------------------------------
 * Anything with a '/' is the path of a model library. A bare name is searched among the registered models, then as
 * NAME.so in the directories of $SURROGATE_MODEL_PATH (colon-separated), then in models/ and surrogate/models/ beside
 * libsurrogate itself. */
SURR_API int32_t surr_model_open(const char *name_or_path, int32_t len, surr_model **out);
/* For models linked into the host: makes `entry` known under the model's own name. In the archive written by
 * `surrogate export NAME --static`, it is surr_model_NAME. */
SURR_API int32_t surr_model_register(const struct surr_model_desc *(*entry)(void));
SURR_API int32_t surr_model_close(surr_model *m); /* NULL is fine; plans made from the model stay usable */
/* Replays the stored test vectors with every instruction set this CPU can run. *max_error: largest deviation of the
 * right-hand side over its scale; above 1e-10, or where the net is off its stored predictions by more than 1e-4, the
 * result is SURR_E_CHECKSUM. */
SURR_API int32_t surr_model_selftest(const surr_model *m, double *max_error);
/* Right-hand side and Jacobian of n_cell cells in the model's units, for checks and for solvers of your own:
 * f[c*n_state + i] = dy_i/dt, jacobian[(c*n_state + i)*n_state + j] = df_i/dy_j (may be NULL) at y[c*n_state + i] and
 * params[c*n_param + k] (may be NULL for a model without parameters). Cells are not checked. */
SURR_API int32_t surr_model_evaluate(const surr_model *m, int64_t n_cell, const double *y, const double *params,
                                     double *f, double *jacobian);
SURR_API int32_t surr_model_count(const surr_model *m, int32_t *n_state, int32_t *n_param);
/* Field i: variables 0..n_state-1, then parameters. [lower, upper] is the inclusive range of a meaningful input;
 * *value is what a parameter has where no field is bound to it (0 for variables). Every output may be NULL. */
SURR_API int32_t surr_model_field(const surr_model *m, int32_t i, char *name, int32_t name_len, char *unit,
                                  int32_t unit_len, double *lower, double *upper, double *value, int32_t *is_param);
SURR_API int32_t surr_model_dt_range(const surr_model *m, double *lower, double *upper); /* meant for these steps [s] */
/* JSON object with provenance, hashes and references. *needed: bytes including the NUL; json may be NULL to ask. */
SURR_API int32_t surr_model_info(const surr_model *m, char *json, int64_t len, int64_t *needed);

/* ---- plan: what the host has ------------------------------------------------------------------------------------- */
SURR_API int32_t surr_plan_create(surr_model *m, surr_plan **out);
SURR_API int32_t surr_plan_free(surr_plan *p); /* NULL is fine; memory goes with the last work made from it */
/* Code units in cgs, all 1 by default. Lengths, densities and times in fields, and dt, are in these units:
 * n_i and n_H per length^3, u in (length/time)^2, rho u in density (length/time)^2; T and T/mu are in K always. */
SURR_API int32_t surr_plan_units(surr_plan *p, double length_cm, double density_gcc, double time_s);
/* Declares slot 0, 1, 2, ... in the order of the calls. The host's value times extra_scale is the quantity. */
SURR_API int32_t surr_plan_field(surr_plan *p, const char *name, int32_t name_len, int32_t quantity, double extra_scale,
                                 int32_t flags, int32_t *slot);
/* Keys. set_d: "rtol" (required: the error per cell you can accept), "atol_frac" (1e-10 rtol: absolute error allowed,
 * over the total density), "audit" (0: fraction of net results solved again; without effect on a model without net),
 * "coverage" (0.99: share of the audited that are to be within rtol, see surr_work_trust),
 * "max_step" (none: longest step of the solver, in code units of time, for what happens inside a step and nobody can
 * see from where the solver looks, as a short pulse in a rate that depends on time).
 * set_i: "threads" (1), "index_base" (0), "index_bytes" (4 or 8; 4), "max_solver_steps" (100000 per cell),
 * "net" (1: the net takes the cells it vouches for, except where few attempts of the solver will do; 0: the solver
 * takes all), "control" (1: a work learns from its own audit).
 * set_s: "fallback" (solver | none; see surr_plan_set_fallback), "on_failure" (flag | error), "isa" (auto | base | v3 |
 * v4). */
SURR_API int32_t surr_plan_set_i(surr_plan *p, const char *key, int32_t key_len, int64_t v);
SURR_API int32_t surr_plan_set_d(surr_plan *p, const char *key, int32_t key_len, double v);
SURR_API int32_t surr_plan_set_s(surr_plan *p, const char *key, int32_t key_len, const char *v, int32_t v_len);
/* A solver of the host's own for the cells that the net does not take; NULL: the model's again. advance(context, ...)
 * gets n cells in the model's units, state[c*n_state + k] (in and out), dt[c] [s] and params[c*n_param + k]. It returns
 * 0, or another number if it gave all n of them up. Cells that come back negative, infinite or out of the range of
 * surr_model_field have failed too (34). It runs in the host's floating-point environment, with "threads" above 1 on
 * several threads at once. Ranks that share work (surrogate_mpi.h) time it; results are the same on any number of them
 * if those of a cell do not depend on the others of a call. */
SURR_API int32_t surr_plan_set_fallback(surr_plan *p,
                                        int32_t (*advance)(void *context, int64_t n, double *state, const double *dt,
                                                           const double *params),
                                        void *context);
/* Harvest: keeps a share of the cells that a net is for, as they come, so that one can be trained on them (`surrogate
 * adapt`). Drawn from are the cells of good input that the model's gauge does not expect to take the solver only a few
 * attempts: those that the net takes and those that it does not, outside its domain too, where no gauge knows; without
 * net all. Whether a cell is drawn follows from its own bits, so that any batches, threads and ranks draw the same. No
 * result depends on it. keep(context, ...) gets n cells before their step, in the model's units: state[c*n_state + k],
 * dt[c] [s] and params[c*n_param + k], which are gone when it returns. It is called at the end of a call of surr_step*
 * or surr_queue*, and in between whenever some have gathered, in the host's floating-point environment; with "threads"
 * above 1, or several works, on several threads at once. A share of 0, or NULL for keep: no harvest. */
SURR_API int32_t surr_plan_set_harvest(surr_plan *p, double share,
                                       void (*keep)(void *context, int64_t n, const double *state, const double *dt,
                                                    const double *params),
                                       void *context);
/* The same into a file of the plan's own, which is closed with it: a NumPy array (.npy) of records with a float64 for
 * each variable, "dt" [s] and each parameter, by name. Each rank takes a file of its own. It can be read at any time,
 * whatever happens to the writer; one that is there already, of the same columns, is continued. It holds at most `most`
 * cells: later ones then take the place of earlier ones by chance, so that it stays a sample of all. Where it cannot be
 * written any more, nothing is kept and the run goes on: see surr_plan_harvested. */
SURR_API int32_t surr_plan_set_harvest_file(surr_plan *p, double share, const char *path, int32_t path_len,
                                            int64_t most);
/* Of that file: the cells it holds, and those that were drawn since the plan was made. Either may be NULL.
 * SURR_E_IO, with the reason, if it could not be written. */
SURR_API int32_t surr_plan_harvested(const surr_plan *p, int64_t *held, int64_t *drawn);
SURR_API int32_t surr_plan_commit(surr_plan *p);

/* ---- the step ---------------------------------------------------------------------------------------------------- */
SURR_API int32_t surr_work_create(const surr_plan *p, int64_t max_cells_hint, surr_work **out);
SURR_API int32_t surr_work_free(surr_work *w); /* NULL is fine */
/* Time spent in the last call: seconds[SURR_NPHASE], summed over threads. */
SURR_API int32_t surr_work_seconds(const surr_work *w, double *seconds);
/* Why cells of the last call were outside the domain of the net (status 1), each counted once: count[4 + n_state +
 * n_param] is [0] nothing by itself, but no cell of the training was like it, or beyond repair; [1 + k] variable k; [1
 * + n_state] total density; [2 + n_state] time step; [3 + n_state] proportions of conserved quantities; [4 + n_state +
 * k] parameter k. */
SURR_API int32_t surr_work_outside(const surr_work *w, int64_t *count);
/* What the audit has found since the work was made: count[b], b < SURR_NAUDIT, is the number of variables of audited
 * cells for which the net's |y/y_solver - 1| was in bin b. Species that end below 1e-10 of the total are not counted.
 * Counts of several works or ranks may be added. */
SURR_API int32_t surr_work_audit(const surr_work *w, int64_t *count);
/* The audit is also a controller: what it finds moves the limit below which the net's expected error is believed, so
 * that in the long run at least "coverage" of the audited cells are within rtol, whatever the cells are: *trust times
 * rtol, 1 to begin with. It is the state of a run, to be kept in its restart files and set again. Works learn at the
 * end of every surr_step* and surr_flush. Where several share an audit, as ranks do, "control" is 0: they add up
 * surr_work_outcomes, count[5] since the last surr_work_learn (cells that were taken: audited, wrong; cells just beyond
 * the limit: compared, wrong; cells further beyond), and each calls surr_work_learn with the sums. */
SURR_API int32_t surr_work_trust(const surr_work *w, double *trust);
SURR_API int32_t surr_work_set_trust(surr_work *w, double trust);
SURR_API int32_t surr_work_outcomes(const surr_work *w, int64_t *count);
SURR_API int32_t surr_work_learn(surr_work *w, const int64_t *count);
/* The error that a fraction q (0 to 1) of the counted ones does not exceed, up to the width of a bin (12 %) too large;
 * q = 1: the largest. 0 where nothing was counted. */
SURR_API int32_t surr_audit_quantile(const int64_t *count, double q, double *error);

/* General form: one base pointer and one stride (in elements; 0 = the same scalar for every cell, inputs only) per
 * slot. index: the cells to visit, none twice (NULL: 0..n_cell-1). status[n_cell] and stat[SURR_NSTAT] may be NULL.
 * Written elements must not overlap others. No memory is allocated after the first call of a size, save what the
 * system needs to start threads where "threads" is above 1. A cell's result depends on that cell alone. On
 * SURR_E_CELLS the status bytes tell the culprits (33, 34), the others what would have happened. */
SURR_API int32_t surr_step(const surr_plan *p, surr_work *w, int64_t n_cell, double dt, void *const *base,
                           const int64_t *stride, int32_t dtype, const void *index, uint8_t *status, int64_t *stat);
/* One block q[cell*cell_stride + slot*slot_stride]: SoA is (1, N), AoS is (n_slot, 1). */
SURR_API int32_t surr_step_block(const surr_plan *p, surr_work *w, int64_t n_cell, double dt, double *q,
                                 int64_t cell_stride, int64_t slot_stride, const void *index, uint8_t *status,
                                 int64_t *stat);
/* One cell q[slot]; status may be NULL. */
SURR_API int32_t surr_step_cell(const surr_plan *p, surr_work *w, double dt, double *q, int32_t *status);

/* ---- the queue ---------------------------------------------------------------------------------------------------
 * For hosts that call with a few cells at a time (RAMSES: 32): the net advances its cells at once, those that need the
 * solver get status 35 and wait for surr_flush, which solves them together, side by side in the lanes of the processor
 * and on all threads. Arguments as for surr_step and surr_step_block; base, stride and index are copied, but the cells
 * and the status bytes themselves must stay where they are, and be left alone, until the flush. The counts of the calls
 * and of the flush together are those of surr_step, and so are the results, bit by bit. Memory grows with the largest
 * number of cells and calls between two flushes, and is kept. Not with "on_failure" = "error". */
SURR_API int32_t surr_queue(const surr_plan *p, surr_work *w, int64_t n_cell, double dt, void *const *base,
                            const int64_t *stride, int32_t dtype, const void *index, uint8_t *status, int64_t *stat);
SURR_API int32_t surr_queue_block(const surr_plan *p, surr_work *w, int64_t n_cell, double dt, double *q,
                                  int64_t cell_stride, int64_t slot_stride, const void *index, uint8_t *status,
                                  int64_t *stat);
/* Advances all that waits in this work; an empty queue is fine. */
SURR_API int32_t surr_flush(surr_work *w, int64_t *stat);

#if defined(__cplusplus) && !defined(SURR_CFFI)
}
#endif
#endif
