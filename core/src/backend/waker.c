/* waker.c: see waker.h. */
#include "waker.h"

#include <errno.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { WAKER_AWAKE, WAKER_ASLEEP, WAKER_NOTIFIED };

int bide__waker_open(bide__waker *waker) {
  atomic_init(&waker->state, WAKER_AWAKE);
  atomic_init(&waker->guests, 0);
  waker->fd = eventfd(0, EFD_CLOEXEC);
  return waker->fd < 0 ? -errno : 0;
}

/* A guest is a few instructions and at most one write from the door. */
void bide__waker_close(bide__waker *waker, bool forked) {
  while (!forked && atomic_load_explicit(&waker->guests, memory_order_acquire) != 0)
    sched_yield();
  close(waker->fd);
}

void bide__waker_enter(bide__waker *waker) {
  atomic_fetch_add_explicit(&waker->guests, 1, memory_order_relaxed);
}

void bide__waker_write(bide__waker *waker) {
  uint64_t one = 1;
  ssize_t written;
  do {
    written = write(waker->fd, &one, sizeof one);
  } while (written < 0 && errno == EINTR);
}

static void waker_leave(bide__waker *waker) {
  atomic_fetch_sub_explicit(&waker->guests, 1, memory_order_release);
}

void bide__waker_notify(bide__waker *waker) {
  int saved = errno;
  if (atomic_exchange(&waker->state, WAKER_NOTIFIED) == WAKER_ASLEEP)
    bide__waker_write(waker);
  waker_leave(waker);
  errno = saved;
}

void bide__waker_tell(bide__waker *waker) {
  if (atomic_load(&waker->state) == WAKER_ASLEEP)
    bide__waker_notify(waker);
  else
    waker_leave(waker);
}

bool bide__waker_arm(bide__waker *waker) {
  int awake = WAKER_AWAKE;
  return atomic_compare_exchange_strong(&waker->state, &awake, WAKER_ASLEEP) ||
         awake == WAKER_ASLEEP;
}

bool bide__waker_disarm(bide__waker *waker) {
  return atomic_exchange(&waker->state, WAKER_AWAKE) == WAKER_NOTIFIED;
}

void bide__waker_arm_fd(bide__waker *waker) {
  if (!bide__waker_arm(waker)) bide__waker_write(waker);
}
