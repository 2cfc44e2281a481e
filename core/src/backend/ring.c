/* ring.c: see ring.h.
 *
 * Orders: the kernel writes sq_head, cq_tail and sq_flags, read here with acquire; we
 * write sq_tail and cq_head with release, so that the entries before them are seen
 * (io_uring(7), "Submission and completion queue"). */
#include "ring.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__alpha__)
#error "io_uring's system call numbers differ on Alpha."
#endif
enum { RING_SYS_SETUP = 425, RING_SYS_ENTER = 426, RING_SYS_REGISTER = 427 };

enum { RING_FEAT_SINGLE_MMAP = 1u << 0, RING_FEAT_NODROP = 1u << 1 };
enum { RING_FEAT_EXT_ARG = 1u << 8 };
enum { RING_ENTER_GETEVENTS = 1u << 0, RING_ENTER_EXT_ARG = 1u << 3 };
enum { RING_SQ_CQ_OVERFLOW = 1u << 1, RING_SQ_TASKRUN = 1u << 2 };
enum { RING_REGISTER_PBUF_RING = 22 };

#define RING_OFF_SQ_RING 0
#define RING_OFF_SQES 0x10000000

typedef struct ring_sq_offsets {
  uint32_t head, tail, mask, entries, flags, dropped, array, reserved;
  uint64_t user_addr;
} ring_sq_offsets;

typedef struct ring_cq_offsets {
  uint32_t head, tail, mask, entries, overflow, cqes, flags, reserved;
  uint64_t user_addr;
} ring_cq_offsets;

typedef struct ring_params {
  uint32_t sq_entries, cq_entries, flags, sq_thread_cpu, sq_thread_idle, features;
  uint32_t wq_fd, reserved[3];
  ring_sq_offsets sq_off;
  ring_cq_offsets cq_off;
} ring_params;

typedef struct ring_timespec {
  int64_t tv_sec, tv_nsec;
} ring_timespec;

typedef struct ring_enter_arg {
  uint64_t sigmask;
  uint32_t sigmask_bytes, min_wait_us;
  uint64_t timespec;
} ring_enter_arg;

_Static_assert(sizeof(ring_sqe) == 64, "the kernel's submission entry");
_Static_assert(sizeof(ring_cqe) == 16, "the kernel's completion entry");
_Static_assert(sizeof(ring_params) == 120, "the kernel's setup parameters");
_Static_assert(sizeof(ring_buf) == 16, "the kernel's provided buffer");
_Static_assert(sizeof(ring_buf_reg) == 40, "the kernel's buffer registration");
_Static_assert(sizeof(ring_enter_arg) == 24, "the kernel's extended enter argument");

