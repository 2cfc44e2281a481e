/* reads.h: whole files that wait to be read, and who reads them.
 *
 * The environment's own thread does in its turn. Where many wait, a helper takes from the
 * same queue, one after the other, while JS runs: it tries the kernel's caches, and leaves
 * the rest, which may need JS or the core, to the environment's thread. That reads beside it
 * only until there are enough to deliver. */
#ifndef BIDE_NODE_READS_H
#define BIDE_NODE_READS_H

#include <bide.h>
#include <pthread.h>

typedef struct addon_env addon_env;
typedef struct addon_request addon_request;

/* First come, first served; linked by as.cached.next. */
typedef struct addon_read_list {
  addon_request *first;
  addon_request **end;
  size_t count;
} addon_read_list;

typedef struct addon_reads {
  pthread_mutex_t lock;    /* guards the lists, which the helper sees too */
  addon_read_list waiting; /* to be read */
  addon_read_list tried;   /* by the helper, to be finished */
  bool helping;    /* the helper's job has been started and its end not been seen */
  bide_pool *pool; /* the helper; NULL until it is needed */
  bide_offload offload;
  bide_waiter waiter;
} addon_reads;

void addon_reads_init(addon_reads *reads);

/* Neither thread has anything of it any more. */
void addon_reads_destroy(addon_reads *reads);

void addon_reads_push(addon_env *env, addon_request *request);

/* Reads what waits, for a while or until there is enough to deliver. */
void addon_reads_run(addon_env *env);

/* Whether addon_reads_run has something to do. */
bool addon_reads_wait(addon_env *env);

/* Ends what waits, and was cancelled. */
void addon_reads_end(addon_env *env);

/* ---- read_file.c: what is done with one of them ---- */

/* By the caches, and by JS for its memory. */
void addon_read_try(addon_request *request);

/* After NO_ROOM, for another try. False: the core shall have it. */
bool addon_read_make_room(addon_request *request);

/* After a try: it is done, or goes on with the loop. */
void addon_read_finish(addon_request *request);

#endif
