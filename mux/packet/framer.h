/*
 * The framer: bytes in, in any pieces; out come packets, chatter and damage, the same for every
 * split of the input, in linear time, whatever the bytes are. tests/corpora/oracle.py is its
 * executable specification (rules 1-7).
 *
 * The caller feeds a span and takes frames until there is none. A frame that lies whole in the fed
 * span is lent from there; one that came in pieces is put together in the store, memory that the
 * caller gives. Time is the caller's: see mux_framer_flush().
 */
#ifndef MUX_FRAMER_H
#define MUX_FRAMER_H

#include "packet.h"

/* The least store: chatter is gathered in it and small packets are put together. */
#define MUX_STORE_MIN_BYTES 4096
/*
 * A store that is large enough for any packet. The part above the largest packet lets rejected
 * candidates be passed over with few moves: that keeps the framer linear on hostile input.
 */
#define MUX_STORE_MAX_BYTES (4194304 + 1048576)

/* Most chatter in one frame, whatever is fed at once: fits a packet and an output batch. */
#define MUX_FRAME_CHATTER_MAX_BYTES 65536

enum mux_frame_kind {
    MUX_FRAME_NONE,    /* all that was fed is used up */
    MUX_FRAME_PACKET,  /* bytes, packet, layout: CRC and fields are good */
    MUX_FRAME_CHATTER, /* bytes: not subunit */
    MUX_FRAME_DAMAGE,  /* bytes, why */
    MUX_FRAME_STORE,   /* a store of store_bytes is needed, with what is stored at its front:
                          mux_framer_move(), perhaps within the same store, then go on */
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
    size_t head;         /* store: first byte that is not yet used up */
    size_t end;          /* store: behind the last byte */
    size_t chatter;      /* bytes at the head that are known to be chatter */
    size_t candidate;    /* length of the packet underway at the head; 0 when there is none */
    size_t abandoned;    /* bytes at the head that their writer will never complete */
    size_t copied;       /* bytes moved into the store or within it: the owner's to take */
    struct mux_span fed; /* what is left of the caller's span */
    bool trusted;        /* packets were checked before, all but their CRC; the owner's to set */
    bool text;           /* all of it is chatter, whatever it looks like; the owner's to set */
    bool utf8;           /* rule 1: chatter is still read as UTF-8 */
    bool ended;
    bool flush;
};

/* `store` (at least MUX_STORE_MIN_BYTES) stays the caller's and must outlive the framer's use. */
void mux_framer_init(struct mux_framer *framer, struct mux_room store);

/* Hands over the next bytes of the stream. Only when mux_framer_next() said MUX_FRAME_NONE. */
void mux_framer_feed(struct mux_framer *framer, struct mux_span bytes);

/* The stream is over: mux_framer_next() gives what is left (rule 5), then MUX_FRAME_NONE. */
void mux_framer_end(struct mux_framer *framer);

/*
 * The next frame. Its spans are good until the next call on this framer. After MUX_FRAME_NONE the
 * framer holds no pointer into what was fed.
 * With a store of MUX_STORE_MAX_BYTES a MUX_FRAME_STORE only wants a move to the front of the same.
 */
void mux_framer_next(struct mux_framer *framer, struct mux_frame *frame);

/*
 * Gives chatter that waits for its newline away: the next mux_framer_next() returns it, if there
 * is any. For the caller's timer. mux_framer_chatter(): how many bytes wait so.
 */
void mux_framer_flush(struct mux_framer *framer);
size_t mux_framer_chatter(const struct mux_framer *framer);

/*
 * Rule 8: looks into the packet underway, for a caller whose clock says that it has waited too
 * long. True: another stream goes on inside it; mux_framer_next() gives what is before that as
 * damage. Only after MUX_FRAME_NONE. Linear in what is stored.
 */
bool mux_framer_resynchronise(struct mux_framer *framer);

/* Bytes that wait in the store, chatter and begun packets alike. */
size_t mux_framer_stored(const struct mux_framer *framer);

/* Moves what is stored to another store (or to the front of the same one). */
void mux_framer_move(struct mux_framer *framer, struct mux_room store);

/*
 * The room that the packet underway still needs in the store, so that it can be received right into
 * it: only after MUX_FRAME_NONE, {NULL, 0} when no packet is underway or the store is too small for
 * it. mux_framer_filled() says how much came; then mux_framer_next() goes on.
 */
struct mux_room mux_framer_room(const struct mux_framer *framer);

/*
 * Up to `most` bytes of the store for the head of what comes next, when nothing is stored: only
 * after MUX_FRAME_NONE, {NULL, 0} otherwise. Then mux_framer_filled(), too.
 */
struct mux_room mux_framer_head_room(struct mux_framer *framer, size_t most);

/*
 * All of the store behind what is stored, which is moved to its front, for whatever comes next:
 * only after MUX_FRAME_NONE, {NULL, 0} when nothing is left. Then mux_framer_filled(), too.
 */
struct mux_room mux_framer_spare_room(struct mux_framer *framer);

/* Copies what it has been given and not used up, at most `most` bytes; returns how many. */
size_t mux_framer_peek(const struct mux_framer *framer, uint8_t *out, size_t most);

/* The store that the packet underway needs to be received into it; 0: none, or it has it. */
size_t mux_framer_wanted(const struct mux_framer *framer);

void mux_framer_filled(struct mux_framer *framer, size_t len);

#endif
