/* The messages of the RDMA engine and its flow control, without a device. */
#include "tests/transport/stream.h"
#include "transport/rdma/flow.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t random_state;

static unsigned below(unsigned limit) {
    return (unsigned)(stream_word(random_state++, 0) % limit);
}

static void hello_comes_back(void **state) {
    (void)state;
    uint8_t bytes[56] = {0}; /* a device pads it */
    struct wire_hello got, hello = {.message_bytes = 4096, .credits = 3};
    rdma_wire_put_hello(bytes, &hello);
    assert_int_equal(rdma_wire_get_hello(bytes, sizeof bytes, &got), WIRE_HELLO_GOOD);
    assert_int_equal(rdma_wire_get_hello(bytes, WIRE_HELLO_BYTES, &got), WIRE_HELLO_GOOD);
    assert_int_equal(got.message_bytes, 4096);
    assert_int_equal(got.credits, 3);
    for (size_t len = 0; len < WIRE_HELLO_BYTES; len++)
        assert_int_equal(rdma_wire_get_hello(bytes, len, &got), WIRE_HELLO_FOREIGN);
}

/* Every byte counts: a changed one means another version, a foreign peer, or another value. */
static void strange_hellos_are_reported(void **state) {
    (void)state;
    static const struct {
        size_t at;
        uint8_t value;
        enum wire_kind kind;
    } changes[] = {
        {0, 'M', WIRE_HELLO_FOREIGN}, {7, 0, WIRE_HELLO_FOREIGN},   {8, 2, WIRE_HELLO_OTHER},
        {9, 1, WIRE_HELLO_OTHER},     {10, 15, WIRE_HELLO_FOREIGN}, {11, 1, WIRE_HELLO_FOREIGN},
        {13, 3, WIRE_HELLO_FOREIGN},  {14, 0, WIRE_HELLO_FOREIGN},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        uint8_t bytes[WIRE_HELLO_BYTES];
        struct wire_hello got;
        rdma_wire_put_hello(bytes, &(struct wire_hello){1024, 3});
        bytes[changes[i].at] = changes[i].value;
        assert_int_equal(rdma_wire_get_hello(bytes, sizeof bytes, &got), changes[i].kind);
    }
}

static void rejection_has_a_reason(void **state) {
    (void)state;
    uint8_t bytes[148] = {0};
    assert_int_equal(rdma_wire_get_rejection(bytes, sizeof bytes), 0);
    rdma_wire_put_rejection(bytes, WIRE_FULL);
    assert_int_equal(rdma_wire_get_rejection(bytes, sizeof bytes), WIRE_FULL);
    assert_int_equal(rdma_wire_get_rejection(bytes, 0), 0);
}

#define LITERALS "literal bytes"

/* A message of the stream with two announced spans; returns its length. */
static size_t make_stream(uint8_t *out) {
    const struct wire_head head = {.flags = WIRE_STREAM, .controls = 1, .credits = 513, .done = 7};
    const struct wire_span spans[] = {
        {.address = 0x123456789a, .key = 99, .length = 8192, .before = 3, .lead = 3},
        {.address = 0x1000, .key = 98, .length = 1, .before = 13, .lead = 10}};
    rdma_wire_put_head(out, &head, 2);
    for (unsigned i = 0; i < 2; i++)
        rdma_wire_put_span(out, i, &spans[i]);
    memcpy(out + rdma_wire_prefix_bytes(2), LITERALS, 13);
    return rdma_wire_prefix_bytes(2) + 13;
}

static void stream_message_comes_back(void **state) {
    (void)state;
    uint8_t bytes[200];
    struct wire_message message;
    assert_true(rdma_wire_parse(bytes, make_stream(bytes), &message));
    assert_int_equal(message.head.controls, 1);
    assert_int_equal(message.head.credits, 513);
    assert_int_equal(message.head.done, 7);
    assert_int_equal(message.spans, 2);
    assert_int_equal(message.literal_bytes, 13);
    assert_memory_equal(message.literals, LITERALS, 13);
    struct wire_span span = rdma_wire_span_at(&message, 0);
    assert_true(span.address == 0x123456789a && span.key == 99 && span.length == 8192);
    assert_true(span.before == 3 && span.lead == 3);
    assert_int_equal(rdma_wire_span_at(&message, 1).before, 13);
}

/* A good message with this change is refused. */
static void assert_refused(size_t at, uint8_t value) {
    uint8_t bytes[200];
    struct wire_message message;
    size_t len = make_stream(bytes);
    assert_true(rdma_wire_parse(bytes, len, &message));
    bytes[at] = value;
    assert_false(rdma_wire_parse(bytes, len, &message));
}

