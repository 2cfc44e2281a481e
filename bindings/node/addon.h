/* addon.h: what the files of the Node glue share.
 *
 * JS asks for work by slot: it owns the numbers, keeps the promise of each at its index,
 * and calls a function of fs.c or offload.c with a free one. The completions of a turn
 * come back together, in one call of JS's `complete`, as rows of numbers in an array that
 * both sides see. So a turn costs one crossing, however much it carries.
 *
 * Everything here runs on the thread of its Node environment, but for the jobs of jobs.c
 * and the helper of reads.c. */
#ifndef BIDE_NODE_ADDON_H
#define BIDE_NODE_ADDON_H

#include <bide.h>
#include <node_api.h>
#include <sys/stat.h>
#include <uv.h>

#include "cached_read.h"
#include "jobs.h"
#include "reads.h"

enum {
  ADDON_CHUNK_SLOTS = 64,
  /* Each slot's part of the memory it shares with JS. What fits is copied once from
   * here, which is cheaper than a buffer of its own; the 64 bytes beyond a page keep
   * slots off each other's cache sets. */
  ADDON_SLOT_BYTES = 16 * 1024 + 64,
  ADDON_COMPLETIONS_MAX = 256,
  ADDON_IN_BUFFER = -1,
  ADDON_TOO_LARGE = -2,
  ADDON_TOO_SMALL = -3,
  ADDON_TIMER = -4,
  ADDON_STREAM = -5,
};

typedef enum addon_kind {
  ADDON_READ_CACHED, /* a whole file, while the caches are tried */
  ADDON_READ_FILE,   /* the same, by the core */
  ADDON_WRITE_FILE,
  ADDON_STAT_ALL,
  ADDON_OP,
  ADDON_JOB,
} addon_kind;

typedef enum addon_state {
  ADDON_FREE,      /* JS may start something with it */
  ADDON_IN_FLIGHT, /* the core owns it */
  ADDON_DONE,      /* on env->done, until delivered */
} addon_state;

typedef struct addon_stat_all addon_stat_all;
typedef struct addon_timer addon_timer;

/* A whole file on its way out: see write_file.c. The bytes are the slot's or a buffer's
 * that JS keeps. */
typedef struct addon_write_file {
  bide_op op;
  const unsigned char *base;
  size_t len;
  size_t written;
  int flags;
  uint32_t mode;
  int fd;
  int32_t result;
  uint8_t step;
  uint8_t failed_step;
  bool flush;
  bool cancelled;
} addon_write_file;

/* What a slot is made of. Lives in its chunk from addon_request_grow until the
 * environment ends, so its address is good for the core all that time. `path` is owned by
 * the request while it is not free. */
struct addon_request {
  addon_env *env;
  addon_request *next_done;
  unsigned char *shared; /* ADDON_SLOT_BYTES, JS's own memory, held by the chunk's ref */
  uint32_t slot;
  uint8_t kind;
  uint8_t state;
  bool bigint;    /* of a stat: as 64-bit integers, not as doubles */
  bool targeted;  /* of a whole file: into a buffer that the caller gave */
  bool cancelled; /* ADDON_READ_CACHED */
  int32_t result;
  int32_t detail;  /* see addon_deliver */
  napi_ref buffer; /* ADDON_READ_FILE: where a file goes that does not fit `shared` */
  char *path;      /* path_inline, or allocated */
  char path_inline[232];
  void *output; /* of a job, until JS has taken it or the slot is used again */
  size_t output_len;
  union {
    struct {
      addon_cached_read file;
      addon_request *next; /* on a list of env->reads */
    } cached;
    bide_read_file file;
    addon_write_file write;
    addon_stat_all *stat_all; /* allocated, freed at its end */
    bide_op op;
    struct {
      bide_op op; /* lies where `as.op` does */
      struct statx statx;
    } stat;
    struct {
      bide_offload offload;
      bide_waiter waiter;
      const addon_job *job;
      addon_job_call call;
    } job;
  } as;
};

