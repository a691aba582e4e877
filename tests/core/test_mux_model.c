/*
 * A model of a node's core, without I/O: random links, pieces, rooms, losses and packets down, from
 * a seed. The packets that go up must be, per segment, those that a framer finds in that link's
 * stream. MUX_TEST_SEED=N repeats one run.
 */
#include "tests/unit/check.h"
#include "tests/unit/random.h"
#include "tests/unit/spare.h"

#include "mux/node/mux.h"
#include "mux/packet/framer.h"
#include "mux/packet/report.h"
#include "mux/packet/route.h"

#include <stdio.h>

#define RUNS 60
#define LINKS 24
#define BUFFERS 12
#define BUFFER_BYTES 8192
#define STREAM_MAX (6u << 20)
#define GATHER_MAX 64

/*
 * The greatest time of a step. Long steps evict slow holders of slots; and the core would search an
 * unfinished packet for another stream (rule 8), which expect() does not model: streams with such
 * packets have short steps only.
 */
#define LONG_TICK_NS 4000000
#define SHORT_TICK_NS 20000

/* Bytes that grow: a stream, or a record of what came out. */
struct bytes {
    uint8_t *data;
    size_t len, capacity;
    bool in_chatter;
};

static void drop(struct bytes *bytes) {
    spare_give(bytes->data, bytes->capacity);
    *bytes = (struct bytes){0};
}

static uint8_t *add_room(struct bytes *bytes, size_t len) {
    if (!bytes->data) {
        const struct spare spare = spare_take();
        bytes->data = spare.data;
        bytes->capacity = spare.capacity;
    }
    if (bytes->len + len > bytes->capacity) {
        bytes->capacity = 2 * (bytes->len + len);
        bytes->data = realloc(bytes->data, bytes->capacity);
        assert_non_null(bytes->data);
    }
    bytes->len += len;
    return bytes->data + bytes->len - len;
}

static void append(struct bytes *bytes, const void *data, size_t len) {
    if (len)
        memcpy(add_room(bytes, len), data, len);
}

/* Record a packet, and chatter, which may be cut anywhere. */
static void record_packet(struct bytes *record, struct mux_span packet) {
    append(record, "P", 1);
    append(record, packet.data, packet.len);
    record->in_chatter = false;
}

static void record_chatter(struct bytes *record, struct mux_span chatter) {
    if (!record->in_chatter)
        append(record, "C", 1);
    append(record, chatter.data, chatter.len);
    record->in_chatter = true;
}

static void record_pieces(struct bytes *record, const struct mux_pieces *pieces) {
    append(record, "P", 1);
    mux_pieces_copy(pieces, add_room(record, pieces->len_bytes));
    record->in_chatter = false;
}

struct worker {
    struct mux_link *link;
    struct bytes stream;
    size_t given;
    bool ended, closed, deaf;
    struct mux_room offered;
    struct bytes up, down; /* records: its packets that went up, and those sent down to it */
    struct mux_gather sending;
    bool is_sending;
    char segment[32];
};

struct world {
    struct random random;
    struct mux *mux;
    uint8_t *memory;
    struct mux_buffer buffers[BUFFERS];
    uint8_t *buffer_bytes;
    struct worker workers[LINKS];
    unsigned started;
    unsigned evicted;
    uint64_t tick_most_ns; /* the greatest time of a step */
    uint64_t now_ns;
    const struct mux_gather *flight;
    struct bytes up; /* the whole packets that the upstream's connections have read */
    struct bytes down_source;
    size_t down_given, down_wanted;
    uint64_t messages;
};

static bool chance(struct world *world, unsigned percent) {
    return random_below(&world->random, 100) < percent;
}

static void add_random(struct world *world, struct bytes *bytes, size_t len) {
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = (uint8_t)random_next(&world->random);
        append(bytes, &byte, 1);
    }
}

