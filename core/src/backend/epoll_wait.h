/* epoll_wait.h: a wait on an epoll set, to the microsecond.
 *
 * epoll_wait counts in milliseconds: before Linux 5.11, which brought epoll_pwait2, a
 * timerfd in the set ends the wait. Without a descriptor left for it the wait is late by
 * less than one millisecond. */
#ifndef BIDE_SRC_BACKEND_EPOLL_WAIT_H
#define BIDE_SRC_BACKEND_EPOLL_WAIT_H

#include <bide/base.h>
#include <sys/epoll.h>

/* The data of the timerfd's event; who gets it empties the timerfd. */
#define EPOLL_DATA_TIMER ((uint64_t)-1)

typedef struct bide__epoll_waiter {
  int timer_fd; /* -1 while epoll_pwait2 serves */
  bool no_pwait2;
} bide__epoll_waiter;

#define BIDE__EPOLL_WAITER_INIT ((bide__epoll_waiter){.timer_fd = -1})

void bide__epoll_waiter_close(bide__epoll_waiter *waiter);

/* As epoll_wait(2); timeout_us -1: without a limit. */
int bide__epoll_wait(bide__epoll_waiter *waiter, int set_fd, struct epoll_event *events,
                     int max, int64_t timeout_us);

#endif
