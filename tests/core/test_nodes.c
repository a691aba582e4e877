/* Node links: hello, away and back, given up, and the message of each. */
#include "tests/core/rig.h"

#include "mux/node/hello.h"

#include <stdio.h>

#define GRACE_NS (30 * SECOND_NS)

static struct mux_link *connect_node(const char *identity, const char *name) {
    struct mux_hello hello;
    uint8_t bytes[MUX_HELLO_PACKET_BYTES];
    mux_hello_init(&hello, identity, name);
    struct mux_link *link = rig_connect();
    rig_give(link, bytes, mux_hello_write(&hello, bytes));
    return link;
}

static void give_status(struct mux_link *link, const char *id, enum mux_status status) {
    rig_give_status(link, id, "5", status);
}

/* The next packet that went up has this id, route and status. */
static size_t up_at;

static void assert_up(const char *id, const char *route, enum mux_status status) {
    struct mux_packet packet;
    rig_send_up();
    assert_true(rig_next_up(&up_at, &packet));
    assert_true(mux_span_equal(packet.test_id, mux_span_text(id ? id : "")));
    assert_true(mux_span_equal(packet.route, mux_span_text(route ? route : "")));
    assert_int_equal(packet.status, status);
}

static void assert_nothing_up(void) {
    rig_send_up();
    assert_int_equal(up_at, rig_up_bytes);
}

static int open_nodes(void **state) {
    up_at = 0;
    return rig_open(state);
}

static void hello_is_not_forwarded(void **state) {
    (void)state;
    struct mux_link *link = connect_node("a1", "leaf7");
    assert_nothing_up();
    assert_non_null(strstr(rig_log, "link 0 is node leaf7"));
    assert_true(rig_read_down(link) > 40); /* the answer: the rig's own hello */
    give_status(link, "t", MUX_STATUS_INPROGRESS);
    assert_up("t", "0/5", MUX_STATUS_INPROGRESS);
}

/* A short loss: no test fails, the segment stays, no packet comes twice. */
static void away_and_back(void **state) {
    (void)state;
    struct mux_link *link = connect_node("a1", "leaf");
    give_status(link, "t", MUX_STATUS_INPROGRESS);
    assert_up("t", "0/5", MUX_STATUS_INPROGRESS);
    size_t len = rig_packet(3000, NULL);
    rig_give(link, packet_bytes, len / 2); /* the node sends it again, whole */
    rig_lose(link);
    assert_up(NULL, NULL, MUX_STATUS_NONE); /* unreachable */
    assert_non_null(strstr(rig_log, "node leaf (link 0) is unreachable"));
    rig_run(now_ns + GRACE_NS - 1);
    assert_nothing_up();
    link = connect_node("a1", "leaf");
    assert_string_equal(mux_link_segment(link), "0");
    give_status(link, "t", MUX_STATUS_SUCCESS);
    assert_up("t", "0/5", MUX_STATUS_SUCCESS);
    rig_run(now_ns + 2 * GRACE_NS);
    assert_nothing_up();
    assert_int_equal(rig_counter(MUX_COUNT_tests_failed), 0);
    assert_int_equal(rig_counter(MUX_COUNT_damages), 0);
    assert_int_equal(rig_counter(MUX_COUNT_nodes_cut_bytes), len / 2);
    assert_int_equal(rig_counter(MUX_COUNT_nodes_returned), 1);
    assert_int_equal(rig_counter(MUX_COUNT_links_open), 1);
}

static void given_up(void **state) {
    (void)state;
    struct mux_link *link = connect_node("a1", "leaf");
    give_status(link, "one", MUX_STATUS_INPROGRESS);
    give_status(link, "two", MUX_STATUS_INPROGRESS);
    give_status(link, "two", MUX_STATUS_SUCCESS);
    assert_up("one", "0/5", MUX_STATUS_INPROGRESS);
    assert_up("two", "0/5", MUX_STATUS_INPROGRESS);
    assert_up("two", "0/5", MUX_STATUS_SUCCESS);
    rig_lose(link);
    assert_up(NULL, NULL, MUX_STATUS_NONE);
    assert_true(mux_deadline_ns(mux) == now_ns + GRACE_NS);
    rig_run(now_ns + GRACE_NS);
    assert_up("one", "0/5", MUX_STATUS_FAIL);
    assert_nothing_up();
    assert_int_equal(rig_counter(MUX_COUNT_links_open), 0);
    link = connect_node("a1", "leaf"); /* too late: it is a new node */
    assert_string_equal(mux_link_segment(link), "1");
    assert_true(mux_deadline_ns(mux) == UINT64_MAX);
}

