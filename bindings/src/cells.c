/* A block of cells on its way in (gather, check, convert) and out (convert, check, scatter).
 *
 * Forms. A species slot holds n_i / (scale * form): `scale` is a constant of the slot, `form` a number per cell, the
 * same for all species and unchanged by chemistry: 1, rho, n_H or n_H/rho. A thermal slot holds T / (scale * factor):
 *
 *     T/mu    T = v * rho / (m_H n_tot)
 *     u       T = v * (gamma - 1) rho / (k n_tot)
 *     rho u   T = v * (gamma - 1) / (k n_tot)
 *
 * so factor = thermal * [rho] / n_tot, with n_tot before the step on the way in and after it on the way out. */
#include "engine.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

scratch *scratch_create(const surr_plan *p, int64_t capacity)
{
    const surr_model_desc *d = p->model->desc;
    size_t n = ((size_t)capacity + 7) & ~(size_t)7; /* every array starts on a cache line of its own */
    size_t net = p->use_net;                        /* room for predictions and for the cells packed for the solver */
    size_t doubles = (1 + net) * ((size_t)d->n_state + (size_t)d->n_param) + 7 + 2 * net;
    size_t header = (sizeof(scratch) + 63) & ~(size_t)63;
    size_t bytes = header +
                   n * (doubles * sizeof(double) + sizeof(int64_t) + (3 + 3 * net) * sizeof(int32_t) + 2 + net) +
                   (size_t)count_reasons(d) * sizeof(int64_t);
    scratch *s = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
    if (!s) return NULL;
    memset(s, 0, bytes);
    s->capacity = capacity;
    double *next = (double *)((char *)s + header);
    s->y = next, next += n * (size_t)d->n_state;
    s->params = next, next += n * (size_t)d->n_param;
    s->dt = next, next += n;
    s->max_step = next, next += n;
    s->rho = next, next += n;
    s->nh = next, next += n;
    s->form = next, next += n;
    s->mask = next, next += n;
    s->cost = next, next += n;
    s->end = next, next += net * n * (size_t)d->n_state;
    s->packed_params = next, next += net * n * (size_t)d->n_param;
    s->packed_dt = next, next += net * n;
    s->packed_max_step = next, next += net * n;
    s->n_reason = count_reasons(d);
    s->outside = (int64_t *)next;
    s->position = s->outside + s->n_reason;
    s->cell = (int32_t *)(s->position + n);
    s->attempts = s->cell + n;
    s->todo = s->attempts + n;
    s->tries = s->todo + n;
    s->error = (float *)(s->tries + net * n);
    s->expected = s->error + net * n;
    s->state = (uint8_t *)(s->expected + net * n);
    s->status = s->state + n;
    s->outcome = s->status + n;
    const double max_step = is_positive(p->max_step) ? p->max_step * p->time : HUGE_VAL;
    for (size_t c = 0; c < n; c++) s->max_step[c] = max_step;
    for (size_t c = 0; c < n; c++) /* columns without a field keep these values for ever */
        for (int32_t k = 0; k < d->n_param; k++) s->params[c * (size_t)d->n_param + (size_t)k] = d->parameters[k].value;
    return s;
}

/* Sums start anew. */
void scratch_reset(scratch *s)
{
    memset(s->stat, 0, sizeof s->stat);
    memset(s->seconds, 0, sizeof s->seconds);
    memset(s->audit, 0, sizeof s->audit);
    memset(s->outside, 0, (size_t)s->n_reason * sizeof *s->outside);
    s->n_flagged = 0;
    s->m = s->n_todo = 0;
}

/* ---- reading and writing one field ------------------------------------------------------------------------------- */

static size_t item_size(const call *c) { return c->dtype == SURR_F32 ? sizeof(float) : sizeof(double); }

void *slot_base(const call *c, int32_t s)
{
    return c->base ? c->base[s] : c->block + (int64_t)sizeof(double) * s * c->slot_stride;
}

int64_t slot_stride(const call *c, int32_t s) { return c->base ? c->stride[s] : c->cell_stride; }

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
        if (is_output(p->slots[i].quantity)) continue;
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

/* ---- one cell ---------------------------------------------------------------------------------------------------- */

/* Total number density and mass density of the species in y. */
static void sum_species(const surr_model_desc *d, const double *y, double *n_total, double *rho)
{
    double number = 0.0, mass = 0.0;
    for (int32_t k = 0; k < d->n_state; k++) {
        if (d->variables[k].role != SURR_ROLE_SPECIES) continue;
        number += y[k];
        mass += d->variables[k].mass * y[k];
    }
    *n_total = number;
    *rho = mass;
}

static double thermal_factor(const surr_plan *p, double rho, double n_total)
{
    switch (p->thermal_form) {
    case SURR_Q_T_OVER_MU:
    case SURR_Q_EINT_MASS: return p->thermal * rho / n_total;
    case SURR_Q_EINT_VOLUME: return p->thermal / n_total;
    default: return 1.0;
    }
}

