#include <bide/cancel.h>

static void cancel_timeout_expired(bide_timer *timer) {
  bide_timeout *timeout = BIDE_CONTAINER_OF(timer, bide_timeout, timer_);
  if (bide_future_is_settled(timeout->target)) return;
  timeout->expired = true;
  bide_future_cancel(timeout->target);
}

void bide_timeout_start(bide_loop *loop, bide_timeout *timeout, bide_future *target,
                        uint64_t timeout_us) {
  *timeout = (bide_timeout){.target = target, .timer_ = {.cb = cancel_timeout_expired}};
  bide_timer_start(loop, &timeout->timer_, timeout_us);
}

bool bide_timeout_end(bide_loop *loop, bide_timeout *timeout) {
  bide_timer_stop(loop, &timeout->timer_);
  return timeout->expired && timeout->target->state == BIDE_FUTURE_CANCELLED;
}