/* Another identity is another node: it does not get the tests of the node that is away. */
static void another_identity(void **state) {
    (void)state;
    struct mux_link *link = connect_node("a1", "leaf");
    give_status(link, "t", MUX_STATUS_INPROGRESS);
    assert_up("t", "0/5", MUX_STATUS_INPROGRESS);
    rig_lose(link);
    assert_up(NULL, NULL, MUX_STATUS_NONE);
    link = connect_node("a2", "leaf");
    assert_string_equal(mux_link_segment(link), "1");
    give_status(link, "t", MUX_STATUS_SUCCESS);
    assert_up("t", "1/5", MUX_STATUS_SUCCESS);
    rig_run(now_ns + GRACE_NS);
    assert_up("t", "0/5", MUX_STATUS_FAIL);
}

/* It connects again before the end of its old connection is known: the old bytes come first. */
static void superseded(void **state) {
    (void)state;
    struct mux_link *old = connect_node("a1", "leaf");
    give_status(old, "t", MUX_STATUS_INPROGRESS);
    struct mux_link *link = connect_node("a1", "leaf");
    size_t len = rig_packet(10, NULL);
    rig_push(link, packet_bytes, len);
    mux_run(mux, now_ns);
    assert_false(mux_link_wants_receive(link));
    assert_up("t", "0/5", MUX_STATUS_INPROGRESS);
    assert_nothing_up();
    now_ns += SECOND_NS / 10;
    give_status(old, "t", MUX_STATUS_SUCCESS);
    assert_up("t", "0/5", MUX_STATUS_SUCCESS);
    assert_null(mux_link_close_reason(old));
    rig_run(mux_deadline_ns(mux));
    assert_non_null(mux_link_close_reason(old));
    mux_link_ended(old, "its connection was lost");
    rig_run(now_ns);
    mux_link_close(old);
    assert_true(mux_deadline_ns(mux) <= now_ns); /* the new connection has work */
    rig_run(now_ns);
    assert_string_equal(mux_link_segment(link), "0");
    assert_up("t", "0", MUX_STATUS_NONE);
    assert_nothing_up();
    assert_true(mux_link_wants_receive(link));
    assert_true(mux_deadline_ns(mux) == UINT64_MAX);
}

/* The newer connection is lost before its turn: the older one is as it was. */
static void newer_connection_is_lost(void **state) {
    (void)state;
    struct mux_link *old = connect_node("a1", "leaf");
    give_status(old, "t", MUX_STATUS_INPROGRESS);
    assert_up("t", "0/5", MUX_STATUS_INPROGRESS);
    struct mux_link *link = connect_node("a1", "leaf");
    mux_link_ended(link, "it ended");
    mux_link_close(link);
    rig_lose(old);
    assert_up(NULL, NULL, MUX_STATUS_NONE);
    link = connect_node("a1", "leaf");
    assert_string_equal(mux_link_segment(link), "0");
}

