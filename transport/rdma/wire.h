/*
 * The messages between two rdma engines. All numbers are little endian. Nothing here trusts a byte,
 * allocates or knows of verbs.
 *
 * Hello, the private data of both sides of a connection's set-up: magic (8 bytes), version, own
 * length, most bytes of a message that this side accepts, credits (16 bits each). A rejection has
 * the same shape, with its reason instead of the credits.
 *
 * A message has a head of 8 bytes: flags, controls (8 bits each), credits, done, spans (16 bits
 * each), and then: with WIRE_STREAM a table of `spans` announcements and literal bytes. The stream
 * continues with the literal bytes; each announced span is inserted behind as many of them as it
 * says, and is to be read from the sender's memory by RDMA READ. With WIRE_CLOSE or WIRE_ANSWER:
 * how many bytes of the stream the sender of this has taken since the connection began (64 bits).
 * Otherwise nothing.
 *
 * Messages without WIRE_STREAM are controls. For credits, controls and done see flow.h.
 */
#ifndef TRANSPORT_RDMA_WIRE_H
#define TRANSPORT_RDMA_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_VERSION 1
#define WIRE_HELLO_BYTES 16
#define WIRE_HEAD_BYTES 8
#define WIRE_SPAN_BYTES 24
#define WIRE_TAKEN_BYTES 8
#define WIRE_CONTROL_MOST_BYTES (WIRE_HEAD_BYTES + WIRE_TAKEN_BYTES)

/* Most announcements in one message: the mux's bodies are few and their heads need room. */
#define WIRE_SPANS_MAX 32

/* The least message size that a peer must accept: a full table and some bytes. */
#define WIRE_MESSAGE_LEAST_BYTES 1024

struct wire_hello {
    uint16_t message_bytes;
    uint16_t credits;
};

enum wire_reason {
    WIRE_UNKNOWN_VERSION = 1,
    WIRE_FULL = 2,
    WIRE_NO_RESOURCES = 3,
    WIRE_FORBIDDEN = 4,
};

enum wire_kind {
    WIRE_HELLO_GOOD,
    WIRE_HELLO_FOREIGN, /* not a muxd */
    WIRE_HELLO_OTHER,   /* a muxd of another version */
};

void rdma_wire_put_hello(uint8_t *out, const struct wire_hello *hello);

/* `len` may be more than was sent: some devices pad with zeros. */
enum wire_kind rdma_wire_get_hello(const uint8_t *bytes, size_t len, struct wire_hello *hello);

void rdma_wire_put_rejection(uint8_t *out, enum wire_reason reason);

/* 0: not a muxd's */
unsigned rdma_wire_get_rejection(const uint8_t *bytes, size_t len);

enum wire_flags {
    WIRE_STREAM = 1, /* bytes of the stream: needs a credit */
    WIRE_END = 2,    /* the sender's stream is at its end */
    WIRE_CLOSE = 4,  /* the sender closes: nothing more of its stream can be read */
    WIRE_ANSWER = 8, /* to a CLOSE with ASK */
    WIRE_ASK = 16,   /* with CLOSE: the announced spans can be read until an ANSWER comes */
};

struct wire_head {
    uint8_t flags;
    uint8_t controls;
    uint16_t credits;
    uint16_t done;
};

struct wire_span {
    uint64_t address;
    uint32_t key;
    uint32_t length;
    uint16_t before; /* literal bytes of the message that come before it */
    uint16_t lead;   /* how many of them, directly before it, belong to it and are better not
                        separated from it */
};

struct wire_message {
    struct wire_head head;
    unsigned spans;
    const uint8_t *table;
    const uint8_t *literals;
    size_t literal_bytes;
    uint64_t taken;
};

/* False: it breaks the protocol. */
bool rdma_wire_parse(const uint8_t *bytes, size_t len, struct wire_message *message);

/* An announcement of a message that was parsed. */
struct wire_span rdma_wire_span_at(const struct wire_message *message, unsigned index);

/* The head of a message with this many announcements, and the parts behind it. */
void rdma_wire_put_head(uint8_t *out, const struct wire_head *head, unsigned spans);
void rdma_wire_put_span(uint8_t *out, unsigned index, const struct wire_span *span);
void rdma_wire_put_taken(uint8_t *out, uint64_t taken);

/* The number of bytes before the literal ones. */
static inline size_t rdma_wire_prefix_bytes(unsigned spans) {
    return WIRE_HEAD_BYTES + (size_t)spans * WIRE_SPAN_BYTES;
}

#endif
