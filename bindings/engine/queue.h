/* Cells that wait for surr_flush, and what they will cost. */
#ifndef SURR_QUEUE_H
#define SURR_QUEUE_H
#include "call.h"
#include "scratch.h"

/* Work that cells have needed over that expected, by bins of similar cells and by reason; see cost.c. */
enum { COST_BINS = 1024, N_REASON = SURR_CELL_SOLVER + 1 };
typedef struct cost_table {
    double bin[COST_BINS], reason[N_REASON]; /* 0: nothing known */
} cost_table;

/* The cells are side by side as the solver takes them. Cell i came with call origin[i], of which slot s is at
 * base[origin*n_slot + s]. */
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

void queue_free(queue *q);
/* Room for one call more, all of whose cells may have to wait. */
int32_t queue_make_room(queue *q, const surr_plan *p, int64_t n_cell);
/* The cells that a block has left to the solver; by several threads at once. */
void queue_append_cells(queue *q, const call *c, scratch *s);
/* Where the results of a call go, if any of its cells waits: there were n_before before it. */
void queue_append_call(queue *q, const call *c, int64_t n_before);
/* Solved cells first .. first + n - 1 back into the host's fields; their status and attempts into s, to be counted. */
void queue_settle(queue *q, const surr_plan *p, scratch *s, int64_t first, int32_t n);

/* cost.c: what a waiting cell will cost */
uint16_t cost_bin(const surr_model_desc *d, const double *y, double dt, uint8_t reason);
double work_spent(int32_t attempts);
void cost_book(const surr_plan *p, queue *q, const int64_t *which, int64_t first, int64_t n, double seconds);
void cost_learn(queue *q);

#endif
