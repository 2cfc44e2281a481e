#include "address_cache.h"

#include <string.h>

enum { ADDRESS_CACHE_FIRST = 16, ADDRESS_CACHE_MAX = 1024 };

static address_cache *address_cache_new(uint32_t count) {
  address_cache *self =
      PyMem_Calloc(1, sizeof(address_cache) + count * sizeof(address_slot));
  if (self != NULL) self->count = count;
  return self;
}

void address_cache_free(address_cache *self) {
  if (self == NULL) return;
  for (uint32_t i = 0; i < self->count; i++) Py_XDECREF(self->slots[i].tuple);
  PyMem_Free(self);
}

static bool address_cache_takes(const convert_name *address) {
  int family = address->len > 0 ? address->of.any.sa_family : AF_UNSPEC;
  return (family == AF_INET && address->len == sizeof(struct sockaddr_in)) ||
         (family == AF_INET6 && address->len == sizeof(struct sockaddr_in6));
}

/* Peers differ in their ports or in the last of their numbers. Both families have the port
 * in the same place. `address` is a sockaddr_in or a sockaddr_in6. */
static address_slot *address_cache_slot(address_cache *self, const void *address) {
  const struct sockaddr_in *in = address;
  const struct sockaddr_in6 *in6 = address;
  uint32_t number;
  if (in->sin_family == AF_INET)
    number = in->sin_addr.s_addr;
  else
    memcpy(&number, &in6->sin6_addr.s6_addr[12], sizeof number);
  return &self->slots[(ntohl(number) ^ ntohs(in->sin_port)) & (self->count - 1)];
}

/* A slot that would be overwritten says that there are too few. Where memory is lacking for
 * more, or of those there may be, the last heard of stays. */
static address_cache *address_cache_grow(address_cache *self) {
  if (self->count >= ADDRESS_CACHE_MAX) return self;
  address_cache *grown = address_cache_new(self->count * 4);
  if (grown == NULL) return self;
  for (uint32_t i = 0; i < self->count; i++) {
    address_slot *from = &self->slots[i];
    if (from->tuple == NULL) continue;
    address_slot *to = address_cache_slot(grown, &from->of);
    Py_XDECREF(to->tuple);
    *to = *from;
  }
  PyMem_Free(self);
  return grown;
}

PyObject *address_cache_convert(address_cache **cache, const convert_name *address) {
  if (!address_cache_takes(address)) return convert_address(address);
  if (*cache == NULL) *cache = address_cache_new(ADDRESS_CACHE_FIRST);
  if (*cache == NULL) return convert_address(address);
  address_slot *slot = address_cache_slot(*cache, &address->of);
  bool same = slot->tuple != NULL && slot->len == address->len &&
              memcmp(&slot->of, &address->of, slot->len) == 0;
  if (!same) {
    PyObject *tuple = convert_address(address);
    if (tuple == NULL) return NULL;
    if (slot->tuple != NULL) {
      *cache = address_cache_grow(*cache);
      slot = address_cache_slot(*cache, &address->of);
    }
    slot->len = address->len;
    memcpy(&slot->of, &address->of, slot->len);
    Py_XSETREF(slot->tuple, tuple);
  }
  (*cache)->last = slot;
  return Py_NewRef(slot->tuple);
}

const address_slot *address_cache_find(const address_cache *self, PyObject *tuple) {
  bool known = self != NULL && self->last != NULL && self->last->tuple == tuple;
  return known ? self->last : NULL;
}
