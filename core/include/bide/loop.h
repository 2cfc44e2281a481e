/* loop.h: the event loop.
 *
 * Four primitives carry everything: bide_loop_submit, bide_loop_flush,
 * bide_loop_wait and bide_loop_reap. bide_loop_dispatch (ready calls, then what
 * had come before them, then timers) and bide_loop_run are a thin layer over them.
 *
 *   while (!stopped) {
 *     bide_loop_wait(loop, bide_loop_timeout(loop)); // the only call that blocks
 *     bide_loop_dispatch(loop);                      // the only one that calls you
 *   }
 *
 * is bide_loop_run, and what a binding writes to release its interpreter lock
 * around the wait.
 *
 * Threads: a loop may be made in one thread, run in another, run again in a
 * third and closed in the first, one thread at a time. While it runs only
 * bide_post and bide_wake may be called from elsewhere; anything else is an
 * assert in a debug build, and does nothing but return BIDE_ETHREAD otherwise.
 *
 * Fork: a child must not use its parent's loop. Submit, cancel, run, wait, flush, reap,
 * dispatch and drain return BIDE_EFORKED there; bide_loop_close only releases the child's
 * copies.
 */
#ifndef BIDE_LOOP_H
#define BIDE_LOOP_H

#include "op.h"
#include "pool.h"
#include "timer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum bide_backend {
  BIDE_BACKEND_AUTO = 0, /* io_uring where the kernel (6.1 or newer) grants it */
  BIDE_BACKEND_IO_URING, /* io_uring, or bide_loop_new fails */
  BIDE_BACKEND_EPOLL
} bide_backend;

enum {
  /* The thread that makes the loop drives and closes it, and no other does. On
   * io_uring this buys deferred task work, which runs in the waits alone, and costs
   * bide_loop_fd: an outer loop would never wake. */
  BIDE_LOOP_OWNS_THREAD = 1u << 0,
  /* AUTO means for this loop: epoll waits, and a ring, where the kernel grants one, does
   * what is done to regular files, in place of a pool. For loops whose callbacks cost far
   * more than a system call. OWNS_THREAD does nothing to that ring, which epoll polls. */
  BIDE_LOOP_RING_FOR_FILES = 1u << 1,
};

typedef struct bide_loop_options {
  uint32_t size;  /* sizeof(bide_loop_options), for newer libraries */
  uint32_t flags; /* BIDE_LOOP_... */
  /* AUTO here takes the environment's BIDE_BACKEND=auto|io_uring|epoll; any
   * other value here wins over the environment. io_uring by the environment or
   * here is a demand: where the ring is refused, bide_loop_new fails. */
  bide_backend backend;
  uint32_t ring_entries;      /* 0: 256; halved while the kernel says ENOMEM */
  uint32_t recv_buffer_count; /* 0: 128; a power of two, at most 32768 */
  uint32_t recv_buffer_bytes; /* 0: 32768 */
  bide_pool *file_pool;       /* for regular files on epoll; NULL: the loop makes
                                * its own when it first needs one */
  const bide_hooks *hooks;    /* NULL: none */
  /* Before a wait sleeps it looks again and again for so long: what comes within it is seen
   * without a sleep and a wake, which are most of a round trip on one connection. The price is
   * a processor kept busy meanwhile. It adapts: each look in vain halves the next, down to
   * none, and a wait in which something came within this restores it. 0: off. */
  uint32_t spin_us;
} bide_loop_options;

#define BIDE_LOOP_OPTIONS_INIT \
  { sizeof(bide_loop_options), 0, BIDE_BACKEND_AUTO, 0, 0, 0, NULL, NULL, 0 }

/* options may be NULL. Returns 0; BIDE_EINVAL for an option or a BIDE_BACKEND
 * that is none; BIDE_ENOMEM, BIDE_EMFILE, BIDE_ENFILE; the kernel's refusal
 * (ENOSYS, EPERM, ENOMEM) when io_uring was demanded. Any thread. */
BIDE_EXTERN int bide_loop_new(const bide_loop_options *options, bide_loop **loop);

/* Frees the loop. Returns BIDE_EBUSY, and does nothing, while it runs or dispatches, or while
 * operations are in flight (bide_loop_drain ends those). Running timers and ready
 * calls are forgotten, their callbacks not called. NULL is harmless. */
BIDE_EXTERN int bide_loop_close(bide_loop *loop);

/* Cancels every operation in flight and dispatches until each has completed.
 * Callbacks run and may submit anew, which is cancelled in turn. Returns 0, or an
 * error of the wait. Timers are not run, nor ready calls until offloads alone are left:
 * those end in their own time, by a posted call, and what is ready runs with it. */
BIDE_EXTERN int bide_loop_drain(bide_loop *loop);

typedef enum bide_run_mode {
  BIDE_RUN_UNTIL_STOPPED = 0, /* until bide_loop_stop or bide_loop_interrupt */
  BIDE_RUN_ONCE,              /* one turn, which may block */
  BIDE_RUN_NOWAIT             /* one turn, which does not block */
} bide_run_mode;