static void lies_about_spans_are_refused(void **state) {
    (void)state;
    size_t first = WIRE_HEAD_BYTES, second = first + WIRE_SPAN_BYTES;
    assert_refused(6, 3);            /* more spans than bytes */
    assert_refused(7, 1);            /* more than the limit */
    assert_refused(0, WIRE_END);     /* a control message has none */
    assert_refused(0, 0xff);         /* flags that exclude each other */
    assert_refused(first + 16, 14);  /* after the last literal byte */
    assert_refused(second + 16, 2);  /* before the one before it */
    assert_refused(second + 18, 11); /* overlaps the one before it */
    assert_refused(second + 12, 0);  /* empty */
}

static void span_beyond_the_last_address_is_refused(void **state) {
    (void)state;
    uint8_t bytes[200];
    struct wire_message message;
    size_t len = make_stream(bytes);
    memset(bytes + WIRE_HEAD_BYTES, 0xff, 8);
    assert_false(rdma_wire_parse(bytes, len, &message));
}

static void controls_have_their_length(void **state) {
    (void)state;
    uint8_t bytes[WIRE_CONTROL_MOST_BYTES + 1] = {0};
    struct wire_message message;
    for (unsigned flags = 0; flags < 256; flags++) {
        bytes[0] = (uint8_t)flags;
        bool closes = (flags & ~(unsigned)WIRE_ASK) == WIRE_CLOSE;
        bool is_short = flags == 0 || flags == WIRE_END, is_long = flags == WIRE_ANSWER || closes;
        assert_int_equal(rdma_wire_parse(bytes, WIRE_HEAD_BYTES, &message), is_short);
        assert_int_equal(rdma_wire_parse(bytes, WIRE_CONTROL_MOST_BYTES, &message),
                         is_long || flags == WIRE_STREAM);
        assert_false(rdma_wire_parse(bytes, WIRE_HEAD_BYTES - 1, &message));
    }
    bytes[0] = WIRE_ANSWER;
    rdma_wire_put_taken(bytes, UINT64_C(0x1122334455667788));
    assert_true(rdma_wire_parse(bytes, WIRE_CONTROL_MOST_BYTES, &message));
    assert_true(message.taken == UINT64_C(0x1122334455667788));
}

/* For any bytes, every reported field lies within the message. In memory of exactly its size. */
static void any_bytes_can_come(void **state) {
    (void)state;
    for (unsigned round = 0; round < 200000; round++) {
        size_t len = below(160);
        uint8_t *bytes = malloc(len ? len : 1);
        struct wire_message message;
        assert_non_null(bytes);
        stream_fill(round, 0, bytes, len);
        if (len > 0 && below(2))
            bytes[0] = WIRE_STREAM;
        if (len > 7 && below(2))
            bytes[6] = (uint8_t)below(4), bytes[7] = 0;
        if (rdma_wire_parse(bytes, len, &message)) {
            assert_true(message.literal_bytes == 0 ||
                        message.literals + message.literal_bytes == bytes + len);
            for (unsigned i = 0; i < message.spans; i++)
                assert_true(rdma_wire_span_at(&message, i).before <= message.literal_bytes);
        }
        free(bytes);
    }
}

/*
 * ---- flow control: two sides, messages in flight between them, and a random schedule ----
 */
#define WAY_MAX 4096
#define CREDITS 3

struct side {
    struct flow flow;
    unsigned window;
    unsigned to_send;
    unsigned received;
    unsigned unread; /* messages of the stream in slots */
    bool reading;
    unsigned controls;
    struct wire_head way[WAY_MAX]; /* to this side */
    unsigned way_first, way_next;
};

static void put(struct side *from, struct side *to, uint8_t flags) {
    struct wire_head head = {.flags = flags};
    rdma_flow_send(&from->flow, &head);
    to->way[to->way_next++ % WAY_MAX] = head;
    assert_true(to->way_next - to->way_first < WAY_MAX);
}

/* Every message in flight to a side has a slot there. */
static void assert_slots(const struct side *side) {
    unsigned streams = 0, controls = 0;
    for (unsigned i = side->way_first; i != side->way_next; i++) {
        bool stream = side->way[i % WAY_MAX].flags & WIRE_STREAM;
        streams += stream;
        controls += !stream;
    }
    assert_true(streams <= side->flow.granted);
    assert_true(controls <= FLOW_CONTROLS_MAX);
    assert_true(side->flow.granted + side->unread <= side->window);
}

static bool send_stream(struct side *from, struct side *to) {
    if (from->to_send == 0 || !rdma_flow_may_send_stream(&from->flow))
        return false;
    from->to_send--;
    put(from, to, WIRE_STREAM);
    return true;
}

