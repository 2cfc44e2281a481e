/* threadsafe_handle.h: what call_soon_threadsafe returns from CPython 3.14 on.
 *
 * There asyncio promises the thread that asked for the callback more: cancel() and
 * cancelled() wait for a callback that is under way, so that afterwards either it has
 * ended or it never starts. The type derives from asyncio's for it and, where asyncio
 * has none, does not exist: module_state.threadsafe_handle_type is NULL. */
#ifndef BIDE_PYTHON_THREADSAFE_HANDLE_H
#define BIDE_PYTHON_THREADSAFE_HANDLE_H

#include "handle.h"

/* The type of handle that call_soon_threadsafe returns with this asyncio. */
PyTypeObject *threadsafe_handle_type(module_state *state);

/* Around the callback of a handle of that type of bide's, in its critical section. */
void threadsafe_handle_begin(handle_object *handle);
void threadsafe_handle_end(handle_object *handle);

#endif
