/* loop.h: the loop object, the core's bide_loop in CPython's dress.
 *
 * Callbacks of the core come in on the loop's thread with the GIL held: only
 * bide_loop_wait runs without it. Each callback that may run user code stands between
 * loop_enter and loop_leave. */
#ifndef BIDE_PYTHON_LOOP_H
#define BIDE_PYTHON_LOOP_H

#include <bide/loop.h>

#include "job.h"
#include "state.h"

typedef struct handle_object handle_object;
typedef struct owner_dropped owner_dropped;
typedef struct poller poller;
typedef struct socket_call socket_call;
typedef struct socket_watch socket_watch;
typedef struct timer_handle_object timer_handle_object;
typedef struct transport_object transport_object;

/* Who uses an fd number: at most one of each, none of them owned by the slot. */
typedef struct fd_slot {
  poller *reader;
  poller *writer;
  PyObject *transport; /* of either kind */
  socket_watch *watch;
} fd_slot;

/* Dead handles kept for reuse, linked through their callback field. They hold no
 * reference to anything but None and False, their type included. */
typedef struct handle_pool {
  handle_object *first;
  unsigned count;
} handle_pool;

/* Calls that are over, kept for reuse and linked through their `next`, as handles are. */
typedef struct socket_call_pool {
  socket_call *first;
  unsigned count;
} socket_call_pool;

/* See clock.h. The heap holds the timers while time() is somebody else's; each is on
 * `scheduled`, which owns it. The versions are those of the last look. */
typedef struct loop_clock {
  timer_handle_object **heap;
  size_t count, capacity;
  uint64_t orders; /* timers set so far: equal times go by it */
  unsigned long long time_version;
  unsigned type_version;
  bool patched;           /* loop.time() is not bide's */
  bool monotonic_patched; /* nor is time.monotonic() Python's */
  bool call_at_foreign;   /* a subclass has its own call_at() */
  bool call_soon_foreign; /* or call_soon() */
  bool debug_foreign;     /* or get_debug() */
} loop_clock;

/* Lists:
 *   scheduled   handles that are queued or timed; the list owns a reference to each
 *   posts       as scheduled, handles of call_soon_threadsafe that other threads queued
 *   bare_calls  calls that are queued without a handle; freed by the loop
 *   pollers     the registrations of add_reader and add_writer; freed by the loop
 *   transports  those with an open fd; borrowed, a transport unlinks itself
 *   pipes       those with an open file; borrowed, a pipe unlinks itself
 *   datagrams   datagram endpoints, as transports
 *   listeners   those that accept; borrowed, each holds itself while it is started
 *   files       operations on files in flight; owns one each
 *   calls       of sock_ methods that wait for their socket; owns one each
 *   watches     of sockets that such calls have waited for; freed by the loop
 *   dirty       transports with bytes to send when the callback returns; owns one each
 *
 * `spare_calls` are bare calls kept for reuse, linked by next alone. The pools are the loop's
 * own, since two loops may run at the same time where there is no GIL; what they hold dies
 * with the loop, which each live handle and call keeps alive.
 * `lock` is what other threads take where there is no GIL: it is held to set `closed`, to lean
 * on `core` in a thread that does not run the loop, and for `posts` and `posted`. There too
 * `owner_thread` has the loop, so many times over; 0: nobody does; see owner.h.
 * `inbox` owns the jobs that workers have finished for this loop.
 * `core` is NULL from close on. `fatal` is the SystemExit or KeyboardInterrupt that ends
 * the run. `depth` counts the callbacks under way, nested runs being forbidden: 0 or 1;
 * `dirty` is empty when it is 0.
 * A loop that has both `listened` and `connected` to this host, or was given a Unix socket that
 * may be `paired` with another, may be its own peer: after it has sent it asks the kernel in
 * the next turn, as tests of both ends expect. Others need not, and are spared the call.
 * While `draining`, completions settle their owners' books and call no Python code. */
typedef struct loop_object {
  PyObject_HEAD
  module_state *state;
  bide_loop *core;
  job_inbox inbox;
  compat_lock lock;
  atomic_ulong owner_thread;
  unsigned owner_depth;
  _Atomic(owner_dropped *) dropped;
  bide_node scheduled;
  bide_node posts;
  bide_node bare_calls;
  bide_node *spare_calls;
  unsigned spare_count;
  bide_node pollers;
  bide_node transports;
  bide_node pipes;
  bide_node datagrams;
  bide_node listeners;
  bide_node files;
  bide_node calls;
  bide_node watches;
  bide_node dirty;
  handle_pool handles;
  handle_pool timer_handles;
  handle_pool threadsafe_handles;
  socket_call_pool socket_calls;
  fd_slot *fds;
  size_t fd_count;
  void *scratch; /* where one call that cannot be interrupted receives; NULL at first */
  void *input;   /* where transports receive what they pass on; NULL at first */
  PyObject *fatal;
  PyObject *task_factory;   /* None or NULL: asyncio.Task */
  PyObject *awaited;        /* the future whose end ends the run under way; or NULL */
  PyObject *current_handle; /* in debug mode, the one that runs; borrowed */
  PyObject *outer_hooks;    /* sys.get_asyncgen_hooks() of before the run under way */
  PyObject *bare_context;   /* with no variable, for what asks for none; NULL at first */
  loop_clock clock;
  atomic_ulong thread_id; /* of the run under way; 0 when none is */
  unsigned long owner_id; /* the thread that alone may run and close it; 0: any may */
  double slow_s;
  size_t kept_bytes; /* that readers were fed in this turn, to be read in another */
  unsigned posted;   /* how many `posts` there are */
  int depth;
  int guests;             /* open ones; see guest.h */
  int guest_timer_fd;     /* -1 without any */
  int outer_origin_depth; /* coroutine origins were tracked so deep before; -1 */
  bool pools_input; /* small pieces had better come in the core's buffers: on a ring */
  bool listened;
  bool connected;
  bool paired;
  atomic_bool closed;
  bool draining;
  atomic_bool stopping;
  bool debug;
} loop_object;

