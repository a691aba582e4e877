/*
 * Who is the same node again: proofs, connections that stand while a newer one is there, nodes that
 * come another way, and time in which this node did not run.
 */
#include "tests/core/rig.h"

#include "mux/node/hello.h"

#include <stdio.h>

#define GRACE_NS (30 * SECOND_NS)

static char secret[MUX_IDENTITY_BYTES]; /* of the last answer */

static void give_hello(struct mux_link *link, const char *identity, const char *proof) {
    struct mux_hello hello;
    uint8_t bytes[MUX_HELLO_PACKET_BYTES];
    mux_hello_init(&hello, identity, "leaf");
    hello.proves = proof != NULL;
    snprintf(hello.proof, sizeof hello.proof, "%s", proof ? proof : "");
    rig_give(link, bytes, mux_hello_write(&hello, bytes));
}

/* A node connects; proof NULL: of a version that knows none. */
static struct mux_link *connect_node(const char *identity, const char *proof) {
    struct mux_hello answer;
    struct mux_packet packet;
    struct mux_link *link = rig_connect();
    give_hello(link, identity, proof);
    size_t len = rig_read_down(link);
    assert_true(len > 0);
    assert_int_equal(mux_packet_parse(mux_span(rig_down, len), &packet, NULL), MUX_OK);
    if (!mux_hello_is(&packet))
        return link;
    assert_null(mux_hello_read(&packet, &answer));
    assert_int_equal(strlen(answer.secret), MUX_IDENTITY_BYTES - 1);
    assert_string_not_equal(answer.identity, identity);
    memcpy(secret, answer.secret, sizeof secret);
    return link;
}

static void give_notice(struct mux_link *link, const char *identity, const char *route, bool here) {
    struct mux_notice notice = {.here = here};
    uint8_t bytes[MUX_HELLO_PACKET_BYTES];
    snprintf(notice.identity, sizeof notice.identity, "%s", identity);
    rig_give(link, bytes, mux_notice_write(&notice, mux_span_text(route), bytes));
}

static void give_goodbye(struct mux_link *link, uint32_t nodes) {
    uint8_t bytes[MUX_HELLO_PACKET_BYTES];
    rig_give(link, bytes, mux_goodbye_write(nodes, bytes));
}

/* How often a test has this status in what went up, under this route? */
static unsigned count_up(const char *id, const char *route, enum mux_status status) {
    struct mux_packet packet;
    unsigned count = 0;
    rig_send_up();
    for (size_t at = 0; rig_next_up(&at, &packet);)
        count += mux_span_equal(packet.test_id, mux_span_text(id)) && packet.status == status &&
                 mux_span_equal(packet.route, mux_span_text(route));
    return count;
}

/*
 * ---- proofs ----
 */

static void without_the_proof(void **state) {
    (void)state;
    struct mux_link *old = connect_node("a1", "");
    rig_give_status(old, "t", "0", MUX_STATUS_INPROGRESS);
    static const char *const proofs[] = {"", "0123", NULL};
    for (unsigned i = 0; i < 3; i++) {
        struct mux_link *thief = connect_node("a1", proofs[i]);
        assert_non_null(strstr(rig_log, "is refused as a node: its identity is in use"));
        assert_non_null(mux_link_close_reason(thief));
    }
    rig_lose(old); /* not while it is away either */
    connect_node("a1", "");
    assert_non_null(strstr(rig_log, "is refused as a node"));
    assert_int_equal(rig_counter(MUX_COUNT_nodes_returned), 0);
    char proof[MUX_IDENTITY_BYTES];
    memcpy(proof, secret, sizeof proof);
    assert_string_equal(mux_link_segment(connect_node("a1", proof)), "0");
    assert_int_equal(rig_counter(MUX_COUNT_nodes_returned), 1);
}

/* Its first answer may not have reached it: until it has said something nothing is there to take.
 */
static void before_the_first_answer(void **state) {
    (void)state;
    struct mux_link *old = connect_node("a1", "");
    struct mux_link *link = connect_node("a1", "");
    assert_null(mux_link_close_reason(link));
    rig_lose(old);
    assert_string_equal(mux_link_segment(link), "0");
}

