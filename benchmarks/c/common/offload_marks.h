/* What a job costs that is offloaded to a pool and does nothing. */
#pragma once

#include <bide.h>

enum { MARKS_LANES_MAX = 1024 };

/* Nanoseconds of wall time for one of `count` jobs, with `lanes` of them in flight. */
double marks_offload_ns(bide_loop *loop, bide_pool *pool, int lanes, int count);
