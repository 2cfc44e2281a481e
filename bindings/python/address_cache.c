#include "address_cache.h"

#include <string.h>

void address_cache_free(address_cache *self) {
  if (self == NULL) return;
  for (int i = 0; i < ADDRESS_CACHE_SLOTS; i++) Py_XDECREF(self->slots[i].tuple);
  PyMem_Free(self);
}

static bool address_cache_takes(const convert_name *address) {
  int family = address->len > 0 ? address->of.any.sa_family : AF_UNSPEC;
  return (family == AF_INET && address->len == sizeof(struct sockaddr_in)) ||
         (family == AF_INET6 && address->len == sizeof(struct sockaddr_in6));
}

/* Peers differ in their ports or in the last of their numbers. Both families have the port
 * in the same place. */
static address_slot *address_cache_slot(address_cache *self,
                                        const convert_name *address) {
  uint32_t number;
  if (address->of.any.sa_family == AF_INET)
    number = ntohl(address->of.in.sin_addr.s_addr);
  else
    memcpy(&number, &address->of.in6.sin6_addr.s6_addr[12], sizeof number);
  return &self->slots[(number ^ ntohs(address->of.in.sin_port)) % ADDRESS_CACHE_SLOTS];
}

PyObject *address_cache_convert(address_cache **cache, const convert_name *address) {
  if (!address_cache_takes(address)) return convert_address(address);
  if (*cache == NULL) *cache = PyMem_Calloc(1, sizeof **cache);
  if (*cache == NULL) return convert_address(address);
  address_slot *slot = address_cache_slot(*cache, address);
  bool same = slot->tuple != NULL && slot->len == address->len &&
              memcmp(&slot->of, &address->of, slot->len) == 0;
  if (!same) {
    PyObject *tuple = convert_address(address);
    if (tuple == NULL) return NULL;
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
