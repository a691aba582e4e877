/* Tests in progress: the table against a plain one, and the reports when a worker dies. */
#include "tests/core/rig.h"

#include "mux/node/progress.h"
#include "tests/unit/random.h"

#include <stdio.h>

/*
 * ---- the table ----
 */

#define NAMES 40
#define LISTS 3
#define COMMON_CELLS 3000
#define LONGEST_BYTES (MUX_PROGRESS_TEST_ID_BYTES + 1)

struct plain {
    bool running[LISTS][NAMES];
    unsigned order[LISTS][NAMES]; /* names in the order in which the tests began */
    unsigned count[LISTS];
    unsigned unnamed[LISTS];
};

static char names[NAMES][LONGEST_BYTES + 1];
static struct mux_progress progress;
static struct mux_progress_list lists[LISTS];
static uint64_t unnamed;

/* Names of all lengths: some fill cells to the last byte, the last is one byte too long. */
static void make_names(void) {
    for (unsigned i = 0; i < NAMES; i++) {
        size_t len = i < 30 ? 10 + i * 7 : 300 + (i - 30) * 1800;
        memset(names[i], 'a' + (int)(i % 26), len);
        snprintf(names[i] + len, 8, "%u", i);
    }
    memset(names[NAMES - 2], 'y', MUX_PROGRESS_TEST_ID_BYTES);
    memset(names[NAMES - 1], 'z', LONGEST_BYTES);
}

/* A table with `common_cells` for workers, and half as many for nodes. */
static void open_table(unsigned common_cells) {
    const unsigned common[MUX_PROGRESS_KINDS] = {common_cells, common_cells / 2};
    make_names();
    unnamed = 0;
    assert_true(mux_progress_init(&progress, LISTS, common, 1, &unnamed));
    for (unsigned i = 0; i < LISTS; i++)
        mux_progress_open(&progress, &lists[i], MUX_PROGRESS_WORKER);
}

/* Every cell must be free again. */
static void close_table(void) {
    for (unsigned i = 0; i < LISTS; i++)
        mux_progress_close(&progress, &lists[i]);
    assert_int_equal(progress.free_count, progress.count);
    for (unsigned kind = 0; kind < MUX_PROGRESS_KINDS; kind++)
        assert_int_equal(progress.pools[kind].free_count, progress.pools[kind].count);
    mux_progress_fini(&progress);
}

static struct mux_packet packet_of(unsigned name, enum mux_status status) {
    struct mux_packet packet = {.status = status, .test_id = mux_span_text(names[name])};
    if (name % 3 == 1)
        packet.route = mux_span_text("0/17");
    if (name % 3 == 2)
        packet.route = mux_span_text("");
    return packet;
}

static void see(unsigned list, const struct mux_packet *packet) {
    mux_progress_update(&progress, &lists[list], packet, true);
}

static void plain_begin(struct plain *plain, unsigned list, unsigned name) {
    if (plain->running[list][name])
        return;
    if (name == NAMES - 1) {
        plain->unnamed[list]++;
        return;
    }
    plain->running[list][name] = true;
    plain->order[list][plain->count[list]++] = name;
}

static void plain_end(struct plain *plain, unsigned list, unsigned name) {
    unsigned at = 0;
    if (!plain->running[list][name]) {
        plain->unnamed[list] -= plain->unnamed[list] > 0;
        return;
    }
    while (plain->order[list][at] != name)
        at++;
    plain->count[list]--;
    for (; at < plain->count[list]; at++)
        plain->order[list][at] = plain->order[list][at + 1];
    plain->running[list][name] = false;
}

static void see_random(struct plain *plain, struct random *random) {
    unsigned list = (unsigned)random_below(random, LISTS);
    unsigned name = (unsigned)random_below(random, NAMES);
    enum mux_status status = (enum mux_status)random_below(random, MUX_STATUS_XFAIL + 1);
    struct mux_packet packet = packet_of(name, status);
    see(list, &packet);
    if (status == MUX_STATUS_INPROGRESS)
        plain_begin(plain, list, name);
    else if (status > MUX_STATUS_INPROGRESS)
        plain_end(plain, list, name);
}

