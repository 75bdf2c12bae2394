/* A plan: the host's fields, units and options, and what commit makes of them. */
#ifndef SURR_PLAN_H
#define SURR_PLAN_H
#include "model.h"

enum { FALLBACK_SOLVER, FALLBACK_NONE, FALLBACK_HOST };
enum { ISA_AUTO = -1 };

/* A solver of the host's, see surr_plan_set_fallback. */
typedef int32_t host_solver(void *context, int64_t n, double *state, const double *dt, const double *params);

/* Where harvested cells go, see surr_plan_set_harvest. */
typedef void harvest_keeper(void *context, int64_t n, const double *state, const double *dt, const double *params);

/* Who reads and writes a quantity: a column of surrogate_codes.def. Species, thermal and state forms are variables. */
enum quantity_kind { KIND_SPECIES, KIND_THERMAL, KIND_STATE, KIND_INPUT, KIND_OUTPUT, KIND_NONE };

/* One of the host's fields. `target` is the variable or parameter it feeds, 0 for the others. */
typedef struct slot {
    int32_t quantity, flags, target;
    enum quantity_kind kind;
    double extra_scale;
    double scale; /* host value * scale = quantity in cgs; with the particle mass divided out of mass densities and
                     fractions. Known after commit. */
} slot;

struct surr_plan {
    atomic_int refs; /* the host's handle and every work hold one */
    surr_model *model;
    int committed;
    double length, density, time; /* code units in cgs */

    /* options, see options.c */
    int64_t threads, index_base, index_bytes, net;
    int32_t isa, fallback, on_failure;
    double rtol, atol_frac, audit, max_step; /* 0 until set; max_step in code units */
    double coverage;                         /* share of the audited cells that are to be right */
    int64_t control;                         /* whether works learn from their own audit */
    int64_t max_attempts;
    host_solver *host_solver; /* for FALLBACK_HOST */
    void *host_context;
    double harvest; /* share of the cells that go to `keep` */
    harvest_keeper *keep;
    void *keep_context;
    struct harvest_file *harvest_file; /* the plan's own, or NULL */

    /* what commit derives */
    const surr_kernels *kernels;
    int use_net; /* asked for, and the model has one */
    surr_solver_options options;
    int32_t species_form, thermal_form; /* SURR_Q_* */
    int32_t i_temperature;              /* -1: the model has none */
    int32_t n_species;
    int32_t density_slot, nh_slot, dt_slot, mask_slot, max_step_slot, cost_slot; /* -1: not bound */
    int32_t none_slot;    /* for the quantities that have a name, in the table of surrogate_codes.def */
    double thermal;       /* constant of the thermal form, see convert.c */
    uint64_t fingerprint; /* of all that a result depends on but the cell */

    int32_t n_slot;
    slot slots[]; /* room for every variable, every parameter and the quantities without a name */
};

surr_plan *plan_retain(const surr_plan *p);
void plan_release(surr_plan *p);
int32_t plan_check_open(const surr_plan *p); /* SURR_OK while it may still be changed */

#endif
