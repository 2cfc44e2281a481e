/* The fault sweep: a program of sockets, files, timers, a pool and pooled buffers runs once
 * undisturbed, while the calls of its hooks, of its allocator and of the system are counted; then
 * once for each of those calls and each kind of fault, which that call meets. However it ends, each
 * of its parts has ended once, nothing is in flight, and no memory and no descriptor stays.
 *
 * Prints "sweep: N hook calls x K kinds of fault = P points tried". */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "net_pair.h"

enum { PAYLOAD = 32, PARTS = 5 };

/* ---- the program ---- */

typedef struct world world;

/* A part ends with its first error, which ends the others. fd: what it has open. */
typedef struct part {
  bide_child child;
  world *world;
  bide_io io;
  bide_future stage; /* of what is no bide_io */
  bide_read_file file;
  bide_op multi;
  bide_offload offload;
  struct statx status;
  char bytes[PAYLOAD];
  size_t done;
  int fd, ended;
} part;

struct world {
  bide_loop *loop;
  bide_pool *pool;
  bide_scope scope;
  part parts[PARTS];
  bide_address address;
  int listener, pair[2];
  char path[64];
};

static void close_once(bide_loop *loop, int *fd) {
  if (*fd >= 0) bide_loop_close_fd(loop, *fd);
  *fd = -1;
}

/* The listener goes with whoever fails: a client that was connected already, and whose cancel
 * its last success has spent, would wait for an answer for ever. A scope takes no notice of a
 * child that is cancelled alone. */
static bide_poll part_end(part *self, int error) {
  close_once(self->world->loop, &self->fd);
  if (error < 0) close_once(self->world->loop, &self->world->listener);
  if (error == BIDE_ECANCELED) bide_scope_cancel(&self->world->scope);
  self->ended++;
  return bide_task_return(&self->child.task, 0, error);
}

/* Awaits what was prepared in self->io; its first error ends the part. */
#define PART_AWAIT(self) \
  BIDE_AWAIT_IO(&(self)->child.task, &(self)->io); \
  if (bide_task_status(&(self)->child.task) < 0) \
  return part_end((self), bide_task_status(&(self)->child.task))

#define PART_AWAIT_STAGE(self) \
  BIDE_AWAIT(&(self)->child.task, &(self)->stage); \
  if (bide_task_status(&(self)->child.task) < 0) \
  return part_end((self), bide_task_status(&(self)->child.task))

static void part_prep_send(part *self) {
  bide_prep_send(&self->io.op, self->fd, self->bytes + self->done, PAYLOAD - self->done,
                 0);
}

static void part_prep_recv(part *self) {
  bide_prep_recv(&self->io.op, self->fd, self->bytes + self->done, PAYLOAD - self->done,
                 0);
}

static bide_poll server_poll(bide_task *task) {
  part *self = BIDE_FRAME(task, part, child.task);
  BIDE_ASYNC_BEGIN(task);
  bide_prep_accept(&self->io.op, self->world->listener, NULL, NULL);
  PART_AWAIT(self);
  self->fd = self->io.op.result;
  for (self->done = 0; self->done < PAYLOAD; self->done += (size_t)self->io.op.result) {
    part_prep_recv(self);
    PART_AWAIT(self);
    if (self->io.op.result == 0) return part_end(self, BIDE_EPIPE);
  }
  for (self->done = 0; self->done < PAYLOAD; self->done += (size_t)self->io.op.result) {
    part_prep_send(self);
    PART_AWAIT(self);
  }
  bide_prep_close(&self->io.op, self->fd);
  BIDE_AWAIT_IO(task, &self->io);
  if (bide_task_status(task) != BIDE_ECANCELED) self->fd = -1;
  return part_end(self, bide_task_status(task));
  BIDE_ASYNC_END(task, 0);
}

