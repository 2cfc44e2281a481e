/* A recording that loses or mixes up events sends its reader after the wrong stall. */
#include "harness.h"
#include "trace_ring.h"

static uint64_t trace_clock(void *user) { return *(uint64_t *)user; }

static void add_numbered(bide__trace *trace, uint64_t first, uint64_t count) {
  for (uint64_t i = first; i < first + count; i++) {
    bide__trace_add(trace, BIDE_TRACE_TASK_RESUME, (void *)(uintptr_t)i, (unsigned)i);
  }
}

static void trace_keeps_events_in_order(void) {
  uint64_t clock_us = (UINT64_C(5) << 32) + 123;
  bide_hooks hooks = {.user = &clock_us, .clock_us = trace_clock};
  bide__trace *trace = bide__trace_new(16, &hooks);
  REQUIRE(trace != NULL);
  bide__trace_add(trace, BIDE_TRACE_TIMER_FIRE, &clock_us, 7);
  clock_us += 10;
  bide__trace_add(trace, BIDE_TRACE_POLL_END, NULL, 70000);
  bide_trace_event events[4];
  uint64_t lost = 99;
  CHECK_INT(bide__trace_take(trace, events, 4, &lost), 2);
  CHECK_INT(lost, 0);
  CHECK_INT(events[0].time_us, 123);
  CHECK_INT(events[0].kind, BIDE_TRACE_TIMER_FIRE);
  CHECK_INT(events[0].argument, 7);
  CHECK_INT(events[0].id, (uintptr_t)&clock_us);
  CHECK_INT(events[1].time_us, 133);
  CHECK_INT(events[1].argument, 65535);
  CHECK_INT(bide__trace_take(trace, events, 4, NULL), 0);
  bide__trace_free(trace);
}

static void trace_overwrites_oldest_and_counts_them(void) {
  bide__trace *trace = bide__trace_new(17, NULL); /* rounded up to 32 */
  REQUIRE(trace != NULL);
  bide_trace_event events[64];
  uint64_t lost = 0;
  add_numbered(trace, 0, 32);
  add_numbered(trace, 32, 5);
  CHECK_INT(bide__trace_take(trace, events, 10, &lost), 10);
  CHECK_INT(lost, 5);
  CHECK_INT(events[0].id, 5);
  CHECK_INT(events[9].id, 14);
  CHECK_INT(bide__trace_take(trace, events, 64, &lost), 22);
  CHECK_INT(lost, 0);
  CHECK_INT(events[0].id, 15);
  CHECK_INT(events[21].id, 36);
  bide__trace_free(trace);
}

static void trace_holds_at_least_sixteen(void) {
  bide__trace *trace = bide__trace_new(0, NULL);
  REQUIRE(trace != NULL);
  bide_trace_event events[32];
  uint64_t lost = 0;
  add_numbered(trace, 0, 17);
  CHECK_INT(bide__trace_take(trace, events, 32, &lost), 16);
  CHECK_INT(lost, 1);
  bide__trace_free(trace);
}

static void trace_refuses_a_size_beyond_memory(void) {
  CHECK(bide__trace_new(SIZE_MAX, NULL) == NULL);
  CHECK(bide__trace_new(SIZE_MAX / 16 + 2, NULL) == NULL);
}

static void *trace_no_memory(void *user, void *pointer, size_t bytes) {
  size_t *allowed = user;
  if (bytes == 0) {
    free(pointer);
    return NULL;
  }
  return (*allowed)-- > 0 ? realloc(pointer, bytes) : NULL;
}

static void trace_gives_back_all_when_memory_ends(void) {
  for (size_t before = 0; before < 2; before++) {
    size_t allowed = before;
    REQUIRE(bide_set_allocator(trace_no_memory, &allowed) == 0);
    CHECK(bide__trace_new(16, NULL) == NULL);
    CHECK_INT(bide_set_allocator(NULL, NULL), 0); /* BIDE_EBUSY if anything leaked */
  }
}

static void trace_names_kinds(void) {
  CHECK_STR(bide_trace_kind_name(BIDE_TRACE_OP_SUBMIT), "OP_SUBMIT");
  CHECK_STR(bide_trace_kind_name(BIDE_TRACE_CANCEL), "CANCEL");
  CHECK_STR(bide_trace_kind_name(BIDE_TRACE_KIND_COUNT), "?");
}

static const harness_test tests[] = {
    HARNESS_TEST(trace_keeps_events_in_order),
    HARNESS_TEST(trace_overwrites_oldest_and_counts_them),
    HARNESS_TEST(trace_holds_at_least_sixteen),
    HARNESS_TEST(trace_refuses_a_size_beyond_memory),
    HARNESS_TEST(trace_gives_back_all_when_memory_ends),
    HARNESS_TEST(trace_names_kinds),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
