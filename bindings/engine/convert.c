/* One cell between the host's quantities and the model's.
 *
 * A species slot holds n_i / (scale * form): `scale` is a constant of the slot, `form` a number per cell, the
 * same for all species and unchanged by chemistry: 1, rho, n_H or n_H/rho. A thermal slot holds T / (scale * factor):
 *
 *     T/mu    T = v * rho / (m_H n_tot)
 *     u       T = v * (gamma - 1) rho / (k n_tot)
 *     rho u   T = v * (gamma - 1) / (k n_tot)
 *
 * so factor = thermal * [rho] / n_tot, with n_tot before the step on the way in and after it on the way out. */
#include "convert.h"
#include "bits.h"
#include "quantities.h"

#include <float.h>
#include <math.h>

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

int convert_in(const surr_plan *p, double *y, double *rho, double nh, double *form)
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
        if (!is_variable(f->kind)) continue;
        int is_species = d->variables[f->target].role == SURR_ROLE_SPECIES;
        y[f->target] /= is_species ? f->scale * form : f->scale;
        good &= is_finite(y[f->target]) && fabs(y[f->target]) <= largest;
    }
    return good;
}

double attempt_cost(const surr_plan *p) { return p->cost_slot >= 0 ? 1.0 / p->slots[p->cost_slot].scale : 0.0; }