static bide_poll client_poll(bide_task *task) {
  part *self = BIDE_FRAME(task, part, child.task);
  BIDE_ASYNC_BEGIN(task);
  self->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  REQUIRE(self->fd >= 0);
  bide_prep_connect(&self->io.op, self->fd,
                    (struct sockaddr *)&self->world->address.storage,
                    self->world->address.len);
  PART_AWAIT(self);
  for (self->done = 0; self->done < PAYLOAD; self->done += (size_t)self->io.op.result) {
    part_prep_send(self);
    PART_AWAIT(self);
  }
  memset(self->bytes, 0, PAYLOAD);
  for (self->done = 0; self->done < PAYLOAD; self->done += (size_t)self->io.op.result) {
    part_prep_recv(self);
    PART_AWAIT(self);
    if (self->io.op.result == 0) return part_end(self, BIDE_EPIPE);
  }
  CHECK_INT(self->bytes[PAYLOAD - 1], 'c');
  bide_prep_close(&self->io.op, self->fd);
  BIDE_AWAIT_IO(task, &self->io);
  if (bide_task_status(task) != BIDE_ECANCELED) self->fd = -1;
  return part_end(self, bide_task_status(task));
  BIDE_ASYNC_END(task, 0);
}

static void file_read(bide_read_file *request) {
  part *self = request->data;
  if (request->result < 0)
    bide_future_reject(&self->stage, request->result);
  else
    bide_future_resolve(&self->stage, (intptr_t)request->len);
}

static void file_cancel(bide_future *future) {
  bide_read_file_cancel(&BIDE_CONTAINER_OF(future, part, stage)->file);
}

/* Into memory of bide's own. */
static void file_start(part *self) {
  self->file = (bide_read_file){.cb = file_read, .data = self};
  bide_future_init(&self->stage, self->world->loop);
  self->stage.cancel = file_cancel;
  int error =
      bide_read_file_start(self->world->loop, &self->file, self->world->path, NULL, 0);
  if (error < 0) bide_future_reject(&self->stage, error);
}

static bide_poll file_poll(bide_task *task) {
  part *self = BIDE_FRAME(task, part, child.task);
  BIDE_ASYNC_BEGIN(task);
  bide_prep_openat(&self->io.op, AT_FDCWD, self->world->path, O_RDWR | O_CREAT, 0600);
  PART_AWAIT(self);
  self->fd = self->io.op.result;
  for (self->done = 0; self->done < PAYLOAD; self->done += (size_t)self->io.op.result) {
    bide_prep_write(&self->io.op, self->fd, self->bytes + self->done,
                    PAYLOAD - self->done, (int64_t)self->done);
    PART_AWAIT(self);
  }
  bide_prep_fsync(&self->io.op, self->fd, true);
  PART_AWAIT(self);
  bide_prep_statx(&self->io.op, self->fd, "", AT_EMPTY_PATH, STATX_SIZE, &self->status);
  PART_AWAIT(self);
  CHECK_INT(self->status.stx_size, PAYLOAD);
  for (self->done = 0; self->done < PAYLOAD; self->done += (size_t)self->io.op.result) {
    bide_prep_read(&self->io.op, self->fd, self->bytes + self->done, PAYLOAD - self->done,
                   (int64_t)self->done);
    PART_AWAIT(self);
  }
  file_start(self);
  PART_AWAIT_STAGE(self);
  CHECK_INT(self->stage.value, PAYLOAD);
  return part_end(self, 0);
  BIDE_ASYNC_END(task, 0);
}

static void multi_received(bide_op *op) {
  part *self = op->data;
  if ((op->flags & BIDE_OP_BUFFER) != 0)
    bide_buffer_release(self->world->loop, op->buffer_id);
  if ((op->flags & BIDE_OP_MORE) != 0) return;
  if (op->result < 0)
    bide_future_reject(&self->stage, op->result);
  else
    bide_future_resolve(&self->stage, 0);
}

static void multi_cancel(bide_future *future) {
  part *self = BIDE_CONTAINER_OF(future, part, stage);
  bide_loop_cancel(self->world->loop, &self->multi);
}