/* The newer connection has the proof: the older one may drip as long as it likes. */
static void the_proof_wins(void **state) {
    (void)state;
    struct mux_link *old = connect_node("a1", "");
    rig_give_status(old, "t", "0", MUX_STATUS_INPROGRESS);
    struct mux_link *link = connect_node("a1", secret);
    assert_false(mux_link_wants_receive(link));
    while (!mux_link_close_reason(old)) {
        assert_true(now_ns < SECOND_NS);
        rig_give_status(old, "drip", "0", MUX_STATUS_SUCCESS);
        rig_run(now_ns + SECOND_NS / 10);
    }
    rig_lose(old);
    assert_true(mux_link_wants_receive(link));
    rig_give_status(link, "t", "0", MUX_STATUS_SUCCESS);
    assert_int_equal(count_up("t", "0/0", MUX_STATUS_SUCCESS), 1);
    assert_int_equal(rig_counter(MUX_COUNT_tests_failed), 0);
}

/* What our kernel has of the old connection is read before it is closed, however long that takes.
 */
static void unread_bytes_come_first(void **state) {
    (void)state;
    struct mux_link *old = connect_node("a1", "");
    rig_give_status(old, "t", "0", MUX_STATUS_INPROGRESS);
    struct mux_link *link = connect_node("a1", secret);
    rig_unread = true;
    for (unsigned i = 0; i < 100; i++)
        rig_run(now_ns + SECOND_NS);
    assert_null(mux_link_close_reason(old));
    rig_give_status(old, "late", "0", MUX_STATUS_SUCCESS);
    assert_int_equal(count_up("late", "0/0", MUX_STATUS_SUCCESS), 1);
    rig_unread = false;
    rig_run(now_ns + SECOND_NS);
    assert_non_null(mux_link_close_reason(old));
    assert_false(mux_link_wants_receive(link));
}

/* Three connections, each newer: they have their turns in that order. */
static void a_chain(void **state) {
    (void)state;
    struct mux_link *links[12];
    unsigned count = 1;
    links[0] = connect_node("a1", "");
    rig_give_status(links[0], "t", "0", MUX_STATUS_INPROGRESS);
    for (; count < 12; count++) {
        links[count] = connect_node("a1", secret);
        if (mux_link_close_reason(links[count]))
            break;
    }
    assert_true(count >= 3 && count < 12); /* bounded */
    rig_lose(links[0]);
    assert_true(mux_link_wants_receive(links[1]));
    assert_false(mux_link_wants_receive(links[2]));
    mux_link_ended(links[2], "it was lost"); /* one in the middle goes */
    mux_link_close(links[2]);
    rig_lose(links[1]);
    assert_true(mux_link_wants_receive(links[3]));
    assert_string_equal(mux_link_segment(links[3]), "0");
}

/*
 * ---- another way ----
 */

/* A node in the middle is started anew; the leaf below it lives on. */
static void the_middle_ends(uint32_t nodes_left, bool is_killed) {
    struct mux_link *middle = connect_node("a1", "");
    give_notice(middle, "1eaf", "3", true);
    rig_give_status(middle, "of-leaf", "3/0", MUX_STATUS_INPROGRESS);
    rig_give_status(middle, "of-other", "4/0", MUX_STATUS_INPROGRESS);
    if (!is_killed)
        give_goodbye(middle, nodes_left);
    rig_lose(middle);
    assert_int_equal(rig_counter(MUX_COUNT_tests_failed), nodes_left || is_killed ? 0 : 2);
}

static void comes_back(void) {
    struct mux_link *again = connect_node("a2", "");
    give_notice(again, "1eaf", "0", true);
    rig_give_status(again, "of-leaf", "0/0", MUX_STATUS_INPROGRESS);
    rig_run(now_ns + GRACE_NS);
    assert_int_equal(count_up("of-leaf", "0/3/0", MUX_STATUS_FAIL), 0);
    assert_int_equal(count_up("of-other", "0/4/0", MUX_STATUS_FAIL), 1); /* it never came back */
    give_goodbye(again, 0);
    rig_lose(again);
    assert_int_equal(count_up("of-leaf", "1/0/0", MUX_STATUS_FAIL), 1);
}

static void the_middle_says_goodbye(void **state) {
    (void)state;
    the_middle_ends(2, false);
    assert_non_null(strstr(rig_log, "node leaf (link 0) ended; tests in progress of nodes below"));
    comes_back();
}

static void the_middle_is_killed(void **state) {
    (void)state;
    the_middle_ends(0, true);
    comes_back();
}

/* What the middle had taken from the leaf and not sent on died with it: the leaf, for which those
 * tests have ended, does not tell of them again. */
