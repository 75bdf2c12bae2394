/* An opened model: what a model library describes, with a count of those who hold it. */
#ifndef SURR_MODEL_H
#define SURR_MODEL_H
#include "model_abi.h"
#include "surrogate.h"

#include <stdatomic.h>

struct surr_model {
    atomic_int refs; /* the host's handle and every plan hold one */
    const surr_model_desc *desc;
    void *library;      /* from dlopen, NULL for a registered model */
    uint64_t digest[2]; /* tells models apart: of the file, or of the info of a registered model */
};

surr_model *model_retain(surr_model *m);
void model_release(surr_model *m);
void library_close(void *library); /* find.c */

int isa_runs_here(int32_t isa);
int32_t best_isa(const surr_model_desc *d); /* that the model has and this CPU runs; -1: none */

/* Reasons for which a cell can be outside the domain of a net: see surr_work_outside. */
static inline int64_t count_reasons(const surr_model_desc *d) { return 4 + (int64_t)d->n_state + d->n_param; }

#endif
