/* epoll.c: operations on epoll: readiness turned into completions.
 *
 * Sockets, pipes and the like are registered once, edge-triggered, for reading and
 * writing; `ready` remembers which edges came and were not used up. An operation is tried
 * when its edge is there and waits for the next one otherwise. A TCP socket that gave less
 * than was asked for is empty (epoll(7), question 9), unless its peer has hung up or has
 * sent urgent data, before which a receive stops.
 *
 * Regular files are always "ready" to epoll and block all the same: they go to a ring if
 * the loop has one for them, else to a pool. */
#include <assert.h>
#include <bide/errno.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../list.h"
#include "../memory.h"
#include "backend.h"
#include "direct.h"
#include "epoll_wait.h"
#include "fds.h"
#include "file_jobs.h"
#include "pollset.h"

/* One wait receives so much into pooled buffers, about: what it took from more streams
 * would have left the cache before anybody looks at it. 64 streams of 100 KiB messages cost
 * a quarter more without that. */
enum { EPOLL_RECEIVE_BYTES = 262144 };

/* So many connections are accepted a wait, at most: each may take its callback long. */
enum { EPOLL_ACCEPTS = 32 };

enum { EPOLL_EVENTS = 256 };

/* What is no fd's event. */
#define EPOLL_DATA_WAKER ((uint64_t)-2)
#define EPOLL_DATA_RING ((uint64_t)-3)

#define EPOLL_HANGUP (EPOLLRDHUP | EPOLLHUP | EPOLLERR)
/* In an entry's `ready`: an event came since the last receive. */
#define EPOLL_TOLD EPOLLRDNORM

#define EPOLL_STREAM (EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLOUT | EPOLLET)

/* again: multishot operations to be tried without an event. room: what the wait may still
 * receive into pooled buffers. accepts: how many connections may still be accepted before the
 * next. ring: see backend.h; in_ring of its operations are not reaped. */
typedef struct epoll {
  bide__backend base;
  bide__pollset set;
  bide__epoll_waiter waiter;
  bide_node again, starved;
  size_t room;
  int accepts;
  bide__file_jobs files;
  bide__backend *ring;
  size_t in_ring;
} epoll;

static epoll *epoll_of(bide__backend *backend) { return (epoll *)(void *)backend; }

static bool epoll_is_writer(const bide_op *op) {
  return op->kind == BIDE_OP_CONNECT || op->kind == BIDE_OP_SEND ||
         op->kind == BIDE_OP_SENDMSG || op->kind == BIDE_OP_WRITE;
}

/* It does not receive itself. */
static bool epoll_only_tells(const bide_op *op) {
  return op->kind == BIDE_OP_RECV_MULTI && op->args.recv_multi.ready;
}

static void epoll_list(bide_node *list, bide_op *op, bide__phase phase) {
  op->phase_ = (uint8_t)phase;
  bide__scratch_of(op)->as.wait = (bide_node){NULL, NULL};
  bide__list_push(list, &bide__scratch_of(op)->as.wait);
}

static bool epoll_is_drained(const epoll *e, const bide_op *op, const bide__fd *entry,
                             int32_t result) {
  if (op->kind == BIDE_OP_RECV_MULTI)
    return bide__fd_is_emptied(entry, (size_t)result, e->base.buffers.bytes);
  return (op->kind == BIDE_OP_RECV || op->kind == BIDE_OP_READ) &&
         (op->args.io.flags & (MSG_PEEK | MSG_OOB)) == 0 &&
         bide__fd_is_emptied(entry, (size_t)result, op->args.io.len);
}

/* Whether there is something to receive. Where the last receive may have left nothing the
 * kernel is asked, by a call that takes neither bytes nor an error; it knows not of the end
 * of a stream, but that has come with an event. Where there was no event yet, registering the
 * fd will tell. */
static bool epoll_has_input(const bide_op *op, const bide__fd *entry) {
  int bytes;
  if ((entry->ready & EPOLL_TOLD) != 0 || entry->no_short) return true;
  if (!entry->streams) return false;
  return ioctl(op->fd, FIONREAD, &bytes) < 0 || bytes > 0;
}

