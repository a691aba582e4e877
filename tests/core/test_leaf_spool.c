/*
 * A node with a spool on a disk by script, below a scripted end: rules 9 to 12b and 38 of the
 * reliable protocol, and by seed over lives that end anywhere and disks that tear, flip, lose and
 * are full.
 */
#include "tests/core/rig.h"
#include "tests/core/scripted_end.h"
#include "tests/unit/random.h"

#include "mux/node/message.h"

#include <stdio.h>
#include <stdlib.h>

#define FILES_MAX 64
#define FILE_MOST_BYTES (1 << 17)
#define SPOOL_BYTES ((uint64_t)400 << 10)
#define TESTS_MAX 4000
#define SEEDS 100 /* SPOOL_SEEDS=10000 runs more, SPOOL_SEED=7 this one */

struct file {
    char name[MUX_SPOOL_NAME_BYTES + 8];
    size_t len;
    uint8_t bytes[FILE_MOST_BYTES];
};
static struct file files[FILES_MAX];
static unsigned file_count, aside_count;
static bool is_disk_full;
static size_t reads, syncs;

static struct scripted_end end;
static struct mux_link *worker;
static size_t up_at, down_len;
static uint8_t down_bytes[1 << 18];
static unsigned sent, received[TESTS_MAX]; /* tests, by number; how often each has arrived */
static bool is_spooled[TESTS_MAX], is_excused[TESTS_MAX];
static unsigned last_received;
static bool is_connected;

/*
 * ---- the disk ----
 */

static struct file *file_of(const char *name) {
    for (unsigned i = 0; i < file_count; i++)
        if (strcmp(files[i].name, name) == 0)
            return &files[i];
    return NULL;
}

static void remove_file(struct file *file) {
    *file = files[--file_count];
}

static const char *write_file(const struct mux_spool_op *op, size_t most, size_t *bytes) {
    struct file *file = file_of(op->name);
    if (!file && !op->is_new)
        return "no such file";
    if (!file) {
        assert_true(file_count < FILES_MAX);
        file = &files[file_count++];
        snprintf(file->name, sizeof file->name, "%s", op->name);
        file->len = 0;
    }
    file->len = op->at;
    for (size_t i = 0; i < op->bytes.count && *bytes < most; i++) {
        struct mux_span span = op->bytes.spans[i];
        size_t len = span.len < most - *bytes ? span.len : most - *bytes;
        assert_true(file->len + len <= FILE_MOST_BYTES);
        memcpy(file->bytes + file->len, span.data, len);
        file->len += len;
        *bytes += len;
    }
    bool is_whole = *bytes == op->bytes.len_bytes;
    syncs += op->syncs && is_whole;
    return is_whole ? NULL : "no space left";
}

static const char *read_file(const struct mux_spool_op *op, size_t *bytes) {
    const struct file *file = file_of(op->name);
    if (!file)
        return "no such file";
    size_t left = op->at < file->len ? file->len - op->at : 0;
    *bytes = left < op->room.len ? left : op->room.len;
    memcpy(op->room.data, file->bytes + op->at, *bytes);
    reads++;
    return NULL;
}

static const char *carry_out(const struct mux_spool_op *op, size_t most, size_t *bytes) {
    struct file *file = file_of(op->name);
    switch (op->work) {
    case MUX_SPOOL_WRITE:
        return write_file(op, most, bytes);
    case MUX_SPOOL_SYNC:
        syncs++;
        return NULL;
    case MUX_SPOOL_READ:
        return read_file(op, bytes);
    case MUX_SPOOL_REMOVE:
        if (file)
            remove_file(file);
        return NULL;
    case MUX_SPOOL_ASIDE:
        if (file)
            remove_file(file);
        aside_count++;
        return NULL;
    case MUX_SPOOL_RENAME:
        assert_non_null(file);
        memcpy(file->bytes, op->head, sizeof op->head);
        strcpy(file->name, op->new_name);
        return NULL;
    }
    return "unknown";
}

/* The tests in what was written, whose ids are numbers. */
static void mark(const uint8_t *content, size_t len, bool *marks) {
    struct mux_span rest = mux_span(content, len);
    struct mux_bundle_item item;
    while (rest.len > 0 && !mux_bundle_next(&rest, &item))
        if (item.packet.test_id.data)
            marks[strtoul((const char *)item.packet.test_id.data, NULL, 10)] = true;
}