static void add_packet(struct world *world, struct bytes *stream, size_t content_bytes) {
    static uint8_t content[MUX_PACKET_MAX_BYTES], packet[MUX_PACKET_MAX_BYTES];
    struct mux_packet fields = {.status = MUX_STATUS_SUCCESS, .runnable = true, .eof = true};
    char test_id[64];
    snprintf(test_id, sizeof test_id, "test.%zu", random_below(&world->random, 1000));
    fields.test_id = mux_span_text(test_id);
    if (chance(world, 30))
        fields.route = mux_span_text(chance(world, 20) ? "" : "a/b");
    if (content_bytes) {
        memset(content, (int)random_below(&world->random, 256), content_bytes);
        fields.file_name = mux_span_text("log");
        fields.file_content = mux_span(content, content_bytes);
    }
    size_t written;
    assert_int_equal(mux_packet_encode(&fields, packet, sizeof packet, &written), MUX_OK);
    if (chance(world, 3))
        packet[written - 1 - random_below(&world->random, written)] ^= 0x20;
    append(stream, packet, written);
}

static void add_something(struct world *world, struct bytes *stream) {
    static const uint8_t large_header[] = {0xB3, 0x29, 0x01, 0xBF, 0xFF, 0xF0, 0x03, 'a'};
    switch (random_below(&world->random, 40)) {
    case 0:
        add_packet(world, stream, random_below(&world->random, 4190000));
        break;
    case 1:
    case 2:
        add_packet(world, stream, random_below(&world->random, 100000));
        break;
    case 3:
        if (world->tick_most_ns == SHORT_TICK_NS)
            add_random(world, stream, random_below(&world->random, 3000));
        break;
    case 4:
        if (world->tick_most_ns == SHORT_TICK_NS)
            append(stream, large_header, 4 + random_below(&world->random, 5));
        break;
    case 5:
    case 6:
        append(stream, "chatter without end ", 20 - random_below(&world->random, 19));
        break;
    case 7:
        append(stream, "a line\n", 7);
        break;
    default:
        add_packet(world, stream, random_below(&world->random, 600));
    }
}

static void release(struct mux_buffer *buffer) {
    memset(buffer->data, 0xEE, buffer->size_bytes); /* a late reader is detected */
}

static struct mux_buffer *free_buffer(struct world *world) {
    for (unsigned i = 0; i < BUFFERS; i++)
        if (world->buffers[i].holders == 0)
            return &world->buffers[i];
    return NULL;
}

static void say(void *user, const char *line) {
    (void)user, (void)line;
}

static void open_world(struct world *world, uint64_t seed) {
    *world = (struct world){.random = {seed}, .now_ns = 1};
    world->tick_most_ns = seed % 4 ? SHORT_TICK_NS : LONG_TICK_NS;
    size_t memory = MUX_MEMORY_MIN_BYTES + (random_below(&world->random, 3) << 23);
    world->memory = malloc(memory);
    world->buffer_bytes = malloc(BUFFERS * BUFFER_BYTES);
    for (unsigned i = 0; i < BUFFERS; i++)
        world->buffers[i] = (struct mux_buffer){world->buffer_bytes + i * BUFFER_BYTES,
                                                BUFFER_BYTES, 0, release, world};
    struct mux_config config = {
        .memory = {world->memory, memory},
        .links_max = LINKS,
        .inputs_max = BUFFERS,
        .input_bytes_max = BUFFER_BYTES,
        .reference_least_bytes = (size_t)64 << (2 * random_below(&world->random, 5)),
        .gather_max = GATHER_MAX << random_below(&world->random, 4),
        .log = say,
    };
    world->mux = mux_create(&config);
    assert_non_null(world->mux);
}

static void close_world(struct world *world) {
    mux_destroy(world->mux);
    for (unsigned i = 0; i < LINKS; i++) {
        drop(&world->workers[i].stream);
        drop(&world->workers[i].up);
        drop(&world->workers[i].down);
    }
    drop(&world->up);
    drop(&world->down_source);
    free(world->memory);
    free(world->buffer_bytes);
}

static void start_worker(struct world *world) {
    struct worker *worker = &world->workers[world->started];
    struct mux_link_config config = {"peer", "host", true, worker};
    worker->link = mux_link_open(world->mux, &config);
    assert_non_null(worker->link);
    worker->deaf = chance(world, 20);
    size_t things = random_below(&world->random, 60);
    while (things-- && worker->stream.len < STREAM_MAX)
        add_something(world, &worker->stream);
    if (worker->stream.len && chance(world, 20))
        worker->stream.len -= random_below(&world->random, worker->stream.len);
    world->started++;
}

