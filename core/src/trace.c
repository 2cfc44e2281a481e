#include <assert.h>

#include "memory.h"
#include "trace_ring.h"

enum { TRACE_EVENTS_MIN = 16 };

static_assert(sizeof(bide_trace_event) == 16, "the ring's format is fixed");
static_assert(BIDE_TRACE_KIND_COUNT <= UINT16_MAX, "an event's kind has 16 bits");

static const char *const trace_kind_names[] = {
#define TRACE_NAME(name, text) #name,
    BIDE_TRACE_KINDS(TRACE_NAME)
#undef TRACE_NAME
};

const char *bide_trace_kind_name(unsigned kind) {
  return kind < BIDE_TRACE_KIND_COUNT ? trace_kind_names[kind] : "?";
}

/* The power of two that is at least events_max; 0 when the ring would not fit into
 * memory's addresses. */
static size_t trace_capacity(size_t events_max) {
  const size_t most = (SIZE_MAX / 2 + 1) / sizeof(bide_trace_event);
  if (events_max > most) return 0;
  size_t capacity = TRACE_EVENTS_MIN;
  while (capacity < events_max) capacity *= 2;
  return capacity;
}

bide__trace *bide__trace_new(size_t events_max, const bide_hooks *hooks) {
  size_t capacity = trace_capacity(events_max);
  if (capacity == 0) return NULL;
  bide__trace *trace = bide__alloc(sizeof *trace);
  if (trace == NULL) return NULL;
  bide_trace_event *events = bide__alloc(capacity * sizeof *events);
  if (events == NULL) {
    bide__free(trace);
    return NULL;
  }
  *trace = (bide__trace){.events = events, .mask = capacity - 1, .hooks = hooks};
  return trace;
}

void bide__trace_free(bide__trace *trace) {
  if (trace == NULL) return;
  bide__free(trace->events);
  bide__free(trace);
}

static uint64_t trace_clock_us(const bide_hooks *hooks) {
  if (hooks != NULL && hooks->clock_us != NULL) return hooks->clock_us(hooks->user);
  return bide_clock_us();
}

void bide__trace_add(bide__trace *trace, bide_trace_kind kind, const void *id,
                     unsigned argument) {
  trace->events[trace->head++ & trace->mask] = (bide_trace_event){
      .time_us = (uint32_t)trace_clock_us(trace->hooks),
      .kind = (uint16_t)kind,
      .argument = argument > UINT16_MAX ? UINT16_MAX : (uint16_t)argument,
      .id = (uint64_t)(uintptr_t)id,
  };
}

size_t bide__trace_take(bide__trace *trace, bide_trace_event *events, size_t max,
                        uint64_t *lost) {
  uint64_t overwritten = 0;
  if (trace->head - trace->tail > trace->mask + 1) {
    overwritten = trace->head - trace->tail - (trace->mask + 1);
    trace->tail += overwritten;
  }
  size_t count = 0;
  while (count < max && trace->tail != trace->head) {
    events[count++] = trace->events[trace->tail++ & trace->mask];
  }
  if (lost != NULL) *lost = overwritten;
  return count;
}
