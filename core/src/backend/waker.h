/* waker.h: how other threads end a loop's wait, with one system call a batch. */
#ifndef BIDE_SRC_BACKEND_WAKER_H
#define BIDE_SRC_BACKEND_WAKER_H

#include <bide/base.h>
#include <stdatomic.h>

/* state, changed by anybody:
 *   AWAKE     the loop will look at its queues before it sleeps: nothing to do
 *   ASLEEP    the loop sleeps, or is about to: the next notifier writes the eventfd
 *   NOTIFIED  somebody has been here since the loop last looked
 * Only the loop's thread leaves NOTIFIED, and only it enters ASLEEP.
 *
 * guests: those between bide__waker_enter and the end of bide__waker_notify. What a guest
 * has handed over may let the loop end before the guest is out: the close waits for it. */
typedef struct bide__waker {
  atomic_int state;
  atomic_uint guests;
  int fd; /* an eventfd, blocking: the ring reads it, epoll watches it */
} bide__waker;

int bide__waker_open(bide__waker *waker);

/* Waits for the guests to leave, but not in a forked child: they are not there to do it. */
void bide__waker_close(bide__waker *waker, bool forked);

/* Before something is handed to the loop's thread; notify or tell follows, as the last touch. Any
 * thread, and signal handlers: both keep errno. */
void bide__waker_enter(bide__waker *waker);
void bide__waker_notify(bide__waker *waker);

/* As notify, for what was handed over by an atomic write of sequential consistency that the
 * loop looks for, in that order, between arm and its sleep: nothing is written where the
 * loop is awake. */
void bide__waker_tell(bide__waker *waker);

/* Before a sleep. False: there was a notification, do not sleep. */
bool bide__waker_arm(bide__waker *waker);

/* After it. True when there was a notification. Look at the queues after this. */
bool bide__waker_disarm(bide__waker *waker);

/* As arm, for a sleep in somebody else's loop, which only sees the fd. */
void bide__waker_arm_fd(bide__waker *waker);

/* Writes the fd: the outer loop is not to sleep. */
void bide__waker_write(bide__waker *waker);

#endif
