/* The hooks: faults, virtual time and seeded schedules under a loop. */
#include <poll.h>
#include <sys/resource.h>

#include "guarded.h"
#include "net_pair.h"

typedef struct hooks_state {
  int32_t force; /* what the next operation of `kind` completes with, 0: nothing */
  bide_op_kind kind;
  size_t short_len; /* cut to, 0: not */
  int32_t replace;  /* what each completion becomes, 0: itself */
  uint64_t now_us;
  uint64_t seed;
  int submits, completes;
} hooks_state;

static bool hooks_submit(void *user, bide_op *op, int32_t *result) {
  hooks_state *state = user;
  state->submits++;
  if (state->short_len > 0 && op->args.io.len > state->short_len)
    op->args.io.len = state->short_len;
  if (state->force == 0 || op->kind != state->kind) return false;
  *result = state->force;
  state->force = 0;
  return true;
}

static int32_t hooks_complete(void *user, bide_op *op, int32_t result) {
  hooks_state *state = user;
  (void)op;
  state->completes++;
  return state->replace != 0 ? state->replace : result;
}

static uint64_t hooks_clock(void *user) { return ((hooks_state *)user)->now_us; }

static size_t hooks_pick(void *user, size_t count) {
  hooks_state *state = user;
  state->seed = state->seed * 6364136223846793005u + 1442695040888963407u;
  return (size_t)(state->seed >> 33) % count;
}

static void hooks_force_a_fault_of_every_kind(void) {
  hooks_state state = {0};
  bide_hooks hooks = {.user = &state, .submit = hooks_submit, .complete = hooks_complete};
  bide_loop *loop = harness_loop_hooked(&hooks);
  static const int32_t faults[] = {BIDE_EINTR, BIDE_ENOBUFS, BIDE_ECANCELED, BIDE_EMFILE,
                                   BIDE_ENOMEM};
  char byte = 'x';
  struct msghdr msg = {0};
  int kinds = 0;
  for (unsigned kind = 0; kind < BIDE_OP_KIND_COUNT; kind++) {
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
      bide_op op = {0};
      bide_prep_recv(&op, 0, &byte, 1, 0);
      if (kind == BIDE_OP_SENDMSG) bide_prep_sendmsg(&op, 0, &msg, 0);
      op.kind = (uint8_t)kind;
      state.kind = (bide_op_kind)kind;
      state.force = faults[i];
      CHECK_INT(net_do(loop, &op), faults[i]);
      CHECK_INT(state.force, 0);
      kinds++;
    }
  }
  CHECK_INT(state.submits, kinds);
  CHECK_INT(state.completes, kinds);
  CHECK_INT(bide_loop_in_flight(loop), 0);
  harness_loop_close(loop);
}

/* Short counts: a sender that goes on after each loses nothing. */
static void hooks_short_counts_lose_nothing(void) {
  hooks_state state = {.short_len = 3};
  bide_hooks hooks = {.user = &state, .submit = hooks_submit};
  bide_loop *loop = harness_loop_hooked(&hooks);
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  char out[1000], in[1000];
  for (size_t i = 0; i < sizeof out; i++) out[i] = (char)i;
  size_t sent = 0, got = 0;
  while (got < sizeof in) {
    bide_op op = {0};
    if (sent < sizeof out) {
      bide_prep_send(&op, fds[0], out + sent, sizeof out - sent, 0);
      CHECK_RANGE(net_do(loop, &op), 1, 4);
      sent += (size_t)op.result;
    }
    bide_prep_recv(&op, fds[1], in + got, sizeof in - got, 0);
    CHECK_RANGE(net_do(loop, &op), 1, 4);
    got += (size_t)op.result;
  }
  CHECK(memcmp(in, out, sizeof out) == 0);
  net_close_pair(loop, fds);
  harness_loop_close(loop);
}

