/* semaphore.h: what the locks, which are semaphores, need of it beyond sync.h. */
#ifndef BIDE_SRC_SYNC_SEMAPHORE_H
#define BIDE_SRC_SYNC_SEMAPHORE_H

#include <bide/sync.h>

/* Queues a wait that is pending, and on no queue, for `count` permits. Its own cancel is
 * not touched. */
void bide__semaphore_enter(bide_semaphore *semaphore, bide_wait *wait, uint32_t count);

#endif
