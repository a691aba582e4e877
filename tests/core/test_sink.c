/*
 * A node that a program drives: packets in by mux_add_up(), from links and by mux_add_down(),
 * packets out to a sink that says "not now" at random. Nothing is lost, doubled or reordered.
 */
#include "tests/unit/check.h"
#include "tests/unit/random.h"

#include "mux/node/mux.h"

#include <stdio.h>
#include <stdlib.h>

#define SECOND_NS ((uint64_t)1000000000)
#define LINKS 8
#define INPUTS 32
#define INPUT_BYTES 65536
#define PACKETS 400 /* of each link */
#define LARGE_BYTES 300000

static struct random chance;

static struct mux *mux;
static uint64_t now_ns;
static struct mux_buffer buffers[INPUTS];
static uint8_t *memory;

/* The sink. */
static bool sink_blocks;        /* it says "not now" */
static unsigned sink_one_in;    /* ... otherwise to one packet in this many; 0: to none */
static unsigned offers_unasked; /* offered after "not now" and before mux_sink_ready() */
static bool is_blocked;
static uint64_t refusals;
/* The next number that must come from each link; the last: from this node itself. */
static unsigned taken[LINKS + 1];
static unsigned messages, texts, failures;
static char last_failure[256];
static struct mux_link *links[LINKS];
static uint64_t content_bytes;

static void keep(struct mux_buffer *buffer) {
    (void)buffer;
}

static void say(void *user, const char *line) {
    (void)user;
    assert_true(*line);
}

static unsigned index_of(const struct mux_link *link) {
    for (unsigned i = 0; i < LINKS; i++)
        if (links[i] == link)
            return i;
    return LINKS;
}

static bool refuses(void) {
    if (is_blocked)
        offers_unasked++;
    return sink_blocks || (sink_one_in && random_below(&chance, sink_one_in) == 0);
}

static void take(struct mux_link *link, const struct mux_packet *packet) {
    unsigned number, of = link ? index_of(link) : LINKS;
    char id[32];
    if (packet->status == MUX_STATUS_FAIL && packet->file_name.data) {
        failures++;
        snprintf(last_failure, sizeof last_failure, "%.*s", (int)packet->file_content.len,
                 (const char *)packet->file_content.data);
        return;
    }
    if (!packet->test_id.data) {
        if (link)
            texts++;
        else
            messages++;
        return;
    }
    snprintf(id, sizeof id, "%.*s", (int)packet->test_id.len, (const char *)packet->test_id.data);
    assert_int_equal(sscanf(id, "t%u", &number), 1);
    assert_int_equal(number, taken[of]);
    taken[of]++;
    for (size_t i = 0; i < packet->file_content.len; i++)
        assert_int_equal(packet->file_content.data[i], (uint8_t)(number + i));
    content_bytes += packet->file_content.len;
}

static bool sink(void *user, struct mux_link *link, const struct mux_packet *packet) {
    (void)user;
    if (refuses()) {
        is_blocked = true;
        refusals++;
        return false;
    }
    take(link, packet);
    return true;
}

static int open_mux(void **state) {
    (void)state;
    memory = malloc(MUX_MEMORY_MIN_BYTES);
    struct mux_config config = {
        .memory = {memory, MUX_MEMORY_MIN_BYTES},
        .links_max = LINKS,
        .inputs_max = INPUTS,
        .input_bytes_max = INPUT_BYTES,
        .reference_least_bytes = 512,
        .gather_max = MUX_GATHER_MIN,
        .sink = sink,
        .log = say,
    };
    now_ns = 1;
    chance = (struct random){17};
    sink_blocks = is_blocked = false;
    sink_one_in = offers_unasked = messages = texts = failures = 0;
    refusals = content_bytes = 0;
    memset(taken, 0, sizeof taken);
    for (unsigned i = 0; i < INPUTS; i++)
        buffers[i] = (struct mux_buffer){malloc(INPUT_BYTES), INPUT_BYTES, 0, keep, NULL};
    mux = mux_create(&config);
    for (unsigned i = 0; i < LINKS; i++)
        links[i] = mux_link_open(mux, &(struct mux_link_config){"peer", "", true});
    return mux == NULL;
}

