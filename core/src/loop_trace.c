/* loop_trace.c: the trace ring of a loop; see trace.h. */
#include <bide/errno.h>
#include <bide/trace.h>

#include "loop_internal.h"

int bide_trace_start(bide_loop *loop, size_t events_max) {
#if defined(BIDE_NO_TRACE)
  (void)loop;
  (void)events_max;
  return BIDE_EOPNOTSUPP;
#else
  bide__loop_head *head = bide__loop_head_of(loop);
  if (BIDE__MISUSE(!bide__loop_is_ours(loop))) return BIDE_ETHREAD;
  if (head->trace != NULL) return BIDE_EALREADY;
  head->trace = bide__trace_new(events_max, &head->hooks);
  bide__loop_observe(loop);
  return head->trace != NULL ? 0 : BIDE_ENOMEM;
#endif
}

int bide_trace_stop(bide_loop *loop) {
  if (BIDE__MISUSE(!bide__loop_is_ours(loop))) return BIDE_ETHREAD;
  bide__loop_head *head = bide__loop_head_of(loop);
  bide__trace_free(head->trace);
  head->trace = NULL;
  bide__loop_observe(loop);
  return 0;
}

size_t bide_trace_read(bide_loop *loop, bide_trace_event *events, size_t max,
                       uint64_t *lost) {
  bide__trace *trace = bide__loop_trace(loop);
  if (trace != NULL) return bide__trace_take(trace, events, max, lost);
  if (lost != NULL) *lost = 0;
  return 0;
}
