/* Time in the core: the words for it, and what becomes of timestamps. */
#include "tests/core/rig.h"

#include "mux/node/hello.h"
#include "mux/node/message.h"

#include <inttypes.h>
#include <stdio.h>

#define MS_NS INT64_C(1000000)
#define SECOND INT64_C(1000000000)
#define HOUR_NS (3600 * SECOND)
#define EPOCH_NS (1700000000 * SECOND) /* our time of day when the clock of mux_run() is 0 */

static size_t up_at;

static int ready(int status) {
    up_at = 0;
    if (status == 0)
        mux_set_wall(mux, EPOCH_NS);
    return status;
}

static int open_plain(void **state) {
    return ready(rig_open(state));
}

static int open_below_node(void **state) {
    return ready(rig_open_below_node(state));
}

static int open_correcting(void **state) {
    return ready(rig_open_correcting(state));
}

static int open_correcting_below_node(void **state) {
    return ready(rig_open_correcting_below_node(state));
}

static int open_correcting_with_bundles(void **state) {
    return ready(rig_open_correcting_with_bundles(state));
}

static int open_stamping(void **state) {
    return ready(rig_open_stamping(state));
}

/* The time of day. */
static int64_t wall_ns(void) {
    return (int64_t)now_ns + EPOCH_NS;
}

/* A test's event, with a timestamp if stamp_ns is one. */
static struct mux_packet event(const char *id, enum mux_status status, int64_t stamp_ns) {
    struct mux_packet packet = {.test_id = mux_span_text(id), .status = status};
    if (stamp_ns >= 0)
        assert_true(mux_packet_set_time_ns(&packet, stamp_ns));
    return packet;
}

static void give_event(struct mux_link *link, const char *id, enum mux_status status,
                       int64_t stamp_ns) {
    struct mux_packet packet = event(id, status, stamp_ns);
    rig_give_packet(link, &packet);
}

/* The next packet that went up, notes about clocks excepted, which are counted. */
static unsigned notes;

static struct mux_packet next_up(void) {
    struct mux_packet packet;
    rig_send_up();
    do {
        assert_true(rig_next_up(&up_at, &packet));
        notes += mux_span_equal(packet.file_name, mux_span_text("muxd.clock"));
    } while (mux_span_equal(packet.file_name, mux_span_text("muxd.clock")));
    return packet;
}

static void assert_time_up(int64_t stamp_ns) {
    struct mux_packet packet = next_up();
    assert_int_equal(packet.has_timestamp, stamp_ns >= 0);
    if (stamp_ns >= 0)
        assert_true(mux_packet_time_ns(&packet) == stamp_ns);
}

/* ---- the words ---- */

static void give_down_word(const char *file, const char *content) {
    size_t len;
    struct mux_packet packet = {.file_name = mux_span_text(file),
                                .file_content = mux_span_text(content)};
    assert_int_equal(mux_packet_encode(&packet, packet_bytes, sizeof packet_bytes, &len), MUX_OK);
    rig_give_down(len);
}

static void answer_hello(const char *identity, int64_t time_ns) {
    char content[128];
    snprintf(content, sizeof content, "version=1\nidentity=%s\nname=top\nbundles=1\n", identity);
    if (time_ns)
        snprintf(content + strlen(content), 40, "time=%" PRId64 "\n", time_ns);
    give_down_word("muxd.hello", content);
}

/* Connects to an upstream whose clock is `ahead_ns` ahead; the way there and back takes 2 ms. */
static void meet(const char *identity, int64_t ahead_ns) {
    mux_upstream_connected(mux, true);
    mux_run(mux, now_ns);
    assert_non_null(mux_upstream_take(mux));
    mux_upstream_sent(mux);
    now_ns += MS_NS;
    int64_t time_ns = wall_ns() + ahead_ns;
    now_ns += MS_NS;
    answer_hello(identity, time_ns);
}

