/* uring.c: operations on io_uring.
 *
 * user_data is the op's address with a tag in its low bits. An op outlives its last
 * completion (op.h, rule 1), so the address needs no generation.
 *
 * The kernel ends requests with ECANCELED that nobody cancelled when the thread which
 * submitted them ends; those are submitted again from the thread that reaps. */
#include <assert.h>
#include <bide/errno.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "../list.h"
#include "../memory.h"
#include "backend.h"
#include "direct.h"
#include "pollset.h"
#include "ring.h"
#include "sqe.h"
#include "tellers.h"

enum {
  URING_TAG_OP = 0,
  URING_TAG_POLL,
  URING_TAG_CANCEL,
  URING_TAG_WAKE,
  URING_TAG_SET,
  URING_TAG_MASK = 7,
};
enum { URING_ENTRIES_MIN = 8 };

/* backlog: ops for which the submission queue had no room. cancels: ops to be cancelled,
 * for the same reason (linked by scratch.done). starved: receives without a buffer, who
 * have lost their place in the kernel; kept: buffers kept from the kernel for them, whose
 * ids lie in base.buffers.free. set: poll operations on fds that are not the loop's; the
 * ring polls it while some wait. tellers: see there. */
typedef struct uring {
  bide__backend base;
  ring_queues ring;
  bide_node backlog, cancels, starved;
  ring_buf *buf_ring; /* NULL until the first multishot receive */
  uint16_t buf_tail;
  uint32_t kept;
  bool wake_armed, set_armed;
  bide__pollset set;
  bide__tellers tellers;
} uring;

/* Where the kernel reads the eventfds to. Nobody looks at it; it is no member, since a ring
 * ends some time after its close, and a read of it might come to the memory of another. */
static uint64_t uring_wake_count;

static uring *uring_of(bide__backend *backend) { return (uring *)(void *)backend; }

static const uring *uring_of_const(const bide__backend *backend) {
  return (const uring *)(const void *)backend;
}

static uint64_t uring_user_data(const void *pointer, unsigned tag) {
  assert(((uintptr_t)pointer & URING_TAG_MASK) == 0);
  return (uint64_t)(uintptr_t)pointer | tag;
}

/* ---- pooled buffers ---- */

static size_t uring_buf_ring_bytes(const uring *u) {
  return u->base.buffers.count * sizeof(ring_buf);
}

static void uring_buffer_add(uring *u, uint16_t id) {
  ring_buf *entry = &u->buf_ring[u->buf_tail & (u->base.buffers.count - 1)];
  entry->addr = (uint64_t)(uintptr_t)bide__buffers_data(&u->base.buffers, id);
  entry->len = u->base.buffers.bytes;
  entry->bid = id;
  u->buf_tail++;
  __atomic_store_n(&u->buf_ring[0].reserved, u->buf_tail, __ATOMIC_RELEASE);
}

static int uring_buffers_open(uring *u) {
  if (u->buf_ring != NULL) return 0;
  int error = bide__buffers_open(&u->base.buffers);
  if (error < 0) return error;
  void *map = mmap(NULL, uring_buf_ring_bytes(u), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) return BIDE_ENOMEM;
  ring_buf_reg reg = {
      .ring_addr = (uint64_t)(uintptr_t)map,
      .ring_entries = u->base.buffers.count,
  };
  error = bide__ring_register_buffers(&u->ring, &reg);
  if (error < 0) {
    munmap(map, uring_buf_ring_bytes(u));
    return error;
  }
  u->buf_ring = map;
  for (uint32_t id = 0; id < u->base.buffers.count; id++)
    uring_buffer_add(u, (uint16_t)id);
  return 0;
}

/* ---- submission ---- */

/* A submission entry; NULL when the kernel takes no more before completions are
 * reaped. */
static ring_sqe *uring_sqe(uring *u) {
  ring_sqe *sqe = bide__ring_sqe(&u->ring);
  if (sqe != NULL) return sqe;
  bide__ring_enter(&u->ring, false, false, 0);
  return bide__ring_sqe(&u->ring);
}