static bool epoll_tell(epoll *e, bide_op *op, bide__fd *entry) {
  if ((entry->ready & EPOLLIN) != 0 && !epoll_has_input(op, entry))
    entry->ready &= ~(uint32_t)EPOLLIN;
  if ((entry->ready & EPOLLIN) == 0) return false;
  bide__backend_done(&e->base, op, 0, BIDE_OP_MORE | BIDE_OP_READY);
  return true;
}

/* A number that is registered was closed behind the back of the loop. Without memory for an
 * entry the connection is as any other. */
static void epoll_accepted(epoll *e, int fd) {
  bide__fd *entry;
  e->accepts--;
  if (bide__fds_entry(&e->set.fds, fd, &entry) == 0 && !entry->streams)
    entry->accepted = true;
}

/* Tries op. True when it is settled: done, or on another list; false when it must wait
 * for an edge, which `ready` then lacks. */
static bool epoll_try(epoll *e, bide_op *op, bide__fd *entry) {
  if (epoll_only_tells(op)) return epoll_tell(e, op, entry);
  uint32_t edge = epoll_is_writer(op) ? EPOLLOUT : EPOLLIN;
  int32_t result;
  uint16_t buffer_id = 0;
  do {
    result = bide__direct_call(op, entry, &e->base.buffers, &buffer_id);
  } while (result == -EINTR);

  if (result == -EAGAIN) {
    entry->ready &= ~edge;
    return false;
  }
  if (result == -ENOBUFS && op->kind == BIDE_OP_RECV_MULTI) {
    epoll_list(&e->starved, op, BIDE__PHASE_STARVED);
    return true;
  }
  if (result > 0 && epoll_is_drained(e, op, entry, result)) entry->ready &= ~edge;
  bool more = op->kind == BIDE_OP_ACCEPT_MULTI
                  ? result >= 0
                  : op->kind == BIDE_OP_RECV_MULTI && result > 0;
  unsigned flags = more ? BIDE_OP_MORE : 0;
  if (op->kind == BIDE_OP_RECV_MULTI && result > 0) {
    flags |= BIDE_OP_BUFFER;
    e->room -= (size_t)result < e->room ? (size_t)result : e->room;
  }
  if (op->kind == BIDE_OP_ACCEPT_MULTI && more) epoll_accepted(e, result);
  bide__backend_done(&e->base, op, result, flags);
  bide__scratch_of(op)->as.outcome.buffer_id = buffer_id;
  return true;
}

static void epoll_await(bide_op *op, bide__fd *entry) {
  bide_node *list = epoll_is_writer(op) ? &entry->writers : &entry->readers;
  epoll_list(list, op, BIDE__PHASE_WAITING);
}

/* Puts off a receive that the wait has no room for. */
static bool epoll_put_off(epoll *e, bide_op *op) {
  if (e->room > 0 || op->kind != BIDE_OP_RECV_MULTI || epoll_only_tells(op)) return false;
  epoll_list(&e->again, op, BIDE__PHASE_AGAIN);
  return true;
}

/* An edge came: those who wait are tried in turn, until one finds nothing. A multishot
 * one is done for now after its first success. */
static void epoll_try_list(epoll *e, bide_node *list, bide__fd *entry, uint32_t edge) {
  while ((entry->ready & edge) != 0 && !bide__list_empty(list)) {
    bide_node *node = list->next;
    bide_op *op = bide__op_of_wait(node);
    bide__list_remove(node);
    if (epoll_put_off(e, op) || epoll_try(e, op, entry)) continue;
    node->next = list->next;
    node->prev = list;
    list->next->prev = node;
    list->next = node;
  }
}

/* ---- regular files ---- */

static int epoll_submit_ring(epoll *e, bide_op *op) {
  int error = e->ring->class->submit(e->ring, op);
  if (error == 0) e->in_ring++;
  return error;
}

static int epoll_submit_work(epoll *e, bide_op *op) {
  return e->ring != NULL ? epoll_submit_ring(e, op)
                         : bide__file_jobs_submit(&e->files, op);
}

