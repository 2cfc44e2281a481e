/* loop_park.c: a loop that lives inside another one; see loop.h. */
#include "loop_internal.h"

int bide_loop_park(bide_loop *loop) {
  int error = bide_loop_flush(loop);
  if (error == 0) bide__ready_park(&bide__loop_head_of(loop)->ready);
  return error;
}
