/* Hashed hierarchical timing wheels (Varghese and Lauck, SOSP 1987), with a timer's level
 * taken from the highest bit in which its deadline differs from `now`, as Tokio's time
 * driver does it.
 *
 * Invariant between two calls: every timer that is not due lies on level_of(now,
 * deadline). Three things follow.
 *   - Timers with one deadline always share one slot, whenever they were started, so that
 *     the slot's list keeps them in the order of their starts. A slot is emptied downwards
 *     only when all levels below it are empty, and in its order, which keeps that order.
 *   - A lower level's deadlines agree with `now` in every digit above it, so they all come
 *     before those of the levels above; within a level no slot is behind `now`. The first
 *     slot of the lowest level in use is therefore the next one: no rotation is needed.
 *   - Where a timer lies follows from `now` and its deadline: it need not carry it. */
#include "wheel.h"

#include <assert.h>
#include <string.h>

#include "hints.h"
#include "list.h"

enum { WHEEL_DIGIT_BITS = 6 };

static_assert(BIDE__WHEEL_SLOTS == 1 << WHEEL_DIGIT_BITS, "a digit names a slot");
static_assert(BIDE__WHEEL_LEVELS * WHEEL_DIGIT_BITS >= 64,
              "the levels hold any deadline");

void bide__wheel_init(bide__wheel *wheel, uint64_t now_us) {
  wheel->now_us = now_us;
  wheel->count = 0;
  memset(wheel->occupied, 0, sizeof wheel->occupied);
  for (int slot = 0; slot < BIDE__WHEEL_LEVELS * BIDE__WHEEL_SLOTS; slot++)
    bide__list_init(&wheel->slots[slot]);
  bide__list_init(&wheel->due);
}

static unsigned wheel_level_of(uint64_t now_us, uint64_t deadline_us) {
  assert(now_us != deadline_us);
  return (63 - (unsigned)__builtin_clzll(now_us ^ deadline_us)) / WHEEL_DIGIT_BITS;
}

static unsigned wheel_index_of(uint64_t deadline_us, unsigned level) {
  return (unsigned)(deadline_us >> (level * WHEEL_DIGIT_BITS)) % BIDE__WHEEL_SLOTS;
}

static uint64_t wheel_deadline_of(const bide_node *node) {
  return BIDE_CONTAINER_OF(node, bide_timer, slot_)->deadline_us;
}

static inline void wheel_place(bide__wheel *wheel, bide_timer *timer) {
  unsigned level = wheel_level_of(wheel->now_us, timer->deadline_us);
  unsigned index = wheel_index_of(timer->deadline_us, level);
  bide_node *slot = &wheel->slots[level * BIDE__WHEEL_SLOTS + index];
  if (bide__list_empty(slot)) wheel->occupied[level] |= UINT64_C(1) << index;
  bide__list_push(slot, &timer->slot_);
}

/* Behind the last one that is not due later. The walk is short: what a caller starts with
 * a deadline in the past is nearly always the latest of the due ones. */
static BIDE__SELDOM void wheel_place_due(bide__wheel *wheel, bide_timer *timer) {
  bide_node *before = wheel->due.prev;
  while (before != &wheel->due && wheel_deadline_of(before) > timer->deadline_us)
    before = before->prev;
  /* A push before the follower is an insertion behind `before`. */
  bide__list_push(before->next, &timer->slot_);
}

void bide__wheel_add(bide__wheel *wheel, bide_timer *timer) {
  wheel->count++;
  if (timer->deadline_us <= wheel->now_us) {
    wheel_place_due(wheel, timer);
  } else {
    wheel_place(wheel, timer);
  }
}

/* The list that `head` is the head of is empty now: a slot's, or one of those that are due. */
static BIDE__SELDOM void wheel_vacate(bide__wheel *wheel, const bide_node *head) {
  uintptr_t offset = (uintptr_t)head - (uintptr_t)wheel->slots;
  if (offset >= sizeof wheel->slots) return;
  size_t slot = offset / sizeof *head;
  wheel->occupied[slot / BIDE__WHEEL_SLOTS] &= ~(UINT64_C(1) << slot % BIDE__WHEEL_SLOTS);
}

/* The last one on a list has its head on either side. Its neighbours are not read: among a
 * million timers they are in no cache, and a processor need not wait for what it writes. */
void bide__wheel_remove(bide__wheel *wheel, bide_timer *timer) {
  const bide_node *before = timer->slot_.prev, *after = timer->slot_.next;
  bide__list_remove(&timer->slot_);
  wheel->count--;
  if (before == after) wheel_vacate(wheel, before);
}

/* The lowest level in use; BIDE__WHEEL_LEVELS when none is. */
static unsigned wheel_lowest(const bide__wheel *wheel) {
  unsigned level = 0;
  while (level < BIDE__WHEEL_LEVELS && wheel->occupied[level] == 0) level++;
  return level;
}

