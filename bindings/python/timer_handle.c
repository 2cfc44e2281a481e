/* timer_handle.c: what call_later and call_at return. */
#include "timer_handle.h"

static void timer_handle_on_timer(bide_timer *timer) {
  timer_handle_object *self = BIDE_CONTAINER_OF(timer, timer_handle_object, timer);
  bide_call *call = &self->handle.call;
  if (bide_loop_call_soon(self->handle.loop->core, call) < 0) call->cb(call);
}

void timer_handle_start(timer_handle_object *self, double when_s, uint64_t deadline_us) {
  handle_object *handle = &self->handle;
  self->when_s = when_s;
  self->timer = (bide_timer){.cb = timer_handle_on_timer};
  handle_prepare(handle);
  bide_timer_start_at(handle->loop->core, &self->timer, deadline_us);
}

static PyObject *timer_handle_cancel(PyObject *self, PyObject *unused) {
  (void)unused;
  timer_handle_object *timer = (timer_handle_object *)self;
  handle_object *handle = &timer->handle;
  if (handle_cancel(handle) < 0) return NULL;
  if (handle->loop->core != NULL && bide_timer_is_active(&timer->timer)) {
    bide_timer_stop(handle->loop->core, &timer->timer);
    handle_unschedule(handle);
  }
  Py_RETURN_NONE;
}

static PyObject *timer_handle_when(PyObject *self, PyObject *unused) {
  (void)unused;
  return PyFloat_FromDouble(((timer_handle_object *)self)->when_s);
}

static PyObject *timer_handle_get_when(PyObject *self, void *unused) {
  (void)unused;
  return PyFloat_FromDouble(((timer_handle_object *)self)->when_s);
}

static PyObject *timer_handle_get_scheduled(PyObject *self, void *unused) {
  (void)unused;
  return PyBool_FromLong(bide_timer_is_active(&((timer_handle_object *)self)->timer));
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