static bool send_control(struct side *from, struct side *to) {
    bool due =
        rdma_flow_owes_credits(&from->flow, from->window) || rdma_flow_owes_answer(&from->flow);
    if (!due || !rdma_flow_may_send_control(&from->flow))
        return false;
    from->controls++;
    put(from, to, 0);
    return true;
}

static bool take(struct side *side) {
    if (side->way_first == side->way_next)
        return false;
    const struct wire_head *head = &side->way[side->way_first++ % WAY_MAX];
    assert_true(rdma_flow_receive(&side->flow, head));
    side->unread += head->flags & WIRE_STREAM ? 1 : 0;
    return true;
}

static bool read_one(struct side *side) {
    if (side->unread == 0 || !side->reading)
        return false;
    side->unread--;
    side->received++;
    rdma_flow_grant(&side->flow);
    return true;
}

static bool step(struct side *side, struct side *other, unsigned what) {
    switch (what) {
    case 0:
        return send_stream(side, other);
    case 1:
        return send_control(side, other);
    case 2:
        return take(side);
    default:
        return read_one(side);
    }
}

static struct side sides[2];

static void begin(unsigned messages[2]) {
    for (int i = 0; i < 2; i++) {
        memset(&sides[i], 0, sizeof sides[i]);
        sides[i].window = CREDITS + below(3) * 8;
        sides[i].to_send = messages[i];
        sides[i].reading = true;
        rdma_flow_init(&sides[i].flow, CREDITS, CREDITS);
    }
    for (int i = 0; i < 2; i++)
        while (sides[i].flow.granted < sides[i].window)
            rdma_flow_grant(&sides[i].flow);
}

/* No further step is possible. */
static bool is_quiet(void) {
    for (unsigned what = 0; what < 8; what++)
        if (step(&sides[what % 2], &sides[1 - what % 2], what / 2))
            return false;
    return true;
}

/* Both sides' streams arrive under any schedule, with pauses, and then no message is sent. */
static void no_side_is_stuck(void **state) {
    (void)state;
    for (unsigned round = 0; round < 3000; round++) {
        unsigned messages[2] = {below(300), below(2) ? below(300) : 0}, bias = below(8);
        begin(messages);
        for (unsigned i = 0; i < 2000; i++) {
            unsigned who = below(2), what = below(8) < bias ? below(4) : below(2) * 2;
            if (below(64) == 0)
                sides[who].reading = below(2);
            step(&sides[who], &sides[1 - who], what);
            assert_slots(&sides[0]);
            assert_slots(&sides[1]);
        }
        sides[0].reading = sides[1].reading = true;
        for (unsigned i = 0; !is_quiet(); i++)
            assert_true(i < 10000);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(sides[i].to_send, 0);
            assert_int_equal(sides[i].received, messages[1 - i]);
            assert_true(sides[i].controls <= messages[0] + messages[1] + FLOW_CONTROLS_MAX);
        }
    }
}

static void false_credits_are_detected(void **state) {
    (void)state;
    struct flow flow;
    const struct wire_head stream = {.flags = WIRE_STREAM}, control = {0};
    rdma_flow_init(&flow, CREDITS, 1);
    assert_true(rdma_flow_receive(&flow, &stream));
    assert_false(rdma_flow_receive(&flow, &stream)); /* without a credit */
    rdma_flow_grant(&flow);
    assert_false(rdma_flow_receive(&flow, &stream)); /* with a credit that was not granted yet */
    for (unsigned i = 0; i < FLOW_CONTROLS_MAX; i++)
        assert_true(rdma_flow_receive(&flow, &control));
    assert_false(rdma_flow_receive(&flow, &control));
    const struct wire_head told = {.controls = 1}, rich = {.credits = FLOW_CREDITS_MAX};
    rdma_flow_init(&flow, CREDITS, 1);
    assert_false(rdma_flow_receive(&flow, &told)); /* acknowledges a control that was not sent */
    assert_false(rdma_flow_receive(&flow, &rich));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello_comes_back),
        cmocka_unit_test(strange_hellos_are_reported),
        cmocka_unit_test(rejection_has_a_reason),
        cmocka_unit_test(stream_message_comes_back),
        cmocka_unit_test(lies_about_spans_are_refused),
        cmocka_unit_test(span_beyond_the_last_address_is_refused),
        cmocka_unit_test(controls_have_their_length),
        cmocka_unit_test(any_bytes_can_come),
        cmocka_unit_test(no_side_is_stuck),
        cmocka_unit_test(false_credits_are_detected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