/* When the first slot in use of that level begins. */
static uint64_t wheel_slot_start(const bide__wheel *wheel, unsigned level) {
  unsigned shift = level * WHEEL_DIGIT_BITS;
  uint64_t index = (uint64_t)__builtin_ctzll(wheel->occupied[level]);
  uint64_t above = 0; /* the digits of `now` above that level: the top has none */
  if (shift + WHEEL_DIGIT_BITS < 64) {
    above = wheel->now_us >> (shift + WHEEL_DIGIT_BITS) << (shift + WHEEL_DIGIT_BITS);
  }
  return above | index << shift;
}

/* How a slot's timers go down to one level: into the gap of their slot there. Those that came
 * from the front lie before it, in their order, and those that came from the back behind it.
 * `before` names the node before the gap, for the slots that are not empty. */
typedef struct wheel_gaps {
  unsigned level;
  bide_node *before[BIDE__WHEEL_SLOTS];
} wheel_gaps;

/* False for a timer that belongs elsewhere: it is due, or goes further down. */
static inline bool wheel_fill_gap(bide__wheel *wheel, wheel_gaps *gaps, bide_node *node,
                                  bool from_front) {
  uint64_t deadline_us = wheel_deadline_of(node);
  if (deadline_us == wheel->now_us ||
      wheel_level_of(wheel->now_us, deadline_us) != gaps->level)
    return false;
  unsigned index = wheel_index_of(deadline_us, gaps->level);
  bide_node *slot = &wheel->slots[gaps->level * BIDE__WHEEL_SLOTS + index];
  if (bide__list_empty(slot)) {
    wheel->occupied[gaps->level] |= UINT64_C(1) << index;
    gaps->before[index] = slot;
  }
  /* A push before the follower is an insertion behind. */
  bide__list_push(gaps->before[index]->next, node);
  if (from_front) gaps->before[index] = node;
  return true;
}

static void wheel_lower(bide__wheel *wheel, bide_node *node) {
  if (wheel_deadline_of(node) == wheel->now_us)
    bide__list_push(&wheel->due, node);
  else
    wheel_place(wheel, BIDE_CONTAINER_OF(node, bide_timer, slot_));
}

/* Sends the timers of a list, which is left as it is, to the levels below. They were started at
 * any time and lie anywhere in memory, for which who walks along their list waits at each: from
 * both ends at once that is half as long. Those from the back that are going elsewhere than most
 * wait until the others are there. */
static void wheel_scatter(bide__wheel *wheel, unsigned level, bide_node *front,
                          bide_node *back) {
  wheel_gaps gaps = {.level = level - 1};
  bide_node last;
  bide__list_init(&last);
  for (bool met = false; !met;) {
    bide_node *after = front->next, *before = back->prev;
    __builtin_prefetch(after);
    __builtin_prefetch(before);
    met = front == back || after == back;
    if (front != back) {
      back->next = NULL;
      if (!wheel_fill_gap(wheel, &gaps, back, false)) bide__list_push(last.next, back);
    }
    front->next = NULL;
    if (!wheel_fill_gap(wheel, &gaps, front, true)) wheel_lower(wheel, front);
    front = after;
    back = before;
  }
  for (bide_node *node; (node = bide__list_pop(&last)) != NULL;) wheel_lower(wheel, node);
}

/* Empties the first slot of that level, at whose start `now` stands: what is due goes to
 * the due list, the rest to the levels below. */
static void wheel_descend(bide__wheel *wheel, unsigned level) {
  unsigned index = (unsigned)__builtin_ctzll(wheel->occupied[level]);
  bide_node *slot = &wheel->slots[level * BIDE__WHEEL_SLOTS + index];
  bide_node *front = slot->next, *back = slot->prev;
  wheel->occupied[level] &= ~(UINT64_C(1) << index);
  if (level == 0) {
    bide__list_splice(&wheel->due, slot);
    return;
  }
  bide__list_init(slot);
  wheel_scatter(wheel, level, front, back);
}

void bide__wheel_advance(bide__wheel *wheel, uint64_t now_us) {
  if (now_us <= wheel->now_us) return;
  for (unsigned level; (level = wheel_lowest(wheel)) < BIDE__WHEEL_LEVELS;) {
    uint64_t start_us = wheel_slot_start(wheel, level);
    if (start_us > now_us) break;
    wheel->now_us = start_us;
    wheel_descend(wheel, level);
  }
  wheel->now_us = now_us;
}

uint64_t bide__wheel_next(const bide__wheel *wheel) {
  if (!bide__list_empty(&wheel->due)) return 0;
  unsigned level = wheel_lowest(wheel);
  return level < BIDE__WHEEL_LEVELS ? wheel_slot_start(wheel, level) : UINT64_MAX;
}
