#include "tests/core/rig.h"

#include "mux/packet/crc.h"

#include <stdio.h>

struct mux *mux;
uint64_t now_ns;
uint8_t packet_bytes[RIG_PACKET_BYTES];
char rig_log[4096];

uint8_t *rig_up;
size_t rig_up_bytes;
static size_t up_room_bytes;

static uint8_t *memory;
static struct mux_buffer buffers[RIG_INPUTS];

static void keep(struct mux_buffer *buffer) {
    (void)buffer;
}

static void say(void *user, const char *line) {
    (void)user;
    snprintf(rig_log, sizeof rig_log, "%s", line);
}

bool rig_unread;
uint8_t rig_down[RIG_DOWN_BYTES];

static bool is_unread(void *user, void *link_user) {
    (void)user, (void)link_user;
    return rig_unread;
}

const struct mux_editor *rig_editor;
bool (*rig_sink)(void *user, struct mux_link *link, const struct mux_packet *packet);
void (*rig_gone)(void *user, struct mux_link *link, struct mux_span route);
enum mux_taking (*rig_take)(void *user, const struct mux_packet *packet);

struct mux_spool_limits rig_spool;
const char *rig_identity = "0e1f";

struct way {
    bool upstream_is_node, corrects, stamps;
    size_t window_bytes;
};

static int open_rig(struct way way) {
    size_t memory_bytes = MUX_MEMORY_MIN_BYTES + MUX_WINDOW_MEMORY_BYTES(way.window_bytes) +
                          (rig_spool.most_bytes ? MUX_SPOOL_MEMORY_BYTES : 0);
    memory = malloc(memory_bytes);
    now_ns = 1;
    *rig_log = '\0';
    rig_unread = false;
    struct mux_config config = {
        .memory = {memory, memory_bytes},
        .links_max = RIG_LINKS,
        .inputs_max = RIG_INPUTS,
        .input_bytes_max = RIG_INPUT_BYTES,
        .reference_least_bytes = 512,
        .gather_max = 1024,
        .hello = {.version = MUX_HELLO_VERSION, .name = "rig"},
        .upstream_is_node = way.upstream_is_node,
        .window_bytes = way.window_bytes,
        .spool = rig_spool,
        .clock_correct = way.corrects,
        .clock_stamp = way.stamps,
        .node_grace_ns = 30 * SECOND_NS,
        .secret = {3, 4},
        .editor = rig_editor,
        .sink = rig_sink,
        .take = rig_take,
        .gone = rig_gone,
        .unread = is_unread,
        .log = say,
    };
    snprintf(config.hello.identity, sizeof config.hello.identity, "%s", rig_identity);
    for (unsigned i = 0; i < RIG_INPUTS; i++)
        buffers[i] = (struct mux_buffer){malloc(RIG_INPUT_BYTES), RIG_INPUT_BYTES, 0, keep, NULL};
    mux = mux_create(&config);
    return mux == NULL;
}

int rig_open(void **state) {
    (void)state;
    return open_rig((struct way){0});
}

int rig_open_below_node(void **state) {
    (void)state;
    return open_rig((struct way){.upstream_is_node = true});
}

int rig_open_with_bundles(void **state) {
    (void)state;
    return open_rig((struct way){.upstream_is_node = true, .window_bytes = RIG_WINDOW_BYTES});
}

int rig_open_as_end(void **state) {
    (void)state;
    return open_rig((struct way){.window_bytes = RIG_WINDOW_BYTES});
}

int rig_open_correcting(void **state) {
    (void)state;
    return open_rig((struct way){.corrects = true});
}

int rig_open_correcting_below_node(void **state) {
    (void)state;
    return open_rig((struct way){.upstream_is_node = true, .corrects = true});
}

int rig_open_correcting_with_bundles(void **state) {
    (void)state;
    return open_rig(
        (struct way){.upstream_is_node = true, .corrects = true, .window_bytes = RIG_WINDOW_BYTES});
}

int rig_open_stamping(void **state) {
    (void)state;
    return open_rig((struct way){.stamps = true});
}

