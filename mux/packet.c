#include "mux/packet.h"

#include "mux/crc.h"

#define SIGNATURE_AND_FLAGS_BYTES 3
#define SECONDS_BYTES 4

const char *mux_error_text(enum mux_error error) {
    switch (error) {
    case MUX_OK:
        return "no error";
    case MUX_ERROR_SHORT_HEADER:
        return "the stream ended inside a header";
    case MUX_ERROR_SHORT_PACKET:
        return "the stream ended inside a packet";
    case MUX_ERROR_CRC:
        return "bad checksum";
    case MUX_ERROR_HEADER:
        return "the header is not that of a subunit v2 packet";
    case MUX_ERROR_NUMBER:
        return "a number runs past the end of the packet";
    case MUX_ERROR_STRING:
        return "a string runs past the end of the packet";
    case MUX_ERROR_NUL:
        return "a string contains a NUL byte";
    case MUX_ERROR_UTF8:
        return "a string is not UTF-8";
    case MUX_ERROR_CONTENT:
        return "file content runs past the end of the packet";
    case MUX_ERROR_LEFT_OVER:
        return "bytes are left over between the last field and the checksum";
    case MUX_ERROR_TOO_LARGE:
        return "too large for a packet of at most 4194303 bytes";
    case MUX_ERROR_ABANDONED:
        return "the writer stopped in the middle of a packet and another stream goes on";
    }
    return "unknown error";
}

const char *mux_status_text(enum mux_status status) {
    static const char *const text[] = {NULL,        "exists", "inprogress", "success",
                                       "uxsuccess", "skip",   "fail",       "xfail"};
    assert((unsigned)status < sizeof text / sizeof *text);
    return text[status];
}