/* Hands op to the kernel, or its fd to be polled first. */
static bool uring_push(uring *u, bide_op *op, bool poll_first) {
  ring_sqe *sqe = uring_sqe(u);
  if (sqe == NULL) return false;
  if (poll_first)
    bide__sqe_fill_poll(sqe, op);
  else
    bide__sqe_fill(sqe, op);
  sqe->user_data = uring_user_data(op, poll_first ? URING_TAG_POLL : URING_TAG_OP);
  op->phase_ = poll_first ? BIDE__PHASE_POLL : BIDE__PHASE_KERNEL;
  return true;
}

static void uring_list(bide_node *list, bide_op *op, bide__phase phase) {
  op->phase_ = (uint8_t)phase;
  bide__scratch_of(op)->as.wait = (bide_node){NULL, NULL};
  bide__list_push(list, &bide__scratch_of(op)->as.wait);
}

static void uring_start(uring *u, bide_op *op) {
  if (!bide__list_empty(&u->backlog) || !uring_push(u, op, false))
    uring_list(&u->backlog, op, BIDE__PHASE_BACKLOG);
}

static bool uring_is_in_set(const bide_op *op) {
  return op->kind == BIDE_OP_POLL_MULTI ||
         (op->kind == BIDE_OP_POLL && op->args.poll.foreign);
}

static int uring_submit(bide__backend *backend, bide_op *op) {
  uring *u = uring_of(backend);
  bide__scratch_of(op)->done = (bide_node){NULL, NULL};
  if (bide__backend_at_once(backend, op)) return 0;
  if (uring_is_in_set(op)) return bide__pollset_submit(&u->set, op);
  if (op->kind == BIDE_OP_RECV_MULTI && !bide__tells(op)) {
    int error = uring_buffers_open(u);
    if (error < 0) return error;
  }
  uring_start(u, op);
  return 0;
}

static bool uring_push_cancel(uring *u, bide_op *op) {
  ring_sqe *sqe = uring_sqe(u);
  if (sqe == NULL) return false;
  unsigned tag = op->phase_ == BIDE__PHASE_POLL ? URING_TAG_POLL : URING_TAG_OP;
  sqe->opcode = RING_OP_ASYNC_CANCEL;
  sqe->fd = -1;
  sqe->addr = uring_user_data(op, tag);
  sqe->user_data = URING_TAG_CANCEL;
  return true;
}

static void uring_cancel(bide__backend *backend, bide_op *op) {
  uring *u = uring_of(backend);
  if (op->kind == BIDE_OP_POLL_MULTI) {
    bide__pollset_cancel(&u->set, op);
    return;
  }
  bool polled = op->phase_ == BIDE__PHASE_AGAIN || op->phase_ == BIDE__PHASE_DONE;
  if (bide__tells(op) && polled) bide__tellers_withdraw(op);
  switch (op->phase_) {
    case BIDE__PHASE_BACKLOG:
    case BIDE__PHASE_STARVED:
      bide__list_remove(&bide__scratch_of(op)->as.wait);
      bide__backend_done(backend, op, BIDE_ECANCELED, 0);
      break;
    case BIDE__PHASE_WAITING:
      bide__pollset_cancel(&u->set, op);
      break;
    case BIDE__PHASE_DONE: /* its result is there; a multishot one ends with it */
      bide__scratch_of(op)->as.outcome.flags &= (uint16_t)~BIDE_OP_MORE;
      break;
    case BIDE__PHASE_NONE: /* reaped, and not delivered yet */
      break;
    default:
      if (!uring_push_cancel(u, op))
        bide__list_push(&u->cancels, &bide__scratch_of(op)->done);
  }
}

static void uring_arm_wake(uring *u) {
  if (u->wake_armed) return;
  ring_sqe *sqe = uring_sqe(u);
  if (sqe == NULL) return;
  sqe->opcode = RING_OP_READ;
  sqe->fd = u->base.waker.fd;
  sqe->addr = (uint64_t)(uintptr_t)&uring_wake_count;
  sqe->len = sizeof uring_wake_count;
  sqe->user_data = URING_TAG_WAKE;
  u->wake_armed = true;
}