static const struct {
    const char *content, *words;
} refused_hellos[] = {
    {"version=2\nidentity=a1\nname=x\n", "it speaks another version"},
    {"version=1\nname=x\n", "its hello is malformed: its identity is missing or no"},
    {"version=1\nidentity=A1\nname=x\n", "malformed: its identity is missing or no"},
    {"version=99999999999\nidentity=a1\nname=x\n", "malformed: its version is missing or no"},
    {"version=1\nidentity=0e1f\nname=x\n", "it is this node itself: a loop"}, /* the rig's own */
    {"version=1\nidentity=a1\n", "malformed: its name is missing or no"},
    {"version=1\nidentity=a1\nname=\n", "malformed: its name is missing or no"},
    {"version=1\nidentity=a1\nname=a/b/c\n", "malformed: its name is missing or no"},
    {"version=1\nidentity=a1\nname=a b\n", "malformed: its name is missing or no"},
    {"version=1\nidentity=a1\nidentity=a1\nname=x\n", "malformed: a key stands in it twice"},
    {"version=1\nversion=2\nidentity=a1\nname=x\n", "malformed: a key stands in it twice"},
    {"version=1\nidentity=a1\nname=x\nproof=\nproof=\n", "malformed: a key stands in it twice"},
    {"version=1\nidentity=a1\nname=x\nproof=?\n", "malformed: its proof, secret or path is none"},
    {"version=1\nidentity=a1\nname=x\ntime=-1\n", "malformed: its time is none"},
};
#define REFUSED_HELLOS (sizeof refused_hellos / sizeof *refused_hellos)

static void refused_in_words(void **state) {
    (void)state;
    for (unsigned i = 0; i < REFUSED_HELLOS; i++) {
        uint8_t bytes[1000];
        size_t len;
        struct mux_packet packet = {.file_name = mux_span_text("muxd.hello"),
                                    .file_content = mux_span_text(refused_hellos[i].content)};
        struct mux_link *link = rig_connect();
        assert_int_equal(mux_packet_encode(&packet, bytes, sizeof bytes, &len), MUX_OK);
        rig_push(link, bytes, len);
        rig_push(link, bytes, len);
        mux_run(mux, now_ns);
        assert_non_null(strstr(rig_log, "is refused as a node: "));
        assert_non_null(strstr(rig_log, refused_hellos[i].words));
        assert_null(mux_link_close_reason(link)); /* not before the message is sent */
        assert_true(rig_read_down(link) > 50);
        assert_non_null(mux_link_close_reason(link));
        mux_link_ended(link, "it ended");
        mux_run(mux, now_ns);
        assert_true(mux_link_finished(link));
        mux_link_close(link);
    }
    assert_nothing_up();
    assert_int_equal(rig_counter(MUX_COUNT_nodes_refused), REFUSED_HELLOS);
    /* the bytes after the hellos */
    assert_true(rig_counter(MUX_COUNT_nodes_cut_bytes) > REFUSED_HELLOS * 30);
    assert_int_equal(rig_counter(MUX_COUNT_links_open), 0);
}

/* Forbidden characters of a name are replaced in messages; unknown keys may come repeatedly. */
static void names_and_unknown_keys(void **state) {
    (void)state;
    static const char content[] = "later=1\nversion=1\nidentity=a3\nname=x\nlater=2\nnodes\n";
    connect_node("a1", "");
    assert_non_null(strstr(rig_log, "link 0 is node _:"));
    connect_node("a2", "a/b c");
    assert_non_null(strstr(rig_log, "link 1 is node a_b_c:"));
    struct mux_link *link = rig_connect();
    struct mux_packet packet = {.file_name = mux_span_text("muxd.hello"),
                                .file_content = mux_span_text(content)};
    rig_give_packet(link, &packet);
    assert_non_null(strstr(rig_log, "link 2 is node x:"));
}

/* A hello that is not the first packet is a worker's attachment. */
static void a_later_hello(void **state) {
    (void)state;
    struct mux_link *link = rig_connect();
    rig_give(link, (const uint8_t *)"x\n", 2);
    struct mux_hello hello;
    uint8_t bytes[MUX_HELLO_PACKET_BYTES];
    mux_hello_init(&hello, "a1", "leaf");
    rig_give(link, bytes, mux_hello_write(&hello, bytes));
    assert_int_equal(rig_counter(MUX_COUNT_nodes_connected), 0);
    assert_up(NULL, "0", MUX_STATUS_NONE);
    assert_up(NULL, "0", MUX_STATUS_NONE);
}

