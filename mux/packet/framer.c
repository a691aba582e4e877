#include "framer.h"
#include "packet_internal.h"
#include "resync.h"

/*
 * Chatter without a newline waits in the store up to this length, so that a long line becomes a few
 * packets, not one a read.
 */
#define CHATTER_WAITS_BYTES 1024

/* Waiting chatter is extended by at least this much at a time: few scans, little overshoot. */
#define CHATTER_STEP_BYTES 256

_Static_assert(CHATTER_WAITS_BYTES + CHATTER_STEP_BYTES <= MUX_STORE_MIN_BYTES &&
                   CHATTER_WAITS_BYTES < MUX_FRAME_CHATTER_MAX_BYTES,
               "chatter that waits fits any store, and a frame");
_Static_assert(MUX_PACKET_MAX_BYTES + MUX_STORE_MIN_BYTES <= MUX_STORE_MAX_BYTES,
               "the largest store takes any packet");

/* The bytes to scan: those in the store while there are any, else what was fed. */
struct view {
    const uint8_t *data;
    size_t len;
    bool in_store;
    bool last; /* no bytes follow */
    bool trusted;
};

/* How a scan of a view ended that gave no frame. */
struct look {
    size_t chatter;   /* length of the chatter at the view's head */
    size_t wanted;    /* bytes from the view's head that are needed to continue */
    size_t candidate; /* length of the packet that begins behind the chatter; 0: none yet */
};

void mux_framer_init(struct mux_framer *framer, struct mux_room store) {
    assert(store.len >= MUX_STORE_MIN_BYTES);
    *framer = (struct mux_framer){.store = store, .utf8 = true};
}

void mux_framer_feed(struct mux_framer *framer, struct mux_span bytes) {
    assert(framer->fed.len == 0 && !framer->ended);
    framer->fed = bytes;
}

void mux_framer_end(struct mux_framer *framer) {
    framer->ended = true;
}

void mux_framer_flush(struct mux_framer *framer) {
    framer->flush = true;
}

size_t mux_framer_chatter(const struct mux_framer *framer) {
    return framer->chatter;
}

static inline size_t stored_bytes(const struct mux_framer *framer) {
    return framer->end - framer->head;
}

size_t mux_framer_stored(const struct mux_framer *framer) {
    return stored_bytes(framer);
}

void mux_framer_move(struct mux_framer *framer, struct mux_room store) {
    size_t stored = stored_bytes(framer);
    assert(stored <= store.len);
    if (stored)
        memmove(store.data, framer->store.data + framer->head, stored);
    framer->copied += stored;
    framer->store = store;
    framer->head = 0;
    framer->end = stored;
}

struct mux_room mux_framer_room(const struct mux_framer *framer) {
    size_t stored = stored_bytes(framer);
    if (stored == 0 || framer->candidate <= stored ||
        framer->head + framer->candidate > framer->store.len)
        return (struct mux_room){NULL, 0};
    return (struct mux_room){framer->store.data + framer->end, framer->candidate - stored};
}

struct mux_room mux_framer_spare_room(struct mux_framer *framer) {
    if (framer->fed.len || framer->ended)
        return (struct mux_room){NULL, 0};
    mux_framer_move(framer, framer->store);
    size_t len = framer->store.len - framer->end;
    return (struct mux_room){len ? framer->store.data + framer->end : NULL, len};
}

size_t mux_framer_peek(const struct mux_framer *framer, uint8_t *out, size_t most) {
    size_t stored = stored_bytes(framer) < most ? stored_bytes(framer) : most;
    size_t fed = framer->fed.len < most - stored ? framer->fed.len : most - stored;
    if (stored)
        memcpy(out, framer->store.data + framer->head, stored);
    if (fed)
        memcpy(out + stored, framer->fed.data, fed);
    return stored + fed;
}

/* Twice what a small packet needs, a quarter more than the largest: moves stay linear. */
static size_t store_for(size_t wanted) {
    return 2 * wanted < MUX_STORE_MAX_BYTES ? 2 * wanted : MUX_STORE_MAX_BYTES;
}

size_t mux_framer_wanted(const struct mux_framer *framer) {
    if (stored_bytes(framer) == 0 || framer->candidate <= stored_bytes(framer) ||
        framer->head + framer->candidate <= framer->store.len)
        return 0;
    return store_for(framer->candidate);
}

void mux_framer_filled(struct mux_framer *framer, size_t len) {
    assert(framer->end + len <= framer->store.len);
    framer->end += len;
}

