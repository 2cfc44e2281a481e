/* epoll_wait.c: see epoll_wait.h. */
#include "epoll_wait.h"

#include <errno.h>
#include <limits.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#if !defined(SYS_epoll_pwait2)
enum { SYS_epoll_pwait2 = 441 };
#endif

void bide__epoll_waiter_close(bide__epoll_waiter *waiter) {
  if (waiter->timer_fd >= 0) close(waiter->timer_fd);
}

static bool epoll_wait_open_timer(bide__epoll_waiter *waiter, int set_fd) {
  if (waiter->timer_fd >= 0) return true;
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (fd < 0) return false;
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = EPOLL_DATA_TIMER};
  if (epoll_ctl(set_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
    close(fd);
    return false;
  }
  waiter->timer_fd = fd;
  return true;
}

static int epoll_wait_timerfd(bide__epoll_waiter *waiter, int set_fd,
                              struct epoll_event *events, int max, int64_t timeout_us) {
  struct itimerspec spec = {
      .it_value = {timeout_us / 1000000, timeout_us % 1000000 * 1000}};
  if (epoll_wait_open_timer(waiter, set_fd) &&
      timerfd_settime(waiter->timer_fd, 0, &spec, NULL) == 0)
    return epoll_wait(set_fd, events, max, -1);
  int64_t timeout_ms = (timeout_us + 999) / 1000;
  return epoll_wait(set_fd, events, max,
                    timeout_ms < INT_MAX ? (int)timeout_ms : INT_MAX);
}

int bide__epoll_wait(bide__epoll_waiter *waiter, int set_fd, struct epoll_event *events,
                     int max, int64_t timeout_us) {
  if (timeout_us <= 0) return epoll_wait(set_fd, events, max, timeout_us < 0 ? -1 : 0);
  if (!waiter->no_pwait2) {
    struct timespec limit = {timeout_us / 1000000, timeout_us % 1000000 * 1000};
    int count =
        (int)syscall(SYS_epoll_pwait2, set_fd, events, max, &limit, NULL, (size_t)0);
    if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return count;
    waiter->no_pwait2 = true;
  }
  return epoll_wait_timerfd(waiter, set_fd, events, max, timeout_us);
}
