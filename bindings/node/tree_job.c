/* tree_job.c: what goes through a folder and all that is in it. */
#include <bide/errno.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobs.h"

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

/* ---- the walk ---- */

/* Where it stands. path is the file or folder at hand, path_len bytes of it; visit takes a
 * regular file. at: the folder that it lies in, by which it is found without going through
 * its whole path again. capacity: of call->output. numbers: of listTree, two a file. */
typedef struct walk walk;
struct walk {
  addon_job_call *call;
  int (*visit)(walk *self, const struct stat *about);
  size_t path_len;
  int at;
  double files, folders, bytes;
  uint32_t crc;
  size_t capacity;
  double *numbers;
  size_t number_capacity;
  char path[PATH_MAX];
  unsigned char buffer[64 * 1024];
};

static int walk_fail(walk *self, int code, const char *syscall) {
  self->call->syscall = syscall;
  self->call->failed_path = strdup(self->path);
  return code;
}

static int by_name(const struct dirent **a, const struct dirent **b) {
  return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_entry(const struct dirent *entry) {
  return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int walk_any(walk *self, const char *name, bool follow);

static int walk_entry(walk *self, const char *name) {
  size_t len = self->path_len;
  size_t room = sizeof self->path - len;
  int added = snprintf(self->path + len, room, "/%s", name);
  if (added < 0 || (size_t)added >= room) {
    self->path[len] = '\0';
    return walk_fail(self, BIDE_ENAMETOOLONG, "open");
  }
  self->path_len = len + (size_t)added;
  int code = walk_any(self, self->path + len + 1, false);
  self->path_len = len;
  self->path[len] = '\0';
  return code;
}

/* Entries in the order of their bytes, so that a tree has one checksum. */
static int walk_folder(walk *self) {
  struct dirent **entries;
  int count = scandir(self->path, &entries, is_entry, by_name);
  if (count < 0) return walk_fail(self, -errno, "scandir");
  int above = self->at;
  self->at = open(self->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  int code = self->at < 0 ? walk_fail(self, -errno, "open") : 0;
  for (int i = 0; i < count; i++) {
    if (code == 0) code = walk_entry(self, entries[i]->d_name);
    free(entries[i]);
  }
  free(entries);
  if (self->at >= 0) close(self->at);
  self->at = above;
  self->folders++;
  return code;
}

/* Links are followed at the root alone; what is neither file nor folder is passed by. */
static int walk_any(walk *self, const char *name, bool follow) {
  struct stat about;
  if (addon_stop_requested(self->call->stop)) return BIDE_ECANCELED;
  if (fstatat(self->at, name, &about, follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0) {
    return walk_fail(self, -errno, "open");
  }
  if (S_ISDIR(about.st_mode)) return walk_folder(self);
  return S_ISREG(about.st_mode) ? self->visit(self, &about) : 0;
}

/* From call->path on; the caller frees the walk, which is too large for a small stack. */
static int walk_run(walk *self, addon_job_call *call,
                    int (*visit)(walk *self, const struct stat *about)) {
  self->call = call;
  self->visit = visit;
  int len = snprintf(self->path, sizeof self->path, "%s", call->path);
  if ((size_t)len >= sizeof self->path) {
    return walk_fail(self, BIDE_ENAMETOOLONG, "open");
  }
  self->path_len = (size_t)len;
  self->at = AT_FDCWD;
  return walk_any(self, self->path, true);
}

/* ---- checksumTree(path) ---- */

static int checksum_file(walk *self, const struct stat *about) {
  (void)about;
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

int addon_checksum_tree(addon_job_call *call) {
  walk *self = calloc(1, sizeof *self);
  if (self == NULL) return BIDE_ENOMEM;
  pthread_once(&crc_once, crc_make_tables);
  int code = walk_run(self, call, checksum_file);
  call->results[0] = self->files;
  call->results[1] = self->folders;
  call->results[2] = self->bytes;
  call->results[3] = self->crc;
  free(self);
  return code;
}

/* ---- listTree(path) ---- */

/* Room for a path and for two numbers more. */
static int list_reserve(walk *self, size_t bytes) {
  addon_job_call *call = self->call;
  size_t count = 2 * (size_t)self->files;
  if (self->capacity - call->output_len < bytes) {
    size_t capacity = 2 * self->capacity + bytes;
    void *output = realloc(call->output, capacity);
    if (output == NULL) return BIDE_ENOMEM;
    call->output = output;
    self->capacity = capacity;
  }
  if (count + 2 > self->number_capacity) {
    size_t capacity = 2 * self->number_capacity + 64;
    double *numbers = realloc(self->numbers, capacity * sizeof *numbers);
    if (numbers == NULL) return BIDE_ENOMEM;
    self->numbers = numbers;
    self->number_capacity = capacity;
  }
  return 0;
}

/* Its path with a NUL behind it; its size and its time in ms since 1970. */
static int list_file(walk *self, const struct stat *about) {
  addon_job_call *call = self->call;
  size_t len = self->path_len + 1;
  int code = list_reserve(self, len);
  if (code < 0) return code;
  memcpy((char *)call->output + call->output_len, self->path, len);
  call->output_len += len;
  double *numbers = self->numbers + 2 * (size_t)self->files;
  numbers[0] = (double)about->st_size;
  numbers[1] = (double)about->st_mtim.tv_sec * 1e3 + about->st_mtim.tv_nsec / 1e6;
  self->files++;
  return 0;
}

/* The numbers follow the paths. */
static int list_join(walk *self) {
  addon_job_call *call = self->call;
  size_t bytes = 2 * (size_t)self->files * sizeof *self->numbers;
  if (bytes == 0) return 0;
  void *output = realloc(call->output, call->output_len + bytes);
  if (output == NULL) return BIDE_ENOMEM;
  memcpy((char *)output + call->output_len, self->numbers, bytes);
  call->output = output;
  call->output_len += bytes;
  return 0;
}

int addon_list_tree(addon_job_call *call) {
  walk *self = calloc(1, sizeof *self);
  if (self == NULL) return BIDE_ENOMEM;
  int code = walk_run(self, call, list_file);
  call->results[0] = (double)call->output_len;
  if (code == 0) code = list_join(self);
  free(self->numbers);
  free(self);
  return code;
}
