/* debug.c: see debug.h.
 *
 * Each task that was spawned since the start has an entry in an open-addressing table, keyed by
 * its future's address, from its spawn until its end has been taken notice of. The entry of one
 * that has ended must not touch the task any more: its frame may be gone. */
#include <bide/debug.h>
#include <bide/local.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "debug_hooks.h"
#include "future_internal.h"
#include "list.h"
#include "loop_internal.h"
#include "memory.h"
#include "task_internal.h"

enum { DEBUG_INITIAL = 256, DEBUG_LINE_BYTES = 512 };

typedef struct debug_entry {
  const bide_future *key; /* NULL: free */
  const char *place;
  bool ended;
  bool asked;     /* to end */
  bool delivered; /* and it was told so at an await */
} debug_entry;

/* capacity is a power of two, at least twice count. `stepped` is the task that the callback
 * under way resumes, with what is reported of it; live while it has not ended. */
typedef struct debug_registry {
  bide__debug hooks;
  bide__closer closer;
  bide_loop *loop;
  bide_debug_options options;
  debug_entry *entries;
  size_t capacity, count;
  struct {
    bide_task *task;
    const char *place;
    bide_task_fn poll;
    unsigned line;
    bool live;
  } stepped;
} debug_registry;

/* ---- the table ---- */

static size_t debug_slot(const debug_registry *self, const bide_future *key) {
  uint64_t hash = (uint64_t)(uintptr_t)key * UINT64_C(0x9e3779b97f4a7c15);
  return (size_t)(hash >> 32) & (self->capacity - 1);
}

/* The key's entry, or the free one where it would come. */
static debug_entry *debug_probe(const debug_registry *self, const bide_future *key) {
  size_t slot = debug_slot(self, key);
  while (self->entries[slot].key != NULL && self->entries[slot].key != key)
    slot = (slot + 1) & (self->capacity - 1);
  return &self->entries[slot];
}

static debug_entry *debug_find(const debug_registry *self, const bide_future *key) {
  debug_entry *entry = debug_probe(self, key);
  return entry->key != NULL ? entry : NULL;
}

static bool debug_grow(debug_registry *self) {
  debug_entry *old = self->entries;
  size_t capacity = self->capacity;
  debug_entry *entries = bide__zalloc(capacity * 2 * sizeof *entries);
  if (entries == NULL) return false;
  self->entries = entries;
  self->capacity = capacity * 2;
  for (size_t i = 0; i < capacity; i++)
    if (old[i].key != NULL) *debug_probe(self, old[i].key) = old[i];
  bide__free(old);
  return true;
}

/* Those that follow are moved up, so that no probe ends at the gap before its entry. */
static void debug_remove(debug_registry *self, debug_entry *entry) {
  size_t mask = self->capacity - 1;
  size_t gap = (size_t)(entry - self->entries);
  self->count--;
  for (size_t next = (gap + 1) & mask; self->entries[next].key != NULL;
       next = (next + 1) & mask) {
    size_t home = debug_slot(self, self->entries[next].key);
    if (((next - home) & mask) < ((next - gap) & mask)) continue;
    self->entries[gap] = self->entries[next];
    gap = next;
  }
  self->entries[gap] = (debug_entry){.key = NULL};
}

/* ---- reports ---- */

static void debug_tell(const debug_registry *self, bide_debug_kind kind,
                       const char *place, const char *name) {
  bide_debug_report report = {.kind = kind, .place = place, .name = name};
  self->options.report(self->options.user, &report);
}

static void debug_tell_unawaited(const debug_registry *self, const debug_entry *entry) {
  if (entry->ended) debug_tell(self, BIDE_DEBUG_UNAWAITED, entry->place, "");
}

static debug_registry *debug_of(bide__debug *hooks) {
  return BIDE_CONTAINER_OF(hooks, debug_registry, hooks);
}

