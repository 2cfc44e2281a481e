/* future_describe.h: what a dump says of a future. */
#ifndef BIDE_SRC_FUTURE_DESCRIBE_H
#define BIDE_SRC_FUTURE_DESCRIBE_H

#include <bide/future.h>

/* What kind of future a pending one is: an operation, a sleep or another. */
void bide__future_describe(const bide_future *future, char *text, size_t bytes);

#endif