static int close_mux(void **state) {
    (void)state;
    mux_destroy(mux);
    for (unsigned i = 0; i < INPUTS; i++) {
        assert_int_equal(buffers[i].holders, 0);
        free(buffers[i].data);
    }
    free(memory);
    return 0;
}

static void run(void) {
    now_ns += 1000;
    mux_run(mux, now_ns);
    while (mux_next_attention(mux))
        ;
}

static void sink_ready(void) {
    is_blocked = false;
    mux_sink_ready(mux);
}

static size_t content(unsigned number, uint8_t *out) {
    size_t len = number % 50 == 49 ? LARGE_BYTES : number % 7 == 6 ? 3000 : number % 40;
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(number + i);
    return len;
}

/* A link's stream: numbered packets, large ones and text among them. */
struct stream {
    uint8_t *bytes;
    size_t len, sent;
    uint64_t content_bytes;
    unsigned texts;
};

static void make_stream(struct stream *stream) {
    static uint8_t bytes[LARGE_BYTES];
    char id[32];
    size_t written, room = 8 * 1000 * 1000;
    *stream = (struct stream){.bytes = malloc(room)};
    for (unsigned i = 0; i < PACKETS; i++) {
        struct mux_packet packet = {.file_name = mux_span_text("f")};
        snprintf(id, sizeof id, "t%u", i);
        packet.test_id = mux_span_text(id);
        packet.file_content = mux_span(bytes, content(i, bytes));
        assert_int_equal(
            mux_packet_encode(&packet, stream->bytes + stream->len, room - stream->len, &written),
            MUX_OK);
        stream->len += written;
        stream->content_bytes += packet.file_content.len;
        if (i % 10 == 9) {
            memcpy(stream->bytes + stream->len, "text\n", 5);
            stream->len += 5;
            stream->texts++;
        }
    }
}

/* Gives some of it, as a transport does. False: the link does not receive now. */
static bool give_some(struct mux_link *link, struct stream *stream) {
    size_t len = 1 + random_below(&chance, INPUT_BYTES), rest = stream->len - stream->sent;
    if (rest == 0 || !mux_link_wants_receive(link))
        return false;
    len = len < rest ? len : rest;
    struct mux_room room =
        random_below(&chance, 2) ? mux_link_offer(link) : (struct mux_room){NULL, 0};
    if (room.len) {
        len = len < room.len ? len : room.len;
        memcpy(room.data, stream->bytes + stream->sent, len);
        mux_link_filled(link, len, now_ns);
        stream->sent += len;
        return true;
    }
    for (unsigned i = 0; i < INPUTS; i++) {
        if (buffers[i].holders)
            continue;
        buffers[i].holders = 1;
        memcpy(buffers[i].data, stream->bytes + stream->sent, len);
        mux_link_received(link, &buffers[i], mux_span(buffers[i].data, len), now_ns);
        stream->sent += len;
        return true;
    }
    mux_link_starved(link);
    return false;
}

static bool all_taken(void) {
    for (unsigned i = 0; i < LINKS; i++)
        if (taken[i] < PACKETS)
            return false;
    return true;
}

