/* Whether the file of a model library is whole. */
#ifndef SURR_LIBRARY_H
#define SURR_LIBRARY_H
#include <stdint.h>

/* Before dlopen: SURR_OK, or what is wrong with the file. digest: tells its content from another. */
int32_t library_check(const char *path, uint64_t digest[2]);

#endif
