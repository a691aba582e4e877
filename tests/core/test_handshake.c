/* An upstream that is a node: the hello, silence until the answer, the goodbye. */
#include "tests/core/rig.h"

#include "mux/node/hello.h"

#include <stdio.h>

static void push_packet(struct mux_link *link) {
    size_t len = rig_packet(10, NULL);
    rig_push(link, packet_bytes, len);
    mux_run(mux, now_ns);
}

/* The upstream answers with a hello of these lines. */
static void answer(const char *content) {
    size_t len;
    struct mux_packet packet = {.file_name = mux_span_text("muxd.hello"),
                                .file_content = mux_span_text(content)};
    assert_int_equal(mux_packet_encode(&packet, packet_bytes, sizeof packet_bytes, &len), MUX_OK);
    rig_give_down(len);
}

/* The next packet that the upstream takes has this file name. */
static void assert_takes(const char *file_name) {
    const struct mux_gather *gather = mux_upstream_take(mux);
    struct mux_packet packet;
    assert_non_null(gather);
    assert_int_equal(gather->count, 1);
    assert_int_equal(mux_packet_parse(gather->spans[0], &packet, NULL), MUX_OK);
    assert_true(mux_span_equal(packet.file_name, mux_span_text(file_name)));
    mux_upstream_sent(mux);
}

static void nothing_before_the_answer(void **state) {
    (void)state;
    push_packet(rig_connect());
    assert_null(mux_upstream_take(mux)); /* not connected */
    mux_upstream_connected(mux, true);
    assert_takes("muxd.hello");
    assert_null(mux_upstream_take(mux));
    assert_false(mux_upstream_accepted(mux));
    answer("version=1\nidentity=f00d\nname=top\nlater=key\n");
    assert_true(mux_upstream_accepted(mux));
    assert_non_null(strstr(rig_log, "the upstream is node top"));
    assert_takes("f");
    mux_upstream_lost(mux, 0, now_ns);
    push_packet(rig_connect());
    assert_null(mux_upstream_take(mux));
    mux_upstream_connected(mux, true);
    assert_takes("muxd.hello");
    assert_null(mux_upstream_take(mux));
}

static void an_answer_that_cannot_be_understood(void **state) {
    (void)state;
    push_packet(rig_connect());
    mux_upstream_connected(mux, true);
    assert_takes("muxd.hello");
    answer("version=9\nidentity=f00d\nname=top\n");
    assert_false(mux_upstream_accepted(mux));
    assert_non_null(strstr(mux_upstream_close_reason(mux), "another version"));
    mux_upstream_lost(mux, 0, now_ns);
    assert_null(mux_upstream_close_reason(mux));
    assert_true(mux_upstream_pending_bytes(mux) > 0); /* nothing is lost */
}

static void no_answer(void **state) {
    (void)state;
    mux_upstream_connected(mux, true);
    assert_takes("muxd.hello");
    uint64_t deadline_ns = mux_deadline_ns(mux);
    assert_true(deadline_ns < now_ns + 60 * SECOND_NS);
    rig_run(deadline_ns - 1);
    assert_null(mux_upstream_close_reason(mux));
    rig_run(deadline_ns);
    assert_non_null(mux_upstream_close_reason(mux));
}

/* A second answer, which was not asked for, changes nothing. */
static void a_second_answer(void **state) {
    (void)state;
    answer("version=1\nidentity=f00d\nname=top\n");
    assert_false(mux_upstream_accepted(mux));
    mux_upstream_connected(mux, true);
    assert_takes("muxd.hello");
    answer("version=1\nidentity=f00d\nname=top\n");
    answer("version=9\n");
    assert_true(mux_upstream_accepted(mux));
    assert_null(mux_upstream_close_reason(mux));
}

static void goodbye_is_last(void **state) {
    (void)state;
    assert_false(mux_upstream_leave(mux)); /* no upstream: nothing to say */
    mux_upstream_connected(mux, true);
    assert_takes("muxd.hello");
    answer("version=1\nidentity=f00d\nname=top\n");
    push_packet(rig_connect());
    assert_takes("f");
    assert_true(mux_upstream_leave(mux));
    assert_takes("muxd.goodbye");
    assert_false(mux_upstream_leave(mux));
    assert_null(mux_upstream_take(mux));
}

/* The next packet that goes up has this file, test id, route and status. */
static void assert_packet(const struct mux_packet *packet, const char *file, const char *id,
                          const char *route, enum mux_status status) {
    assert_true(mux_span_equal(packet->file_name, mux_span_text(file)));
    assert_true(mux_span_equal(packet->test_id, mux_span_text(id)));
    assert_true(mux_span_equal(packet->route, mux_span_text(route)));
    assert_int_equal(packet->status, status);
}

static size_t up_at;

static struct mux_packet next_up(void) {
    struct mux_packet packet;
    rig_send_up();
    assert_true(rig_next_up(&up_at, &packet));
    return packet;
}