static void hooks_replace_a_result(void) {
  hooks_state state = {.replace = BIDE_EIO};
  bide_hooks hooks = {.user = &state, .complete = hooks_complete};
  bide_loop *loop = harness_loop_hooked(&hooks);
  bide_op op = {0};
  bide_prep_nop(&op);
  CHECK_INT(net_do(loop, &op), BIDE_EIO);
  harness_loop_close(loop);
}

static int hooks_fired;

static void hooks_fire(bide_timer *timer) {
  (void)timer;
  hooks_fired++;
}

/* A day passes at once, and no timer is a microsecond early. */
static void hooks_virtual_time_moves_timers(void) {
  hooks_state state = {.now_us = 1000};
  bide_hooks hooks = {.user = &state, .clock_us = hooks_clock};
  bide_loop *loop = harness_loop_hooked(&hooks);
  bide_timer timer = {.cb = hooks_fire};
  hooks_fired = 0;
  uint64_t day_us = UINT64_C(86400000000);
  bide_timer_start_at(loop, &timer, state.now_us + day_us);
  CHECK_INT(bide_loop_now_us(loop), 1000);
  CHECK(bide_loop_timeout(loop) > 0);
  state.now_us += day_us - 1;
  CHECK_INT(bide_loop_run(loop, BIDE_RUN_NOWAIT), 0);
  CHECK_INT(hooks_fired, 0);
  state.now_us++;
  CHECK_INT(bide_loop_run(loop, BIDE_RUN_NOWAIT), 0);
  CHECK_INT(hooks_fired, 1);
  CHECK_INT(bide_loop_timeout(loop), -1);
  harness_loop_close(loop);
}

typedef struct hooks_step {
  bide_call call;
  char name;
} hooks_step;

static char hooks_order[32];

static void hooks_stepped(bide_call *call) {
  size_t len = strlen(hooks_order);
  hooks_order[len] = BIDE_CONTAINER_OF(call, hooks_step, call)->name;
}

static void hooks_run_schedule(uint64_t seed, char order[32]) {
  hooks_state state = {.seed = seed};
  bide_hooks hooks = {.user = &state, .pick = hooks_pick};
  bide_loop *loop = harness_loop_hooked(&hooks);
  memset(hooks_order, 0, sizeof hooks_order);
  hooks_step steps[12] = {0};
  for (int i = 0; i < 12; i++) {
    steps[i].name = (char)('a' + i);
    steps[i].call.cb = hooks_stepped;
    CHECK_INT(bide_loop_call_soon(loop, &steps[i].call), 0);
  }
  bide_call_cancel(loop, &steps[5].call);
  CHECK_INT(bide_loop_run(loop, BIDE_RUN_NOWAIT), 0);
  CHECK_INT(strlen(hooks_order), 11);
  CHECK(strchr(hooks_order, 'f') == NULL);
  memcpy(order, hooks_order, sizeof hooks_order);
  harness_loop_close(loop);
}

/* A seed makes one schedule, again and again; another seed another; each call runs once. */
static void hooks_seed_makes_the_schedule(void) {
  char first[32], again[32], other[32];
  hooks_run_schedule(1, first);
  hooks_run_schedule(1, again);
  hooks_run_schedule(2, other);
  CHECK_STR(again, first);
  CHECK(strcmp(other, first) != 0);
}

/* ---- memory ---- */

static long hooks_allocations, hooks_fail_at;

static void *hooks_reallocate(void *user, void *pointer, size_t bytes) {
  (void)user;
  if (bytes == 0) {
    free(pointer);
    return NULL;
  }
  if (++hooks_allocations == hooks_fail_at) return NULL;
  return realloc(pointer, bytes);
}

static char hooks_backend[16]; /* of the life that nothing was refused in */

/* One life of a loop with work of each kind; false when an allocation was refused. Nothing
 * may be lost then, and nothing crash. `auto` that was refused its ring lives on epoll. */
