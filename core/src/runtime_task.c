/* runtime_task.c: a remote's way to the loop that runs it and back home.
 *
 *   spawn ---> queued on a worker ---> begun on that worker, or on one that stole it
 *     |  spawn_on ------------------------^            |
 *     v cancel while queued                            v end
 *   home <------------------------------------------ posted home
 *
 * A cancel of one that is not queued any more is posted to its worker. That call and the end
 * may pass each other: the remote goes home only when both are done with it, and whichever is
 * the second sends it. REMOTE_CANCELLING says that the call is under way. */
#include "loop_internal.h"
#include "runtime_struct.h"

enum {
  REMOTE_CANCELLING = 1u << 0,
  REMOTE_ENDED = 1u << 1,
  REMOTE_INSIDE =
      1u << 2, /* home is a loop of the runtime, which must outlast the settling */
};

enum {
  RUNTIME_TASK_BATCH = 64,      /* begun by one call of the pump */
  RUNTIME_TASK_STEAL_BATCH = 32 /* of another's, at most half */
};

static uint32_t runtime_task_set(bide_remote *remote, uint32_t flag) {
  return __atomic_fetch_or(&remote->state_, flag, __ATOMIC_ACQ_REL);
}

static bool runtime_task_is_inside(const bide_remote *remote) {
  return (__atomic_load_n(&remote->state_, __ATOMIC_RELAXED) & REMOTE_INSIDE) != 0;
}

static bide__worker *runtime_task_worker(bide_remote *remote) {
  return __atomic_load_n(&remote->worker_, __ATOMIC_ACQUIRE);
}

/* ---- home ---- */

/* On the home loop's thread; the last touch of the remote is its owner's callback. */
static void runtime_task_arrive(bide_remote *remote, int error, intptr_t value) {
  bide_runtime *inside = runtime_task_is_inside(remote) ? remote->worker_->runtime : NULL;
  void (*finished)(bide_remote * remote) = remote->finished;
  bide__loop_release(remote->future.loop);
  if (error < 0)
    bide_future_reject(&remote->future, error);
  else
    bide_future_resolve(&remote->future, value);
  if (finished != NULL) finished(remote);
  if (inside != NULL) bide__runtime_leave(inside);
}

static void runtime_task_settle(bide_call *call) {
  bide_remote *remote = BIDE_CONTAINER_OF(call, bide_remote, call_);
  const bide_future *outcome = &remote->task.future;
  int error = outcome->error;
  runtime_task_arrive(remote, error, error < 0 ? 0 : outcome->value);
}

/* On the worker's thread, for which a shutdown waits, whoever has left. A home outside knows of
 * the task's end only when it has left: a shutdown from there finds nothing to wait for. */
static void runtime_task_send_home(bide_remote *remote) {
  bide_runtime *runtime = remote->worker_->runtime;
  bool inside = runtime_task_is_inside(remote);
  if (remote->future.loop == NULL) {
    if (remote->finished != NULL) remote->finished(remote);
    bide__runtime_leave(runtime);
    return;
  }
  if (!inside) bide__runtime_leave(runtime);
  remote->call_.cb = runtime_task_settle;
  bide_post(remote->future.loop, &remote->call_);
}

static void runtime_task_ended(bide_remote *remote) {
  bide__list_remove(&remote->node_);
  uint32_t before = runtime_task_set(remote, REMOTE_ENDED);
  if ((before & REMOTE_CANCELLING) == 0) runtime_task_send_home(remote);
}

static void runtime_task_finished(bide_task *task) {
  runtime_task_ended(BIDE_CONTAINER_OF(task, bide_remote, task));
}

/* ---- on the worker ---- */

static void runtime_task_begin(bide__worker *worker, bide_remote *remote) {
  bide__list_push(&worker->running, &remote->node_);
  remote->task.finished = runtime_task_finished;
  const char *place = remote->place != NULL ? remote->place : "?";
  if (bide_task_spawn_at(worker->loop, &remote->task, remote->poll_, place) < 0)
    runtime_task_ended(remote);
  else if (atomic_load_explicit(&worker->runtime->cancelling, memory_order_relaxed))
    bide_task_cancel(&remote->task);
}

static void runtime_task_arrived(bide_call *call) {
  bide_remote *remote = BIDE_CONTAINER_OF(call, bide_remote, call_);
  runtime_task_begin(remote->worker_, remote);
}

