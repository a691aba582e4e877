/* The way down when links do not read: which packets are refused, and with which message. */
#include "tests/core/rig.h"

#include <stdio.h>

/* Two thirds of a twelfth of the 6 MiB that the least memory leaves for this, in 16 KiB blocks. */
#define LARGEST_BYTES ((size_t)22 * 16384)

/* Links that have sent a first byte, so that they have the segments "0", "1"... */
static void connect_links(struct mux_link *links[], unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        links[i] = rig_connect();
        size_t len = rig_packet(1, NULL);
        rig_give(links[i], packet_bytes, len);
    }
    rig_send_up();
}

static void give_down(size_t content_bytes, unsigned segment) {
    char route[8];
    snprintf(route, sizeof route, "%u", segment);
    rig_give_down(rig_packet(content_bytes, route));
}

static bool was_told(const char *words) {
    return strstr(rig_log, words) != NULL;
}

/* It has one second; after that its packets are refused at once until it reads. */
static void a_link_that_does_not_read(void **state) {
    (void)state;
    struct mux_link *links[2];
    connect_links(links, 2);
    give_down(60000, 0);
    mux_link_take(links[0]); /* in flight, and never sent */
    give_down(10000, 0);
    assert_false(mux_upstream_wants_receive(mux));
    assert_true(mux_deadline_ns(mux) == now_ns + SECOND_NS);
    rig_run(now_ns + SECOND_NS);
    assert_true(was_told("\"0\" was dropped: it does not read"));
    assert_int_equal(rig_counter(MUX_COUNT_down_refused_packets), 1);
    give_down(10000, 0);
    assert_int_equal(rig_counter(MUX_COUNT_down_refused_packets), 2);
    give_down(10000, 1);
    assert_int_equal(rig_counter(MUX_COUNT_down_refused_packets), 2);
    mux_link_sent(links[0]);
    rig_read_down(links[0]);
    give_down(10000, 0);
    assert_int_equal(rig_counter(MUX_COUNT_down_refused_packets), 2);
    assert_true(rig_read_down(links[0]) > 10000);
    assert_true(rig_read_down(links[1]) > 10000);
}

/* A keyboard that names no worker: the log says so. The upstream may be no muxd, and gets no
 * answer. */
static void without_a_route(void **state) {
    (void)state;
    struct mux_link *link;
    connect_links(&link, 1);
    rig_give_down(rig_packet(10, NULL));
    assert_true(was_told("it has no route code"));
    assert_int_equal(rig_counter(MUX_COUNT_down_own_packets), 1);
    assert_int_equal(rig_counter(MUX_COUNT_messages), 0);
    assert_int_equal(rig_read_down(link), 0);
}

static size_t shown_at_once(struct mux_link *link, const char *text) {
    size_t before = rig_up_bytes;
    rig_give(link, (const uint8_t *)text, strlen(text));
    rig_send_up();
    return rig_up_bytes - before;
}

/* Output without a newline waits for more; but not where somebody types and waits for the answer.
 */
static void an_answer_to_a_key_does_not_wait(void **state) {
    (void)state;
    struct mux_link *links[2];
    connect_links(links, 2);
    assert_int_equal(shown_at_once(links[0], "a"), 0);
    give_down(1, 0);
    assert_true(shown_at_once(links[0], "b") > 2); /* and what had waited */
    assert_true(shown_at_once(links[0], "c") > 1);
    assert_int_equal(shown_at_once(links[1], "d"), 0);
    rig_run(now_ns + SECOND_NS);
    rig_send_up();
    assert_int_equal(shown_at_once(links[0], "e"), 0);
}