static void ends_are_lost_with_the_middle(void **state) {
    (void)state;
    struct mux_link *middle = connect_node("a1", "");
    give_notice(middle, "1eaf", "3", true);
    give_notice(middle, "1ea2", "3/7", true); /* below it */
    rig_give_status(middle, "ended", "3/0", MUX_STATUS_INPROGRESS);
    rig_give_status(middle, "ended-below", "3/7/0", MUX_STATUS_INPROGRESS);
    rig_give_status(middle, "ends-there", "3/0", MUX_STATUS_INPROGRESS);
    rig_give_status(middle, "told-again", "3/7/0", MUX_STATUS_INPROGRESS);
    rig_lose(middle);
    struct mux_link *again = connect_node("a2", "");
    give_notice(again, "1eaf", "0", true);
    give_notice(again, "1ea2", "0/7", true);
    rig_give_status(again, "told-again", "0/7/0", MUX_STATUS_INPROGRESS);
    rig_give_status(again, "ends-there", "0/0", MUX_STATUS_SUCCESS); /* sent a second time */
    rig_give_status(again, "ended", "00/0", MUX_STATUS_SUCCESS);     /* somebody else's */
    rig_run(now_ns + GRACE_NS);
    assert_int_equal(count_up("ended", "0/3/0", MUX_STATUS_FAIL), 1);
    assert_int_equal(count_up("ended-below", "0/3/7/0", MUX_STATUS_FAIL), 1);
    assert_int_equal(rig_counter(MUX_COUNT_tests_failed), 2);
    rig_give_status(again, "told-again", "0/7/0", MUX_STATUS_SUCCESS);
    give_goodbye(again, 0);
    rig_lose(again);
    assert_int_equal(rig_counter(MUX_COUNT_tests_failed), 2);
}

/* It connects directly after its own connection, which took an end with it. */
static void ends_are_lost_with_the_way(void **state) {
    (void)state;
    struct mux_link *leaf = connect_node("1eaf", "");
    rig_give_status(leaf, "ended", "0", MUX_STATUS_INPROGRESS);
    rig_give_status(leaf, "told-again", "0", MUX_STATUS_INPROGRESS);
    rig_lose(leaf);
    struct mux_link *middle = connect_node("a1", "");
    give_notice(middle, "1eaf", "3", true);
    rig_give_status(middle, "told-again", "3/0", MUX_STATUS_INPROGRESS);
    rig_run(now_ns + GRACE_NS);
    assert_int_equal(count_up("ended", "0/0", MUX_STATUS_FAIL), 1);
    assert_int_equal(rig_counter(MUX_COUNT_tests_failed), 1);
}

static void nothing_is_below(void **state) {
    (void)state;
    the_middle_ends(0, false);
}

/* The leaf itself connects here, and its old way still stands. */
static void directly(void **state) {
    (void)state;
    struct mux_link *middle = connect_node("a1", "");
    give_notice(middle, "1eaf", "3", true);
    give_notice(middle, "1ea2", "3/7", true); /* below it */
    rig_give_status(middle, "t", "3/0", MUX_STATUS_INPROGRESS);
    rig_give_status(middle, "u", "33/0", MUX_STATUS_INPROGRESS);
    struct mux_link *leaf = connect_node("1eaf", "");
    rig_give_status(leaf, "t", "0", MUX_STATUS_INPROGRESS);
    give_goodbye(middle, 0);
    rig_lose(middle);
    assert_int_equal(count_up("t", "0/3/0", MUX_STATUS_FAIL), 0);
    assert_int_equal(count_up("u", "0/33/0", MUX_STATUS_FAIL), 1);
    assert_int_equal(rig_counter(MUX_COUNT_nodes_moved), 1);
    struct mux_link *other = connect_node("a3", "");
    give_notice(other, "1eaf", "9", true); /* and away again, while its link stands */
    rig_run(now_ns + SECOND_NS);
    assert_non_null(mux_link_close_reason(leaf));
    rig_lose(leaf);
    assert_int_equal(count_up("t", "1/0", MUX_STATUS_FAIL), 0);
    assert_int_equal(rig_counter(MUX_COUNT_nodes_lost), 0);
}

