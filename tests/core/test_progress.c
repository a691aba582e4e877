/* Tests in progress: the table against a plain one, and what a dead worker's link says of them. */
#include "tests/core/rig.h"

#include "mux/progress.h"
#include "tests/unit/random.h"

#include <stdio.h>

/*
 * ---- the table ----
 */

#define NAMES 40
#define LISTS 3
#define CELLS 200

struct plain {
    bool running[LISTS][NAMES];
    unsigned order[LISTS][NAMES]; /* names in the order they began */
    unsigned count[LISTS];
};

static char names[NAMES][MUX_PROGRESS_NAME_BYTES + 2];

/* Of all lengths: some fill cells to the last byte, the last is one too long. */
static void make_names(void) {
    for (unsigned i = 0; i < NAMES; i++) {
        size_t len = i < 30 ? 10 + i * 7 : 300 + (i - 30) * 180;
        memset(names[i], 'a' + (int)(i % 26), len);
        snprintf(names[i] + len, 8, "%u", i);
    }
    memset(names[NAMES - 1], 'z', MUX_PROGRESS_NAME_BYTES + 1);
}

static struct mux_packet packet_of(unsigned name, enum mux_status status) {
    struct mux_packet packet = {.status = status, .test_id = mux_span_text(names[name])};
    if (name % 3 == 1)
        packet.route = mux_span_text("0/17");
    if (name % 3 == 2)
        packet.route = mux_span_text("");
    return packet;
}

static void plain_end(struct plain *plain, unsigned list, unsigned name) {
    unsigned at = 0;
    while (plain->order[list][at] != name)
        at++;
    plain->count[list]--;
    for (; at < plain->count[list]; at++)
        plain->order[list][at] = plain->order[list][at + 1];
    plain->running[list][name] = false;
}

static void see_random(struct mux_progress *progress, struct mux_progress_list lists[LISTS],
                       struct plain *plain, struct random *random) {
    unsigned list = (unsigned)random_below(random, LISTS);
    unsigned name = (unsigned)random_below(random, NAMES);
    bool was_running = plain->running[list][name];
    enum mux_status status = (enum mux_status)random_below(random, MUX_STATUS_XFAIL + 1);
    struct mux_packet packet = packet_of(name, status);
    bool fine = mux_progress_see(progress, &lists[list], &packet);
    if (status == MUX_STATUS_INPROGRESS && !was_running && fine) {
        plain->running[list][name] = true;
        plain->order[list][plain->count[list]++] = name;
    } else if (status > MUX_STATUS_INPROGRESS && was_running) {
        plain_end(plain, list, name);
    } else {
        assert_true(fine || (status == MUX_STATUS_INPROGRESS && !was_running));
    }
}

static void take_and_compare(struct mux_progress *progress, struct mux_progress_list *list,
                             struct plain *plain, unsigned number) {
    struct mux_progress_name name;
    for (unsigned i = 0; i < plain->count[number]; i++) {
        struct mux_packet packet = packet_of(plain->order[number][i], MUX_STATUS_NONE);
        assert_true(mux_progress_take(progress, list, &name));
        assert_true(mux_span_equal(name.test_id, packet.test_id));
        assert_true(mux_span_equal(name.route, packet.route));
        assert_int_equal(name.route.data == NULL, packet.route.data == NULL);
    }
    assert_false(mux_progress_take(progress, list, &name));
    memset(plain->running[number], 0, sizeof plain->running[number]);
    plain->count[number] = 0;
}

static void table_against_a_plain_one(void **state) {
    (void)state;
    struct mux_progress progress;
    struct mux_progress_list lists[LISTS];
    struct random random = {3};
    struct plain plain = {0};
    make_names();
    assert_true(mux_progress_init(&progress, CELLS, 1));
    for (unsigned i = 0; i < LISTS; i++)
        mux_progress_open(&lists[i], 100);
    for (unsigned round = 0; round < 200; round++) {
        for (unsigned i = 0; i < 500; i++)
            see_random(&progress, lists, &plain, &random);
        unsigned number = (unsigned)random_below(&random, LISTS);
        take_and_compare(&progress, &lists[number], &plain, number);
    }
    for (unsigned i = 0; i < LISTS; i++)
        mux_progress_close(&progress, &lists[i]);
    assert_int_equal(progress.free_count, CELLS); /* every cell is back */
    mux_progress_fini(&progress);
}

/* A link has its share and no more; the others have theirs. */
static void shares(void **state) {
    (void)state;
    struct mux_progress progress;
    struct mux_progress_list greedy, modest;
    make_names();
    assert_true(mux_progress_init(&progress, CELLS, 1));
    mux_progress_open(&greedy, 10);
    mux_progress_open(&modest, 10);
    unsigned remembered = 0;
    for (unsigned i = 0; i < 12; i++) {
        struct mux_packet packet = packet_of(i, MUX_STATUS_INPROGRESS);
        remembered += mux_progress_see(&progress, &greedy, &packet);
    }
    assert_true(remembered >= 8 && remembered <= 10);
    struct mux_packet packet = packet_of(0, MUX_STATUS_INPROGRESS);
    assert_true(mux_progress_see(&progress, &modest, &packet));
    packet = packet_of(NAMES - 1, MUX_STATUS_INPROGRESS);
    assert_false(mux_progress_see(&progress, &modest, &packet)); /* too long a name */
    mux_progress_close(&progress, &greedy);
    mux_progress_close(&progress, &modest);
    assert_int_equal(progress.free_count, CELLS);
    mux_progress_fini(&progress);
}