/* Without memory the task is not known, and nothing is said of it. */
static void debug_spawned(bide__debug *hooks, bide_task *task, const char *place) {
  debug_registry *self = debug_of(hooks);
  debug_entry *entry = debug_probe(self, &task->future);
  if (entry->key != NULL) {
    debug_tell_unawaited(self, entry);
  } else {
    if (self->count * 2 >= self->capacity && !debug_grow(self)) return;
    entry = debug_probe(self, &task->future);
    self->count++;
  }
  *entry = (debug_entry){.key = &task->future, .place = place};
}

static void debug_resumes(bide__debug *hooks, bide_task *task) {
  debug_registry *self = debug_of(hooks);
  debug_entry *entry = debug_find(self, &task->future);
  self->stepped.task = task;
  self->stepped.place = entry != NULL ? entry->place : "";
  self->stepped.poll = task->poll_;
  self->stepped.line = task->future.resume_;
  self->stepped.live = true;
  if (entry != NULL && entry->asked && bide_task_status(task) == BIDE_ECANCELED)
    entry->delivered = true;
}

static void debug_cancelled(bide__debug *hooks, bide_task *task) {
  debug_entry *entry = debug_find(debug_of(hooks), &task->future);
  if (entry != NULL) entry->asked = true;
}

static void debug_ended(bide__debug *hooks, bide_task *task, bool awaited, int error) {
  debug_registry *self = debug_of(hooks);
  debug_entry *entry = debug_find(self, &task->future);
  if (self->stepped.task == task) self->stepped.live = false;
  if (entry == NULL) return;
  bool told =
      entry->delivered || (entry->asked && bide_task_status(task) == BIDE_ECANCELED);
  if (told && error == 0)
    debug_tell(self, BIDE_DEBUG_SWALLOWED, entry->place, bide_task_name(task));
  if (awaited || task->finished != NULL || bide__task_is_detached(task))
    debug_remove(self, entry);
  else
    entry->ended = true;
}

static void debug_taken(bide__debug *hooks, const bide_future *future) {
  debug_registry *self = debug_of(hooks);
  debug_entry *entry = debug_find(self, future);
  if (entry != NULL && entry->ended) debug_remove(self, entry);
}

static void debug_called(bide__debug *hooks, void (*function)(void), uint64_t began_us) {
  debug_registry *self = debug_of(hooks);
  uint64_t duration_us = bide_loop_now_us(self->loop) - began_us;
  bide_task *task = self->stepped.task;
  self->stepped.task = NULL;
  if (self->options.slow_us == 0 || duration_us < self->options.slow_us) return;
  bide_debug_report report = {.kind = BIDE_DEBUG_SLOW,
                              .place = "",
                              .name = "",
                              .function = function,
                              .duration_us = duration_us};
  if (task != NULL) {
    report.place = self->stepped.place;
    report.line = self->stepped.line;
    report.function = (void (*)(void))self->stepped.poll;
    if (self->stepped.live) report.name = bide_task_name(task);
  }
  self->options.report(self->options.user, &report);
}

/* ---- life ---- */

int bide_debug_stop(bide_loop *loop) {
  if (BIDE__MISUSE(!bide__loop_is_ours(loop))) return BIDE_ETHREAD;
  bide__debug *hooks = bide__loop_head_of(loop)->debug;
  if (hooks == NULL) return 0;
  debug_registry *self = debug_of(hooks);
  bide__loop_head_of(loop)->debug = NULL;
  bide__loop_observe(loop);
  if (bide__list_linked(&self->closer.node)) bide__list_remove(&self->closer.node);
  for (size_t i = 0; i < self->capacity; i++)
    if (self->entries[i].key != NULL) debug_tell_unawaited(self, &self->entries[i]);
  bide__free(self->entries);
  bide__free(self);
  return 0;
}

static void debug_loop_closed(bide__closer *closer) {
  bide_debug_stop(BIDE_CONTAINER_OF(closer, debug_registry, closer)->loop);
}

