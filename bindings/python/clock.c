#include "clock.h"

#include <math.h>
#include <time.h>

#include "convert.h"
#include "list.h"
#include "timer_handle.h"

/* No type has this version: the next check looks. */
#define CLOCK_UNKNOWN UINT_MAX

/* asyncio counts what is due within the monotonic clock's resolution as due. */
static const double clock_resolution_s = 1e-9;

atomic_ullong compat_dict_changes;

double loop_now_s(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)(now.tv_sec * 1000000000LL + now.tv_nsec) / 1e9;
}

/* ---- the heap ---- */

static bool clock_before(const timer_handle_object *a, const timer_handle_object *b) {
  return a->when_s < b->when_s ||
         (a->when_s == b->when_s &&
          a->handle.queued.heap.order < b->handle.queued.heap.order);
}

static void clock_place(loop_clock *clock, size_t at, timer_handle_object *timer) {
  clock->heap[at] = timer;
  timer->handle.queued.heap.at = at;
}

static void clock_sift_up(loop_clock *clock, size_t at) {
  timer_handle_object *timer = clock->heap[at];
  while (at > 0 && clock_before(timer, clock->heap[(at - 1) / 2])) {
    clock_place(clock, at, clock->heap[(at - 1) / 2]);
    at = (at - 1) / 2;
  }
  clock_place(clock, at, timer);
}

static void clock_sift_down(loop_clock *clock, size_t at) {
  timer_handle_object *timer = clock->heap[at];
  for (size_t child; (child = 2 * at + 1) < clock->count; at = child) {
    if (child + 1 < clock->count &&
        clock_before(clock->heap[child + 1], clock->heap[child]))
      child++;
    if (!clock_before(clock->heap[child], timer)) break;
    clock_place(clock, at, clock->heap[child]);
  }
  clock_place(clock, at, timer);
}

