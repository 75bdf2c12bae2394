/* What a host's field can be: surrogate_codes.def. */
#ifndef SURR_QUANTITIES_H
#define SURR_QUANTITIES_H
#include "plan.h"

enum quantity_kind kind_of(int32_t quantity); /* KIND_NONE: there is no such quantity */
static inline int is_variable(enum quantity_kind kind) { return kind <= KIND_STATE; }

/* Code unit of a quantity in cgs. */
double unit_of(const surr_plan *p, int32_t quantity);
/* Where the slot number of a quantity without a name is kept, NULL for the others. */
int32_t *nameless_slot(surr_plan *p, int32_t quantity);
/* None of them is bound yet. */
void clear_nameless_slots(surr_plan *p);
int32_t count_nameless(void);

#endif
