/* poller.h: what stands behind add_reader and add_writer. */
#ifndef BIDE_PYTHON_POLLER_H
#define BIDE_PYTHON_POLLER_H

#include <sys/stat.h>

#include "handle.h"

/* One registration. It waits with a one-shot poll and is armed again after each run of
 * its callback, which makes it level-triggered on either backend; the arming waits its
 * turn among the ready calls, so that what the callback made ready, a removal say, comes
 * before the next event. On its loop's
 * `pollers` list from add until it is freed: when it has been detached and neither its
 * operation nor its callback is under way. A replaced registration is a new poller,
 * since the old one's operation may still wait on a file that had the same number. It is
 * for one file, device and inode: a number that has become another file's ends it. */
struct poller {
  bide_op op;
  bide_call arming; /* queued only while it is not detached */
  bide_node link;
  loop_object *loop;
  handle_object *handle; /* owned; NULL once detached */
  PyObject *fileobj;     /* likewise: what was given for fd, which stays open by it */
  int fd;
  dev_t device;
  ino_t inode;
  unsigned events; /* POLLIN or POLLOUT */
  bool armed;
  bool running;
};

/* Ends the registration: its callback will not be called any more. */
void poller_detach(poller *self);

/* For a loop whose core is gone: frees it whatever its state. */
void poller_free(poller *self);

/* True if fd's transport lets nobody else wait on it: then RuntimeError is
 * pending. */
bool poller_refused(loop_object *loop, int fd);

#endif