static void multi_start(part *self) {
  bide_prep_recv_multi(&self->multi, self->world->pair[0]);
  self->multi.cb = multi_received;
  self->multi.data = self;
  bide_future_init(&self->stage, self->world->loop);
  self->stage.cancel = multi_cancel;
  int error = bide_loop_submit(self->world->loop, &self->multi);
  if (error < 0) bide_future_reject(&self->stage, error);
}

/* Two messages, the second of which comes while the loop waits for it, then the end. */
static bide_poll multi_poll(bide_task *task) {
  part *self = BIDE_FRAME(task, part, child.task);
  BIDE_ASYNC_BEGIN(task);
  if (write(self->world->pair[1], "x", 1) != 1) return part_end(self, -errno);
  multi_start(self);
  BIDE_YIELD(task);
  BIDE_YIELD(task);
  if (write(self->world->pair[1], "y", 1) != 1) return part_end(self, -errno);
  shutdown(self->world->pair[1], SHUT_WR);
  PART_AWAIT_STAGE(self);
  return part_end(self, 0);
  BIDE_ASYNC_END(task, 0);
}

static intptr_t clock_work(bide_offload *offload) {
  (void)offload;
  return 7;
}

static bide_poll clock_poll(bide_task *task) {
  part *self = BIDE_FRAME(task, part, child.task);
  BIDE_ASYNC_BEGIN(task);
  bide_prep_nop(&self->io.op);
  PART_AWAIT(self);
  bide_prep_poll(&self->io.op, self->world->pair[1], POLLOUT);
  PART_AWAIT(self);
  bide_prep_timeout(&self->io.op, 50);
  BIDE_AWAIT_IO(task, &self->io);
  if (bide_task_status(task) != BIDE_ETIME) return part_end(self, bide_task_status(task));
  bide_offload_start(self->world->loop, self->world->pool, &self->offload, clock_work,
                     BIDE_PRIORITY_NORMAL);
  BIDE_AWAIT(task, &self->offload.future);
  if (bide_task_status(task) < 0) return part_end(self, bide_task_status(task));
  CHECK_INT(self->offload.future.value, 7);
  return part_end(self, 0);
  BIDE_ASYNC_END(task, 0);
}

static const bide_task_fn polls[PARTS] = {server_poll, client_poll, file_poll, multi_poll,
                                          clock_poll};

/* Until all have ended, whatever a wait says in between. */
static void world_run(world *all) {
  bide_scope_init(&all->scope, all->loop);
  for (int i = 0; i < PARTS; i++) {
    part *each = &all->parts[i];
    *each = (part){.world = all, .fd = -1};
    memset(each->bytes, 'c', PAYLOAD);
    if (bide_scope_spawn(&all->scope, &each->child, polls[i]) == 0) continue;
    each->ended = 1;
    bide_scope_cancel(&all->scope);
  }
  bide_future *over = bide_scope_end(&all->scope);
  while (!bide_future_is_settled(over)) bide_block_on(over);
  for (int i = 0; i < PARTS; i++) {
    CHECK_INT(all->parts[i].ended, 1);
    bide_read_file_free(&all->parts[i].file);
  }
}

/* Returns how the program ended: 0 or its first error. */
static int run_world(const bide_hooks *hooks) {
  world all = {.pair = {-1, -1}};
  snprintf(all.path, sizeof all.path, "/tmp/bide-sweep-%ld", (long)getpid());
  all.listener = net_listen(&all.address);
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, all.pair) ==
          0);
  bide_loop_options options = harness_loop_options();
  options.hooks = hooks;
  int error = bide_pool_new(NULL, &all.pool);
  if (error == 0) error = bide_loop_new(&options, &all.loop);
  if (error == 0) {
    world_run(&all);
    error = all.scope.error;
    close_once(all.loop, &all.listener);
    close_once(all.loop, &all.pair[0]);
    close_once(all.loop, &all.pair[1]);
    CHECK_INT(bide_loop_in_flight(all.loop), 0);
    CHECK_INT(bide_loop_close(all.loop), 0);
  }
  bide_pool_free(all.pool);
  if (all.loop == NULL) close(all.listener);
  if (all.loop == NULL) close(all.pair[0]);
  if (all.loop == NULL) close(all.pair[1]);
  unlink(all.path);
  return error;
}

