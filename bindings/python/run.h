/* run.h: turns of the loop, for its own run and for a guest's steps. */
#ifndef BIDE_PYTHON_RUN_H
#define BIDE_PYTHON_RUN_H

#include "loop.h"

/* Makes the loop the running one of this thread, with its hooks for asynchronous
 * generators and debug mode's tracking of coroutines. 0, or -1 with RuntimeError (closed,
 * running already, another loop runs) and nothing changed. */
int run_begin(loop_object *loop);

/* Puts back what was there before. Keeps no exception and raises none. */
void run_end(loop_object *loop);

/* One wait and one dispatch. 0 or an error of the core's; loop->fatal is what ends the
 * run. */
int run_turn(loop_object *loop, bool may_block);

/* How long a wait may block, as bide_loop_timeout has it. */
int64_t run_timeout(loop_object *loop);

/* After the last turn, whose code it was: 0, or -1 with the exception that ended it. */
int run_result(loop_object *loop, int code);

#endif