static void note_written(const struct mux_spool_op *op) {
    static uint8_t joined[FILE_MOST_BYTES];
    size_t len = 0;
    for (size_t i = 0; i < op->bytes.count; len += op->bytes.spans[i++].len)
        memcpy(joined + len, op->bytes.spans[i].data, op->bytes.spans[i].len);
    size_t at = op->is_new ? MUX_SPOOL_HEAD_BYTES : 0;
    while (at < len) {
        uint32_t content = (uint32_t)joined[at + 4] << 24 | (uint32_t)joined[at + 5] << 16 |
                           (uint32_t)joined[at + 6] << 8 | joined[at + 7];
        mark(joined + at + MUX_SPOOL_RECORD_HEAD_BYTES, content, is_spooled);
        at += MUX_SPOOL_RECORD_HEAD_BYTES + content;
    }
}

/* One operation. False: there is none. */
static bool work_disk(void) {
    size_t bytes = 0;
    const struct mux_spool_op *op = mux_spool_take(mux);
    if (!op)
        return false;
    const char *why = carry_out(op, is_disk_full ? op->bytes.len_bytes / 2 : SIZE_MAX, &bytes);
    if (op->work == MUX_SPOOL_WRITE && !why)
        note_written(op);
    mux_spool_done(mux, bytes, why);
    rig_run(now_ns);
    return true;
}

/*
 * ---- the node's lives ----
 */

static void goes_down(void *user, struct mux_span bytes) {
    (void)user;
    assert_true(bytes.len <= sizeof down_bytes - down_len);
    memcpy(down_bytes + down_len, bytes.data, bytes.len);
    down_len += bytes.len;
}

static void takes(void *user, const struct scripted_stream *stream,
                  const struct mux_packet *packet) {
    (void)user, (void)stream;
    if (!packet->test_id.data)
        return;
    last_received = (unsigned)strtoul((const char *)packet->test_id.data, NULL, 10);
    received[last_received]++;
}

static void begin_life(void) {
    static unsigned lives;
    static char identity[16];
    snprintf(identity, sizeof identity, "%x", 0xa000 + ++lives);
    rig_identity = identity;
    assert_int_equal(rig_open_with_bundles(NULL), 0);
    for (unsigned i = 0; i < file_count; i++) {
        struct mux_spool_head head;
        if (mux_spool_head_read(mux_span(files[i].bytes, files[i].len), &head)) {
            remove_file(&files[i--]);
            aside_count++;
            continue;
        }
        assert_true(mux_spool_found(mux, &head, files[i].len));
    }
    worker = rig_connect();
    up_at = down_len = 0;
    is_connected = false;
}

static int open_world(void **state) {
    (void)state;
    end = (struct scripted_end){.down = goes_down, .packet = takes};
    file_count = aside_count = sent = 0;
    reads = syncs = 0;
    is_disk_full = false;
    memset(received, 0, sizeof received);
    memset(is_spooled, 0, sizeof is_spooled);
    memset(is_excused, 0, sizeof is_excused);
    rig_spool = (struct mux_spool_limits){SPOOL_BYTES, MUX_SPOOL_SYNC_NONE};
    begin_life();
    return 0;
}

static int close_world(void **state) {
    scripted_end_fini(&end);
    rig_spool.most_bytes = 0;
    rig_identity = "0e1f";
    return rig_close(state);
}

/* kill -9: what is in memory is gone. */
static void live_again(void) {
    rig_close(NULL);
    begin_life();
}

static void send_test(size_t content_bytes) {
    static uint8_t content[FILE_MOST_BYTES];
    char id[16];
    snprintf(id, sizeof id, "%u", sent++);
    const struct mux_packet packet = {.test_id = mux_span_text(id),
                                      .status = MUX_STATUS_EXISTS,
                                      .file_name = mux_span_text("f"),
                                      .file_content = mux_span(content, content_bytes)};
    rig_give_packet(worker, &packet);
    rig_run(now_ns);
}

/* As long as the node takes some; returns how many. */
static unsigned send_tests(unsigned most, size_t content_bytes) {
    unsigned count = 0;
    while (count < most && !mux_busy(mux)) {
        send_test(content_bytes);
        count++;
    }
    return count;
}

static void settle_disk(void) {
    for (unsigned i = 0; i < 3; i++) {
        rig_run(now_ns += MUX_STREAM_FLUSH_NS);
        while (work_disk())
            ;
    }
}