/* ---- what stays ---- */

static atomic_long blocks;

static int count_descriptors(void) {
  int count = 0;
  DIR *folder = opendir("/proc/self/fd");
  REQUIRE(folder != NULL);
  while (readdir(folder) != NULL) count++;
  closedir(folder);
  return count;
}

/* Runs the program, after which nothing may stay. */
static int run_checked(const bide_hooks *hooks) {
  int before = count_descriptors();
  int error = run_world(hooks);
  CHECK_INT(count_descriptors(), before);
  CHECK_INT(atomic_load(&blocks), 0);
  return error;
}

/* ---- the counted calls ---- */

/* The fail_at-th call from now fails; 0: none does. Calls of other threads count as well. */
typedef struct gate {
  atomic_long calls;
  long fail_at;
  int error;
} gate;

static bool gate_fails(gate *self) {
  long call = atomic_fetch_add(&self->calls, 1) + 1;
  return call == self->fail_at;
}

static void gate_set(gate *self, long fail_at, int error) {
  atomic_store(&self->calls, 0);
  self->fail_at = fail_at;
  self->error = error;
}

static gate memory_gate, system_gate;

static void *count_memory(void *user, void *pointer, size_t bytes) {
  (void)user;
  if (bytes > 0 && gate_fails(&memory_gate)) return NULL;
  if (pointer == NULL && bytes > 0) atomic_fetch_add(&blocks, 1);
  if (pointer != NULL && bytes == 0) atomic_fetch_sub(&blocks, 1);
  if (bytes > 0) return realloc(pointer, bytes);
  free(pointer);
  return NULL;
}

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__) && !defined(BIDE_VALGRIND)

/* What the core asks of the system goes through here. */
static const bool system_is_gated = true;

static bool system_fails(void) {
  if (!gate_fails(&system_gate)) return false;
  errno = system_gate.error;
  return true;
}

typedef long (*system_fn)(long number, ...);

/* The C library's own. */
static system_fn system_call(void) {
  static system_fn found;
  if (found == NULL) *(void **)(void *)&found = dlsym(RTLD_NEXT, "syscall");
  return found;
}

long syscall(long number, ...) {
  va_list list;
  long arguments[6];
  va_start(list, number);
  for (int i = 0; i < 6; i++) arguments[i] = va_arg(list, long);
  va_end(list);
  if (system_fails()) return -1;
  return system_call()(number, arguments[0], arguments[1], arguments[2], arguments[3],
                       arguments[4], arguments[5]);
}

int epoll_create1(int flags) {
  return system_fails() ? -1 : (int)system_call()(SYS_epoll_create1, flags);
}

int epoll_ctl(int set, int what, int fd, struct epoll_event *event) {
  return system_fails() ? -1 : (int)system_call()(SYS_epoll_ctl, set, what, fd, event);
}

int eventfd(unsigned value, int flags) {
  return system_fails() ? -1 : (int)system_call()(SYS_eventfd2, value, flags);
}

void *mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset) {
  if (system_fails()) return MAP_FAILED;
  return (void *)system_call()(SYS_mmap, address, bytes, protection, flags, fd, offset);
}

int poll(struct pollfd *polled, nfds_t count, int timeout_ms) {
  return system_fails() ? -1 : (int)system_call()(SYS_poll, polled, count, timeout_ms);
}

ssize_t recv(int fd, void *base, size_t len, int flags) {
  if (system_fails()) return -1;
  return system_call()(SYS_recvfrom, fd, base, len, flags, NULL, NULL);
}

ssize_t send(int fd, const void *base, size_t len, int flags) {
  if (system_fails()) return -1;
  return system_call()(SYS_sendto, fd, base, len, flags, NULL, 0);
}

int epoll_wait(int set, struct epoll_event *events, int max, int timeout_ms) {
  if (system_fails()) return -1;
  return (int)system_call()(SYS_epoll_pwait, set, events, max, timeout_ms, NULL, 0);
}

