/* Assembly slots: who gets one, who waits, who is evicted and who is not. One large, two middle. */
#include "tests/unit/check.h"

#include "mux/mux.h"
#include "mux/packet.h"

#define SECOND_NS 1000000000u
#define INPUT_BYTES 65536
#define INPUTS 64
#define LINKS 8
/* Content for a large slot and for a middle one; and more than a link's own store holds. */
#define LARGE_BYTES 1000000
#define MIDDLE_BYTES 100000
#define MORE_THAN_A_TAIL_BYTES 5000

static struct mux *mux;
static uint8_t *memory;
static struct mux_buffer buffers[INPUTS];
static uint8_t packet_bytes[2 * LARGE_BYTES];
static uint64_t now_ns;

static void keep(struct mux_buffer *buffer) {
    (void)buffer;
}

static void say(void *user, const char *line) {
    (void)user, (void)line;
}

static int open_mux(void **state) {
    (void)state;
    memory = malloc(MUX_MEMORY_MIN_BYTES);
    now_ns = 1;
    struct mux_config config = {
        .memory = {memory, MUX_MEMORY_MIN_BYTES},
        .links_max = LINKS,
        .inputs_max = INPUTS,
        .input_bytes_max = INPUT_BYTES,
        .reference_least_bytes = 512,
        .gather_max = 1024,
        .log = say,
    };
    for (unsigned i = 0; i < INPUTS; i++)
        buffers[i] = (struct mux_buffer){malloc(INPUT_BYTES), INPUT_BYTES, 0, keep, NULL};
    mux = mux_create(&config);
    return mux == NULL;
}

static int close_mux(void **state) {
    (void)state;
    mux_destroy(mux);
    for (unsigned i = 0; i < INPUTS; i++)
        free(buffers[i].data);
    free(memory);
    return 0;
}

static struct mux_link *connect(void) {
    struct mux_link *link = mux_link_open(mux, &(struct mux_link_config){"peer", "", true, NULL});
    assert_non_null(link);
    return link;
}

static size_t make_packet(size_t content_bytes) {
    static uint8_t content[LARGE_BYTES];
    size_t written;
    struct mux_packet packet = {.test_id = mux_span_text("t"), .file_name = mux_span_text("f")};
    packet.file_content = mux_span(content, content_bytes);
    assert_int_equal(mux_packet_encode(&packet, packet_bytes, sizeof packet_bytes, &written),
                     MUX_OK);
    return written;
}

static void run_until(uint64_t then_ns) {
    now_ns = then_ns;
    mux_run(mux, now_ns);
}

/* All that is queued goes up. */
static void send_up(void) {
    while (mux_up_take(mux)) {
        mux_up_sent(mux);
        mux_run(mux, now_ns);
    }
}

static struct mux_buffer *free_buffer(void) {
    for (unsigned i = 0; i < INPUTS; i++)
        if (buffers[i].holders == 0)
            return &buffers[i];
    fail_msg("no free buffer");
    return NULL;
}

/* Bytes reach a link as a transport brings them: into the room it offers, else in a buffer. */
static void give(struct mux_link *link, const uint8_t *bytes, size_t len) {
    while (len > 0) {
        assert_true(mux_link_wants_receive(link));
        struct mux_room room = mux_link_offer(link);
        size_t some = len < INPUT_BYTES ? len : INPUT_BYTES;
        if (room.len) {
            some = some < room.len ? some : room.len;
            memcpy(room.data, bytes, some);
            mux_link_filled(link, some, now_ns);
        } else {
            struct mux_buffer *buffer = free_buffer();
            buffer->holders = 1;
            memcpy(buffer->data, bytes, some);
            mux_link_received(link, buffer, mux_span(buffer->data, some), now_ns);
        }
        bytes += some;
        len -= some;
        mux_run(mux, now_ns);
    }
}

static uint64_t counter(enum mux_counter id) {
    return mux_counters_of(mux)->value[id];
}

/* A link that holds the only large slot, and one that waits for it with a whole packet to send. */
static void hold_and_wait(struct mux_link **holder, struct mux_link **waiter, size_t *len) {
    *holder = connect();
    *waiter = connect();
    *len = make_packet(LARGE_BYTES);
    give(*holder, packet_bytes, MORE_THAN_A_TAIL_BYTES);
    give(*waiter, packet_bytes, MORE_THAN_A_TAIL_BYTES);
    assert_false(mux_link_wants_receive(*waiter));
    assert_int_equal(counter(MUX_COUNT_slot_waits), 1);
}

static void a_header_takes_no_slot(void **state) {
    (void)state;
    size_t len = make_packet(LARGE_BYTES);
    for (unsigned i = 0; i < LINKS - 1; i++)
        give(connect(), packet_bytes, 4000);
    give(connect(), packet_bytes, len);
    assert_int_equal(counter(MUX_COUNT_received_packets), 1);
    assert_int_equal(counter(MUX_COUNT_slot_waits), 0);
}

