/* Plans: the host declares its fields, units and policy once; commit checks that they fit the model. */
#include "plan.h"
#include "bits.h"
#include "error.h"
#include "fpenv.h"
#include "harvest_file.h"
#include "quantities.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_WORD = 256 };

int32_t surr_plan_create(surr_model *m, surr_plan **out)
{
    if (!out) return surr_fail(SURR_E_ARG, "out is NULL: give the address of a surr_plan pointer");
    *out = NULL;
    if (!m) return surr_fail(SURR_E_ARG, "model is NULL: open one first");
    size_t room = (size_t)m->desc->n_state + (size_t)m->desc->n_param + (size_t)count_nameless();
    surr_plan *p = calloc(1, sizeof *p + room * sizeof p->slots[0]);
    if (!p) return surr_fail(SURR_E_NOMEM, "no memory for a plan");
    atomic_init(&p->refs, 1);
    p->model = model_retain(m);
    p->length = p->density = p->time = 1.0;
    p->threads = 1;
    p->net = p->control = 1;
    p->coverage = 0.99;
    p->index_bytes = 4;
    p->isa = ISA_AUTO;
    p->max_attempts = 100000;
    clear_nameless_slots(p);
    *out = p;
    return SURR_OK;
}

surr_plan *plan_retain(const surr_plan *p)
{
    surr_plan *shared = (surr_plan *)p; /* const for the host, counted by us */
    atomic_fetch_add(&shared->refs, 1);
    return shared;
}

void plan_release(surr_plan *p)
{
    if (atomic_fetch_sub(&p->refs, 1) != 1) return;
    harvest_file_close(p->harvest_file);
    model_release(p->model);
    free(p);
}

int32_t surr_plan_free(surr_plan *p)
{
    if (p) plan_release(p);
    return SURR_OK;
}

int32_t plan_check_open(const surr_plan *p)
{
    if (!p) return surr_fail(SURR_E_ARG, "plan is NULL: create one first");
    if (p->committed)
        return surr_fail(SURR_E_STATE, "the plan is committed and cannot change any more: create another");
    return SURR_OK;
}

int32_t surr_plan_units(surr_plan *p, double length_cm, double density_gcc, double time_s)
{
    int32_t code = plan_check_open(p);
    if (code != SURR_OK) return code;
    if (!is_positive(length_cm) || !is_positive(density_gcc) || !is_positive(time_s))
        return surr_fail(SURR_E_ARG, "units are %g cm, %g g/cm^3 and %g s: give positive finite numbers (1 for cgs)",
                         length_cm, density_gcc, time_s);
    p->length = length_cm;
    p->density = density_gcc;
    p->time = time_s;
    return SURR_OK;
}

/* ---- fields ------------------------------------------------------------------------------------------------------ */

static int32_t unknown_name(const surr_model_desc *d, const char *name, int want_state)
{
    char known[512] = "";
    size_t used = 0;
    int32_t n = want_state ? d->n_state : d->n_param;
    for (int32_t k = 0; k < n && used < sizeof known; k++)
        used += (size_t)snprintf(known + used, sizeof known - used, " %s",
                                 want_state ? d->variables[k].name : d->parameters[k].name);
    return surr_fail(SURR_E_FIELD, "%s has no %s \"%s\"; it has:%s", d->name, want_state ? "variable" : "parameter",
                     name, n ? known : " none");
}

static int32_t find_target(const surr_model_desc *d, const char *name, int32_t quantity, int32_t *target)
{
    int want_state = is_variable(kind_of(quantity));
    int32_t n = want_state ? d->n_state : d->n_param;
    int32_t k = 0;
    while (k < n && strcmp(want_state ? d->variables[k].name : d->parameters[k].name, name) != 0) k++;
    if (k == n) return unknown_name(d, name, want_state);
    int32_t role = want_state ? d->variables[k].role : -1;
    if (kind_of(quantity) == KIND_SPECIES && role != SURR_ROLE_SPECIES)
        return surr_fail(SURR_E_UNITS, "\"%s\" of %s is no species, quantity %d does not apply: use SURR_Q_STATE%s",
                         name, d->name, quantity, role == SURR_ROLE_TEMPERATURE ? " or a thermal form" : "");
    if (kind_of(quantity) == KIND_THERMAL && role != SURR_ROLE_TEMPERATURE)
        return surr_fail(SURR_E_UNITS, "\"%s\" of %s is no temperature, quantity %d does not apply: use SURR_Q_STATE%s",
                         name, d->name, quantity, role == SURR_ROLE_SPECIES ? " or a species form" : "");
    *target = k;
    return SURR_OK;
}

