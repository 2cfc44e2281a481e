/* fds.c: see fds.h. */
#include "fds.h"

#include <bide/errno.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "../list.h"
#include "../memory.h"

enum { FDS_CHUNK = 64, FDS_CHUNKS_INITIAL = 16 };

void bide__fds_free(bide__fds *fds) {
  for (size_t i = 0; i < fds->chunk_count; i++) bide__free(fds->chunks[i]);
  bide__free(fds->chunks);
}

bide__fd *bide__fds_find(const bide__fds *fds, int fd) {
  size_t chunk = (size_t)fd / FDS_CHUNK;
  if (fd < 0 || chunk >= fds->chunk_count || fds->chunks[chunk] == NULL) return NULL;
  return &fds->chunks[chunk][fd % FDS_CHUNK];
}

static int fds_grow(bide__fds *fds, size_t chunk) {
  size_t count = fds->chunk_count == 0 ? FDS_CHUNKS_INITIAL : fds->chunk_count;
  while (count <= chunk) count *= 2;
  bide__fd **chunks = bide__realloc(fds->chunks, count * sizeof *chunks);
  if (chunks == NULL) return BIDE_ENOMEM;
  for (size_t i = fds->chunk_count; i < count; i++) chunks[i] = NULL;
  fds->chunks = chunks;
  fds->chunk_count = count;
  return 0;
}

int bide__fds_entry(bide__fds *fds, int fd, bide__fd **entry) {
  *entry = NULL;
  if (fd < 0) return 0;
  size_t chunk = (size_t)fd / FDS_CHUNK;
  if (chunk >= fds->chunk_count && fds_grow(fds, chunk) < 0) return BIDE_ENOMEM;
  if (fds->chunks[chunk] == NULL) {
    bide__fd *entries = bide__zalloc(FDS_CHUNK * sizeof *entries);
    if (entries == NULL) return BIDE_ENOMEM;
    for (int i = 0; i < FDS_CHUNK; i++) {
      bide__list_init(&entries[i].readers);
      bide__list_init(&entries[i].writers);
      bide__list_init(&entries[i].pollers);
      entries[i].blocking = true;
    }
    fds->chunks[chunk] = entries;
  }
  *entry = bide__fds_find(fds, fd);
  return 0;
}

/* A Unix stream is not as TCP: a receive stops behind a message with an fd. */
void bide__fd_describe_socket(bide__fd *entry, int fd) {
  int protocol;
  socklen_t len = sizeof protocol;
  if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) < 0)
    entry->type = BIDE__FD_UNKNOWN;
  else
    entry->type = protocol == IPPROTO_TCP ? BIDE__FD_TCP : BIDE__FD_SOCKET;
}

void bide__fd_describe(bide__fd *entry, int fd) {
  struct stat status;
  int flags = fcntl(fd, F_GETFL);
  entry->type = BIDE__FD_UNKNOWN;
  entry->blocking = flags >= 0 && (flags & O_NONBLOCK) == 0;
  if (fstat(fd, &status) < 0) return;
  if (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode) || S_ISDIR(status.st_mode)) {
    entry->type = BIDE__FD_FILE;
  } else if (S_ISSOCK(status.st_mode)) {
    bide__fd_describe_socket(entry, fd);
  } else {
    entry->type = BIDE__FD_OTHER;
  }
}

void bide__fd_reset(bide__fd *entry) {
  entry->mask = 0;
  entry->streams = false;
  entry->ready = 0;
  entry->no_short = false;
  entry->blocking = true;
  entry->accepted = false;
  entry->type = BIDE__FD_UNKNOWN;
  entry->generation++;
}

int bide__fd_of_event(const bide__fds *fds, uint64_t data) {
  int fd = (int)(uint32_t)data;
  const bide__fd *entry = bide__fds_find(fds, fd);
  return entry != NULL && entry->generation == (uint32_t)(data >> 32) ? fd : -1;
}

static struct epoll_event fds_event(const bide__fd *entry, int fd, uint32_t mask) {
  struct epoll_event event = {.events = mask};
  event.data.u64 = (uint64_t)entry->generation << 32 | (uint32_t)fd;
  return event;
}

int bide__fd_register(bide__fd *entry, int epoll_fd, int fd, uint32_t mask) {
  struct epoll_event event = fds_event(entry, fd, mask);
  int first = entry->mask != 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  int result = epoll_ctl(epoll_fd, first, fd, &event);
  if (result < 0 && (errno == ENOENT || errno == EEXIST)) {
    int second = first == EPOLL_CTL_MOD ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (second == EPOLL_CTL_ADD) entry->generation++;
    event = fds_event(entry, fd, mask);
    result = epoll_ctl(epoll_fd, second, fd, &event);
  }
  if (result < 0) return -errno;
  entry->mask = mask;
  return 0;
}