/* What waits for it is counted, and what comes later refused; what it sends still goes up. */
static void a_link_goes_deaf(void **state) {
    (void)state;
    struct mux_link *link;
    connect_links(&link, 1);
    give_down(1000, 0);
    mux_link_deafen(link);
    assert_true(rig_counter(MUX_COUNT_down_undelivered_bytes) > 1000);
    give_down(1000, 0);
    assert_true(was_told("\"0\" was dropped: there is no way down to it"));
    assert_null(mux_link_take(link));
    uint64_t forwarded = rig_counter(MUX_COUNT_forwarded_packets);
    size_t len = rig_packet(1, NULL);
    rig_give(link, packet_bytes, len);
    rig_send_up();
    assert_true(rig_counter(MUX_COUNT_forwarded_packets) > forwarded);
}

/* Links that do not read leave a third of the memory to the others. */
static void one_packet_each_gets_through(void **state) {
    (void)state;
    struct mux_link *links[12];
    connect_links(links, 12);
    for (unsigned i = 0; i < 6; i++) {
        give_down(15000, i); /* one block */
        mux_link_take(links[i]);
        for (unsigned more = 0; more < 8; more++) {
            give_down(8000, i);
            if (!mux_upstream_wants_receive(mux))
                rig_run(now_ns + SECOND_NS);
        }
    }
    assert_true(rig_counter(MUX_COUNT_down_refused_packets) > 0);
    uint64_t refused = rig_counter(MUX_COUNT_down_refused_packets);
    for (unsigned i = 6; i < 9; i++)
        give_down(40000, i);
    assert_true(mux_upstream_wants_receive(mux));
    assert_int_equal(rig_counter(MUX_COUNT_down_refused_packets), refused);
    for (unsigned i = 6; i < 9; i++)
        assert_true(rig_read_down(links[i]) > 40000);
}

/* Without memory the message does not blame the link, which gets the next packet that fits. */
static void no_memory(void **state) {
    (void)state;
    struct mux_link *links[RIG_LINKS];
    connect_links(links, RIG_LINKS);
    for (unsigned i = 0; i < 12; i++) {
        give_down(55000, i); /* four blocks: all that eight packets leave */
        mux_link_take(links[i]);
        if (!mux_upstream_wants_receive(mux))
            rig_run(now_ns + SECOND_NS);
    }
    assert_int_equal(rig_counter(MUX_COUNT_down_refused_packets), 4);
    assert_true(was_told("other links do not read"));
    give_down(55000, 15); /* no longer waited for */
    assert_true(mux_upstream_wants_receive(mux));
    assert_int_equal(rig_counter(MUX_COUNT_down_refused_packets), 5);
    mux_link_sent(links[0]);
    give_down(55000, 15);
    assert_int_equal(rig_counter(MUX_COUNT_down_refused_packets), 5);
    assert_true(rig_read_down(links[15]) > 55000);
}

static void a_packet_that_never_fits(void **state) {
    (void)state;
    struct mux_link *links[1];
    connect_links(links, 1);
    give_down(LARGEST_BYTES, 0);
    assert_true(was_told("larger than the memory"));
    give_down(LARGEST_BYTES - 100, 0);
    assert_int_equal(rig_counter(MUX_COUNT_down_refused_packets), 1);
    assert_true(rig_read_down(links[0]) > LARGEST_BYTES - 100);
}

/*
 * ---- packets that the owner is shown ----
 */

static enum mux_taking taking;
static unsigned shown;
static char shown_route[16];

static enum mux_taking take(void *user, const struct mux_packet *packet) {
    (void)user;
    shown++;
    snprintf(shown_route, sizeof shown_route, "%.*s", (int)packet->route.len,
             packet->route.len ? (const char *)packet->route.data : "");
    return taking;
}

static int open_with_taker(void **state) {
    rig_take = take;
    shown = 0;
    return rig_open(state);
}

static int close_with_taker(void **state) {
    rig_take = NULL;
    return rig_close(state);
}

static void give_file(const char *name, const char *route) {
    struct mux_packet packet = {.file_name = mux_span_text(name),
                                .file_content = mux_span_text("x")};
    size_t len;
    if (route)
        packet.route = mux_span_text(route);
    assert_int_equal(mux_packet_encode(&packet, packet_bytes, sizeof packet_bytes, &len), MUX_OK);
    rig_give_down(len);
}