/* Strings that another node has checked are not checked again; CRCs are checked. */
static void trusted(void **state) {
    (void)state;
    size_t len = rig_packet(0, NULL); /* test id "t" is byte 5 */
    struct mux_link *node = connect_node("a1", "leaf"), *worker = rig_connect();
    packet_bytes[5] = 0;
    rig_seal(len);
    rig_give(worker, packet_bytes, len);
    assert_int_equal(rig_counter(MUX_COUNT_damages), 1);
    rig_give(node, packet_bytes, len);
    assert_int_equal(rig_counter(MUX_COUNT_damages), 1);
    packet_bytes[len - 1] ^= 1;
    rig_give(node, packet_bytes, len);
    assert_int_equal(rig_counter(MUX_COUNT_damages), 2);
}

/* A packet down to a node that is away is answered. */
static void no_way_down_to_a_node_that_is_away(void **state) {
    (void)state;
    rig_lose(connect_node("a1", "leaf"));
    rig_give_down(rig_packet(10, "0/5"));
    assert_non_null(strstr(rig_log, "its node is unreachable"));
}

/* When this node ends it waits for no node that is away. */
static void the_end(void **state) {
    (void)state;
    struct mux_link *link = connect_node("a1", "leaf");
    give_status(link, "t", MUX_STATUS_INPROGRESS);
    assert_up("t", "0/5", MUX_STATUS_INPROGRESS);
    mux_end(mux);
    rig_lose(link);
    assert_nothing_up();
    assert_int_equal(rig_counter(MUX_COUNT_links_open), 0);
    assert_int_equal(rig_counter(MUX_COUNT_tests_failed), 0);
}

/* After a goodbye the node is not waited for, and its tests in progress fail. */
static void goodbye(void **state) {
    (void)state;
    uint8_t bytes[MUX_HELLO_PACKET_BYTES];
    struct mux_link *link = connect_node("a1", "leaf");
    give_status(link, "t", MUX_STATUS_INPROGRESS);
    rig_give(link, bytes, mux_goodbye_write(0, bytes));
    assert_up("t", "0/5", MUX_STATUS_INPROGRESS);
    assert_nothing_up();
    rig_lose(link);
    assert_up("t", "0/5", MUX_STATUS_FAIL);
    assert_nothing_up();
    assert_int_equal(rig_counter(MUX_COUNT_links_open), 0);
    assert_int_equal(rig_counter(MUX_COUNT_nodes_lost), 0);
    assert_true(mux_deadline_ns(mux) == UINT64_MAX);
}

/* The end of a node is known before its goodbye is read: the goodbye is the reason. */
static void goodbye_and_end_at_once(void **state) {
    (void)state;
    static const char reason[] = "node leaf ended while";
    uint8_t bytes[MUX_HELLO_PACKET_BYTES];
    struct mux_link *link = connect_node("a1", "leaf");
    give_status(link, "t", MUX_STATUS_INPROGRESS);
    rig_push(link, bytes, mux_goodbye_write(0, bytes));
    rig_lose(link);
    assert_up("t", "0/5", MUX_STATUS_INPROGRESS);
    assert_up("t", "0/5", MUX_STATUS_FAIL);
    assert_non_null(memmem(rig_up, rig_up_bytes, reason, strlen(reason)));
}

static void a_worker_says_goodbye(void **state) {
    (void)state;
    uint8_t bytes[MUX_HELLO_PACKET_BYTES];
    struct mux_link *link = rig_connect();
    rig_give(link, bytes, mux_goodbye_write(0, bytes));
    assert_up(NULL, "0", MUX_STATUS_NONE);
}

/* Nodes that are away take no worker's place, and strangers no place of a node known for longer. */
static void strangers_that_go(void **state) {
    (void)state;
    char identity[8];
    struct mux_link *known = connect_node("aa", "known");
    give_status(known, "t", MUX_STATUS_INPROGRESS);
    rig_run(now_ns + SECOND_NS);
    rig_lose(known);
    for (unsigned i = 0; i < 3 * RIG_LINKS; i++) {
        snprintf(identity, sizeof identity, "b%u", i);
        struct mux_link *link = connect_node(identity, "stranger");
        if (i % 2)
            give_status(link, "t", MUX_STATUS_INPROGRESS);
        rig_lose(link);
    }
    assert_true(rig_counter(MUX_COUNT_nodes_given_up) > RIG_LINKS);
    for (unsigned i = 0; i < RIG_LINKS; i++)
        rig_give(rig_connect(), (const uint8_t *)"x\n", 2);
    known = connect_node("aa", "known"); /* it needs none of these places */
    assert_string_equal(mux_link_segment(known), "0");
    assert_non_null(strstr(rig_log, "is back"));
}