static unsigned reach_end(void) {
    unsigned messages = 0;
    struct mux_packet packet;
    for (size_t from = up_at; rig_next_up(&up_at, &packet); from = up_at)
        messages += scripted_end_take(&end, mux_span(rig_up + from, up_at - from));
    return messages;
}

static void give_down(void) {
    for (size_t at = 0; at < down_len;) {
        uint32_t length, header;
        assert_int_equal(
            mux_header_parse(mux_span(down_bytes + at, down_len - at), &length, &header), MUX_OK);
        memcpy(packet_bytes, down_bytes + at, length);
        rig_give_down(length);
        at += length;
    }
    down_len = 0;
}

static void acknowledge(void) {
    for (unsigned i = 0; i < end.count; i++)
        if (end.streams[i].known.safe < end.streams[i].known.at)
            scripted_end_ack(&end, &end.streams[i], end.streams[i].known.at);
}

/* Everything passes, both ways, and is safe at once; and the disk works. */
static void settle(void) {
    unsigned quiet = 0;
    while (quiet < 3) {
        rig_send_up();
        bool is_busy = reach_end() > 0;
        acknowledge();
        is_busy = is_busy || down_len > 0;
        give_down();
        rig_send_up();
        is_busy = work_disk() || is_busy;
        quiet = is_busy ? 0 : quiet + 1;
        now_ns += MUX_SPOOL_WRITE_NS;
        rig_run(now_ns);
    }
}

static void upstream_comes(void) {
    rig_meet_upstream("f00d", "bundles=1\n", NULL);
    is_connected = true;
}

static void upstream_goes(void) {
    mux_upstream_lost(mux, 0, now_ns);
    up_at = rig_up_bytes;
    down_len = 0;
    is_connected = false;
    rig_run(now_ns);
}

static void expect_all(unsigned from) {
    for (unsigned i = from; i < sent; i++)
        if (received[i] != 1)
            fail_msg("test %u of %u has arrived %u times", i, sent, received[i]);
}

/* Rules 10, 11: what is in the spool takes no memory, and comes when the end does. */
static void rule_10_the_spool_is_larger_than_the_window(void **state) {
    (void)state;
    for (unsigned i = 0; i < 60; i++) {
        send_tests(1, 5000);
        settle_disk();
    }
    assert_int_equal(sent, 60);
    assert_true(rig_counter(MUX_COUNT_spool_bytes) > 4 * RIG_WINDOW_BYTES);
    assert_int_equal(mux_upstream_pending_bytes(mux), mux_upstream_spooled_bytes(mux));
    upstream_comes();
    settle();
    expect_all(0);
    assert_true(reads > 0);
    assert_int_equal(mux_upstream_pending_bytes(mux), 0);
    assert_true(file_count <= 1); /* the one that is written to */
    assert_int_equal(aside_count, 0);
}

/* Rule 11: its limit is back-pressure, said once; then it goes on. */
static void rule_11_full_is_back_pressure(void **state) {
    (void)state;
    struct mux_leaf_stats stats;
    unsigned count;
    while ((count = send_tests(5, 5000)) > 0)
        settle_disk();
    assert_true(rig_counter(MUX_COUNT_spool_bytes) <= SPOOL_BYTES);
    assert_non_null(strstr(rig_log, "the spool is full"));
    mux_leaf_stats(mux, &stats);
    assert_true(stats.is_spool_full && stats.window_bytes >= RIG_WINDOW_BYTES / 2);
    upstream_comes();
    settle();
    expect_all(0);
    mux_leaf_stats(mux, &stats);
    assert_false(stats.is_spool_full && stats.unsafe_bytes > 0);
}

/* A full disk takes part of a write: the rest follows at that byte. */
static void rule_11_a_full_disk_loses_nothing(void **state) {
    (void)state;
    is_disk_full = true;
    send_tests(5, 5000);
    settle_disk();
    assert_non_null(strstr(rig_log, "no space left"));
    unsigned more = send_tests(100, 5000);
    assert_true(more < 20);
    is_disk_full = false;
    now_ns += MUX_SPOOL_RETRY_NS;
    settle_disk();
    assert_non_null(strstr(rig_log, "written again"));
    live_again();
    upstream_comes();
    settle();
    expect_all(0);
    assert_int_equal(aside_count, 0);
}