/* Ends those of the list that are fd's. */
static void epoll_end_list(epoll *e, bide_node *list, int fd) {
  bide_node *node = list->next;
  while (node != list) {
    bide_op *op = bide__op_of_wait(node);
    node = node->next;
    if (op->fd != fd) continue;
    bide__list_remove(&bide__scratch_of(op)->as.wait);
    bide__backend_done(&e->base, op, BIDE_ECANCELED, 0);
  }
}

/* What the kernel has in its caches needs no thread; the ring sees to that itself. */
static int epoll_submit_file(epoll *e, bide_op *op) {
  int32_t result = e->ring != NULL ? -EAGAIN : bide__direct_cached(op);
  if (result == -EAGAIN) return epoll_submit_work(e, op);
  bide__backend_done(&e->base, op, result, 0);
  return 0;
}

/* ---- submit and cancel ---- */

static void epoll_describe(const bide_op *op, bide__fd *entry) {
  if (epoll_only_tells(op))
    bide__fd_describe_socket(entry, op->fd);
  else
    bide__fd_describe(entry, op->fd);
}

/* Waits for the next edge; the first wait registers the fd. */
static void epoll_await_edge(epoll *e, bide_op *op, bide__fd *entry) {
  if (!entry->streams) {
    epoll_describe(op, entry);
    int error = bide__fd_register(entry, e->set.fd, op->fd, EPOLL_STREAM);
    if (error < 0) {
      bide__backend_done(&e->base, op, error, 0);
      return;
    }
    entry->streams = true;
  }
  epoll_await(op, entry);
}

/* Until the fd is registered no edge is known: whatever is tried first may succeed. What
 * only tells is told of it by the registration; but the peer of a connection that was just
 * accepted has often sent or gone by then, and with luck that needs no registration. */
static void epoll_submit_stream(epoll *e, bide_op *op, bide__fd *entry) {
  if (!entry->streams) {
    bool tells = epoll_only_tells(op) && !entry->accepted;
    entry->ready = tells ? EPOLLOUT : EPOLLIN | EPOLL_TOLD | EPOLLOUT;
    entry->accepted = false;
  }
  uint32_t edge = epoll_is_writer(op) ? EPOLLOUT : EPOLLIN;
  bide_node *list = epoll_is_writer(op) ? &entry->writers : &entry->readers;
  bool in_turn = (entry->ready & edge) != 0 && bide__list_empty(list);
  if (in_turn && epoll_try(e, op, entry)) return;
  epoll_await_edge(e, op, entry);
}

/* Not tried like the others: an AF_UNIX connect that says EAGAIN has not begun. */
static void epoll_submit_connect(epoll *e, bide_op *op, bide__fd *entry) {
  int32_t result = bide__direct_connect(op);
  if (result == -EINPROGRESS)
    epoll_await_edge(e, op, entry);
  else
    bide__backend_done(&e->base, op, result, 0);
}

static void epoll_forget(bide__backend *backend, int fd);

static int epoll_submit_fd(epoll *e, bide_op *op) {
  bide__fd *entry;
  int error = bide__fds_entry(&e->set.fds, op->fd, &entry);
  if (error < 0) return error;
  if (entry == NULL) {
    bide__backend_done(&e->base, op, BIDE_EBADF, 0);
    return 0;
  }
  bool file = op->kind == BIDE_OP_READ || op->kind == BIDE_OP_WRITE;
  if (file && !entry->streams) {
    bide__fd_describe(entry, op->fd);
    if (entry->type == BIDE__FD_FILE) return epoll_submit_work(e, op);
  }
  if (op->kind == BIDE_OP_CONNECT)
    epoll_submit_connect(e, op, entry);
  else
    epoll_submit_stream(e, op, entry);
  return 0;
}