/* The next thing to be sent up is a question. */
static bool takes_question(struct mux_time_word *word) {
    struct mux_packet packet;
    const struct mux_gather *gather = mux_upstream_take(mux);
    if (!gather)
        return false;
    assert_int_equal(mux_packet_parse(gather->spans[0], &packet, NULL), MUX_OK);
    assert_true(mux_time_is(&packet) && mux_time_read(&packet, word));
    mux_upstream_sent(mux);
    return true;
}

static void answer_question(const struct mux_time_word *word, int64_t ahead_ns, int64_t there_ns,
                            int64_t back_ns) {
    char content[96];
    now_ns += (uint64_t)there_ns;
    int64_t time_ns = wall_ns() + ahead_ns;
    now_ns += (uint64_t)back_ns;
    snprintf(content, sizeof content, "ask=%" PRIu32 "\ntime=%" PRId64 "\n", word->ask, time_ns);
    give_down_word("muxd.time", content);
}

static int64_t upstream_ahead_ns(void) {
    struct mux_clock_stats stats;
    mux_upstream_clock(mux, &stats);
    assert_int_equal(stats.basis, MUX_CLOCK_MEASURED);
    return stats.ahead_ns;
}

/* By the hello, by three more questions at once, and by four each minute. */
static void asks_the_upstream(void **state) {
    (void)state;
    struct mux_time_word word;
    struct mux_clock_stats stats;
    mux_upstream_clock(mux, &stats);
    assert_int_equal(stats.basis, MUX_CLOCK_UNKNOWN);
    meet("f00d", HOUR_NS);
    assert_true(upstream_ahead_ns() == HOUR_NS);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = round == 0; i < 4; i++) {
            assert_true(takes_question(&word));
            assert_true(word.has_ahead && word.ahead_ns <= -HOUR_NS + 20 * MS_NS);
            assert_false(takes_question(&word));
            answer_question(&word, HOUR_NS, i == 2 ? 10000 : 40 * MS_NS, 10000);
            mux_run(mux, now_ns);
        }
        mux_upstream_clock(mux, &stats);
        assert_true(stats.ahead_ns == HOUR_NS && stats.error_ns < MS_NS);
        assert_false(takes_question(&word));
        assert_true(mux_deadline_ns(mux) == now_ns + 60 * SECOND_NS);
        rig_run(now_ns + 60 * SECOND_NS);
    }
    assert_int_equal(rig_counter(MUX_COUNT_clock_readings), 12);
}

/* Late, of another question, malformed: such an answer says nothing. */
static void answers_that_say_nothing(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      "ask=2\n",
                                      "ask=1\ntime=5\n",
                                      "ask=2\ntime=-5\n",
                                      "ask=2\ntime=0\n",
                                      "ask=2\ntime=99999999999999999999\n",
                                      "ask=2\ntime=4294967296000000000\n",
                                      "ask=2\nask=2\ntime=5\n",
                                      "ask=2\ntime=5\nahead=1\n",
                                      "ask=-2\ntime=5\n"};
    struct mux_time_word word;
    meet("f00d", HOUR_NS);
    assert_true(takes_question(&word));
    answer_question(&word, HOUR_NS, MS_NS, MS_NS);
    answer_question(&word, 5 * HOUR_NS, MS_NS, MS_NS); /* nobody asked */
    assert_true(takes_question(&word));
    assert_int_equal(word.ask, 2);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        give_down_word("muxd.time", bad[i]);
    assert_true(upstream_ahead_ns() == HOUR_NS);
    assert_int_equal(rig_counter(MUX_COUNT_clock_readings), 2);
    rig_run(now_ns + 10 * SECOND_NS); /* not answered: the next round comes */
    answer_question(&word, 5 * HOUR_NS, 0, 0);
    assert_true(upstream_ahead_ns() == HOUR_NS);
    rig_run(now_ns + 60 * SECOND_NS);
    assert_true(takes_question(&word));
    assert_int_equal(word.ask, 3);
}