static int clock_reserve(loop_clock *clock, size_t count) {
  if (count <= clock->capacity) return 0;
  size_t capacity = clock->capacity == 0 ? 16 : clock->capacity;
  while (capacity < count) capacity *= 2;
  timer_handle_object **heap = PyMem_Resize(clock->heap, timer_handle_object *, capacity);
  if (heap == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  clock->heap = heap;
  clock->capacity = capacity;
  return 0;
}

static void clock_push(loop_clock *clock, timer_handle_object *timer) {
  timer->handle.wait = HANDLE_ON_HEAP;
  timer->handle.queued.heap.order = clock->orders++;
  clock_place(clock, clock->count++, timer);
  clock_sift_up(clock, clock->count - 1);
}

int clock_start(loop_object *loop, timer_handle_object *timer) {
  if (clock_reserve(&loop->clock, loop->clock.count + 1) < 0) return -1;
  clock_push(&loop->clock, timer);
  return 0;
}

void clock_stop(loop_object *loop, timer_handle_object *timer) {
  loop_clock *clock = &loop->clock;
  size_t at = timer->handle.queued.heap.at;
  timer_handle_object *last = clock->heap[--clock->count];
  timer->handle.wait = HANDLE_NOT_TIMED;
  if (last == timer) return;
  clock_place(clock, at, last);
  clock_sift_up(clock, at);
  clock_sift_down(clock, last->handle.queued.heap.at);
}

void clock_free(loop_object *loop) {
  loop_clock *clock = &loop->clock;
  for (size_t i = 0; i < clock->count; i++)
    clock->heap[i]->handle.wait = HANDLE_NOT_TIMED;
  clock->count = clock->capacity = 0;
  PyMem_Free(clock->heap);
  clock->heap = NULL;
}

/* ---- whose clock ---- */

/* Whether `found`, an attribute of the loop, is the method that bide gave it. */
static bool clock_is_method(loop_object *loop, PyObject *found, PyCFunction method) {
  return PyCFunction_Check(found) && PyCFunction_GET_FUNCTION(found) == method &&
         PyCFunction_GET_SELF(found) == (PyObject *)loop;
}

/* The attribute is somebody else's. One that cannot be had is: its error is the caller's,
 * when the loop asks it for something. */
static bool clock_is_foreign(loop_object *loop, PyObject *name, PyCFunction method) {
  PyObject *found = PyObject_GetAttr((PyObject *)loop, name);
  if (found == NULL) {
    PyErr_Clear();
    return true;
  }
  /* loop.time = time.monotonic is bide's clock by another name. */
  bool own = clock_is_method(loop, found, method) ||
             (method == loop_time && found == loop->state->monotonic);
  Py_DECREF(found);
  return !own;
}

static PyObject *clock_monotonic(loop_object *loop) {
  return PyDict_GetItemWithError(loop->state->time_dict, loop->state->names.monotonic);
}

/* The timer in the core's wheel to which the node belongs, or NULL. */
static timer_handle_object *clock_timer_of(const loop_object *loop, bide_node *node) {
  handle_object *handle = BIDE_CONTAINER_OF(node, handle_object, link);
  if (!Py_IS_TYPE(handle, loop->state->timer_handle_type)) return NULL;
  return handle->wait == HANDLE_ON_WHEEL ? (timer_handle_object *)handle : NULL;
}

static int clock_move_to_heap(loop_object *loop) {
  size_t count = 0;
  bide_node *node;
  for (node = loop->scheduled.next; node != &loop->scheduled; node = node->next)
    count += clock_timer_of(loop, node) != NULL;
  if (clock_reserve(&loop->clock, count) < 0) return -1;
  for (node = loop->scheduled.next; node != &loop->scheduled; node = node->next) {
    timer_handle_object *timer = clock_timer_of(loop, node);
    if (timer == NULL) continue;
    timer_handle_unset(timer);
    clock_push(&loop->clock, timer);
  }
  return 0;
}

static void clock_move_to_wheel(loop_object *loop) {
  while (loop->clock.count > 0) {
    timer_handle_object *timer = loop->clock.heap[0];
    clock_stop(loop, timer);
    timer_handle_set(timer, loop_now_s());
  }
}

int clock_look(loop_object *loop) {
  loop_clock *clock = &loop->clock;
  module_state *state = loop->state;
  clock->time_version = compat_dict_version(state->time_dict);
  clock->type_version = CLOCK_UNKNOWN;
  clock->monotonic_patched = clock_monotonic(loop) != state->monotonic;
  bool patched =
      clock->monotonic_patched || clock_is_foreign(loop, state->names.time, loop_time);
  clock->call_at_foreign = clock_is_foreign(loop, state->names.call_at,
                                            (PyCFunction)(void (*)(void))loop_call_at);
  clock->call_soon_foreign = clock_is_foreign(
      loop, state->names.call_soon, (PyCFunction)(void (*)(void))loop_call_soon);
  clock->debug_foreign = clock_is_foreign(loop, state->names.get_debug, loop_get_debug);
  if (patched != clock->patched && loop->core != NULL) {
    if (patched && clock_move_to_heap(loop) < 0) return -1;
    if (!patched) clock_move_to_wheel(loop);
  }
  clock->patched = patched;
  unsigned version = Py_TYPE(loop)->tp_version_tag;
  if (version != 0 && state->time_watched) clock->type_version = version;
  return patched;
}

void clock_attribute_set(loop_object *loop, PyObject *name) {
  if (name == loop->state->names.time || name == loop->state->names.call_at ||
      name == loop->state->names.call_soon || name == loop->state->names.get_debug)
    loop->clock.type_version = CLOCK_UNKNOWN;
}

/* ---- the time ---- */

PyObject *loop_time(PyObject *self, PyObject *unused) {
  (void)unused;
  loop_object *loop = (loop_object *)self;
  if (clock_check(loop) < 0) return NULL;
  PyObject *monotonic = loop->clock.monotonic_patched ? clock_monotonic(loop) : NULL;
  return monotonic == NULL ? PyFloat_FromDouble(loop_now_s())
                           : PyObject_CallNoArgs(monotonic);
}

int clock_now(loop_object *loop, double *now_s) {
  int patched = clock_check(loop);
  if (patched <= 0) {
    *now_s = loop_now_s();
    return patched;
  }
  PyObject *now = PyObject_CallMethodNoArgs((PyObject *)loop, loop->state->names.time);
  if (now == NULL) return -1;
  *now_s = PyFloat_AsDouble(now);
  Py_DECREF(now);
  return *now_s == -1.0 && PyErr_Occurred() ? -1 : 0;
}

int clock_timeout(loop_object *loop, int64_t *timeout_us) {
  *timeout_us = -1;
  if (loop->clock.count == 0) return 0;
  double now_s;
  if (clock_now(loop, &now_s) < 0) return -1;
  /* time() may have cancelled the last one. */
  if (loop->clock.count == 0) return 0;
  double us = ceil((loop->clock.heap[0]->when_s - now_s) * 1e6);
  *timeout_us = us >= 0x1p62 ? INT64_MAX / 2 : us > 0 ? (int64_t)us : 0;
  return 0;
}

int clock_fire(loop_object *loop) {
  loop_clock *clock = &loop->clock;
  if (clock->count == 0) return 0;
  double now_s;
  if (clock_now(loop, &now_s) < 0) return -1;
  while (clock->count > 0 && clock->heap[0]->when_s < now_s + clock_resolution_s) {
    timer_handle_object *timer = clock->heap[0];
    clock_stop(loop, timer);
    int code = bide_loop_call_soon(loop->core, handle_call(&timer->handle));
    if (code < 0) {
      clock_push(clock, timer);
      convert_raise(code);
      return -1;
    }
  }
  return 0;
}

/* ---- the module `time` ---- */

int clock_watch(module_state *state) {
  PyObject *module = PyImport_ImportModule("time");
  if (module == NULL) return -1;
  state->time_dict = Py_NewRef(PyModule_GetDict(module));
  Py_DECREF(module);
  state->time_watched = compat_dict_watch(state->time_dict, &state->time_watcher);
  return 0;
}

void clock_unwatch(module_state *state) {
  if (state->time_watched) compat_dict_unwatch(state->time_dict, state->time_watcher);
  state->time_watched = false;
}
