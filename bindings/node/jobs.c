/* jobs.c: what a worker thread of the core's pool can do for JS. */
#include "jobs.h"

#include <bide/errno.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- the end of the environment ---- */

int addon_stop_init(addon_stop *stop) {
  pthread_condattr_t monotonic;
  int error = pthread_condattr_init(&monotonic);
  if (error != 0) return -error;
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  error = pthread_cond_init(&stop->changed, &monotonic);
  pthread_condattr_destroy(&monotonic);
  if (error != 0) return -error;
  stop->stopped = false;
  error = pthread_mutex_init(&stop->mutex, NULL);
  if (error != 0) pthread_cond_destroy(&stop->changed);
  return -error;
}

void addon_stop_request(addon_stop *stop) {
  pthread_mutex_lock(&stop->mutex);
  stop->stopped = true;
  pthread_cond_broadcast(&stop->changed);
  pthread_mutex_unlock(&stop->mutex);
}

void addon_stop_destroy(addon_stop *stop) {
  pthread_cond_destroy(&stop->changed);
  pthread_mutex_destroy(&stop->mutex);
}

static bool stopped(addon_stop *stop) {
  pthread_mutex_lock(&stop->mutex);
  bool answer = stop->stopped;
  pthread_mutex_unlock(&stop->mutex);
  return answer;
}

/* ---- sleep(ms) ---- */

static int job_sleep(addon_job_call *call) {
  addon_stop *stop = call->stop;
  struct timespec end;
  clock_gettime(CLOCK_MONOTONIC, &end);
  int64_t ns = end.tv_nsec + (int64_t)(call->number * 1e6);
  end.tv_sec += (time_t)(ns / 1000000000);
  end.tv_nsec = (long)(ns % 1000000000);
  int error = 0;
  pthread_mutex_lock(&stop->mutex);
  while (!stop->stopped && error == 0) {
    error = pthread_cond_timedwait(&stop->changed, &stop->mutex, &end);
  }
  bool cut_short = stop->stopped;
  pthread_mutex_unlock(&stop->mutex);
  return cut_short ? BIDE_ECANCELED : 0;
}

/* ---- CRC-32, as zlib has it, eight bytes a step ---- */

static uint32_t crc_tables[8][256];
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;

static void crc_make_tables(void) {
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0xEDB88320u : crc >> 1;
    crc_tables[0][i] = crc;
  }
  for (int t = 1; t < 8; t++) {
    for (int i = 0; i < 256; i++) {
      uint32_t crc = crc_tables[t - 1][i];
      crc_tables[t][i] = crc >> 8 ^ crc_tables[0][crc & 255];
    }
  }
}

static uint32_t crc_add(uint32_t crc, const unsigned char *bytes, size_t len) {
  crc = ~crc;
  for (; len >= 8; len -= 8, bytes += 8) {
    uint32_t low = crc ^ ((uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 |
                          (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24);
    crc = crc_tables[7][low & 255] ^ crc_tables[6][low >> 8 & 255] ^
          crc_tables[5][low >> 16 & 255] ^ crc_tables[4][low >> 24] ^
          crc_tables[3][bytes[4]] ^ crc_tables[2][bytes[5]] ^ crc_tables[1][bytes[6]] ^
          crc_tables[0][bytes[7]];
  }
  for (; len > 0; len--, bytes++) crc = crc >> 8 ^ crc_tables[0][(crc ^ *bytes) & 255];
  return ~crc;
}

/* ---- checksumTree(path) ---- */

/* Where a walk stands. path is the file or folder at hand, path_len bytes of it. */
typedef struct walk {
  addon_job_call *call;
  size_t path_len;
  double files, folders, bytes;
  uint32_t crc;
  char path[PATH_MAX];
  unsigned char buffer[64 * 1024];
} walk;

static int walk_fail(walk *self, int code, const char *syscall) {
  self->call->syscall = syscall;
  self->call->failed_path = strdup(self->path);
  return code;
}

static int walk_file(walk *self) {
  int fd = open(self->path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return walk_fail(self, -errno, "open");
  ssize_t got;
  do {
    got = read(fd, self->buffer, sizeof self->buffer);
    if (got > 0) {
      self->crc = crc_add(self->crc, self->buffer, (size_t)got);
      self->bytes += (double)got;
    }
  } while (got > 0 || (got < 0 && errno == EINTR));
  int code = got < 0 ? walk_fail(self, -errno, "read") : 0;
  close(fd);
  self->files++;
  return code;
}

static int by_name(const struct dirent **a, const struct dirent **b) {
  return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_entry(const struct dirent *entry) {
  return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int walk_any(walk *self, bool follow);

static int walk_entry(walk *self, const char *name) {
  size_t len = self->path_len;
  size_t room = sizeof self->path - len;
  int added = snprintf(self->path + len, room, "/%s", name);
  if (added < 0 || (size_t)added >= room) {
    self->path[len] = '\0';
    return walk_fail(self, BIDE_ENAMETOOLONG, "open");
  }
  self->path_len = len + (size_t)added;
  int code = walk_any(self, false);
  self->path_len = len;
  self->path[len] = '\0';
  return code;
}

/* Entries in the order of their bytes, so that a tree has one checksum. */
static int walk_folder(walk *self) {
  struct dirent **entries;
  int count = scandir(self->path, &entries, is_entry, by_name);
  if (count < 0) return walk_fail(self, -errno, "scandir");
  int code = 0;
  for (int i = 0; i < count; i++) {
    if (code == 0) code = walk_entry(self, entries[i]->d_name);
    free(entries[i]);
  }
  free(entries);
  self->folders++;
  return code;
}

/* Links are followed at the root alone; what is neither file nor folder is passed by. */
static int walk_any(walk *self, bool follow) {
  struct stat about;
  if (stopped(self->call->stop)) return BIDE_ECANCELED;
  if ((follow ? stat : lstat)(self->path, &about) < 0) {
    return walk_fail(self, -errno, "open");
  }
  if (S_ISDIR(about.st_mode)) return walk_folder(self);
  return S_ISREG(about.st_mode) ? walk_file(self) : 0;
}

static int job_checksum_tree(addon_job_call *call) {
  walk *self = malloc(sizeof *self);
  if (self == NULL) return BIDE_ENOMEM;
  pthread_once(&crc_once, crc_make_tables);
  *self = (walk){.call = call};
  int len = snprintf(self->path, sizeof self->path, "%s", call->path);
  int code;
  if ((size_t)len >= sizeof self->path) {
    code = walk_fail(self, BIDE_ENAMETOOLONG, "open");
  } else {
    self->path_len = (size_t)len;
    code = walk_any(self, true);
  }
  call->results[0] = self->files;
  call->results[1] = self->folders;
  call->results[2] = self->bytes;
  call->results[3] = self->crc;
  free(self);
  return code;
}

const addon_job addon_jobs[] = {
    {"sleep", ADDON_JOB_NUMBER, job_sleep, {NULL}},
    {"checksumTree",
     ADDON_JOB_PATH,
     job_checksum_tree,
     {"files", "folders", "bytes", "crc32", NULL}},
    {NULL, ADDON_JOB_NUMBER, NULL, {NULL}},
};
