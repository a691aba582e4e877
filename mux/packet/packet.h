/*
 * One subunit v2 packet: its fields as spans into the caller's bytes, and how to write one. Reading
 * copies nothing; neither side allocates.
 *
 * The format: testing-cabal/subunit README.md, "Version 2". Where that text and python-subunit's
 * code differ, the code was followed, with these exceptions:
 *  - version must be 2 and flag bit 3 zero (python does not check);
 *  - the last field must end exactly at the CRC (python ignores trailing bytes);
 *  - a packet is 8 to 4194303 bytes long (python accepts one of 7 bytes).
 */
#ifndef MUX_PACKET_H
#define MUX_PACKET_H

#include "varint.h"

#define MUX_SIGNATURE 0xB3
#define MUX_PACKET_MIN_BYTES 8       /* signature, flags, length, CRC */
#define MUX_PACKET_MAX_BYTES 4194303 /* the largest 3 byte varint; LENGTH may not have 4 bytes */
#define MUX_HEADER_MAX_BYTES 6       /* signature, flags, 3 byte LENGTH */
#define MUX_CRC_BYTES 4

/* The wire's flag bits. */
enum {
    MUX_FLAG_VERSION_MASK = 0xF000,
    MUX_FLAG_VERSION_2 = 0x2000,
    MUX_FLAG_TEST_ID = 0x0800,
    MUX_FLAG_ROUTE = 0x0400,
    MUX_FLAG_TIMESTAMP = 0x0200,
    MUX_FLAG_RUNNABLE = 0x0100,
    MUX_FLAG_TAGS = 0x0080,
    MUX_FLAG_FILE = 0x0040,
    MUX_FLAG_MIME = 0x0020,
    MUX_FLAG_EOF = 0x0010,
    MUX_FLAG_ZERO = 0x0008,
    MUX_FLAG_STATUS_MASK = 0x0007,
};

/* The wire's three status bits. */
enum mux_status {
    MUX_STATUS_NONE,
    MUX_STATUS_EXISTS,
    MUX_STATUS_INPROGRESS,
    MUX_STATUS_SUCCESS,
    MUX_STATUS_UXSUCCESS,
    MUX_STATUS_SKIP,
    MUX_STATUS_FAIL,
    MUX_STATUS_XFAIL,
};

/* Why bytes are not a packet. MUX_OK is 0, so that a result can be tested as a truth value. */
enum mux_error {
    MUX_OK = 0,
    MUX_ERROR_SHORT_HEADER, /* the stream ended inside a header */
    MUX_ERROR_SHORT_PACKET, /* the stream ended inside a packet */
    MUX_ERROR_CRC,          /* bad checksum */
    MUX_ERROR_HEADER,       /* signature, version, bit 3 or LENGTH are not what they must be */
    MUX_ERROR_VARINT,       /* a varint runs past the packet's end */
    MUX_ERROR_STRING,       /* a string runs past the packet's end */
    MUX_ERROR_NUL,          /* NUL in a string */
    MUX_ERROR_UTF8,         /* a string is not UTF-8 */
    MUX_ERROR_CONTENT,      /* file content runs past the packet's end */
    MUX_ERROR_TRAILING,     /* trailing bytes between the last field and the CRC */
    MUX_ERROR_TOO_LARGE,    /* longer than MUX_PACKET_MAX_BYTES, or a value above MUX_VARINT_MAX */
    MUX_ERROR_ABANDONED,    /* the writer died inside the packet and another stream goes on */
};

/* One English sentence for people, without a full stop. Static; never NULL. */
const char *mux_error_text(enum mux_error error);

/* "exists", "inprogress", ... as in python's events; NULL for MUX_STATUS_NONE. Static. */
const char *mux_status_text(enum mux_status status);

/* A time in the usual form. */
struct mux_time {
    uint64_t
        seconds; /* since 1970-01-01 UTC; up to 2^32, a second more than the wire can express */
    uint32_t nanoseconds; /* 0..999999999 */
};

/* The fields of one packet. data == NULL: the field is absent. */
struct mux_packet {
    enum mux_status status;
    bool runnable;
    bool eof;             /* of the named file */
    bool has_timestamp;   /* seconds and nanoseconds are set */
    bool has_tags;        /* zero tags is not the same as no tags field */
    uint32_t seconds;     /* since 1970-01-01 UTC */
    uint32_t nanoseconds; /* 0..MUX_VARINT_MAX: the wire does not limit it to one second */
    uint32_t tag_count;
    struct mux_span test_id;      /* UTF-8, no NUL */
    struct mux_span tags;         /* tag_count strings as on the wire: see mux_tag_next() */
    struct mux_span mime;         /* UTF-8, no NUL */
    struct mux_span file_name;    /* UTF-8, no NUL */
    struct mux_span file_content; /* any bytes; present exactly when file_name is */
    struct mux_span route;        /* UTF-8, no NUL; segments with '/' between, nearest node first */
};

/* Carries whole seconds out of the nanoseconds, as python-subunit does. */
static inline struct mux_time mux_packet_time(const struct mux_packet *packet) {
    const uint32_t second = 1000000000;
    return (struct mux_time){(uint64_t)packet->seconds + packet->nanoseconds / second,
                             packet->nanoseconds % second};
}

/* The last time that the wire can express, in 2106. */
#define MUX_TIME_MOST_NS (UINT32_MAX * INT64_C(1000000000) + 999999999)

/*
 * The timestamp as nanoseconds since 1970; and the reverse, which returns false when the wire
 * cannot express the time: before 1970, or after 2106. Then nothing is changed.
 */