/* An upstream of an earlier version has no time in its answer: it is never asked again. */
static void an_old_upstream(void **state) {
    (void)state;
    struct mux_time_word word;
    struct mux_clock_stats stats;
    mux_upstream_connected(mux, true);
    assert_non_null(mux_upstream_take(mux));
    mux_upstream_sent(mux);
    answer_hello("f00d", 0);
    assert_true(mux_upstream_accepted(mux));
    assert_false(takes_question(&word));
    assert_true(mux_deadline_ns(mux) == UINT64_MAX);
    mux_upstream_clock(mux, &stats);
    assert_int_equal(stats.basis, MUX_CLOCK_UNKNOWN);
}

static void upstream_is_lost_and_another_found(void **state) {
    (void)state;
    struct mux_time_word word;
    struct mux_clock_stats stats;
    meet("f00d", HOUR_NS);
    assert_true(takes_question(&word));
    mux_upstream_lost(mux, 0, now_ns);
    rig_run(now_ns);
    assert_true(upstream_ahead_ns() == HOUR_NS); /* a clock goes on while it is away */
    meet("f00d", HOUR_NS);
    mux_upstream_lost(mux, 0, now_ns);
    meet("beef", -HOUR_NS);
    assert_true(upstream_ahead_ns() == -HOUR_NS);
    assert_int_equal(rig_counter(MUX_COUNT_clock_steps), 0);
    mux_upstream_lost(mux, 0, now_ns);
    meet("beef", 2 * HOUR_NS);
    assert_int_equal(rig_counter(MUX_COUNT_clock_steps), 1);
    mux_set_wall(mux, EPOCH_NS + HOUR_NS); /* our own is set: nothing needs to be asked */
    mux_upstream_clock(mux, &stats);
    assert_true(stats.ahead_ns == HOUR_NS);
}

static struct mux_link *connect_node(bool asks) {
    struct mux_hello hello;
    uint8_t bytes[MUX_HELLO_PACKET_BYTES];
    mux_hello_init(&hello, "a1", "leaf");
    hello.asks_time = asks;
    struct mux_link *link = rig_connect();
    rig_give(link, bytes, mux_hello_write(&hello, bytes));
    return link;
}

/* The packet that a link was sent last. */
static struct mux_packet read_down(struct mux_link *link) {
    struct mux_packet packet;
    size_t len = rig_read_down(link);
    assert_int_equal(mux_packet_parse(mux_span(rig_down, len), &packet, NULL), MUX_OK);
    return packet;
}

static void tells_nodes_below(void **state) {
    (void)state;
    struct mux_hello hello;
    struct mux_time_word word = {.ask = 7, .has_ahead = true, .ahead_ns = -5, .error_ns = 3};
    struct mux_link_stats stats;
    uint8_t bytes[MUX_HELLO_PACKET_BYTES];
    rig_run(SECOND_NS);
    struct mux_link *link = connect_node(true);
    struct mux_packet packet = read_down(link);
    assert_null(mux_hello_read(&packet, &hello));
    assert_true(hello.time_ns == wall_ns());
    rig_run(5 * SECOND_NS);
    rig_give(link, bytes, mux_time_write(&word, bytes));
    packet = read_down(link);
    assert_true(mux_time_is(&packet) && mux_time_read(&packet, &word));
    assert_true(word.ask == 7 && word.time_ns == wall_ns());
    mux_link_stats(link, &stats);
    assert_int_equal(stats.clock.basis, MUX_CLOCK_MEASURED);
    assert_true(stats.clock.ahead_ns == -5 && stats.clock.error_ns == 3);
    for (unsigned i = 0; i < 1000; i++) /* it does not read: what is queued stays bounded */
        rig_give(link, bytes, mux_time_write(&word, bytes));
    assert_true(rig_read_down(link) < (size_t)2 * MUX_HELLO_PACKET_BYTES);
    rig_send_up();
    assert_int_equal(rig_up_bytes, 0);
}

static void tells_only_who_asks(void **state) {
    (void)state;
    struct mux_hello hello;
    struct mux_packet packet = read_down(connect_node(false));
    assert_null(mux_hello_read(&packet, &hello));
    assert_int_equal(hello.time_ns, 0);
}