static int epoll_submit(bide__backend *backend, bide_op *op) {
  epoll *e = epoll_of(backend);
  bide__scratch_of(op)->done = (bide_node){NULL, NULL};
  if (bide__backend_at_once(backend, op)) return 0;
  switch (op->kind) {
    case BIDE_OP_CLOSE:
      epoll_forget(backend, op->fd);
      bide__backend_done(backend, op, close(op->fd) < 0 ? -errno : 0, 0);
      return 0;
    case BIDE_OP_POLL:
    case BIDE_OP_POLL_MULTI:
      return bide__pollset_submit(&e->set, op);
    case BIDE_OP_OPENAT:
      return epoll_submit_file(e, op);
    case BIDE_OP_STATX:
    case BIDE_OP_FSYNC:
      return epoll_submit_work(e, op);
    case BIDE_OP_READ:
    case BIDE_OP_WRITE:
      return op->args.io.offset >= 0 ? epoll_submit_file(e, op) : epoll_submit_fd(e, op);
    case BIDE_OP_RECV_MULTI: {
      int error = epoll_only_tells(op) ? 0 : bide__buffers_open(&backend->buffers);
      return error < 0 ? error : epoll_submit_fd(e, op);
    }
    default:
      return epoll_submit_fd(e, op);
  }
}

static void epoll_cancel(bide__backend *backend, bide_op *op) {
  epoll *e = epoll_of(backend);
  if (op->kind == BIDE_OP_POLL_MULTI) {
    bide__pollset_cancel(&e->set, op);
    return;
  }
  switch (op->phase_) {
    case BIDE__PHASE_WAITING:
    case BIDE__PHASE_AGAIN:
    case BIDE__PHASE_STARVED:
      if (op->kind == BIDE_OP_POLL) {
        bide__pollset_cancel(&e->set, op);
        break;
      }
      bide__list_remove(&bide__scratch_of(op)->as.wait);
      bide__backend_done(backend, op, BIDE_ECANCELED, 0);
      break;
    case BIDE__PHASE_POOL:
      bide__file_jobs_cancel(&e->files, op);
      break;
    case BIDE__PHASE_KERNEL:
    case BIDE__PHASE_POLL:
    case BIDE__PHASE_BACKLOG:
      e->ring->class->cancel(e->ring, op);
      break;
    default:
      /* Its result is there; a multishot one ends with it. */
      bide__scratch_of(op)->as.outcome.flags &= (uint16_t)~BIDE_OP_MORE;
  }
}

static void epoll_forget(bide__backend *backend, int fd) {
  epoll *e = epoll_of(backend);
  if (e->in_ring > 0) e->ring->class->forget(e->ring, fd);
  bide__fd *entry = bide__fds_find(&e->set.fds, fd);
  if (entry == NULL) return;
  epoll_end_list(e, &entry->readers, fd);
  epoll_end_list(e, &entry->writers, fd);
  epoll_end_list(e, &e->again, fd);
  epoll_end_list(e, &e->starved, fd);
  bide__pollset_forget(&e->set, fd);
}

/* What is used up is not told again. */
static int epoll_receive(bide__backend *backend, bide_op *op, void *base, size_t len) {
  epoll *e = epoll_of(backend);
  bide__fd *entry = bide__fds_find(&e->set.fds, op->fd);
  int result = bide__direct_receive(op->fd, base, len);
  entry->ready &= ~(uint32_t)EPOLL_TOLD;
  if (result == -EAGAIN || bide__fd_is_emptied(entry, (size_t)result, len)) {
    entry->ready &= ~(uint32_t)EPOLLIN;
    if (op->phase_ == BIDE__PHASE_AGAIN) {
      bide__list_remove(&bide__scratch_of(op)->as.wait);
      epoll_await_edge(e, op, entry);
    }
  }
  return result;
}

/* ---- waiting ---- */

