#include "floor_marks.h"

#include <bide/errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

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

static void floor_push(floor_ring *ring, floor_task *task) {
  ring->tasks[ring->tail++ % RING] = task;
}

static void floor_run(floor_ring *ring) {
  while (ring->head != ring->tail) {
    floor_task *next = ring->tasks[ring->head++ % RING];
    next->poll(next);
  }
}

static void floor_wake(floor_task *task) {
  task->thrown = true;
  if (!task->waits) return;
  task->waits = false;
  floor_push(task->ring, task);
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
  floor_push(&ring, &one);
  floor_push(&ring, &two);
  double started_ns = marks_cpu_ns();
  floor_run(&ring);
  return (marks_cpu_ns() - started_ns) / (double)steps;
}

/* ---- a spawn ---- */

typedef struct floor_parent {
  floor_task task, child;
} floor_parent;

static void floor_child_poll(floor_task *self) { floor_wake(self->other); }

static void floor_parent_poll(floor_task *self) {
  floor_task *child = &((floor_parent *)self)->child;
  switch (self->resume) {
    case 0:
      while (self->left-- > 0) {
        *child =
            (floor_task){.poll = floor_child_poll, .ring = self->ring, .other = self};
        floor_push(self->ring, child);
        self->resume = 1;
        self->waits = true;
        return;
        case 1:
          self->thrown = false;
      }
  }
}

double marks_spawn_floor_ns(long steps) {
  floor_ring ring = {.head = 0};
  floor_parent parent = {
      .task = {.poll = floor_parent_poll, .ring = &ring, .left = steps}};
  floor_push(&ring, &parent.task);
  double started_ns = marks_cpu_ns();
  floor_run(&ring);
  return (marks_cpu_ns() - started_ns) / (double)steps;
}

/* ---- a system call ---- */

double marks_syscall_ns(long count) {
  double started_ns = marks_cpu_ns();
  for (long i = 0; i < count; i++) syscall(SYS_getppid);
  return (marks_cpu_ns() - started_ns) / (double)count;
}

/* ---- an offload ---- */

enum { FLOOR_JOBS = 1024, CACHE_LINE = 64 };

typedef struct floor_job {
  intptr_t (*run)(struct floor_job *job);
  intptr_t value;
} floor_job;

/* One thread puts, the other takes; as many as there are jobs, so that it is never full. */
typedef struct floor_way {
  alignas(CACHE_LINE) _Atomic(size_t) put;
  alignas(CACHE_LINE) size_t taken;
  floor_job *jobs[FLOOR_JOBS];
} floor_way;

typedef struct floor_offload {
  floor_way there, back;
  atomic_bool over;
} floor_offload;

static void floor_put(floor_way *way, floor_job *job) {
  size_t put = atomic_load_explicit(&way->put, memory_order_relaxed);
  way->jobs[put % FLOOR_JOBS] = job;
  atomic_store_explicit(&way->put, put + 1, memory_order_release);
}

/* NULL where there is none. */
static floor_job *floor_take(floor_way *way) {
  if (atomic_load_explicit(&way->put, memory_order_acquire) == way->taken) return NULL;
  return way->jobs[way->taken++ % FLOOR_JOBS];
}

static intptr_t floor_nothing(floor_job *job) {
  (void)job;
  return 0;
}

static void *floor_worker(void *argument) {
  floor_offload *self = argument;
  while (!atomic_load_explicit(&self->over, memory_order_relaxed)) {
    floor_job *job = floor_take(&self->there);
    if (job == NULL) {
      sched_yield();
      continue;
    }
    job->value = job->run(job);
    floor_put(&self->back, job);
  }
  return NULL;
}

double marks_offload_floor_ns(int lanes, long count) {
  floor_offload self = {.over = false};
  static floor_job jobs[FLOOR_JOBS];
  pthread_t thread;
  if (lanes > FLOOR_JOBS) marks_check(BIDE_EINVAL, "lanes");
  marks_check(-pthread_create(&thread, NULL, floor_worker, &self), "thread");
  double started_ns = marks_wall_ns();
  for (int i = 0; i < lanes; i++) {
    jobs[i].run = floor_nothing;
    floor_put(&self.there, &jobs[i]);
  }
  for (long ended = 0; ended < count;) {
    floor_job *job = floor_take(&self.back);
    if (job == NULL) {
      sched_yield();
      continue;
    }
    if (++ended + lanes <= count) floor_put(&self.there, job);
  }
  double took_ns = marks_wall_ns() - started_ns;
  atomic_store(&self.over, true);
  pthread_join(thread, NULL);
  return took_ns / (double)count;
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