/* Only what is for nodes, with its whole route; what it takes goes nowhere else. */
static void the_owner_takes(void **state) {
    (void)state;
    struct mux_link *link;
    connect_links(&link, 1);
    taking = MUX_TAKES;
    give_file("stdin", "0");
    assert_int_equal(shown, 0);
    assert_true(rig_read_down(link) > 0);
    give_file("muxd.other", "0/5");
    assert_int_equal(shown, 1);
    assert_string_equal(shown_route, "0/5");
    give_file("muxd.other", "7");
    give_file("muxd.other", NULL);
    assert_string_equal(shown_route, "");
    assert_int_equal(rig_counter(MUX_COUNT_down_own_packets), 3);
    assert_int_equal(rig_counter(MUX_COUNT_down_unknown_packets), 0);
    assert_int_equal(rig_read_down(link), 0);
    taking = MUX_TAKES_NOT;
    give_file("muxd.other", "0");
    assert_int_equal(shown, 4);
    assert_true(rig_read_down(link) > 0);
}

/* What is for one job, and goes its way, is shown once however long it waits for room. */
static void the_owner_is_shown_input_once(void **state) {
    (void)state;
    static uint8_t input[10000];
    struct mux_link *link;
    const struct mux_packet packet = {.test_id = mux_span_text("18"),
                                      .file_name = mux_span_text("stdin"),
                                      .file_content = mux_span(input, sizeof input),
                                      .route = mux_span_text("0")};
    size_t len;
    connect_links(&link, 1);
    taking = MUX_TAKES_NOT;
    give_down(60000, 0);
    unsigned before = shown;
    mux_link_take(link); /* in flight, and not sent */
    assert_int_equal(mux_packet_encode(&packet, packet_bytes, sizeof packet_bytes, &len), MUX_OK);
    rig_give_down(len);
    for (unsigned i = 0; i < 5; i++)
        rig_run(now_ns + 1000);
    assert_false(mux_upstream_wants_receive(mux)); /* it waits */
    assert_int_equal(shown, before + 1);
    mux_link_sent(link);
    rig_run(now_ns);
    assert_int_equal(rig_counter(MUX_COUNT_down_forwarded_packets), 2);
    rig_give_down(len);
    assert_int_equal(shown, before + 2);
}

/* The way down waits, without a limit, and is shown the packet again. */
static void the_owner_takes_later(void **state) {
    (void)state;
    struct mux_link *link;
    connect_links(&link, 1);
    taking = MUX_TAKES_LATER;
    give_file("muxd.other", NULL);
    give_file("stdin", "0");
    assert_false(mux_upstream_wants_receive(mux));
    rig_run(now_ns + 100 * SECOND_NS);
    assert_true(shown >= 2);
    assert_int_equal(rig_read_down(link), 0);
    assert_int_equal(rig_counter(MUX_COUNT_down_refused_packets), 0);
    taking = MUX_TAKES;
    rig_run(now_ns);
    assert_true(rig_read_down(link) > 0);
    assert_true(mux_upstream_wants_receive(mux));
    assert_int_equal(rig_counter(MUX_COUNT_down_own_packets), 1);
}

#define TAKER_TEST(name) cmocka_unit_test_setup_teardown(name, open_with_taker, close_with_taker)

int main(void) {
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_link_that_does_not_read),        RIG_TEST(without_a_route),
        RIG_TEST(an_answer_to_a_key_does_not_wait), RIG_TEST(a_link_goes_deaf),
        RIG_TEST(one_packet_each_gets_through),     RIG_TEST(no_memory),
        RIG_TEST(a_packet_that_never_fits),         TAKER_TEST(the_owner_takes),
        TAKER_TEST(the_owner_takes_later),          TAKER_TEST(the_owner_is_shown_input_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
