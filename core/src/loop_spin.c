/* loop_spin.c: looking again before sleeping; see spin_us in loop.h.
 *
 * spin_left_us is what is worth trying: all of spin_us after a wait in which, spin and sleep
 * together, something came within that, half as much after each spin that found nothing, so
 * that an idle loop soon does not spin. */
#include "loop_struct.h"

enum { LOOP_SPIN_LEAST_US = 4 };

static bool loop_spin_found(bide_loop *loop) {
  return !bide__inbox_empty(&loop->inbox) || loop->backend->class->peek(loop->backend);
}

bool bide__loop_spin(bide_loop *loop, int64_t timeout_us) {
  uint64_t limit_us = loop->spin_left_us;
  if (timeout_us > 0 && (uint64_t)timeout_us < limit_us) limit_us = (uint64_t)timeout_us;
  uint64_t began_us = bide__loop_clock(loop);
  while (loop->now_us - began_us < limit_us) {
    if (loop_spin_found(loop) || loop->backend->class->wait(loop->backend, 0) < 0)
      return true;
    bide__loop_clock(loop);
  }
  if (loop_spin_found(loop)) return true;
  loop->spin_left_us /= 2;
  if (loop->spin_left_us < LOOP_SPIN_LEAST_US) loop->spin_left_us = 0;
  return false;
}

void bide__loop_waited(bide_loop *loop, uint64_t began_us) {
  if (loop->now_us - began_us < loop->spin_us && loop_spin_found(loop))
    loop->spin_left_us = loop->spin_us;
}