static void runtime_task_cancelled(bide_call *call) {
  bide_remote *remote = BIDE_CONTAINER_OF(call, bide_remote, cancel_);
  uint32_t before =
      __atomic_fetch_and(&remote->state_, ~(uint32_t)REMOTE_CANCELLING, __ATOMIC_ACQ_REL);
  if ((before & REMOTE_ENDED) != 0)
    runtime_task_send_home(remote);
  else
    bide_task_cancel(&remote->task);
}

/* Takes up to max off the worker's queue onto `taken`, for the thief, who may be the worker
 * itself. Returns how many. */
static size_t runtime_task_take(bide__worker *worker, bide__worker *thief,
                                bide_node *taken, size_t max) {
  pthread_mutex_lock(&worker->lock);
  if (worker != thief && max > (worker->queued + 1) / 2) max = (worker->queued + 1) / 2;
  size_t count = 0;
  for (bide_node *node; count < max && (node = bide__list_pop(&worker->queue)) != NULL;
       count++) {
    bide_remote *remote = BIDE_CONTAINER_OF(node, bide_remote, node_);
    remote->queued_ = false;
    __atomic_store_n(&remote->worker_, thief, __ATOMIC_RELEASE);
    bide__list_push(taken, node);
  }
  worker->queued -= count;
  pthread_mutex_unlock(&worker->lock);
  return count;
}

static size_t runtime_task_steal(bide__worker *thief, bide_node *taken) {
  bide_runtime *runtime = thief->runtime;
  for (uint32_t i = 1; i < runtime->count; i++) {
    bide__worker *victim = &runtime->workers[(thief->index + i) % runtime->count];
    size_t count = runtime_task_take(victim, thief, taken, RUNTIME_TASK_STEAL_BATCH);
    if (count == 0) continue;
    pthread_mutex_lock(&thief->lock);
    thief->stats.stolen += count;
    pthread_mutex_unlock(&thief->lock);
    return count;
  }
  return 0;
}

/* Makes the worker look for tasks, soon. */
static void runtime_task_call_pump(bide__worker *worker) {
  if (atomic_load_explicit(&worker->pumping, memory_order_relaxed)) return;
  if (atomic_exchange(&worker->pumping, true)) return;
  if (bide__runtime_current() != worker ||
      bide_loop_call_soon(worker->loop, &worker->pump) < 0)
    bide_post(worker->loop, &worker->pump);
}

/* As long as it finds some it comes back, once those have had their turn. */
static void runtime_task_pump(bide_call *call) {
  bide__worker *worker = BIDE_CONTAINER_OF(call, bide__worker, pump);
  bide_node taken;
  bide__list_init(&taken);
  atomic_store(&worker->pumping, false);
  size_t count = runtime_task_take(worker, worker, &taken, RUNTIME_TASK_BATCH);
  if (count == 0) count = runtime_task_steal(worker, &taken);
  if (count == 0) return;
  for (bide_node *node; (node = bide__list_pop(&taken)) != NULL;)
    runtime_task_begin(worker, BIDE_CONTAINER_OF(node, bide_remote, node_));
  runtime_task_call_pump(worker);
}

/* The shutdown's deadline has passed. What has not begun is cancelled when it begins, and so
 * gets no further than to its first await. */
static void runtime_task_cancel_all(bide_call *call) {
  bide__worker *worker = BIDE_CONTAINER_OF(call, bide__worker, cancel_all);
  for (bide_node *n = worker->running.next; n != &worker->running; n = n->next)
    bide_task_cancel(&BIDE_CONTAINER_OF(n, bide_remote, node_)->task);
}

void bide__worker_init(bide__worker *worker, bide_runtime *runtime, uint32_t index) {
  worker->runtime = runtime;
  worker->index = index;
  pthread_mutex_init(&worker->lock, NULL);
  bide__list_init(&worker->queue);
  bide__list_init(&worker->running);
  worker->pump = (bide_call){.cb = runtime_task_pump};
  worker->cancel_all = (bide_call){.cb = runtime_task_cancel_all};
}

/* ---- cancel, from home ---- */

/* Takes it back if it still waits in a queue, whichever that is by now. */
static bool runtime_task_take_back(bide_remote *remote) {
  for (;;) {
    bide__worker *worker = runtime_task_worker(remote);
    pthread_mutex_lock(&worker->lock);
    bool moved = runtime_task_worker(remote) != worker;
    bool taken = !moved && remote->queued_;
    if (taken) {
      bide__list_remove(&remote->node_);
      remote->queued_ = false;
      worker->queued--;
    }
    pthread_mutex_unlock(&worker->lock);
    if (!moved) return taken;
  }
}