static bool hooks_live_once(void) {
  bide_loop *loop;
  if (bide_loop_new(NULL, &loop) < 0) return false;
  if (hooks_fail_at == 0)
    snprintf(hooks_backend, sizeof hooks_backend, "%s", bide_loop_backend(loop));
  bool whole = strcmp(bide_loop_backend(loop), hooks_backend) == 0;
  int fds[2];
  net_tcp_pair(fds, O_NONBLOCK);
  bide_op recv_op = {0}, file_op = {0};
  bide_prep_recv_multi(&recv_op, fds[0]);
  bide_prep_openat(&file_op, AT_FDCWD, "/etc/hostname", O_RDONLY, 0);
  bide_op *ops[] = {&recv_op, &file_op};
  for (int i = 0; i < 2; i++) {
    int error = bide_loop_submit(loop, ops[i]);
    if (error == 0) continue;
    CHECK_INT(error, BIDE_ENOMEM);
    CHECK_INT(ops[i]->state, BIDE_OP_IDLE);
    whole = false;
  }
  hooks_step *steps = calloc(1000, sizeof *steps);
  for (int i = 0; i < 1000; i++) {
    steps[i].call.cb = hooks_stepped;
    int error = bide_loop_call_soon(loop, &steps[i].call);
    if (error < 0) CHECK_INT(error, BIDE_ENOMEM);
    whole = whole && error == 0;
    bide_call_cancel(loop, &steps[i].call);
  }
  if (file_op.state != BIDE_OP_IDLE && net_finish(loop, &file_op) >= 0)
    bide_loop_close_fd(loop, file_op.result);
  CHECK_INT(bide_loop_drain(loop), 0);
  net_close_pair(loop, fds);
  harness_loop_close(loop);
  free(steps);
  return whole;
}

static void hooks_each_refused_allocation_is_survived(void) {
  CHECK_INT(bide_set_allocator(hooks_reallocate, NULL), 0);
  hooks_fail_at = 0;
  hooks_allocations = 0;
  CHECK(hooks_live_once());
  long points = hooks_allocations;
  CHECK(points > 4);
  for (hooks_fail_at = 1; hooks_fail_at <= points; hooks_fail_at++) {
    hooks_allocations = 0;
    CHECK(!hooks_live_once());
  }
  hooks_fail_at = 0;
  bide_loop *loop = harness_loop_new();
  CHECK_INT(bide_set_allocator(NULL, NULL), BIDE_EBUSY);
  harness_loop_close(loop);
  CHECK_INT(bide_set_allocator(NULL, NULL), 0);
}

/* ---- descriptors ---- */

/* With no descriptor left a loop cannot be made, and says so; one that was made goes on. */
static void hooks_no_descriptor_left_is_an_error(void) {
  bide_loop *loop = harness_loop_new(), *refused = NULL;
  struct rlimit before, none;
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  none = before;
  none.rlim_cur = 0;
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  int error = bide_loop_new(NULL, &refused);
  bide_op op = {0};
  bide_prep_openat(&op, AT_FDCWD, "/etc/hostname", O_RDONLY, 0);
  int32_t result = net_do(loop, &op);
  bide_prep_timeout(&op, 100);
  int32_t slept = net_do(loop, &op);
  REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK_INT(error, BIDE_EMFILE);
  CHECK_INT(result, BIDE_EMFILE);
  CHECK_INT(slept, BIDE_ETIME);
  harness_loop_close(loop);
}

static const harness_test tests[] = {
    HARNESS_TEST(hooks_force_a_fault_of_every_kind),
    HARNESS_TEST(hooks_short_counts_lose_nothing),
    HARNESS_TEST(hooks_replace_a_result),
    HARNESS_TEST(hooks_virtual_time_moves_timers),
    HARNESS_TEST(hooks_seed_makes_the_schedule),
    HARNESS_TEST(hooks_each_refused_allocation_is_survived),
    HARNESS_TEST(hooks_no_descriptor_left_is_an_error),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
