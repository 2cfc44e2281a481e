/* ring.h: the kernel's io_uring interface, by its own system calls.
 *
 * Layouts and numbers are those of io_uring_setup(2), io_uring_enter(2) and
 * io_uring_register(2), written out here so that bide builds with any kernel header; a
 * test compares them with liburing's. Knows nothing of loops and operations. */
#ifndef BIDE_SRC_BACKEND_RING_H
#define BIDE_SRC_BACKEND_RING_H

#include <bide/base.h>

typedef struct ring_sqe {
  uint8_t opcode;
  uint8_t flags;
  uint16_t ioprio;
  int32_t fd;
  uint64_t off; /* also addr2 */
  uint64_t addr;
  uint32_t len;
  uint32_t op_flags;
  uint64_t user_data;
  uint16_t buf_group; /* also buf_index */
  uint16_t personality;
  int32_t file_index;
  uint64_t addr3;
  uint64_t pad;
} ring_sqe;

typedef struct ring_cqe {
  uint64_t user_data;
  int32_t res;
  uint32_t flags;
} ring_cqe;

/* One entry of a provided-buffer ring; the ring's tail lies over the first entry's
 * `reserved`. */
typedef struct ring_buf {
  uint64_t addr;
  uint32_t len;
  uint16_t bid;
  uint16_t reserved;
} ring_buf;

typedef struct ring_buf_reg {
  uint64_t ring_addr;
  uint32_t ring_entries;
  uint16_t bgid;
  uint16_t flags;
  uint64_t reserved[3];
} ring_buf_reg;

enum {
  RING_OP_NOP = 0,
  RING_OP_FSYNC = 3,
  RING_OP_POLL_ADD = 6,
  RING_OP_SENDMSG = 9,
  RING_OP_RECVMSG = 10,
  RING_OP_ACCEPT = 13,
  RING_OP_ASYNC_CANCEL = 14,
  RING_OP_CONNECT = 16,
  RING_OP_OPENAT = 18,
  RING_OP_CLOSE = 19,
  RING_OP_STATX = 21,
  RING_OP_READ = 22,
  RING_OP_WRITE = 23,
  RING_OP_SEND = 26,
  RING_OP_RECV = 27,
  RING_OP_SHUTDOWN = 34,
};

enum {
  RING_SQE_BUFFER_SELECT = 1u << 5,
  RING_ACCEPT_MULTISHOT = 1u << 0, /* in ioprio */
  RING_RECV_MULTISHOT = 1u << 1,   /* in ioprio */
  RING_POLL_ADD_MULTI = 1u << 0,   /* in len */
  RING_FSYNC_DATASYNC = 1u << 0,
};

enum { RING_CQE_BUFFER = 1u << 0, RING_CQE_MORE = 1u << 1, RING_CQE_BUFFER_SHIFT = 16 };

enum {
  RING_SETUP_CQSIZE = 1u << 3,
  RING_SETUP_CLAMP = 1u << 4,
  RING_SETUP_COOP_TASKRUN = 1u << 8,
  RING_SETUP_TASKRUN_FLAG = 1u << 9,
  RING_SETUP_SINGLE_ISSUER = 1u << 12,
  RING_SETUP_DEFER_TASKRUN = 1u << 13,
};

/* The queues as mapped from the kernel. Private to ring.c but for `fd` and `setup`. */
typedef struct ring_queues {
  int fd;
  uint32_t setup; /* the RING_SETUP_ flags in force */
  uint32_t *sq_head, *sq_tail, *sq_flags;
  uint32_t *cq_head, *cq_tail;
  ring_sqe *sqes;
  ring_cqe *cqes;
  uint32_t sq_mask, sq_entries, cq_mask;
  uint32_t sqe_tail; /* filled by us; beyond *sq_tail the kernel has not seen them */
  void *map;
  size_t map_bytes, sqes_bytes;
} ring_queues;

/* Makes a ring of `entries` submissions (a power of two). Returns 0 or -errno. */
int bide__ring_open(ring_queues *ring, uint32_t entries, uint32_t setup);

/* Unmaps and closes. */
void bide__ring_close(ring_queues *ring);

/* A zeroed submission, or NULL when the queue is full: enter, then ask again. */
ring_sqe *bide__ring_sqe(ring_queues *ring);

/* The index-th submission, oldest first, that the kernel has not taken yet, or NULL. It
 * may be changed until the next enter. */
ring_sqe *bide__ring_unseen(ring_queues *ring, uint32_t index);

/* Submissions that the kernel has not taken yet. */
uint32_t bide__ring_unsubmitted(const ring_queues *ring);

/* True when the kernel holds completions back until the next enter: task work that
 * waits, or an overflown completion queue. No system call. */
bool bide__ring_wants_enter(const ring_queues *ring);

/* Submits what was filled. With wait, blocks until a completion is there or timeout_us
 * has passed (-1: no limit); without, but with get_events, lets the kernel post what it
 * holds back. Returns 0 or -errno: ETIME when the time was up; EINTR when a signal ended
 * the wait, or may have; EBUSY and EAGAIN when completions must be reaped first. */
int bide__ring_enter(ring_queues *ring, bool get_events, bool wait, int64_t timeout_us);

/* The oldest completion, or NULL; it is the kernel's again after bide__ring_seen. */
const ring_cqe *bide__ring_peek(const ring_queues *ring);
void bide__ring_seen(ring_queues *ring);

/* Registers a ring of provided buffers. Returns 0 or -errno. */
int bide__ring_register_buffers(ring_queues *ring, const ring_buf_reg *reg);

#endif