/* ---- corrected ---- */

/* Nothing goes up before the upstream has said its time; then all is in it. */
static void shifted_to_the_upstream(void **state) {
    (void)state;
    struct mux_link *link = rig_connect();
    give_event(link, "early", MUX_STATUS_EXISTS, wall_ns());
    int64_t early_ns = wall_ns();
    assert_int_equal(mux_upstream_pending_bytes(mux), 0);
    meet("f00d", HOUR_NS);
    struct mux_time_word word;
    assert_true(takes_question(&word));
    assert_time_up(early_ns + HOUR_NS);
    give_event(link, "none", MUX_STATUS_EXISTS, -1);
    assert_time_up(-1);
    struct mux_link *node = connect_node(true);
    give_event(node, "below", MUX_STATUS_EXISTS, wall_ns() - 5 * SECOND);
    next_up(); /* the node is here */
    assert_time_up(wall_ns() - 5 * SECOND + HOUR_NS);
    give_event(node, "last", MUX_STATUS_EXISTS, MUX_TIME_MOST_NS);
    assert_time_up(MUX_TIME_MOST_NS); /* it cannot be later */
    assert_int_equal(rig_counter(MUX_COUNT_timestamps_kept), 1);
    assert_int_equal(rig_counter(MUX_COUNT_timestamps_shifted), 2);
}

/* Workers skewed by an hour, and one that is not. */
static void skewed_workers(void **state) {
    (void)state;
    static const int64_t ahead_ns[] = {HOUR_NS, -HOUR_NS, 0, 400 * MS_NS};
    struct mux_link *links[4];
    char id[8];
    notes = 0;
    for (unsigned i = 0; i < 4; i++)
        links[i] = rig_connect();
    for (unsigned round = 0; round < 100; round++) {
        int64_t sent_ns = wall_ns();
        snprintf(id, sizeof id, "t%u", round / 2);
        now_ns += (uint64_t)(round * 37 % 20) * MS_NS; /* on the way */
        for (unsigned i = 0; i < 4; i++) {
            give_event(links[i], id, round % 2 ? MUX_STATUS_SUCCESS : MUX_STATUS_INPROGRESS,
                       sent_ns + ahead_ns[i]);
            struct mux_packet packet = next_up();
            int64_t wrong_ns = mux_packet_time_ns(&packet) - sent_ns;
            if (i < 2)
                assert_true(wrong_ns >= 0 && wrong_ns <= 20 * MS_NS);
            else
                assert_true(wrong_ns == ahead_ns[i]);
        }
        now_ns += SECOND_NS;
    }
    struct mux_link_stats stats;
    mux_link_stats(links[0], &stats);
    assert_true(stats.clock.basis == MUX_CLOCK_ESTIMATED && stats.clock.is_shifted);
    assert_true(stats.clock.ahead_ns >= HOUR_NS - 20 * MS_NS && stats.clock.ahead_ns <= HOUR_NS);
    mux_link_stats(links[2], &stats);
    assert_true(stats.clock.basis == MUX_CLOCK_ESTIMATED && !stats.clock.is_shifted);
    assert_true(notes >= 2);
}

/*
 * ---- the time that nodes below are told ----
 */

static void answer_all_questions(int64_t ahead_ns) {
    struct mux_time_word word;
    while (takes_question(&word)) {
        answer_question(&word, ahead_ns, MS_NS, MS_NS);
        mux_run(mux, now_ns);
    }
}

/* A node below asks with its hello. False: it is refused. */
static bool is_told(struct mux_link *link, const char *identity, bool takes_bundles,
                    struct mux_hello *answer) {
    char content[128];
    struct mux_packet packet = {.file_name = mux_span_text("muxd.hello")};
    snprintf(content, sizeof content, "version=1\nidentity=%s\nname=leaf\ntime=\n%s", identity,
             takes_bundles ? "bundles=1\n" : "");
    packet.file_content = mux_span_text(content);
    rig_give_packet(link, &packet);
    size_t len = rig_read_down(link);
    return !mux_packet_parse(mux_span(rig_down, len), &packet, NULL) && mux_hello_is(&packet) &&
           !mux_hello_read(&packet, answer);
}

