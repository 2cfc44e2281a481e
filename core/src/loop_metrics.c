/* loop_metrics.c: see metrics.h. */
#include <string.h>

#include "loop_struct.h"
#include "memory.h"

/* `probe` waits its turn as any call does; `queued_us` is when it was made ready. Of each kind of
 * operation one at a time is sampled. */
struct bide__timings {
  bide_loop *loop;
  bool on;
  bide_histogram turn, ready_wait;
  bide_histogram operations[BIDE_OP_KIND_COUNT];
  struct {
    const bide_op *op; /* in flight; NULL: the next of its kind is taken */
    uint64_t submitted_us;
  } sampled[BIDE_OP_KIND_COUNT];
  uint64_t queued_us;
  bide_call probe;
};

static void loop_metrics_add(bide_histogram *histogram, uint64_t duration_us) {
  unsigned bucket = duration_us == 0 ? 0 : 64 - (unsigned)__builtin_clzll(duration_us);
  if (bucket >= BIDE_HISTOGRAM_BUCKETS) bucket = BIDE_HISTOGRAM_BUCKETS - 1;
  histogram->counts[bucket]++;
  histogram->sum_us += duration_us;
  if (duration_us > histogram->longest_us) histogram->longest_us = duration_us;
}

static void loop_metrics_probed(bide_call *call) {
  bide__timings *timings = BIDE_CONTAINER_OF(call, bide__timings, probe);
  uint64_t now_us = bide_loop_now_us(timings->loop);
  loop_metrics_add(&timings->ready_wait, now_us - timings->queued_us);
}

/* Alone, the probe would keep the loop from its sleep: it goes behind others only. */
uint64_t bide__loop_begin_timing(bide_loop *loop) {
  bide__timings *timings = loop->timings;
  uint64_t now_us = bide__loop_clock(loop);
  if (!timings->on || timings->probe.state_ != BIDE__CALL_IDLE) return now_us;
  if (bide__ready_count(&loop->head.ready) == 0) return now_us;
  timings->queued_us = now_us;
  (void)bide_loop_call_soon(loop, &timings->probe);
  return now_us;
}

void bide__loop_end_timing(bide_loop *loop, uint64_t began_us) {
  if (loop->timings->on)
    loop_metrics_add(&loop->timings->turn, bide__loop_clock(loop) - began_us);
}

void bide__loop_begin_operation(bide_loop *loop, const bide_op *op) {
  bide__timings *timings = loop->timings;
  if (!timings->on || timings->sampled[op->kind].op != NULL) return;
  timings->sampled[op->kind].op = op;
  timings->sampled[op->kind].submitted_us = bide_loop_now_us(loop);
}

void bide__loop_end_operation(bide_loop *loop, const bide_op *op) {
  bide__timings *timings = loop->timings;
  if (timings->sampled[op->kind].op != op) return;
  timings->sampled[op->kind].op = NULL;
  if (!timings->on) return;
  uint64_t submitted_us = timings->sampled[op->kind].submitted_us;
  loop_metrics_add(&timings->operations[op->kind], bide_loop_now_us(loop) - submitted_us);
}

void bide__loop_free_timings(bide_loop *loop) { bide__free(loop->timings); }

int bide_metrics_time(bide_loop *loop, bool on) {
  if (BIDE__MISUSE(!bide__loop_is_ours(loop))) return BIDE_ETHREAD;
  if (loop->timings == NULL && !on) return 0;
  if (loop->timings == NULL) loop->timings = bide__zalloc(sizeof *loop->timings);
  if (loop->timings == NULL) return BIDE_ENOMEM;
  if (on) {
    loop->timings->turn = loop->timings->ready_wait = (bide_histogram){.sum_us = 0};
    memset(loop->timings->operations, 0, sizeof loop->timings->operations);
    memset(loop->timings->sampled, 0, sizeof loop->timings->sampled);
    loop->timings->probe.cb = loop_metrics_probed;
    loop->timings->loop = loop;
  }
  loop->timings->on = on;
  return 0;
}

void bide_metrics_get(const bide_loop *loop, bide_metrics *metrics) {
  *metrics = loop->metrics;
  if (loop->timings == NULL) return;
  metrics->turn = loop->timings->turn;
  metrics->ready_wait = loop->timings->ready_wait;
}

int bide_metrics_get_operation(const bide_loop *loop, bide_op_kind kind,
                               bide_histogram *histogram) {
  if (BIDE__MISUSE(kind >= BIDE_OP_KIND_COUNT)) return BIDE_EINVAL;
  if (loop->timings == NULL)
    *histogram = (bide_histogram){.sum_us = 0};
  else
    *histogram = loop->timings->operations[kind];
  return 0;
}

uint64_t bide_histogram_quantile_us(const bide_histogram *histogram, double quantile) {
  uint64_t total = 0, seen = 0;
  for (int i = 0; i < BIDE_HISTOGRAM_BUCKETS; i++) total += histogram->counts[i];
  if (total == 0) return 0;
  for (int i = 0; i < BIDE_HISTOGRAM_BUCKETS - 1; i++) {
    seen += histogram->counts[i];
    uint64_t end_us = (UINT64_C(1) << i) - (i > 0);
    if ((double)seen >= quantile * (double)total)
      return end_us < histogram->longest_us ? end_us : histogram->longest_us;
  }
  return histogram->longest_us;
}
