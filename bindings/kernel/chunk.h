/* A chunk of cells on its way through the nets: sorted by expert, and handed out in spans. */
#ifndef SURR_CHUNK_H
#define SURR_CHUNK_H
#include "dense.h"

#include <stdint.h>

#define CHUNK   1024 /* cells encoded, sorted and decoded together; a chunk is on the stack */
#define SPAN    64   /* cells that go through the layers together */
#define LOG10_E 0x1.bcb7b1526e50ep-2
#define LN_10   0x1.26bb1bbb55516p+1

#define IN_ROW  DENSE_PADDED(NET_IN)
#define OUT_ROW DENSE_PADDED(NET_OUT)
#define ALIGNED __attribute__((aligned(64)))

_Static_assert(NET_EXPERTS <= 256, "experts are counted in bytes");

enum { ASKED, OUTSIDE, CHEAP, DOUBTED };

typedef struct chunk {
    int n;
    double rtol;
    const double *y, *dt, *params;
    float x[CHUNK][IN_ROW] ALIGNED;              /* standardised features */
    float out[CHUNK][OUT_ROW] ALIGNED;           /* change per variable, of the cells that are asked */
    float log_attempts[CHUNK], log_error[CHUNK]; /* what gauge and judge say, log10 */
    unsigned char skipped[CHUNK];                /* ASKED or why not */
    short why[CHUNK];                            /* of cells that are OUTSIDE: a reason as in surr_work_outside */
    unsigned char expert[CHUNK];
    int start[NET_EXPERTS + 1]; /* in `order`, where the cells of each expert begin */
    short order[CHUNK];         /* cells that are asked, by expert */
} chunk;

/* Counting sort by expert of the cells that are asked. */
static void sort_by_expert(chunk *c)
{
    int next[NET_EXPERTS], *start = c->start;
    for (int e = 0; e <= NET_EXPERTS; e++) start[e] = 0;
    for (int i = 0; i < c->n; i++)
        if (c->skipped[i] == ASKED) start[c->expert[i] + 1]++;
    for (int e = 0; e < NET_EXPERTS; e++) start[e + 1] += start[e];
    for (int e = 0; e < NET_EXPERTS; e++) next[e] = start[e];
    for (int i = 0; i < c->n; i++)
        if (c->skipped[i] == ASKED) c->order[next[c->expert[i]]++] = (short)i;
}

/* Hands out spans, of whole experts as far as they fit: cells left over by a full group cost more. */
static inline void in_spans(chunk *c, void (*take)(chunk *c, const short *order, int n_cell))
{
    const int *start = c->start;
    int first = 0, end = 0;
    for (int e = 0; e < NET_EXPERTS; e++) {
        if (start[e + 1] - first > SPAN && end > first) {
            take(c, c->order + first, end - first);
            first = end;
        }
        for (; start[e + 1] - first > SPAN; first += SPAN) take(c, c->order + first, SPAN);
        end = start[e + 1];
    }
    if (end > first) take(c, c->order + first, end - first);
}

#endif
