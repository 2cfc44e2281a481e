/* trace.h: a ring of fixed 16-byte events that a loop writes when asked.
 *
 * Off, it costs one predictable branch an event; on, a clock read and one
 * store. The newest events win: the ring overwrites its oldest. A build with
 * -DBIDE_NO_TRACE leaves it out (for benchmarks alone).
 */
#ifndef BIDE_TRACE_H
#define BIDE_TRACE_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, what `id` and `argument` are). */
#define BIDE_TRACE_KINDS(X) \
  X(OP_SUBMIT, "op, kind") \
  X(OP_COMPLETE, "op, kind") \
  X(OP_CANCEL, "op, kind") \
  X(TASK_SPAWN, "task, 0") \
  X(TASK_RESUME, "task, 0") \
  X(TASK_DONE, "task, 0 or 1 for an error") \
  X(TIMER_START, "timer, 0") \
  X(TIMER_FIRE, "timer, 0") \
  X(TIMER_STOP, "timer, 0") \
  X(OFFLOAD_SUBMIT, "work, 0") \
  X(OFFLOAD_DONE, "work, 0") \
  X(POLL_BEGIN, "0, 1 if it may block") \
  X(POLL_END, "0, completions seen, at most 65535") \
  X(CANCEL, "task, 0")

typedef enum bide_trace_kind {
#define BIDE_TRACE_X(name, text) BIDE_TRACE_##name,
  BIDE_TRACE_KINDS(BIDE_TRACE_X)
#undef BIDE_TRACE_X
  BIDE_TRACE_KIND_COUNT
} bide_trace_kind;

typedef struct bide_trace_event {
  uint32_t time_us;  /* low 32 bits of the loop's clock */
  uint16_t kind;     /* a bide_trace_kind */
  uint16_t argument; /* as BIDE_TRACE_KINDS says */
  uint64_t id;       /* the address of the op, task, timer or work */
} bide_trace_event;

/* Starts tracing into a ring of `events_max` events (rounded up to a power of
 * two, at least 16). Returns 0, BIDE_ENOMEM, BIDE_EALREADY if it is on, or
 * BIDE_EOPNOTSUPP in a build without trace. The loop's thread. */
BIDE_EXTERN int bide_trace_start(bide_loop *loop, size_t events_max);

/* Stops tracing and frees the ring. Harmless when off. Returns 0. The loop's thread. */
BIDE_EXTERN int bide_trace_stop(bide_loop *loop);

/* Copies the oldest events not read yet into `events`, at most `max`, and
 * returns how many; *lost (may be NULL) is how many were overwritten unread
 * since the last call. The loop's thread. */
BIDE_EXTERN size_t bide_trace_read(bide_loop *loop, bide_trace_event *events,
                                   size_t max, uint64_t *lost);

/* "OP_SUBMIT" and so on; "?" for a number that is no kind. Any thread. */
BIDE_EXTERN const char *bide_trace_kind_name(unsigned kind);

#ifdef __cplusplus
}
#endif
#endif
