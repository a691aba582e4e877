/* The kinds of links that an owner may open, what it reads of them, and packets it sends down. */
#include "tests/core/rig.h"

#include "mux/node/hello.h"

#include <stdio.h>

static size_t up_at;

static int open_rig(void **state) {
    up_at = 0;
    return rig_open(state);
}

static struct mux_link *open_link(const struct mux_link_config *config) {
    struct mux_link *link = mux_link_open(mux, config);
    assert_non_null(link);
    return link;
}

static void give_text(struct mux_link *link, const char *text) {
    rig_give(link, (const uint8_t *)text, strlen(text));
}

/* The next packet that went up. */
static struct mux_packet next_up(void) {
    uint32_t length, header_bytes;
    struct mux_packet packet;
    rig_send_up();
    struct mux_span rest = mux_span(rig_up + up_at, rig_up_bytes - up_at);
    assert_true(rest.len > 0);
    assert_int_equal(mux_header_parse(rest, &length, &header_bytes), MUX_OK);
    assert_int_equal(mux_packet_parse(mux_span(rest.data, length), &packet, NULL), MUX_OK);
    up_at += length;
    return packet;
}

static void assert_text(struct mux_span span, const char *text) {
    assert_true(mux_span_equal(span, mux_span_text(text)));
}

static size_t encode(const struct mux_packet *packet, uint8_t out[1000]) {
    size_t len;
    assert_int_equal(mux_packet_encode(packet, out, 1000, &len), MUX_OK);
    return len;
}

static void give_status(struct mux_link *link, const char *id, enum mux_status status) {
    uint8_t bytes[1000];
    struct mux_packet packet = {.status = status, .test_id = mux_span_text(id)};
    rig_give(link, bytes, encode(&packet, bytes));
}

/* Everything that a process writes to stderr is text: packets, half packets, endless lines. */
static void stderr_is_text(void **state) {
    (void)state;
    uint8_t bytes[1000];
    struct mux_packet packet = {.status = MUX_STATUS_FAIL, .test_id = mux_span_text("not a test")};
    size_t len = encode(&packet, bytes);
    struct mux_link *link =
        open_link(&(struct mux_link_config){"peer", "", .kind = MUX_LINK_STDERR});
    give_text(link, "warning\n");
    rig_give(link, bytes, len);
    rig_give(link, bytes, 3);
    rig_run(now_ns + SECOND_NS);
    struct mux_packet up = next_up();
    assert_text(up.file_name, "stderr");
    assert_text(up.file_content, "warning\n");
    size_t text_bytes = 0;
    while (text_bytes < len + 3) {
        up = next_up();
        assert_text(up.file_name, "stderr");
        assert_text(up.route, "0");
        assert_null(up.test_id.data);
        text_bytes += up.file_content.len;
    }
    assert_int_equal(text_bytes, len + 3);
    assert_int_equal(rig_counter(MUX_COUNT_received_packets), 0);
    assert_int_equal(rig_counter(MUX_COUNT_damages), 0);
}

/* A link without a segment: its packets keep their route, and so do reports of unfinished tests. */
static void a_bare_link(void **state) {
    (void)state;
    struct mux_link *link =
        open_link(&(struct mux_link_config){"peer", "", .kind = MUX_LINK_WORKER, .is_bare = true});
    size_t len = rig_packet(10, "a/b");
    rig_give(link, packet_bytes, len);
    rig_send_up();
    assert_int_equal(rig_up_bytes, len);
    assert_memory_equal(rig_up, packet_bytes, len);
    up_at = rig_up_bytes;
    give_text(link, "text\n");
    assert_null(next_up().route.data);
    len = rig_packet(200000, NULL);
    rig_give(link, packet_bytes, len);
    assert_int_equal(next_up().file_content.len, 200000);
    give_status(link, "t", MUX_STATUS_INPROGRESS);
    next_up();
    mux_link_ended(link, "killed by SIGSEGV");
    rig_run(now_ns);
    assert_null(next_up().route.data);
    assert_string_equal(mux_link_segment(link), "");
    assert_int_equal(rig_counter(MUX_COUNT_links_open), 1);
}

