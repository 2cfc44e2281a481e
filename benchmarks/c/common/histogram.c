#include "histogram.h"

#include <stddef.h>

static size_t bucket_of(uint64_t ns) {
  if (ns < 1u << HISTOGRAM_BITS) return ns;
  unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - HISTOGRAM_BITS;
  return ((size_t)(shift + 1) << HISTOGRAM_BITS) + (ns >> shift) - (1u << HISTOGRAM_BITS);
}

/* The middle of a bucket. */
static double bucket_ns(size_t bucket) {
  if (bucket < 1u << HISTOGRAM_BITS) return (double)bucket;
  size_t shift = (bucket >> HISTOGRAM_BITS) - 1;
  uint64_t low = ((bucket & ((1u << HISTOGRAM_BITS) - 1)) + (1u << HISTOGRAM_BITS))
                 << shift;
  return (double)low + (double)(1ull << shift) / 2;
}

void histogram_add(histogram *self, uint64_t ns) {
  self->count++;
  self->buckets[bucket_of(ns)]++;
}

double histogram_percentile_us(const histogram *self, double fraction) {
  uint64_t wanted = (uint64_t)((double)self->count * fraction), seen = 0;
  for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
    seen += self->buckets[i];
    if (seen > wanted) return bucket_ns(i) / 1000;
  }
  return 0;
}