/* The worker's next bytes reach the mux. False: the mux does not receive, or nothing is left. */
static bool give(struct world *world, struct worker *worker) {
    size_t rest = worker->stream.len - worker->given;
    if (!worker->link || worker->ended || !mux_link_wants_receive(worker->link) || rest == 0)
        return false;
    const uint8_t *from = worker->stream.data + worker->given;
    if (worker->offered.len && chance(world, 90)) {
        size_t len = 1 + random_below(&world->random, worker->offered.len);
        len = len < rest ? len : rest;
        memcpy(worker->offered.data, from, len);
        worker->offered = (struct mux_room){NULL, 0};
        worker->given += len;
        mux_link_filled(worker->link, len, world->now_ns);
        return true;
    }
    struct mux_buffer *buffer = free_buffer(world);
    if (!buffer)
        return false;
    size_t len = 1 + random_below(&world->random, chance(world, 50) ? BUFFER_BYTES : 20);
    len = len < rest ? len : rest;
    buffer->holders = 1;
    memcpy(buffer->data, from, len);
    worker->offered = (struct mux_room){NULL, 0};
    worker->given += len;
    mux_link_received(worker->link, buffer, mux_span(buffer->data, len), world->now_ns);
    return true;
}

static void end_worker(struct worker *worker) {
    if (worker->link && !worker->ended && worker->given == worker->stream.len) {
        worker->ended = true;
        worker->offered = (struct mux_room){NULL, 0};
        mux_link_ended(worker->link, "it ended");
    }
}

/* Its owner closes the link: the worker sends no more. */
static void close_evicted(struct world *world, struct worker *worker) {
    if (!mux_link_close_reason(worker->link) || worker->ended)
        return;
    worker->stream.len = worker->given;
    end_worker(worker);
    world->evicted++;
}

static void attend(struct world *world, unsigned offer_percent) {
    struct mux_link *link;
    while ((link = mux_next_attention(world->mux))) {
        struct worker *worker = mux_link_user(link);
        snprintf(worker->segment, sizeof worker->segment, "%s", mux_link_segment(link));
        close_evicted(world, worker);
        if (!worker->offered.len && mux_link_wants_receive(link) && chance(world, offer_percent))
            worker->offered = mux_link_offer(link);
        const struct mux_gather *gather = mux_link_take(link);
        if (gather) {
            assert_false(worker->is_sending);
            worker->sending = *gather;
            worker->is_sending = true;
        }
        if (mux_link_finished(link)) {
            assert_true(worker->ended);
            mux_link_close(link);
            worker->link = NULL;
        }
    }
}

static void sent_down(struct worker *worker) {
    if (!worker->link || !worker->is_sending)
        return;
    for (size_t i = 0; i < worker->sending.count; i++)
        append(&worker->down, worker->sending.spans[i].data, worker->sending.spans[i].len);
    worker->is_sending = false;
    mux_link_sent(worker->link);
}

static struct bytes joined(const struct mux_gather *gather) {
    struct bytes bytes = {0};
    for (size_t i = 0; i < gather->count; i++)
        append(&bytes, gather->spans[i].data, gather->spans[i].len);
    assert_int_equal(bytes.len, gather->len_bytes);
    return bytes;
}

/* The length of the whole packets at the beginning of a stream. */
static size_t whole(const struct bytes *bytes, size_t len) {
    size_t at = 0;
    uint32_t length, header_bytes;
    while (at < len &&
           !mux_header_parse(mux_span(bytes->data + at, bytes->len - at), &length, &header_bytes) &&
           at + length <= len)
        at += length;
    return at;
}

/* The send in flight completes, or its connection is lost somewhere in it. */
static void land(struct world *world, bool lost) {
    struct bytes flight = {0};
    size_t sent = 0;
    if (world->flight) {
        flight = joined(world->flight);
        assert_int_equal(whole(&flight, flight.len), flight.len);
        sent = lost ? random_below(&world->random, flight.len + 1) : flight.len;
        append(&world->up, flight.data, whole(&flight, sent));
    }
    if (lost)
        mux_upstream_lost(world->mux, sent, world->now_ns);
    else if (world->flight)
        mux_upstream_sent(world->mux);
    world->flight = NULL;
    drop(&flight);
}