#else
static const bool system_is_gated = false;
#endif

/* ---- the sweeps ---- */

enum { FAULT_SHORT = 1, FAULT_LATE = 2 }; /* beside the codes, which are negative */

static const int faults[] = {FAULT_SHORT,    FAULT_LATE,  BIDE_EINTR, BIDE_ENOBUFS,
                             BIDE_ECANCELED, BIDE_EMFILE, BIDE_ENOMEM};
enum { FAULTS = sizeof faults / sizeof faults[0] };

/* The fault meets the point-th call of `submit`; 0: none. */
typedef struct sweep {
  long calls, point;
  int fault;
} sweep;

static bool sweep_submit(void *user, bide_op *op, int32_t *result) {
  sweep *self = user;
  if (++self->calls != self->point || self->fault == FAULT_LATE) return false;
  if (self->fault == FAULT_SHORT) {
    bool counted = op->kind == BIDE_OP_RECV || op->kind == BIDE_OP_SEND ||
                   op->kind == BIDE_OP_READ || op->kind == BIDE_OP_WRITE;
    if (counted && op->args.io.len > 1) op->args.io.len = 1;
    return false;
  }
  /* A close that fails has closed, but for one that was cancelled before it came to it. */
  if (op->kind == BIDE_OP_CLOSE && self->fault != BIDE_ECANCELED) close(op->fd);
  *result = self->fault;
  return true;
}

/* From the point on, what a completion has made ready comes after all else. */
static size_t sweep_pick(void *user, size_t count) {
  const sweep *self = user;
  return self->fault == FAULT_LATE && self->calls >= self->point ? count - 1 : 0;
}

static void sweep_of_hooks(void) {
  sweep clean = {0};
  bide_hooks hooks = {.user = &clean, .submit = sweep_submit, .pick = sweep_pick};
  CHECK_INT(run_checked(&hooks), 0);
  long tried = 0;
  int before = harness_failures;
  for (long point = 1; point <= clean.calls; point++) {
    for (int i = 0; i < FAULTS; i++) {
      sweep each = {.point = point, .fault = faults[i]};
      hooks.user = &each;
      int error = run_checked(&hooks);
      if (faults[i] > 0) CHECK_INT(error, 0);
      CHECK_RANGE(each.calls, point, LONG_MAX);
      tried += each.calls >= point;
    }
  }
  CHECK_INT(tried, clean.calls * FAULTS);
  printf("sweep: %ld hook calls x %d kinds of fault = %ld points tried, %d failures\n",
         clean.calls, FAULTS, tried, harness_failures - before);
}

/* One call after the other fails, until a run needs none of that number. */
static void sweep_gate(gate *gated, int error, const char *what) {
  int before = harness_failures;
  long point = 0;
  do {
    gate_set(gated, ++point, error);
    (void)run_checked(NULL);
  } while (atomic_load(&gated->calls) >= point);
  gate_set(gated, 0, 0);
  CHECK_INT(run_checked(NULL), 0);
  CHECK(point > 1);
  printf("sweep: %ld %s failed by %s, %d failures\n", point - 1, what,
         bide_error_name(-error), harness_failures - before);
}

static void sweep_of_allocations(void) {
  sweep_gate(&memory_gate, ENOMEM, "allocations");
}

static void sweep_of_system_calls(void) {
  if (!system_is_gated) return;
  sweep_gate(&system_gate, ENOMEM, "system calls");
  sweep_gate(&system_gate, EINTR, "system calls");
  sweep_gate(&system_gate, ENOSYS, "system calls");
}

static const harness_test tests[] = {
    HARNESS_TEST(sweep_of_hooks),
    HARNESS_TEST(sweep_of_allocations),
    HARNESS_TEST(sweep_of_system_calls),
};

int main(int argc, char **argv) {
  if (bide_set_allocator(count_memory, NULL) < 0) return 1;
  return HARNESS_MAIN(tests, argc, argv);
}
