/* debug.h: what goes wrong without an error: tasks that nobody awaits, cancels that somebody
 * swallows, callbacks that hold the loop; and a dump of who waits on what.
 *
 *   bide_debug_options options = BIDE_DEBUG_OPTIONS_INIT;
 *   options.report = on_report;
 *   bide_debug_start(loop, &options);
 *
 * Off, it costs a branch a resume. On, each spawn is kept in a table with its file and line,
 * which bide_task_spawn passes along, and each callback costs two looks at the clock: for
 * development, and for the hour in which a server misbehaves.
 */
#ifndef BIDE_DEBUG_H
#define BIDE_DEBUG_H

#include "task.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum bide_debug_kind {
  /* A task has ended and nobody has awaited it, nor was it detached, nor does its `finished`
   * tell of its end. Told when that is certain: when its frame is used again, when debugging
   * stops, or the loop closes. */
  BIDE_DEBUG_UNAWAITED = 0,
  /* A cancel was delivered to a task that then ended with success. It may have meant to. */
  BIDE_DEBUG_SWALLOWED,
  /* A callback, a task's resume included, held the loop for slow_us or longer. */
  BIDE_DEBUG_SLOW
} bide_debug_kind;

typedef struct bide_debug_report {
  bide_debug_kind kind;
  const char *place; /* "file.c:12" of the task's spawn; "" for what is no task */
  const char *name;  /* the task's, "" without one or for a task that has ended */
  /* The line after which a task was resumed (0 for its beginning): with SLOW, the slow
   * stretch begins there, in the file of its poll function. */
  unsigned line;
  void (*function)(void); /* the poll function or callback, for a symbolizer */
  uint64_t duration_us;   /* SLOW alone */
} bide_debug_report;

typedef struct bide_debug_options {
  uint32_t size;    /* sizeof(bide_debug_options) */
  uint64_t slow_us; /* 0: no callback is slow */
  void (*report)(void *user, const bide_debug_report *report); /* the loop's thread */
  void *user;
} bide_debug_options;

/* A hundred milliseconds, as asyncio's debug mode has it. */
#define BIDE_DEBUG_OPTIONS_INIT {sizeof(bide_debug_options), 100000, NULL, NULL}

/* From now on; tasks spawned before are not known. Returns 0, BIDE_ENOMEM, BIDE_EALREADY, or
 * BIDE_EINVAL for options without a report. The loop's thread. */
BIDE_EXTERN int bide_debug_start(bide_loop *loop, const bide_debug_options *options);

/* Reports what is certain now, and forgets all. Harmless when off. A loop that closes does
 * it. Returns 0. The loop's thread. */
BIDE_EXTERN int bide_debug_stop(bide_loop *loop);

/* Writes a line for each task that debug knows and that has not ended: where it was spawned,
 * its name, the line at which it stands, and what it waits for: another task by its place, an
 * operation by kind and fd, a sleep by what is left of it. Then one for the loop. fd may be a
 * file, a pipe or a terminal; it is written to as it is, blocking. Returns how many tasks, or
 * the error of a write; 0 with debug off. The loop's thread. */
BIDE_EXTERN int bide_debug_dump(bide_loop *loop, int fd);

/* The same soon, on the loop's thread, asked for by anybody: any thread, and signal handlers.
 * A program installs its own:
 *
 *   static void on_usr1(int number) { (void)number; bide_debug_request_dump(&dump); }
 *
 * Several requests before the loop comes to it are one. */
typedef struct bide_debug_dumper {
  bide_loop *loop; /* public: set these two before the first request; zero the rest */
  int fd;
  /* private */
  bide_call call_;
  int requested_;
} bide_debug_dumper;

BIDE_EXTERN void bide_debug_request_dump(bide_debug_dumper *dumper);

#ifdef __cplusplus
}
#endif
#endif
