/* address_cache.h: the tuples of the peers heard of lately.
 *
 * A server that answers the same peers over and over prints their numbers for Python and
 * parses them again for the kernel, with each datagram. Here the tuple that stands for an
 * address is kept, and the address for the tuple that was given out last. The cache begins
 * small and grows for as long as its peers push each other out. */
#ifndef BIDE_PYTHON_ADDRESS_CACHE_H
#define BIDE_PYTHON_ADDRESS_CACHE_H

#include "convert.h"

/* A tuple holds nothing but a text and numbers, so that the collector need not see it. */
typedef struct address_slot {
  PyObject *tuple; /* NULL: empty */
  socklen_t len;
  union {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
  } of;
} address_slot;

typedef struct address_cache {
  const address_slot *last; /* the slot of the tuple that was given out last, or NULL */
  uint32_t count;           /* of the slots, a power of two */
  address_slot slots[];
} address_cache;

/* The cache, which may be NULL, and what it holds. */
void address_cache_free(address_cache *self);

/* As convert_address, a new reference. Makes the cache when it is first of use; where
 * memory is lacking for it, it does without. */
PyObject *address_cache_convert(address_cache **self, const convert_name *address);

/* The address of the tuple that was given out last, or NULL for any other object. It stays
 * until the next is converted. */
const address_slot *address_cache_find(const address_cache *self, PyObject *tuple);

#endif