static inline int64_t mux_packet_time_ns(const struct mux_packet *packet) {
    return (int64_t)packet->seconds * 1000000000 + packet->nanoseconds;
}

static inline bool mux_packet_set_time_ns(struct mux_packet *packet, int64_t time_ns) {
    const int64_t second = 1000000000;
    if (time_ns < 0 || time_ns > MUX_TIME_MOST_NS)
        return false;
    packet->has_timestamp = true;
    packet->seconds = (uint32_t)(time_ns / second);
    packet->nanoseconds = (uint32_t)(time_ns % second);
    return true;
}

/*
 * Where a packet's parts lie, as mux_packet_parse() found them; for routers. Offsets in bytes from
 * the signature.
 */
struct mux_layout {
    uint32_t length;       /* of the whole packet */
    uint32_t body_offset;  /* first byte after LENGTH */
    uint32_t route_offset; /* of the route field's length; where it would be if there is none */
};

/*
 * Reads a packet's header (signature, flags, LENGTH), at most MUX_HEADER_MAX_BYTES. MUX_OK: sets
 * *length and *header_bytes. MUX_ERROR_SHORT_HEADER: more bytes are needed, and those that are
 * there are good. Else MUX_ERROR_HEADER.
 */
enum mux_error mux_header_parse(struct mux_span bytes, uint32_t *length, uint32_t *header_bytes);

/*
 * Can these bytes be the beginning of a packet, or all of it? Any number of bytes from the header
 * on. False as soon as they show that its fields cannot fill it exactly. Constant time: tags are
 * not walked. `length` and `header_bytes` are from mux_header_parse(). (oracle rule 2)
 */
bool mux_packet_fits(struct mux_span bytes, uint32_t length, uint32_t header_bytes);

/*
 * Reads one whole packet: header, fields, strict UTF-8 without NUL. `bytes` is exactly the packet.
 * The CRC is NOT checked: see mux_packet_verify(). *layout may be NULL.
 */
enum mux_error mux_packet_parse(struct mux_span bytes, struct mux_packet *packet,
                                struct mux_layout *layout);

/* The same for a packet that a node checked before: strings may hold any bytes. */
enum mux_error mux_packet_parse_trusted(struct mux_span bytes, struct mux_packet *packet,
                                        struct mux_layout *layout);

/* The CRC at a whole packet's end, and whether it is right. */
uint32_t mux_packet_crc(struct mux_span bytes);
bool mux_packet_verify(struct mux_span bytes);

/* Takes the first tag off *tags (which starts as packet->tags). False: there is none left. */
bool mux_tag_next(struct mux_span *tags, struct mux_span *tag);

/*
 * Appends one tag in wire form at buffer[*len], for mux_packet.tags; does not count it.
 * MUX_ERROR_TOO_LARGE: it does not fit in `capacity`.
 */
enum mux_error mux_tag_append(uint8_t *buffer, size_t capacity, size_t *len, struct mux_span tag);

/*
 * Writes a packet with its CRC to out[0..capacity), all varints in their shortest form, and sets
 * *written. Errors: MUX_ERROR_TOO_LARGE (for the format or for the capacity), MUX_ERROR_NUL and
 * MUX_ERROR_UTF8 (a string that no reader would accept), MUX_ERROR_STRING (tags are not tag_count
 * strings), MUX_ERROR_CONTENT (file content without a file name, or a name without content). After
 * an error `out` is unspecified.
 */
enum mux_error mux_packet_encode(const struct mux_packet *packet, uint8_t *out, size_t capacity,
                                 size_t *written);

/*
 * A packet as pieces that need not be contiguous: spans into the packet's fields and into the
 * scratch memory below. Short fields are copied there, and a small packet as a whole: pieces cost
 * more than bytes. Points into itself: never copy or move it.
 */
#define MUX_PIECES_MAX 20 /* a packet with every field takes 18 */
#define MUX_PIECES_SCRATCH_BYTES 512
struct mux_pieces {
    size_t count;
    size_t len_bytes;
    size_t short_bytes; /* spans up to this length are copied */
    size_t scratch_len;
    struct mux_span piece[MUX_PIECES_MAX];
    uint8_t scratch[MUX_PIECES_SCRATCH_BYTES];
};

/*
 * As mux_packet_encode(), but the fields stay where they are. Strings are NOT checked, and the
 * packet's spans must live as long as *pieces is used. The only error is MUX_ERROR_TOO_LARGE.
 */
enum mux_error mux_packet_gather(const struct mux_packet *packet, struct mux_pieces *pieces);

/* Copies all pieces, one behind the other, to `out`, which has room for pieces->len_bytes. */
void mux_pieces_copy(const struct mux_pieces *pieces, uint8_t *out);

/* The length of a UTF-8 character with this first byte: 1..4; 0: no character begins so. */
static inline size_t mux_utf8_width(uint8_t lead) {
    return lead < 0x80   ? 1
           : lead < 0xC2 ? 0
           : lead < 0xE0 ? 2
           : lead < 0xF0 ? 3
           : lead < 0xF5 ? 4
                         : 0;
}

/* Length of the well-formed character at the head (RFC 3629, table 3-7 of Unicode), or 0. */
size_t mux_utf8_character(struct mux_span bytes);

/* Strict UTF-8 (no surrogates, no over-long form, nothing above U+10FFFF) without NUL. */
enum mux_error mux_string_check(struct mux_span string);

#endif