static int32_t bind(surr_plan *p, const char *name, int32_t quantity, int32_t *target)
{
    int32_t *lone = nameless_slot(p, quantity);
    *target = 0;
    if (lone) {
        if (*lone >= 0) return surr_fail(SURR_E_FIELD, "quantity %d is bound twice, first as slot %d", quantity, *lone);
        *lone = p->n_slot;
        return SURR_OK;
    }
    int32_t code = find_target(p->model->desc, name, quantity, target);
    for (int32_t s = 0; s < p->n_slot && code == SURR_OK; s++)
        if (!nameless_slot(p, p->slots[s].quantity) && p->slots[s].target == *target &&
            is_variable(p->slots[s].kind) == is_variable(kind_of(quantity)))
            code = surr_fail(SURR_E_FIELD, "\"%s\" is bound twice, first as slot %d", name, s);
    return code;
}

int32_t surr_plan_field(surr_plan *p, const char *name, int32_t name_len, int32_t quantity, double extra_scale,
                        int32_t flags, int32_t *slot_number)
{
    char word[MAX_WORD] = "";
    int32_t target, code = plan_check_open(p);
    if (code != SURR_OK) return code;
    const enum quantity_kind kind = kind_of(quantity);
    if (kind == KIND_NONE) return surr_fail(SURR_E_UNITS, "quantity %d is not one of SURR_Q_*", quantity);
    if (!nameless_slot(p, quantity) && (!copy_string(word, sizeof word, name, name_len) || !word[0]))
        return surr_fail(SURR_E_ARG, "the name of a field is NULL, empty or longer than %d characters", MAX_WORD - 1);
    if (!is_positive(extra_scale))
        return surr_fail(SURR_E_ARG, "extra_scale of \"%s\" is %g: give a positive finite number (1 for none)", word,
                         extra_scale);
    if (flags & ~(SURR_F_INDEXED | SURR_F_INPUT))
        return surr_fail(SURR_E_ARG, "flags %d of \"%s\": only SURR_F_INDEXED and SURR_F_INPUT exist", flags, word);
    code = bind(p, word, quantity, &target);
    if (code != SURR_OK) return code;
    if (kind == KIND_INPUT) flags |= SURR_F_INPUT;
    p->slots[p->n_slot] =
        (slot){.quantity = quantity, .kind = kind, .flags = flags, .target = target, .extra_scale = extra_scale};
    if (slot_number) *slot_number = p->n_slot;
    p->n_slot++;
    return SURR_OK;
}

/* ---- commit ------------------------------------------------------------------------------------------------------ */

static int32_t choose_kernels(surr_plan *p)
{
    const surr_model_desc *d = p->model->desc;
    int32_t isa = p->isa == ISA_AUTO ? best_isa(d) : p->isa;
    if (isa < 0)
        return surr_fail(SURR_E_UNSUPPORTED, "%s has no code for this CPU: export it again on this machine", d->name);
    if (!d->kernels[isa] || !isa_runs_here(isa))
        return surr_fail(SURR_E_UNSUPPORTED, "%s for isa %d: use \"auto\"",
                         d->kernels[isa] ? "this CPU cannot run the code" : "the model has no code", isa);
    p->kernels = d->kernels[isa];
    p->use_net = p->net && p->kernels->predict;
    return SURR_OK;
}

static int32_t check_policy(surr_plan *p)
{
    if (!is_positive(p->rtol))
        return surr_fail(SURR_E_ARG, "\"rtol\" is not set: say which relative error per cell you accept, e.g. "
                                     "surr_plan_set_d(plan, \"rtol\", -1, 1e-2)");
    if (p->fallback == FALLBACK_NONE && !p->use_net)
        return surr_fail(SURR_E_UNSUPPORTED,
                         "\"fallback\" is \"none\", but %s has no net: nothing could be advanced. Use "
                         "\"solver\"",
                         p->model->desc->name);
    return SURR_OK;
}

