/* metrics.h: what a loop has done, and how long its turns took.
 *
 * The counters are always on: they cost a few additions a turn. The histograms read the clock
 * and are off until asked for: bide_metrics_time. A single late turn shows in them as what it
 * was, since each is counted by its own length and none is averaged away.
 */
#ifndef BIDE_METRICS_H
#define BIDE_METRICS_H

#include "loop.h"

#ifdef __cplusplus
extern "C" {
#endif

/* counts[0] counts what took less than 1 us, counts[i] what took 2^(i-1) us or longer and less
 * than 2^i; the last all that is longer. */
enum { BIDE_HISTOGRAM_BUCKETS = 32 };

typedef struct bide_histogram {
  uint64_t counts[BIDE_HISTOGRAM_BUCKETS];
  uint64_t sum_us;
  uint64_t longest_us;
} bide_histogram;

typedef struct bide_metrics {
  uint64_t turns;       /* dispatches */
  uint64_t waits;       /* times that the kernel was asked */
  uint64_t calls;       /* ready calls that ran, resumes of tasks among them */
  uint64_t completions; /* of operations, delivered to their callbacks */
  uint64_t timers;      /* that fired */
  /* While bide_metrics_time is on: */
  bide_histogram turn;       /* a dispatch, from its beginning to its end */
  bide_histogram ready_wait; /* how long a call waits for its turn: one is sampled at each
                              * dispatch that finds others ready, behind them */
} bide_metrics;

/* Turns the histograms on, which zeroes them, or off, which keeps them. Returns 0 or
 * BIDE_ENOMEM. The loop's thread. */
BIDE_EXTERN int bide_metrics_time(bide_loop *loop, bool on);

/* Copies all out; the histograms are zero if they were never on. The loop's thread. */
BIDE_EXTERN void bide_metrics_get(const bide_loop *loop, bide_metrics *metrics);

/* How long operations of a kind took while bide_metrics_time is on, from their submit to their
 * last completion, waits for a peer included: one at a time of each kind is sampled, so that one
 * that waits for ever costs the others nothing. Zero if it was never on. Returns 0, or
 * BIDE_EINVAL for what is no kind. The loop's thread. */
BIDE_EXTERN int bide_metrics_get_operation(const bide_loop *loop, bide_op_kind kind,
                                           bide_histogram *histogram);

/* The length that a share of what was counted did not exceed: quantile 0.99 is the p99, as the
 * upper end of its bucket. 0 for an empty histogram. Any thread. */
BIDE_EXTERN uint64_t bide_histogram_quantile_us(const bide_histogram *histogram,
                                                double quantile);

#ifdef __cplusplus
}
#endif
#endif