/* Rules 5, 12: a life that was killed is a stream of its own, and final. */
static void rule_12_what_a_killed_leaf_has_spooled_comes(void **state) {
    (void)state;
    for (unsigned life = 0; life < 12; life++) {
        send_tests(8, 3000);
        settle_disk();
        live_again();
    }
    send_tests(3, 3000);
    upstream_comes();
    settle();
    expect_all(0);
    assert_int_equal(end.count, 13);
    for (unsigned i = 0; i < end.count; i++)
        assert_true(end.streams[i].known.safe == end.streams[i].known.at);
    assert_true(file_count <= 1);
}

/* Rule 12b: what is live does not wait for what was. */
static void rule_12b_streams_take_turns(void **state) {
    (void)state;
    send_tests(60, 3000);
    settle_disk();
    send_tests(20, 3000);
    settle_disk();
    live_again();
    unsigned old = sent;
    upstream_comes();
    send_tests(5, 3000);
    for (unsigned i = 0; i < 400 && received[old + 4] == 0; i++) {
        rig_send_up();
        reach_end();
        give_down();
        work_disk();
        rig_run(now_ns += MUX_SPOOL_WRITE_NS);
    }
    unsigned count = 0;
    for (unsigned i = 0; i < old; i++)
        count += received[i] > 0;
    assert_int_equal(received[old + 4], 1);
    assert_true(count < old);
    settle();
    expect_all(0);
}

/* Rule 11b: what was safe before it was written is no hole. */
static void rule_11b_a_gap_is_no_hole(void **state) {
    (void)state;
    upstream_comes();
    send_tests(3, 3000);
    settle_disk();
    settle();
    for (unsigned i = 0; i < 3; i++) { /* safe at once */
        send_tests(2, 3000);
        rig_send_up();
        reach_end();
        acknowledge();
        give_down();
    }
    upstream_goes();
    send_tests(3, 3000);
    settle_disk();
    live_again();
    upstream_comes();
    settle();
    expect_all(0);
    assert_int_equal(rig_counter(MUX_COUNT_spool_holes), 0);
}

/* --spool-sync always: the next turn of the disk writes what four tests have said. */
static void always_writes(void) {
    rig_spool.sync = MUX_SPOOL_SYNC_ALWAYS;
    live_again();
    send_tests(4, 3000);
    rig_run(now_ns += MUX_STREAM_FLUSH_NS);
    assert_false(work_disk());
    rig_run(now_ns += MUX_SPOOL_WRITE_NS);
}

/* --spool-sync always: nothing counts that is not synced. */
static void rule_10_always_counts_what_is_synced(void **state) {
    (void)state;
    always_writes();
    assert_true(work_disk());
    assert_int_equal(syncs, 1);
    assert_true(mux_spool_is_settled(mux));
    assert_int_equal(mux_upstream_spooled_bytes(mux), mux_upstream_pending_bytes(mux));
}

/* A write that fails in the middle has synced nothing: what is there whole is synced behind it. */
static void rule_10_always_syncs_what_is_left(void **state) {
    (void)state;
    always_writes();
    is_disk_full = true;
    assert_true(work_disk());
    assert_int_equal(syncs, 0);
    assert_int_equal(mux_upstream_spooled_bytes(mux), 0);
    is_disk_full = false;
    rig_run(now_ns += MUX_SPOOL_RETRY_NS);
    assert_true(work_disk());
    assert_int_equal(syncs, 1);
    uint64_t spooled_bytes = mux_upstream_spooled_bytes(mux);
    assert_true(spooled_bytes > 0 && spooled_bytes < mux_upstream_pending_bytes(mux));
    assert_false(work_disk());
    rig_run(now_ns += MUX_SPOOL_WRITE_NS);
    assert_true(work_disk());
    assert_int_equal(syncs, 2);
    assert_true(mux_spool_is_settled(mux));
}

/* A second after the first write, not before. */
static void interval_syncs_each_second(void **state) {
    (void)state;
    rig_spool.sync = MUX_SPOOL_SYNC_INTERVAL;
    live_again();
    send_tests(4, 3000);
    settle_disk();
    assert_int_equal(mux_upstream_spooled_bytes(mux), mux_upstream_pending_bytes(mux));
    assert_false(mux_spool_is_settled(mux));
    assert_int_equal(syncs, 0);
    assert_true(mux_deadline_ns(mux) <= now_ns + MUX_SPOOL_SYNC_NS);
    rig_run(now_ns += MUX_SPOOL_SYNC_NS);
    settle_disk();
    assert_int_equal(syncs, 1);
    assert_true(mux_spool_is_settled(mux));
}

