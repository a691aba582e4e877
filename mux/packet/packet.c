#include "packet_internal.h"

#include "crc.h"

#define SECONDS_BYTES 4

/*
 * A candidate with more tags has its CRC checked before the tags are walked: it may be one of many
 * candidates that lie within each other.
 */
#define TAGS_WALKED_FIRST 8

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
    case MUX_ERROR_VARINT:
        return "a number runs past the end of the packet";
    case MUX_ERROR_STRING:
        return "a string runs past the end of the packet";
    case MUX_ERROR_NUL:
        return "a string contains a NUL byte";
    case MUX_ERROR_UTF8:
        return "a string is not UTF-8";
    case MUX_ERROR_CONTENT:
        return "file content runs past the end of the packet";
    case MUX_ERROR_TRAILING:
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

enum mux_error mux_header_read_short(struct mux_span bytes, uint32_t *length,
                                     uint32_t *header_bytes) {
    /* missing bytes are replaced by ones that keep the header plausible */
    uint8_t head[MUX_PACKET_MIN_BYTES] = {MUX_SIGNATURE, MUX_FLAG_VERSION_2 >> 8, 0, 0x3F, 0xFF,
                                          0xFF};
    assert(bytes.len < sizeof head);
    for (size_t i = 0; i < bytes.len; i++)
        head[i] = bytes.data[i];
    if (mux_header_read(mux_span(head, sizeof head), length, header_bytes))
        return MUX_ERROR_HEADER;
    bool is_known = bytes.len > MUX_HEADER_FIXED_BYTES && bytes.len >= *header_bytes;
    return is_known ? MUX_OK : MUX_ERROR_SHORT_HEADER;
}

enum mux_error mux_header_parse(struct mux_span bytes, uint32_t *length, uint32_t *header_bytes) {
    return mux_header_read(bytes, length, header_bytes);
}

/* A walk over the fields of a packet, of which perhaps only the first bytes are there. */
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
    if (!mux_varint_read(mux_span(walk->data + walk->at, walk->have - walk->at), value))
        return STEP_UNKNOWN;
    walk->at += width;
    return STEP_ON;
}

/* A varint and that many bytes behind it. */
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

/* Only the count is checked against the packet: a walk over the tags would not be constant time. */
static bool tags_fit(struct walk *walk) {
    uint32_t count;
    enum step step = walk_number(walk, &count);
    return step == STEP_UNKNOWN || (step == STEP_ON && walk->at + count <= walk->end);
}

bool mux_packet_fits(struct mux_span bytes, uint32_t length, uint32_t header_bytes) {
    unsigned flags = mux_flags_read(bytes.data);
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
    return mux_read_be32(bytes.data + bytes.len - MUX_CRC_BYTES);
}

static inline bool verify(struct mux_span bytes) {
    assert(bytes.len >= MUX_PACKET_MIN_BYTES);
    size_t crc_offset = bytes.len - MUX_CRC_BYTES;
    return mux_crc(0, mux_span(bytes.data, crc_offset)) == mux_read_be32(bytes.data + crc_offset);
}

bool mux_packet_verify(struct mux_span bytes) {
    return verify(bytes);
}

/* The fields of a whole packet that were not read yet. The CRC is at `end`. */
struct fields {
    const uint8_t *at, *end;
    uint32_t tags_max;
    const uint8_t *strings_at,
        *strings_end; /* from the test id to the file name, with the varints between them */
};

static inline bool take_number(struct fields *fields, uint32_t *value) {
    if (fields->at >= fields->end)
        return false;
    if (*fields->at < 1u << 6) {
        *value = *fields->at++;
        return true;
    }
    unsigned width;
    *value = mux_varint_at(fields->at,
                           &width); /* four bytes can be read: at the end they are the CRC's */
    if (width > (size_t)(fields->end - fields->at))
        return false;
    fields->at += width;
    return true;
}

MUX_INLINE enum mux_error take_counted(struct fields *fields, struct mux_span *out,
                                       enum mux_error past_end) {
    size_t left = (size_t)(fields->end - fields->at);
    uint32_t len = *fields->at; /* at the end this reads the CRC's first byte */
    if (len < 1u << 6 && len < left) {
        fields->at++;
    } else {
        if (!take_number(fields, &len))
            return MUX_ERROR_VARINT;
        if (len > (size_t)(fields->end - fields->at))
            return past_end;
    }
    *out = mux_span(fields->at, len);
    fields->at += len;
    return MUX_OK;
}

/* An optional field; when it is missing *out is absent. */
MUX_INLINE enum mux_error take_string(struct fields *fields, bool is_there, struct mux_span *out) {
    if (is_there)
        return take_counted(fields, out, MUX_ERROR_STRING);
    *out = mux_span(NULL, 0);
    return MUX_OK;
}