typedef struct addon_chunk {
  napi_ref memory;
  addon_request requests[ADDON_CHUNK_SLOTS];
} addon_chunk;

/* One a Node environment (the main thread or a worker). Made by the module's init, freed
 * when the last of its libuv handles has closed after the cleanup hook. */
struct addon_env {
  napi_env napi;
  bide_loop *loop;

  uv_loop_t *uv;
  uv_prepare_t prepare;
  uv_idle_t idle;  /* runs while the core has work that no descriptor announces */
  uv_poll_t poll;  /* on the core's descriptor; referenced while requests are in flight */
  uv_poll_t timer; /* on timer_fd, which announces the core's next timer */
  int timer_fd;    /* -1 until JS has a timer */
  uint64_t timer_us; /* when timer_fd is readable; 0: never */
  int handles_open;
  void (*closed)(addon_env *env);
  napi_async_cleanup_hook_handle cleanup;

  addon_chunk **chunks;
  uint32_t chunk_count;
  size_t in_flight; /* requests from their start to their delivery */
  bool dirty;       /* submitted since the last flush */

  addon_timer **timers; /* in chunks */
  uint32_t timer_chunk_count;
  addon_timer *fired; /* to be delivered */
  addon_timer **fired_end;

  addon_reads reads;
  bool crowded;            /* several were under way when the last was delivered */
  uint64_t at_once_end_us; /* see addon_may_act_at_once; 0: JS's turn has not asked */

  addon_request *done; /* first come, first delivered */
  addon_request **done_end;
  int32_t (*completions)[3]; /* JS's own memory, held by completions_ref */
  napi_ref completions_ref;
  napi_ref complete;
  napi_ref allocate; /* gives a Buffer of so many bytes, or throws */
  napi_ref owner;    /* Node's class that owns a descriptor; NULL until JS names it */
  napi_async_context context;

  bool learning;   /* Node opens a file for owner.c */
  uint64_t *files; /* a bit for each descriptor that was opened here and not closed */
  size_t file_words;

  bide_pool **pools; /* by the number that JS knows; NULL once freed */
  uint32_t pool_count;
  addon_stop stop; /* tells jobs that run to end */
};

typedef struct addon_method {
  const char *name;
  napi_callback callback;
} addon_method;

/* The tables that addon.c exports; each ends with a NULL name. */
extern const addon_method addon_request_methods[];
extern const addon_method addon_fs_methods[];
extern const addon_method addon_read_methods[];
extern const addon_method addon_write_methods[];
extern const addon_method addon_stat_methods[];
extern const addon_method addon_owner_methods[];
extern const addon_method addon_offload_methods[];
extern const addon_method addon_timer_methods[];

/* ---- loop.c: living beside libuv ---- */

/* 0 or a libuv error. After a success addon_loop_close must end it. */
int addon_loop_open(addon_env *env);

/* Cancels what is in flight, waits for its end and closes the handles; libuv calls
 * env->closed when the last is gone. */
void addon_loop_close(addon_env *env);

/* Ends all that is in flight. Nothing can be asked for after it. */
void addon_loop_drain(addon_env *env);

/* Whether what need not wait may be done in the call that asks for it. Not where several
 * ask at a time, or did when last anything had to wait: these are shared with the other
 * processors. And not for long, so that libuv has its turn. */
bool addon_may_act_at_once(addon_env *env);

/* So that timers of the core's wake libuv. 0 or a negative code; once is enough. */
int addon_loop_open_timer(addon_env *env);

/* Something was submitted or cancelled: there is a turn before libuv blocks. */
void addon_loop_rouse(addon_env *env);

/* in_flight went from 0 or back to it. */
void addon_loop_hold(addon_env *env);
void addon_loop_release(addon_env *env);

/* ---- request.c: slots and batches ---- */