int rig_close(void **state) {
    (void)state;
    mux_destroy(mux);
    free(rig_up);
    rig_up = NULL;
    rig_up_bytes = up_room_bytes = 0;
    for (unsigned i = 0; i < RIG_INPUTS; i++)
        free(buffers[i].data);
    free(memory);
    return 0;
}

struct mux_link *rig_connect(void) {
    struct mux_link *link = mux_link_open(mux, &(struct mux_link_config){"peer", "", true, NULL});
    assert_non_null(link);
    return link;
}

size_t rig_packet(size_t content_bytes, const char *route) {
    static uint8_t content[RIG_PACKET_BYTES];
    size_t written;
    struct mux_packet packet = {.test_id = mux_span_text("t"), .file_name = mux_span_text("f")};
    packet.file_content = mux_span(content, content_bytes);
    if (route)
        packet.route = mux_span_text(route);
    assert_int_equal(mux_packet_encode(&packet, packet_bytes, sizeof packet_bytes, &written),
                     MUX_OK);
    return written;
}

void rig_seal(size_t len) {
    uint32_t crc = mux_crc(0, mux_span(packet_bytes, len - MUX_CRC_BYTES));
    for (unsigned i = 0; i < MUX_CRC_BYTES; i++)
        packet_bytes[len - MUX_CRC_BYTES + i] = (uint8_t)(crc >> (24 - 8 * i));
}

void rig_run(uint64_t then_ns) {
    now_ns = then_ns;
    mux_run(mux, now_ns);
}

static struct mux_buffer *fill_buffer(const uint8_t *bytes, size_t len) {
    for (unsigned i = 0; i < RIG_INPUTS; i++)
        if (buffers[i].holders == 0) {
            buffers[i].holders = 1;
            memcpy(buffers[i].data, bytes, len);
            return &buffers[i];
        }
    fail_msg("no free buffer");
    return NULL;
}

void rig_push(struct mux_link *link, const uint8_t *bytes, size_t len) {
    struct mux_buffer *buffer = fill_buffer(bytes, len);
    mux_link_received(link, buffer, mux_span(buffer->data, len), now_ns);
}

void rig_give(struct mux_link *link, const uint8_t *bytes, size_t len) {
    while (len > 0) {
        assert_true(mux_link_wants_receive(link));
        struct mux_room room = mux_link_offer(link);
        size_t some = len < RIG_INPUT_BYTES ? len : RIG_INPUT_BYTES;
        if (room.len) {
            some = some < room.len ? some : room.len;
            memcpy(room.data, bytes, some);
            mux_link_filled(link, some, now_ns);
        } else {
            rig_push(link, bytes, some);
        }
        bytes += some;
        len -= some;
        mux_run(mux, now_ns);
    }
}

void rig_give_packet(struct mux_link *link, const struct mux_packet *packet) {
    static uint8_t bytes[RIG_PACKET_BYTES];
    size_t len;
    assert_int_equal(mux_packet_encode(packet, bytes, sizeof bytes, &len), MUX_OK);
    rig_give(link, bytes, len);
}

void rig_give_status(struct mux_link *link, const char *id, const char *route,
                     enum mux_status status) {
    struct mux_packet packet = {.status = status, .test_id = mux_span_text(id)};
    if (route)
        packet.route = mux_span_text(route);
    rig_give_packet(link, &packet);
}

static void read_hello(struct mux_span bytes, struct mux_hello *hello) {
    struct mux_packet packet;
    assert_int_equal(mux_packet_parse(bytes, &packet, NULL), MUX_OK);
    assert_true(mux_hello_is(&packet));
    assert_null(mux_hello_read(&packet, hello));
}

static void answer(const char *identity, const char *lines) {
    char content[128];
    size_t len;
    struct mux_packet packet = {.file_name = mux_span_text("muxd.hello")};
    snprintf(content, sizeof content, "version=1\nidentity=%s\nname=top\n%s", identity, lines);
    packet.file_content = mux_span_text(content);
    assert_int_equal(mux_packet_encode(&packet, packet_bytes, sizeof packet_bytes, &len), MUX_OK);
    rig_give_down(len);
}

