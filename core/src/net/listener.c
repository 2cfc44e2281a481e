/*             start
 *   STOPPED --------> ACCEPTING --EMFILE and the like--> PAUSED --timer--> ACCEPTING
 *      ^                  | stop                           | stop
 *      +--op completed-- STOPPING                          +--> STOPPED
 *
 * The op is in flight in ACCEPTING and STOPPING, the timer runs in PAUSED. Between the
 * last completion of one accept and the next accept the state says ACCEPTING too, while
 * the caller is told of the connection: a stop from there finds no op to cancel, and the
 * listener ends when the caller has returned. */
#include <bide/net.h>

#include "../loop_internal.h"

enum { LISTENER_STOPPED = 0, LISTENER_ACCEPTING, LISTENER_PAUSED, LISTENER_STOPPING };
enum { LISTENER_BACKOFF_US = 1000000 };

/* Its last touch: the callee may free it. */
static void listener_ended(bide_listener *listener) {
  listener->state_ = LISTENER_STOPPED;
  if (listener->on_stopped != NULL) listener->on_stopped(listener);
}

/* A stop from the callback finds nothing in flight and changes nothing. */
static void listener_failed(bide_listener *listener, int error) {
  listener->cb(listener, error);
  listener_ended(listener);
}

static int listener_accept(bide_listener *listener) {
  bide_prep_accept_multi(&listener->op_, listener->fd);
  return bide_loop_submit(listener->loop, &listener->op_);
}

static void listener_accept_again(bide_listener *listener) {
  int result = listener_accept(listener);
  if (result < 0) listener_failed(listener, result);
}

static void listener_backoff_over(bide_timer *timer) {
  bide_listener *listener = BIDE_CONTAINER_OF(timer, bide_listener, timer_);
  listener->state_ = LISTENER_ACCEPTING;
  listener_accept_again(listener);
}

/* Something that others must give back first; to try again at once would only spin. */
static bool listener_is_shortage(int error) {
  return error == BIDE_EMFILE || error == BIDE_ENFILE || error == BIDE_ENOBUFS ||
         error == BIDE_ENOMEM;
}

/* The new connection failed, not the socket that listens: accept(2) passes on what the
 * network had in store for that connection. */
static bool listener_is_peers(int error) {
  switch (error) {
    case BIDE_ECONNABORTED:
    case BIDE_ECONNRESET:
    case BIDE_EINTR:
    case BIDE_EPERM: /* a firewall's rule */
    case BIDE_EPROTO:
    case BIDE_ETIMEDOUT:
    case BIDE_ENETDOWN:
    case BIDE_ENETUNREACH:
    case BIDE_EHOSTDOWN:
    case BIDE_EHOSTUNREACH:
      return true;
    default:
      return false;
  }
}

/* The callback comes last: it may stop the listener, which ends a pause at once. */
static void listener_pause(bide_listener *listener, int error) {
  listener->state_ = LISTENER_PAUSED;
  bide_timer_start(
      listener->loop, &listener->timer_,
      listener->backoff_us != 0 ? listener->backoff_us : LISTENER_BACKOFF_US);
  listener->cb(listener, error);
}

static void listener_completed(bide_op *op) {
  bide_listener *listener = BIDE_CONTAINER_OF(op, bide_listener, op_);
  int result = op->result;
  bool more = (op->flags & BIDE_OP_MORE) != 0;
  bool stopping = listener->state_ == LISTENER_STOPPING;
  if (result < 0 && !stopping && !more) {
    if (listener_is_shortage(result)) {
      listener_pause(listener, result);
      return;
    }
    if (!listener_is_peers(result)) {
      listener_failed(listener, result);
      return;
    }
  }
  if (result >= 0 || !stopping) listener->cb(listener, result);
  if (more) return;
  if (listener->state_ == LISTENER_STOPPING) {
    listener_ended(listener);
  } else {
    listener_accept_again(listener);
  }
}

int bide_listener_start(bide_loop *loop, bide_listener *listener, int fd) {
  if (BIDE__MISUSE(listener->cb == NULL)) return BIDE_EINVAL;
  if (BIDE__MISUSE(listener->state_ != LISTENER_STOPPED)) return BIDE_EALREADY;
  listener->loop = loop;
  listener->fd = fd;
  listener->op_ = (bide_op){.cb = listener_completed};
  listener->timer_ = (bide_timer){.cb = listener_backoff_over};
  int result = listener_accept(listener);
  listener->state_ = result < 0 ? LISTENER_STOPPED : LISTENER_ACCEPTING;
  return result;
}

void bide_listener_stop(bide_listener *listener) {
  if (listener->state_ == LISTENER_STOPPED ||
      BIDE__MISUSE(!bide__loop_is_ours(listener->loop)))
    return;
  if (listener->state_ == LISTENER_ACCEPTING) {
    listener->state_ = LISTENER_STOPPING;
    bide_loop_cancel(listener->loop, &listener->op_);
  } else if (listener->state_ == LISTENER_PAUSED) {
    bide_timer_stop(listener->loop, &listener->timer_);
    listener_ended(listener);
  }
}