static void an_idle_holder_is_evicted(void **state) {
    (void)state;
    struct mux_link *holder, *waiter;
    size_t len;
    hold_and_wait(&holder, &waiter, &len);
    uint64_t deadline_ns = mux_deadline_ns(mux);
    assert_true(deadline_ns > now_ns && deadline_ns <= now_ns + 2 * (uint64_t)SECOND_NS);
    run_until(deadline_ns - 1);
    assert_false(mux_link_evicted(holder));
    run_until(deadline_ns);
    assert_true(mux_link_evicted(holder));
    assert_false(mux_link_wants_receive(holder));
    assert_false(mux_link_evicted(waiter));
    mux_link_ended(holder);
    run_until(now_ns);
    assert_true(mux_link_finished(holder));
    assert_int_equal(counter(MUX_COUNT_damage_bytes), MORE_THAN_A_TAIL_BYTES);
    send_up(); /* the batch refers to the slot */
    give(waiter, packet_bytes + MORE_THAN_A_TAIL_BYTES, len - MORE_THAN_A_TAIL_BYTES);
    assert_int_equal(counter(MUX_COUNT_received_packets), 1);
    assert_int_equal(counter(MUX_COUNT_links_evicted), 1);
    run_until(now_ns + SECOND_NS);
    assert_true(mux_deadline_ns(mux) == UINT64_MAX);
}

/* 1 Mbit/s is enough; and nobody is judged when nobody waits. */
static void a_slow_but_steady_holder_stays(void **state) {
    (void)state;
    struct mux_link *holder, *waiter;
    size_t len, at = MORE_THAN_A_TAIL_BYTES;
    hold_and_wait(&holder, &waiter, &len);
    while (at < len) {
        size_t some = len - at < 14000 ? len - at : 14000;
        give(holder, packet_bytes + at, some);
        at += some;
        run_until(now_ns + SECOND_NS / 10);
        assert_false(mux_link_evicted(holder));
    }
    assert_int_equal(counter(MUX_COUNT_received_packets), 1);
    send_up();
    assert_true(mux_link_wants_receive(waiter));
    run_until(now_ns + 100 * (uint64_t)SECOND_NS);
    assert_false(mux_link_evicted(waiter));
}

/* When muxd itself stood still for a while the holder gets another window. */
static void our_own_delay_is_no_reason(void **state) {
    (void)state;
    struct mux_link *holder, *waiter;
    size_t len;
    hold_and_wait(&holder, &waiter, &len);
    run_until(now_ns + 10 * (uint64_t)SECOND_NS);
    assert_false(mux_link_evicted(holder));
    run_until(mux_deadline_ns(mux));
    assert_true(mux_link_evicted(holder));
}

/* No more than wait; middle slots are judged apart from the large one. */
static void no_more_than_wait(void **state) {
    (void)state;
    struct mux_link *holders[3], *waiter;
    make_packet(MIDDLE_BYTES);
    for (unsigned i = 0; i < 2; i++)
        give(holders[i] = connect(), packet_bytes, MORE_THAN_A_TAIL_BYTES);
    make_packet(LARGE_BYTES);
    give(holders[2] = connect(), packet_bytes, MORE_THAN_A_TAIL_BYTES);
    make_packet(MIDDLE_BYTES);
    give(waiter = connect(), packet_bytes, MORE_THAN_A_TAIL_BYTES);
    run_until(mux_deadline_ns(mux));
    assert_true(mux_link_evicted(holders[0]));
    assert_false(mux_link_evicted(holders[1]));
    assert_false(mux_link_evicted(holders[2]));
}

/* When more wait than there are slots there is less patience. */
static void crowded(void **state) {
    (void)state;
    make_packet(LARGE_BYTES);
    struct mux_link *holder = connect();
    give(holder, packet_bytes, MORE_THAN_A_TAIL_BYTES);
    for (unsigned i = 0; i < 3; i++)
        give(connect(), packet_bytes, MORE_THAN_A_TAIL_BYTES);
    run_until(mux_deadline_ns(mux)); /* a window that opened before */
    assert_true(mux_link_evicted(holder));
    mux_link_ended(holder);
    run_until(now_ns);
    send_up();
    assert_true(mux_deadline_ns(mux) <= now_ns + SECOND_NS);
}

/* Who cannot go on before a batch is sent does not hold up the others. */
static void a_pinned_store_stops_only_its_own_link(void **state) {
    (void)state;
    struct mux_link *link = connect(), *other = connect();
    size_t len = make_packet(LARGE_BYTES);
    const struct mux_gather *gather;
    /* packet after packet in the same slot, nothing is sent */
    for (size_t at = 0; mux_link_wants_receive(link) && at < 12 * len;) {
        size_t in_packet = at % len, some = len - in_packet;
        some = some < 40000 ? some : 40000;
        struct mux_buffer *buffer = free_buffer();
        buffer->holders = 1;
        memcpy(buffer->data, packet_bytes + in_packet, some);
        mux_link_received(link, buffer, mux_span(buffer->data, some), now_ns);
        at += some;
        mux_run(mux, now_ns);
    }
    uint64_t before = counter(MUX_COUNT_received_packets);
    size_t small = make_packet(10);
    give(other, packet_bytes, small);
    assert_int_equal(counter(MUX_COUNT_received_packets), before + 1);
    while ((gather = mux_up_take(mux))) {
        mux_up_sent(mux);
        mux_run(mux, now_ns);
    }
    assert_true(mux_link_wants_receive(link));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_header_takes_no_slot, open_mux, close_mux),
        cmocka_unit_test_setup_teardown(an_idle_holder_is_evicted, open_mux, close_mux),
        cmocka_unit_test_setup_teardown(a_slow_but_steady_holder_stays, open_mux, close_mux),
        cmocka_unit_test_setup_teardown(our_own_delay_is_no_reason, open_mux, close_mux),
        cmocka_unit_test_setup_teardown(no_more_than_wait, open_mux, close_mux),
        cmocka_unit_test_setup_teardown(crowded, open_mux, close_mux),
        cmocka_unit_test_setup_teardown(a_pinned_store_stops_only_its_own_link, open_mux,
                                        close_mux),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
