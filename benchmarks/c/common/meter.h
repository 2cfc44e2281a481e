/* What another process costs between two looks at it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

enum { METER_THREADS_MAX = 128 };

typedef struct meter {
  clockid_t clock;
  int counters[METER_THREADS_MAX]; /* of system calls, one a thread */
  size_t counter_count;
} meter;

/* False, with errno set, when there is no such process. */
bool meter_open(meter *self, pid_t pid);

/* Begins to count the system calls of the threads that the process has by now, which
 * slows every call of theirs down: not for a run whose CPU time is wanted. False, with
 * errno set, where the kernel grants no tracepoints (to root alone, as a rule). */
bool meter_count_calls(meter *self, pid_t pid);

/* User and system time so far of all its threads, those that have ended too. */
uint64_t meter_cpu_ns(const meter *self);

uint64_t meter_calls(const meter *self);