static void runtime_task_cancel(bide_future *future) {
  bide_remote *remote = BIDE_CONTAINER_OF(future, bide_remote, future);
  if (runtime_task_take_back(remote)) {
    bide_runtime *runtime = remote->worker_->runtime;
    bool inside = runtime_task_is_inside(remote);
    runtime_task_arrive(remote, BIDE_ECANCELED, 0);
    if (!inside) bide__runtime_leave(runtime);
    return;
  }
  /* One that has ended is on its way home: nobody looks at the flag any more. */
  uint32_t before = runtime_task_set(remote, REMOTE_CANCELLING);
  if ((before & (REMOTE_CANCELLING | REMOTE_ENDED)) != 0) return;
  remote->cancel_ = (bide_call){.cb = runtime_task_cancelled};
  bide_post(remote->worker_->loop, &remote->cancel_);
}

/* ---- spawn ---- */

/* Counts the task in, and the call that spawns it: its last posts may come after the task's
 * end. */
static int runtime_task_prepare(bide_runtime *runtime, bide_loop *home,
                                bide_remote *remote, bide_task_fn poll) {
  bide__worker *current = bide__runtime_current();
  int error = home != NULL ? bide__loop_admit(home) : 0;
  if (error < 0) return error;
  if (!bide__runtime_enter(runtime)) return BIDE_ECANCELED;
  atomic_fetch_add(&runtime->live, 1);
  bide_future_init(&remote->future, home);
  remote->future.cancel = runtime_task_cancel;
  remote->poll_ = poll;
  remote->call_ = (bide_call){.cb = runtime_task_arrived};
  remote->node_ = (bide_node){NULL, NULL};
  remote->queued_ = false;
  bool inside = current != NULL && current->runtime == runtime && current->loop == home;
  remote->state_ = inside ? REMOTE_INSIDE : 0;
  if (home != NULL) bide__loop_hold(home);
  return 0;
}

static void runtime_task_enqueue(bide__worker *worker, bide_remote *remote) {
  remote->worker_ = worker;
  remote->queued_ = true;
  pthread_mutex_lock(&worker->lock);
  bide__list_push(&worker->queue, &remote->node_);
  size_t queued = ++worker->queued;
  worker->stats.spawned++;
  pthread_mutex_unlock(&worker->lock);
  runtime_task_call_pump(worker);
  bide_runtime *runtime = worker->runtime;
  /* More than it begins by itself at once: another may take its share. */
  if (queued > 1 && runtime->count > 1) {
    uint32_t next = atomic_fetch_add_explicit(&runtime->turn, 1, memory_order_relaxed);
    uint32_t step = 1 + next % (runtime->count - 1);
    runtime_task_call_pump(&runtime->workers[(worker->index + step) % runtime->count]);
  }
}

int bide_runtime_spawn(bide_runtime *runtime, bide_loop *home, bide_remote *remote,
                       bide_task_fn poll) {
  int error = runtime_task_prepare(runtime, home, remote, poll);
  if (error < 0) return error;
  bide__worker *worker = bide__runtime_current();
  if (worker == NULL || worker->runtime != runtime) {
    uint32_t next = atomic_fetch_add_explicit(&runtime->turn, 1, memory_order_relaxed);
    worker = &runtime->workers[next % runtime->count];
  }
  runtime_task_enqueue(worker, remote);
  bide__runtime_leave(runtime);
  return 0;
}

int bide_runtime_spawn_on(bide_runtime *runtime, uint32_t index, bide_loop *home,
                          bide_remote *remote, bide_task_fn poll) {
  if (index >= runtime->count) return BIDE_EINVAL;
  int error = runtime_task_prepare(runtime, home, remote, poll);
  if (error < 0) return error;
  remote->worker_ = &runtime->workers[index];
  bide_post(remote->worker_->loop, &remote->call_);
  bide__runtime_leave(runtime);
  return 0;
}

int bide_runtime_stats_of(const bide_runtime *runtime, uint32_t index,
                          bide_runtime_stats *stats) {
  if (BIDE__MISUSE(index >= runtime->count)) return BIDE_EINVAL;
  bide__worker *worker = (bide__worker *)(uintptr_t)&runtime->workers[index];
  pthread_mutex_lock(&worker->lock);
  *stats = worker->stats;
  pthread_mutex_unlock(&worker->lock);
  return 0;
}
