/* tls_handshake.c: from the connection below to the first plain byte. */
#include "tls.h"

void tls_wake_waiter(tls_object *self, PyObject *error) {
  PyObject *waiter = self->waiter;
  const module_state *state = self->loop->state;
  if (waiter == NULL) return;
  self->waiter = NULL;
  PyObject *done = PyObject_CallMethodNoArgs(waiter, state->names.done);
  PyObject *result = Py_XNewRef(done);
  if (done == Py_False) {
    Py_DECREF(result);
    PyObject *name = error != NULL ? state->names.set_exception : state->names.set_result;
    PyObject *transport = self->shaken ? (PyObject *)self : Py_None;
    result = PyObject_CallMethodOneArg(waiter, name, error != NULL ? error : transport);
  }
  if (result == NULL) loop_swallow(self->loop);
  Py_XDECREF(result);
  Py_XDECREF(done);
  Py_DECREF(waiter);
}

/* ---- failing ---- */

/* A server's connection has nobody who awaits it; asyncio tells of it in debug mode. */
static void tls_shake_report(tls_object *self, PyObject *error) {
  if (self->waiter == NULL && self->loop->debug)
    protocol_report_error((transport_head *)self, error,
                          "Error on transport creation for incoming connection");
}

/* Takes the pending exception. The peer is told why by an alert, if there is one. */
static void tls_shake_fail(tls_object *self) {
  if (loop_take_fatal(self->loop)) return;
  PyObject *error = PyErr_GetRaisedException();
  int verifying = PyErr_GivenExceptionMatches(error, self->loop->state->CertificateError);
  tls_shake_report(self, error);
  Py_INCREF(error);
  PyErr_SetRaisedException(error);
  tls_fail(self, verifying ? "SSL handshake failed on verifying the certificate"
                           : "SSL handshake failed");
  tls_wake_waiter(self, error);
  Py_DECREF(error);
}

void tls_shake_cut(tls_object *self) {
  PyErr_SetString(PyExc_ConnectionResetError,
                  "The peer closed the connection during the SSL handshake");
  tls_shake_fail(self);
}

/* ---- succeeding ---- */

static void tls_shake_log(tls_object *self) {
  double ms = (double)(bide_clock_us() - self->begin_us) / 1e3;
  PyObject *result =
      state_call(self->loop->state->logger, self->loop->state->names.debug, "(sOd)",
                 "%r: SSL handshake took %.1f ms", (PyObject *)self, ms);
  if (result == NULL) loop_swallow(self->loop);
  Py_XDECREF(result);
}

/* Who awaits the connection goes on before the data that came with the handshake's end. */
static void tls_shake_done(tls_object *self) {
  tls_stop_timer(self);
  self->phase = TLS_OPEN;
  self->shaken = true;
  if (self->begin_us != 0) tls_shake_log(self);
  if (!self->announced) {
    self->announced = true;
    PyObject *result =
        protocol_call((transport_head *)self, self->loop->state->names.connection_made,
                      (PyObject *)self);
    if (result == NULL)
      tls_fail(self, "Fatal error: protocol.connection_made() call failed.");
    Py_XDECREF(result);
  }
  if (self->phase == TLS_OPEN && self->waiter != NULL) {
    self->waking = true;
    tls_wake_waiter(self, NULL);
    if (tls_call_soon(self, self->loop->state->names._proceed) < 0)
      tls_fail(self, "Fatal error on SSL protocol");
  }
  if (self->phase == TLS_OPEN && self->paused && tls_lower_set_reading(self, false) < 0)
    tls_fail(self, "Fatal error on SSL protocol");
  tls_flush(self);
  tls_read(self);
}

/* A callback of the user's context, or a transport below that fails inside write(), may
 * have ended the connection meanwhile. */
void tls_shake(tls_object *self) {
  int result = tls_record_shake(self);
  if (result != -1 && tls_record_send(self) < 0) result = -1;
  if (result == -1)
    tls_shake_fail(self);
  else if (result == 0 && self->phase == TLS_HANDSHAKE)
    tls_shake_done(self);
}

/* ---- beginning ---- */

static void tls_shake_log_start(tls_object *self) {
  self->begin_us = bide_clock_us();
  PyObject *result = state_call(self->loop->state->logger, self->loop->state->names.debug,
                                "(sO)", "%r starts SSL handshake", (PyObject *)self);
  if (result == NULL) loop_swallow(self->loop);
  Py_XDECREF(result);
}

/* A server has nothing to say before its client has spoken. */
void tls_start(tls_object *self, PyObject *lower) {
  bool unwanted = self->phase != TLS_IDLE;
  if (tls_lower_attach(self, lower) < 0) {
    tls_fail(self, "Fatal error on SSL protocol");
    return;
  }
  if (unwanted) {
    tls_lower_abort(self, self->error);
    return;
  }
  self->phase = TLS_HANDSHAKE;
  if (self->loop->debug) tls_shake_log_start(self);
  if (tls_start_timer(self, self->handshake_s) < 0)
    tls_shake_fail(self);
  else if (!self->server_side)
    tls_shake(self);
}
