/* Beats, silence and a node without an upstream: rules 42 and 43 of the reliable protocol. */
#include "tests/core/rig.h"

#include "mux/node/message.h"

#define GRACE_NS (30 * SECOND_NS) /* the rig's */
#define BEAT_NS (GRACE_NS / 12)
#define SILENCE_NS (GRACE_NS / 4)
#define CUTOFF_NS (2 * SECOND_NS)

static size_t up_at;
static struct mux_link *leaf;

static int open_relay(void **state) {
    up_at = 0;
    if (rig_open_with_bundles(state))
        return 1;
    rig_meet_upstream("f00d", "bundles=1\n", NULL);
    leaf = rig_connect();
    assert_true(rig_say_hello(leaf, "a1", true).takes_bundles);
    return 0;
}

static unsigned beats_in(struct mux_span bytes) {
    struct mux_packet packet;
    unsigned beats = 0;
    for (uint32_t length = 0, header; bytes.len;
         bytes = mux_span(bytes.data + length, bytes.len - length)) {
        assert_int_equal(mux_header_parse(bytes, &length, &header), MUX_OK);
        assert_int_equal(mux_packet_parse(mux_span(bytes.data, length), &packet, NULL), MUX_OK);
        beats += mux_message_kind(&packet) == MUX_MESSAGE_BEAT;
    }
    return beats;
}

static unsigned beats_down(struct mux_link *link) {
    return beats_in(mux_span(rig_down, rig_read_down(link)));
}

static unsigned beats_up(void) {
    struct mux_packet packet;
    unsigned beats = 0;
    rig_send_up();
    while (rig_next_up(&up_at, &packet))
        beats += mux_message_kind(&packet) == MUX_MESSAGE_BEAT;
    return beats;
}

static void beat_from_above(void) {
    uint8_t beat[MUX_MESSAGE_BEAT_BYTES];
    size_t len = mux_beat_write(beat);
    memcpy(packet_bytes, beat, len);
    rig_give_down(len);
}

static void beat_from_below(struct mux_link *link) {
    uint8_t beat[MUX_MESSAGE_BEAT_BYTES];
    rig_give(link, beat, mux_beat_write(beat));
}

/* Time passes as it does for a node that is called in time; both sides of `link` beat. */
static void live(struct mux_link *link, uint64_t span_ns) {
    for (uint64_t end_ns = now_ns + span_ns; now_ns < end_ns; rig_run(now_ns + BEAT_NS / 2)) {
        beat_from_above();
        if (link)
            beat_from_below(link);
        beats_up();
    }
}

static void a_beat_goes_both_ways(void **state) {
    (void)state;
    struct mux_link *plain = rig_connect();
    rig_say_hello(plain, "a2", false);
    beats_up();
    rig_run(now_ns + BEAT_NS - 1);
    assert_int_equal(beats_down(leaf) + beats_up(), 0);
    rig_run(now_ns + 1);
    assert_int_equal(beats_down(leaf), 1);
    assert_int_equal(beats_up(), 1);
    assert_int_equal(rig_read_down(plain), 0);
    assert_true(mux_deadline_ns(mux) <= now_ns + BEAT_NS);
    assert_int_equal(rig_counter(MUX_COUNT_beats_sent), 2);
}

/* What goes up is heard, too. */
static void no_beat_goes_up_beside_packets(void **state) {
    (void)state;
    struct mux_where where = {.epoch = 3};
    uint8_t bytes[MUX_MESSAGE_PACKET_BYTES];
    beats_up();
    rig_run(now_ns + BEAT_NS - 1);
    rig_give(leaf, bytes, mux_where_write(&where, mux_span(NULL, 0), bytes));
    assert_int_equal(beats_up(), 0);
    rig_run(now_ns + BEAT_NS / 2);
    assert_int_equal(beats_up(), 0);
    rig_run(now_ns + BEAT_NS / 2);
    assert_int_equal(beats_up(), 1);
}