/* Rule 38, and what only the spool has is compared where the stream opens. */
static void rule_38_a_fork_in_the_spool(void **state) {
    (void)state;
    upstream_comes();
    send_tests(1, 100);
    settle();
    upstream_goes();
    for (unsigned i = 0; i < 40; i++) {
        send_tests(1, 5000);
        settle_disk();
    }
    end.streams[0].known.crc ^= 1; /* a copy has sent something else, as long */
    upstream_comes();
    settle();
    assert_int_equal(rig_counter(MUX_COUNT_streams_forked), 1);
    assert_int_equal(end.count, 2);
    assert_int_equal(mux_upstream_pending_bytes(mux), 0);
    for (unsigned i = 1; i < sent; i++)
        assert_int_equal(received[i], 1);
    live_again();
    upstream_comes();
    settle();
    for (unsigned i = 1; i < sent; i++)
        assert_int_equal(received[i], 1);
}

/* An upstream without bundles gets all of it as plain packets, in order. */
static void rule_3_an_old_node_gets_the_spool_too(void **state) {
    (void)state;
    for (unsigned i = 0; i < 40; i++) {
        send_tests(1, 5000);
        settle_disk();
    }
    rig_meet_upstream("f00d", "", NULL);
    unsigned next = 0;
    for (unsigned i = 0; i < 200; i++) {
        struct mux_packet packet;
        rig_send_up();
        while (rig_next_up(&up_at, &packet))
            if (packet.test_id.data) {
                assert_int_equal(strtoul((const char *)packet.test_id.data, NULL, 10), next);
                next++;
            }
        work_disk();
        rig_run(now_ns += MUX_SPOOL_WRITE_NS);
    }
    assert_int_equal(next, sent);
    assert_int_equal(file_count, 0);
    upstream_goes();
    upstream_comes();
    send_tests(2, 5000);
    settle();
    assert_int_equal(received[sent - 1], 1);
}

/* Rule 12: a hole is said, the file kept aside, and the rest goes on. */
static void rule_12_holes(void **state) {
    (void)state;
    end.may_miss = true;
    for (unsigned i = 0; i < 40; i++) {
        send_tests(1, 5000);
        settle_disk();
    }
    rig_close(NULL);
    files[0].bytes[MUX_SPOOL_HEAD_BYTES + 3 * (MUX_SPOOL_RECORD_HEAD_BYTES + 5020)] ^= 1;
    remove_file(&files[1]);
    begin_life();
    upstream_comes();
    settle();
    unsigned missing = 0;
    for (unsigned i = 0; i < sent; i++)
        missing += received[i] == 0;
    assert_true(missing > 5 && missing < 20);
    assert_int_equal(received[39], 1);
    assert_int_equal(aside_count, 1);
    assert_true(rig_counter(MUX_COUNT_spool_holes) >= 2);
    assert_true(rig_counter(MUX_COUNT_spool_lost_bytes) > missing * 5000);
    assert_int_equal(mux_upstream_pending_bytes(mux), 0);
}

/*
 * ---- by seed ----
 */

static struct random dice;

static size_t below(size_t most) {
    return random_below(&dice, most);
}

/* Records of a file from this byte on may be missing from now on, or one alone. */
static void excuse(const struct file *file, size_t from, size_t to) {
    struct mux_spool_head head;
    struct mux_spool_reader reader;
    struct mux_spool_item item;
    if (mux_spool_head_read(mux_span(file->bytes, file->len), &head))
        return;
    mux_spool_reader_init(&reader, &head);
    for (;;) {
        struct mux_span bytes =
            mux_span(file->bytes + reader.position, file->len - (size_t)reader.position);
        size_t begin = reader.position;
        enum mux_spool_found found = mux_spool_next(&reader, bytes, true, &item);
        if (found == MUX_SPOOL_END || found == MUX_SPOOL_TORN)
            return;
        bool is_hit = begin < to && reader.position > from;
        if (found == MUX_SPOOL_RECORD && (is_hit || from < MUX_SPOOL_HEAD_BYTES))
            mark(item.content.data, item.content.len, is_excused);
    }
}