/* The free request of the slot number `value`; NULL with an exception thrown. */
addon_request *addon_request_at(addon_env *env, napi_value value);

/* The request has been handed to the core (code 0), or was refused by it. Returns what a
 * method returns to JS. */
napi_value addon_request_started(addon_request *request, int code);

/* Its completion has come. */
void addon_request_done(addon_request *request, int32_t result, int32_t detail);

/* Gives what is done to JS: complete(count, buffers) over rows of {slot, result, detail}.
 * result is negative for an error; detail is then the number of its syscall in the
 * exported list. For a whole file detail is its length in the slot's memory, or
 * ADDON_IN_BUFFER when it lies in the next of `buffers` and its length, a double, in the
 * slot's memory. With ADDON_STREAM the result is an open descriptor, of a pipe or the like,
 * from which JS is to read on. With ADDON_TOO_LARGE or ADDON_TOO_SMALL, errors, that is the
 * size which is more than Node reads, or more than the caller's buffer holds (0: it is
 * unknown). The slots are free when `complete` begins. */
void addon_deliver(addon_env *env);

/* The buffer that a large file was read into; NULL for one that fits its slot. */
napi_value addon_request_take_buffer(addon_request *request);

/* Asks for the request's end; its completion still comes. */
void addon_request_cancel(addon_request *request);
void addon_requests_cancel_all(addon_env *env);

/* Lets go of JS's memory, with nothing in flight any more. */
void addon_requests_release(addon_env *env);
void addon_requests_free(addon_env *env);

/* ---- timers.c ---- */

/* Rows {number, 0, ADDON_TIMER} of those that have fired; returns how many. */
int addon_timers_take(addon_env *env, int32_t (*rows)[3], int max);
void addon_timers_stop(addon_env *env);
void addon_timers_free(addon_env *env);

/* ---- write_file.c, stat_all.c ---- */

void addon_write_file_cancel(addon_request *request);
void addon_stat_all_cancel(addon_request *request);
napi_value addon_stat_all_method(napi_env napi, napi_callback_info info);

/* ---- stat.c ---- */

enum { ADDON_STAT_VALUES = 18 };

/* Ten integers, then seconds and nanoseconds of the four times: as doubles, or with bigint
 * as 64-bit integers. */
void addon_stat_values(const struct statx *from, void *to, bool bigint);

/* ---- owner.c: the descriptors that the environment's end has to close ---- */

void addon_file_opened(addon_env *env, int fd);
void addon_file_closed(addon_env *env, int fd);
void addon_files_close(addon_env *env);

/* ---- offload.c ---- */

void addon_pools_free(addon_env *env);
void addon_output_free(addon_request *request);

/* The number of a syscall's name in the exported list, 0 for none. */
int32_t addon_syscall_number(const char *name);
extern const char *const addon_syscalls[];

/* ---- convert.c: values of JS to values of C. Each throws and returns false (or NULL)
 * when the value is of another type. ---- */

bool addon_arguments(napi_env napi, napi_callback_info info, size_t count,
                     napi_value *values, addon_env **env);
bool addon_get_int(addon_env *env, napi_value value, int *out);
bool addon_get_uint(addon_env *env, napi_value value, uint32_t *out);
bool addon_get_int64(addon_env *env, napi_value value, int64_t *out);
bool addon_get_double(addon_env *env, napi_value value, double *out);
bool addon_get_bool(addon_env *env, napi_value value, bool *out);

/* Copies a string or the bytes of a buffer into request->path. */
bool addon_get_path(addon_request *request, napi_value value);
void addon_path_free(addon_request *request);

/* The bytes of a buffer; *base is NULL for undefined. */
bool addon_get_bytes(addon_env *env, napi_value value, void **base, size_t *len);

napi_value addon_throw(addon_env *env, const char *message);
napi_value addon_code(addon_env *env, int code);
napi_value addon_string(napi_env napi, const char *text);

#endif