static void uring_arm_set(uring *u) {
  if (u->set_armed || u->set.waiting == 0) return;
  ring_sqe *sqe = uring_sqe(u);
  if (sqe == NULL) return;
  sqe->opcode = RING_OP_POLL_ADD;
  sqe->fd = u->set.fd;
  sqe->op_flags = POLLIN;
  sqe->user_data = URING_TAG_SET;
  u->set_armed = true;
}

static bool uring_may_feed(const uring *u) {
  return !bide__list_empty(&u->starved) && bide__buffers_any_free(&u->base.buffers);
}

static void uring_keep_buffer(uring *u, uint16_t id) {
  u->base.buffers.free[u->kept++] = id;
}

/* Receives for a starved op here and now. */
static void uring_serve(uring *u, bide_op *op) {
  bide__buffers *buffers = &u->base.buffers;
  uint16_t id = buffers->free[--u->kept];
  void *data = bide__buffers_data(buffers, id);
  int32_t result = bide__direct_receive(op->fd, data, buffers->bytes);
  if (result > 0) {
    buffers->lent++;
    bide__backend_done(&u->base, op, result, BIDE_OP_MORE | BIDE_OP_BUFFER);
    bide__scratch_of(op)->as.outcome.buffer_id = id;
    return;
  }
  uring_keep_buffer(u, id);
  if (result == -EAGAIN)
    uring_start(u, op);
  else
    bide__backend_done(&u->base, op, result, 0);
}

/* Started again, a starved receive would find the buffers taken by those whose place in
 * the kernel it has lost: any system call lets them run. So returned buffers are kept for
 * the starved, first come, first served. Without kept ones as many are started as there are
 * buffers; uring_peek keeps the rest from blocking. */
static void uring_feed(uring *u) {
  if (!uring_may_feed(u)) return;
  uint32_t starts = u->kept > 0 ? 0 : u->base.buffers.count - u->base.buffers.lent;
  while (u->kept > 0 && !bide__list_empty(&u->starved))
    uring_serve(u, bide__op_of_wait(bide__list_pop(&u->starved)));
  for (; starts > 0 && !bide__list_empty(&u->starved); starts--)
    uring_start(u, bide__op_of_wait(bide__list_pop(&u->starved)));
  if (!bide__list_empty(&u->starved)) return;
  while (u->kept > 0) uring_buffer_add(u, u->base.buffers.free[--u->kept]);
}

/* Moves what waited for room into the submission queue. */
static void uring_refill(uring *u) {
  uring_arm_wake(u);
  uring_arm_set(u);
  uring_feed(u);
  while (!bide__list_empty(&u->cancels)) {
    if (!uring_push_cancel(u, bide__op_of_done(u->cancels.next))) return;
    bide__list_pop(&u->cancels);
  }
  while (!bide__list_empty(&u->backlog)) {
    bide_node *node = u->backlog.next;
    bide_op *op = bide__op_of_wait(node);
    if (!uring_push(u, op, false)) return;
    bide__list_remove(node);
  }
}

/* ---- completion ---- */

/* Whether the op goes on by itself, so that its user sees nothing of this result. */
static bool uring_retries(uring *u, bide_op *op, unsigned tag, int32_t result) {
  if (op->state == BIDE_OP_CANCELLING) return false;
  if (tag == URING_TAG_POLL) {
    if (result < 0 && result != -ECANCELED) return false;
    uring_start(u, op);
    return true;
  }
  switch (result) {
    case -ECANCELED: /* the thread that submitted it has ended */
    case -EINTR:
      uring_start(u, op);
      return true;
    case -EAGAIN: /* a non-blocking file that the kernel would not wait for */
      if (op->kind == BIDE_OP_OPENAT || op->kind == BIDE_OP_POLL) return false;
      if (!uring_push(u, op, true)) uring_list(&u->backlog, op, BIDE__PHASE_BACKLOG);
      return true;
    case -ENOBUFS:
      if (op->kind != BIDE_OP_RECV_MULTI) return false;
      uring_list(&u->starved, op, BIDE__PHASE_STARVED);
      return true;
    default:
      return false;
  }
}

/* For POLLPRI the kernel passes on what a socket was woken with, and sockets are woken
 * with all there is: what holds is looked at. EINTR (nothing does) means: again. */