/* All links send, and the sink mostly takes: each link's packets come whole and in order. */
static void streams(void **state) {
    (void)state;
    struct stream stream[LINKS];
    uint64_t sent_content = 0;
    unsigned sent_texts = 0;
    for (unsigned i = 0; i < LINKS; i++)
        make_stream(&stream[i]);
    sink_one_in = 5;
    for (unsigned round = 0; !all_taken(); round++) {
        assert_true(round < 1000000);
        unsigned i = (unsigned)random_below(&chance, LINKS);
        give_some(links[i], &stream[i]);
        run();
        if (random_below(&chance, 3) == 0)
            sink_ready();
    }
    for (unsigned i = 0; i < LINKS; i++) {
        sent_content += stream[i].content_bytes;
        sent_texts += stream[i].texts;
        free(stream[i].bytes);
    }
    sink_one_in = 0;
    sink_ready();
    run();
    assert_true(refusals > 100);
    assert_int_equal(offers_unasked, 0);
    assert_int_equal(content_bytes, sent_content);
    assert_true(texts > 0 && texts <= sent_texts);
    assert_int_equal(mux_upstream_pending_bytes(mux), 0);
}

/* "Not now" for a second: back-pressure reaches the links, and nothing is lost. */
static void not_now_for_a_second(void **state) {
    (void)state;
    struct stream stream;
    struct mux_link_stats stats;
    size_t before;
    make_stream(&stream);
    sink_blocks = true;
    do {
        before = stream.sent;
        while (give_some(links[0], &stream))
            ;
        run();
    } while (stream.sent > before);
    assert_false(mux_link_wants_receive(links[0]));
    assert_true(mux_busy(mux));
    mux_link_stats(links[0], &stats);
    assert_int_equal(stats.wait, MUX_WAIT_SINK);
    for (unsigned i = 0; i < 10; i++) {
        now_ns += SECOND_NS / 10;
        run();
    }
    assert_int_equal(refusals, 1); /* it was not asked again */
    assert_int_equal(taken[0], 0);
    sink_blocks = false;
    sink_ready();
    assert_true(mux_deadline_ns(mux) <= now_ns);
    while (taken[0] < PACKETS) {
        give_some(links[0], &stream);
        run();
    }
    assert_int_equal(content_bytes, stream.content_bytes);
    free(stream.bytes);
}

/* Packets that the owner adds, as a link's and as this node's own. */
static void packets_up(void **state) {
    (void)state;
    struct mux_packet packet = {.status = MUX_STATUS_INPROGRESS, .test_id = mux_span_text("t0")};
    assert_true(mux_add_up(mux, links[3], &packet));
    assert_int_equal(taken[3], 1);
    assert_string_equal(mux_link_segment(links[3]), "0");
    sink_blocks = true;
    assert_false(mux_add_up(mux, NULL, &packet));
    assert_false(mux_add_up(mux, NULL, &packet));
    assert_int_equal(refusals, 1);
    sink_blocks = false;
    sink_ready();
    assert_true(mux_add_up(mux, NULL, &packet));
    assert_int_equal(taken[LINKS], 1);
    mux_link_ended(links[3], "killed by SIGSEGV");
    run();
    assert_int_equal(failures, 1);
    assert_string_equal(last_failure,
                        "worker peer: killed by SIGSEGV while this test was in progress\n");
}

/* A worker's end reports many tests: each once, however often the sink says "not now". */
static void tests_of_a_dead_worker(void **state) {
    (void)state;
    char id[32];
    for (unsigned i = 0; i < 20; i++) {
        snprintf(id, sizeof id, "t%u", i);
        struct mux_packet packet = {.status = MUX_STATUS_INPROGRESS, .test_id = mux_span_text(id)};
        assert_true(mux_add_up(mux, links[0], &packet));
    }
    mux_link_ended(links[0], "exit status 3");
    sink_one_in = 2;
    while (!mux_link_finished(links[0])) {
        run();
        sink_ready();
    }
    assert_int_equal(failures, 20);
    assert_true(refusals > 0);
    assert_int_equal(mux_counters_of(mux)->value[MUX_COUNT_tests_failed], 20);
    mux_link_close(links[0]);
}

#define SINK_TEST(name) cmocka_unit_test_setup_teardown(name, open_mux, close_mux)

int main(void) {
    const struct CMUnitTest tests[] = {
        SINK_TEST(streams),
        SINK_TEST(not_now_for_a_second),
        SINK_TEST(packets_up),
        SINK_TEST(tests_of_a_dead_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