/* Between two lives something happens to a file. */
static void harm(void) {
    if (file_count == 0)
        return;
    struct file *file = &files[below(file_count)];
    size_t at = below(file->len);
    switch (below(3)) {
    case 0:
        excuse(file, at, at + 1);
        file->bytes[at] ^= (uint8_t)(1 << below(8));
        break;
    case 1:
        excuse(file, at, SIZE_MAX);
        file->len = at;
        break;
    default:
        excuse(file, 0, SIZE_MAX);
        remove_file(file);
    }
}

/* Killed in the middle of a write, of which some is there. */
static void tear(void) {
    size_t bytes = 0;
    const struct mux_spool_op *op = mux_spool_take(mux);
    if (op && op->work == MUX_SPOOL_WRITE)
        carry_out(op, below(op->bytes.len_bytes), &bytes);
}

static void step(void) {
    switch (below(9)) {
    case 0:
    case 1:
        send_tests((unsigned)below(5), below(4) ? below(400) : 1000 + below(9000));
        break;
    case 2:
    case 3:
        work_disk();
        break;
    case 4:
        if (below(8) == 0)
            is_connected ? upstream_goes() : upstream_comes();
        break;
    case 5:
        acknowledge();
        break;
    case 6:
        give_down();
        break;
    case 7:
        is_disk_full = below(6) == 0;
        rig_run(now_ns += below(4) ? 3000000 : SECOND_NS);
        break;
    default:
        if (is_connected)
            rig_send_up();
        reach_end();
    }
}

static void check(unsigned seed, unsigned last_life_from) {
    for (unsigned i = 0; i < sent; i++) {
        bool must_come = (is_spooled[i] && !is_excused[i]) || i >= last_life_from;
        if (received[i] > 1 || (must_come && received[i] == 0))
            fail_msg("seed %u: test %u of %u has arrived %u times", seed, i, sent, received[i]);
    }
    if (mux_upstream_pending_bytes(mux) > 0)
        fail_msg("seed %u is not drained", seed);
    assert_true(file_count <= 1);
}

static void run(unsigned seed) {
    open_world(NULL);
    dice.state = seed;
    bool is_harmed = seed % 3 == 0;
    unsigned last_life_from = 0;
    end.may_miss = is_harmed;
    rig_spool.sync = (enum mux_spool_sync)below(3);
    for (unsigned lives = 1 + (unsigned)below(4); lives > 0; lives--) {
        for (unsigned steps = 40 + (unsigned)below(300); steps > 0; steps--)
            step();
        if (below(2))
            tear();
        rig_close(NULL);
        for (unsigned harms = is_harmed ? (unsigned)below(3) : 0; harms > 0; harms--)
            harm();
        last_life_from = sent;
        begin_life();
    }
    is_disk_full = false;
    send_tests(3, 2000);
    upstream_comes();
    settle();
    now_ns += 40 * SECOND_NS; /* whatever was lost on the way */
    rig_run(now_ns);
    settle();
    check(seed, last_life_from);
    close_world(NULL);
}

static void test_seeds(void **state) {
    (void)state;
    const char *one = getenv("SPOOL_SEED"), *many = getenv("SPOOL_SEEDS");
    unsigned seeds = many ? (unsigned)strtoul(many, NULL, 10) : SEEDS;
    for (unsigned seed = 0; seed < seeds && !one; seed++)
        run(seed);
    if (one)
        run((unsigned)strtoul(one, NULL, 10));
}

#define WORLD(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void) {
    const struct CMUnitTest tests[] = {
        WORLD(rule_10_the_spool_is_larger_than_the_window),
        WORLD(rule_11_full_is_back_pressure),
        WORLD(rule_11_a_full_disk_loses_nothing),
        WORLD(rule_12_what_a_killed_leaf_has_spooled_comes),
        WORLD(rule_12b_streams_take_turns),
        WORLD(rule_11b_a_gap_is_no_hole),
        WORLD(rule_10_always_counts_what_is_synced),
        WORLD(rule_10_always_syncs_what_is_left),
        WORLD(interval_syncs_each_second),
        WORLD(rule_38_a_fork_in_the_spool),
        WORLD(rule_3_an_old_node_gets_the_spool_too),
        WORLD(rule_12_holes),
        cmocka_unit_test(test_seeds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
