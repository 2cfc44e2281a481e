/* timer_handle.c: what call_later and call_at return. */
#include "timer_handle.h"

#include <math.h>

#include "clock.h"
#include "owner.h"

/* At once: the loop fires timers behind all else that the turn has, where asyncio has them. */
static void timer_handle_on_timer(bide_timer *timer) {
  handle_object *handle = BIDE_CONTAINER_OF(timer, handle_object, queued.timer);
  handle->wait = HANDLE_NOT_TIMED;
  bide_call *call = handle_call(handle);
  call->cb(call);
}

/* The first microsecond that is not before when_s. What is due already stays so: its
 * callback must not wait for the microsecond under way to end. */
static uint64_t timer_handle_deadline_us(double when_s, double now_s) {
  double us = when_s * 1e6;
  if (when_s <= now_s) return us <= 0 ? 0 : (uint64_t)us;
  return us >= 0x1p63 ? UINT64_MAX / 2 : (uint64_t)ceil(us);
}

void timer_handle_set(timer_handle_object *self, double now_s) {
  handle_object *handle = &self->handle;
  handle->wait = HANDLE_ON_WHEEL;
  handle->queued.timer = (bide_timer){.cb = timer_handle_on_timer};
  bide_timer_start_at(handle->loop->core, &handle->queued.timer,
                      timer_handle_deadline_us(self->when_s, now_s));
}

void timer_handle_unset(timer_handle_object *self) {
  bide_timer_stop(self->handle.loop->core, &self->handle.queued.timer);
  self->handle.wait = HANDLE_NOT_TIMED;
}

int timer_handle_start(timer_handle_object *self, double when_s, double now_s) {
  loop_object *loop = self->handle.loop;
  self->when_s = when_s;
  if (loop->clock.patched && clock_start(loop, self) < 0) return -1;
  handle_prepare(&self->handle);
  /* Of a timer on the heap the core knows nothing; a guest's outer loop must. */
  if (loop->clock.patched)
    bide_wake(loop->core);
  else
    timer_handle_set(self, now_s);
  return 0;
}

static bool timer_handle_is_set(const timer_handle_object *self) {
  return self->handle.wait != HANDLE_NOT_TIMED;
}

/* It waits for nothing any more. */
static void timer_handle_let_go(PyObject *self) {
  timer_handle_object *timer = (timer_handle_object *)self;
  handle_object *handle = &timer->handle;
  if (handle->loop->core == NULL || !timer_handle_is_set(timer)) return;
  if (handle->wait == HANDLE_ON_HEAP)
    clock_stop(handle->loop, timer);
  else
    timer_handle_unset(timer);
  handle_unschedule(handle);
}

static PyObject *timer_handle_cancel(PyObject *self, PyObject *unused) {
  (void)unused;
  handle_object *handle = (handle_object *)self;
  if (handle_cancel(handle) < 0) return NULL;
  owner_release(handle->loop, self, timer_handle_let_go);
  Py_RETURN_NONE;
}

static PyObject *timer_handle_get_when(PyObject *self, void *unused) {
  (void)unused;
  PyObject *given = ((handle_object *)self)->timer_slots[COMPAT_TIMER_SLOTS - 1];
  if (given != NULL) return Py_NewRef(given);
  return PyFloat_FromDouble(((timer_handle_object *)self)->when_s);
}

static PyObject *timer_handle_when(PyObject *self, PyObject *unused) {
  (void)unused;
  return timer_handle_get_when(self, NULL);
}

static PyObject *timer_handle_get_scheduled(PyObject *self, void *unused) {
  (void)unused;
  return PyBool_FromLong(timer_handle_is_set((timer_handle_object *)self));
}

static PyMethodDef timer_handle_methods[] = {
    {"cancel", timer_handle_cancel, METH_NOARGS,
     "Cancel the callback; it will not be called."},
    {"cancelled", handle_cancelled_method, METH_NOARGS,
     "Return True if the callback was cancelled."},
    {"when", timer_handle_when, METH_NOARGS,
     "Return the time for which the callback is set, on the clock of loop.time()."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef timer_handle_getset[] = {
    {"_args", handle_get_args, NULL, "The arguments as a tuple, None once cancelled.",
     NULL},
    {"_when", timer_handle_get_when, NULL, "As when().", NULL},
    {"_scheduled", timer_handle_get_scheduled, NULL, "True until it is due.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot timer_handle_slots[] = {
    {Py_tp_doc, "A callback that the loop will run at a given time."},
    {Py_tp_dealloc, handle_dealloc},
    {Py_tp_traverse, handle_traverse},
    {Py_tp_clear, handle_clear},
    {Py_tp_methods, timer_handle_methods},
    {Py_tp_getset, timer_handle_getset},
    {0, NULL},
};

PyType_Spec timer_handle_spec = {
    .name = "bide._bide.TimerHandle",
    .basicsize = sizeof(timer_handle_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = timer_handle_slots,
};