static int32_t uring_polled(const bide_op *op, int32_t result) {
  if (op->kind != BIDE_OP_POLL || result <= 0) return result;
  if ((op->args.poll.events & POLLPRI) == 0) return result;
  struct pollfd poller = {op->fd, (short)op->args.poll.events, 0};
  return poll(&poller, 1, 0) > 0 ? poller.revents : -EINTR;
}

static int32_t uring_cancelled_result(const bide_op *op, unsigned tag, int32_t result) {
  if (op->state != BIDE_OP_CANCELLING) return result;
  if (tag == URING_TAG_POLL) return BIDE_ECANCELED;
  bool postponed = result == -EAGAIN || result == -EINTR;
  bool starved = result == -ENOBUFS && op->kind == BIDE_OP_RECV_MULTI;
  bool told = result > 0 && bide__tells(op);
  return postponed || starved || told ? BIDE_ECANCELED : result;
}

/* A multishot op that the kernel ended though it succeeded goes on. */
static bool uring_goes_on(uring *u, bide_op *op, const bide_completion *completion) {
  bool recv = op->kind == BIDE_OP_RECV_MULTI && completion->result > 0;
  bool accept = op->kind == BIDE_OP_ACCEPT_MULTI && completion->result >= 0;
  if ((!recv && !accept) || op->state == BIDE_OP_CANCELLING) return false;
  uring_start(u, op);
  return true;
}

/* What the kernel's poll says to a teller; false when its user need not hear of it, who is
 * going to look anyway. A poll that ended begins again, and finds what is there. */
static bool uring_told(uring *u, bide_completion *completion, bool ended) {
  bide_op *op = completion->op;
  bool looked_at = op->phase_ != BIDE__PHASE_KERNEL;
  if (!ended && (looked_at || op->state == BIDE_OP_CANCELLING)) return false;
  op->phase_ = BIDE__PHASE_NONE;
  if (completion->result < 0) return true;
  if (ended)
    uring_start(u, op);
  else
    bide__tellers_handed_out(&u->tellers, op);
  completion->result = 0;
  completion->flags = BIDE_OP_MORE | BIDE_OP_READY;
  return true;
}

/* Turns one entry of the completion queue into a completion; false when it is none of
 * the user's business. */
static bool uring_complete(uring *u, uint64_t user_data, int32_t result, uint32_t flags,
                           bide_completion *completion) {
  unsigned tag = (unsigned)(user_data & URING_TAG_MASK);
  if (tag == URING_TAG_CANCEL) return false;
  if (tag == URING_TAG_WAKE) {
    u->wake_armed = false;
    uring_arm_wake(u);
    return false;
  }
  if (tag == URING_TAG_SET) {
    u->set_armed = false;
    bide__pollset_collect(&u->set);
    return false;
  }
  bide_op *op = (bide_op *)(uintptr_t)(user_data - tag);
  /* A cancel that still waits for room has nothing left to cancel. */
  bool ended = (flags & RING_CQE_MORE) == 0;
  if (ended && bide__list_linked(&bide__scratch_of(op)->done))
    bide__list_remove(&bide__scratch_of(op)->done);
  if (ended && bide__tells(op)) bide__tellers_withdraw(op);
  result = uring_polled(op, result);
  if (uring_retries(u, op, tag, result)) return false;

  *completion = (bide_completion){op, uring_cancelled_result(op, tag, result), 0, 0};
  if (bide__tells(op)) return uring_told(u, completion, ended);
  if ((flags & RING_CQE_BUFFER) != 0) {
    uint16_t id = (uint16_t)(flags >> RING_CQE_BUFFER_SHIFT);
    u->base.buffers.lent++;
    if (result > 0) {
      completion->buffer_id = id;
      completion->flags = BIDE_OP_BUFFER;
    } else {
      u->base.class->release_buffer(&u->base, id);
    }
  }
  if (!ended || uring_goes_on(u, op, completion))
    completion->flags |= BIDE_OP_MORE;
  else
    op->phase_ = BIDE__PHASE_NONE;
  return true;
}