static void connect_up(const char *identity, const char *more, bool may_be_other) {
    char content[MUX_PATH_BYTES + 200];
    mux_upstream_connected(mux, may_be_other);
    assert_takes("muxd.hello");
    snprintf(content, sizeof content, "version=1\nidentity=%s\nname=top\n%s", identity, more);
    answer(content);
}

static void begin_test(struct mux_link *link, const char *id) {
    rig_give_status(link, id, NULL, MUX_STATUS_INPROGRESS);
}

static struct mux_link *connect_node(const char *identity) {
    struct mux_hello hello;
    uint8_t bytes[MUX_HELLO_PACKET_BYTES];
    struct mux_link *link = rig_connect();
    mux_hello_init(&hello, identity, "leaf");
    hello.proves = true;
    rig_give(link, bytes, mux_hello_write(&hello, bytes));
    return link;
}

/* A new upstream is told the nodes below and the tests in progress. */
static void told_again(void **state) {
    (void)state;
    up_at = 0;
    connect_up("f00d", "", true);
    connect_node("a1");
    struct mux_packet packet = next_up();
    assert_packet(&packet, "muxd.node", "", "0", MUX_STATUS_NONE);
    begin_test(rig_connect(), "t");
    packet = next_up();
    assert_packet(&packet, "", "t", "1", MUX_STATUS_INPROGRESS);
    mux_upstream_lost(mux, 0, now_ns);
    connect_up("f00d", "", true); /* the same upstream: it knows them */
    packet = next_up();
    assert_packet(&packet, "muxd.node", "", "0", MUX_STATUS_NONE);
    rig_send_up();
    assert_int_equal(up_at, rig_up_bytes);
    mux_upstream_lost(mux, 0, now_ns);
    connect_up("beef", "", true);
    packet = next_up();
    assert_packet(&packet, "muxd.node", "", "0", MUX_STATUS_NONE);
    packet = next_up();
    assert_packet(&packet, "", "t", "1", MUX_STATUS_INPROGRESS);
    assert_int_equal(rig_counter(MUX_COUNT_tests_retold), 1);
}

/* Also those of the owner, until they end. */
static void told_again_own(void **state) {
    struct mux_packet own = {.status = MUX_STATUS_INPROGRESS, .test_id = mux_span_text("own")};
    (void)state;
    up_at = 0;
    connect_up("f00d", "", true);
    assert_true(mux_add_up(mux, NULL, &own));
    struct mux_packet packet = next_up();
    assert_packet(&packet, "", "own", "", MUX_STATUS_INPROGRESS);
    mux_upstream_lost(mux, 0, now_ns);
    connect_up("beef", "", true);
    packet = next_up();
    assert_packet(&packet, "", "own", "", MUX_STATUS_INPROGRESS);
    own.status = MUX_STATUS_FAIL;
    assert_true(mux_add_up(mux, NULL, &own));
    packet = next_up();
    assert_packet(&packet, "", "own", "", MUX_STATUS_FAIL);
    mux_upstream_lost(mux, 0, now_ns);
    connect_up("cafe", "", true);
    rig_send_up();
    assert_int_equal(up_at, rig_up_bytes);
    assert_int_equal(rig_counter(MUX_COUNT_tests_retold), 1);
}

/* The previous upstream may still wait for this node: another one is not accepted. */
static void another_node(void **state) {
    (void)state;
    connect_up("f00d", "", true);
    mux_upstream_lost(mux, 0, now_ns);
    connect_up("beef", "", false);
    assert_false(mux_upstream_accepted(mux));
    assert_non_null(strstr(mux_upstream_close_reason(mux), "another node"));
    mux_upstream_lost(mux, 0, now_ns);
    connect_up("f00d", "", false);
    assert_true(mux_upstream_accepted(mux));
}

/* The secret of the last answer is the proof in the next hello. */
static void the_proof(void **state) {
    (void)state;
    struct mux_packet packet;
    connect_up("f00d", "secret=0123456789abcdef0123456789abcdef\n", true);
    mux_upstream_lost(mux, 0, now_ns);
    mux_upstream_connected(mux, true);
    const struct mux_gather *gather = mux_upstream_take(mux);
    assert_int_equal(mux_packet_parse(gather->spans[0], &packet, NULL), MUX_OK);
    struct mux_hello hello;
    assert_null(mux_hello_read(&packet, &hello));
    assert_string_equal(hello.proof, "0123456789abcdef0123456789abcdef");
    assert_string_equal(hello.identity, "0e1f");
    mux_upstream_sent(mux);
}

/* The node's own identity, read from its answer to a node below. */
static void own_identity(char out[MUX_IDENTITY_BYTES]) {
    struct mux_packet packet;
    struct mux_hello hello;
    size_t len = rig_read_down(connect_node("a1"));
    assert_int_equal(mux_packet_parse(mux_span(rig_down, len), &packet, NULL), MUX_OK);
    assert_null(mux_hello_read(&packet, &hello));
    memcpy(out, hello.identity, MUX_IDENTITY_BYTES);
}

