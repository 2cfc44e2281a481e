/* Random programs against a model. A seed makes one life of a loop: channels of several
 * kinds carry numbered bytes while operations are submitted, cancelled from inside and
 * outside of callbacks, reaped, dispatched, interrupted and waited for at random, and fds
 * are closed and their numbers reused.
 *
 * What must hold: every operation completes once, no byte is lost, stuck, doubled or
 * delivered elsewhere, nothing is in flight in the end and no fd is left. FUZZ_SEED=n runs
 * that seed alone, FUZZ_SEEDS=n the first n. */
#include <dirent.h>
#include <poll.h>
#include <pthread.h>

#include "guarded.h"
#include "net_pair.h"

enum {
  FUZZ_CHANNELS = 6,
  FUZZ_BYTES_MAX = 3000,
  FUZZ_STEPS = 300,
  FUZZ_LENT_MAX = 4,
  FUZZ_SEEDS_OF_SUITE = 300
};

typedef enum fuzz_kind {
  FUZZ_TCP,
  FUZZ_TCP_BLOCKING,
  FUZZ_UNIX,
  FUZZ_PIPE,
  FUZZ_PIPE_BLOCKING,
  FUZZ_KINDS
} fuzz_kind;

typedef struct fuzz fuzz;
typedef struct fuzz_channel fuzz_channel;

/* An operation and what the model knows of it. busy: submitted, its last completion not
 * yet handled. */
typedef struct fuzz_slot {
  bide_op op;
  fuzz *fuzz;
  fuzz_channel *channel;
  void (*handle)(struct fuzz_slot *slot, const bide_completion *completion);
  bool busy;
} fuzz_slot;

/* One direction of bytes, from fds[1] to fds[0]; its byte i is fuzz_byte(i). The buffers
 * are untouchable while no operation has them. */
struct fuzz_channel {
  fuzz_slot recv, send, poll;
  fuzz_kind kind;
  int fds[2];
  uint64_t salt, sent, received;
  size_t sending;
  bool shut, ended;
  char *recv_memory, *send_memory;
};

struct fuzz {
  bide_loop *loop;
  uint64_t random;
  fuzz_channel channels[FUZZ_CHANNELS];
  fuzz_slot timeout, file, nop;
  bide_call call;
  bool calling;
  int file_fd;
  char file_bytes[64];
  uint16_t lent[FUZZ_LENT_MAX];
  int lent_count;
  uint64_t submitted, completed;
  bool quiet; /* nothing is begun any more */
};

static uint32_t fuzz_below(fuzz *f, uint32_t limit) {
  f->random = f->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (uint32_t)(f->random >> 33) % limit;
}

static char fuzz_byte(const fuzz_channel *channel, uint64_t position) {
  return (char)((channel->salt + position * 131 + position / 251) & 0xff);
}

static void fuzz_take_bytes(fuzz_channel *channel, const char *bytes, int32_t count) {
  REQUIRE(channel->received + (uint64_t)count <= channel->sent + channel->sending);
  for (int32_t i = 0; i < count; i++)
    REQUIRE(bytes[i] == fuzz_byte(channel, channel->received + (uint64_t)i));
  channel->received += (uint64_t)count;
}

static void fuzz_protect(char *memory, int protection) {
  size_t used = guarded_pages(FUZZ_BYTES_MAX);
  REQUIRE(mprotect(memory + FUZZ_BYTES_MAX - used, used, protection) == 0);
}

/* ---- completions ---- */

static void fuzz_random_cancel(fuzz *f);
static void fuzz_random_submit(fuzz *f);

/* What a callback does besides. */
static void fuzz_meddle(fuzz *f) {
  if (f->quiet) return;
  uint32_t what = fuzz_below(f, 12);
  if (what < 3) fuzz_random_submit(f);
  if (what == 3 || what == 4) fuzz_random_cancel(f);
  if (what == 5) bide_loop_interrupt(f->loop);
  if ((what == 6 || what == 7) && !f->calling) {
    f->calling = true;
    if (what == 6)
      CHECK_INT(bide_loop_call_soon(f->loop, &f->call), 0);
    else
      bide_post(f->loop, &f->call);
  }
}

static void fuzz_completed(const bide_completion *completion) {
  fuzz_slot *slot = completion->op->data;
  fuzz *f = slot->fuzz;
  REQUIRE(slot->busy);
  CHECK(completion->result != BIDE_EFAULT);
  if ((completion->flags & BIDE_OP_MORE) == 0) {
    slot->busy = false;
    f->completed++;
    CHECK_INT(slot->op.state, BIDE_OP_DONE);
  }
  slot->handle(slot, completion);
  fuzz_meddle(f);
}

