#include "marks.h"

#include <bide/errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double marks_clock_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

double marks_cpu_ns(void) { return marks_clock_ns(CLOCK_PROCESS_CPUTIME_ID); }

double marks_wall_ns(void) { return marks_clock_ns(CLOCK_MONOTONIC); }

size_t marks_resident_bytes(void) {
  unsigned long total = 0, resident = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file != NULL && fscanf(file, "%lu %lu", &total, &resident) != 2) resident = 0;
  if (file != NULL) fclose(file);
  return resident * (size_t)sysconf(_SC_PAGESIZE);
}

void marks_check(int error, const char *what) {
  if (error >= 0) return;
  fprintf(stderr, "%s: %s\n", what, bide_error_text(error));
  exit(1);
}
