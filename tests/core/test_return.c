/*
 * Nodes that return: proofs of identity, connections that still stand when a newer one comes, nodes
 * that come another way, and time in which this node did not run.
 */
#include "tests/core/rig.h"

#include "mux/node/hello.h"

#include <stdio.h>

#define GRACE_NS (30 * SECOND_NS)

static char secret[MUX_IDENTITY_BYTES]; /* from the last answer */

static void give_hello(struct mux_link *link, const char *identity, const char *proof) {
    struct mux_hello hello;
    uint8_t bytes[MUX_HELLO_PACKET_BYTES];
    mux_hello_init(&hello, identity, "leaf");
    hello.proves = proof != NULL;
    snprintf(hello.proof, sizeof hello.proof, "%s", proof ? proof : "");
    rig_give(link, bytes, mux_hello_write(&hello, bytes));
}

/* A node connects. `proof`: NULL for a version that has no proofs. */
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

/* How often a packet with this test, route and status went up. */
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
    rig_lose(old); /* while it is away the proof is needed, too */
    connect_node("a1", "");
    assert_non_null(strstr(rig_log, "is refused as a node"));
    assert_int_equal(rig_counter(MUX_COUNT_nodes_returned), 0);
    char proof[MUX_IDENTITY_BYTES];
    memcpy(proof, secret, sizeof proof);
    assert_string_equal(mux_link_segment(connect_node("a1", proof)), "0");
    assert_int_equal(rig_counter(MUX_COUNT_nodes_returned), 1);
}

/* The first answer may not have reached the node: until it has sent something it needs no proof. */
static void before_the_first_answer(void **state) {
    (void)state;
    struct mux_link *old = connect_node("a1", "");
    struct mux_link *link = connect_node("a1", "");
    assert_null(mux_link_close_reason(link));
    rig_lose(old);
    assert_string_equal(mux_link_segment(link), "0");
}

/* The newer connection has the proof: an older one that drips does not delay it. */
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

/* The bytes that our kernel has of the old connection are read before it is closed. */
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

/* Three connections of a node, each newer: they have their turns in that order. */
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
    mux_link_ended(links[2], "it was lost"); /* one from the middle of the chain */
    mux_link_close(links[2]);
    rig_lose(links[1]);
    assert_true(mux_link_wants_receive(links[3]));
    assert_string_equal(mux_link_segment(links[3]), "0");
}

/*
 * ---- another way ----
 */

/* A node in the middle is restarted; the leaf below it goes on. */
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

/*
 * Packets that the middle had taken from the leaf but not sent died with it. For the leaf those
 * tests have ended: it does not report them again.
 */
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
    rig_give_status(again, "ends-there", "0/0", MUX_STATUS_SUCCESS); /* sent again */
    rig_give_status(again, "ended", "00/0", MUX_STATUS_SUCCESS);     /* another test */
    rig_run(now_ns + GRACE_NS);
    assert_int_equal(count_up("ended", "0/3/0", MUX_STATUS_FAIL), 1);
    assert_int_equal(count_up("ended-below", "0/3/7/0", MUX_STATUS_FAIL), 1);
    assert_int_equal(rig_counter(MUX_COUNT_tests_failed), 2);
    rig_give_status(again, "told-again", "0/7/0", MUX_STATUS_SUCCESS);
    give_goodbye(again, 0);
    rig_lose(again);
    assert_int_equal(rig_counter(MUX_COUNT_tests_failed), 2);
}

/* The leaf's own connection is lost with the end of a test; it returns below another node. */
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

/* A command is a node whose packets have no route of their own. It returns below another node. */
static void a_command_below_another(void **state) {
    (void)state;
    struct mux_link *command = connect_node("c0de", "");
    rig_give_status(command, "t", NULL, MUX_STATUS_INPROGRESS);
    rig_lose(command);
    struct mux_link *middle = connect_node("a1", "");
    give_notice(middle, "c0de", "3", true);
    rig_give_status(middle, "t", "3", MUX_STATUS_INPROGRESS);
    rig_give_status(middle, "t", "3", MUX_STATUS_FAIL);
    rig_run(now_ns + GRACE_NS);
    assert_int_equal(count_up("t", "1/3", MUX_STATUS_FAIL), 1);
    assert_int_equal(rig_counter(MUX_COUNT_tests_failed), 0);
}

/* And the other way round. */
static void a_command_without_the_middle(void **state) {
    (void)state;
    struct mux_link *middle = connect_node("a1", "");
    give_notice(middle, "c0de", "3", true);
    rig_give_status(middle, "t", "3", MUX_STATUS_INPROGRESS);
    rig_lose(middle);
    struct mux_link *command = connect_node("c0de", "");
    rig_give_status(command, "t", NULL, MUX_STATUS_INPROGRESS);
    rig_give_status(command, "t", NULL, MUX_STATUS_FAIL);
    rig_run(now_ns + GRACE_NS);
    assert_int_equal(count_up("t", "1", MUX_STATUS_FAIL), 1);
    assert_int_equal(rig_counter(MUX_COUNT_tests_failed), 0);
}

static void nothing_is_below(void **state) {
    (void)state;
    the_middle_ends(0, false);
}

/* The leaf itself connects here while its old way still stands. */
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
    give_notice(other, "1eaf", "9", true); /* away again while its link stands */
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
    give_notice(link, "a5", "0", false); /* it was never here */
    rig_send_up();
    assert_int_equal(rig_up_bytes, 0);
    assert_null(mux_link_close_reason(link));
}

/* No link can fill the whole table, and nodes that do not fit are reported. */
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
    assert_int_equal(rig_counter(MUX_COUNT_nodes_lost), 0); /* the node does not wait for itself */
}

/* A plain connection has no identity to show a loop, but no farm is as deep as this route. */
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

/* This node was stopped for an hour: nodes that were away had no time to come back. */
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
        RIG_TEST(a_command_below_another),
        RIG_TEST(a_command_without_the_middle),
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
