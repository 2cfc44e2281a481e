/* choose.h: which backend a loop gets, and why. */
#ifndef BIDE_SRC_CHOOSE_H
#define BIDE_SRC_CHOOSE_H

#include <bide/loop.h>

#include "backend/backend.h"

enum { BIDE__REASON_BYTES = 160 };

/* Makes the backend that `wanted` (AUTO: the environment, then the kernel) asks for and
 * writes the reason, a sentence. Returns 0 or what bide_loop_new returns. What the choice
 * decides is written into config. */
int bide__choose_backend(bide_backend wanted, bide__backend_config *config,
                         bide__backend **backend, char reason[BIDE__REASON_BYTES]);

#endif
