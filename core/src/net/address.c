#include <bide/net.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

enum { ADDRESS_UNIX_HEADER = offsetof(struct sockaddr_un, sun_path) };

/* An interface's name or number. */
static int address_zone(const char *zone, uint32_t *scope_id) {
  unsigned index = if_nametoindex(zone);
  if (index == 0) {
    char name[IF_NAMESIZE];
    char *end;
    unsigned long number = strtoul(zone, &end, 10);
    if (zone[0] < '0' || zone[0] > '9' || *end != '\0' || number > UINT32_MAX ||
        if_indextoname((unsigned)number, name) == NULL) {
      return BIDE_EINVAL;
    }
    index = (unsigned)number;
  }
  *scope_id = index;
  return 0;
}

static int address_ipv6(const char *host, uint16_t port, struct sockaddr_in6 *out) {
  char digits[INET6_ADDRSTRLEN];
  const char *percent = strchr(host, '%');
  size_t len = percent != NULL ? (size_t)(percent - host) : strlen(host);
  if (len >= sizeof digits) return BIDE_EINVAL;
  memcpy(digits, host, len);
  digits[len] = '\0';
  struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  if (inet_pton(AF_INET6, digits, &in6.sin6_addr) != 1) return BIDE_EINVAL;
  if (percent != NULL && address_zone(percent + 1, &in6.sin6_scope_id) < 0) {
    return BIDE_EINVAL;
  }
  *out = in6;
  return 0;
}

int bide_address_ip(const char *host, uint16_t port, bide_address *address) {
  struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(port)};
  struct sockaddr_in6 in6;
  bide_address made = {.len = 0};
  if (inet_pton(AF_INET, host, &in4.sin_addr) == 1) {
    made.len = sizeof in4;
    memcpy(&made.storage, &in4, sizeof in4);
  } else if (address_ipv6(host, port, &in6) == 0) {
    made.len = sizeof in6;
    memcpy(&made.storage, &in6, sizeof in6);
  } else {
    return BIDE_EINVAL;
  }
  *address = made;
  return 0;
}

/* A path keeps room for its NUL; an abstract name has a NUL in place of the '@' and none
 * behind, so that it may fill sun_path. */
int bide_address_unix(const char *path, bide_address *address) {
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  bool is_abstract = path[0] == '@';
  size_t len = strlen(path) + (is_abstract ? 0 : 1);
  if (path[0] == '\0') return BIDE_EINVAL;
  if (len > sizeof un.sun_path) return BIDE_ENAMETOOLONG;
  memcpy(un.sun_path, path, len);
  if (is_abstract) un.sun_path[0] = '\0';
  *address = (bide_address){.len = (socklen_t)(ADDRESS_UNIX_HEADER + len)};
  memcpy(&address->storage, &un, sizeof un);
  return 0;
}

static int address_format_ipv4(const bide_address *address, char *text, size_t len) {
  struct sockaddr_in in4;
  char host[INET_ADDRSTRLEN];
  if (address->len < sizeof in4) return BIDE_EINVAL;
  memcpy(&in4, &address->storage, sizeof in4);
  inet_ntop(AF_INET, &in4.sin_addr, host, sizeof host);
  return snprintf(text, len, "%s:%u", host, (unsigned)ntohs(in4.sin_port));
}

static int address_format_ipv6(const bide_address *address, char *text, size_t len) {
  struct sockaddr_in6 in6;
  char host[INET6_ADDRSTRLEN];
  char zone[IF_NAMESIZE + 1] = "";
  if (address->len < sizeof in6) return BIDE_EINVAL;
  memcpy(&in6, &address->storage, sizeof in6);
  inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof host);
  if (in6.sin6_scope_id != 0) {
    zone[0] = '%';
    if (if_indextoname(in6.sin6_scope_id, zone + 1) == NULL) {
      snprintf(zone + 1, sizeof zone - 1, "%u", (unsigned)in6.sin6_scope_id);
    }
  }
  return snprintf(text, len, "[%s%s]:%u", host, zone, (unsigned)ntohs(in6.sin6_port));
}

/* An unnamed socket is "". */
static int address_format_unix(const bide_address *address, char *text, size_t len) {
  struct sockaddr_un un;
  if (address->len < ADDRESS_UNIX_HEADER || address->len > sizeof un) return BIDE_EINVAL;
  memcpy(&un, &address->storage, sizeof un);
  size_t path_len = address->len - ADDRESS_UNIX_HEADER;
  bool is_abstract = path_len > 0 && un.sun_path[0] == '\0';
  if (!is_abstract) path_len = strnlen(un.sun_path, path_len);
  for (size_t i = 0; is_abstract && i < path_len; i++) {
    if (un.sun_path[i] == '\0') un.sun_path[i] = '@';
  }
  return snprintf(text, len, "%.*s", (int)path_len, un.sun_path);
}

int bide_address_format(const bide_address *address, char *text, size_t len) {
  switch (address->storage.ss_family) {
    case AF_INET:
      return address_format_ipv4(address, text, len);
    case AF_INET6:
      return address_format_ipv6(address, text, len);
    case AF_UNIX:
      return address_format_unix(address, text, len);
    default:
      return BIDE_EINVAL;
  }
}