static void fuzz_called_back(bide_op *op) {
  bide_completion completion = {op, op->result, op->flags, op->buffer_id};
  fuzz_completed(&completion);
}

static void fuzz_release(fuzz *f, int keep) {
  while (f->lent_count > keep) {
    uint32_t which = fuzz_below(f, (uint32_t)f->lent_count);
    uint16_t id = f->lent[which];
    f->lent[which] = f->lent[--f->lent_count];
    bide_buffer_release(f->loop, id);
  }
}

static void fuzz_received(fuzz_slot *slot, const bide_completion *completion) {
  fuzz *f = slot->fuzz;
  fuzz_channel *channel = slot->channel;
  bool pooled = (completion->flags & BIDE_OP_BUFFER) != 0;
  if (completion->result > 0 && pooled) {
    const char *bytes = bide_buffer_data(f->loop, completion->buffer_id);
    fuzz_take_bytes(channel, bytes, completion->result);
    REQUIRE(f->lent_count < FUZZ_LENT_MAX);
    f->lent[f->lent_count++] = completion->buffer_id;
    if (fuzz_below(f, 2) == 0) fuzz_release(f, 0);
  } else if (completion->result > 0) {
    fuzz_take_bytes(channel, slot->op.args.io.base, completion->result);
  } else if (completion->result == 0) {
    CHECK(channel->shut);
    CHECK_INT(channel->received, channel->sent);
    channel->ended = true;
  } else {
    CHECK_INT(completion->result, BIDE_ECANCELED);
  }
  if (slot->op.kind != BIDE_OP_RECV_MULTI) fuzz_protect(channel->recv_memory, PROT_NONE);
}

static void fuzz_sent(fuzz_slot *slot, const bide_completion *completion) {
  fuzz_channel *channel = slot->channel;
  if (completion->result > 0)
    channel->sent += (uint64_t)completion->result;
  else
    CHECK_INT(completion->result, BIDE_ECANCELED);
  channel->sending = 0;
  fuzz_protect(channel->send_memory, PROT_NONE);
}

static void fuzz_polled(fuzz_slot *slot, const bide_completion *completion) {
  (void)slot;
  CHECK(completion->result > 0 || completion->result == BIDE_ECANCELED);
}

static void fuzz_timed_out(fuzz_slot *slot, const bide_completion *completion) {
  (void)slot;
  CHECK(completion->result == BIDE_ETIME || completion->result == BIDE_ECANCELED);
}

static void fuzz_file_read(fuzz_slot *slot, const bide_completion *completion) {
  if (completion->result == BIDE_ECANCELED) return;
  CHECK_INT(completion->result, 64);
  for (int i = 0; i < 64; i++) CHECK_INT(slot->fuzz->file_bytes[i], 'f');
}

static void fuzz_nopped(fuzz_slot *slot, const bide_completion *completion) {
  (void)slot;
  CHECK_INT(completion->result, 0);
}

static void fuzz_called(bide_call *call) {
  fuzz *f = BIDE_CONTAINER_OF(call, fuzz, call);
  f->calling = false;
  fuzz_meddle(f);
}

/* ---- submissions ---- */

static void fuzz_submit(fuzz_slot *slot) {
  slot->busy = true;
  slot->fuzz->submitted++;
  REQUIRE(bide_loop_submit(slot->fuzz->loop, &slot->op) == 0);
}

static bool fuzz_is_pipe(const fuzz_channel *channel) {
  return channel->kind == FUZZ_PIPE || channel->kind == FUZZ_PIPE_BLOCKING;
}

static void fuzz_submit_recv(fuzz_channel *channel) {
  fuzz *f = channel->recv.fuzz;
  bide_op *op = &channel->recv.op;
  uint32_t how = fuzz_is_pipe(channel) ? 0 : fuzz_below(f, 4);
  size_t len = 1 + fuzz_below(f, FUZZ_BYTES_MAX);
  char *base = channel->recv_memory + FUZZ_BYTES_MAX - len;
  if (how >= 2) {
    bide_prep_recv_multi(op, channel->fds[0]);
  } else {
    fuzz_protect(channel->recv_memory, PROT_READ | PROT_WRITE);
    if (how == 0)
      bide_prep_read(op, channel->fds[0], base, len, -1);
    else
      bide_prep_recv(op, channel->fds[0], base, len, 0);
  }
  fuzz_submit(&channel->recv);
}

