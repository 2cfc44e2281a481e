/* What one of each costs between tasks of one loop: nanoseconds of CPU time. */
#pragma once

#include <bide.h>

double marks_yield_ns(bide_loop *loop, long steps);
double marks_ready_ns(bide_loop *loop, long steps);   /* an await of what is settled */
double marks_await_ns(bide_loop *loop, long steps);   /* woken by another task */
double marks_spawn_ns(bide_loop *loop, long steps);   /* and the await of its end */
double marks_channel_ns(bide_loop *loop, long steps); /* a hop, task to task */
double marks_mutex_ns(bide_loop *loop, long steps);   /* handed over, task to task */
double marks_select_ns(bide_loop *loop, long steps);  /* of eight, another task decides */