static void a_beat_goes_no_further(void **state) {
    (void)state;
    struct mux_packet packet;
    beat_from_below(leaf);
    beat_from_above();
    rig_send_up();
    while (rig_next_up(&up_at, &packet))
        assert_int_not_equal(mux_message_kind(&packet), MUX_MESSAGE_BEAT);
    assert_int_equal(rig_read_down(leaf), 0);
    assert_null(mux_link_close_reason(leaf));
    assert_null(mux_upstream_close_reason(mux));
    assert_int_equal(rig_counter(MUX_COUNT_messages_dropped), 0);
}

static void a_silent_upstream_is_left(void **state) {
    (void)state;
    live(leaf, 2 * GRACE_NS);
    assert_null(mux_upstream_close_reason(mux));
    uint64_t heard_ns = now_ns;
    beat_from_above();
    for (; now_ns < heard_ns + SILENCE_NS - BEAT_NS / 2; rig_run(now_ns + BEAT_NS / 2))
        assert_null(mux_upstream_close_reason(mux));
    rig_run(heard_ns + SILENCE_NS + 1);
    assert_non_null(strstr(mux_upstream_close_reason(mux), "silent"));
}

static void a_silent_link_is_lost(void **state) {
    (void)state;
    live(leaf, 2 * GRACE_NS);
    assert_null(mux_link_close_reason(leaf));
    live(NULL, SILENCE_NS + BEAT_NS);
    assert_non_null(strstr(mux_link_close_reason(leaf), "silent"));
}

/* The kernel has more of it: it is this node that does not read. */
static void one_that_is_not_read_is_not_silent(void **state) {
    (void)state;
    rig_unread = true;
    live(NULL, 3 * GRACE_NS);
    assert_null(mux_link_close_reason(leaf));
    rig_unread = false;
    live(NULL, SILENCE_NS - BEAT_NS);
    assert_null(mux_link_close_reason(leaf));
    live(NULL, 2 * BEAT_NS);
    assert_non_null(mux_link_close_reason(leaf));
}

static void who_did_not_run_judges_nobody(void **state) {
    (void)state;
    live(leaf, BEAT_NS);
    assert_true(mux_deadline_ns(mux) < now_ns + SILENCE_NS);
    rig_run(now_ns + 10 * GRACE_NS);
    assert_null(mux_link_close_reason(leaf));
    assert_null(mux_upstream_close_reason(mux));
    live(NULL, SILENCE_NS + 2 * BEAT_NS);
    assert_non_null(mux_link_close_reason(leaf));
}

static void without_an_upstream_those_below_are_sent_away(void **state) {
    (void)state;
    live(leaf, BEAT_NS);
    mux_upstream_lost(mux, 0, now_ns);
    rig_run(now_ns + CUTOFF_NS - 1);
    assert_null(mux_link_close_reason(leaf));
    rig_run(now_ns + 1);
    assert_non_null(strstr(mux_link_close_reason(leaf), "no upstream"));
    struct mux_link *plain = rig_connect(), *other = rig_connect();
    rig_say_hello(plain, "a3", false);
    assert_null(mux_link_close_reason(plain));
    rig_give_packet(other,
                    &(struct mux_packet){.file_name = mux_span_text("muxd.hello"),
                                         .file_content = mux_span_text(
                                             "version=1\nidentity=a4\nname=leaf\nbundles=1\n")});
    assert_non_null(strstr(rig_log, "no upstream"));
    rig_meet_upstream("f00d", "bundles=1\n", NULL);
    rig_run(now_ns);
    assert_true(rig_say_hello(rig_connect(), "a5", true).takes_bundles);
}

#define RELAY(name) cmocka_unit_test_setup_teardown(name, open_relay, rig_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        RELAY(a_beat_goes_both_ways),         RELAY(no_beat_goes_up_beside_packets),
        RELAY(a_beat_goes_no_further),        RELAY(a_silent_upstream_is_left),
        RELAY(a_silent_link_is_lost),         RELAY(one_that_is_not_read_is_not_silent),
        RELAY(who_did_not_run_judges_nobody), RELAY(without_an_upstream_those_below_are_sent_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
