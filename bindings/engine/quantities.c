/* The quantities of surrogate_codes.def: who reads and writes them, and what their code units are. */
#include "quantities.h"

#include <stddef.h>

enum unit { PURE, PER_VOLUME, DENSITY, SPECIFIC_ENERGY, ENERGY_DENSITY, TIME };

typedef struct row {
    int32_t quantity;
    enum quantity_kind kind;
    enum unit unit;
    size_t slot; /* offset of its slot number in a plan */
} row;

static const row rows[] = {
#define SURR_QUANTITY(NAME, VALUE, KIND, UNIT, SLOT) {VALUE, KIND_##KIND, UNIT, offsetof(surr_plan, SLOT##_slot)},
#include "surrogate_codes.def"
};
enum { N_ROW = sizeof rows / sizeof rows[0] };

static const row *find(int32_t quantity)
{
    for (int i = 0; i < N_ROW; i++)
        if (rows[i].quantity == quantity) return &rows[i];
    return NULL;
}

enum quantity_kind kind_of(int32_t quantity)
{
    const row *r = find(quantity);
    return r ? r->kind : KIND_NONE;
}

int32_t *nameless_slot(surr_plan *p, int32_t quantity)
{
    const row *r = find(quantity);
    return r && r->slot != offsetof(surr_plan, none_slot) ? (int32_t *)((char *)p + r->slot) : NULL;
}

void clear_nameless_slots(surr_plan *p)
{
    for (int i = 0; i < N_ROW; i++)
        if (nameless_slot(p, rows[i].quantity)) *nameless_slot(p, rows[i].quantity) = -1;
}

int32_t count_nameless(void)
{
    int32_t n = 0;
    for (int i = 0; i < N_ROW; i++) n += rows[i].slot != offsetof(surr_plan, none_slot);
    return n;
}

double unit_of(const surr_plan *p, int32_t quantity)
{
    const double velocity = p->length / p->time;
    const row *r = find(quantity);
    switch (r ? r->unit : PURE) {
    case PER_VOLUME: return 1.0 / (p->length * p->length * p->length);
    case DENSITY: return p->density;
    case SPECIFIC_ENERGY: return velocity * velocity;
    case ENERGY_DENSITY: return p->density * velocity * velocity;
    case TIME: return p->time;
    case PURE: break;
    }
    return 1.0;
}