static inline enum mux_error take_timestamp(struct fields *fields, struct mux_packet *packet) {
    packet->seconds = packet->nanoseconds = 0;
    if (!packet->has_timestamp)
        return MUX_OK;
    if (fields->end - fields->at < SECONDS_BYTES)
        return MUX_ERROR_VARINT;
    packet->seconds = mux_read_be32(fields->at);
    fields->at += SECONDS_BYTES;
    return take_number(fields, &packet->nanoseconds) ? MUX_OK : MUX_ERROR_VARINT;
}

static inline enum mux_error take_tags(struct fields *fields, struct mux_packet *packet) {
    packet->tag_count = 0;
    if (!packet->has_tags)
        return MUX_OK;
    if (!take_number(fields, &packet->tag_count))
        return MUX_ERROR_VARINT;
    if (packet->tag_count > (size_t)(fields->end - fields->at))
        return MUX_ERROR_STRING;
    const uint8_t *first = fields->at;
    packet->tags = mux_span(first, 0); /* from here on it fits */
    if (packet->tag_count > fields->tags_max)
        return MUX_ERROR_STRING;
    for (uint32_t i = 0; i < packet->tag_count; i++) {
        struct mux_span tag;
        if (fields->at < fields->end && *fields->at == 0) {
            fields->at++; /* when it is empty the position of the next field does not depend on this
                             length */
            continue;
        }
        enum mux_error error = take_counted(fields, &tag, MUX_ERROR_STRING);
        if (error)
            return error;
    }
    packet->tags.len = (size_t)(fields->at - first);
    return MUX_OK;
}

static inline enum mux_error take_file(struct fields *fields, bool is_there,
                                       struct mux_packet *packet) {
    enum mux_error error = take_string(fields, is_there, &packet->file_name);
    fields->strings_end = fields->at;
    if (!error && is_there)
        return take_counted(fields, &packet->file_content, MUX_ERROR_CONTENT);
    packet->file_content = mux_span(NULL, 0);
    return error;
}

/* Reads all fields in wire order; *route_at is set to what was left before the route. */
MUX_INLINE enum mux_error take_fields(struct fields *fields, struct mux_packet *packet,
                                      unsigned flags, const uint8_t **route_at) {
    enum mux_error error = take_timestamp(fields, packet);
    fields->strings_at = fields->at;
    if (!error)
        error = take_string(fields, flags & MUX_FLAG_TEST_ID, &packet->test_id);
    if (!error)
        error = take_tags(fields, packet);
    if (!error)
        error = take_string(fields, flags & MUX_FLAG_MIME, &packet->mime);
    if (!error)
        error = take_file(fields, flags & MUX_FLAG_FILE, packet);
    *route_at = fields->at;
    if (!error)
        error = take_string(fields, flags & MUX_FLAG_ROUTE, &packet->route);
    if (!error && fields->at != fields->end)
        error = MUX_ERROR_TRAILING;
    return error;
}

/*
 * The fields of a whole packet whose header was read; strings are not checked. Constant time, but
 * for the tags: MUX_ERROR_STRING when there are more than tags_max. On an error only packet->tags
 * is sure to be set: data != NULL when the packet fits nevertheless, in the sense of
 * mux_packet_fits(), which does not walk tags. *strings: from the test id to the end of the file
 * name.
 */
MUX_INLINE enum mux_error walk_fields(struct mux_span bytes, uint32_t header_bytes,
                                      uint32_t tags_max, struct mux_packet *packet,
                                      struct mux_layout *layout, struct mux_span *strings) {
    unsigned flags = mux_flags_read(bytes.data);
    struct fields fields = {bytes.data + header_bytes, bytes.data + bytes.len - MUX_CRC_BYTES,
                            tags_max, NULL, NULL};
    const uint8_t *route_at;
    packet->status = (enum mux_status)(flags & MUX_FLAG_STATUS_MASK);
    packet->runnable = flags & MUX_FLAG_RUNNABLE;
    packet->eof = flags & MUX_FLAG_EOF;
    packet->has_timestamp = flags & MUX_FLAG_TIMESTAMP;
    packet->has_tags = flags & MUX_FLAG_TAGS;
    packet->tags = mux_span(NULL, 0);
    enum mux_error error = take_fields(&fields, packet, flags, &route_at);
    *layout =
        (struct mux_layout){(uint32_t)bytes.len, header_bytes, (uint32_t)(route_at - bytes.data)};
    *strings = mux_span(fields.strings_at, (size_t)(fields.strings_end - fields.strings_at));
    return error;
}

