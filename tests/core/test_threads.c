/* A loop and several threads: posts, wakes, and runs in one thread after another. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>

#include "net_pair.h"

enum { THREADS_POSTERS = 4, THREADS_POSTS = 20000 };

typedef struct threads_poster {
  pthread_t thread;
  bide_loop *loop;
  bide_call *calls;
  size_t count;
} threads_poster;

static size_t threads_posted_runs;

static void threads_posted(bide_call *call) {
  (void)call;
  threads_posted_runs++;
}

static void *threads_post_all(void *argument) {
  threads_poster *poster = argument;
  for (size_t i = 0; i < poster->count; i++) {
    poster->calls[i].cb = threads_posted;
    bide_post(poster->loop, &poster->calls[i]);
  }
  return NULL;
}

static void threads_posts_from_threads_all_arrive(void) {
  bide_loop *loop = harness_loop_new();
  threads_poster posters[THREADS_POSTERS] = {0};
  size_t count = harness_scale(THREADS_POSTS);
  threads_posted_runs = 0;
  for (int i = 0; i < THREADS_POSTERS; i++) {
    posters[i] = (threads_poster){.loop = loop, .count = count};
    posters[i].calls = calloc(count, sizeof(bide_call));
    pthread_create(&posters[i].thread, NULL, threads_post_all, &posters[i]);
  }
  while (threads_posted_runs < count * THREADS_POSTERS)
    REQUIRE(bide_loop_run(loop, BIDE_RUN_ONCE) == 0);
  for (int i = 0; i < THREADS_POSTERS; i++) {
    pthread_join(posters[i].thread, NULL);
    free(posters[i].calls);
  }
  CHECK_INT(bide_loop_run(loop, BIDE_RUN_NOWAIT), 0);
  CHECK_INT(threads_posted_runs, count * THREADS_POSTERS);
  harness_loop_close(loop);
}

enum { THREADS_FLOOD = 5000 };

typedef struct threads_flood {
  bide_loop *loop;
  bide_call calls[THREADS_FLOOD];
  bide_call soon;
  int ran, ran_before_soon;
} threads_flood;

static threads_flood threads_flooded;

static void threads_on_soon(bide_call *call) {
  (void)call;
  threads_flooded.ran_before_soon = threads_flooded.ran;
}

static void threads_on_post(bide_call *call) {
  CHECK_INT(call - threads_flooded.calls, threads_flooded.ran);
  if (threads_flooded.ran++ == 0)
    bide_loop_call_soon(threads_flooded.loop, &threads_flooded.soon);
}

/* However much other threads post, what the loop's own thread makes ready waits for a turn's
 * share of it alone; and all of it runs, in order. */
static void threads_posts_leave_room_for_others(void) {
  bide_loop *loop = harness_loop_new();
  threads_flooded = (threads_flood){.loop = loop, .soon.cb = threads_on_soon};
  for (int i = 0; i < THREADS_FLOOD; i++) {
    threads_flooded.calls[i].cb = threads_on_post;
    bide_post(loop, &threads_flooded.calls[i]);
  }
  while (threads_flooded.ran < THREADS_FLOOD) {
    CHECK_INT(bide_loop_timeout(loop), 0);
    CHECK_INT(bide_loop_wait(loop, 0), 0);
    bide_loop_dispatch(loop);
  }
  CHECK_INT(threads_flooded.ran_before_soon, 1024);
  CHECK_INT(bide_loop_timeout(loop), -1);
  harness_loop_close(loop);
}

/* Whether the loop's fd tells an outer loop that something has come. */
static bool threads_is_told(bide_loop *loop) {
  struct pollfd told = {.fd = bide_loop_fd(loop), .events = POLLIN};
  return poll(&told, 1, 0) == 1;
}

static void threads_run_posted(bide_loop *loop, int count) {
  CHECK_INT(bide_loop_wait(loop, 0), 0);
  CHECK_INT(bide_loop_dispatch(loop), count);
}

/* The first of a sleep tells, for those behind it too. */
static void threads_posts_tell_a_parked_loop(void) {
  bide_loop *loop = harness_loop_new();
  bide_call first = {.cb = threads_posted}, second = first;
  CHECK_INT(bide_loop_flush(loop), 0);
  CHECK(!threads_is_told(loop));
  bide_post(loop, &first);
  CHECK(threads_is_told(loop));
  bide_post(loop, &second);
  threads_run_posted(loop, 2);
  harness_loop_close(loop);
}