int bide_debug_start(bide_loop *loop, const bide_debug_options *options) {
  bide__loop_head *head = bide__loop_head_of(loop);
  if (options == NULL || options->size != sizeof *options || options->report == NULL)
    return BIDE_EINVAL;
  if (BIDE__MISUSE(!bide__loop_is_ours(loop))) return BIDE_ETHREAD;
  if (head->debug != NULL) return BIDE_EALREADY;
  debug_registry *self = bide__zalloc(sizeof *self);
  debug_entry *entries = bide__zalloc(DEBUG_INITIAL * sizeof *entries);
  if (self == NULL || entries == NULL) {
    bide__free(self);
    bide__free(entries);
    return BIDE_ENOMEM;
  }
  self->hooks = (bide__debug){debug_called,    debug_spawned, debug_resumes,
                              debug_cancelled, debug_ended,   debug_taken};
  self->closer.closed = debug_loop_closed;
  self->loop = loop;
  self->options = *options;
  self->entries = entries;
  self->capacity = DEBUG_INITIAL;
  bide__list_push(&head->closers, &self->closer.node);
  head->debug = &self->hooks;
  bide__loop_observe(loop);
  return 0;
}

/* ---- the dump ---- */

static int debug_write(int fd, const char *text, size_t len) {
  while (len > 0) {
    ssize_t written = write(fd, text, len);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return -errno;
    text += written;
    len -= (size_t)written;
  }
  return 0;
}

/* What a task waits for: other tasks by their place, which only the table knows. */
static void debug_describe(const debug_registry *self, const bide_task *task, char *text,
                           size_t bytes) {
  const bide_future *awaited = bide__task_describe(task, text, bytes);
  if (awaited == NULL) return;
  const debug_entry *other = debug_find(self, awaited);
  if (other != NULL)
    snprintf(text, bytes, "waits for the task of %s", other->place);
  else
    bide__future_describe(awaited, text, bytes);
}

static int debug_dump_task(const debug_registry *self, const debug_entry *entry, int fd) {
  const bide_task *task = BIDE_CONTAINER_OF(entry->key, bide_task, future);
  char what[DEBUG_LINE_BYTES / 2], line[DEBUG_LINE_BYTES];
  debug_describe(self, task, what, sizeof what);
  int len = snprintf(line, sizeof line, "task \"%s\" of %s, at line %u: %s\n",
                     bide_task_name(task), entry->place, task->future.resume_, what);
  if (len >= (int)sizeof line) {
    len = (int)sizeof line - 1;
    line[len - 1] = '\n';
  }
  return debug_write(fd, line, (size_t)len);
}

int bide_debug_dump(bide_loop *loop, int fd) {
  if (BIDE__MISUSE(!bide__loop_is_ours(loop))) return BIDE_ETHREAD;
  bide__debug *hooks = bide__loop_head_of(loop)->debug;
  if (hooks == NULL) return 0;
  const debug_registry *self = debug_of(hooks);
  char line[DEBUG_LINE_BYTES];
  int tasks = 0, error = 0;
  for (size_t i = 0; i < self->capacity && error == 0; i++) {
    if (self->entries[i].key == NULL || self->entries[i].ended) continue;
    error = debug_dump_task(self, &self->entries[i], fd);
    tasks++;
  }
  if (error < 0) return error;
  int len = snprintf(line, sizeof line,
                     "loop on %s: %d tasks, %zu operations and holds in flight\n",
                     bide_loop_backend(loop), tasks, bide_loop_in_flight(loop));
  error = debug_write(fd, line, (size_t)len);
  return error < 0 ? error : tasks;
}

static void debug_dump_requested(bide_call *call) {
  bide_debug_dumper *dumper = BIDE_CONTAINER_OF(call, bide_debug_dumper, call_);
  __atomic_store_n(&dumper->requested_, 0, __ATOMIC_RELEASE);
  (void)bide_debug_dump(dumper->loop, dumper->fd);
}

void bide_debug_request_dump(bide_debug_dumper *dumper) {
  if (__atomic_exchange_n(&dumper->requested_, 1, __ATOMIC_ACQ_REL) != 0) return;
  dumper->call_.cb = debug_dump_requested;
  bide_post(dumper->loop, &dumper->call_);
}