static struct mux_time_word ask_from_below(struct mux_link *link, const char *content) {
    struct mux_time_word word = {0};
    struct mux_packet packet = {.file_name = mux_span_text("muxd.time"),
                                .file_content = mux_span_text(content)};
    rig_give_packet(link, &packet);
    size_t len = rig_read_down(link);
    assert_int_equal(mux_packet_parse(mux_span(rig_down, len), &packet, NULL), MUX_OK);
    assert_true(mux_time_is(&packet) && mux_time_read(&packet, &word));
    return word;
}

/* A node with bundles is told the root's time, which nobody on the way can shift to. */
static void tells_the_time_it_shifts_to(void **state) {
    (void)state;
    struct mux_hello answer;
    struct mux_link_stats stats;
    now_ns = 50 * SECOND_NS;
    assert_false(is_told(rig_connect(), "a0", true, &answer)); /* it is not known yet */
    meet("f00d", HOUR_NS);
    answer_all_questions(HOUR_NS);
    struct mux_link *with = rig_connect(), *without = rig_connect();
    assert_true(is_told(with, "a1", true, &answer));
    assert_true(answer.time_ns == wall_ns() + HOUR_NS && answer.within_ns == MS_NS);
    assert_true(is_told(without, "a2", false, &answer));
    assert_true(answer.time_ns == wall_ns() && answer.within_ns == 0);
    struct mux_time_word word = ask_from_below(with, "ask=3\nahead=-5000\nerror=70\n");
    assert_true(word.time_ns == wall_ns() + HOUR_NS && word.within_ns >= MS_NS);
    mux_link_stats(with, &stats); /* of our own clock */
    assert_true(stats.clock.ahead_ns == HOUR_NS - 5000 && stats.clock.error_ns == 70);
    word = ask_from_below(without, "ask=3\nahead=-5000\nerror=70\n");
    assert_true(word.time_ns == wall_ns() && word.within_ns == 0);
    mux_link_stats(without, &stats);
    assert_true(stats.clock.ahead_ns == -5000);
}

/* What the upstream says may be wrong, and is asked for anew when there may be another root. */
static void the_upstreams_error_counts(void **state) {
    (void)state;
    struct mux_time_word word;
    struct mux_clock_stats stats;
    mux_upstream_connected(mux, true);
    mux_run(mux, now_ns);
    assert_non_null(mux_upstream_take(mux));
    mux_upstream_sent(mux);
    char content[160];
    snprintf(content, sizeof content,
             "version=1\nidentity=f00d\nname=top\nbundles=1\ntime=%" PRId64 "\nwithin=%" PRId64
             "\n",
             wall_ns() + HOUR_NS, 7 * MS_NS);
    give_down_word("muxd.hello", content);
    mux_upstream_clock(mux, &stats);
    assert_true(stats.ahead_ns == HOUR_NS && stats.error_ns == 7 * MS_NS);
    answer_all_questions(HOUR_NS);
    mux_upstream_clock(mux, &stats);
    assert_true(stats.error_ns < 2 * MS_NS);
    rig_give_down(mux_ask_write(&(struct mux_ask){0}, mux_span(NULL, 0), packet_bytes));
    for (unsigned i = 0; i < 4; i++) {
        assert_true(takes_question(&word));
        answer_question(&word, -HOUR_NS, MS_NS, MS_NS);
        mux_run(mux, now_ns);
    }
    assert_false(takes_question(&word));
    assert_true(upstream_ahead_ns() == -HOUR_NS);
}

