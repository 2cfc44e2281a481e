/* owner.c: who closes a descriptor that bide opened.
 *
 * From its open to its delivery, and again from the start of its close, it is the
 * environment's: a bit says so. In between it belongs to an object of Node's own class,
 * which closes it when it is collected, in the way of that version of Node, and when the
 * environment ends. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "addon.h"

enum { FD_BITS = 64 };

/* Without memory to note it the descriptor merely outlives its environment. */
void addon_file_opened(addon_env *env, int fd) {
  size_t word = (size_t)fd / FD_BITS;
  if (word >= env->file_words) {
    size_t words = word + 1;
    uint64_t *files = realloc(env->files, words * sizeof *files);
    if (files == NULL) return;
    memset(files + env->file_words, 0, (words - env->file_words) * sizeof *files);
    env->files = files;
    env->file_words = words;
  }
  env->files[word] |= UINT64_C(1) << fd % FD_BITS;
}

void addon_file_closed(addon_env *env, int fd) {
  size_t word = (size_t)fd / FD_BITS;
  if (fd >= 0 && word < env->file_words) {
    env->files[word] &= ~(UINT64_C(1) << fd % FD_BITS);
  }
}

/* ---- how the class is learned ---- */

/* From a handle that Node opens. Node loses the descriptor of an open that ends after its
 * environment; so this one is of a file that has the thread's number in its name and that
 * nobody else opens, to be found by it. */
static void sample_path(char *path, size_t size) {
  snprintf(path, size, "/proc/%d/task/%ld/comm", getpid(), syscall(SYS_gettid));
}

/* samplePath(): what Node is to open. */
static napi_value owner_sample_path(napi_env napi, napi_callback_info info) {
  addon_env *env;
  char path[64];
  if (!addon_arguments(napi, info, 0, NULL, &env)) return NULL;
  sample_path(path, sizeof path);
  env->learning = true;
  return addon_string(napi, path);
}

static void close_if_sample(const char *name) {
  char wanted[64], link[300], target[64];
  sample_path(wanted, sizeof wanted);
  snprintf(link, sizeof link, "/proc/self/fd/%s", name);
  ssize_t len = readlink(link, target, sizeof target);
  if (len == (ssize_t)strlen(wanted) && memcmp(target, wanted, (size_t)len) == 0) {
    close(atoi(name));
  }
}

static void close_sample(addon_env *env) {
  DIR *folder = env->learning ? opendir("/proc/self/fd") : NULL;
  if (folder == NULL) return;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    close_if_sample(entry->d_name);
  }
  closedir(folder);
}

void addon_files_close(addon_env *env) {
  for (size_t word = 0; word < env->file_words; word++) {
    for (uint64_t bits = env->files[word]; bits != 0; bits &= bits - 1) {
      close((int)(word * FD_BITS) + __builtin_ctzll(bits));
    }
  }
  free(env->files);
  close_sample(env);
}

/* ---- owners ---- */

/* owner(class): the class of Node's that takes a descriptor. */
static napi_value owner_set(napi_env napi, napi_callback_info info) {
  addon_env *env;
  napi_value value;
  if (!addon_arguments(napi, info, 1, &value, &env)) return NULL;
  if (env->owner != NULL) napi_delete_reference(napi, env->owner);
  env->owner = NULL;
  env->learning = false;
  if (napi_create_reference(napi, value, 1, &env->owner) == napi_ok) return NULL;
  return addon_throw(env, "bide: owner takes a class");
}

/* An environment ends its objects in the reverse order of their making, and this before
 * them, if it was asked for last: an operation in flight must not meet another file under
 * the number of one that its owner has closed. */
static void on_end(void *data) { addon_loop_drain(data); }

static void end_before_owners(addon_env *env) {
  napi_remove_env_cleanup_hook(env->napi, on_end, env);
  napi_add_env_cleanup_hook(env->napi, on_end, env);
}

/* adopt(fd): the object that owns it from now on. */
static napi_value owner_adopt(napi_env napi, napi_callback_info info) {
  addon_env *env;
  napi_value value, owner, object = NULL;
  int fd;
  if (!addon_arguments(napi, info, 1, &value, &env)) return NULL;
  if (!addon_get_int(env, value, &fd)) return NULL;
  if (env->owner == NULL ||
      napi_get_reference_value(napi, env->owner, &owner) != napi_ok) {
    return addon_throw(env, "bide: no class owns descriptors yet");
  }
  if (napi_new_instance(napi, owner, 1, &value, &object) != napi_ok) return NULL;
  addon_file_closed(env, fd);
  end_before_owners(env);
  return object;
}

const addon_method addon_owner_methods[] = {
    {"samplePath", owner_sample_path},
    {"owner", owner_set},
    {"adopt", owner_adopt},
    {NULL, NULL},
};
