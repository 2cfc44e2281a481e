/* wheel.h: the hierarchical timing wheel behind timer.h.
 *
 * Eleven levels of 64 slots; a slot of level n spans 64^n microseconds, so that the
 * eleven reach over all 64 bits. A timer lies on the lowest level whose span still
 * holds the difference between its deadline and `now`, and moves down as `now` comes
 * near: at most once a level. A bitmap a level says which slots hold timers. The wheel
 * reads no clock: its owner tells it the time. */
#ifndef BIDE_SRC_WHEEL_H
#define BIDE_SRC_WHEEL_H

#include <bide/timer.h>

enum { BIDE__WHEEL_LEVELS = 11, BIDE__WHEEL_SLOTS = 64 };

/* now_us never exceeds the time its owner last told. Timers on `due` are past their
 * deadline and wait for their owner to remove them. count: all timers, those that are due
 * included. */
typedef struct bide__wheel {
  uint64_t now_us;
  size_t count;
  uint64_t occupied[BIDE__WHEEL_LEVELS];
  bide_node slots[BIDE__WHEEL_LEVELS * BIDE__WHEEL_SLOTS]; /* level by level */
  bide_node due;
} bide__wheel;

void bide__wheel_init(bide__wheel *wheel, uint64_t now_us);

/* timer->deadline_us is set; a deadline in the past is due at once (in the order of
 * deadlines among the due ones that were not removed yet). The timer runs on no wheel. */
void bide__wheel_add(bide__wheel *wheel, bide_timer *timer);
void bide__wheel_remove(bide__wheel *wheel, bide_timer *timer);

/* Moves every timer with deadline_us <= now_us to the due list, in order. */
void bide__wheel_advance(bide__wheel *wheel, uint64_t now_us);

/* A time at which the wheel must be advanced next: never later than the first deadline
 * (it may be earlier, when timers must move down a level); UINT64_MAX without timers;
 * 0 when timers are due. O(levels). */
uint64_t bide__wheel_next(const bide__wheel *wheel);

#endif
