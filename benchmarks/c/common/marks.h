/* What the programs that measure the core have in common. */
#pragma once

#include <stddef.h>

/* CPU time of the process, and the monotonic clock. */
double marks_cpu_ns(void);
double marks_wall_ns(void);

/* What the process has in memory. */
size_t marks_resident_bytes(void);

/* Ends the program with a message if `error` is a negative code. */
void marks_check(int error, const char *what);
