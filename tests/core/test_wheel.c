/* A timer that fires early breaks every timeout built on it, one that is lost hangs its
 * program. The wheel is run beside a model, a plain array, under random operations. */
#include "harness.h"
#include "wheel.h"

enum { MODEL_TIMERS = 200 };

/* The model: which timers run, and when each was started, counted. */
typedef struct wheel_model {
  bide__wheel wheel;
  bide_timer timers[MODEL_TIMERS];
  uint64_t started[MODEL_TIMERS]; /* 0: does not run */
  uint64_t starts;
  size_t running;
  uint64_t now_us;
  uint64_t random;
} wheel_model;

/* The next due timer, taken off as the loop takes it; NULL when none is. */
static bide_timer *wheel_take_due(bide__wheel *wheel) {
  if (wheel->due.next == &wheel->due) return NULL;
  bide_timer *timer = BIDE_CONTAINER_OF(wheel->due.next, bide_timer, slot_);
  bide__wheel_remove(wheel, timer);
  return timer;
}

/* xorshift64: the same operations in every run. */
static uint64_t model_random(wheel_model *model) {
  uint64_t x = model->random;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return model->random = x;
}

/* Small and huge spans alike: a uniform number of bits. */
static uint64_t model_span(wheel_model *model, unsigned bits_max) {
  unsigned bits = (unsigned)(model_random(model) % (bits_max + 1));
  return bits == 0 ? 0 : model_random(model) >> (64 - bits);
}

static void model_start(wheel_model *model, size_t i, uint64_t deadline_us) {
  if (model->started[i] != 0) {
    bide__wheel_remove(&model->wheel, &model->timers[i]);
    model->running--;
  }
  model->timers[i].deadline_us = deadline_us;
  bide__wheel_add(&model->wheel, &model->timers[i]);
  model->started[i] = ++model->starts;
  model->running++;
}

static void model_stop(wheel_model *model, size_t i) {
  if (model->started[i] == 0) return;
  bide__wheel_remove(&model->wheel, &model->timers[i]);
  model->started[i] = 0;
  model->running--;
}

/* The one that must fire first of those due; MODEL_TIMERS when none is. */
static size_t model_first_due(const wheel_model *model) {
  size_t first = MODEL_TIMERS;
  for (size_t i = 0; i < MODEL_TIMERS; i++) {
    uint64_t deadline_us = model->timers[i].deadline_us;
    if (model->started[i] == 0 || deadline_us > model->now_us) continue;
    if (first == MODEL_TIMERS || deadline_us < model->timers[first].deadline_us ||
        (deadline_us == model->timers[first].deadline_us &&
         model->started[i] < model->started[first])) {
      first = i;
    }
  }
  return first;
}

static uint64_t model_earliest(const wheel_model *model) {
  uint64_t earliest_us = UINT64_MAX;
  for (size_t i = 0; i < MODEL_TIMERS; i++) {
    if (model->started[i] != 0 && model->timers[i].deadline_us < earliest_us) {
      earliest_us = model->timers[i].deadline_us;
    }
  }
  return earliest_us;
}

static void model_pop(wheel_model *model, size_t max) {
  for (size_t popped = 0; popped < max; popped++) {
    size_t expected = model_first_due(model);
    bide_timer *timer = wheel_take_due(&model->wheel);
    if (expected == MODEL_TIMERS) {
      REQUIRE(timer == NULL);
      return;
    }
    REQUIRE(timer == &model->timers[expected]);
    REQUIRE(timer->slot_.next == NULL);
    model->started[expected] = 0;
    model->running--;
  }
}

static void model_check_next(const wheel_model *model) {
  uint64_t next_us = bide__wheel_next(&model->wheel);
  uint64_t earliest_us = model_earliest(model);
  REQUIRE(model->wheel.count == model->running);
  if (model->running == 0) {
    REQUIRE(next_us == UINT64_MAX);
  } else {
    REQUIRE(next_us <= earliest_us);
    /* Not now: the wheel was advanced, and a loop that obeyed would spin. */
    REQUIRE(earliest_us <= model->now_us ? next_us == 0 : next_us > model->now_us);
  }
}

static void model_advance(wheel_model *model, uint64_t now_us) {
  model->now_us = now_us;
  bide__wheel_advance(&model->wheel, now_us);
}

static void model_run(uint64_t seed, uint64_t start_us, unsigned span_bits,
                      size_t steps) {
  static wheel_model model;
  memset(&model, 0, sizeof model);
  model.random = seed;
  model.now_us = start_us;
  bide__wheel_init(&model.wheel, start_us);
  for (size_t step = 0; step < steps; step++) {
    size_t i = model_random(&model) % MODEL_TIMERS;
    uint64_t span_us = model_span(&model, span_bits);
    if (span_us > UINT64_MAX - model.now_us) span_us = UINT64_MAX - model.now_us;
    switch (model_random(&model) % 8) {
      case 0:
      case 1:
      case 2:
        model_start(&model, i, model.now_us + span_us);
        break;
      case 3: /* the deadline of another: equal ones must keep their order */
        model_start(&model, i,
                    model.timers[model_random(&model) % MODEL_TIMERS].deadline_us);
        break;
      case 4:
        model_stop(&model, i);
        break;
      case 5:
        model_advance(&model, model.now_us + span_us);
        break;
      case 6: { /* as a loop does: to the next time the wheel asks for */
        uint64_t next_us = bide__wheel_next(&model.wheel);
        if (next_us != 0 && next_us != UINT64_MAX) model_advance(&model, next_us);
        break;
      }
      default:
        model_pop(&model, model_random(&model) % 4);
        break;
    }
    model_check_next(&model);
  }
  model_advance(&model, UINT64_MAX);
  model_pop(&model, SIZE_MAX);
  CHECK_INT(model.running, 0);
}

