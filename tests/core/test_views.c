/* What views are made of: patterns of routes, recent output by route, queues that never grow. */
#include "tests/unit/check.h"

#include "mux/packet/framer.h"
#include "tools/node/recent.h"
#include "tools/node/route_glob.h"
#include "tools/node/view.h"

#include <stdio.h>

static void test_patterns(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *route;
        bool matches;
    } cases[] = {
        {"", "7/3", true},        {"7", "7", true},         {"7", "7/3", true},
        {"7", "71", false},       {"7/3", "7", false},      {"7/3", "7/3/1", true},
        {"*", "7/3", true},       {"*/3", "7/3", true},     {"*/3", "7/4", false},
        {"*/3", "7", false},      {"*3", "7/3", false},     {"rack?", "rack7/0", true},
        {"rack?", "rack", false}, {"a*b*c", "abbbc", true}, {"a*b*c", "abbbcd", false},
        {"*a*", "bab/x", true},   {"7/", "7/", true},       {"**", "x", true},
        {"*/*/*", "1/2", false},  {"[7]", "7", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (route_glob_matches(mux_span_text(cases[i].pattern), mux_span_text(cases[i].route)) !=
            cases[i].matches)
            fail_msg("%s and %s", cases[i].pattern, cases[i].route);
    assert_false(route_glob_matches(mux_span_text("*"), mux_span(NULL, 0)));
    assert_true(route_glob_matches(mux_span_text(""), mux_span(NULL, 0)));
}

/* A pattern that a naive matcher needs exponential time for. */
static void test_hostile_pattern(void **state) {
    (void)state;
    char pattern[1000], route[4000];
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = "*a"[i % 2];
    memset(route, 'a', sizeof route);
    pattern[sizeof pattern - 1] = 'b';
    assert_false(
        route_glob_matches(mux_span(pattern, sizeof pattern), mux_span(route, sizeof route)));
}

static void test_ways(void **state) {
    (void)state;
    struct mux_span route = mux_span_text("7/31");
    assert_true(route_leads_to(mux_span_text(""), route));
    assert_true(route_leads_to(mux_span_text("7"), route));
    assert_true(route_leads_to(mux_span_text("7/31"), route));
    assert_false(route_leads_to(mux_span_text("7/3"), route));
    assert_false(route_leads_to(mux_span_text("7/31/0"), route));
}

/*
 * ---- what is read of recent output ----
 */

struct reading {
    const char *pattern;
    char text[1 << 20];
    size_t len, packets;
};

static bool wants(void *user, struct mux_span route) {
    return route_glob_matches(mux_span_text(((struct reading *)user)->pattern), route);
}

static void give(void *user, struct mux_span bytes) {
    struct reading *reading = user;
    struct mux_packet packet;
    assert_int_equal(mux_packet_parse(bytes, &packet, NULL), MUX_OK);
    assert_true(mux_packet_verify(bytes));
    assert_true(reading->len + packet.file_content.len < sizeof reading->text);
    if (packet.file_content.len)
        memcpy(reading->text + reading->len, packet.file_content.data, packet.file_content.len);
    reading->len += packet.file_content.len;
    reading->packets++;
}

static struct reading *read_all(const struct recent *recent, const char *pattern, uint64_t last) {
    static struct reading reading;
    const struct recent_reader reader = {&reading, wants, give};
    reading.pattern = pattern;
    reading.len = reading.packets = 0;
    recent_read(recent, &reader, last, SIZE_MAX);
    reading.text[reading.len] = '\0';
    return &reading;
}

static void add(struct recent *recent, const char *route, const char *content, size_t len) {
    const struct mux_packet packet = {.runnable = true,
                                      .file_name = mux_span_text("stdout"),
                                      .file_content = mux_span(content, len),
                                      .route = mux_span_text(route)};
    recent_add(recent, &packet);
}

static void test_recent(void **state) {
    (void)state;
    struct recent *recent = recent_create(7);
    static char much[300000];
    memset(much, 'x', sizeof much);
    add(recent, "0", "(Pdb) ", 6);
    add(recent, "1", much, sizeof much);
    add(recent, "1", "end", 3);
    assert_string_equal(read_all(recent, "0", 1000)->text, "(Pdb) ");
    assert_int_equal(read_all(recent, "0", 0)->packets, 0);
    struct reading *loud = read_all(recent, "1", SIZE_MAX);
    assert_true(loud->len > RECENT_ROUTE_BLOCKS * RECENT_BLOCK_BYTES / 2);
    assert_true(loud->len < RECENT_ROUTE_BLOCKS * RECENT_BLOCK_BYTES);
    assert_string_equal(loud->text + loud->len - 4, "xend");
    loud = read_all(recent, "1", 3);
    assert_string_equal(loud->text, "end");
    loud = read_all(recent, "*", 4);
    assert_string_equal(loud->text + loud->len - 4, "xend");
    recent_destroy(recent);
}

/* More routes than there is memory for, and longer ones: the newest output is there. */
static void test_recent_of_many(void **state) {
    (void)state;
    struct recent *recent = recent_create(7);
    char route[3000], content[20];
    for (unsigned i = 0; i < 3 * RECENT_BLOCKS; i++) {
        int len = snprintf(route, sizeof route, "%u/", i);
        memset(route + len, 'r', i % 2900);
        route[(unsigned)len + i % 2900] = '\0';
        snprintf(content, sizeof content, "content of %u", i);
        add(recent, route, content, strlen(content));
        assert_string_equal(read_all(recent, route, 1000)->text, content);
    }
    assert_string_equal(read_all(recent, "0", 1000)->text, "");
    assert_int_equal(read_all(recent, "", 1000)->packets, RECENT_BLOCKS);
    /* what cannot be a packet, or leaves no room for content, is not remembered */
    memset(route, 'r', sizeof route);
    const struct mux_packet odd[] = {
        {.file_name = mux_span_text("\xff"), .file_content = mux_span_text("x")},
        {.file_name = mux_span(route, sizeof route),
         .file_content = mux_span_text("x"),
         .mime = mux_span(route, sizeof route)},
        {.test_id = {0}},
    };
    for (unsigned i = 0; i < COUNT(odd); i++)
        recent_add(recent, &odd[i]);
    assert_int_equal(read_all(recent, "", 1000)->packets, RECENT_BLOCKS);
    recent_destroy(recent);
}

/*
 * ---- a view's queue ----
 */

/* Takes what waits, `most` bytes at a time; adds up contents of file `name`, or messages' numbers.
 */
static uint64_t drain(struct view *view, struct mux_framer *framer, uint64_t *missed) {
    const struct mux_gather *gather;
    struct mux_frame frame;
    uint64_t shown = 0;
    while ((gather = view_take(view, 10000))) {
        for (size_t i = 0; i < gather->count; i++) {
            mux_framer_feed(framer, gather->spans[i]);
            while (mux_framer_next(framer, &frame), frame.kind != MUX_FRAME_NONE) {
                if (frame.kind == MUX_FRAME_STORE) {
                    mux_framer_move(framer, framer->store);
                    continue;
                }
                assert_int_equal(frame.kind, MUX_FRAME_PACKET);
                if (mux_span_equal(frame.packet.file_name, mux_span_text("muxd")))
                    *missed += strtoull((const char *)frame.packet.file_content.data, NULL, 10);
                else
                    shown += frame.packet.file_content.len;
            }
        }
        view_sent(view);
    }
    return shown;
}

static void test_queue(void **state) {
    (void)state;
    static uint8_t store[MUX_STORE_MAX_BYTES];
    static char much[100000];
    struct mux_framer framer;
    struct view *view = view_create(mux_span_text("*"), false);
    uint64_t added = 0, shown = 0, missed = 0;
    mux_framer_init(&framer, (struct mux_room){store, sizeof store});
    memset(much, 'x', sizeof much);
    for (unsigned i = 0; i < 2000; i++) {
        size_t len = i * 7919 % sizeof much;
        const struct mux_packet packet = {.runnable = true,
                                          .file_name = mux_span_text("stdout"),
                                          .file_content = mux_span(much, len + 1),
                                          .route = mux_span_text("0")};
        view_add(view, &packet);
        added += len + 1;
        if (i % 7 == 0)
            shown += drain(view, &framer, &missed);
    }
    shown += drain(view, &framer, &missed);
    assert_true(missed > 0);
    assert_int_equal(shown + missed, added);
    assert_int_equal(view->missed_total_bytes, missed);
    assert_false(view_has_more(view));
    view_destroy(view);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns),       cmocka_unit_test(test_hostile_pattern),
        cmocka_unit_test(test_ways),           cmocka_unit_test(test_recent),
        cmocka_unit_test(test_recent_of_many), cmocka_unit_test(test_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
