#include "tests/core/scripted_end.h"

#include <stdio.h>
#include <stdlib.h>

static const uint8_t end_id[MUX_STREAM_ID_BYTES] = {0xe4, 0xd0};

static struct scripted_stream *find(struct scripted_end *end, const uint8_t *id) {
    for (unsigned i = 0; i < end->count; i++)
        if (memcmp(end->streams[i].known.stream, id, MUX_STREAM_ID_BYTES) == 0)
            return &end->streams[i];
    return NULL;
}

static struct mux_span span_of(const char *path) {
    return *path ? mux_span_text(path) : mux_span(NULL, 0);
}

static void copy_path(struct mux_span route, char path[SCRIPTED_PATH_BYTES]) {
    assert(route.len < SCRIPTED_PATH_BYTES);
    snprintf(path, SCRIPTED_PATH_BYTES, "%.*s", (int)route.len, (const char *)route.data);
}

static bool is_pinned(const struct scripted_end *end, const char *pin) {
    for (unsigned i = 0; i < end->count; i++)
        if (strcmp(end->streams[i].pin, pin) == 0)
            return true;
    return false;
}

/* Rules 23, 24. */
static void choose_pin(const struct scripted_end *end, const char *path,
                       char pin[SCRIPTED_PATH_BYTES]) {
    snprintf(pin, SCRIPTED_PATH_BYTES, "%s", path);
    for (unsigned number = 2; is_pinned(end, pin); number++)
        snprintf(pin, SCRIPTED_PATH_BYTES, "%.200s~%u", path, number);
}

static void send_ask(struct scripted_end *end, struct mux_span route, const uint8_t *stream) {
    uint8_t out[MUX_MESSAGE_PACKET_BYTES];
    struct mux_ask ask = {.has_stream = true};
    memcpy(ask.stream, stream, MUX_STREAM_ID_BYTES);
    end->down(end->user, mux_span(out, mux_ask_write(&ask, route, out)));
}

void scripted_end_ack(struct scripted_end *end, struct scripted_stream *stream, uint64_t safe) {
    uint8_t out[MUX_MESSAGE_PACKET_BYTES];
    mux_known_safe(&stream->known, safe);
    struct mux_ack ack = mux_known_ack(&stream->known, end_id);
    stream->is_acked = stream->known.safe == stream->known.at;
    end->down(end->user, mux_span(out, mux_ack_write(&ack, span_of(stream->path), out)));
}

static struct scripted_stream *add(struct scripted_end *end, const struct mux_where *where,
                                   const char *path) {
    end->streams = realloc(end->streams, (end->count + 1) * sizeof *end->streams);
    assert(end->streams);
    struct scripted_stream *stream = &end->streams[end->count];
    *stream = (struct scripted_stream){0};
    choose_pin(end, path, stream->pin);
    end->count++;
    mux_known_open(&stream->known, where);
    return stream;
}

static void take_where(struct scripted_end *end, const struct mux_packet *packet) {
    struct mux_where where;
    struct mux_known_hole hole = {0};
    char path[SCRIPTED_PATH_BYTES];
    const char *why = mux_where_read(packet, &where);
    assert(!why);
    (void)why;
    copy_path(packet->route, path);
    struct scripted_stream *stream = find(end, where.stream);
    bool is_late = stream && !mux_known_where(&stream->known, &where, &hole);
    assert(hole.from == hole.to || end->may_miss);
    if (!stream)
        stream = add(end, &where, path);
    stream->wheres++;
    if (!is_late) {
        memcpy(stream->path, path, sizeof path);
        stream->is_live = true;
    }
    scripted_end_ack(end, stream, stream->known.safe);
}

static void put_packets(struct scripted_end *end, const struct scripted_stream *stream,
                        struct mux_span content) {
    struct mux_bundle_item item;
    while (content.len) {
        char route[2 * SCRIPTED_PATH_BYTES];
        enum mux_error error = mux_bundle_next(&content, &item);
        assert(!error);
        (void)error;
        struct mux_packet packet = item.packet;
        const char *slash = *stream->pin && packet.route.data ? "/" : "";
        snprintf(route, sizeof route, "%s%s%.*s", stream->pin, slash, (int)packet.route.len,
                 (const char *)packet.route.data);
        packet.route = span_of(route);
        end->packet(end->user, stream, &packet);
    }
}

static void take_bundle(struct scripted_end *end, const struct mux_packet *packet) {
    struct mux_bundle bundle;
    struct mux_bundle_run run = {0};
    struct mux_bundle_item item;
    const char *why = mux_bundle_read(packet, &bundle);
    assert(!why);
    (void)why;
    struct scripted_stream *stream = find(end, bundle.stream);
    if (!stream) {
        end->unknown++;
        send_ask(end, packet->route, bundle.stream);
        return;
    }
    for (struct mux_span content = packet->file_content; content.len;) {
        enum mux_error error = mux_bundle_next(&content, &item);
        assert(!error);
        (void)error;
        mux_bundle_run_add(&run, item.bytes);
    }
    bool is_above = bundle.offset > stream->known.at;
    enum mux_known_verdict verdict = mux_known_bundle(&stream->known, &bundle, &run);
    if (verdict == MUX_KNOWN_TAKEN) {
        stream->is_acked = false;
        put_packets(end, stream, packet->file_content);
        return;
    }
    end->gaps += is_above;
    end->duplicates += !is_above;
    if (verdict == MUX_KNOWN_DROPPED_ASK)
        send_ask(end, packet->route, bundle.stream);
}

/* Rule 32b. */
static void take_lost(struct scripted_end *end, const struct mux_packet *packet) {
    char lost[SCRIPTED_PATH_BYTES];
    copy_path(packet->route, lost);
    size_t len = strlen(lost);
    for (unsigned i = 0; i < end->count; i++) {
        struct scripted_stream *stream = &end->streams[i];
        char behind = strncmp(stream->path, lost, len) == 0 ? stream->path[len] : 'x';
        if (behind == '/' || behind == '\0')
            stream->is_live = false;
    }
}

bool scripted_end_take(struct scripted_end *end, struct mux_span bytes) {
    struct mux_packet packet;
    enum mux_error error = mux_packet_parse(bytes, &packet, NULL);
    assert(!error && mux_packet_verify(bytes));
    (void)error;
    switch (mux_message_kind(&packet)) {
    case MUX_MESSAGE_WHERE:
        take_where(end, &packet);
        return true;
    case MUX_MESSAGE_BUNDLE:
        take_bundle(end, &packet);
        return true;
    case MUX_MESSAGE_LOST:
        take_lost(end, &packet);
        return true;
    default:
        return false;
    }
}

void scripted_end_fini(struct scripted_end *end) {
    free(end->streams);
}