/* Returns 0, BIDE_ERUNNING from inside a callback, BIDE_EFORKED, or an error of
 * the wait. EINTR is not an error: the loop looks again. */
BIDE_EXTERN int bide_loop_run(bide_loop *loop, bide_run_mode mode);

/* The run ends after the turn under way (or its first, if none is). Returns 0. The loop's
 * thread. */
BIDE_EXTERN int bide_loop_stop(bide_loop *loop);

/* The run, or the dispatch, ends after the callback under way; completions and
 * ready calls that it had not come to are kept for the next. Returns 0. The loop's thread. */
BIDE_EXTERN int bide_loop_interrupt(bide_loop *loop);

/* ---- the four primitives ---- */

/* Takes the op until its completion. Returns 0, BIDE_EINVAL for an op that was not
 * prepared or is in flight, BIDE_EFORKED, or BIDE_ENOMEM (the epoll backend's table
 * of fds or its first pool); on an error the op is idle and still yours. What the
 * kernel refuses comes as the op's result. The kernel may see it only at the next
 * flush or wait. */
BIDE_EXTERN int bide_loop_submit(bide_loop *loop, bide_op *op);

/* Hands what was submitted to the kernel now. Seldom needed: a wait does it, and
 * with ready work so does the loop, after 100 us or the turn that takes longer.
 * Returns 0 or an error. */
BIDE_EXTERN int bide_loop_flush(bide_loop *loop);

/* Waits until a completion is there, something was posted, the loop was woken, a
 * signal came or timeout_us has passed: -1 no limit, 0 do not block. While ready
 * calls wait, a timeout of 0 costs no system call until 100 us of them have run.
 * It calls nobody: a binding may drop its lock around it. Returns 0, BIDE_EINTR
 * when a signal ended it, or may have (a completion that came with the signal hides
 * it: look for signals after every wait), or the kernel had work to do in this thread for
 * another ring, BIDE_EFORKED or an error of the kernel's. */
BIDE_EXTERN int bide_loop_wait(bide_loop *loop, int64_t timeout_us);

/* Takes up to max completions without calling their callbacks, and never blocks.
 * With BIDE_OP_BUFFER set the caller owns the buffer. Timeouts complete here too; other
 * timers wait for a dispatch. Returns how many, or BIDE_EFORKED. */
BIDE_EXTERN int bide_loop_reap(bide_loop *loop, bide_completion *completions, int max);

/* ---- living inside another loop ---- */

/* Reaps, runs the calls that were ready when the turn began, then calls the callbacks of
 * what was reaped, then due timers: who has been ready comes before what the wait has
 * brought, and what completes meanwhile waits for the next turn. A turn
 * whose calls take more than 5 ms goes on in the next dispatch, so that I/O and timers
 * come between them. Returns how many callbacks it made, or an error. */
BIDE_EXTERN int bide_loop_dispatch(bide_loop *loop);

/* One more turn after a dispatch, of ready calls alone and at no cost but theirs. It makes
 * none, and returns 0, as soon as anything else may have to be looked at: completions,
 * posts, the clock or the kernel after so many calls. Who embeds the loop calls it until
 * then and goes on with a wait. Returns how many callbacks it made, or an error. */
BIDE_EXTERN int bide_loop_dispatch_ready(bide_loop *loop);

/* As flush, when the thread goes back to an outer loop: from here to the next wait,
 * whatever gives the loop work on its own thread (submit, cancel, call_soon, a timer's
 * start, a forgotten fd that operations wait on, a buffer that a receive waits for) makes
 * its fd readable too, at the price of one write. The outer loop comes back for the fd or
 * when bide_loop_timeout, asked after this, has passed. Returns 0 or an error. */
BIDE_EXTERN int bide_loop_park(bide_loop *loop);

/* True when no call of the turn under way is left for the next dispatch: where a
 * binding that was told to stop ends its run. The loop's thread. */
BIDE_EXTERN bool bide_loop_turn_ended(const bide_loop *loop);

/* How long a wait may block: 0 when work is ready, -1 when only I/O can bring any,
 * else the microseconds to the next timer. */
BIDE_EXTERN int64_t bide_loop_timeout(const bide_loop *loop);

/* An fd that polls readable when bide_loop_wait would find something. It stays the
 * loop's. Flush before you wait on it. BIDE_EOPNOTSUPP with OWNS_THREAD. */
BIDE_EXTERN int bide_loop_fd(const bide_loop *loop);

/* ---- state ---- */

/* "io_uring" or "epoll": what the loop waits on. Static string. Any thread. */
BIDE_EXTERN const char *bide_loop_backend(const bide_loop *loop);

/* Why: a sentence, with the errno's name where a ring was refused, such as
 * "io_uring_setup was refused: EPERM (operation not permitted)". Lives as long as
 * the loop. Any thread. */
BIDE_EXTERN const char *bide_loop_backend_reason(const bide_loop *loop);