static void assert_name(const struct mux_progress_name *name, unsigned number) {
    struct mux_packet packet = packet_of(number, MUX_STATUS_NONE);
    assert_true(mux_span_equal(name->test_id, packet.test_id));
    assert_true(mux_span_equal(name->route, packet.route));
    assert_int_equal(name->route.data == NULL, packet.route.data == NULL);
}

static void take_and_compare(struct plain *plain, unsigned list) {
    struct mux_progress_name name;
    for (unsigned i = 0; i < plain->count[list]; i++) {
        assert_true(mux_progress_take(&progress, &lists[list], &name));
        assert_name(&name, plain->order[list][i]);
    }
    assert_false(mux_progress_take(&progress, &lists[list], &name));
    assert_int_equal(mux_progress_take_unnamed(&lists[list]), plain->unnamed[list]);
    memset(plain->running[list], 0, sizeof plain->running[list]);
    plain->count[list] = plain->unnamed[list] = 0;
}

static void table_against_a_plain_one(void **state) {
    (void)state;
    struct random random = {3};
    struct plain plain = {0};
    open_table(COMMON_CELLS);
    for (unsigned round = 0; round < 200; round++) {
        for (unsigned i = 0; i < 500; i++)
            see_random(&plain, &random);
        take_and_compare(&plain, (unsigned)random_below(&random, LISTS));
    }
    close_table();
}

/* Each test that began is named or counted in its list. */
static void names_are_lost_not_tests(void **state) {
    (void)state;
    struct random random = {5};
    struct plain plain = {0};
    struct mux_progress_name name;
    open_table(40);
    for (unsigned round = 0; round < 20000; round++) {
        unsigned list = (unsigned)random_below(&random, LISTS);
        unsigned number = (unsigned)random_below(&random, NAMES - 1);
        bool runs = plain.running[list][number];
        struct mux_packet packet =
            packet_of(number, runs ? MUX_STATUS_SUCCESS : MUX_STATUS_INPROGRESS);
        see(list, &packet);
        (runs ? plain_end : plain_begin)(&plain, list, number);
        if (random_below(&random, 50) == 0) {
            unsigned named = 0;
            for (; mux_progress_take(&progress, &lists[list], &name); named++)
                ;
            uint64_t others = mux_progress_take_unnamed(&lists[list]);
            assert_int_equal(named + others, plain.count[list]);
            memset(plain.running[list], 0, sizeof plain.running[list]);
            plain.count[list] = 0;
        }
    }
    assert_true(unnamed > 0);
    close_table();
}

/* Begins `count` tests with short names; returns how many of the names are kept. */
static unsigned begin_short(unsigned list, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        char id[16];
        snprintf(id, sizeof id, "t%u", i);
        struct mux_packet packet = {.status = MUX_STATUS_INPROGRESS, .test_id = mux_span_text(id)};
        see(list, &packet);
    }
    return lists[list].cells;
}

static void shares(void **state) {
    (void)state;
    const unsigned all = 900, own = MUX_PROGRESS_OWN_CELLS;
    open_table(all);
    assert_int_equal(begin_short(0, 2000), own + all);
    assert_int_equal(begin_short(1, 5), 5);
    assert_int_equal(lists[0].cells, own + all); /* list 1 has used its own cells */
    unsigned half = begin_short(1, 2000) - own;
    assert_in_range(half, all / 2 * 8 / 9, all / 2);
    assert_int_equal(lists[0].cells, own + all - half);
    unsigned third = begin_short(2, 2000) - own;
    assert_in_range(third, all / 3 * 8 / 9, all / 3 * 9 / 8);
    assert_in_range(lists[0].cells - own, all / 3 * 8 / 9, all / 3 * 9 / 8);
    uint64_t most = lists[0].unnamed;
    assert_int_equal(most + lists[0].cells, 2000); /* every test that lost its name is counted */
    begin_short(0, 2000);
    assert_in_range(lists[1].cells - own, all / 3 * 8 / 9, all / 3 * 9 / 8);
    close_table();
}

