/* The harvest: cells of a run, as they come, for a net to be trained on. */
#ifndef SURR_HARVEST_H
#define SURR_HARVEST_H
#include "scratch.h"

/* Draws from the m cells of a block, which are as they came; error (NULL: there is no net) is below 0 for those that
 * the gauge leaves to the solver. */
void harvest_cells(const surr_plan *p, scratch *s, const float *error);
/* Hands what was drawn to the keeper. */
void harvest_hand_over(const surr_plan *p, scratch *s);

#endif
