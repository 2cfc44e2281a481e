/* local.h: what a task carries with it: a name, and values that its children see too.
 *
 *   static const char user_key;                     // any address of yours is a key
 *   bide_local_set(task, &self->user, &user_key, user);
 *   ...
 *   struct user *user = bide_local_get(task, &user_key);
 *
 * The entries are yours and stand in frames; nothing is allocated. A task looks through its
 * own entries, the latest first, then through those that it inherited: O(entries). All of it
 * happens on the loop's thread.
 */
#ifndef BIDE_LOCAL_H
#define BIDE_LOCAL_H

#include "task.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bide_local bide_local;

/* One entry; caller-owned. It must outlive the task and those that inherited from it. */
struct bide_local {
  /* read-only */
  const void *key;
  void *value;
  /* private */
  bide_local *next_;
};

/* From now on the task finds value under key, whatever was there before. After the spawn,
 * which forgets all; an entry is set once. Returns 0, or BIDE_EINVAL for one that the task has
 * already. */
BIDE_EXTERN int bide_local_set(bide_task *task, bide_local *local, const void *key,
                               void *value);

/* The value, or NULL when neither the task nor one it inherited from has set it. */
BIDE_EXTERN void *bide_local_get(const bide_task *task, const void *key);

/* The task sees what `from` sees at this moment, and not what either sets later. Between the
 * task's spawn and its own first entry. The frames behind `from`'s entries must outlive the
 * task, which a scope's children get for nothing. Returns 0, or BIDE_EINVAL for a task that has
 * entries. */
BIDE_EXTERN int bide_local_inherit(bide_task *task, const bide_task *from);

/* A name for dumps and logs, kept in an entry of yours; the text must live as long. A task
 * without one goes by the name it inherited; "" for none at all. Returns as bide_local_set. */
BIDE_EXTERN int bide_task_set_name(bide_task *task, bide_local *local, const char *name);
BIDE_EXTERN const char *bide_task_name(const bide_task *task);

#ifdef __cplusplus
}
#endif
#endif
