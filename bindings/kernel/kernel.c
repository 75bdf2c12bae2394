/* A model's kernels for one instruction set: compiled once per set with -DSURR_KERNELS=<symbol>, with the generated
 * mechanism.h (and net.h, where the model has a net: -DSURR_HAS_NET) on the include path. */
#include <stdint.h>

#include "mechfun.h"
#include "mechanism.h"
#include "solver.h"
#ifdef SURR_HAS_NET
#include "net.h"
#include "predict.h"
#define PREDICT predict
#else
#define PREDICT NULL
#endif

const surr_kernels SURR_KERNELS = {.lanes = SURR_LANES, .solve = solve, .evaluate = evaluate, .predict = PREDICT};
