#include "floor_marks.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "marks.h"

/* ---- an await ---- */

enum { RING = 256 };

typedef struct floor_task floor_task;

struct floor_task {
  void (*poll)(floor_task *task);
  struct floor_ring *ring;
  floor_task *other;
  bool waits, thrown;
  int resume;
  long left;
};

typedef struct floor_ring {
  floor_task *tasks[RING];
  uint32_t head, tail;
} floor_ring;

static void floor_wake(floor_task *task) {
  task->thrown = true;
  if (!task->waits) return;
  task->waits = false;
  task->ring->tasks[task->ring->tail++ % RING] = task;
}

static void floor_poll(floor_task *self) {
  switch (self->resume) {
    case 0:
      while (self->left-- > 0) {
        self->resume = 1;
        if (!self->thrown) {
          self->waits = true;
          return;
        }
        __attribute__((fallthrough));
        case 1:
          self->thrown = false;
          floor_wake(self->other);
      }
  }
}

double marks_await_floor_ns(long steps) {
  floor_ring ring = {.head = 0};
  floor_task one = {.poll = floor_poll, .ring = &ring, .left = steps / 2};
  floor_task two = one;
  one.other = &two;
  two.other = &one;
  one.thrown = true;
  ring.tasks[ring.tail++] = &one;
  ring.tasks[ring.tail++] = &two;
  double started_ns = marks_cpu_ns();
  while (ring.head != ring.tail) {
    floor_task *next = ring.tasks[ring.head++ % RING];
    next->poll(next);
  }
  return (marks_cpu_ns() - started_ns) / (double)steps;
}

/* ---- timers ---- */

/* As large as a bide_timer. */
typedef struct floor_timer {
  void (*cb)(struct floor_timer *timer);
  uint64_t deadline_us;
  struct floor_timer *next, *prev;
} floor_timer;

static uint32_t floor_scatter(uint32_t i) { return i * 2654435761u; }

marks_timers marks_timer_floor(unsigned count) {
  marks_timers took;
  floor_timer head = {.next = &head, .prev = &head};
  floor_timer *timers = calloc(count, sizeof *timers);
  if (timers == NULL) marks_check(-1, "timers");
  for (uint32_t i = 0; i < count; i++) timers[i].deadline_us = i;
  double started_ns = marks_cpu_ns();
  for (uint32_t i = 0; i < count; i++) {
    floor_timer *timer = &timers[i], *last = head.prev;
    timer->deadline_us = floor_scatter(i);
    timer->next = &head;
    timer->prev = last;
    head.prev = last->next = timer;
  }
  took.start_ns = (marks_cpu_ns() - started_ns) / count;
  started_ns = marks_cpu_ns();
  for (uint32_t i = 0; i < count; i++) {
    floor_timer *timer = &timers[floor_scatter(i) % count];
    if (timer->next == NULL) continue;
    timer->prev->next = timer->next;
    timer->next->prev = timer->prev;
    timer->next = timer->prev = NULL;
  }
  took.stop_ns = (marks_cpu_ns() - started_ns) / count;
  free(timers);
  return took;
}