static void add_down(struct world *world) {
    uint8_t packet[70000];
    size_t written;
    char route[32];
    snprintf(route, sizeof route, "%zu%s", random_below(&world->random, world->started + 3),
             chance(world, 50) ? "/x" : "");
    static uint8_t content[60000];
    struct mux_packet fields = {.runnable = true, .file_name = mux_span_text("stdin")};
    fields.file_content =
        mux_span(content, random_below(&world->random, chance(world, 10) ? 60000 : 100));
    if (chance(world, 95))
        fields.route = mux_span_text(route);
    assert_int_equal(mux_packet_encode(&fields, packet, sizeof packet, &written), MUX_OK);
    append(&world->down_source, packet, written);
}

static void give_down(struct world *world) {
    struct mux_buffer *buffer = free_buffer(world);
    size_t rest = world->down_source.len - world->down_given;
    if (!buffer || rest == 0 || !mux_upstream_wants_receive(world->mux))
        return;
    size_t len = 1 + random_below(&world->random, BUFFER_BYTES);
    len = len < rest ? len : rest;
    buffer->holders = 1;
    memcpy(buffer->data, world->down_source.data + world->down_given, len);
    world->down_given += len;
    mux_upstream_received(world->mux, buffer, mux_span(buffer->data, len));
}

static void step(struct world *world) {
    struct worker *worker = &world->workers[random_below(&world->random, LINKS)];
    world->now_ns += random_below(&world->random, world->tick_most_ns);
    if (world->started < LINKS && chance(world, 10))
        start_worker(world);
    for (size_t i = random_below(&world->random, 6); i > 0; i--)
        give(world, worker);
    if (chance(world, 30))
        end_worker(worker);
    if (!worker->deaf && chance(world, 50))
        sent_down(worker);
    if (chance(world, 10))
        add_down(world);
    if (chance(world, 30))
        give_down(world);
    mux_run(world->mux, world->now_ns);
    attend(world, 50);
    if (!world->flight && chance(world, 40))
        world->flight = mux_upstream_take(world->mux);
    if (chance(world, 3))
        land(world, true);
    else if (world->flight && chance(world, 50))
        land(world, false);
}

/* Workers send the rest, read and end; the upstream takes everything. False: something is left. */
static bool heal(struct world *world) {
    bool left = false;
    world->now_ns += world->tick_most_ns / 2;
    for (unsigned i = 0; i < world->started; i++) {
        struct worker *worker = &world->workers[i];
        if (worker->link && !worker->offered.len)
            worker->offered = mux_link_offer(worker->link);
        give(world, worker);
        end_worker(worker);
        sent_down(worker);
        left = left || worker->link;
    }
    give_down(world);
    mux_run(world->mux, world->now_ns);
    attend(world, 100);
    if (!world->flight)
        world->flight = mux_upstream_take(world->mux);
    left = left || world->flight || mux_upstream_pending_bytes(world->mux) ||
           world->down_given < world->down_source.len || mux_busy(world->mux);
    land(world, false);
    return left;
}

/* The packets that must come out of a worker's stream. */
static void expect(struct worker *worker, struct bytes *record) {
    static uint8_t store[MUX_STORE_MAX_BYTES];
    struct mux_framer framer;
    struct mux_frame frame;
    struct mux_prefix prefix;
    struct mux_pieces pieces[MUX_REPORT_DAMAGE_PACKETS];
    if (worker->stream.len == 0)
        return;
    assert_int_equal(mux_prefix_init(&prefix, mux_span_text(worker->segment)), MUX_OK);
    mux_framer_init(&framer, (struct mux_room){store, sizeof store});
    mux_framer_feed(&framer, mux_span(worker->stream.data, worker->stream.len));
    mux_framer_end(&framer);
    while (mux_framer_next(&framer, &frame), frame.kind != MUX_FRAME_NONE) {
        unsigned count = 1;
        if (frame.kind == MUX_FRAME_STORE) {
            mux_framer_move(&framer, framer.store);
            continue;
        }
        if (frame.kind == MUX_FRAME_CHATTER) {
            record_chatter(record, frame.bytes);
            continue;
        }
        if (frame.kind == MUX_FRAME_DAMAGE)
            count = mux_report_damage(frame.bytes, frame.why, prefix.segment, pieces);
        else
            assert_int_equal(
                mux_prefix_apply(&prefix, frame.bytes, &frame.packet, &frame.layout, &pieces[0]),
                MUX_OK);
        for (unsigned i = 0; i < count; i++)
            record_pieces(record, &pieces[i]);
    }
}

