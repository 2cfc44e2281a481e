/* local.c: see local.h. The entries are a list that branches: inheriting shares its tail. */
#include <bide/local.h>

#include <assert.h>

static const char local_name_key;

void bide_local_set(bide_task *task, bide_local *local, const void *key, void *value) {
  assert(local != task->locals_);
  *local = (bide_local){.key = key, .value = value, .next_ = task->locals_};
  task->locals_ = local;
}

void *bide_local_get(const bide_task *task, const void *key) {
  for (const bide_local *each = task->locals_; each != NULL; each = each->next_) {
    if (each->key == key) return each->value;
  }
  return NULL;
}

void bide_local_inherit(bide_task *task, const bide_task *from) {
  assert(task->locals_ == NULL);
  task->locals_ = from->locals_;
}

void bide_task_set_name(bide_task *task, bide_local *local, const char *name) {
  bide_local_set(task, local, &local_name_key, (void *)(uintptr_t)name);
}

const char *bide_task_name(const bide_task *task) {
  const char *name = bide_local_get(task, &local_name_key);
  return name != NULL ? name : "";
}
