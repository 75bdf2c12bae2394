/* A file of harvested cells: a NumPy array of records that grows, and is whole at any time. */
#ifndef SURR_HARVEST_FILE_H
#define SURR_HARVEST_FILE_H
#include "plan.h"

typedef struct harvest_file harvest_file;

int32_t harvest_file_open(const surr_model_desc *d, const char *path, int64_t most, harvest_file **out);
/* A harvest_keeper whose context is a file; by several threads at once. */
void harvest_file_keep(void *context, int64_t n, const double *state, const double *dt, const double *params);
int32_t harvest_file_count(harvest_file *f, int64_t *held, int64_t *drawn);
void harvest_file_close(harvest_file *f); /* NULL is fine */

#endif
