/* pollset.c: see pollset.h. */
#include "pollset.h"

#include <bide/errno.h>
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../list.h"

enum { POLLSET_EVENTS = 64 };

int bide__pollset_open(bide__pollset *set, bide__backend *backend) {
  set->backend = backend;
  bide__list_init(&set->orphans);
  set->fd = epoll_create1(EPOLL_CLOEXEC);
  return set->fd < 0 ? -errno : 0;
}

void bide__pollset_close(bide__pollset *set) {
  close(set->fd);
  bide__fds_free(&set->fds);
}

static uint32_t pollset_mask(const bide_op *op) {
  return op->args.poll.events & (EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP);
}

static void pollset_end(bide__pollset *set, bide_op *op, int32_t result) {
  bide__list_remove(&bide__scratch_of(op)->as.wait);
  set->waiting--;
  bide__backend_done(set->backend, op, result, 0);
}

static void pollset_end_all(bide__pollset *set, bide__fd *entry, int32_t result) {
  while (!bide__list_empty(&entry->pollers))
    pollset_end(set, bide__op_of_wait(entry->pollers.next), result);
}

/* The watcher, if there is one; what it has been told of and not handed out yet is its
 * last. */
static void pollset_end_watcher(bide__pollset *set, bide__fd *entry, int32_t result) {
  bide_op *op = entry->watcher;
  if (op == NULL) return;
  entry->watcher = NULL;
  set->waiting--;
  if (op->phase_ == BIDE__PHASE_DONE)
    bide__scratch_of(op)->as.outcome.flags &= (uint16_t)~BIDE_OP_MORE;
  else
    bide__backend_done(set->backend, op, result, 0);
}

/* Whether fd is another file than when this was last asked. */
static bool pollset_is_other(bide__fd *entry, int fd) {
  struct stat status;
  if (fstat(fd, &status) < 0) return false;
  bide__fd_file before = entry->file;
  entry->file = (bide__fd_file){status.st_dev, status.st_ino};
  return before.device != status.st_dev || before.inode != status.st_ino;
}

/* A registration for streams holds all of it. */
static uint32_t pollset_wanted(const bide__fd *entry) {
  if (entry->streams) return entry->mask;
  uint32_t wanted = EPOLLONESHOT;
  if (entry->watcher != NULL) wanted = EPOLLET | pollset_mask(entry->watcher);
  for (bide_node *n = entry->pollers.next; n != &entry->pollers; n = n->next)
    wanted |= pollset_mask(bide__op_of_wait(n));
  return wanted;
}

/* Registers what the operations on fd wait for, anew if need be, which makes epoll report
 * again what holds. When fd turns out to be another file than before, none but `newcomer`
 * (or NULL) waits for that one. A file that
 * lost the number and lives on as a duplicate is still in the set: should it come back, epoll
 * would take that for a change of what the file in between had. */
static int pollset_arm(bide__pollset *set, int fd, bide__fd *entry, bide_op *newcomer) {
  uint32_t generation = entry->generation;
  if (entry->haunted && pollset_is_other(entry, fd)) entry->generation++;
  int error = bide__fd_register(entry, set->fd, fd, pollset_wanted(entry));
  if (entry->generation == generation) return error;
  entry->haunted = true;
  (void)pollset_is_other(entry, fd);
  bide__list_splice(&set->orphans, &entry->pollers);
  if (entry->watcher != newcomer) pollset_end_watcher(set, entry, BIDE_ECANCELED);
  if (newcomer == NULL || newcomer == entry->watcher) return error;
  bide_node *node = &bide__scratch_of(newcomer)->as.wait;
  bide__list_remove(node);
  bide__list_push(&entry->pollers, node);
  return error;
}

static void pollset_enter(bide__pollset *set, bide__fd *entry, bide_op *op) {
  op->phase_ = BIDE__PHASE_WAITING;
  set->waiting++;
  if (op->kind == BIDE_OP_POLL_MULTI) {
    pollset_end_watcher(set, entry, BIDE_ECANCELED);
    entry->watcher = op;
  } else {
    bide__scratch_of(op)->as.wait = (bide_node){NULL, NULL};
    bide__list_push(&entry->pollers, &bide__scratch_of(op)->as.wait);
  }
}

