/* Hashed hierarchical timing wheels (Varghese and Lauck, SOSP 1987), with a timer's level
 * taken from the highest bit in which its deadline differs from `now`, as Tokio's time
 * driver does it.
 *
 * Invariant between two calls: every timer that is not due lies on level_of(now,
 * deadline). Three things follow.
 *   - Timers with one deadline always share one slot, whenever they were started, so that
 *     the slot's list keeps them in the order of their starts. A slot is emptied downwards
 *     only when all levels below it are empty, front first, which keeps that order.
 *   - A lower level's deadlines agree with `now` in every digit above it, so they all come
 *     before those of the levels above; within a level no slot is behind `now`. The first
 *     slot of the lowest level in use is therefore the next one: no rotation is needed.
 *   - Where a timer lies follows from `now` and its deadline: it need not carry it. */
#include "wheel.h"

#include <assert.h>
#include <string.h>

#include "hints.h"
#include "list.h"

enum {
  WHEEL_DIGIT_BITS = 6,
  WHEEL_FAR = 2 /* from this level on the timers of a slot are in no cache */
};

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
  while (before != &wheel->due &&
         BIDE_CONTAINER_OF(before, bide_timer, slot_)->deadline_us > timer->deadline_us) {
    before = before->prev;
  }
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

/* Timers that were started at any time lie anywhere, and who walks along their list waits for
 * memory at each. From both ends at once that is half as long, and then the cache has them. */
static void wheel_fetch(const bide_node *slot) {
  const bide_node *front = slot->next, *back = slot->prev;
  while (front != back && front != slot) {
    front = front->next;
    if (front != back) back = back->prev;
  }
  bide__use(front);
}

/* Empties the first slot of that level, at whose start `now` stands: what is due goes to
 * the due list, the rest to the levels below. */
static void wheel_descend(bide__wheel *wheel, unsigned level) {
  unsigned index = (unsigned)__builtin_ctzll(wheel->occupied[level]);
  bide_node *slot = &wheel->slots[level * BIDE__WHEEL_SLOTS + index];
  if (level >= WHEEL_FAR) wheel_fetch(slot);
  bide_node *node = slot->next, *after;
  wheel->occupied[level] &= ~(UINT64_C(1) << index);
  bide__list_init(slot);
  for (; node != slot; node = after) {
    after = node->next;
    __builtin_prefetch(after);
    node->next = NULL;
    bide_timer *timer = BIDE_CONTAINER_OF(node, bide_timer, slot_);
    if (timer->deadline_us == wheel->now_us)
      bide__list_push(&wheel->due, node);
    else
      wheel_place(wheel, timer);
  }
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