/* The owner gives the reason of a process's end: the tests in progress fail with it. */
static void the_owner_gives_the_reason(void **state) {
    (void)state;
    struct mux_link *link = rig_connect();
    give_status(link, "t", MUX_STATUS_INPROGRESS);
    next_up();
    mux_link_ended(link, "killed by SIGSEGV");
    rig_run(now_ns);
    struct mux_packet up = next_up();
    assert_text(up.test_id, "t");
    assert_int_equal(up.status, MUX_STATUS_FAIL);
    assert_text(up.file_content,
                "worker peer: killed by SIGSEGV while this test was in progress\n");
}

static size_t write_hello(uint8_t out[MUX_HELLO_PACKET_BYTES]) {
    struct mux_hello hello;
    mux_hello_init(&hello, "a1", "leaf");
    return mux_hello_write(&hello, out);
}

/* A link for nodes refuses a worker; a link for a worker refuses a node. */
static void nodes_and_workers(void **state) {
    (void)state;
    uint8_t hello[MUX_HELLO_PACKET_BYTES];
    size_t len = write_hello(hello);
    struct mux_link_config config = {"peer", "", true, .kind = MUX_LINK_NODE};
    rig_give(open_link(&config), hello, len);
    assert_int_equal(rig_counter(MUX_COUNT_nodes_connected), 1);
    struct mux_link *stranger = open_link(&config);
    give_status(stranger, "t", MUX_STATUS_INPROGRESS);
    assert_int_equal(rig_counter(MUX_COUNT_nodes_refused), 1);
    assert_non_null(strstr(rig_log, "did not open with a hello"));
    assert_true(rig_read_down(stranger) > 0);
    assert_non_null(mux_link_close_reason(stranger));
    config.kind = MUX_LINK_WORKER;
    rig_give(open_link(&config), hello, len);
    assert_int_equal(rig_counter(MUX_COUNT_nodes_connected), 1);
    assert_text(next_up().file_name, "muxd.hello");
}

static struct mux_packet input(const char *route, const char *text, bool eof) {
    struct mux_packet packet = {.file_name = mux_span_text("stdin"), .eof = eof};
    packet.file_content = mux_span_text(text);
    if (route)
        packet.route = mux_span_text(route);
    return packet;
}

/* A process's stdin gets the content alone, until a packet marks its end. */
static void a_raw_link(void **state) {
    (void)state;
    struct mux_link *link = open_link(&(struct mux_link_config){
        "peer", "", true, .kind = MUX_LINK_WORKER, .is_bare = true, .is_raw = true});
    give_text(link, "prompt> ");
    struct mux_packet packet = input(NULL, "continue\n", false);
    size_t len = encode(&packet, packet_bytes);
    rig_give_down(len); /* as bytes from the upstream ... */
    packet = input(NULL, "quit\n", true);
    assert_true(mux_add_down(mux, &packet)); /* ... and by program */
    assert_false(mux_link_input_ended(link));
    assert_int_equal(rig_read_down(link), strlen("continue\nquit\n"));
    assert_memory_equal(rig_down, "continue\nquit\n", strlen("continue\nquit\n"));
    assert_true(mux_link_input_ended(link));
    assert_true(mux_add_down(mux, &packet));
    assert_int_equal(rig_counter(MUX_COUNT_down_refused_packets), 1);
    assert_non_null(strstr(rig_log, "its input has ended"));
}

/* Packets from the owner go where packets from the upstream would. */
static void packets_down(void **state) {
    (void)state;
    struct mux_link *link = rig_connect();
    give_text(link, "x\n");
    struct mux_packet packet = input("0/a/b", "text", false), got;
    assert_true(mux_add_down(mux, &packet));
    size_t len = rig_read_down(link);
    assert_int_equal(mux_packet_parse(mux_span(rig_down, len), &got, NULL), MUX_OK);
    assert_true(mux_packet_verify(mux_span(rig_down, len)));
    assert_text(got.route, "a/b");
    assert_text(got.file_content, "text");
    packet = input("0", "text", false);
    assert_true(mux_add_down(mux, &packet));
    len = rig_read_down(link);
    assert_int_equal(mux_packet_parse(mux_span(rig_down, len), &got, NULL), MUX_OK);
    assert_null(got.route.data);
    packet = input("7", "text", false);
    assert_true(mux_add_down(mux, &packet));
    assert_int_equal(rig_counter(MUX_COUNT_down_unknown_packets), 1);
}