static void a_long_name_takes_from_the_longest_list(void **state) {
    (void)state;
    open_table(900);
    begin_short(0, 2000);
    struct mux_packet packet = packet_of(NAMES - 2, MUX_STATUS_INPROGRESS);
    see(1, &packet);
    assert_int_equal(lists[1].unnamed, 0);
    see(1, &packet); /* the same test */
    packet = packet_of(NAMES - 1, MUX_STATUS_INPROGRESS);
    see(1, &packet); /* too long */
    assert_int_equal(lists[1].unnamed, 1);
    packet.test_id = mux_span_text("\xff");
    mux_progress_update(&progress, &lists[2], &packet, false);
    assert_int_equal(lists[2].unnamed, 1);
    char route[MUX_PROGRESS_ROUTE_BYTES + 1];
    memset(route, 'r', sizeof route);
    packet.test_id = mux_span_text("t");
    packet.route = mux_span((const uint8_t *)route, sizeof route);
    see(2, &packet);
    assert_int_equal(lists[2].unnamed, 2);
    packet.route.len--;
    see(2, &packet);
    assert_int_equal(lists[2].unnamed, 2);
    close_table();
}

static void kinds_do_not_compete(void **state) {
    (void)state;
    open_table(900);
    mux_progress_open(&progress, &lists[1], MUX_PROGRESS_NODE);
    assert_int_equal(begin_short(0, 2000), MUX_PROGRESS_OWN_CELLS + 900);
    assert_int_equal(begin_short(1, 2000), MUX_PROGRESS_OWN_CELLS + 450);
    assert_int_equal(lists[0].cells, MUX_PROGRESS_OWN_CELLS + 900);
    mux_progress_open(&progress, &lists[2], MUX_PROGRESS_NODE);
    mux_progress_move(&progress, &lists[1], &lists[2]);
    assert_int_equal(lists[1].cells, 0);
    assert_int_equal(lists[1].unnamed, 0);
    assert_int_equal(lists[2].cells + lists[2].unnamed, 2000);
    close_table();
}

/*
 * ---- a node's tests, by route ----
 */

static void begin_at(unsigned list, const char *id, const char *route) {
    struct mux_packet packet = {.status = MUX_STATUS_INPROGRESS, .test_id = mux_span_text(id)};
    if (route)
        packet.route = mux_span_text(route);
    see(list, &packet);
}

static void assert_next(bool (*next)(struct mux_progress *, struct mux_progress_list *,
                                     struct mux_progress_name *),
                        unsigned list, const char *id) {
    struct mux_progress_name name;
    bool more = next(&progress, &lists[list], &name);
    assert_int_equal(more, id != NULL);
    if (id)
        assert_true(mux_span_equal(name.test_id, mux_span_text(id)));
}

static void tests_below_a_route(void **state) {
    (void)state;
    char far[1001];
    open_table(900);
    memset(far, '7', sizeof far - 1);
    far[1000] = '\0';
    assert_int_equal(mux_progress_forget_route(&progress, &lists[0], mux_span_text("7")), 0);
    begin_at(0, "none", NULL);
    begin_at(0, "empty", "");
    begin_at(0, "it", "7");
    begin_at(0, "below", "7/0");
    begin_at(0, "far", far);
    begin_at(0, "other", "70/7");
    assert_int_equal(mux_progress_forget_route(&progress, &lists[0], mux_span_text("7")), 2);
    assert_int_equal(mux_progress_forget_route(&progress, &lists[0], mux_span_text(far)), 1);
    assert_next(mux_progress_take, 0, "none");
    assert_next(mux_progress_take, 0, "empty");
    assert_next(mux_progress_take, 0, "other");
    assert_next(mux_progress_take, 0, NULL);
    close_table();
}