static void epoll_event(epoll *e, const struct epoll_event *event) {
  int fd = bide__fd_of_event(&e->set.fds, event->data.u64);
  if (fd < 0) return;
  bide__fd *entry = bide__fds_find(&e->set.fds, fd);
  uint32_t events = event->events;
  if (entry->streams) {
    if ((events & (EPOLL_HANGUP | EPOLLPRI)) != 0) entry->no_short = true;
    if ((events & (EPOLLIN | EPOLL_HANGUP)) != 0) entry->ready |= EPOLLIN | EPOLL_TOLD;
    if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) entry->ready |= EPOLLOUT;
    epoll_try_list(e, &entry->readers, entry, EPOLLIN);
    epoll_try_list(e, &entry->writers, entry, EPOLLOUT);
  }
  if (!bide__list_empty(&entry->pollers) || entry->watcher != NULL)
    bide__pollset_wake(&e->set, fd, events);
}

/* Empties an eventfd or a timerfd. It is readable, and we are its only reader: the read
 * neither blocks nor fails. */
static void epoll_drain(int fd) {
  uint64_t count;
  ssize_t got = read(fd, &count, sizeof count);
  assert(got == sizeof count);
  (void)got;
}

static void epoll_try_or_await(epoll *e, bide_node *node) {
  bide_op *op = bide__op_of_wait(node);
  bide__fd *entry = bide__fds_find(&e->set.fds, op->fd);
  if (epoll_put_off(e, op) || epoll_try(e, op, entry)) return;
  epoll_await_edge(e, op, entry);
}

static bool epoll_may_feed(const epoll *e) {
  return !bide__list_empty(&e->starved) && bide__buffers_any_free(&e->base.buffers);
}

/* Those without a buffer follow, for as long as there is one: many have no bytes either,
 * and must not keep it from the next. */
static void epoll_try_again(epoll *e) {
  bide_node list;
  bide__list_init(&list);
  bide__list_splice(&list, &e->again);
  bide_node *node;
  while ((node = bide__list_pop(&list)) != NULL) epoll_try_or_await(e, node);
  while (e->room > 0 && epoll_may_feed(e))
    epoll_try_or_await(e, bide__list_pop(&e->starved));
}

static bool epoll_ring_peek(const epoll *e) {
  return e->in_ring > 0 && e->ring->class->peek(e->ring);
}

static bool epoll_peek(const bide__backend *backend) {
  const epoll *e = (const epoll *)(const void *)backend;
  return !bide__list_empty(&backend->done) || !bide__list_empty(&e->again) ||
         epoll_may_feed(e) || epoll_ring_peek(e) || bide__file_jobs_peek(&e->files);
}

static void epoll_take_event(epoll *e, const struct epoll_event *event) {
  switch (event->data.u64) {
    case EPOLL_DATA_TIMER:
      epoll_drain(e->waiter.timer_fd);
      break;
    case EPOLL_DATA_WAKER:
      epoll_drain(e->base.waker.fd);
      break;
    case EPOLL_DATA_RING: /* it will be reaped */
      break;
    default:
      epoll_event(e, event);
  }
}

static int epoll_wait_events(bide__backend *backend, int64_t timeout_us) {
  epoll *e = epoll_of(backend);
  e->room = EPOLL_RECEIVE_BYTES;
  e->accepts = EPOLL_ACCEPTS;
  epoll_try_again(e);
  bide__file_jobs_take(&e->files);
  int ring_error = e->in_ring > 0 ? e->ring->class->wait(e->ring, 0) : 0;
  if (!bide__list_empty(&backend->done) || epoll_ring_peek(e)) timeout_us = 0;
  if (ring_error < 0) return ring_error;

  struct epoll_event events[EPOLL_EVENTS];
  int count = bide__epoll_wait(&e->waiter, e->set.fd, events, EPOLL_EVENTS, timeout_us);
  int error = count < 0 ? -errno : 0;
  for (int i = 0; i < count; i++) epoll_take_event(e, &events[i]);
  bide__file_jobs_take(&e->files);
  return error;
}

/* Operations on what becomes ready were tried as they were submitted. */
static int epoll_flush(bide__backend *backend) {
  epoll *e = epoll_of(backend);
  return e->in_ring > 0 ? e->ring->class->flush(e->ring) : 0;
}

/* A multishot operation whose completion has been handed out waits for the next edge, or
 * is tried again at the next wait when this one is not used up; the next connection is
 * accepted at once. */
