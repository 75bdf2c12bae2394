/* A block of cells on its way in, through net and solver, and out. */
#ifndef SURR_BLOCK_H
#define SURR_BLOCK_H
#include "call.h"
#include "scratch.h"

/* Reads cells first .. first + n - 1; those worth solving end up side by side in s->y, s->params and s->dt. */
void block_gather(const call *c, scratch *s, int64_t first, int32_t n);
/* route.c: advances them; with s->defer, s->todo[0 .. n_todo-1] are left for the queue. */
void block_advance(const surr_plan *p, scratch *s);
/* After the solver: converts its results and settles the status of every cell of the block. */
void block_finish(const call *c, scratch *s);
void block_scatter(const call *c, scratch *s);

#endif
