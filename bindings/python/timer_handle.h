/* timer_handle.h: a handle with a deadline. */
#ifndef BIDE_PYTHON_TIMER_HANDLE_H
#define BIDE_PYTHON_TIMER_HANDLE_H

#include "handle.h"

/* A timer is on `scheduled` from its start until it has run or is cancelled. When it
 * fires its call is queued behind what is ready already, as asyncio has it. */
typedef struct timer_handle_object {
  handle_object handle;
  double when_s;
  bide_timer timer;
} timer_handle_object;

/* Sets it for deadline_us; when_s is what when() says. */
void timer_handle_start(timer_handle_object *self, double when_s, uint64_t deadline_us);

#endif