static struct worker *by_segment(struct world *world, struct mux_span segment) {
    for (unsigned i = 0; i < world->started; i++)
        if (*world->workers[i].segment &&
            mux_span_equal(mux_span_text(world->workers[i].segment), segment))
            return &world->workers[i];
    return NULL;
}

/* Adds each packet that went up to its worker's record. */
static void sort_up(struct world *world) {
    size_t at = 0;
    while (at < world->up.len) {
        uint32_t length, header_bytes;
        struct mux_packet packet;
        struct mux_span rest = mux_span(world->up.data + at, world->up.len - at);
        assert_int_equal(mux_header_parse(rest, &length, &header_bytes), MUX_OK);
        struct mux_span bytes = mux_span(rest.data, length);
        assert_true(mux_packet_verify(bytes));
        assert_int_equal(mux_packet_parse(bytes, &packet, NULL), MUX_OK);
        at += length;
        if (!packet.route.data) {
            assert_true(mux_span_equal(packet.file_name, mux_span_text("muxd")));
            world->messages++;
            continue;
        }
        struct worker *worker = by_segment(world, mux_route_first(packet.route));
        assert_non_null(worker);
        if (!packet.test_id.data)
            record_chatter(&worker->up, packet.file_content);
        else
            record_packet(&worker->up, bytes);
    }
}

static void check_worker(struct worker *worker) {
    struct bytes expected = {0};
    expect(worker, &expected);
    assert_int_equal(worker->up.len, expected.len);
    if (expected.len)
        assert_memory_equal(worker->up.data, expected.data, expected.len);
    drop(&expected);
}

/* Every packet queued for a link, unless dropped with the link, has arrived whole. */
static void check_down(struct world *world) {
    const struct mux_counters *counters = mux_counters_of(world->mux);
    const uint64_t *value = counters->value;
    uint64_t bytes = 0;
    for (unsigned i = 0; i < world->started; i++) {
        const struct bytes *down = &world->workers[i].down;
        bytes += down->len;
        if (value[MUX_COUNT_down_undelivered_bytes] == 0)
            assert_int_equal(whole(down, down->len), down->len);
    }
    assert_int_equal(value[MUX_COUNT_down_sent_bytes], bytes);
    assert_int_equal(value[MUX_COUNT_down_received_packets],
                     value[MUX_COUNT_down_forwarded_packets] +
                         value[MUX_COUNT_down_unknown_packets] +
                         value[MUX_COUNT_down_refused_packets] + value[MUX_COUNT_down_own_packets]);
    assert_int_equal(world->messages, value[MUX_COUNT_messages]);
}

static void check(struct world *world) {
    const uint64_t *value = mux_counters_of(world->mux)->value;
    sort_up(world);
    for (unsigned i = 0; i < world->started; i++)
        check_worker(&world->workers[i]);
    check_down(world);
    for (unsigned i = 0; i < BUFFERS; i++)
        assert_int_equal(world->buffers[i].holders, 0);
    assert_int_equal(value[MUX_COUNT_links_open], 0);
    assert_int_equal(value[MUX_COUNT_links_evicted], world->evicted);
    assert_int_equal(value[MUX_COUNT_sent_bytes], value[MUX_COUNT_forwarded_bytes]);
    assert_true(value[MUX_COUNT_body_bytes_referenced] <= value[MUX_COUNT_forwarded_bytes]);
    assert_int_equal(mux_unframed_bytes(world->mux), 0);
}

static void run(uint64_t seed) {
    static struct world world;
    print_message("MUX_TEST_SEED=%llu\n", (unsigned long long)seed);
    open_world(&world, seed);
    size_t steps = 200 + random_below(&world.random, 2000);
    while (steps--)
        step(&world);
    for (unsigned round = 0; heal(&world); round++)
        assert_true(round < 2000000); /* no progress */
    check(&world);
    close_world(&world);
}

static void test_model(void **state) {
    (void)state;
    const char *seed = getenv("MUX_TEST_SEED");
    if (seed) {
        run(strtoull(seed, NULL, 10));
        return;
    }
    for (uint64_t i = 1; i <= RUNS; i++)
        run(i);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