/* Every variable bound, all species in one form; sets species_form, thermal_form, i_temperature and n_species. */
static int32_t check_fields(surr_plan *p)
{
    const surr_model_desc *d = p->model->desc;
    int32_t form = 0;
    p->thermal_form = SURR_Q_STATE;
    p->i_temperature = -1;
    p->n_species = 0;
    for (int32_t k = 0; k < d->n_state; k++) {
        const surr_variable *v = &d->variables[k];
        int32_t s = 0;
        while (s < p->n_slot && !(is_variable(p->slots[s].kind) && p->slots[s].target == k)) s++;
        if (s == p->n_slot)
            return surr_fail(SURR_E_FIELD, "variable \"%s\" [%s] of %s is not bound: declare it with surr_plan_field",
                             v->name, v->unit, d->name);
        int32_t quantity = p->slots[s].quantity;
        if (v->role == SURR_ROLE_TEMPERATURE) {
            p->i_temperature = k;
            p->thermal_form = quantity;
        } else if (v->role == SURR_ROLE_SPECIES) {
            p->n_species++;
            if (form && form != quantity)
                return surr_fail(SURR_E_UNITS,
                                 "\"%s\" is bound as quantity %d, the species before it as %d: all species of a "
                                 "plan need one form",
                                 v->name, quantity, form);
            form = quantity;
        }
    }
    p->species_form = form;
    return SURR_OK;
}

static int32_t check_conversions(const surr_plan *p)
{
    const surr_model_desc *d = p->model->desc;
    int32_t q = p->species_form, t = p->thermal_form;
    if ((q == SURR_Q_MASS_FRACTION || q == SURR_Q_PER_H_TIMES_RHO) && p->density_slot < 0)
        return surr_fail(SURR_E_FIELD, "species as quantity %d need the gas density: bind a SURR_Q_DENSITY field", q);
    if (q == SURR_Q_PER_H && p->density_slot < 0 && p->nh_slot < 0)
        return surr_fail(SURR_E_FIELD, "species per H need a SURR_Q_NH or a SURR_Q_DENSITY field");
    if (kind_of(t) == KIND_THERMAL && t != SURR_Q_TEMPERATURE && p->n_species == 0)
        return surr_fail(SURR_E_UNITS,
                         "%s has no species, so T does not follow from quantity %d: give SURR_Q_TEMPERATURE", d->name,
                         t);
    if ((t == SURR_Q_EINT_MASS || t == SURR_Q_EINT_VOLUME) && !(d->gamma > 1.0))
        return surr_fail(SURR_E_UNITS,
                         "%s has no adiabatic index, so T does not follow from an energy: give SURR_Q_TEMPERATURE or "
                         "SURR_Q_T_OVER_MU",
                         d->name);
    return SURR_OK;
}

static int32_t set_scales(surr_plan *p)
{
    const surr_model_desc *d = p->model->desc;
    for (int32_t i = 0; i < p->n_slot; i++) {
        slot *s = &p->slots[i];
        s->scale = s->extra_scale * unit_of(p, s->quantity);
        if (s->quantity == SURR_Q_MASS_DENSITY || s->quantity == SURR_Q_MASS_FRACTION)
            s->scale /= d->variables[s->target].mass;
        if (!is_positive(s->scale))
            return surr_fail(SURR_E_UNITS,
                             "slot %d: its unit in cgs is %g, out of the range of a double. Check surr_plan_units and "
                             "extra_scale",
                             i, s->scale);
    }
    double per_k = (d->gamma - 1.0) / d->k_boltzmann;
    p->thermal = p->thermal_form == SURR_Q_T_OVER_MU ? 1.0 / d->mass_hydrogen : per_k;
    return SURR_OK;
}

/* Model, kernels and options. Not the threads, nor the host's fields and units: they may differ between ranks. */
static uint64_t fingerprint(const surr_plan *p)
{
    int32_t isa = 0;
    while (isa < SURR_N_ISA && p->model->desc->kernels[isa] != p->kernels) isa++;
    const double reals[] = {p->options.rtol, p->options.atol_frac, p->audit, p->max_step * p->time, p->coverage};
    const int64_t integers[] = {p->options.max_attempts, isa, p->use_net, p->fallback, p->on_failure};
    uint64_t h = hash_bytes(HASH_START, p->model->digest, sizeof p->model->digest);
    h = hash_bytes(h, reals, sizeof reals);
    return hash_bytes(h, integers, sizeof integers);
}

int32_t surr_plan_commit(surr_plan *p)
{
    int32_t code = plan_check_open(p);
    if (code != SURR_OK) return code;
    fp_state host = fp_enter();
    code = choose_kernels(p);
    if (code == SURR_OK) code = check_policy(p);
    if (code == SURR_OK) code = check_fields(p);
    if (code == SURR_OK) code = check_conversions(p);
    if (code == SURR_OK) code = set_scales(p);
    fp_leave(host);
    if (code != SURR_OK) return code;
    p->options = (surr_solver_options){
        .rtol = p->rtol,
        .atol_frac = is_positive(p->atol_frac) ? p->atol_frac : 1e-10 * p->rtol,
        .max_attempts = p->max_attempts,
    };
    p->fingerprint = fingerprint(p);
    p->committed = 1;
    return SURR_OK;
}
