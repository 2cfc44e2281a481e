/* task_internal.h: what debug.c may know of tasks beyond their header. */
#ifndef BIDE_SRC_TASK_INTERNAL_H
#define BIDE_SRC_TASK_INTERNAL_H

#include <bide/task.h>

bool bide__task_is_detached(const bide_task *task);

/* Says where the task is: ready or asleep; or returns the future that it waits for. */
const bide_future *bide__task_describe(const bide_task *task, char *text, size_t bytes);

#endif