static int uring_take_done(uring *u, bide_completion *completions, int max) {
  int count = 0;
  bide_op *op;
  while (count < max &&
         (op = bide__backend_take_done(&u->base, &completions[count])) != NULL) {
    bool more = (completions[count].flags & BIDE_OP_MORE) != 0;
    if (more && op->kind == BIDE_OP_POLL_MULTI)
      bide__pollset_go_on(op);
    else if (more && bide__tells(op))
      bide__tellers_handed_out(&u->tellers, op);
    else if (more)
      uring_start(u, op);
    count++;
  }
  return count;
}

/* The second look at `done` is for what the poll set has put there. */
static int uring_reap(bide__backend *backend, bide_completion *completions, int max) {
  uring *u = uring_of(backend);
  int count = uring_take_done(u, completions, max);
  const ring_cqe *cqe;
  while (count < max && (cqe = bide__ring_peek(&u->ring)) != NULL) {
    ring_cqe entry = *cqe;
    bide__ring_seen(&u->ring);
    if (uring_complete(u, entry.user_data, entry.res, entry.flags, &completions[count]))
      count++;
  }
  return count + uring_take_done(u, completions + count, max - count);
}

static void uring_release_buffer(bide__backend *backend, uint16_t id) {
  uring *u = uring_of(backend);
  assert(backend->buffers.lent > 0);
  backend->buffers.lent--;
  if (bide__list_empty(&u->starved))
    uring_buffer_add(u, id);
  else
    uring_keep_buffer(u, id); /* the next wait feeds the starved */
}

/* ---- waiting ---- */

static bool uring_peek(const bide__backend *backend) {
  const uring *u = uring_of_const(backend);
  return !bide__list_empty(&backend->done) || bide__ring_peek(&u->ring) != NULL ||
         !bide__list_empty(&u->tellers.again) || bide__ring_wants_enter(&u->ring) ||
         uring_may_feed(u);
}

/* EBUSY and EAGAIN mean: reap first, which the caller does next; ETIME is a timeout. */
static int uring_enter(uring *u, bool get_events, bool wait, int64_t timeout_us) {
  int error = bide__ring_enter(&u->ring, get_events, wait, timeout_us);
  return error == -ETIME || error == -EBUSY || error == -EAGAIN ? 0 : error;
}

static int uring_flush(bide__backend *backend) {
  uring *u = uring_of(backend);
  uring_refill(u);
  if (bide__ring_unsubmitted(&u->ring) == 0) return 0;
  int error;
  do {
    error = uring_enter(u, false, false, 0);
  } while (error == -EINTR);
  return error;
}

static int uring_wait(bide__backend *backend, int64_t timeout_us) {
  uring *u = uring_of(backend);
  uring_refill(u);
  bide__tellers_look(&u->tellers);
  bool ready = !bide__list_empty(&backend->done) || uring_may_feed(u) ||
               bide__ring_peek(&u->ring) != NULL;
  if (timeout_us != 0 && !ready) return uring_enter(u, true, true, timeout_us);
  bool held_back = bide__ring_wants_enter(&u->ring);
  if (!held_back && bide__ring_unsubmitted(&u->ring) == 0) return 0;
  return uring_enter(u, held_back, false, 0);
}

static int uring_receive(bide__backend *backend, bide_op *op, void *base, size_t len) {
  (void)backend;
  return bide__tellers_receive(op, base, len);
}

static int uring_fd(const bide__backend *backend) {
  const uring *u = uring_of_const(backend);
  return (u->ring.setup & RING_SETUP_DEFER_TASKRUN) != 0 ? BIDE_EOPNOTSUPP : u->ring.fd;
}

static void uring_end(uring *u, bide_op *op) {
  bide__backend_done(&u->base, op, BIDE_ECANCELED, 0);
}

/* The op of an entry that the kernel has not seen yet; NULL for the loop's own. */
static bide_op *uring_op_of_sqe(const ring_sqe *sqe) {
  unsigned tag = (unsigned)(sqe->user_data & URING_TAG_MASK);
  if (tag != URING_TAG_OP && tag != URING_TAG_POLL) return NULL;
  return (bide_op *)(uintptr_t)(sqe->user_data - tag);
}