static void assert_loop(void) {
    assert_non_null(strstr(mux_upstream_close_reason(mux), "a loop"));
    mux_upstream_lost(mux, 0, now_ns);
    assert_null(mux_upstream_close_reason(mux));
}

static void a_loop_above(void **state) {
    (void)state;
    char own[MUX_IDENTITY_BYTES], line[100];
    own_identity(own);
    connect_up(own, "", true);
    assert_loop();
    snprintf(line, sizeof line, "path=beef,%s,cafe\n", own);
    connect_up("f00d", line, true);
    assert_loop();
    assert_int_equal(rig_counter(MUX_COUNT_loops), 2);
    struct mux_link *below = connect_node("a2");
    rig_read_down(below);
    connect_up("f00d", "path=beef\n", true);
    assert_true(mux_upstream_accepted(mux));
    assert_true(rig_read_down(below) > 0); /* the node below is told the path */
    assert_non_null(memmem(rig_down, sizeof rig_down, "path=f00d,beef", 14));
    size_t len;
    snprintf(line, sizeof line, "path=%s\n", own);
    struct mux_packet packet = {.file_name = mux_span_text("muxd.path"),
                                .file_content = mux_span_text(line)};
    assert_int_equal(mux_packet_encode(&packet, packet_bytes, sizeof packet_bytes, &len), MUX_OK);
    rig_give_down(len); /* the loop closes later, further up */
    assert_loop();
    assert_true(rig_read_down(below) > 0); /* and the node below is told */
    assert_non_null(memmem(rig_down, sizeof rig_down, "a loop", 6));
}

static void too_deep(void **state) {
    (void)state;
    char line[MUX_PATH_BYTES + 100] = "path=";
    for (unsigned i = 0; i < MUX_NODES_DEEP_MAX; i++)
        sprintf(line + strlen(line), "%s%032x", i ? "," : "", i + 1);
    strcat(line, "\n");
    connect_up("f00d", line, true);
    assert_non_null(strstr(mux_upstream_close_reason(mux), "32 nodes"));
}

/* The upstream ends: only what is in flight is still sent; the next upstream gets the rest. */
static void the_upstream_ends(void **state) {
    (void)state;
    connect_up("f00d", "", true);
    struct mux_link *link = rig_connect();
    push_packet(link);
    assert_non_null(mux_upstream_take(mux));
    push_packet(link);
    rig_give_down(mux_goodbye_write(0, packet_bytes));
    assert_true(mux_upstream_sent_off(mux));
    mux_upstream_sent(mux);
    assert_null(mux_upstream_take(mux));
    mux_upstream_lost(mux, 0, now_ns);
    assert_false(mux_upstream_sent_off(mux));
    connect_up("beef", "", true);
    assert_takes("f");
}

/* This node ends: nodes below are told and waited for, and new ones are refused. */
static void this_node_ends(void **state) {
    (void)state;
    connect_up("f00d", "", true);
    struct mux_link *link = connect_node("a1");
    rig_read_down(link);
    assert_false(mux_awaits_nodes(mux));
    mux_send_off(mux);
    assert_true(mux_awaits_nodes(mux));
    assert_true(rig_read_down(link) > 0);
    assert_non_null(memmem(rig_down, sizeof rig_down, "muxd.goodbye", 12));
    struct mux_link *late = connect_node("a2");
    rig_read_down(late);
    assert_non_null(mux_link_close_reason(late));
    mux_link_ended(link, "it closed its connection");
    assert_false(mux_awaits_nodes(mux));
    mux_run(mux, now_ns);
    mux_link_close(link);
    mux_end(mux);
    rig_send_up();
    mux_upstream_leave(mux);
    const struct mux_gather *gather = mux_upstream_take(mux);
    assert_non_null(memmem(gather->spans[0].data, gather->spans[0].len, "nodes=1", 7));
    mux_upstream_sent(mux);
}

#define HANDSHAKE_TEST(name) cmocka_unit_test_setup_teardown(name, rig_open_below_node, rig_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        HANDSHAKE_TEST(nothing_before_the_answer),
        HANDSHAKE_TEST(an_answer_that_cannot_be_understood),
        HANDSHAKE_TEST(no_answer),
        HANDSHAKE_TEST(a_second_answer),
        HANDSHAKE_TEST(goodbye_is_last),
        HANDSHAKE_TEST(told_again),
        HANDSHAKE_TEST(told_again_own),
        HANDSHAKE_TEST(another_node),
        HANDSHAKE_TEST(the_proof),
        HANDSHAKE_TEST(a_loop_above),
        HANDSHAKE_TEST(too_deep),
        HANDSHAKE_TEST(the_upstream_ends),
        HANDSHAKE_TEST(this_node_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