bool mux_framer_resynchronise(struct mux_framer *framer) {
    size_t stored = stored_bytes(framer);
    assert(framer->fed.len == 0);
    if (stored && framer->candidate && framer->chatter == 0)
        framer->abandoned = mux_resync_find(mux_span(framer->store.data + framer->head, stored));
    return framer->abandoned > 0;
}

static struct view view_of(const struct mux_framer *framer) {
    size_t stored = stored_bytes(framer);
    if (stored)
        return (struct view){framer->store.data + framer->head, stored, true,
                             framer->ended && framer->fed.len == 0, framer->trusted};
    return (struct view){framer->fed.data, framer->fed.len, false, framer->ended, framer->trusted};
}

static void use_up(struct mux_framer *framer, const struct view *view, size_t len) {
    if (len == 0)
        return; /* without it a NULL pointer would be advanced when nothing was fed */
    framer->candidate = 0;
    if (view->in_store) {
        framer->head += len; /* `end` stays: the owner may be receiving behind it */
    } else {
        framer->fed = mux_span(framer->fed.data + len, framer->fed.len - len);
    }
}

/*
 * Rule 1: the length of the character here; 0: it is not UTF-8; SIZE_MAX: the view ends inside it.
 */
static size_t character(const struct view *view, size_t at) {
    size_t width = mux_utf8_width(view->data[at]);
    for (size_t i = 1; i < width; i++) {
        if (at + i >= view->len)
            return view->last ? 0 : SIZE_MAX;
        if ((view->data[at + i] & 0xC0) != 0x80)
            return 0;
    }
    return width;
}

static void set_damage(struct mux_frame *frame, struct mux_span bytes, enum mux_error why) {
    frame->kind = MUX_FRAME_DAMAGE;
    frame->bytes = bytes;
    frame->why = why;
}

/* Judges a candidate that is there as a whole. False: its fields do not fit its length. */
MUX_INLINE bool judge_whole(bool trusted, struct mux_frame *frame, struct mux_span bytes,
                            uint32_t header_bytes) {
    if (!mux_first_varint_fits(bytes, header_bytes))
        return false;
    enum mux_error error =
        mux_packet_judge(bytes, header_bytes, trusted, &frame->packet, &frame->layout);
    if (error == MUX_ERROR_HEADER)
        return false;
    frame->kind = error ? MUX_FRAME_DAMAGE : MUX_FRAME_PACKET;
    frame->bytes = bytes;
    frame->why = error;
    return true;
}

/*
 * There is a signature at `at`. False: it is a byte of chatter. True: either frame->kind is set
 * (packet or damage), or look->wanted says how many bytes are needed.
 */
static bool judge(const struct view *view, size_t at, struct mux_frame *frame, struct look *look) {
    struct mux_span rest = mux_span(view->data + at, view->len - at);
    uint32_t length, header_bytes;
    enum mux_error error = mux_header_read(rest, &length, &header_bytes);
    if (error == MUX_ERROR_HEADER)
        return false;
    if (error) {
        if (view->last)
            set_damage(frame, rest, MUX_ERROR_SHORT_HEADER);
        look->wanted = at + MUX_HEADER_MAX_BYTES;
        return true;
    }
    if (length <= rest.len)
        return judge_whole(view->trusted, frame, mux_span(rest.data, length), header_bytes);
    if (!mux_packet_fits(rest, length, header_bytes))
        return false;
    if (view->last)
        set_damage(frame, rest, MUX_ERROR_SHORT_PACKET);
    look->wanted = at + length;
    look->candidate = length;
    return true;
}

/* Scans chatter up to a packet, damage, the view's end, or something that needs more bytes. */
static void scan(struct mux_framer *framer, const struct view *view, struct mux_frame *frame,
                 struct look *look) {
    size_t at = framer->chatter;
    while (at < view->len && at < MUX_FRAME_CHATTER_MAX_BYTES) {
        if (view->data[at] == MUX_SIGNATURE && !framer->text && judge(view, at, frame, look))
            break;
        size_t width = framer->utf8 ? character(view, at) : 1;
        if (width == SIZE_MAX)
            break;
        if (width == 0) {
            framer->utf8 = false;
            width = 1;
        }
        if (view->data[at] == '\n')
            framer->utf8 = true;
        at += width;
    }
    look->chatter = at;
}

/* How much of the chatter at the head becomes a frame now; 0: it waits for its newline. */
static size_t chatter_due(const struct mux_framer *framer, const struct view *view,
                          const struct look *look, bool frame_follows) {
    /*
     * what looks like a small packet may turn out to be chatter: that must not end a line each time
     */
    bool is_large = look->candidate && look->wanted > CHATTER_WAITS_BYTES;
    if (frame_follows || is_large || framer->flush || look->chatter > CHATTER_WAITS_BYTES ||
        (view->last && look->chatter == view->len))
        return look->chatter;
    /* what waited before has no newline: only the new bytes are searched */
    const uint8_t *fresh = view->data + framer->chatter;
    const uint8_t *newline = look->chatter > framer->chatter
                                 ? memrchr(fresh, '\n', look->chatter - framer->chatter)
                                 : NULL;
    return newline ? (size_t)(newline - view->data) + 1 : 0;
}

