/*
 * What an end keeps of one stream: up to where it has applied it and up to where its sink keeps it.
 * It says of each `where` and bundle whether it is taken (rules 14, 15, 20 to 22, 26 of the
 * reliable protocol). Pure, and only numbers: streams, pins, verdicts and sinks are for who owns
 * it.
 */
#ifndef MUX_KNOWN_H
#define MUX_KNOWN_H

#include "mux/node/message.h"

struct mux_known {
    uint8_t stream[MUX_STREAM_ID_BYTES];
    uint32_t epoch; /* of the last `where` */
    uint64_t at;    /* applied up to there */
    uint32_t crc;
    uint64_t safe; /* the sink keeps it up to there; not above `at` */
    bool is_final;
    uint64_t len_bytes; /* if is_final */
    bool has_asked;     /* in this epoch */
};

/* Only `where` opens a stream, at its base. */
void mux_known_open(struct mux_known *known, const struct mux_where *where);

/* Bytes of a stream that nobody has any more; from == to: none. */
struct mux_known_hole {
    uint64_t from, to;
};

/*
 * A later `where`. In any case it is answered by mux_known_ack(). False: it is late, and changes
 * nothing. The hole is to be reported.
 */
bool mux_known_where(struct mux_known *known, const struct mux_where *where,
                     struct mux_known_hole *hole);

enum mux_known_verdict {
    MUX_KNOWN_TAKEN,
    MUX_KNOWN_LATE, /* of an epoch before: dropped */
    MUX_KNOWN_DROPPED,
    MUX_KNOWN_DROPPED_ASK, /* and `ask` goes down, once an epoch */
};

/* `content` is the bundle's, whose CRC was verified. Taken: `at` is behind it. */
enum mux_known_verdict mux_known_bundle(struct mux_known *known, const struct mux_bundle *bundle,
                                        const struct mux_bundle_run *content);

/* The sink has it up to there. */
void mux_known_safe(struct mux_known *known, uint64_t safe);

/* Final, and all of it was applied. */
bool mux_known_is_done(const struct mux_known *known);

/* `end`: who says so. */
struct mux_ack mux_known_ack(const struct mux_known *known, const uint8_t end[MUX_STREAM_ID_BYTES]);

#endif
