/* interval.c: see interval.h. */
#include <bide/interval.h>

#include "loop_internal.h"

int bide_interval_start(bide_loop *loop, bide_interval *interval, uint64_t period_us,
                        bide_missed policy) {
  if (period_us == 0 || policy > BIDE_MISSED_SKIP) return BIDE_EINVAL;
  if (BIDE__MISUSE(!bide__loop_is_ours(loop))) return BIDE_ETHREAD;
  *interval = (bide_interval){.loop = loop, .period_us = period_us, .policy = policy};
  /* As a timer's start: the clock rounds down. */
  interval->due_us = bide__later_us(bide_loop_now_us(loop) + 1, period_us);
  bide_future_init(&interval->sleep_.future, loop);
  return bide_future_cancel(&interval->sleep_.future);
}

/* The tick that is due next, after the policy has dealt with those that were missed: they are
 * the whole periods that lie between it and now. Returns how many it left out. */
static uint64_t interval_catch_up(bide_interval *interval, uint64_t now_us) {
  if (interval->policy == BIDE_MISSED_BURST || now_us < interval->due_us) return 0;
  uint64_t missed = (now_us - interval->due_us) / interval->period_us;
  interval->missed += missed;
  if (interval->policy == BIDE_MISSED_SKIP)
    interval->due_us += missed * interval->period_us;
  else
    interval->due_us = now_us;
  return missed;
}

static void interval_ticked(bide_timer *timer) {
  bide_sleep *sleep = BIDE_CONTAINER_OF(timer, bide_sleep, timer);
  bide_interval *interval = BIDE_CONTAINER_OF(sleep, bide_interval, sleep_);
  uint64_t missed = interval_catch_up(interval, bide_loop_now_us(interval->loop));
  interval->due_us = bide__later_us(interval->due_us, interval->period_us);
  bide_future_resolve(&sleep->future, (intptr_t)missed);
}

bide_future *bide_interval_next(bide_interval *interval) {
  bide_future *future = &interval->sleep_.future;
  if (BIDE__MISUSE(!bide__loop_is_ours(interval->loop))) return future;
  if (!bide_future_is_settled(future)) return future;
  bide_sleep_start(interval->loop, &interval->sleep_, 0);
  interval->sleep_.timer.cb = interval_ticked;
  bide_timer_start_at(interval->loop, &interval->sleep_.timer, interval->due_us);
  return future;
}