/* Nobody tells of a post to a loop that is awake: it looks before it sleeps, whether it has
 * slept before or not. */
static void threads_posts_before_a_park_are_seen(void) {
  for (int slept = 0; slept < 2; slept++) {
    bide_loop *loop = harness_loop_new();
    bide_call call = {.cb = threads_posted};
    if (slept > 0) {
      bide_loop_flush(loop);
      bide_loop_wait(loop, 0);
    }
    bide_post(loop, &call);
    CHECK(!threads_is_told(loop));
    CHECK_INT(bide_loop_flush(loop), 0);
    CHECK(threads_is_told(loop));
    threads_run_posted(loop, 1);
    harness_loop_close(loop);
  }
}

static void *threads_wake_soon(void *loop) {
  bide_wake(loop);
  return NULL;
}

static void threads_wake_ends_a_wait(void) {
  bide_loop *loop = harness_loop_new();
  for (int i = 0; i < 200; i++) {
    pthread_t thread;
    pthread_create(&thread, NULL, threads_wake_soon, loop);
    CHECK_INT(harness_loop_wait(loop), 0);
    pthread_join(thread, NULL);
    bide_loop_dispatch(loop);
  }
  bide_wake(loop);
  CHECK_INT(harness_loop_wait(loop), 0);
  harness_loop_close(loop);
}

typedef struct threads_traveller {
  bide_loop *loop;
  bide_op recv_op, timeout_op, poll_op, foreign_op;
  int fds[2];
  char byte;
  int write_first;
} threads_traveller;

static void *threads_first_leg(void *argument) {
  threads_traveller *t = argument;
  bide_prep_recv(&t->recv_op, t->fds[0], &t->byte, 1, 0);
  bide_prep_timeout(&t->timeout_op, 300000);
  bide_prep_poll(&t->poll_op, t->fds[0], POLLIN);
  bide_prep_poll_foreign(&t->foreign_op, t->fds[0], POLLIN);
  REQUIRE(bide_loop_submit(t->loop, &t->recv_op) == 0);
  REQUIRE(bide_loop_submit(t->loop, &t->timeout_op) == 0);
  REQUIRE(bide_loop_submit(t->loop, &t->poll_op) == 0);
  REQUIRE(bide_loop_submit(t->loop, &t->foreign_op) == 0);
  net_settle(t->loop);
  CHECK_INT(bide_loop_in_flight(t->loop), 4);
  return NULL;
}

static void *threads_second_leg(void *argument) {
  threads_traveller *t = argument;
  CHECK_INT(net_finish(t->loop, &t->timeout_op), BIDE_ETIME);
  CHECK_INT(t->recv_op.state, BIDE_OP_SUBMITTED);
  return NULL;
}

static void *threads_third_leg(void *argument) {
  threads_traveller *t = argument;
  CHECK_INT(write(t->fds[1], "x", 1), 1);
  CHECK_INT(net_finish(t->loop, &t->recv_op), 1);
  CHECK_INT(t->byte, 'x');
  CHECK_INT(write(t->fds[1], "y", 1), 1);
  CHECK_INT(net_finish(t->loop, &t->poll_op), POLLIN);
  CHECK_INT(net_finish(t->loop, &t->foreign_op), POLLIN);
  return NULL;
}

/* Made in one thread, run in a second and a third with operations in flight across the
 * change, closed in the first. The second thread has ended when the third begins: the
 * kernel cancels what it had submitted, and nobody may notice. */
static void threads_travels_between_threads(void) {
  threads_traveller t = {.loop = harness_loop_new()};
  net_tcp_pair(t.fds, O_NONBLOCK);
  void *(*const legs[])(void *) = {threads_first_leg, threads_second_leg,
                                   threads_third_leg};
  for (int i = 0; i < 3; i++) {
    pthread_t thread;
    pthread_create(&thread, NULL, legs[i], &t);
    pthread_join(thread, NULL);
  }
  CHECK_INT(bide_loop_in_flight(t.loop), 0);
  net_close_pair(t.loop, t.fds);
  harness_loop_close(t.loop);
}

static const harness_test tests[] = {
    HARNESS_TEST(threads_posts_from_threads_all_arrive),
    HARNESS_TEST(threads_posts_leave_room_for_others),
    HARNESS_TEST(threads_posts_tell_a_parked_loop),
    HARNESS_TEST(threads_posts_before_a_park_are_seen),
    HARNESS_TEST(threads_wake_ends_a_wait),
    HARNESS_TEST(threads_travels_between_threads),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
