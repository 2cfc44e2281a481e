/* hints.h: what compiler and processor are told beside the program. */
#ifndef BIDE_SRC_HINTS_H
#define BIDE_SRC_HINTS_H

/* What the way that is taken a million times a second leaves aside: calls to it need no
 * registers saved where they do not happen. */
#define BIDE__SELDOM __attribute__((cold, noinline))

/* Keeps the compiler from leaving out how the value came about. */
static inline void bide__use(const void *value) { __asm__ volatile("" : : "r"(value)); }

/* Between two looks at memory that another thread will change. */
static inline void bide__relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

#endif
