/* A model's kernels for one instruction set: compiled once per set with -DSURR_KERNELS=<symbol>, with the generated
 * mechanism.h on the include path. */
#include <stdint.h>

#include "mechfun.h"
#include "mechanism.h"
#include "solver.h"

const surr_kernels SURR_KERNELS = {.lanes = SURR_LANES, .solve = solve, .evaluate = evaluate};
