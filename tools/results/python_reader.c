#include "tools/results/python_reader.h"

#include "mux/packet/bytes.h"
#include "mux/packet/crc.h"

#include <string.h>

/* It reads so much before it looks at the length, and then the rest: not less than nothing. */
#define HEADER_BYTES 6
#define LENGTH_LEAST HEADER_BYTES
#define LENGTH_AT 3

/* The longest piece of chatter. */
#define PIECE_MOST_BYTES 1048576

/* ---- fields ---- */

/* What is left of a packet's fields. */
struct fields {
    struct mux_span rest;
    bool refused; /* python reports an error: nothing more of this packet is read */
    bool dead;    /* an exception that nothing catches */
};

static uint32_t take_number(struct fields *fields) {
    uint32_t value = 0;
    unsigned width = mux_varint_read(fields->rest, &value);
    fields->dead = width == 0;
    fields->rest = mux_span(fields->rest.data + width, fields->rest.len - width);
    return value;
}

static void take_bytes(struct fields *fields, size_t len) {
    fields->refused = len > fields->rest.len;
    if (!fields->refused)
        fields->rest = mux_span(fields->rest.data + len, fields->rest.len - len);
}

static void take_string(struct fields *fields) {
    if (fields->dead || fields->refused)
        return;
    uint32_t len = take_number(fields);
    struct mux_span string = mux_span(fields->rest.data, len);
    if (!fields->dead)
        take_bytes(fields, len);
    if (!fields->dead && !fields->refused)
        fields->refused = mux_string_check(string) != MUX_OK;
}

static void take_tags(struct fields *fields) {
    uint32_t count = take_number(fields);
    for (; count > 0 && !fields->dead && !fields->refused; count--)
        take_string(fields);
}

static void take_timestamp(struct fields *fields) {
    take_bytes(fields, sizeof(uint32_t));
    fields->dead = fields->refused;
    if (!fields->dead)
        take_number(fields);
}

static void take_content(struct fields *fields) {
    uint32_t len = take_number(fields);
    if (!fields->dead)
        take_bytes(fields, len);
}

/* Do the fields of a packet whose checksum is right end the reader? */
static bool fields_kill(unsigned flags, struct mux_span body) {
    static const struct {
        unsigned flag;
        void (*take)(struct fields *fields);
    } steps[] = {
        {MUX_FLAG_TIMESTAMP, take_timestamp}, {MUX_FLAG_TEST_ID, take_string},
        {MUX_FLAG_TAGS, take_tags},           {MUX_FLAG_MIME, take_string},
        {MUX_FLAG_FILE, take_string},         {MUX_FLAG_FILE, take_content},
        {MUX_FLAG_ROUTE, take_string},
    };
    struct fields fields = {.rest = body};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (flags & steps[i].flag && !fields.refused && !fields.dead)
            steps[i].take(&fields);
    return fields.dead;
}

/* ---- packets ---- */

/* Does a whole packet end the reader? The checksum may lie within the header. */
static bool packet_kills(struct mux_span packet, size_t header_bytes) {
    size_t end = packet.len - MUX_CRC_BYTES;
    if (mux_crc(0, mux_span(packet.data, end)) != mux_read_be32(packet.data + end))
        return false;
    size_t body_bytes = header_bytes < end ? end - header_bytes : 0;
    return fields_kill((unsigned)packet.data[1] << 8 | packet.data[2],
                       mux_span(packet.data + header_bytes, body_bytes));
}

/* What a header says. */
struct header {
    size_t bytes;   /* from the signature to the end of the length */
    size_t length;  /* of the whole packet */
    bool is_wide;   /* the length has four bytes: refused, only the header is used up */
    bool is_deadly; /* the rest would have a negative length, or no room for a checksum */
};

static struct header read_header(const uint8_t *packet) {
    uint32_t length = HEADER_BYTES;
    unsigned width = (packet[LENGTH_AT] >> 6) + 1u;
    struct header header = {.bytes = LENGTH_AT + width, .is_wide = width > 3};
    if (!header.is_wide)
        mux_varint_read(mux_span(packet + LENGTH_AT, width), &length);
    size_t least = width == 3 ? HEADER_BYTES + MUX_CRC_BYTES : LENGTH_LEAST;
    header.length = length;
    header.is_deadly = !header.is_wide && length < least;
    return header;
}

/* Uses up the packet at `at`, or says how many bytes it lacks. */
static void take_packet(struct python_reader *reader, struct mux_span stream) {
    struct mux_span rest = mux_span(stream.data + reader->at, stream.len - reader->at);
    size_t needed_bytes = HEADER_BYTES;
    reader->piece_bytes = 0;
    if (rest.len >= HEADER_BYTES) {
        struct header header = read_header(rest.data);
        needed_bytes = header.length;
        reader->dead = header.is_deadly;
        if (!header.is_deadly && !header.is_wide && header.length <= rest.len)
            reader->dead = packet_kills(mux_span(rest.data, header.length), header.bytes);
    }
    reader->in_packet = !reader->dead && needed_bytes > rest.len;
    if (reader->in_packet)
        reader->missing_bytes = needed_bytes - rest.len;
    else if (!reader->dead)
        reader->at += needed_bytes;
}

/* ---- chatter ---- */

/* Can these bytes be the beginning of a character? Of a surrogate, python refuses the last byte. */
static bool begins_character(const uint8_t *bytes, size_t len) {
    uint8_t whole[4];
    size_t width = mux_utf8_width(bytes[0]);
    if (len == 2 && bytes[0] == 0xED)
        return (bytes[1] & 0xC0) == 0x80;
    memcpy(whole, bytes, len);
    memset(whole + len, 0x80, sizeof whole - len);
    return len == 1 ? width > 1 : mux_utf8_character(mux_span(whole, sizeof whole)) > 0;
}

/* As its incremental decoder: of bytes that are wrong it keeps what it had before them. */
static void decode(struct python_reader *reader, uint8_t byte) {
    uint8_t *character = reader->character;
    size_t len = reader->character_bytes;
    reader->in_character = false;
    character[len] = byte;
    if (mux_utf8_character(mux_span(character, len + 1)) > 0) {
        reader->character_bytes = 0;
    } else if (begins_character(character, len + 1)) {
        reader->character_bytes = len + 1;
        reader->in_character = true;
    }
}

static void take_chatter(struct python_reader *reader, uint8_t byte) {
    decode(reader, byte);
    reader->piece_bytes++;
    bool piece_ends = reader->single_bytes || reader->piece_bytes == PIECE_MOST_BYTES;
    reader->in_packet = piece_ends && !reader->in_character && byte == MUX_SIGNATURE;
    reader->at += !reader->in_packet;
    if (piece_ends)
        reader->piece_bytes = 0;
}

void python_read(struct python_reader *reader, struct mux_span stream) {
    while (!reader->dead && reader->at < stream.len) {
        uint8_t byte = stream.data[reader->at];
        if (!reader->in_packet && (reader->in_character || byte != MUX_SIGNATURE)) {
            take_chatter(reader, byte);
            continue;
        }
        take_packet(reader, stream);
        if (reader->in_packet)
            break;
    }
}

bool python_in_header(const struct python_reader *reader, struct mux_span stream) {
    return reader->in_packet && stream.len - reader->at < HEADER_BYTES;
}

size_t python_missing(const struct python_reader *reader) {
    return reader->in_packet ? reader->missing_bytes : reader->in_character;
}