/*
 * ---- a link's end ----
 */

static void give_status(struct mux_link *link, const char *id, enum mux_status status,
                        const char *route) {
    uint8_t bytes[1000];
    size_t len;
    struct mux_packet packet = {.status = status, .test_id = mux_span_text(id)};
    if (route)
        packet.route = mux_span_text(route);
    assert_int_equal(mux_packet_encode(&packet, bytes, sizeof bytes, &len), MUX_OK);
    rig_give(link, bytes, len);
}

/* The next packet that went up. */
static struct mux_packet next_up(size_t *at) {
    uint32_t length, header_bytes;
    struct mux_packet packet;
    struct mux_span rest = mux_span(rig_up + *at, rig_up_bytes - *at);
    assert_true(rest.len > 0);
    assert_int_equal(mux_header_parse(rest, &length, &header_bytes), MUX_OK);
    assert_true(mux_packet_verify(mux_span(rest.data, length)));
    assert_int_equal(mux_packet_parse(mux_span(rest.data, length), &packet, NULL), MUX_OK);
    *at += length;
    return packet;
}

static void assert_failed(size_t *at, const char *id, const char *route, const char *reason) {
    struct mux_packet packet = next_up(at);
    assert_true(mux_span_equal(packet.test_id, mux_span_text(id)));
    assert_true(mux_span_equal(packet.route, mux_span_text(route)));
    assert_int_equal(packet.status, MUX_STATUS_FAIL);
    assert_true(mux_span_equal(packet.file_name, mux_span_text("muxd")));
    assert_true(mux_span_equal(packet.mime, mux_span_text("text/plain;charset=utf8")));
    assert_true(packet.eof && packet.runnable);
    char text[200];
    snprintf(text, sizeof text, "worker peer: %s while this test was in progress\n", reason);
    assert_true(mux_span_equal(packet.file_content, mux_span_text(text)));
}

static void tests_of_a_dead_worker(void **state) {
    (void)state;
    struct mux_link *link = rig_connect(), *other = rig_connect();
    give_status(link, "over", MUX_STATUS_INPROGRESS, NULL);
    give_status(link, "listed", MUX_STATUS_EXISTS, NULL);
    give_status(link, "one", MUX_STATUS_INPROGRESS, NULL);
    give_status(link, "one", MUX_STATUS_EXISTS, NULL); /* does not end it */
    give_status(link, "one", MUX_STATUS_NONE, NULL);
    give_status(link, "nested", MUX_STATUS_INPROGRESS, "0/3");
    give_status(link, "empty", MUX_STATUS_INPROGRESS, "");
    give_status(link, "over", MUX_STATUS_SUCCESS, NULL);
    give_status(link, "one", MUX_STATUS_SUCCESS, "0/3"); /* of the same name elsewhere */
    give_status(other, "lives", MUX_STATUS_INPROGRESS, NULL);
    rig_send_up();
    size_t at = rig_up_bytes;
    rig_give(link, (const uint8_t *)"\xb3)", 2); /* what it died in */
    mux_link_ended(link, "it died of something");
    rig_run(now_ns);
    rig_send_up();
    assert_true(mux_link_finished(link));
    for (unsigned damage = 0; damage < 2; damage++) {
        struct mux_packet packet = next_up(&at);
        assert_true(mux_span_equal(packet.test_id, mux_span_text("subunit.parser")));
    }
    assert_failed(&at, "one", "0", "it died of something");
    assert_failed(&at, "nested", "0/0/3", "it died of something");
    assert_failed(&at, "empty", "0/", "it died of something");
    assert_int_equal(at, rig_up_bytes);
    assert_int_equal(rig_counter(MUX_COUNT_tests_failed), 3);
    mux_link_close(link);
    mux_link_ended(other, "it died, too");
    rig_run(now_ns);
    rig_send_up();
    assert_failed(&at, "lives", "1", "it died, too");
    assert_int_equal(at, rig_up_bytes);
}

static void more_than_is_remembered(void **state) {
    (void)state;
    struct mux_link *link = rig_connect();
    for (unsigned i = 0; i < 1000; i++) {
        char id[32];
        snprintf(id, sizeof id, "test %u", i);
        give_status(link, id, MUX_STATUS_INPROGRESS, NULL);
    }
    mux_link_ended(link, "it ended");
    rig_run(now_ns);
    rig_send_up();
    assert_true(rig_counter(MUX_COUNT_tests_failed) >= 40);
    assert_int_equal(rig_counter(MUX_COUNT_tests_failed) + rig_counter(MUX_COUNT_tests_untracked),
                     1000);
    assert_true(mux_link_finished(link));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_against_a_plain_one),
        cmocka_unit_test(shares),
        RIG_TEST(tests_of_a_dead_worker),
        RIG_TEST(more_than_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