/* A connection without a place is closed unless a known node made it. */
static void no_place(void **state) {
    (void)state;
    static const uint8_t word[] = "x\n";
    struct mux_link *links[RIG_LINKS];
    for (unsigned i = 0; i < RIG_LINKS; i++)
        rig_give(links[i] = rig_connect(), word, 2);
    struct mux_link *silent = rig_connect(), *worker = rig_connect();
    rig_give(worker, word, 2);
    assert_true(mux_link_turned_away(worker));
    assert_null(mux_link_close_reason(worker)); /* not before it was told why */
    assert_true(rig_read_down(worker) > 0);
    assert_non_null(mux_link_close_reason(worker));
    assert_string_equal(mux_link_segment(worker), "");
    struct mux_link *stranger = connect_node("b1", "stranger");
    assert_true(mux_link_turned_away(stranger));
    assert_int_equal(rig_counter(MUX_COUNT_nodes_connected), 0);
    rig_lose(links[3]);
    rig_give(silent, word, 2); /* it gets the place that became free */
    assert_false(mux_link_turned_away(silent));
    assert_string_equal(mux_link_segment(silent), "16");
    rig_lose(worker);
    rig_lose(stranger);
    assert_int_equal(rig_counter(MUX_COUNT_links_open), RIG_LINKS);
}

static struct mux_link *connect_from(const char *host) {
    return mux_link_open(mux, &(struct mux_link_config){"peer", host, true, NULL});
}

/* A connection that sends gets the place of the one that was silent longest. */
static void silent_strangers_yield(void **state) {
    (void)state;
    static const uint8_t word[] = "x\n";
    struct mux_link *links[RIG_LINKS];
    for (unsigned i = 0; i < RIG_LINKS; i++)
        links[i] = i == 0 ? rig_connect() : connect_from("10.0.0.9"); /* the first: by a pipe */
    struct mux_link *worker = connect_from("10.0.0.7");
    rig_give(worker, word, 2);
    assert_string_equal(mux_link_segment(worker), "0");
    rig_give(links[2], word, 2); /* it still has its place */
    assert_string_equal(mux_link_segment(links[2]), "1");
    rig_give(links[1], word, 2); /* its place is gone; it gets another one's */
    assert_string_equal(mux_link_segment(links[1]), "2");
    for (unsigned i = 4; i < RIG_LINKS; i++)
        rig_give(links[i], word, 2);
    rig_give(links[3], word, 2);
    assert_true(mux_link_turned_away(links[3]));
    rig_give(links[0], word, 2);
    assert_string_equal(mux_link_segment(links[0]), "15");
    assert_int_equal(rig_counter(MUX_COUNT_links_open), RIG_LINKS);
}

/* Silent connections make room for one that may be a returning node. */
static void silent_strangers(void **state) {
    (void)state;
    struct mux_link_config config = {"peer", "", true, NULL};
    struct mux_link *first = NULL;
    for (unsigned i = 0; i < RIG_LINKS; i++)
        rig_give(rig_connect(), (const uint8_t *)"x\n", 2);
    for (struct mux_link *link = rig_connect(); link; link = mux_link_open(mux, &config))
        first = first ? first : link;
    assert_true(mux_link_turned_away(first));
    rig_run(now_ns);
    mux_link_ended(first, "it was closed");
    rig_run(now_ns);
    assert_true(mux_link_finished(first));
    mux_link_close(first);
    rig_connect();
}