static void malformed_notices(void **state) {
    (void)state;
    static const char *const contents[] = {"",
                                           "identity=xyz\nstate=here\n",
                                           "identity=a5\n",
                                           "identity=a5\nstate=lost\n",
                                           "state=here\n",
                                           "identity=a5\nidentity=a5\nstate=here\n",
                                           "identity=a5\nstate=here\nstate=gone\n"};
    struct mux_link *link = connect_node("a1", "");
    for (unsigned i = 0; i < sizeof contents / sizeof *contents; i++)
        rig_give_packet(link, &(struct mux_packet){.file_name = mux_span_text("muxd.node"),
                                                   .file_content = mux_span_text(contents[i]),
                                                   .route = mux_span_text("0")});
    give_notice(link, "a5", "0", false); /* never was here */
    rig_send_up();
    assert_int_equal(rig_up_bytes, 0);
    assert_null(mux_link_close_reason(link));
}

/* No link has the whole table, and what does not fit is said. */
static void very_many_nodes(void **state) {
    (void)state;
    char identity[16], route[16];
    struct mux_link *link = connect_node("a1", "");
    for (unsigned i = 0; i < 4 * RIG_LINKS; i++) {
        snprintf(identity, sizeof identity, "b%x", i);
        snprintf(route, sizeof route, "%u", i);
        give_notice(link, identity, route, true);
    }
    assert_true(rig_counter(MUX_COUNT_nodes_unknown) > 0);
    assert_non_null(strstr(rig_log, "is not remembered"));
    uint64_t unknown = rig_counter(MUX_COUNT_nodes_unknown);
    give_notice(connect_node("a2", ""), "ccc", "0", true);
    assert_int_equal(rig_counter(MUX_COUNT_nodes_unknown), unknown);
}

/*
 * ---- loops and time ----
 */

static void its_own_notice(void **state) {
    (void)state;
    struct mux_link *link = connect_node("a1", "");
    give_notice(link, "0e1f", "4/2", true); /* the rig's own identity */
    rig_read_down(link);
    assert_non_null(mux_link_close_reason(link));
    assert_int_equal(rig_counter(MUX_COUNT_loops), 1);
    rig_lose(link);
    assert_int_equal(rig_counter(MUX_COUNT_nodes_lost), 0); /* it is not waited for */
}

/* Plain connections say nothing of who they are: but no farm is so deep. */
static void a_route_of_many_segments(void **state) {
    (void)state;
    char route[3 * MUX_NODES_DEEP_MAX] = "0";
    struct mux_link *link = rig_connect();
    for (unsigned depth = 2; depth <= MUX_NODES_DEEP_MAX; depth++)
        strcat(route, "/0");
    rig_give_status(link, "t", route, MUX_STATUS_SUCCESS);
    assert_null(mux_link_close_reason(link));
    strcat(route, "/0");
    rig_give_status(link, "t", route, MUX_STATUS_SUCCESS);
    assert_true(rig_read_down(link) > 0);
    assert_non_null(mux_link_close_reason(link));
    assert_int_equal(rig_counter(MUX_COUNT_loops), 1);
}

/* Stopped for an hour: who was away then has had no time to come back. */
static void this_node_slept(void **state) {
    (void)state;
    struct mux_link *link = connect_node("a1", "");
    rig_give_status(link, "t", "0", MUX_STATUS_INPROGRESS);
    rig_lose(link);
    rig_run(now_ns + GRACE_NS - 1);
    assert_true(mux_deadline_ns(mux) == now_ns + 1);
    rig_run(now_ns + 3600 * SECOND_NS);
    assert_int_equal(rig_counter(MUX_COUNT_nodes_given_up), 0);
    uint64_t until_ns = mux_deadline_ns(mux);
    assert_true(until_ns >= now_ns + SECOND_NS && until_ns <= now_ns + GRACE_NS);
    rig_run(until_ns);
    assert_int_equal(count_up("t", "0/0", MUX_STATUS_FAIL), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RIG_TEST(without_the_proof),
        RIG_TEST(before_the_first_answer),
        RIG_TEST(the_proof_wins),
        RIG_TEST(unread_bytes_come_first),
        RIG_TEST(a_chain),
        RIG_TEST(the_middle_says_goodbye),
        RIG_TEST(the_middle_is_killed),
        RIG_TEST(ends_are_lost_with_the_middle),
        RIG_TEST(ends_are_lost_with_the_way),
        RIG_TEST(nothing_is_below),
        RIG_TEST(directly),
        RIG_TEST(malformed_notices),
        RIG_TEST(very_many_nodes),
        RIG_TEST(its_own_notice),
        RIG_TEST(a_route_of_many_segments),
        RIG_TEST(this_node_slept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
