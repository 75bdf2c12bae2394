/* Every quantity a host may have, against formulas written down here a second time. */
#include "check.h"

#include <math.h>

enum { N_FORM = 5, N_THERMAL = 4, MAX_SLOT = 8 };
static const int32_t species_forms[] = {SURR_Q_NUMBER_DENSITY, SURR_Q_MASS_DENSITY, SURR_Q_MASS_FRACTION, SURR_Q_PER_H,
                                        SURR_Q_PER_H_TIMES_RHO};
static const int32_t thermal_forms[] = {SURR_Q_TEMPERATURE, SURR_Q_T_OVER_MU, SURR_Q_EINT_MASS, SURR_Q_EINT_VOLUME};
static const double M_H = 1.6735e-24, K_B = 1.380649e-16, GAMMA = 5.0 / 3.0; /* as in toy_model.c */
static const double LENGTH = 3.1e18, DENSITY = 2.3e-24, TIME = 3.2e13;       /* code units in cgs */

/* Gas of the host: A and B of the model plus, where it has a density field, `unseen` mass that the model ignores. */
typedef struct gas {
    double a, b, temp, unseen, nh;
} gas;

static double rho_of(const gas *g) { return M_H * (2 * g->a + g->b) + g->unseen; }

static double species_value(const gas *g, int32_t form, double n, double mass)
{
    switch (form) {
    case SURR_Q_NUMBER_DENSITY: return n * LENGTH * LENGTH * LENGTH;
    case SURR_Q_MASS_DENSITY: return n * mass / DENSITY;
    case SURR_Q_MASS_FRACTION: return n * mass / rho_of(g);
    case SURR_Q_PER_H: return n / g->nh;
    default: return rho_of(g) / DENSITY * n / g->nh;
    }
}

static double thermal_value(const gas *g, int32_t form)
{
    double n_total = g->a + g->b, mu = rho_of(g) / (n_total * M_H), velocity = LENGTH / TIME;
    double energy = n_total * K_B * g->temp / (GAMMA - 1); /* per volume */
    switch (form) {
    case SURR_Q_TEMPERATURE: return g->temp;
    case SURR_Q_T_OVER_MU: return g->temp / mu;
    case SURR_Q_EINT_MASS: return energy / rho_of(g) / (velocity * velocity);
    default: return energy / (DENSITY * velocity * velocity);
    }
}

static int is_close(double x, double y) { return fabs(x - y) <= 1e-13 * fabs(y); }

/* One combination of forms, with or without density and n_H fields, evolved by dt (in code units). */
static void test_forms(surr_model *toy, int32_t form, int32_t thermal, int with_rho, int with_nh, double rate)
{
    gas before = {.a = 3.0, .b = 5.0, .temp = 250.0, .nh = with_nh ? 12.0 : 11.0};
    before.unseen =
        with_rho && with_nh ? 2.5e-24 : 0.0;        /* n_H follows from rho only if the species make up all of it */
    double dt = 0.02, cooling = 1e-13, scale = 4.0; /* extra scale on the thermal field */
    double left = exp(-rate * (2 * before.a + before.b) * dt * TIME);
    gas after = before;
    after.a = before.a * left;
    after.b = before.b + 2 * before.a * (1 - left);
    after.temp = 10 + (before.temp - 10) * exp(-cooling * dt * TIME);

    surr_plan *plan;
    REQUIRE(surr_plan_create(toy, &plan) == SURR_OK);
    CHECK(surr_plan_units(plan, LENGTH, DENSITY, TIME) == SURR_OK);
    CHECK(surr_plan_field(plan, "T", 1, thermal, scale, 0, NULL) == SURR_OK);
    CHECK(surr_plan_field(plan, "B", 1, form, 1.0, 0, NULL) == SURR_OK);
    CHECK(surr_plan_field(plan, "A", 1, form, 1.0, 0, NULL) == SURR_OK);
    CHECK(surr_plan_field(plan, "rate", -1, SURR_Q_PARAM, 1.0, 0, NULL) == SURR_OK);
    CHECK(surr_plan_field(plan, "cooling", -1, SURR_Q_PARAM, 1.0, 0, NULL) == SURR_OK);
    double q[MAX_SLOT] = {thermal_value(&before, thermal) / scale, species_value(&before, form, before.b, M_H),
                          species_value(&before, form, before.a, 2 * M_H), rate, cooling};
    int n_slot = 5;
    if (with_rho) {
        CHECK(surr_plan_field(plan, NULL, 0, SURR_Q_DENSITY, 1.0, 0, NULL) == SURR_OK);
        q[n_slot++] = rho_of(&before) / DENSITY;
    }
    if (with_nh) {
        CHECK(surr_plan_field(plan, "", 0, SURR_Q_NH, 1.0, 0, NULL) == SURR_OK);
        q[n_slot++] = before.nh * LENGTH * LENGTH * LENGTH;
    }
    CHECK(surr_plan_set_d(plan, "rtol", -1, 1e-2) == SURR_OK);
    int needs_rho = form == SURR_Q_MASS_FRACTION || form == SURR_Q_PER_H_TIMES_RHO;
    if ((needs_rho && !with_rho) || (form == SURR_Q_PER_H && !with_rho && !with_nh)) {
        CHECK(surr_plan_commit(plan) == SURR_E_FIELD);
    } else {
        double inputs[MAX_SLOT];
        surr_work *work = commit(plan);
        memcpy(inputs, q, sizeof q);
        CHECK(surr_step_cell(plan, work, dt, q, NULL) == SURR_OK);
        CHECK(is_close(q[0], thermal_value(&after, thermal) / scale));
        CHECK(is_close(q[1], species_value(&after, form, after.b, M_H)));
        CHECK(is_close(q[2], species_value(&after, form, after.a, 2 * M_H)));
        CHECK(memcmp(q + 3, inputs + 3, (size_t)(n_slot - 3) * sizeof q[0]) == 0);
        surr_work_free(work);
    }
    surr_plan_free(plan);
}

/* A system without species: values pass as they are. */
static void test_state_as_it_is(surr_model *other)
{
    const field fields[] = {{"A", SURR_Q_STATE, 0}, {"B", SURR_Q_STATE, 0}, {"T", SURR_Q_STATE, 0}};
    surr_plan *plan = open_plan(other, fields, 3);
    CHECK(surr_plan_units(plan, LENGTH, DENSITY, 1.0) == SURR_OK);
    surr_work *work = commit(plan);
    double q[3] = {0.0, 0.0, 250.0}; /* no species, so no density either: zero is a value like others */
    CHECK(surr_step_cell(plan, work, 100.0, q, NULL) == SURR_OK);
    CHECK(q[0] == 0.0 && q[1] == 0.0 && is_close(q[2], 10 + 240 * exp(-5e-4 * 100.0)));
    surr_work_free(work);
    surr_plan_free(plan);
}

int main(int argc, char **argv)
{
    REQUIRE(argc == 2);
    surr_model *toy = open_toy(argv[1], "toy"), *other = open_toy(argv[1], "toy_other");
    for (int i = 0; i < N_FORM; i++)
        for (int j = 0; j < N_THERMAL; j++)
            for (int with = 0; with < 4; with++)
                for (int moving = 0; moving < 2; moving++)
                    test_forms(toy, species_forms[i], thermal_forms[j], with & 1, with >> 1, moving ? 1e-13 : 0.0);
    test_state_as_it_is(other);
    surr_model_close(toy);
    surr_model_close(other);
    return report("units");
}