/* The old connection ends with this node: packets of the new one still go up, on the same link. */
static void superseded_at_the_end(void **state) {
    (void)state;
    struct mux_link *old = connect_node("a1", "leaf");
    struct mux_link *link = connect_node("a1", "leaf");
    size_t len = rig_packet(10, NULL);
    rig_push(link, packet_bytes, len);
    mux_end(mux);
    mux_link_ended(link, "muxd ended");
    rig_lose(old);
    rig_run(now_ns);
    assert_up("t", "0", MUX_STATUS_NONE);
    assert_nothing_up();
    assert_true(mux_link_finished(link));
    mux_link_close(link);
    assert_int_equal(rig_counter(MUX_COUNT_links_open), 0);
}

/* Tests with unreadable names are reported by their number. */
static void tests_with_bad_names(void **state) {
    (void)state;
    uint8_t bytes[1000];
    size_t len;
    struct mux_link *link = connect_node("a1", "leaf");
    struct mux_packet packet = {.status = MUX_STATUS_INPROGRESS, .test_id = mux_span_text("\xff")};
    struct mux_pieces pieces;
    assert_int_equal(mux_packet_gather(&packet, &pieces), MUX_OK); /* checks no strings */
    len = pieces.len_bytes;
    mux_pieces_copy(&pieces, bytes);
    rig_give(link, bytes, len);
    assert_int_equal(rig_counter(MUX_COUNT_tests_untracked), 1);
    rig_lose(link);
    rig_run(now_ns + GRACE_NS);
    rig_send_up();
    assert_int_equal(rig_counter(MUX_COUNT_tests_failed), 1);
    assert_non_null(strstr(rig_log, "and 1 more tests were in progress"));
}

/* Strangers say hello and hold all they can get: workers and known nodes still have their share. */
static void hostile_nodes(void **state) {
    (void)state;
    static const char *const identities[] = {"a1", "a2", "a3", "a4"};
    char id[16];
    for (unsigned i = 0; i < 4; i++) {
        struct mux_link *link = connect_node(identities[i], "stranger");
        for (unsigned test = 0; test < 10000; test++) {
            snprintf(id, sizeof id, "t%u", test);
            give_status(link, id, MUX_STATUS_INPROGRESS);
            if (test % 1000 == 0)
                rig_send_up();
        }
    }
    assert_true(rig_counter(MUX_COUNT_tests_untracked) > 0);
    struct mux_link *dead[] = {rig_connect(), connect_node("b1", "leaf")};
    for (unsigned i = 0; i < 2; i++) {
        uint64_t failed = rig_counter(MUX_COUNT_tests_failed);
        for (unsigned test = 0; test < 2000; test++) {
            snprintf(id, sizeof id, "t%u", test);
            give_status(dead[i], id, MUX_STATUS_INPROGRESS);
        }
        *rig_log = '\0';
        rig_lose(dead[i]);
        rig_run(now_ns + GRACE_NS);
        rig_send_up();
        assert_int_equal(rig_counter(MUX_COUNT_tests_failed), failed + 2000);
        assert_null(strstr(rig_log, "more tests"));
    }
}

#define NODE_TEST(name) cmocka_unit_test_setup_teardown(name, open_nodes, rig_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        NODE_TEST(hello_is_not_forwarded),
        NODE_TEST(away_and_back),
        NODE_TEST(given_up),
        NODE_TEST(another_identity),
        NODE_TEST(superseded),
        NODE_TEST(newer_connection_is_lost),
        NODE_TEST(refused_in_words),
        NODE_TEST(names_and_unknown_keys),
        NODE_TEST(a_later_hello),
        NODE_TEST(trusted),
        NODE_TEST(no_way_down_to_a_node_that_is_away),
        NODE_TEST(the_end),
        NODE_TEST(goodbye),
        NODE_TEST(a_worker_says_goodbye),
        NODE_TEST(goodbye_and_end_at_once),
        NODE_TEST(strangers_that_go),
        NODE_TEST(no_place),
        NODE_TEST(silent_strangers),
        NODE_TEST(silent_strangers_yield),
        NODE_TEST(superseded_at_the_end),
        NODE_TEST(tests_with_bad_names),
        NODE_TEST(hostile_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