int bide__pollset_submit(bide__pollset *set, bide_op *op) {
  bide__fd *entry;
  int error = bide__fds_entry(&set->fds, op->fd, &entry);
  if (error < 0) return error;
  if (entry == NULL) {
    bide__backend_done(set->backend, op, BIDE_EBADF, 0);
    return 0;
  }
  pollset_enter(set, entry, op);
  error = pollset_arm(set, op->fd, entry, op);
  /* A regular file never blocks: poll(2) calls it ready. */
  int32_t ready = (int32_t)(op->args.poll.events & (POLLIN | POLLOUT));
  if (error < 0 && op == entry->watcher)
    pollset_end_watcher(set, entry, error == -EPERM ? ready : error);
  else if (error < 0)
    pollset_end(set, op, error == -EPERM ? ready : error);
  return 0;
}

static void pollset_drop(bide__pollset *set, int fd, bide__fd *entry) {
  entry->mask = 0;
  if (epoll_ctl(set->fd, EPOLL_CTL_DEL, fd, NULL) == 0) return;
  entry->generation++;
  entry->haunted = true;
}

/* When the last operation on an fd that is registered for nothing else has left, the fd may
 * be somebody else's, and is let go. If its owner has closed it and the file lives on under
 * another number, the set keeps it, out of reach, under this one: a new generation tells
 * its events from those of the file that has the number next. */
void bide__pollset_cancel(bide__pollset *set, bide_op *op) {
  bide__fd *entry = bide__fds_find(&set->fds, op->fd);
  if (op->kind != BIDE_OP_POLL_MULTI)
    pollset_end(set, op, BIDE_ECANCELED);
  else if (entry != NULL && entry->watcher == op)
    pollset_end_watcher(set, entry, BIDE_ECANCELED);
  else
    return; /* it has ended already */
  if (entry->mask == 0 || entry->streams || entry->watcher != NULL ||
      !bide__list_empty(&entry->pollers))
    return;
  pollset_drop(set, op->fd, entry);
}

static void pollset_tell(bide__pollset *set, bide_op *watcher, uint32_t events) {
  uint32_t met = events & (pollset_mask(watcher) | EPOLLERR | EPOLLHUP);
  if (met == 0) return;
  if (watcher->phase_ == BIDE__PHASE_DONE)
    bide__scratch_of(watcher)->as.outcome.result |= (int32_t)met;
  else
    bide__backend_done(set->backend, watcher, (int32_t)met, BIDE_OP_MORE);
}

void bide__pollset_go_on(bide_op *op) { op->phase_ = BIDE__PHASE_WAITING; }

void bide__pollset_wake(bide__pollset *set, int fd, uint32_t events) {
  bide__fd *entry = bide__fds_find(&set->fds, fd);
  bide_node *node = entry->pollers.next;
  while (node != &entry->pollers) {
    bide_op *op = bide__op_of_wait(node);
    node = node->next;
    uint32_t met = events & (pollset_mask(op) | EPOLLERR | EPOLLHUP);
    if (met != 0) pollset_end(set, op, (int32_t)met);
  }
  if (entry->watcher != NULL) pollset_tell(set, entry->watcher, events);
  bool disarmed = (entry->mask & EPOLLONESHOT) != 0;
  if (!disarmed || bide__list_empty(&entry->pollers)) return;
  int error = pollset_arm(set, fd, entry, NULL);
  if (error < 0) pollset_end_all(set, entry, error);
}

void bide__pollset_collect(bide__pollset *set) {
  struct epoll_event events[POLLSET_EVENTS];
  int count;
  do {
    count = epoll_wait(set->fd, events, POLLSET_EVENTS, 0);
    for (int i = 0; i < count; i++) {
      int fd = bide__fd_of_event(&set->fds, events[i].data.u64);
      if (fd >= 0) bide__pollset_wake(set, fd, events[i].events);
    }
  } while (count == POLLSET_EVENTS || (count < 0 && errno == EINTR));
}

void bide__pollset_forget(bide__pollset *set, int fd) {
  bide__fd *entry = bide__fds_find(&set->fds, fd);
  if (entry == NULL) return;
  pollset_end_all(set, entry, BIDE_ECANCELED);
  pollset_end_watcher(set, entry, BIDE_ECANCELED);
  bide_node *node = set->orphans.next;
  while (node != &set->orphans) {
    bide_op *op = bide__op_of_wait(node);
    node = node->next;
    if (op->fd == fd) pollset_end(set, op, BIDE_ECANCELED);
  }
  /* A duplicate of fd elsewhere would keep the registration alive after close. */
  if (entry->mask != 0) pollset_drop(set, fd, entry);
  bide__fd_reset(entry);
}