static void end_at(unsigned list, const char *id) {
    struct mux_packet packet = {.status = MUX_STATUS_SUCCESS, .test_id = mux_span_text(id)};
    see(list, &packet);
}

static void a_walk_survives_changes(void **state) {
    (void)state;
    open_table(900);
    mux_progress_walk(&lists[0]);
    assert_next(mux_progress_walk_next, 0, NULL);
    for (const char *const *id = (const char *const[]){"a", "b", "c", "d", "e", "f", NULL}; *id;
         id++)
        begin_at(0, *id, NULL);
    mux_progress_walk(&lists[0]);
    assert_next(mux_progress_walk_next, 0, "a");
    end_at(0, "a"); /* has been visited */
    end_at(0, "b"); /* would be next */
    end_at(0, "f"); /* would be last */
    begin_at(0, "b", NULL);
    assert_next(mux_progress_walk_next, 0, "c");
    mux_progress_move(&progress, &lists[0], &lists[1]);
    assert_next(mux_progress_walk_next, 0, NULL);
    assert_next(mux_progress_walk_next, 1, "d");
    end_at(1, "e");
    assert_next(mux_progress_walk_next, 1, NULL);
    mux_progress_walk(&lists[1]);
    assert_next(mux_progress_walk_next, 1, "c");
    mux_progress_walk(&lists[1]); /* from the start again */
    assert_next(mux_progress_walk_next, 1, "c");
    assert_next(mux_progress_walk_next, 1, "d");
    assert_next(mux_progress_walk_next, 1, "b");
    assert_next(mux_progress_walk_next, 1, NULL);
    mux_progress_walk(&lists[1]);
    mux_progress_close(&progress, &lists[1]);
    assert_next(mux_progress_walk_next, 1, NULL);
    close_table();
}

/*
 * ---- a link's end ----
 */