void rig_meet_upstream(const char *identity, const char *lines, struct mux_hello *hello) {
    struct mux_hello said;
    mux_upstream_connected(mux, true);
    const struct mux_gather *gather = mux_upstream_take(mux);
    assert_non_null(gather);
    read_hello(gather->spans[0], hello ? hello : &said);
    mux_upstream_sent(mux);
    answer(identity, lines);
    assert_true(mux_upstream_accepted(mux));
}

struct mux_hello rig_say_hello(struct mux_link *link, const char *identity, bool takes_bundles) {
    struct mux_hello hello;
    uint8_t bytes[MUX_HELLO_PACKET_BYTES];
    mux_hello_init(&hello, identity, "leaf");
    hello.takes_bundles = takes_bundles;
    rig_give(link, bytes, mux_hello_write(&hello, bytes));
    size_t len = rig_read_down(link);
    read_hello(mux_span(rig_down, len), &hello);
    return hello;
}

void rig_lose(struct mux_link *link) {
    mux_link_ended(link, "its connection was lost");
    rig_run(now_ns);
    assert_true(mux_link_finished(link));
    mux_link_close(link);
    rig_run(now_ns);
}

void rig_give_down(size_t len) {
    for (size_t at = 0; at < len;) {
        size_t some = len - at < RIG_INPUT_BYTES ? len - at : RIG_INPUT_BYTES;
        struct mux_buffer *buffer = fill_buffer(packet_bytes + at, some);
        mux_upstream_received(mux, buffer, mux_span(buffer->data, some));
        at += some;
        mux_run(mux, now_ns);
    }
}

size_t rig_read_down(struct mux_link *link) {
    size_t len = 0;
    const struct mux_gather *gather;
    while ((gather = mux_link_take(link))) {
        for (size_t i = 0, at = len; i < gather->count; at += gather->spans[i++].len)
            if (at + gather->spans[i].len <= sizeof rig_down)
                memcpy(rig_down + at, gather->spans[i].data, gather->spans[i].len);
        len += gather->len_bytes;
        mux_link_sent(link);
    }
    return len;
}

void rig_starve(struct mux_link *link) {
    static uint8_t line[1000];
    struct mux_link *other = rig_connect();
    memset(line, 'c', sizeof line - 1);
    line[sizeof line - 1] = '\n';
    for (unsigned i = 0; i < RIG_INPUTS / 16; i++) /* the batch refers to them */
        rig_push(other, line, sizeof line);
    mux_link_starved(link);
    do
        mux_run(mux, now_ns);
    while (mux_deadline_ns(mux) <= now_ns);
}

/* By doubling: under ASan each realloc() copies all of it. */
static void make_room_up(size_t more) {
    if (rig_up_bytes + more <= up_room_bytes)
        return;
    up_room_bytes = 2 * (rig_up_bytes + more);
    rig_up = realloc(rig_up, up_room_bytes);
    assert_non_null(rig_up);
}

void rig_send_up(void) {
    const struct mux_gather *gather;
    while ((gather = mux_upstream_take(mux))) {
        make_room_up(gather->len_bytes);
        for (size_t i = 0; i < gather->count; i++) {
            memcpy(rig_up + rig_up_bytes, gather->spans[i].data, gather->spans[i].len);
            rig_up_bytes += gather->spans[i].len;
        }
        mux_upstream_sent(mux);
        mux_run(mux, now_ns);
    }
}

bool rig_next_up(size_t *at, struct mux_packet *packet) {
    uint32_t length, header_bytes;
    struct mux_span rest = mux_span(rig_up + *at, rig_up_bytes - *at);
    if (rest.len == 0)
        return false;
    assert_int_equal(mux_header_parse(rest, &length, &header_bytes), MUX_OK);
    assert_true(length <= rest.len);
    assert_true(mux_packet_verify(mux_span(rest.data, length)));
    assert_int_equal(mux_packet_parse(mux_span(rest.data, length), packet, NULL), MUX_OK);
    *at += length;
    return true;
}

uint64_t rig_counter(enum mux_counter id) {
    return mux_counters_of(mux)->value[id];
}
