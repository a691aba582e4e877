/* An upstream that is a node: hello, nothing before the answer, goodbye. */
#include "tests/core/rig.h"

#include "mux/hello.h"

static void push_packet(struct mux_link *link) {
    size_t len = rig_packet(10, NULL);
    rig_push(link, packet_bytes, len);
    mux_run(mux, now_ns);
}

/* The answer: a hello with these lines. */
static void answer(const char *content) {
    size_t len;
    struct mux_packet packet = {.file_name = mux_span_text("muxd.hello"),
                                .file_content = mux_span_text(content)};
    assert_int_equal(mux_packet_encode(&packet, packet_bytes, sizeof packet_bytes, &len), MUX_OK);
    rig_give_down(len);
}

/* What is taken up next: is it this file? */
static void assert_takes(const char *file_name) {
    const struct mux_gather *gather = mux_up_take(mux);
    struct mux_packet packet;
    assert_non_null(gather);
    assert_int_equal(gather->count, 1);
    assert_int_equal(mux_packet_parse(gather->spans[0], &packet, NULL), MUX_OK);
    assert_true(mux_span_equal(packet.file_name, mux_span_text(file_name)));
    mux_up_sent(mux);
}

static void nothing_before_the_answer(void **state) {
    (void)state;
    push_packet(rig_connect());
    assert_null(mux_up_take(mux)); /* not connected */
    mux_up_connected(mux);
    assert_takes("muxd.hello");
    assert_null(mux_up_take(mux));
    assert_false(mux_up_accepted(mux));
    answer("version=1\nidentity=f00d\nname=top\nlater=key\n");
    assert_true(mux_up_accepted(mux));
    assert_non_null(strstr(rig_log, "the upstream is node top"));
    assert_takes("f");
    mux_up_lost(mux, 0, now_ns);
    push_packet(rig_connect());
    assert_null(mux_up_take(mux));
    mux_up_connected(mux);
    assert_takes("muxd.hello");
    assert_null(mux_up_take(mux));
}

static void an_answer_that_cannot_be_understood(void **state) {
    (void)state;
    push_packet(rig_connect());
    mux_up_connected(mux);
    assert_takes("muxd.hello");
    answer("version=9\nidentity=f00d\nname=top\n");
    assert_false(mux_up_accepted(mux));
    assert_non_null(strstr(mux_up_close_reason(mux), "another version"));
    mux_up_lost(mux, 0, now_ns);
    assert_null(mux_up_close_reason(mux));
    assert_true(mux_up_pending_bytes(mux) > 0); /* nothing is lost */
}

static void no_answer(void **state) {
    (void)state;
    mux_up_connected(mux);
    assert_takes("muxd.hello");
    uint64_t deadline_ns = mux_deadline_ns(mux);
    assert_true(deadline_ns < now_ns + 60 * SECOND_NS);
    rig_run(deadline_ns - 1);
    assert_null(mux_up_close_reason(mux));
    rig_run(deadline_ns);
    assert_non_null(mux_up_close_reason(mux));
}

/* Hellos that nobody has asked for change nothing. */
static void an_answer_too_many(void **state) {
    (void)state;
    answer("version=1\nidentity=f00d\nname=top\n");
    assert_false(mux_up_accepted(mux));
    mux_up_connected(mux);
    assert_takes("muxd.hello");
    answer("version=1\nidentity=f00d\nname=top\n");
    answer("version=9\n");
    assert_true(mux_up_accepted(mux));
    assert_null(mux_up_close_reason(mux));
}

static void goodbye_is_last(void **state) {
    (void)state;
    assert_false(mux_up_leave(mux)); /* to nobody */
    mux_up_connected(mux);
    assert_takes("muxd.hello");
    answer("version=1\nidentity=f00d\nname=top\n");
    push_packet(rig_connect());
    assert_takes("f");
    assert_true(mux_up_leave(mux));
    assert_takes("muxd.goodbye");
    assert_false(mux_up_leave(mux));
    assert_null(mux_up_take(mux));
}

#define GREETING_TEST(name) cmocka_unit_test_setup_teardown(name, rig_open_below_node, rig_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        GREETING_TEST(nothing_before_the_answer),
        GREETING_TEST(an_answer_that_cannot_be_understood),
        GREETING_TEST(no_answer),
        GREETING_TEST(an_answer_too_many),
        GREETING_TEST(goodbye_is_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
