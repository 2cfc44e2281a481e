/* An address that is misread binds a server where nobody meant it to be. */
#include <bide/net.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "harness.h"

static void check_format(const bide_address *address, const char *expected) {
  char text[256];
  CHECK_INT(bide_address_format(address, text, sizeof text), strlen(expected));
  CHECK_STR(text, expected);
}

static void address_round_trips_ip(void) {
  static const struct {
    const char *host;
    uint16_t port;
    const char *text;
  } rows[] = {
      {"127.0.0.1", 80, "127.0.0.1:80"},
      {"0.0.0.0", 0, "0.0.0.0:0"},
      {"::1", 65535, "[::1]:65535"},
      {"2001:DB8:0:0::1", 8080, "[2001:db8::1]:8080"},
      {"::ffff:10.0.0.1", 1, "[::ffff:10.0.0.1]:1"},
      {"fe80::1%lo", 443, "[fe80::1%lo]:443"},
      {"fe80::1%1", 443, "[fe80::1%lo]:443"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    bide_address address;
    CHECK_INT(bide_address_ip(rows[i].host, rows[i].port, &address), 0);
    check_format(&address, rows[i].text);
  }
}

static void address_refuses_what_is_not_numeric(void) {
  static const char *const hosts[] = {
      "",
      "localhost",
      "127.0.0.256",
      "1.2.3",
      " 127.0.0.1",
      "127.0.0.1 ",
      "::1::",
      "[::1]",
      "fe80::1%",
      "fe80::1%nosuchif",
      "fe80::1%1x",
      "fe80::1%-1",
      "fe80::1%999999",
      "127.0.0.1%lo",
      "fe80::1%99999999999999999999",
      "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd"};
  for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
    bide_address address = {.len = 1234};
    CHECK_INT(bide_address_ip(hosts[i], 80, &address), BIDE_EINVAL);
    CHECK_INT(address.len, 1234);
  }
}

static void address_round_trips_unix(void) {
  bide_address address;
  CHECK_INT(bide_address_unix("/run/bide.sock", &address), 0);
  check_format(&address, "/run/bide.sock");
  CHECK_INT(bide_address_unix("@bide", &address), 0);
  CHECK_INT(address.len, offsetof(struct sockaddr_un, sun_path) + 5);
  check_format(&address, "@bide");
  CHECK_INT(bide_address_unix("", &address), BIDE_EINVAL);
}

static void address_takes_unix_names_to_the_last_byte(void) {
  char path[120];
  bide_address address;
  memset(path, 'a', sizeof path);
  path[107] = '\0';
  CHECK_INT(bide_address_unix(path, &address), 0);
  check_format(&address, path);
  path[107] = 'a';
  path[108] = '\0';
  CHECK_INT(bide_address_unix(path, &address), BIDE_ENAMETOOLONG);
  path[0] = '@';
  CHECK_INT(bide_address_unix(path, &address), 0);
  check_format(&address, path);
  path[108] = 'a';
  path[109] = '\0';
  CHECK_INT(bide_address_unix(path, &address), BIDE_ENAMETOOLONG);
}

static void address_format_cuts_to_the_buffer(void) {
  bide_address address;
  char text[6] = "xxxxx";
  REQUIRE(bide_address_ip("127.0.0.1", 80, &address) == 0);
  CHECK_INT(bide_address_format(&address, text, sizeof text), 12);
  CHECK_STR(text, "127.0");
  CHECK_INT(bide_address_format(&address, NULL, 0), 12);
  address.len = 3;
  CHECK_INT(bide_address_format(&address, text, sizeof text), BIDE_EINVAL);
  address.storage.ss_family = AF_PACKET;
  CHECK_INT(bide_address_format(&address, text, sizeof text), BIDE_EINVAL);
}

static void address_listens_and_names_its_port(void) {
  bide_address address;
  bide_address bound;
  REQUIRE(bide_address_ip("127.0.0.1", 0, &address) == 0);
  int fd = bide_socket_listen(&address, 0, 0);
  REQUIRE(fd >= 0);
  CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
  CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
  CHECK_INT(bide_socket_name(fd, &bound), 0);
  uint16_t port = ntohs(((struct sockaddr_in *)&bound.storage)->sin_port);
  CHECK(port != 0);
  int client = bide_socket_stream(&bound);
  REQUIRE(client >= 0);
  connect(client, (struct sockaddr *)&bound.storage, bound.len);
  int accepted = accept(fd, NULL, NULL);
  CHECK(accepted >= 0);
  close(accepted);
  close(client);
  CHECK_INT(bide_socket_listen(&bound, 5, 0), BIDE_EADDRINUSE);
  close(fd);
}

static void address_shares_a_port_when_asked(void) {
  bide_address address;
  bide_address bound;
  REQUIRE(bide_address_ip("127.0.0.1", 0, &address) == 0);
  int first = bide_socket_listen(&address, 5, BIDE_LISTEN_REUSEPORT);
  REQUIRE(first >= 0);
  REQUIRE(bide_socket_name(first, &bound) == 0);
  int second = bide_socket_listen(&bound, 5, BIDE_LISTEN_REUSEPORT);
  CHECK(second >= 0);
  close(second);
  close(first);
}

/* Whether an IPv6 listener takes IPv4 is the caller's to say, whatever the sysctl says. */
static void address_v6only_is_what_was_asked(void) {
  bide_address address;
  REQUIRE(bide_address_ip("::", 0, &address) == 0);
  for (unsigned only = 0; only <= 1; only++) {
    int fd = bide_socket_listen(&address, 5, only ? BIDE_LISTEN_V6ONLY : 0);
    if (fd == BIDE_EAFNOSUPPORT) return; /* a kernel without IPv6 */
    REQUIRE(fd >= 0);
    int value = -1;
    socklen_t len = sizeof value;
    getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &value, &len);
    CHECK_INT(value, only);
    close(fd);
  }
}

static void address_errors_leave_no_fd(void) {
  bide_address address;
  int lowest = dup(0);
  close(lowest);
  REQUIRE(bide_address_ip("192.0.2.1", 80, &address) == 0); /* no interface has it */
  CHECK_INT(bide_socket_listen(&address, 5, 0), BIDE_EADDRNOTAVAIL);
  CHECK_INT(bide_socket_listen(&address, -1, 0), BIDE_EINVAL);
  REQUIRE(bide_address_unix("/no/such/folder/socket", &address) == 0);
  CHECK_INT(bide_socket_listen(&address, 5, 0), BIDE_ENOENT);
  CHECK_INT(bide_socket_name(-1, &address), BIDE_EBADF);
  int next = dup(0);
  CHECK_INT(next, lowest);
  close(next);
}

static void address_of_an_unnamed_socket_is_empty(void) {
  int pair[2];
  bide_address address;
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  CHECK_INT(bide_socket_name(pair[0], &address), 0);
  check_format(&address, "");
  close(pair[0]);
  close(pair[1]);
}

static const harness_test tests[] = {
    HARNESS_TEST(address_round_trips_ip),
    HARNESS_TEST(address_refuses_what_is_not_numeric),
    HARNESS_TEST(address_round_trips_unix),
    HARNESS_TEST(address_takes_unix_names_to_the_last_byte),
    HARNESS_TEST(address_format_cuts_to_the_buffer),
    HARNESS_TEST(address_listens_and_names_its_port),
    HARNESS_TEST(address_shares_a_port_when_asked),
    HARNESS_TEST(address_v6only_is_what_was_asked),
    HARNESS_TEST(address_errors_leave_no_fd),
    HARNESS_TEST(address_of_an_unnamed_socket_is_empty),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