/* While a link does not read the answer is "not now"; nothing is lost or dropped. */
static void not_now(void **state) {
    (void)state;
    struct mux_link_stats stats;
    struct mux_link *link = rig_connect();
    give_text(link, "x\n");
    struct mux_packet packet = input("0", "0123456789", false);
    unsigned added = 0;
    while (mux_add_down(mux, &packet))
        added++;
    assert_true(added > 100);
    for (unsigned second = 0; second < 10; second++) {
        rig_run(now_ns + SECOND_NS);
        assert_false(mux_add_down(mux, &packet));
    }
    mux_link_stats(link, &stats);
    assert_int_equal(stats.wait, MUX_WAIT_READER);
    size_t queued = stats.queued_down_bytes;
    assert_int_equal(rig_read_down(link), queued);
    assert_true(mux_add_down(mux, &packet));
    assert_int_equal(queued % added, 0);
    assert_int_equal(rig_read_down(link), queued / added);
    assert_int_equal(rig_counter(MUX_COUNT_down_refused_packets), 0);
    assert_int_equal(rig_counter(MUX_COUNT_down_forwarded_packets), added + 1);
    mux_link_stats(link, &stats);
    assert_int_equal(stats.sent_down_bytes, queued + queued / added);
    assert_int_equal(stats.wait, MUX_WAIT_NOTHING);
}

static void what_a_link_does(void **state) {
    (void)state;
    struct mux_link_stats stats;
    struct mux_link *silent = rig_connect(), *link = rig_connect(), *waits = NULL;
    rig_run(100 * SECOND_NS);
    give_status(link, "first", MUX_STATUS_INPROGRESS);
    rig_run(now_ns + 7 * SECOND_NS);
    give_status(link, "second", MUX_STATUS_INPROGRESS);
    rig_run(now_ns + SECOND_NS);
    mux_link_stats(link, &stats);
    assert_int_equal(stats.standing, MUX_STANDING_OPEN);
    assert_int_equal(stats.tests, 2);
    assert_int_equal(stats.received_packets, 2);
    assert_true(stats.received_bytes > 0);
    assert_text(stats.oldest_id, "first");
    assert_int_equal(stats.oldest_age_ns, 8 * SECOND_NS);
    give_status(link, "first", MUX_STATUS_SUCCESS);
    mux_link_stats(link, &stats);
    assert_text(stats.oldest_id, "second");
    assert_int_equal(stats.oldest_age_ns, SECOND_NS);
    mux_link_stats(silent, &stats);
    assert_int_equal(stats.standing, MUX_STANDING_SILENT);
    assert_null(stats.oldest_id.data);
    for (unsigned i = 0; i < 2; i++) { /* there is one large slot */
        waits = rig_connect();
        rig_packet(RIG_PACKET_BYTES / 2, NULL);
        rig_give(waits, packet_bytes, 10000);
        mux_link_stats(waits, &stats);
        assert_int_equal(stats.has_slot, i == 0);
    }
    assert_int_equal(stats.wait, MUX_WAIT_SLOT);
    unsigned count = 0;
    for (struct mux_link *at = NULL; (at = mux_link_next(mux, at)); count++)
        ;
    assert_int_equal(count, 4);
}

/* It has it before its first byte, and the next one may have it when it has gone. */
static void a_given_segment(void **state) {
    const struct mux_packet packet = {.file_name = mux_span_text("stdin"),
                                      .file_content = mux_span_text("c"),
                                      .route = mux_span_text("7")};
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct mux_link *link = open_link(&(struct mux_link_config){
            "peer", "", .way_down = true, .kind = MUX_LINK_WORKER, .segment = "7"});
        assert_string_equal(mux_link_segment(link), "7");
        assert_true(mux_add_down(mux, &packet));
        assert_true(rig_read_down(link) > 0);
        give_status(link, "test", MUX_STATUS_INPROGRESS);
        assert_text(next_up().route, "7");
        rig_lose(link);
        assert_text(next_up().test_id, "test");
    }
}

#define KIND_TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, rig_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        KIND_TEST(stderr_is_text),    KIND_TEST(a_bare_link),
        KIND_TEST(a_raw_link),        KIND_TEST(the_owner_gives_the_reason),
        KIND_TEST(nodes_and_workers), KIND_TEST(packets_down),
        KIND_TEST(not_now),           KIND_TEST(what_a_link_does),
        KIND_TEST(a_given_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
