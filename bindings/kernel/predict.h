/* The net of a model: from cells and time steps to new cells and the error to expect.
 *
 * Include after the mechanism, solver.h and the generated net.h. Cells are encoded in lanes of doubles and sorted by
 * the region they lie in. Each region has three perceptrons: a tiny one, the gauge, says how many attempts the solver
 * would need; a small one, the judge, what error the net would make; the expert is the net. Each sees only the cells
 * that the one before has left, in single precision; what the expert says is decoded in lanes of doubles, where the
 * invariants are restored as in the solver. A cell's result depends on that cell alone. */
#ifndef SURR_PREDICT_H
#define SURR_PREDICT_H
#include "decode.h"
#include "perceptrons.h"

static inline int lanes_left(int i, int n) { return n - i < SURR_LANES ? n - i : SURR_LANES; }

static void predict(const surr_kernels *self, double rtol, int64_t n, const double *y, const double *dt,
                    const double *params, double *end, float *error, float *attempts)
{
    (void)self;
    chunk c;
    c.rtol = rtol;
    for (int64_t first = 0; first < n; first += CHUNK) {
        c.n = n - first < CHUNK ? (int)(n - first) : CHUNK;
        c.y = y + first * N_STATE;
        c.dt = dt + first;
        c.params = params + first * N_PARAM;
        for (int i = 0; i < c.n; i += SURR_LANES) encode(&c, i);
        sort_by_expert(&c);
        in_spans(&c, gauge_span);
        for (int i = 0; i < c.n; i += SURR_LANES) settle_cost(&c, i, error + first, attempts + first);
        sort_by_expert(&c);
        in_spans(&c, judge_span);
        for (int i = 0, n_asked = c.start[NET_EXPERTS]; i < n_asked; i += SURR_LANES)
            settle_error(&c, c.order + i, lanes_left(i, n_asked), error + first);
        sort_by_expert(&c);
        in_spans(&c, evaluate_span);
        for (int i = 0, n_asked = c.start[NET_EXPERTS]; i < n_asked; i += SURR_LANES)
            decode(&c, c.order + i, lanes_left(i, n_asked), end + first * N_STATE, error + first);
    }
}

#endif
