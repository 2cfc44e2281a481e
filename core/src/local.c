/* local.c: see local.h. The entries are a list that branches: inheriting shares its tail. */
#include <bide/local.h>

#include "misuse.h"

static const char local_name_key;

static bool local_is_set(const bide_task *task, const bide_local *local) {
  const bide_local *each = task->locals_;
  while (each != NULL && each != local) each = each->next_;
  return each != NULL;
}

/* An entry that is set twice would follow itself. */
int bide_local_set(bide_task *task, bide_local *local, const void *key, void *value) {
  if (BIDE__MISUSE(local_is_set(task, local))) return BIDE_EINVAL;
  *local = (bide_local){.key = key, .value = value, .next_ = task->locals_};
  task->locals_ = local;
  return 0;
}

void *bide_local_get(const bide_task *task, const void *key) {
  for (const bide_local *each = task->locals_; each != NULL; each = each->next_) {
    if (each->key == key) return each->value;
  }
  return NULL;
}

int bide_local_inherit(bide_task *task, const bide_task *from) {
  if (BIDE__MISUSE(task->locals_ != NULL)) return BIDE_EINVAL;
  task->locals_ = from->locals_;
  return 0;
}

int bide_task_set_name(bide_task *task, bide_local *local, const char *name) {
  return bide_local_set(task, local, &local_name_key, (void *)(uintptr_t)name);
}

const char *bide_task_name(const bide_task *task) {
  const char *name = bide_local_get(task, &local_name_key);
  return name != NULL ? name : "";
}
