/* hints.h: what compiler and processor are told beside the program. */
#ifndef BIDE_SRC_HINTS_H
#define BIDE_SRC_HINTS_H

#include <pthread.h>
#include <stdint.h>

/* What the way that is taken a million times a second leaves aside: calls to it need no
 * registers saved where they do not happen. */
#define BIDE__SELDOM __attribute__((cold, noinline))

/* What is not to be repeated in each that calls it, which would save more registers for it. */
#define BIDE__APART __attribute__((noinline))

/* A thread's own, at a fixed distance from its pointer: no call looks for it. musl takes such from
 * no library that is loaded later. */
#ifdef __GLIBC__
#define BIDE__THREAD_LOCAL _Thread_local __attribute__((tls_model("initial-exec")))
#else
#define BIDE__THREAD_LOCAL _Thread_local
#endif

/* So many bytes between what two threads write keep it on different lines of the cache, wherever
 * the whole lies: no line goes to and fro for two that never look at the other's. */
enum { BIDE__LINE_BYTES = 64 };

/* Between two looks at memory that another thread will change. */
static inline void bide__relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/* A number of the thread's own, never 0: where its thread pointer points, which pthread_self
 * returns by a call. */
static inline uintptr_t bide__thread(void) {
#if defined(__x86_64__)
  uintptr_t self;
  __asm__("mov %%fs:0, %0" : "=r"(self));
  return self;
#else
  return (uintptr_t)pthread_self();
#endif
}

#endif
