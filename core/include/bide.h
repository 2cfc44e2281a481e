/* bide.h: all of bide. Start with bide/loop.h. */
#ifndef BIDE_H
#define BIDE_H

#include "bide/base.h"
#include "bide/cancel.h"
#include "bide/channel.h"
#include "bide/combine.h"
#include "bide/debug.h"
#include "bide/errno.h"
#include "bide/fs.h"
#include "bide/future.h"
#include "bide/interval.h"
#include "bide/local.h"
#include "bide/loop.h"
#include "bide/metrics.h"
#include "bide/net.h"
#include "bide/offload.h"
#include "bide/op.h"
#include "bide/pool.h"
#include "bide/runtime.h"
#include "bide/scope.h"
#include "bide/shared_channel.h"
#include "bide/sync.h"
#include "bide/task.h"
#include "bide/timer.h"
#include "bide/trace.h"
#include "bide/virtual.h"
#include "bide/waker.h"

#endif