static void give_abandoned(struct mux_framer *framer, const struct view *view,
                           struct mux_frame *frame) {
    set_damage(frame, mux_span(view->data, framer->abandoned), MUX_ERROR_ABANDONED);
    frame->in_store = view->in_store;
    use_up(framer, view, framer->abandoned);
    framer->abandoned = 0;
    framer->utf8 = true;
}

/* One scan of a view: gives a frame, or says in *look what is needed. */
static void examine(struct mux_framer *framer, const struct view *view, struct mux_frame *frame,
                    struct look *look) {
    *look = (struct look){.wanted = view->len + CHATTER_STEP_BYTES};
    scan(framer, view, frame, look);
    bool frame_follows = frame->kind != MUX_FRAME_NONE;
    size_t due = look->chatter ? chatter_due(framer, view, look, frame_follows) : 0;
    if (due) {
        frame->kind = MUX_FRAME_CHATTER;
        frame->bytes = mux_span(view->data, due);
        framer->chatter = look->chatter - due;
    } else {
        framer->chatter = frame_follows ? 0 : look->chatter;
    }
    if (due == 0 && frame_follows)
        framer->utf8 = true;
    frame->in_store = view->in_store;
    use_up(framer, view, frame->bytes.len);
}

/* Moves more fed bytes into the store. False: there are none, or the store is too small. */
static bool fetch(struct mux_framer *framer, const struct look *look, struct mux_frame *frame) {
    framer->candidate = look->chatter ? 0 : look->candidate;
    if (framer->fed.len == 0)
        return false;
    if (stored_bytes(framer) == 0)
        framer->head = framer->end = 0;
    size_t room = framer->store.len - framer->end, missing = look->wanted - stored_bytes(framer);
    /* what does not fit anyway is not copied into this store first */
    if (room == 0 || (framer->candidate && missing > room && framer->fed.len > room)) {
        frame->kind = MUX_FRAME_STORE;
        frame->store_bytes = store_for(look->wanted);
        return false;
    }
    if (look->chatter && missing < CHATTER_STEP_BYTES)
        missing = CHATTER_STEP_BYTES; /* what looks like a packet inside chatter rarely is one */
    size_t taken = missing < framer->fed.len ? missing : framer->fed.len;
    taken = taken < room ? taken : room;
    memcpy(framer->store.data + framer->end, framer->fed.data, taken);
    framer->end += taken;
    framer->copied += taken;
    framer->fed = mux_span(framer->fed.data + taken, framer->fed.len - taken);
    return true;
}

/* The usual case: nothing is stored, and the fed bytes begin with a whole packet or damage. */
static bool take_whole(struct mux_framer *framer, struct mux_frame *frame) {
    struct mux_span fed = framer->fed;
    uint32_t length, header_bytes;
    if (stored_bytes(framer) || framer->chatter || mux_header_read(fed, &length, &header_bytes) ||
        length > fed.len ||
        !judge_whole(framer->trusted, frame, mux_span(fed.data, length), header_bytes))
        return false;
    frame->in_store = false;
    framer->fed = mux_span(fed.data + length, fed.len - length);
    framer->utf8 = true;
    return true;
}

/* Not inlined, so that take_whole() does not save registers for it. */
__attribute__((noinline)) static void take_other(struct mux_framer *framer,
                                                 struct mux_frame *frame) {
    struct look look;
    do {
        struct view view = view_of(framer);
        frame->kind = MUX_FRAME_NONE;
        frame->bytes = mux_span(NULL, 0);
        if (framer->abandoned) {
            give_abandoned(framer, &view, frame);
            return;
        }
        examine(framer, &view, frame, &look);
        if (frame->kind != MUX_FRAME_NONE) {
            framer->flush = framer->flush && frame->kind != MUX_FRAME_CHATTER;
            return;
        }
        /* what was scanned where it was fed waits in the store */
        if (!fetch(framer, &look, frame))
            break;
    } while (true);
    if (frame->kind == MUX_FRAME_NONE)
        framer->flush = false;
}

void mux_framer_next(struct mux_framer *framer, struct mux_frame *frame) {
    if (framer->text || !take_whole(framer, frame))
        take_other(framer, frame);
}