static uint32_t read_be32(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static unsigned read_flags(const uint8_t *packet) {
    return (unsigned)packet[1] << 8 | packet[2];
}

enum mux_error mux_header_parse(struct mux_span bytes, uint32_t *length, uint32_t *header_bytes) {
    const uint8_t *at = bytes.data;
    if (bytes.len > 0 && at[0] != MUX_SIGNATURE)
        return MUX_ERROR_HEADER;
    if (bytes.len > 1 && at[1] >> 4 != MUX_FLAG_VERSION_2 >> 12)
        return MUX_ERROR_HEADER;
    if (bytes.len > 2 && at[2] & MUX_FLAG_ZERO)
        return MUX_ERROR_HEADER;
    if (bytes.len <= SIGNATURE_AND_FLAGS_BYTES)
        return MUX_ERROR_SHORT_HEADER;
    unsigned width = (at[SIGNATURE_AND_FLAGS_BYTES] >> 6) + 1u;
    if (width > MUX_HEADER_MAX_BYTES - SIGNATURE_AND_FLAGS_BYTES)
        return MUX_ERROR_HEADER;
    uint32_t value;
    if (!mux_number_read(
            mux_span(at + SIGNATURE_AND_FLAGS_BYTES, bytes.len - SIGNATURE_AND_FLAGS_BYTES),
            &value))
        return MUX_ERROR_SHORT_HEADER;
    if (value < MUX_PACKET_MIN_BYTES || value < SIGNATURE_AND_FLAGS_BYTES + width + MUX_CRC_BYTES)
        return MUX_ERROR_HEADER;
    *length = value;
    *header_bytes = SIGNATURE_AND_FLAGS_BYTES + width;
    return MUX_OK;
}

/* A walk over the fields of a packet of which perhaps only the first bytes are there. */
struct walk {
    const uint8_t *data;
    size_t at;
    size_t end;  /* where the CRC begins */
    size_t have; /* bytes that are there, from the packet's start */
};

enum step { STEP_ON, STEP_REFUTED, STEP_UNKNOWN };

static enum step walk_number(struct walk *walk, uint32_t *value) {
    if (walk->at >= walk->end)
        return STEP_REFUTED;
    if (walk->at >= walk->have)
        return STEP_UNKNOWN;
    size_t width = (walk->data[walk->at] >> 6) + 1u;
    if (walk->at + width > walk->end)
        return STEP_REFUTED;
    if (!mux_number_read(mux_span(walk->data + walk->at, walk->have - walk->at), value))
        return STEP_UNKNOWN;
    walk->at += width;
    return STEP_ON;
}

/* A number and so many bytes behind it. */
static enum step walk_counted(struct walk *walk) {
    uint32_t len;
    enum step step = walk_number(walk, &len);
    if (step != STEP_ON)
        return step;
    walk->at += len;
    return walk->at > walk->end ? STEP_REFUTED : STEP_ON;
}

static enum step walk_timestamp(struct walk *walk) {
    uint32_t nanoseconds;
    walk->at += SECONDS_BYTES;
    if (walk->at > walk->end)
        return STEP_REFUTED;
    return walk_number(walk, &nanoseconds);
}

/* Only the count is held against the packet: a walk over tags would not be constant time. */
static bool tags_fit(struct walk *walk) {
    uint32_t count;
    enum step step = walk_number(walk, &count);
    return step == STEP_UNKNOWN || (step == STEP_ON && walk->at + count <= walk->end);
}

bool mux_packet_fits(struct mux_span bytes, uint32_t length, uint32_t header_bytes) {
    unsigned flags = read_flags(bytes.data);
    struct walk walk = {bytes.data, header_bytes, length - MUX_CRC_BYTES, bytes.len};
    enum step step = STEP_ON;
    if (flags & MUX_FLAG_TIMESTAMP)
        step = walk_timestamp(&walk);
    if (step == STEP_ON && flags & MUX_FLAG_TEST_ID)
        step = walk_counted(&walk);
    if (step == STEP_ON && flags & MUX_FLAG_TAGS)
        return tags_fit(&walk);
    if (step == STEP_ON && flags & MUX_FLAG_MIME)
        step = walk_counted(&walk);
    if (step == STEP_ON && flags & MUX_FLAG_FILE)
        step = walk_counted(&walk);
    if (step == STEP_ON && flags & MUX_FLAG_FILE)
        step = walk_counted(&walk);
    if (step == STEP_ON && flags & MUX_FLAG_ROUTE)
        step = walk_counted(&walk);
    if (step == STEP_ON)
        return walk.at == walk.end;
    return step == STEP_UNKNOWN;
}

uint32_t mux_packet_crc(struct mux_span bytes) {
    return read_be32(bytes.data + bytes.len - MUX_CRC_BYTES);
}

bool mux_packet_verify(struct mux_span bytes) {
    assert(bytes.len >= MUX_PACKET_MIN_BYTES);
    return mux_crc(0, mux_span(bytes.data, bytes.len - MUX_CRC_BYTES)) == mux_packet_crc(bytes);
}

/* Takes a number and so many bytes off *rest. */
static enum mux_error take_counted(struct mux_span *rest, struct mux_span *out,
                                   enum mux_error past_end) {
    uint32_t len;
    unsigned width = mux_number_read(*rest, &len);
    if (width == 0)
        return MUX_ERROR_NUMBER;
    if (len > rest->len - width)
        return past_end;
    *out = mux_span(rest->data + width, len);
    *rest = mux_span(rest->data + width + len, rest->len - width - len);
    return MUX_OK;
}

/* A packet's fields, as far as they are not taken yet. */
struct fields {
    struct mux_span rest;
    bool trusted; /* strings were checked before */
};

static enum mux_error take_string(struct fields *fields, struct mux_span *out) {
    enum mux_error error = take_counted(&fields->rest, out, MUX_ERROR_STRING);
    return error || fields->trusted ? error : mux_string_check(*out);
}

static enum mux_error take_timestamp(struct fields *fields, struct mux_packet *packet) {
    struct mux_span *rest = &fields->rest;
    if (rest->len < SECONDS_BYTES)
        return MUX_ERROR_NUMBER;
    packet->seconds = read_be32(rest->data);
    *rest = mux_span(rest->data + SECONDS_BYTES, rest->len - SECONDS_BYTES);
    unsigned width = mux_number_read(*rest, &packet->nanoseconds);
    *rest = mux_span(rest->data + width, rest->len - width);
    return width ? MUX_OK : MUX_ERROR_NUMBER;
}

static enum mux_error take_tags(struct fields *fields, struct mux_packet *packet) {
    struct mux_span *rest = &fields->rest;
    unsigned width = mux_number_read(*rest, &packet->tag_count);
    if (width == 0)
        return MUX_ERROR_NUMBER;
    *rest = mux_span(rest->data + width, rest->len - width);
    const uint8_t *first = rest->data;
    for (uint32_t i = 0; i < packet->tag_count; i++) {
        struct mux_span tag;
        enum mux_error error = take_string(fields, &tag);
        if (error)
            return error;
    }
    packet->tags = mux_span(first, (size_t)(rest->data - first));
    return MUX_OK;
}

static enum mux_error take_file(struct fields *fields, struct mux_packet *packet) {
    enum mux_error error = take_string(fields, &packet->file_name);
    return error ? error : take_counted(&fields->rest, &packet->file_content, MUX_ERROR_CONTENT);
}

/* All fields in the order of the wire; *route_at gets what was left before the route. */
static enum mux_error take_fields(struct fields *fields, struct mux_packet *packet, unsigned flags,
                                  const uint8_t **route_at) {
    enum mux_error error = MUX_OK;
    if (flags & MUX_FLAG_TIMESTAMP)
        error = take_timestamp(fields, packet);
    if (!error && flags & MUX_FLAG_TEST_ID)
        error = take_string(fields, &packet->test_id);
    if (!error && flags & MUX_FLAG_TAGS)
        error = take_tags(fields, packet);
    if (!error && flags & MUX_FLAG_MIME)
        error = take_string(fields, &packet->mime);
    if (!error && flags & MUX_FLAG_FILE)
        error = take_file(fields, packet);
    *route_at = fields->rest.data;
    if (!error && flags & MUX_FLAG_ROUTE)
        error = take_string(fields, &packet->route);
    if (!error && fields->rest.len)
        error = MUX_ERROR_LEFT_OVER;
    return error;
}

static enum mux_error parse(struct mux_span bytes, bool trusted, struct mux_packet *packet,
                            struct mux_layout *layout) {
    uint32_t length, header_bytes;
    enum mux_error error = mux_header_parse(bytes, &length, &header_bytes);
    if (error)
        return error;
    if (length != bytes.len)
        return length > bytes.len ? MUX_ERROR_SHORT_PACKET : MUX_ERROR_LEFT_OVER;
    unsigned flags = read_flags(bytes.data);
    *packet = (struct mux_packet){
        .status = (enum mux_status)(flags & MUX_FLAG_STATUS_MASK),
        .runnable = flags & MUX_FLAG_RUNNABLE,
        .eof = flags & MUX_FLAG_EOF,
        .has_timestamp = flags & MUX_FLAG_TIMESTAMP,
        .has_tags = flags & MUX_FLAG_TAGS,
    };
    struct fields fields = {
        mux_span(bytes.data + header_bytes, length - MUX_CRC_BYTES - header_bytes), trusted};
    const uint8_t *route_at;
    error = take_fields(&fields, packet, flags, &route_at);
    if (!error && layout)
        *layout = (struct mux_layout){length, header_bytes, (uint32_t)(route_at - bytes.data)};
    return error;
}

enum mux_error mux_packet_parse(struct mux_span bytes, struct mux_packet *packet,
                                struct mux_layout *layout) {
    return parse(bytes, false, packet, layout);
}

enum mux_error mux_packet_parse_trusted(struct mux_span bytes, struct mux_packet *packet,
                                        struct mux_layout *layout) {
    return parse(bytes, true, packet, layout);
}

bool mux_tag_next(struct mux_span *tags, struct mux_span *tag) {
    return tags->len > 0 && take_counted(tags, tag, MUX_ERROR_STRING) == MUX_OK;
}

enum mux_error mux_tag_append(uint8_t *buffer, size_t capacity, size_t *len, struct mux_span tag) {
    uint8_t number[4];
    if (tag.len > MUX_NUMBER_MAX)
        return MUX_ERROR_TOO_LARGE;
    unsigned width = mux_number_write(number, (uint32_t)tag.len);
    if (capacity - *len < width || capacity - *len - width < tag.len)
        return MUX_ERROR_TOO_LARGE;
    memcpy(buffer + *len, number, width);
    if (tag.len)
        memcpy(buffer + *len + width, tag.data, tag.len);
    *len += width + tag.len;
    return MUX_OK;
}
