/* Times counted in buckets a 32nd of their size wide: 3 % off at most. */
#pragma once

#include <stdint.h>

enum { HISTOGRAM_BITS = 5, HISTOGRAM_BUCKETS = 64 << HISTOGRAM_BITS };

typedef struct histogram {
  uint64_t count;
  uint64_t buckets[HISTOGRAM_BUCKETS];
} histogram;

void histogram_add(histogram *self, uint64_t ns);

/* The time that the fraction of them stays below. */
double histogram_percentile_us(const histogram *self, double fraction);