static void epoll_go_on(epoll *e, bide_op *op) {
  bide__fd *entry = bide__fds_find(&e->set.fds, op->fd);
  if (op->kind == BIDE_OP_POLL_MULTI) {
    bide__pollset_go_on(op);
    return;
  }
  bool accepts = op->kind == BIDE_OP_ACCEPT_MULTI && e->accepts > 0;
  if (accepts && (entry->ready & EPOLLIN) != 0 && epoll_try(e, op, entry)) return;
  if ((entry->ready & EPOLLIN) != 0)
    epoll_list(&e->again, op, BIDE__PHASE_AGAIN);
  else
    epoll_await_edge(e, op, entry);
}

static int epoll_reap(bide__backend *backend, bide_completion *completions, int max) {
  epoll *e = epoll_of(backend);
  int count = 0;
  bide_op *op;
  while (count < max &&
         (op = bide__backend_take_done(backend, &completions[count])) != NULL) {
    if ((completions[count].flags & BIDE_OP_MORE) != 0) epoll_go_on(e, op);
    count++;
  }
  if (count == max || e->in_ring == 0) return count;
  int ended = e->ring->class->reap(e->ring, completions + count, max - count);
  e->in_ring -= (size_t)ended;
  return count + ended;
}

static void epoll_release_buffer(bide__backend *backend, uint16_t id) {
  bide__buffers_return(&backend->buffers, id); /* the next wait feeds the starved */
}

static int epoll_get_fd(const bide__backend *backend) {
  return ((const epoll *)(const void *)backend)->set.fd;
}

/* ---- life ---- */

static void epoll_free(bide__backend *backend, bool forked) {
  epoll *e = epoll_of(backend);
  /* Nothing here edits the set that a child shares with its parent. */
  if (e->ring != NULL) e->ring->class->free(e->ring, forked);
  bide__file_jobs_free(&e->files);
  bide__epoll_waiter_close(&e->waiter);
  bide__pollset_close(&e->set);
  bide__backend_destroy(backend, forked);
  bide__free(e);
}

static const bide__backend_class epoll_class = {
    .name = "epoll",
    .free = epoll_free,
    .submit = epoll_submit,
    .cancel = epoll_cancel,
    .flush = epoll_flush,
    .peek = epoll_peek,
    .wait = epoll_wait_events,
    .reap = epoll_reap,
    .fd = epoll_get_fd,
    .forget = epoll_forget,
    .release_buffer = epoll_release_buffer,
    .receive = epoll_receive,
};

static int epoll_watch(const epoll *e, int fd, uint32_t events, uint64_t data) {
  struct epoll_event event = {.events = events, .data.u64 = data};
  return epoll_ctl(e->set.fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int epoll_open(epoll *e, const bide__backend_config *config) {
  int error = bide__backend_init(&e->base, &epoll_class, config);
  if (error < 0) return error;
  error = bide__pollset_open(&e->set, &e->base);
  if (error < 0) goto destroy_base;
  e->ring = config->ring;
  error = epoll_watch(e, e->base.waker.fd, EPOLLIN, EPOLL_DATA_WAKER);
  /* By its edges: what a cancel leaves in the ring may lie there until it is used again. */
  if (error == 0 && e->ring != NULL)
    error =
        epoll_watch(e, e->ring->class->fd(e->ring), EPOLLIN | EPOLLET, EPOLL_DATA_RING);
  if (error == 0) return 0;
  bide__pollset_close(&e->set);
destroy_base:
  bide__backend_destroy(&e->base, false);
  return error;
}

int bide__epoll_new(const bide__backend_config *config, bide__backend **backend) {
  epoll *e = bide__zalloc(sizeof *e);
  if (e == NULL) return BIDE_ENOMEM;
  int error = epoll_open(e, config);
  if (error < 0) {
    bide__free(e);
    return error;
  }
  e->waiter = BIDE__EPOLL_WAITER_INIT;
  bide__file_jobs_init(&e->files, &e->base, config->file_pool);
  bide__list_init(&e->again);
  bide__list_init(&e->starved);
  *backend = &e->base;
  return 0;
}
