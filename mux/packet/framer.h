/*
 * The framer: takes bytes in pieces of any size and gives packets, chatter and damage. The result
 * does not depend on how the input was split, the time is linear, and the bytes may be anything.
 * tests/corpora/oracle.py is the executable specification (rules 1-7).
 *
 * The caller feeds a span and takes frames until there are none. A frame that lies whole in the fed
 * span is lent from there. One that came in pieces is assembled in the store, memory that the
 * caller provides. The framer has no clock: see mux_framer_flush().
 */
#ifndef MUX_FRAMER_H
#define MUX_FRAMER_H

#include "packet.h"

/* The smallest store: chatter is collected in it and small packets are assembled. */
#define MUX_STORE_MIN_BYTES 4096
/*
 * A store for packets of any length. It is larger than the largest packet so that rejected
 * candidates are skipped with few moves: that keeps the framer linear on hostile input.
 */
#define MUX_STORE_MAX_BYTES (4194304 + 1048576)

/* Most chatter in one frame, however much is fed at once: it fits a packet and an output batch. */
#define MUX_FRAME_CHATTER_MAX_BYTES 65536

enum mux_frame_kind {
    MUX_FRAME_NONE,    /* all that was fed is used up */
    MUX_FRAME_PACKET,  /* bytes, packet, layout: CRC and fields are good */
    MUX_FRAME_CHATTER, /* bytes: not subunit */
    MUX_FRAME_DAMAGE,  /* bytes, why */
    MUX_FRAME_STORE,   /* a store of store_bytes is needed, with what is stored at its front: call
                          mux_framer_move(), perhaps with the same store, then go on */
};

struct mux_frame {
    enum mux_frame_kind kind;
    bool in_store; /* bytes lie in the store, not in what was fed */
    enum mux_error why;
    size_t store_bytes;
    struct mux_span bytes;
    struct mux_packet packet;
    struct mux_layout layout;
};

struct mux_framer {
    struct mux_room store;
    size_t head;      /* store: the first byte that is not used up */
    size_t end;       /* store: behind the last byte */
    size_t chatter;   /* bytes at the head that are known to be chatter */
    size_t candidate; /* length of the incomplete packet at the head; 0: none */
    size_t abandoned; /* bytes at the head that their writer will never complete */
    size_t copied; /* bytes moved into the store or within it: for the owner to count and clear */
    struct mux_span fed; /* what is left of the caller's span */
    bool trusted; /* packets were checked by a node before, all but their CRC; set by the owner */
    bool text;    /* everything is chatter, whatever it looks like; set by the owner */
    bool utf8;    /* rule 1: chatter is still read as UTF-8 */
    bool ended;
    bool flush;
};

/*
 * `store` (at least MUX_STORE_MIN_BYTES) stays the caller's and must outlive the framer's use of
 * it.
 */
void mux_framer_init(struct mux_framer *framer, struct mux_room store);

/* Feeds the next bytes of the stream. Only after mux_framer_next() gave MUX_FRAME_NONE. */
void mux_framer_feed(struct mux_framer *framer, struct mux_span bytes);

/* The stream has ended: mux_framer_next() gives what is left (rule 5), then MUX_FRAME_NONE. */
void mux_framer_end(struct mux_framer *framer);

/*
 * Gives the next frame. Its spans are valid until the next call on this framer. After
 * MUX_FRAME_NONE the framer has no pointer into what was fed. With a store of MUX_STORE_MAX_BYTES a
 * MUX_FRAME_STORE only asks for a move to the front of the same store.
 */
void mux_framer_next(struct mux_framer *framer, struct mux_frame *frame);

/*
 * Releases chatter that waits for its newline: the next mux_framer_next() gives it, if there is
 * any. For the caller's timer. mux_framer_chatter(): the number of bytes that wait.
 */
void mux_framer_flush(struct mux_framer *framer);
size_t mux_framer_chatter(const struct mux_framer *framer);

/*
 * Resynchronises (rule 8): searches the incomplete packet for another stream, for a caller whose
 * clock says that it has waited too long. True: another stream goes on inside it, and
 * mux_framer_next() gives the bytes in front of that as damage. Only after MUX_FRAME_NONE. Linear
 * in what is stored.
 */
bool mux_framer_resynchronise(struct mux_framer *framer);

/* Bytes that wait in the store: chatter and the incomplete packet. */
size_t mux_framer_stored(const struct mux_framer *framer);

/* Moves what is stored to another store (or to the front of the same one). */
void mux_framer_move(struct mux_framer *framer, struct mux_room store);

/*
 * The room that the incomplete packet still needs in the store, so that it can be received right
 * into it. Only after MUX_FRAME_NONE. {NULL, 0}: no packet is incomplete, or the store is too small
 * for it. Report what came by mux_framer_filled(), then call mux_framer_next().
 */
struct mux_room mux_framer_room(const struct mux_framer *framer);

/*
 * All of the store behind what is stored, which is moved to its front first, for whatever comes
 * next. Only after MUX_FRAME_NONE; {NULL, 0}: the store is full. Report what came by
 * mux_framer_filled().
 */
struct mux_room mux_framer_spare_room(struct mux_framer *framer);

/* Copies at most `most` of the bytes that were given and not used up; returns how many. */
size_t mux_framer_peek(const struct mux_framer *framer, uint8_t *out, size_t most);

/*
 * The size of the store that is needed to receive the incomplete packet into it; 0: there is none,
 * or the present store is large enough.
 */
size_t mux_framer_wanted(const struct mux_framer *framer);

void mux_framer_filled(struct mux_framer *framer, size_t len);

#endif
