/* A block of cells on its way in (gather, check, convert) and out (convert, check, scatter). */
#include "block.h"
#include "bits.h"
#include "convert.h"
#include "quantities.h"

/* ---- reading and writing one field ------------------------------------------------------------------------------- */

static size_t item_size(const call *c) { return c->dtype == SURR_F32 ? sizeof(float) : sizeof(double); }

/* The elements of a slot for one block: element i is base[(position ? position[i] : i)*stride]. */
typedef struct column {
    char *base;
    int64_t stride;
    const int64_t *position;
} column;

static column find_column(const call *c, const scratch *s, int32_t i)
{
    column f = {slot_base(c, i), slot_stride(c, i), NULL};
    if (c->index && (c->plan->slots[i].flags & SURR_F_INDEXED)) f.position = s->position;
    else f.base += (int64_t)item_size(c) * f.stride * s->first;
    return f;
}

/* out[i*step] = scale * element i */
#define DEFINE_READ(NAME, TYPE)                                                                                      \
    static void NAME(int32_t n, column f, double scale, double *out, int32_t step)                                   \
    {                                                                                                                \
        const TYPE *base = (const TYPE *)f.base;                                                                     \
        if (f.position)                                                                                              \
            for (int32_t i = 0; i < n; i++) out[(int64_t)i * step] = scale * (double)base[f.position[i] * f.stride]; \
        else                                                                                                         \
            for (int32_t i = 0; i < n; i++) out[(int64_t)i * step] = scale * (double)base[i * f.stride];             \
    }
DEFINE_READ(read_f64, double)
DEFINE_READ(read_f32, float)

/* element cell[i] = in[i*step] where the cell was advanced */
#define DEFINE_WRITE(NAME, TYPE)                                                                   \
    static void NAME(const scratch *s, column f, const double *in, int32_t step)                   \
    {                                                                                              \
        TYPE *base = (TYPE *)f.base;                                                               \
        for (int32_t i = 0; i < s->m; i++) {                                                       \
            int64_t at = f.position ? f.position[s->cell[i]] : s->cell[i];                         \
            if (s->state[i] < SURR_CELL_MASKED) base[at * f.stride] = (TYPE)in[(int64_t)i * step]; \
        }                                                                                          \
    }
DEFINE_WRITE(write_f64, double)
DEFINE_WRITE(write_f32, float)

/* An output of all cells of the block. */
static void write_output(const call *c, column f, int32_t n, const double *in)
{
    for (int32_t i = 0; i < n; i++) {
        int64_t at = (f.position ? f.position[i] : i) * f.stride;
        if (c->dtype == SURR_F32) ((float *)f.base)[at] = (float)in[i];
        else ((double *)f.base)[at] = in[i];
    }
}

/* Where the values of a slot go in the scratch, and how far apart they are there. */
static double *destination(const call *c, scratch *s, const slot *f, int32_t *step)
{
    const surr_model_desc *d = c->plan->model->desc;
    *step = 1;
    switch (f->quantity) {
    case SURR_Q_DENSITY: return s->rho;
    case SURR_Q_NH: return s->nh;
    case SURR_Q_DT: return s->dt;
    case SURR_Q_MASK: return s->mask;
    case SURR_Q_MAX_STEP: return s->max_step;
    case SURR_Q_PARAM: *step = d->n_param; return s->params + f->target;
    default: *step = d->n_state; return s->y + f->target;
    }
}

/* A parameter that single precision cannot tell from the model's own value is that: else no net would know the cell. */
static void restore_value(int32_t n, double *out, int32_t step, double value)
{
    const float rounded = (float)value;
    for (int32_t i = 0; i < n; i++)
        if (rounded != 0.0f && (float)out[(int64_t)i * step] == rounded) out[(int64_t)i * step] = value;
}