/* The packet that says so is under the link's route, and comes though the worker ends at once. */
static void says_what_is_estimated(void **state) {
    (void)state;
    struct mux_link *link = rig_connect();
    struct mux_packet packet;
    now_ns = 50 * SECOND_NS;
    give_event(link, "one", MUX_STATUS_EXISTS, wall_ns() - HOUR_NS);
    mux_link_ended(link, "it ended");
    rig_run(now_ns);
    assert_true(mux_link_finished(link));
    rig_send_up();
    assert_true(rig_next_up(&up_at, &packet));
    assert_true(mux_packet_time_ns(&packet) == wall_ns());
    assert_true(rig_next_up(&up_at, &packet));
    assert_true(mux_span_equal(packet.file_name, mux_span_text("muxd.clock")));
    assert_true(mux_span_equal(packet.route, mux_span_text("0")));
    assert_true(mux_span_equal(packet.file_content,
                               mux_span_text("basis=estimated\nahead=-3600000000000\n")));
    assert_non_null(strstr(rig_log, "its clock is -3600.000 s from ours, estimated from arrival"));
}

/* A correction never falls between the two ends of a test. */
static void between_tests(void **state) {
    (void)state;
    struct mux_link *link = rig_connect();
    now_ns = 50 * SECOND_NS;
    give_event(link, "t", MUX_STATUS_INPROGRESS, wall_ns() - HOUR_NS - 800 * MS_NS); /* was late */
    assert_time_up(wall_ns());
    now_ns += SECOND_NS;
    give_event(link, "t", MUX_STATUS_NONE, wall_ns() - HOUR_NS);
    assert_time_up(wall_ns() + 800 * MS_NS);
    give_event(link, "t", MUX_STATUS_SUCCESS, wall_ns() - HOUR_NS);
    assert_time_up(wall_ns() + 800 * MS_NS);
    give_event(link, "u", MUX_STATUS_INPROGRESS, wall_ns() - HOUR_NS);
    assert_time_up(wall_ns());
}

/* The first packet was held up for seconds: the correction stays, and becomes better. */
static void held_up_at_the_beginning(void **state) {
    (void)state;
    struct mux_link *link = rig_connect();
    now_ns = 50 * SECOND_NS;
    give_event(link, "a", MUX_STATUS_EXISTS, wall_ns() - HOUR_NS - 4 * SECOND);
    assert_time_up(wall_ns());
    for (unsigned i = 0; i < 5; i++) {
        now_ns += SECOND_NS;
        give_event(link, "b", MUX_STATUS_EXISTS, wall_ns() - HOUR_NS);
        assert_time_up(wall_ns() + 4 * SECOND);
    }
    now_ns += SECOND_NS;
    give_event(link, "c", MUX_STATUS_EXISTS, wall_ns() - HOUR_NS);
    next_up();
    give_event(link, "d", MUX_STATUS_EXISTS, wall_ns() - HOUR_NS);
    assert_time_up(wall_ns());
    give_event(link, "e", MUX_STATUS_EXISTS, wall_ns() + HOUR_NS); /* it must be a recording */
    next_up();
    give_event(link, "f", MUX_STATUS_EXISTS, wall_ns() - HOUR_NS);
    assert_time_up(wall_ns() - HOUR_NS);
}

/* An old file: its timestamps go by faster than the clock, as its first bytes show already. */
static void recordings_stay(void **state) {
    (void)state;
    static uint8_t bytes[40000];
    size_t len = 0, written;
    int64_t then_ns = wall_ns() - 1000 * HOUR_NS;
    for (unsigned i = 0; i < 500; i++) {
        struct mux_packet packet = event("t", MUX_STATUS_EXISTS, then_ns + i * SECOND);
        assert_int_equal(mux_packet_encode(&packet, bytes + len, sizeof bytes - len, &written),
                         MUX_OK);
        len += written;
    }
    struct mux_link *link = rig_connect();
    rig_push(link, bytes, len);
    rig_run(now_ns);
    for (unsigned i = 0; i < 500; i++)
        assert_time_up(then_ns + i * SECOND);
    struct mux_link_stats stats;
    mux_link_stats(link, &stats);
    assert_int_equal(stats.clock.basis, MUX_CLOCK_RECORDED);
    assert_int_equal(rig_counter(MUX_COUNT_clock_skews), 0);
}