static uint32_t ring_load(const uint32_t *word) {
  return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void ring_store(uint32_t *word, uint32_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static int ring_map(ring_queues *ring, const ring_params *params) {
  size_t sq_bytes = params->sq_off.array + params->sq_entries * sizeof(uint32_t);
  size_t cq_bytes = params->cq_off.cqes + params->cq_entries * sizeof(ring_cqe);
  ring->map_bytes = sq_bytes > cq_bytes ? sq_bytes : cq_bytes;
  ring->map = mmap(NULL, ring->map_bytes, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_POPULATE, ring->fd, RING_OFF_SQ_RING);
  if (ring->map == MAP_FAILED) return -errno;

  ring->sqes_bytes = params->sq_entries * sizeof(ring_sqe);
  void *sqes = mmap(NULL, ring->sqes_bytes, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_POPULATE, ring->fd, RING_OFF_SQES);
  if (sqes == MAP_FAILED) {
    int error = -errno;
    munmap(ring->map, ring->map_bytes);
    return error;
  }
  ring->sqes = sqes;

  char *base = ring->map;
  ring->sq_head = (uint32_t *)(void *)(base + params->sq_off.head);
  ring->sq_tail = (uint32_t *)(void *)(base + params->sq_off.tail);
  ring->sq_flags = (uint32_t *)(void *)(base + params->sq_off.flags);
  ring->sq_mask = *(uint32_t *)(void *)(base + params->sq_off.mask);
  ring->sq_entries = params->sq_entries;
  ring->cq_head = (uint32_t *)(void *)(base + params->cq_off.head);
  ring->cq_tail = (uint32_t *)(void *)(base + params->cq_off.tail);
  ring->cq_mask = *(uint32_t *)(void *)(base + params->cq_off.mask);
  ring->cqes = (ring_cqe *)(void *)(base + params->cq_off.cqes);
  ring->sqe_tail = *ring->sq_tail;

  /* Entry i always lies in slot i: the indirection is set once and forgotten. */
  uint32_t *array = (uint32_t *)(void *)(base + params->sq_off.array);
  for (uint32_t i = 0; i < params->sq_entries; i++) array[i] = i;
  return 0;
}

int bide__ring_open(ring_queues *ring, uint32_t entries, uint32_t setup) {
  ring_params params;
  memset(ring, 0, sizeof *ring);
  memset(&params, 0, sizeof params);
  params.flags = setup | RING_SETUP_CLAMP | RING_SETUP_CQSIZE;
  params.cq_entries = entries * 8;
  long fd = syscall(RING_SYS_SETUP, entries, &params);
  if (fd < 0) return -errno;
  ring->fd = (int)fd;
  ring->setup = params.flags;

  const uint32_t needed = RING_FEAT_SINGLE_MMAP | RING_FEAT_NODROP | RING_FEAT_EXT_ARG;
  int error = (params.features & needed) == needed ? ring_map(ring, &params) : -ENOSYS;
  if (error < 0) close(ring->fd);
  return error;
}

void bide__ring_close(ring_queues *ring) {
  munmap(ring->sqes, ring->sqes_bytes);
  munmap(ring->map, ring->map_bytes);
  close(ring->fd);
}

ring_sqe *bide__ring_sqe(ring_queues *ring) {
  if (ring->sqe_tail - ring_load(ring->sq_head) == ring->sq_entries) return NULL;
  ring_sqe *sqe = &ring->sqes[ring->sqe_tail++ & ring->sq_mask];
  memset(sqe, 0, sizeof *sqe);
  return sqe;
}

ring_sqe *bide__ring_unseen(ring_queues *ring, uint32_t index) {
  if (index >= bide__ring_unsubmitted(ring)) return NULL;
  return &ring->sqes[(ring->sqe_tail - bide__ring_unsubmitted(ring) + index) &
                     ring->sq_mask];
}

uint32_t bide__ring_unsubmitted(const ring_queues *ring) {
  return ring->sqe_tail - ring_load(ring->sq_head);
}

bool bide__ring_wants_enter(const ring_queues *ring) {
  return (ring_load(ring->sq_flags) & (RING_SQ_CQ_OVERFLOW | RING_SQ_TASKRUN)) != 0;
}

int bide__ring_enter(ring_queues *ring, bool get_events, bool wait, int64_t timeout_us) {
  ring_store(ring->sq_tail, ring->sqe_tail);
  uint32_t count = bide__ring_unsubmitted(ring);
  ring_timespec limit = {timeout_us / 1000000, timeout_us % 1000000 * 1000};
  ring_enter_arg arg = {0, 0, 0, timeout_us >= 0 ? (uint64_t)(uintptr_t)&limit : 0};
  unsigned flags = get_events || wait ? RING_ENTER_GETEVENTS : 0;
  long taken;
  if (wait)
    taken = syscall(RING_SYS_ENTER, ring->fd, count, 1, flags | RING_ENTER_EXT_ARG, &arg,
                    sizeof arg);
  else
    taken = syscall(RING_SYS_ENTER, ring->fd, count, 0, flags, NULL, 0);
  if (taken < 0) return -errno;
  /* Once it has submitted something the kernel does not tell a signal from the rest. */
  return wait && bide__ring_peek(ring) == NULL ? -EINTR : 0;
}

const ring_cqe *bide__ring_peek(const ring_queues *ring) {
  uint32_t head = *ring->cq_head;
  if (head == ring_load(ring->cq_tail)) return NULL;
  return &ring->cqes[head & ring->cq_mask];
}

void bide__ring_seen(ring_queues *ring) { ring_store(ring->cq_head, *ring->cq_head + 1); }

int bide__ring_register_buffers(ring_queues *ring, const ring_buf_reg *reg) {
  long result = syscall(RING_SYS_REGISTER, ring->fd, RING_REGISTER_PBUF_RING, reg, 1);
  return result < 0 ? -errno : 0;
}
