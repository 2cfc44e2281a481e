/* choose.c: see choose.h. */
#include "choose.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

/* Before 6.1 a close on the ring could be lost and deferred work was not there. */
enum { CHOOSE_MAJOR = 6, CHOOSE_MINOR = 1 };

/* The off switch comes first: it is read before the first system call of a ring. */
static int choose_from_environment(bide_backend *wanted, const char **origin) {
  const char *text = getenv("BIDE_BACKEND");
  *origin = "BIDE_BACKEND in the environment";
  if (text == NULL || *text == '\0' || strcmp(text, "auto") == 0) return 0;
  if (strcmp(text, "io_uring") == 0)
    *wanted = BIDE_BACKEND_IO_URING;
  else if (strcmp(text, "epoll") == 0)
    *wanted = BIDE_BACKEND_EPOLL;
  else
    return BIDE_EINVAL;
  return 0;
}

/* Tries the ring; says in `reason` why there is none. */
static int choose_ring(const bide__backend_config *config, bide__backend **backend,
                       char reason[BIDE__REASON_BYTES]) {
  struct utsname kernel;
  int major = 0, minor = 0;
  if (uname(&kernel) < 0 || sscanf(kernel.release, "%d.%d", &major, &minor) != 2)
    major = minor = 0;
  if (major < CHOOSE_MAJOR || (major == CHOOSE_MAJOR && minor < CHOOSE_MINOR)) {
    snprintf(reason, BIDE__REASON_BYTES,
             "Linux %d.%d is older than %d.%d, whose io_uring bide relies on (ENOSYS)",
             major, minor, CHOOSE_MAJOR, CHOOSE_MINOR);
    return BIDE_ENOSYS;
  }
  int error = bide__uring_new(config, backend);
  if (error < 0)
    snprintf(reason, BIDE__REASON_BYTES, "io_uring_setup was refused: %s (%s)",
             bide_error_name(error), bide_error_text(error));
  else
    snprintf(reason, BIDE__REASON_BYTES, "Linux %d.%d grants io_uring", major, minor);
  return error;
}

/* epoll, with the ring that was granted for files. */
static int choose_epoll_with_ring(bide__backend_config *config, bide__backend **backend,
                                  char reason[BIDE__REASON_BYTES]) {
  config->ring = *backend;
  int error = bide__epoll_new(config, backend);
  if (error < 0) config->ring->class->free(config->ring, false);
  size_t len = strlen(reason);
  snprintf(reason + len, BIDE__REASON_BYTES - len,
           ", which reads and writes files; sockets cost least on epoll");
  return error;
}

int bide__choose_backend(bide_backend wanted, bide__backend_config *config,
                         bide__backend **backend, char reason[BIDE__REASON_BYTES]) {
  const char *origin = "the loop's options";
  if (wanted == BIDE_BACKEND_AUTO && choose_from_environment(&wanted, &origin) < 0)
    return BIDE_EINVAL;
  if (wanted != BIDE_BACKEND_AUTO) config->ring_for_files = false;
  if (wanted == BIDE_BACKEND_EPOLL) {
    snprintf(reason, BIDE__REASON_BYTES, "epoll was asked for by %s", origin);
    return bide__epoll_new(config, backend);
  }
  int error = choose_ring(config, backend, reason);
  if (wanted == BIDE_BACKEND_IO_URING) {
    if (error == 0)
      snprintf(reason, BIDE__REASON_BYTES, "io_uring was asked for by %s", origin);
    return error;
  }
  if (error < 0) return bide__epoll_new(config, backend);
  return config->ring_for_files ? choose_epoll_with_ring(config, backend, reason) : 0;
}