/* A body that is sent from where it lies, a packet with its segment too large, and one too large.
 */
static void sizes(void **state) {
    (void)state;
    static const size_t less[] = {0, 10, 12, 14, 20, 30, MUX_PACKET_MAX_BYTES - 5000};
    static uint8_t content[MUX_PACKET_MAX_BYTES], bytes[MUX_PACKET_MAX_BYTES];
    struct mux_link *link = rig_connect();
    size_t len;
    now_ns = 100 * SECOND_NS;
    for (size_t i = 0; i < sizeof less / sizeof *less; i++) {
        struct mux_packet packet = {.file_name = mux_span_text("f")}, up;
        mux_packet_set_time_ns(&packet, wall_ns() - HOUR_NS);
        packet.file_content = mux_span(content, MUX_PACKET_MAX_BYTES - 30 - less[i]);
        content[i] = (uint8_t)i;
        assert_int_equal(mux_packet_encode(&packet, bytes, sizeof bytes, &len), MUX_OK);
        rig_give(link, bytes, len);
        size_t content_bytes = 0;
        while (content_bytes < packet.file_content.len) {
            up = next_up();
            assert_true(mux_packet_time_ns(&up) == wall_ns());
            content_bytes += up.file_content.len;
        }
        assert_int_equal(content_bytes, packet.file_content.len);
    }
}

/* ---- stamped ---- */

static void stamps(void **state) {
    (void)state;
    struct mux_link *link = rig_connect();
    now_ns = 100 * SECOND_NS;
    give_event(link, "t", MUX_STATUS_INPROGRESS, -1);
    assert_time_up(wall_ns());
    give_event(link, "t", MUX_STATUS_NONE, 5 * SECOND); /* what is there stays */
    assert_time_up(5 * SECOND);
    rig_give(link, (const uint8_t *)"text\n", 5);
    assert_time_up(wall_ns());
    uint8_t damage[12] = {0xB3, 0x29, 0x01, 0x0c, 0x03, 'f', 'o', 'o'};
    rig_give(link, damage, sizeof damage);
    assert_time_up(wall_ns());
    assert_time_up(wall_ns());
    now_ns += SECOND_NS;
    rig_lose(link);
    assert_time_up(wall_ns()); /* the test has failed */
    assert_int_equal(rig_counter(MUX_COUNT_timestamps_added), 5);
}

static void untouched_by_default(void **state) {
    (void)state;
    struct mux_link *link = rig_connect();
    give_event(link, "t", MUX_STATUS_INPROGRESS, -1);
    assert_time_up(-1);
    give_event(link, "t", MUX_STATUS_SUCCESS, 7 * SECOND);
    assert_time_up(7 * SECOND);
    rig_give(link, (const uint8_t *)"text\n", 5);
    assert_time_up(-1);
}

#define TEST(name, open) cmocka_unit_test_setup_teardown(name, open, rig_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(asks_the_upstream, open_below_node),
        TEST(answers_that_say_nothing, open_below_node),
        TEST(an_old_upstream, open_below_node),
        TEST(upstream_is_lost_and_another_found, open_below_node),
        TEST(tells_nodes_below, open_plain),
        TEST(tells_only_who_asks, open_plain),
        TEST(shifted_to_the_upstream, open_correcting_below_node),
        TEST(tells_the_time_it_shifts_to, open_correcting_with_bundles),
        TEST(the_upstreams_error_counts, open_correcting_with_bundles),
        TEST(skewed_workers, open_correcting),
        TEST(says_what_is_estimated, open_correcting),
        TEST(between_tests, open_correcting),
        TEST(held_up_at_the_beginning, open_correcting),
        TEST(recordings_stay, open_correcting),
        TEST(sizes, open_correcting),
        TEST(stamps, open_stamping),
        TEST(untouched_by_default, open_plain),
    };
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
