#include "guest.h"

#include <stddef.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "convert.h"
#include "run.h"

/* The outer loop draws and listens to its user between steps: a step leaves off after so
 * long though more is ready. */
enum { GUEST_STEP_US = 4000 };

/* ---- the timer ---- */

static int guest_set_timer(const loop_object *loop, int64_t timeout_us) {
  struct itimerspec spec = {0};
  if (timeout_us > 0) {
    spec.it_value.tv_sec = timeout_us / 1000000;
    spec.it_value.tv_nsec = timeout_us % 1000000 * 1000;
  } else if (timeout_us == 0) {
    spec.it_value.tv_nsec = 1; /* none at all would mean never */
  }
  return timerfd_settime(loop->guest_timer_fd, 0, &spec, NULL) < 0 ? -errno : 0;
}

/* Before the outer loop's wait. Returns 0 or an error of the core's. */
static int guest_park(loop_object *loop) {
  int code = guest_set_timer(loop, run_timeout(loop));
  return code < 0 ? code : bide_loop_park(loop->core);
}

/* ---- life ---- */

/* fd: or the error for which there is none. */
static int guest_watch(const guest_object *self, int fd) {
  if (fd < 0) return fd;
  struct epoll_event event = {.events = EPOLLIN};
  return epoll_ctl(self->set_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* The loop's guests share one timer, so that each wakes for what another's step has left. */
static int guest_open(guest_object *self) {
  loop_object *loop = self->loop;
  self->set_fd = epoll_create1(EPOLL_CLOEXEC);
  if (self->set_fd < 0) return -errno;
  if (loop->guest_timer_fd < 0)
    loop->guest_timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (loop->guest_timer_fd < 0) return -errno;
  int code = guest_watch(self, loop->guest_timer_fd);
  if (code == 0) code = guest_watch(self, bide_loop_fd(loop->core));
  return code < 0 ? code : guest_park(loop);
}

static PyObject *guest_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
  static char *names[] = {"loop", NULL};
  module_state *state = module_state_of(type);
  PyObject *loop;
  if (state == NULL || !PyArg_ParseTupleAndKeywords(args, keywords, "O!:Guest", names,
                                                    state->loop_type, &loop))
    return NULL;
  if (loop_check_use((loop_object *)loop) < 0) return NULL;
  guest_object *self = (guest_object *)type->tp_alloc(type, 0);
  if (self == NULL) return NULL;
  self->loop = (loop_object *)Py_NewRef(loop);
  self->set_fd = -1;
  self->loop->guests++;
  self->is_open = true;
  int code = guest_open(self);
  if (code == 0) return (PyObject *)self;
  Py_DECREF(self);
  return convert_raise(code);
}

static void guest_shut(guest_object *self) {
  if (!self->is_open) return;
  loop_object *loop = self->loop;
  self->is_open = false;
  if (self->set_fd >= 0) close(self->set_fd);
  self->set_fd = -1;
  if (--loop->guests > 0 || loop->guest_timer_fd < 0) return;
  close(loop->guest_timer_fd);
  loop->guest_timer_fd = -1;
}

static int guest_traverse(PyObject *self, visitproc visit, void *arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(((guest_object *)self)->loop);
  return 0;
}

static int guest_clear(PyObject *self) {
  guest_shut((guest_object *)self);
  Py_CLEAR(((guest_object *)self)->loop);
  return 0;
}

static void guest_dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  if (((guest_object *)self)->weakrefs != NULL) PyObject_ClearWeakRefs(self);
  guest_clear(self);
  type->tp_free(self);
  Py_DECREF(type);
}

/* ---- the methods ---- */

static int guest_check_open(const guest_object *self) {
  if (self->is_open) return 0;
  PyErr_SetString(PyExc_ValueError, "the guest is closed");
  return -1;
}

static PyObject *guest_fileno(PyObject *self, PyObject *unused) {
  (void)unused;
  if (guest_check_open((guest_object *)self) < 0) return NULL;
  return PyLong_FromLong(((guest_object *)self)->set_fd);
}

static bool guest_goes_on(loop_object *loop, uint64_t until_us) {
  return loop->fatal == NULL && !loop->stopping && run_timeout(loop) == 0 &&
         bide_clock_us() < until_us;
}

static PyObject *guest_step(PyObject *object, PyObject *unused) {
  (void)unused;
  guest_object *self = (guest_object *)object;
  loop_object *loop = self->loop;
  if (guest_check_open(self) < 0 || run_begin(loop) < 0) return NULL;
  uint64_t until_us = bide_clock_us() + GUEST_STEP_US;
  int code;
  do {
    code = run_turn(loop, false);
  } while (code == 0 && guest_goes_on(loop, until_us));
  run_end(loop);
  /* A callback may have closed the guest; the loop cannot be closed while it runs. */
  if (code == 0 && self->is_open) code = guest_park(loop);
  if (run_result(loop, code) < 0) return NULL;
  Py_RETURN_NONE;
}

static PyObject *guest_close(PyObject *self, PyObject *unused) {
  (void)unused;
  guest_shut((guest_object *)self);
  Py_RETURN_NONE;
}

static PyObject *guest_get_loop(PyObject *self, void *unused) {
  (void)unused;
  return Py_NewRef(((guest_object *)self)->loop);
}

static PyMethodDef guest_methods[] = {
    {"fileno", guest_fileno, METH_NOARGS,
     "Return the fd that is readable when step() has something to do."},
    {"step", guest_step, METH_NOARGS,
     "Run what is ready, for a few milliseconds at most, without waiting."},
    {"close", guest_close, METH_NOARGS,
     "Close the fd; the loop stays open and may be run by itself."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef guest_getset[] = {
    {"loop", guest_get_loop, NULL, "The loop.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef guest_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(guest_object, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot guest_slots[] = {
    {Py_tp_doc, "Guest(loop)\nA bide loop as the guest of another loop."},
    {Py_tp_new, guest_new},
    {Py_tp_dealloc, guest_dealloc},
    {Py_tp_traverse, guest_traverse},
    {Py_tp_clear, guest_clear},
    {Py_tp_methods, guest_methods},
    {Py_tp_members, guest_members},
    {Py_tp_getset, guest_getset},
    {0, NULL},
};

PyType_Spec guest_spec = {
    .name = "bide._bide.Guest",
    .basicsize = sizeof(guest_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = guest_slots,
};