/* The next packet that went up. */
static struct mux_packet next_up(size_t *at) {
    struct mux_packet packet;
    assert_true(rig_next_up(at, &packet));
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
    rig_give_status(link, "over", NULL, MUX_STATUS_INPROGRESS);
    rig_give_status(link, "listed", NULL, MUX_STATUS_EXISTS);
    rig_give_status(link, "one", NULL, MUX_STATUS_INPROGRESS);
    rig_give_status(link, "one", NULL, MUX_STATUS_EXISTS); /* does not end it */
    rig_give_status(link, "one", NULL, MUX_STATUS_NONE);
    rig_give_status(link, "nested", "0/3", MUX_STATUS_INPROGRESS);
    rig_give_status(link, "empty", "", MUX_STATUS_INPROGRESS);
    rig_give_status(link, "over", NULL, MUX_STATUS_SUCCESS);
    rig_give_status(link, "one", "0/3", MUX_STATUS_SUCCESS); /* the same name at another route */
    rig_give_status(other, "lives", NULL, MUX_STATUS_INPROGRESS);
    rig_send_up();
    size_t at = rig_up_bytes;
    rig_give(link, (const uint8_t *)"\xb3)", 2); /* it died in this packet */
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

static void give_many(struct mux_link *link, unsigned from, unsigned to, enum mux_status status) {
    for (unsigned i = from; i < to; i++) {
        char id[32];
        snprintf(id, sizeof id, "test %u", i);
        rig_give_status(link, id, NULL, status);
        if (i % 1000 == 0)
            rig_send_up();
    }
    rig_send_up();
}

static void end_link(struct mux_link *link) {
    rig_send_up();
    mux_link_ended(link, "it ended");
    rig_run(now_ns);
    rig_send_up();
    assert_true(mux_link_finished(link));
}

/* Reads the failures of the tests from `first` on; returns their number. */
static unsigned read_failed(size_t *at, const char *route, unsigned first, unsigned most) {
    unsigned count = 0;
    for (; *at < rig_up_bytes && count < most; count++) {
        char id[32];
        snprintf(id, sizeof id, "test %u", first + count);
        assert_failed(at, id, route, "it ended");
    }
    return count;
}

/* "and N more tests were in progress", in the stream and in the log. */
static void assert_more(size_t *at, const char *route, unsigned count) {
    char text[200];
    struct mux_packet packet = next_up(at);
    snprintf(text, sizeof text, "worker peer: it ended and %u more tests were in progress\n",
             count);
    assert_true(mux_span_equal(packet.file_content, mux_span_text(text)));
    assert_true(mux_span_equal(packet.route, mux_span_text(route)));
    assert_true(mux_span_equal(packet.file_name, mux_span_text("muxd")));
    assert_int_equal(packet.status, MUX_STATUS_FAIL);
    assert_null(packet.test_id.data);
    snprintf(text, sizeof text, "and %u more tests were in progress", count);
    assert_non_null(strstr(rig_log, text));
    assert_int_equal(*at, rig_up_bytes);
}

#define MANY 20000 /* more than the rig's memory has room for */
#define ENDED 500

static void more_than_is_remembered(void **state) {
    (void)state;
    struct mux_link *link = rig_connect();
    give_many(link, 0, MANY, MUX_STATUS_INPROGRESS);
    give_many(link, MANY - ENDED, MANY, MUX_STATUS_SUCCESS);
    size_t at = rig_up_bytes;
    end_link(link);
    unsigned unnamed_count = (unsigned)rig_counter(MUX_COUNT_tests_untracked);
    unsigned named = read_failed(&at, "0", 0, MANY - unnamed_count);
    assert_true(named > 10000);
    assert_more(&at, "0", MANY - ENDED - named);
    assert_int_equal(rig_counter(MUX_COUNT_tests_failed), MANY - ENDED);
}

/* Strangers fill the table: a worker that comes after them still has its share. */
static void strangers_leave_each_worker_its_share(void **state) {
    (void)state;
    for (unsigned i = 0; i + 1 < RIG_LINKS; i++)
        give_many(rig_connect(), 0, 2000, MUX_STATUS_INPROGRESS);
    assert_true(rig_counter(MUX_COUNT_tests_untracked) > 0);
    struct mux_link *link = rig_connect();
    give_many(link, 0, 600, MUX_STATUS_INPROGRESS);
    size_t at = rig_up_bytes;
    end_link(link);
    assert_int_equal(read_failed(&at, "15", 0, 600), 600);
    assert_int_equal(at, rig_up_bytes);
}

static void long_names(void **state) {
    (void)state;
    struct mux_link *link = rig_connect();
    rig_give_status(link, names[NAMES - 2], "0/3", MUX_STATUS_INPROGRESS);
    rig_give_status(link, names[NAMES - 1], NULL, MUX_STATUS_INPROGRESS);
    rig_send_up();
    size_t at = rig_up_bytes;
    end_link(link);
    assert_failed(&at, names[NAMES - 2], "0/0/3", "it ended");
    assert_more(&at, "0", 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_against_a_plain_one),
        cmocka_unit_test(names_are_lost_not_tests),
        cmocka_unit_test(shares),
        cmocka_unit_test(a_long_name_takes_from_the_longest_list),
        cmocka_unit_test(kinds_do_not_compete),
        cmocka_unit_test(tests_below_a_route),
        cmocka_unit_test(a_walk_survives_changes),
        RIG_TEST(tests_of_a_dead_worker),
        RIG_TEST(more_than_is_remembered),
        RIG_TEST(strangers_leave_each_worker_its_share),
        RIG_TEST(long_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