static void fuzz_submit_send(fuzz_channel *channel) {
  fuzz *f = channel->send.fuzz;
  bide_op *op = &channel->send.op;
  size_t len = 1 + fuzz_below(f, FUZZ_BYTES_MAX);
  char *base = channel->send_memory + FUZZ_BYTES_MAX - len;
  fuzz_protect(channel->send_memory, PROT_READ | PROT_WRITE);
  for (size_t i = 0; i < len; i++) base[i] = fuzz_byte(channel, channel->sent + i);
  channel->sending = len;
  if (fuzz_is_pipe(channel) || fuzz_below(f, 3) == 0)
    bide_prep_write(op, channel->fds[1], base, len, -1);
  else
    bide_prep_send(op, channel->fds[1], base, len, 0);
  fuzz_submit(&channel->send);
}

static void fuzz_open(fuzz_channel *channel) {
  fuzz *f = channel->recv.fuzz;
  static const int small = 4096;
  channel->kind = (fuzz_kind)fuzz_below(f, FUZZ_KINDS);
  channel->salt = fuzz_below(f, 256);
  channel->sent = channel->received = 0;
  channel->shut = channel->ended = false;
  if (fuzz_is_pipe(channel)) {
    int flags = channel->kind == FUZZ_PIPE ? O_NONBLOCK | O_CLOEXEC : O_CLOEXEC;
    REQUIRE(pipe2(channel->fds, flags) == 0);
    REQUIRE(fcntl(channel->fds[1], F_SETPIPE_SZ, small) == small);
    return;
  }
  if (channel->kind == FUZZ_UNIX)
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, channel->fds) == 0);
  else
    net_tcp_pair(channel->fds, channel->kind == FUZZ_TCP ? O_NONBLOCK : 0);
  setsockopt(channel->fds[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
}

static void fuzz_close_end(fuzz_channel *channel, int end) {
  CHECK_INT(bide_loop_close_fd(channel->recv.fuzz->loop, channel->fds[end]), 0);
  channel->fds[end] = -1;
}

/* The sender ends the stream; once the receiver has seen it, a new channel takes the
 * numbers of the old one's fds. */
static void fuzz_wind_up(fuzz_channel *channel) {
  if (!channel->shut && !channel->send.busy && !channel->poll.busy) {
    channel->shut = true;
    fuzz_close_end(channel, 1);
  } else if (channel->ended && !channel->recv.busy && !channel->poll.busy) {
    fuzz_close_end(channel, 0);
    fuzz_open(channel);
  }
}

static void fuzz_submit_poll(fuzz_channel *channel) {
  static const unsigned events[] = {POLLIN, POLLIN | POLLRDHUP, POLLPRI};
  fuzz *f = channel->poll.fuzz;
  bool writer = !channel->shut && fuzz_below(f, 2) == 0;
  int fd = channel->fds[writer ? 1 : 0];
  unsigned wanted = writer ? POLLOUT : events[fuzz_below(f, 3)];
  if (fuzz_below(f, 2) == 0)
    bide_prep_poll(&channel->poll.op, fd, wanted);
  else
    bide_prep_poll_foreign(&channel->poll.op, fd, wanted);
  fuzz_submit(&channel->poll);
}

static void fuzz_submit_other(fuzz *f) {
  if (!f->timeout.busy) {
    bide_prep_timeout(&f->timeout.op, fuzz_below(f, 300));
    fuzz_submit(&f->timeout);
  } else if (!f->file.busy) {
    bide_prep_read(&f->file.op, f->file_fd, f->file_bytes, sizeof f->file_bytes, 0);
    fuzz_submit(&f->file);
  } else if (!f->nop.busy) {
    bide_prep_nop(&f->nop.op);
    fuzz_submit(&f->nop);
  }
}

static void fuzz_random_submit(fuzz *f) {
  fuzz_channel *channel = &f->channels[fuzz_below(f, FUZZ_CHANNELS)];
  uint32_t what = fuzz_below(f, 20);
  if (what < 7) {
    if (!channel->recv.busy && !channel->ended) fuzz_submit_recv(channel);
  } else if (what < 14) {
    if (!channel->send.busy && !channel->shut) fuzz_submit_send(channel);
  } else if (what < 16) {
    if (!channel->poll.busy) fuzz_submit_poll(channel);
  } else if (what < 17 || channel->shut) {
    fuzz_wind_up(channel);
  } else {
    fuzz_submit_other(f);
  }
}

/* The loop knows as well as the model what is in flight; what is reaped and not yet handled
 * it calls done. */
static void fuzz_random_cancel(fuzz *f) {
  fuzz_channel *channel = &f->channels[fuzz_below(f, FUZZ_CHANNELS)];
  fuzz_slot *slots[] = {&channel->recv, &channel->send, &channel->poll,
                        &f->timeout,    &f->file,       &f->nop};
  fuzz_slot *slot = slots[fuzz_below(f, 6)];
  bool before = slot->op.state == BIDE_OP_SUBMITTED;
  int result = bide_loop_cancel(f->loop, &slot->op);
  if (before)
    CHECK_INT(result, 0);
  else
    CHECK(result == BIDE_EALREADY || result == BIDE_ENOENT);
}

/* ---- a life ---- */

static void fuzz_reap(fuzz *f) {
  bide_completion completions[8];
  int count = bide_loop_reap(f->loop, completions, 1 + (int)fuzz_below(f, 8));
  for (int i = 0; i < count; i++) fuzz_completed(&completions[i]);
}

static void fuzz_step(fuzz *f) {
  switch (fuzz_below(f, 12)) {
    case 0:
      REQUIRE(bide_loop_run(f->loop, BIDE_RUN_NOWAIT) == 0);
      break;
    case 1: {
      int error = bide_loop_wait(f->loop, fuzz_below(f, 200));
      REQUIRE(error == 0 || error == BIDE_EINTR);
      break;
    }
    case 2:
      REQUIRE(bide_loop_dispatch(f->loop) >= 0);
      break;
    case 3:
      fuzz_reap(f);
      break;
    case 4:
      REQUIRE(bide_loop_flush(f->loop) == 0);
      break;
    case 5:
      fuzz_random_cancel(f);
      break;
    case 6:
      fuzz_release(f, (int)fuzz_below(f, FUZZ_LENT_MAX));
      break;
    default:
      fuzz_random_submit(f);
  }
}

static void fuzz_slot_init(fuzz *f, fuzz_slot *slot, fuzz_channel *channel,
                           void (*handle)(fuzz_slot *, const bide_completion *)) {
  *slot = (fuzz_slot){.op = {.cb = fuzz_called_back, .data = slot},
                      .fuzz = f,
                      .channel = channel,
                      .handle = handle};
}

static void fuzz_begin(fuzz *f, uint64_t seed) {
  *f = (fuzz){.random = seed, .call.cb = fuzz_called};
  bide_loop_options options = BIDE_LOOP_OPTIONS_INIT;
  if (seed % 3 == 0) options.flags = BIDE_LOOP_OWNS_THREAD;
  if (seed % 3 == 1) options.flags = BIDE_LOOP_RING_FOR_FILES;
  options.ring_entries = 8; /* its queues are often full */
  options.recv_buffer_count = FUZZ_LENT_MAX;
  options.recv_buffer_bytes = 700;
  REQUIRE(bide_loop_new(&options, &f->loop) == 0);
  FILE *file = tmpfile();
  REQUIRE(file != NULL);
  for (int i = 0; i < 64; i++) fputc('f', file);
  fflush(file);
  f->file_fd = dup(fileno(file));
  fclose(file);
  fuzz_slot_init(f, &f->timeout, NULL, fuzz_timed_out);
  fuzz_slot_init(f, &f->file, NULL, fuzz_file_read);
  fuzz_slot_init(f, &f->nop, NULL, fuzz_nopped);
  for (int i = 0; i < FUZZ_CHANNELS; i++) {
    fuzz_channel *channel = &f->channels[i];
    fuzz_slot_init(f, &channel->recv, channel, fuzz_received);
    fuzz_slot_init(f, &channel->send, channel, fuzz_sent);
    fuzz_slot_init(f, &channel->poll, channel, fuzz_polled);
    channel->recv_memory = guarded_new(FUZZ_BYTES_MAX);
    channel->send_memory = guarded_new(FUZZ_BYTES_MAX);
    fuzz_protect(channel->recv_memory, PROT_NONE);
    fuzz_protect(channel->send_memory, PROT_NONE);
    fuzz_open(channel);
  }
}

/* Whether the channel's bytes are still on their way; makes sure that someone takes them. */
static bool fuzz_flows(fuzz_channel *channel) {
  if (channel->received == channel->sent && !channel->send.busy) return false;
  if (!channel->recv.busy) fuzz_submit_recv(channel);
  return true;
}

/* Nobody meddles any more: every byte must arrive, or this runs into its time limit. */
static void fuzz_flow_out(fuzz *f) {
  f->quiet = true;
  for (;;) {
    bool flows = false;
    for (int i = 0; i < FUZZ_CHANNELS; i++) flows |= fuzz_flows(&f->channels[i]);
    if (!flows) return;
    fuzz_release(f, (int)fuzz_below(f, FUZZ_LENT_MAX));
    REQUIRE(bide_loop_run(f->loop, BIDE_RUN_ONCE) == 0);
  }
}

/* Nothing is in flight: what was sent and not received still lies in the kernel, and
 * nothing besides. */
static void fuzz_check_rest(fuzz_channel *channel) {
  char rest[4096];
  struct pollfd poller = {channel->fds[0], POLLIN, 0};
  while (channel->received < channel->sent) {
    REQUIRE(poll(&poller, 1, 5000) == 1);
    ssize_t got = read(channel->fds[0], rest, sizeof rest);
    REQUIRE(got > 0);
    fuzz_take_bytes(channel, rest, (int32_t)got);
  }
  if (!channel->shut) CHECK_INT(poll(&poller, 1, 0), 0);
}

static void fuzz_unmap(char *memory) {
  size_t used = guarded_pages(FUZZ_BYTES_MAX);
  munmap(memory + FUZZ_BYTES_MAX - used, used + guarded_pages(1));
}

static void fuzz_end(fuzz *f) {
  f->quiet = true;
  fuzz_release(f, 0);
  REQUIRE(bide_loop_drain(f->loop) == 0);
  fuzz_release(f, 0);
  CHECK_INT(bide_loop_in_flight(f->loop), 0);
  CHECK_INT(f->completed, f->submitted);
  for (int i = 0; i < FUZZ_CHANNELS; i++) {
    fuzz_channel *channel = &f->channels[i];
    CHECK(!channel->recv.busy && !channel->send.busy && !channel->poll.busy);
    fuzz_check_rest(channel);
    for (int end = 0; end < 2; end++)
      if (channel->fds[end] >= 0) fuzz_close_end(channel, end);
    fuzz_unmap(channel->recv_memory);
    fuzz_unmap(channel->send_memory);
  }
  bide_loop_close_fd(f->loop, f->file_fd);
  harness_loop_close(f->loop);
}

static int fuzz_count_fds(void) {
  int count = 0;
  DIR *directory = opendir("/proc/self/fd");
  REQUIRE(directory != NULL);
  while (readdir(directory) != NULL) count++;
  closedir(directory);
  return count;
}

static void *fuzz_steps(void *life) {
  for (int i = 0; i < FUZZ_STEPS; i++) fuzz_step(life);
  return NULL;
}

/* A part of its life in a thread that ends, with what is in flight then. */
static void fuzz_live_elsewhere(fuzz *f) {
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, fuzz_steps, f) == 0);
  REQUIRE(pthread_join(thread, NULL) == 0);
}