/* Number density per unit of the host's species form; `mass`: sum of m_i times what the host gave for species i. */
static double species_form(const surr_plan *p, double rho, double nh, double mass)
{
    switch (p->species_form) {
    case SURR_Q_MASS_FRACTION: return rho;
    case SURR_Q_PER_H: return p->nh_slot >= 0 ? nh : rho / mass;
    case SURR_Q_PER_H_TIMES_RHO: return p->nh_slot >= 0 ? nh / rho : rho / mass;
    default: return 1.0;
    }
}

/* From what the host has to number densities and temperature, in place. 0: the densities make no sense. */
static int convert_in(const surr_plan *p, double *y, double *rho, double nh, double *form)
{
    const surr_model_desc *d = p->model->desc;
    double n_total, mass;
    *form = 1.0;
    if (p->density_slot >= 0 && !is_positive(*rho)) return 0;
    if (p->nh_slot >= 0 && !is_positive(nh)) return 0;
    if (p->n_species == 0) return 1;
    sum_species(d, y, &n_total, &mass);
    *form = species_form(p, *rho, nh, mass);
    if (!is_positive(*form)) return 0;
    if (*form != 1.0)
        for (int32_t k = 0; k < d->n_state; k++)
            if (d->variables[k].role == SURR_ROLE_SPECIES) y[k] *= *form;
    n_total *= *form;
    if (p->density_slot < 0) *rho = mass * *form;
    if (!is_positive(n_total)) return 0;
    if (p->i_temperature >= 0) y[p->i_temperature] *= thermal_factor(p, *rho, n_total);
    return 1;
}

static int is_within(double x, double lower, double upper) { return is_finite(x) && x >= lower && x <= upper; }

int is_meaningful(const surr_plan *p, const double *y, const double *params, double dt)
{
    const surr_model_desc *d = p->model->desc;
    int good = is_positive(dt);
    for (int32_t k = 0; k < d->n_state; k++) {
        const surr_variable *v = &d->variables[k];
        good &= is_within(y[k], v->lower, v->upper) && !(v->role == SURR_ROLE_SPECIES && y[k] < 0.0);
    }
    for (int32_t k = 0; k < d->n_param; k++)
        good &= is_within(params[k], d->parameters[k].lower, d->parameters[k].upper);
    return good;
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

/* Reads cells first .. first + n - 1; those worth solving end up side by side in s->y, s->params and s->dt. */
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

/* Back to the host's quantities, in place. 0: a result that the host's type cannot hold. */
int convert_out(const surr_plan *p, double *y, double rho, double form, int32_t dtype)
{
    const surr_model_desc *d = p->model->desc;
    const double largest = dtype == SURR_F32 ? (double)FLT_MAX : DBL_MAX;
    double n_total, mass;
    int good = 1;
    if (p->i_temperature >= 0 && p->n_species > 0) {
        sum_species(d, y, &n_total, &mass);
        y[p->i_temperature] /= thermal_factor(p, rho, n_total);
    }
    for (int32_t i = 0; i < p->n_slot; i++) {
        const slot *f = &p->slots[i];
        if (!is_state(f->quantity)) continue;
        int is_species = d->variables[f->target].role == SURR_ROLE_SPECIES;
        y[f->target] /= is_species ? f->scale * form : f->scale;
        good &= is_finite(y[f->target]) && fabs(y[f->target]) <= largest;
    }
    return good;
}

/* Sums over the cells of a block; those queued are counted when they are done. */
void count_cells(scratch *s)
{
    for (int32_t i = 0; i < s->n; i++) {
        if (s->status[i] == SURR_CELL_QUEUED) continue;
        s->stat[SURR_STAT_CELLS]++;
        s->stat[s->status[i] < SURR_CELL_MASKED ? SURR_STAT_NET + s->status[i] : SURR_STAT_UNTOUCHED]++;
        s->n_flagged += s->status[i] > SURR_CELL_MASKED;
    }
    for (int32_t i = 0; i < s->m; i++) s->stat[SURR_STAT_STEPS] += s->attempts[i];
}

/* What a step attempt is in the host's cost field. */
double attempt_cost(const surr_plan *p) { return p->cost_slot >= 0 ? 1.0 / p->slots[p->cost_slot].scale : 0.0; }

/* After the solver: converts its results and settles the status of every cell of the block. */
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
    count_cells(s);
    if (c->status) memcpy(c->status + s->first, s->status, (size_t)s->n);
}

void block_scatter(const call *c, scratch *s)
{
    const surr_plan *p = c->plan;
    for (int32_t i = 0; i < p->n_slot; i++) {
        int32_t step;
        if (p->slots[i].flags & SURR_F_INPUT) continue;
        if (is_output(p->slots[i].quantity)) {
            write_output(c, find_column(c, s, i), s->n, s->cost);
            continue;
        }
        const double *in = destination(c, s, &p->slots[i], &step);
        (c->dtype == SURR_F32 ? write_f32 : write_f64)(s, find_column(c, s, i), in, step);
    }
}