/* Operations in flight. The loop's thread. */
BIDE_EXTERN size_t bide_loop_in_flight(const bide_loop *loop);

/* The loop's clock, read anew. The loop's thread. */
BIDE_EXTERN uint64_t bide_loop_now_us(const bide_loop *loop);

/* True from the start of run to its end. Any thread (a hint). */
BIDE_EXTERN bool bide_loop_is_running(const bide_loop *loop);

/* 0, or BIDE_EFORKED in a child of the process that made the loop. Any thread. */
BIDE_EXTERN int bide_loop_check(const bide_loop *loop);

/* ---- operations and fds ---- */

/* Asks for the op's end; its completion still comes, with BIDE_ECANCELED or with
 * what it had achieved (rule 3 of op.h). Returns 0, BIDE_ENOENT for an op that is
 * not in flight, BIDE_EALREADY for one being cancelled, BIDE_EFORKED. Never lost, whatever the
 * queues hold. A file operation that runs on a worker ends in its own time. */
BIDE_EXTERN int bide_loop_cancel(bide_loop *loop, bide_op *op);

/* The next wait asks the kernel, also when calls are ready, which may otherwise keep the
 * loop from it for 100 us: for after a system call of the caller's own that gives the loop
 * something to hear of, such as a connect to a server on the same loop. Closing or
 * forgetting an fd does so by itself. Returns 0. The loop's thread. */
BIDE_EXTERN int bide_loop_look(bide_loop *loop);

/* The same for after the turn under way, whose calls go on without a look at the clock: for
 * what many calls of a turn do, such as sending. Returns 0. The loop's thread. */
BIDE_EXTERN int bide_loop_look_next(bide_loop *loop);

/* Forgets and closes fd at once, on the loop's thread: for sockets, pipes and the
 * like that operations were used on, when none is in flight. Returns close(2)'s
 * code; the fd is gone in any case but for BIDE_ETHREAD. */
BIDE_EXTERN int bide_loop_close_fd(bide_loop *loop, int fd);

/* Forgets fd without closing it: it goes to somebody else, who will close it.
 * Operations that wait on it in the loop complete with BIDE_ECANCELED: all of them on
 * epoll, on io_uring those that the kernel has not been handed yet. Those that it has go
 * on with the file that they began with. Harmless for an fd that the loop does not know.
 * Returns 0 or BIDE_EFORKED. The loop's thread. */
BIDE_EXTERN int bide_loop_forget_fd(bide_loop *loop, int fd);

/* For the callback of a completion with BIDE_OP_READY: receives into memory of its own.
 * Returns the bytes, 0 at the end of the stream, BIDE_EAGAIN when nothing is left, BIDE_EINVAL
 * for another completion, or another error. */
BIDE_EXTERN int bide_receive(bide_op *op, void *base, size_t len);

/* Gives a pooled buffer back. Each that came with BIDE_OP_BUFFER, exactly once: returns 0, or
 * BIDE_EINVAL for one that is not lent to you. */
BIDE_EXTERN int bide_buffer_release(bide_loop *loop, uint16_t buffer_id);

/* The bytes of a pooled buffer that is lent to you; NULL for another. */
BIDE_EXTERN void *bide_buffer_data(const bide_loop *loop, uint16_t buffer_id);

/* ---- ready calls ---- */

typedef struct bide_call bide_call;
typedef void (*bide_call_cb)(bide_call *call);

/* A callback to be run soon. Caller-owned and intrusive; it belongs to the loop
 * until its callback begins or bide_call_cancel returns. Zero it before use. */
struct bide_call {
  bide_call_cb cb; /* public */
  bide_node posted_;
  uint32_t slot_;
  uint32_t state_;
};

/* Runs call->cb at the next dispatch, first come, first served. Returns 0 or
 * BIDE_ENOMEM (the queue grows; it never allocates in the steady state). A call
 * that is queued already stays where it is: 0. The loop's thread. */
BIDE_EXTERN int bide_loop_call_soon(bide_loop *loop, bide_call *call);

/* The callback will not run. Harmless on a call that is not queued. For calls made
 * ready by bide_loop_call_soon. Returns 0. The loop's thread. */
BIDE_EXTERN int bide_call_cancel(bide_loop *loop, bide_call *call);

/* As call_soon, from any thread, and from signal handlers: takes no lock, allocates nothing,
 * wakes the loop once a batch. Posted calls keep their order; a turn takes 1,024 of
 * them at most, so that those of the loop's own thread come between. A call must not be
 * posted again before it runs: returns 0, or BIDE_EALREADY for one that is queued or posted
 * (two threads that post it at the same moment are not told apart from one). The loop must not
 * be closed meanwhile. */
BIDE_EXTERN int bide_post(bide_loop *loop, bide_call *call);

/* Makes a wait under way, or the next one, return. Any thread, and signal
 * handlers. */
BIDE_EXTERN void bide_wake(bide_loop *loop);

#ifdef __cplusplus
}
#endif
#endif