static void read_fields(const call *c, scratch *s)
{
    const surr_plan *p = c->plan;
    for (int32_t i = 0; i < p->n_slot; i++) {
        int32_t step;
        if (p->slots[i].kind == KIND_OUTPUT) continue;
        double *out = destination(c, s, &p->slots[i], &step);
        (c->dtype == SURR_F32 ? read_f32 : read_f64)(s->n, find_column(c, s, i), p->slots[i].scale, out, step);
        if (c->dtype == SURR_F32 && p->slots[i].quantity == SURR_Q_PARAM)
            restore_value(s->n, out, step, p->model->desc->parameters[p->slots[i].target].value);
    }
    if (p->dt_slot < 0)
        for (int32_t i = 0; i < s->n; i++) s->dt[i] = c->dt;
}

static void read_index(const call *c, scratch *s)
{
    const surr_plan *p = c->plan;
    for (int32_t i = 0; i < s->n; i++)
        s->position[i] = (p->index_bytes == 8 ? ((const int64_t *)c->index)[s->first + i]
                                              : ((const int32_t *)c->index)[s->first + i]) -
                         p->index_base;
}

/* Moves cell i of the scratch to place m <= i. */
static void move_cell(const surr_model_desc *d, scratch *s, int32_t i, int32_t m)
{
    if (i == m) return;
    memcpy(s->y + (int64_t)m * d->n_state, s->y + (int64_t)i * d->n_state, (size_t)d->n_state * sizeof(double));
    memcpy(s->params + (int64_t)m * d->n_param, s->params + (int64_t)i * d->n_param,
           (size_t)d->n_param * sizeof(double));
    s->dt[m] = s->dt[i];
    s->max_step[m] = s->max_step[i];
    s->rho[m] = s->rho[i];
    s->form[m] = s->form[i];
}

/* ---- a block ----------------------------------------------------------------------------------------------------- */

void block_gather(const call *c, scratch *s, int64_t first, int32_t n)
{
    const surr_plan *p = c->plan;
    const surr_model_desc *d = p->model->desc;
    s->first = first;
    s->n = n;
    s->m = 0;
    if (c->index) read_index(c, s);
    read_fields(c, s);
    for (int32_t i = 0; i < n; i++) {
        double *y = s->y + (int64_t)i * d->n_state;
        const double *params = s->params + (int64_t)i * d->n_param;
        int masked = p->mask_slot >= 0 && bits_of(s->mask[i]) << 1 != 0;
        int good =
            !masked && convert_in(p, y, &s->rho[i], s->nh[i], &s->form[i]) && is_meaningful(p, y, params, s->dt[i]);
        if (p->max_step_slot >= 0) good &= s->max_step[i] > 0.0; /* may be infinite */
        s->status[i] = masked ? SURR_CELL_MASKED : SURR_CELL_BAD_INPUT;
        if (!good) continue;
        move_cell(d, s, i, s->m);
        s->cell[s->m++] = i;
    }
}

void block_finish(const call *c, scratch *s)
{
    const surr_plan *p = c->plan;
    const double per_attempt = attempt_cost(p);
    memset(s->cost, 0, (size_t)s->n * sizeof *s->cost);
    for (int32_t i = 0; i < s->m; i++) {
        double *y = s->y + (int64_t)i * p->model->desc->n_state;
        if (s->state[i] < SURR_CELL_MASKED && !convert_out(p, y, s->rho[i], s->form[i], c->dtype))
            s->state[i] = SURR_CELL_FAILED;
        s->status[s->cell[i]] = s->state[i];
        s->cost[s->cell[i]] = per_attempt * s->attempts[i];
    }
    scratch_count(s);
    if (c->status) memcpy(c->status + s->first, s->status, (size_t)s->n);
}

void block_scatter(const call *c, scratch *s)
{
    const surr_plan *p = c->plan;
    for (int32_t i = 0; i < p->n_slot; i++) {
        int32_t step;
        if (p->slots[i].flags & SURR_F_INPUT) continue;
        if (p->slots[i].kind == KIND_OUTPUT) {
            write_output(c, find_column(c, s, i), s->n, s->cost);
            continue;
        }
        const double *in = destination(c, s, &p->slots[i], &step);
        (c->dtype == SURR_F32 ? write_f32 : write_f64)(s, find_column(c, s, i), in, step);
    }
}
