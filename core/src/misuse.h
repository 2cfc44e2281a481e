/* misuse.h: what only the program itself can have got wrong. */
#ifndef BIDE_SRC_MISUSE_H
#define BIDE_SRC_MISUSE_H

#include <assert.h>

/* True where `wrong` holds: an assert in a debug build, otherwise the caller is to refuse with
 * an error and to change nothing. `wrong` has no side effects: it may be looked at twice. */
#define BIDE__MISUSE(wrong) (assert(!(wrong)), __builtin_expect((wrong), 0))

#endif