static void uring_forget_unsubmitted(uring *u, int fd) {
  ring_sqe *sqe;
  for (uint32_t i = 0; (sqe = bide__ring_unseen(&u->ring, i)) != NULL; i++) {
    bide_op *op = uring_op_of_sqe(sqe);
    if (op == NULL || sqe->fd != fd) continue;
    *sqe = (ring_sqe){.opcode = RING_OP_NOP, .user_data = URING_TAG_CANCEL};
    if (bide__list_linked(&bide__scratch_of(op)->done))
      bide__list_remove(&bide__scratch_of(op)->done);
    uring_end(u, op);
  }
}

static void uring_forget_waiting(uring *u, bide_node *list, int fd) {
  bide_node *node = list->next;
  while (node != list) {
    bide_op *op = bide__op_of_wait(node);
    node = node->next;
    if (op->fd != fd) continue;
    bide__list_remove(&bide__scratch_of(op)->as.wait);
    uring_end(u, op);
  }
}

/* The kernel looks an fd up when an entry is handed to it, and a flush may hand over none
 * for want of memory: what it has not seen must not meet the file that has the number
 * next. */
static void uring_forget(bide__backend *backend, int fd) {
  uring *u = uring_of(backend);
  bide__pollset_forget(&u->set, fd);
  bide__tellers_forget(&u->tellers, fd);
  uring_forget_unsubmitted(u, fd);
  uring_forget_waiting(u, &u->backlog, fd);
  uring_forget_waiting(u, &u->starved, fd);
}

/* ---- life ---- */

static void uring_free(bide__backend *backend, bool forked) {
  uring *u = uring_of(backend);
  /* Unmapping and closing a copy leaves the parent's ring alone. */
  bide__ring_close(&u->ring);
  bide__pollset_close(&u->set);
  if (u->buf_ring != NULL) munmap(u->buf_ring, uring_buf_ring_bytes(u));
  bide__backend_destroy(backend, forked);
  bide__free(u);
}

static const bide__backend_class uring_class = {
    .name = "io_uring",
    .free = uring_free,
    .submit = uring_submit,
    .cancel = uring_cancel,
    .flush = uring_flush,
    .peek = uring_peek,
    .wait = uring_wait,
    .reap = uring_reap,
    .fd = uring_fd,
    .forget = uring_forget,
    .release_buffer = uring_release_buffer,
    .receive = uring_receive,
};

static int uring_open(uring *u, const bide__backend_config *config) {
  uint32_t setup = RING_SETUP_COOP_TASKRUN | RING_SETUP_TASKRUN_FLAG;
  /* A backend that polls this ring would not hear of deferred work. */
  if (config->owns_thread && !config->ring_for_files)
    setup |= RING_SETUP_SINGLE_ISSUER | RING_SETUP_DEFER_TASKRUN;
  uint32_t entries = config->ring_entries;
  int error = bide__ring_open(&u->ring, entries, setup);
  while (error == -ENOMEM && entries > URING_ENTRIES_MIN) {
    entries /= 2;
    error = bide__ring_open(&u->ring, entries, setup);
  }
  return error;
}

/* The poll set is made here, so that no operation fails later for want of a descriptor. */
int bide__uring_new(const bide__backend_config *config, bide__backend **backend) {
  uring *u = bide__zalloc(sizeof *u);
  if (u == NULL) return BIDE_ENOMEM;
  int error = uring_open(u, config);
  if (error < 0) goto free_memory;
  error = bide__pollset_open(&u->set, &u->base);
  if (error < 0) goto close_ring;
  error = bide__backend_init(&u->base, &uring_class, config);
  if (error < 0) goto close_set;
  bide__list_init(&u->backlog);
  bide__list_init(&u->cancels);
  bide__list_init(&u->starved);
  bide__tellers_init(&u->tellers, &u->base);
  u->wake_armed = config->ring_for_files; /* another waits, and is woken */
  *backend = &u->base;
  return 0;

close_set:
  bide__pollset_close(&u->set);
close_ring:
  bide__ring_close(&u->ring);
free_memory:
  bide__free(u);
  return error;
}
