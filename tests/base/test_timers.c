/* Timers against a plain table of the same timers: which run, in which order, and which is next. */
#include "tests/unit/check.h"
#include "tests/unit/random.h"

#include "tools/base/timers.h"

#define TIMERS 300
#define ROUNDS 20000
#define SPAN_NS 1000

struct entry {
    struct timer timer;
    uint64_t at_ns; /* UINT64_MAX: not set */
    uint64_t order;
    unsigned runs;
};

static struct timers timers;
static struct entry entries[TIMERS];
static uint64_t order, last_at_ns, last_order, pass_now_ns;

static void ran(struct timer *timer, uint64_t now_ns) {
    struct entry *entry = (struct entry *)timer;
    assert_int_equal(now_ns, pass_now_ns);
    assert_true(entry->at_ns <= now_ns);
    assert_true(entry->at_ns > last_at_ns ||
                (entry->at_ns == last_at_ns && entry->order > last_order));
    last_at_ns = entry->at_ns;
    last_order = entry->order;
    entry->at_ns = UINT64_MAX;
    entry->runs++;
}

static uint64_t earliest_ns(void) {
    uint64_t at_ns = UINT64_MAX;
    for (unsigned i = 0; i < TIMERS; i++)
        if (entries[i].at_ns < at_ns)
            at_ns = entries[i].at_ns;
    return at_ns;
}

static void set(struct entry *entry, uint64_t at_ns) {
    entry->timer.run = ran;
    entry->at_ns = at_ns;
    entry->order = ++order;
    timers_set(&timers, &entry->timer, at_ns);
}

static void run(uint64_t now_ns) {
    pass_now_ns = now_ns;
    last_at_ns = last_order = 0;
    timers_run(&timers, now_ns);
    assert_true(earliest_ns() > now_ns); /* every timer that was due has run */
}

static void begin(void) {
    timers = (struct timers){0};
    order = 0;
    for (unsigned i = 0; i < TIMERS; i++)
        entries[i] = (struct entry){.at_ns = UINT64_MAX};
}

static void as_the_table_says(void **state) {
    (void)state;
    struct random random = {1};
    uint64_t now_ns = 1, runs = 0;
    begin();
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct entry *entry = &entries[random_below(&random, TIMERS)];
        switch (random_below(&random, 4)) {
        case 0:
            timers_cancel(&timers, &entry->timer);
            entry->at_ns = UINT64_MAX;
            break;
        case 1:
            now_ns += random_below(&random, SPAN_NS / 50);
            run(now_ns);
            break;
        default:
            set(entry, now_ns + random_below(&random, SPAN_NS));
        }
        assert_int_equal(timers_next_ns(&timers), earliest_ns());
    }
    run(UINT64_MAX - 1);
    for (unsigned i = 0; i < TIMERS; i++)
        runs += entries[i].runs;
    assert_true(runs > ROUNDS / 10);
    assert_null(timers.root);
}

/* Timers of the same time run in the order in which they were set. */
static void first_set_runs_first(void **state) {
    (void)state;
    begin();
    for (unsigned i = 0; i < TIMERS; i++)
        set(&entries[TIMERS - 1 - i], 5);
    run(5); /* ran() checks the order */
    for (unsigned i = 0; i < TIMERS; i++)
        assert_int_equal(entries[i].runs, 1);
}

static void set_again(struct timer *timer, uint64_t now_ns) {
    struct entry *entry = (struct entry *)timer;
    entry->runs++;
    timers_set(&timers, timer, now_ns);
}

/* A timer that is always due neither stops the others nor keeps the caller. */
static void a_timer_that_sets_itself_runs_once(void **state) {
    (void)state;
    begin();
    entries[0].timer.run = set_again;
    timers_set(&timers, &entries[0].timer, 1);
    set(&entries[1], 3);
    run(3);
    assert_int_equal(entries[0].runs, 1);
    assert_int_equal(entries[1].runs, 1);
    timers_run(&timers, 4);
    assert_int_equal(entries[0].runs, 2);
    timers_cancel(&timers, &entries[0].timer);
    assert_int_equal(timers_next_ns(&timers), UINT64_MAX);
}

static void cancel_others(struct timer *timer, uint64_t now_ns) {
    struct entry *entry = (struct entry *)timer;
    (void)now_ns;
    entry->runs++;
    for (unsigned i = 0; i < TIMERS; i++)
        timers_cancel(&timers, &entries[i].timer);
}

static void cancelled_in_the_same_pass(void **state) {
    (void)state;
    begin();
    for (unsigned i = 0; i < TIMERS; i++) {
        entries[i].timer.run = cancel_others;
        timers_set(&timers, &entries[i].timer, 1 + i % 7);
    }
    timers_run(&timers, 10);
    for (unsigned i = 0; i < TIMERS; i++)
        assert_int_equal(entries[i].runs, i == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_table_says),
        cmocka_unit_test(first_set_runs_first),
        cmocka_unit_test(a_timer_that_sets_itself_runs_once),
        cmocka_unit_test(cancelled_in_the_same_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
