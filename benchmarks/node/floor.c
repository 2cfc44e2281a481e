/* floor.c: a whole file by plain system calls, one after the other, in the call itself: what
 * JS would pay for it if nothing had to wait for anything. No loop, no thread, no promise of
 * an addon's: one crossing into C and three calls of the kernel, the size being known.
 *
 *   readFile(path, memory)  the length of the file, which then lies in the buffer
 */
#include <fcntl.h>
#include <node_api.h>
#include <unistd.h>

static ssize_t read_all(const char *path, void *base, size_t capacity) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t count = pread(fd, base, capacity, 0);
  close(fd);
  return count;
}

static napi_value read_file(napi_env env, napi_callback_info info) {
  napi_value values[2], length = NULL;
  size_t count = 2, capacity;
  char path[256];
  void *base;
  if (napi_get_cb_info(env, info, &count, values, NULL, NULL) != napi_ok ||
      napi_get_value_string_utf8(env, values[0], path, sizeof path, &count) != napi_ok ||
      napi_get_buffer_info(env, values[1], &base, &capacity) != napi_ok) {
    return NULL;
  }
  napi_create_double(env, (double)read_all(path, base, capacity), &length);
  return length;
}

NAPI_MODULE_INIT(/* napi_env env, napi_value exports */) {
  napi_value function;
  napi_create_function(env, "readFile", NAPI_AUTO_LENGTH, read_file, NULL, &function);
  napi_set_named_property(env, exports, "readFile", function);
  return exports;
}