static void fuzz_live(uint64_t seed) {
  static fuzz life;
  static char name[48]; /* what a time-out prints */
  snprintf(name, sizeof name, "fuzz, seed %" PRIu64, seed);
  harness_running = name;
  int failures_before = harness_failures;
  int fds_before = fuzz_count_fds();
  fuzz_begin(&life, seed);
  if (seed % 3 == 1)
    fuzz_live_elsewhere(&life);
  else
    fuzz_steps(&life);
  fuzz_steps(&life);
  if (seed % 2 == 0) fuzz_flow_out(&life);
  fuzz_end(&life);
  CHECK_INT(fuzz_count_fds(), fds_before);
  if (harness_failures > failures_before) printf("seed %" PRIu64 "\n", seed);
}

static void fuzz_lives_keep_every_byte(void) {
  const char *test = harness_running;
  const char *one = getenv("FUZZ_SEED"), *many = getenv("FUZZ_SEEDS");
  if (one != NULL) {
    fuzz_live(strtoull(one, NULL, 10));
  } else {
    uint64_t count =
        many != NULL ? strtoull(many, NULL, 10) : harness_scale(FUZZ_SEEDS_OF_SUITE);
    for (uint64_t seed = 1; seed <= count; seed++) fuzz_live(seed);
  }
  harness_running = test;
}

static const harness_test tests[] = {
    HARNESS_TEST(fuzz_lives_keep_every_byte),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
