/* trace_ring.h: the ring behind trace.h. A leaf: every file may include it. */
#ifndef BIDE_SRC_TRACE_RING_H
#define BIDE_SRC_TRACE_RING_H

#include <bide/trace.h>

/* head and tail count events for ever; slot = count & mask. Owned by one loop and
 * touched on its thread alone. `hooks` gives the clock. */
typedef struct bide__trace {
  bide_trace_event *events;
  size_t mask;
  uint64_t head; /* the next to be written */
  uint64_t tail; /* the next to be read */
  const bide_hooks *hooks;
} bide__trace;

/* NULL without memory. events_max as in bide_trace_start. */
bide__trace *bide__trace_new(size_t events_max, const bide_hooks *hooks);
void bide__trace_free(bide__trace *trace);
void bide__trace_add(bide__trace *trace, bide_trace_kind kind, const void *id,
                     unsigned argument);
size_t bide__trace_take(bide__trace *trace, bide_trace_event *events, size_t max,
                        uint64_t *lost);

#if defined(BIDE_NO_TRACE)
#define BIDE__TRACE(trace, kind, id, argument) \
  ((void)(trace), (void)(id), (void)(argument))
#else
/* trace: a bide__trace pointer, NULL when tracing is off. */
#define BIDE__TRACE(trace, kind, id, argument) \
  do { \
    if (__builtin_expect((trace) != NULL, 0)) \
      bide__trace_add((trace), (kind), (id), (argument)); \
  } while (0)
#endif

#endif
