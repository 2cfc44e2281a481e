/* timer_handle.h: a handle with a deadline. */
#ifndef BIDE_PYTHON_TIMER_HANDLE_H
#define BIDE_PYTHON_TIMER_HANDLE_H

#include "handle.h"

/* A timer is on `scheduled` from its start until it has run or is cancelled. When it
 * fires its call is queued behind what is ready already, as asyncio has it. */
struct timer_handle_object {
  handle_object handle; /* its _when slot holds the time if that was given as no float */
  double when_s;
};

/* Starts a new timer for when_s of the loop's clock, which is at now_s. 0, or -1 with
 * MemoryError. */
int timer_handle_start(timer_handle_object *self, double when_s, double now_s);

/* Sets one that is on `scheduled` in the core's wheel. */
void timer_handle_set(timer_handle_object *self, double now_s);

/* Takes it out again. */
void timer_handle_unset(timer_handle_object *self);

#endif
