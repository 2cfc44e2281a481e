/* waker.c: see waker.h. */
#include "waker.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { WAKER_AWAKE, WAKER_ASLEEP, WAKER_NOTIFIED };

int bide__waker_open(bide__waker *waker) {
  atomic_init(&waker->state, WAKER_AWAKE);
  waker->fd = eventfd(0, EFD_CLOEXEC);
  return waker->fd < 0 ? -errno : 0;
}

void bide__waker_close(bide__waker *waker) { close(waker->fd); }

static void waker_write(bide__waker *waker) {
  uint64_t one = 1;
  ssize_t written;
  do {
    written = write(waker->fd, &one, sizeof one);
  } while (written < 0 && errno == EINTR);
}

void bide__waker_notify(bide__waker *waker) {
  int saved = errno;
  if (atomic_exchange(&waker->state, WAKER_NOTIFIED) == WAKER_ASLEEP) waker_write(waker);
  errno = saved;
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
  if (!bide__waker_arm(waker)) waker_write(waker);
}