static void wheel_agrees_with_a_sorted_array(void) {
  size_t steps = harness_scale(60000);
  model_run(1, 0, 12, steps);
  model_run(2, 1000000, 20, steps);
  model_run(3, (UINT64_C(1) << 36) - 5, 30, steps);
}

/* Deadlines up to the end of the clock, and jumps over all levels. */
static void wheel_agrees_for_big_jumps(void) {
  for (uint64_t seed = 10; seed < 60; seed++) {
    model_run(seed, 0, 58, 400);
    model_run(seed, UINT64_C(1) << 62, 63, 400);
  }
}

static void wheel_fires_at_each_level_boundary(void) {
  for (unsigned level = 1; level < BIDE__WHEEL_LEVELS; level++) {
    uint64_t boundary_us = UINT64_C(1) << (level * 6);
    for (uint64_t now_us = boundary_us - 1; now_us <= boundary_us; now_us++) {
      static bide__wheel wheel;
      bide__wheel_init(&wheel, now_us - 1);
      bide_timer timer = {.deadline_us = boundary_us + 1};
      bide__wheel_add(&wheel, &timer);
      bide__wheel_advance(&wheel, boundary_us);
      CHECK(wheel_take_due(&wheel) == NULL);
      CHECK_INT(bide__wheel_next(&wheel), boundary_us + 1);
      bide__wheel_advance(&wheel, boundary_us + 1);
      CHECK(wheel_take_due(&wheel) == &timer);
    }
  }
}

/* A slot goes down a level from both its ends: timers with one deadline must not be mixed up by
 * it, however many there are and wherever they go. */
static void wheel_keeps_the_order_of_starts(void) {
  enum { TIMERS = 500 };
  static bide__wheel wheel;
  static bide_timer timers[TIMERS];
  static const uint64_t deadlines_us[] = {0, 0, 1, 63, 64, 4095, 4096, 200000, 262143};
  for (size_t count = 1; count <= TIMERS; count += count < 20 ? 1 : 160) {
    uint64_t base_us = UINT64_C(5) << 24;
    size_t taken = 0;
    bide__wheel_init(&wheel, 1);
    for (size_t i = 0; i < count; i++) {
      timers[i] = (bide_timer){.deadline_us = base_us + deadlines_us[i * i % 9]};
      bide__wheel_add(&wheel, &timers[i]);
    }
    bide__wheel_advance(&wheel, base_us + 300000);
    bide_timer *before = NULL;
    for (bide_timer *timer; (timer = wheel_take_due(&wheel)) != NULL; before = timer) {
      taken++;
      if (before == NULL) continue;
      CHECK(before->deadline_us <= timer->deadline_us);
      CHECK(before->deadline_us < timer->deadline_us || before < timer);
    }
    CHECK_INT(taken, count);
  }
}

static void wheel_does_not_go_back(void) {
  static bide__wheel wheel;
  bide__wheel_init(&wheel, 1000);
  bide_timer timer = {.deadline_us = 1500};
  bide__wheel_add(&wheel, &timer);
  bide__wheel_advance(&wheel, 400);
  CHECK_INT(wheel.now_us, 1000);
  bide__wheel_advance(&wheel, 1499);
  CHECK(wheel_take_due(&wheel) == NULL);
  bide__wheel_advance(&wheel, 1500);
  CHECK(wheel_take_due(&wheel) == &timer);
}

/* A loop that follows the wheel wakes at most once a level for one timer. */
static void wheel_wakes_once_a_level_at_most(void) {
  static bide__wheel wheel;
  bide__wheel_init(&wheel, 123456789);
  bide_timer timer = {.deadline_us = 123456789 + UINT64_C(86400000000)};
  bide__wheel_add(&wheel, &timer);
  int wakes = 0;
  while (wheel_take_due(&wheel) == NULL) {
    bide__wheel_advance(&wheel, bide__wheel_next(&wheel));
    wakes++;
  }
  CHECK_INT(wheel.now_us, timer.deadline_us);
  CHECK_RANGE(wakes, 1, BIDE__WHEEL_LEVELS + 1);
}

static const harness_test tests[] = {
    HARNESS_TEST(wheel_agrees_with_a_sorted_array),
    HARNESS_TEST(wheel_agrees_for_big_jumps),
    HARNESS_TEST(wheel_fires_at_each_level_boundary),
    HARNESS_TEST(wheel_keeps_the_order_of_starts),
    HARNESS_TEST(wheel_does_not_go_back),
    HARNESS_TEST(wheel_wakes_once_a_level_at_most),
};

int main(int argc, char **argv) { return HARNESS_MAIN(tests, argc, argv); }