/* with any number of tags */
MUX_RARE enum mux_error walk_all(struct mux_span bytes, uint32_t header_bytes,
                                 struct mux_packet *packet, struct mux_layout *layout,
                                 struct mux_span *strings) {
    return walk_fields(bytes, header_bytes, UINT32_MAX, packet, layout, strings);
}

static inline bool next_tag(struct mux_span *tags, struct mux_span *tag) {
    uint32_t len;
    unsigned width = mux_varint_read(*tags, &len);
    if (width == 0 || len > tags->len - width)
        return false;
    *tag = mux_span(tags->data + width, len);
    *tags = mux_span(tags->data + width + len, tags->len - width - len);
    return true;
}

static enum mux_error check_tags(struct mux_span tags) {
    struct mux_span tag;
    enum mux_error error = MUX_OK;
    while (!error && tags.len > 0) {
        if (*tags.data == 0)
            tags = mux_span(tags.data + 1, tags.len - 1);
        else if (!next_tag(&tags, &tag))
            assert(false); /* the tags were walked before */
        else if (!mux_string_is_plain(tag))
            error = mux_string_check(tag);
    }
    return error;
}

MUX_RARE enum mux_error check_each(const struct mux_packet *packet) {
    enum mux_error error = mux_string_check(packet->test_id);
    if (!error)
        error = check_tags(packet->tags);
    if (!error)
        error = mux_string_check(packet->mime);
    if (!error)
        error = mux_string_check(packet->file_name);
    return error ? error : mux_string_check(packet->route);
}

/*
 * Test id, tags, mime and file name follow each other with only varints between them. If all of
 * that is plain ASCII, each of them is: one scan instead of many. The first varint, which is often
 * not ASCII, is left out.
 */
MUX_INLINE enum mux_error check_strings(const struct mux_packet *packet, struct mux_span strings) {
    if (packet->test_id.data) {
        strings.len -= (size_t)(packet->test_id.data - strings.data);
        strings.data = packet->test_id.data;
    }
    bool is_plain = mux_string_is_plain(strings) &&
                    (packet->route.len == 0 || mux_string_is_plain(packet->route));
    return is_plain ? MUX_OK : check_each(packet);
}

enum mux_error mux_packet_judge(struct mux_span bytes, uint32_t header_bytes, bool trusted,
                                struct mux_packet *packet, struct mux_layout *layout) {
    struct mux_span strings;
    enum mux_error error =
        walk_fields(bytes, header_bytes, TAGS_WALKED_FIRST, packet, layout, &strings);
    if (error && !packet->tags.data)
        return MUX_ERROR_HEADER;
    if (!verify(bytes))
        return MUX_ERROR_CRC;
    if (error)
        error = walk_all(bytes, header_bytes, packet, layout, &strings);
    return error || trusted ? error : check_strings(packet, strings);
}

/* `bytes` is exactly the packet. */
static enum mux_error parse(struct mux_span bytes, struct mux_packet *packet,
                            struct mux_layout *layout, struct mux_span *strings) {
    uint32_t length, header_bytes;
    struct mux_layout unused;
    enum mux_error error = mux_header_parse(bytes, &length, &header_bytes);
    if (error)
        return error;
    if (length != bytes.len)
        return length > bytes.len ? MUX_ERROR_SHORT_PACKET : MUX_ERROR_TRAILING;
    return walk_all(bytes, header_bytes, packet, layout ? layout : &unused, strings);
}

enum mux_error mux_packet_parse_trusted(struct mux_span bytes, struct mux_packet *packet,
                                        struct mux_layout *layout) {
    struct mux_span strings;
    return parse(bytes, packet, layout, &strings);
}

enum mux_error mux_packet_parse(struct mux_span bytes, struct mux_packet *packet,
                                struct mux_layout *layout) {
    struct mux_span strings;
    enum mux_error error = parse(bytes, packet, layout, &strings);
    return error ? error : check_strings(packet, strings);
}

bool mux_tag_next(struct mux_span *tags, struct mux_span *tag) {
    return next_tag(tags, tag);
}

enum mux_error mux_tag_append(uint8_t *buffer, size_t capacity, size_t *len, struct mux_span tag) {
    uint8_t number[4];
    if (tag.len > MUX_VARINT_MAX)
        return MUX_ERROR_TOO_LARGE;
    unsigned width = mux_varint_write(number, (uint32_t)tag.len);
    if (capacity - *len < width || capacity - *len - width < tag.len)
        return MUX_ERROR_TOO_LARGE;
    memcpy(buffer + *len, number, width);
    if (tag.len)
        memcpy(buffer + *len + width, tag.data, tag.len);
    *len += width + tag.len;
    return MUX_OK;
}