/* The clock of loop.time(): time.monotonic()'s, to the last bit. */
double loop_now_s(void);

/* Whether this thread runs the loop. On any thread. */
static inline bool loop_runs_here(const loop_object *loop) {
  return loop->thread_id == PyThread_get_thread_ident();
}

/* 0; -1 with RuntimeError once the loop is closed, or is a forked child's copy of its
 * parent's. On any thread. */
int loop_check_open(loop_object *loop);

/* 0; -1 with RuntimeError when the loop belongs to another thread; owner.c, as those below. */
int loop_check_owner(const loop_object *loop);

/* 0; -1 with RuntimeError when the loop runs in another thread. For debug mode. */
int loop_check_thread(loop_object *loop);

/* The same where there is no GIL, whatever the mode: for what would else be done to the loop by
 * two threads at once. */
static inline int loop_check_here(loop_object *loop) {
  return COMPAT_FREE_THREADED ? loop_check_thread(loop) : 0;
}

/* loop_check_open and loop_check_here. */
int loop_check_use(loop_object *loop);

/* Around each callback that may run user code. Leave sends what transports wrote
 * meanwhile. No exception may be pending at either. */
void loop_enter(loop_object *loop);
void loop_leave(loop_object *loop);

/* The loop has connected to this host: asks the kernel in the next turn, whatever is ready,
 * since the other end may be its own. */
void loop_look(loop_object *loop);

/* Takes the pending exception if it is one that must end the run (SystemExit,
 * KeyboardInterrupt): true, and the run ends after this callback. */
bool loop_take_fatal(loop_object *loop);

/* Consumes the pending exception of code that has nobody to raise it to. */
void loop_swallow(loop_object *loop);

/* Debug mode's report of a handle or transport whose call, begun at begin_us, took long.
 * An exception may be pending and stays so. */
void loop_check_slow(loop_object *loop, PyObject *subject, uint64_t begin_us);

/* Memory to receive into until the GIL is dropped; NULL with MemoryError. */
enum { LOOP_SCRATCH_BYTES = 256 * 1024 };
void *loop_scratch(loop_object *loop);

/* Memory for one piece of input, as large as the core's buffers: its own, since there may be
 * user code between the receive and the last byte's use. NULL with MemoryError. */
enum { LOOP_INPUT_BYTES = 120 * 1024 };
void *loop_input(loop_object *loop);

/* The slot of fd, made if need be; NULL with MemoryError. */
fd_slot *loop_fd_slot(loop_object *loop, int fd);

/* The slot of fd, or NULL when it has none. */
fd_slot *loop_fd_find(loop_object *loop, int fd);

/* An asyncio.Future of this loop, a new reference; future.c. */
PyObject *loop_create_future(PyObject *self, PyObject *unused);

/* Sets a future of asyncio's to None, unless it is done. For who has nobody to raise to. */
void loop_wake_future(loop_object *loop, PyObject *future);

PyObject *loop_get_debug(PyObject *self, PyObject *unused);

/* Methods that live in other files. */
PyObject *loop_own_methods(PyObject *type, PyObject *unused);
PyObject *loop_create_task(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                           PyObject *keywords);
PyObject *loop_call_soon(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                         PyObject *keywords);
PyObject *loop_call_soon_threadsafe(PyObject *self, PyObject *const *args,
                                    Py_ssize_t nargs, PyObject *keywords);
PyObject *loop_call_later(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                          PyObject *keywords);
PyObject *loop_call_at(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                       PyObject *keywords);
PyObject *loop_add_reader(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                          PyObject *keywords);
PyObject *loop_add_writer(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                          PyObject *keywords);
PyObject *loop_watch_read(PyObject *self, PyObject *const *args, Py_ssize_t nargs);
PyObject *loop_watch_write(PyObject *self, PyObject *const *args, Py_ssize_t nargs);
PyObject *loop_remove_reader(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                             PyObject *keywords);
PyObject *loop_remove_writer(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                             PyObject *keywords);
PyObject *loop_run(PyObject *self, PyObject *unused);
PyObject *loop_check_running(PyObject *self, PyObject *unused);
PyObject *loop_track_origins(PyObject *self, PyObject *enabled);
PyObject *loop_sock_recv(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                         PyObject *keywords);
PyObject *loop_sock_recv_into(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *keywords);
PyObject *loop_sock_sendall(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                            PyObject *keywords);
PyObject *loop_socket_call(PyObject *self, PyObject *const *args, Py_ssize_t nargs);
PyObject *loop_socket_wait(PyObject *self, PyObject *const *args, Py_ssize_t nargs);
PyObject *loop_connect_datagram(PyObject *self, PyObject *const *args, Py_ssize_t nargs);
PyObject *loop_dial(PyObject *self, PyObject *const *args, Py_ssize_t nargs);
PyObject *loop_connect_transport(PyObject *self, PyObject *const *args, Py_ssize_t nargs);

#endif
