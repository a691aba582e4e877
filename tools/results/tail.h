/*
 * The end of a file that packets are appended to. Where a writer died inside a packet (kill -9, no
 * power, a full disk), every reader takes what is appended for the rest of that packet: it must end
 * first. The same holds for bytes that are no packet and look like the beginning of one, to libmux
 * or to python-subunit, and for half a character. Padding ends it: damage, one event for a reader,
 * and nothing of what anybody wrote is cut away.
 */
#ifndef TOOLS_RESULTS_TAIL_H
#define TOOLS_RESULTS_TAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tail_state {
    TAIL_FINE,    /* it ends with a whole packet, with chatter or empty, or is no regular file */
    TAIL_FOREIGN, /* it has bytes, but no packet among those that were looked at */
    TAIL_ENDED,   /* padding ends half a packet, or half a character */
    TAIL_UNKNOWN, /* it cannot be looked at: errno. Padding ends whatever there is */
    TAIL_UNCLEAR, /* long, and where its packets begin is not clear: likewise */
    /* Nothing may be appended: */
    TAIL_BUSY,   /* half a packet, and somebody else is writing */
    TAIL_DEADLY, /* a reader cannot get past what stands there */
    TAIL_FAILED, /* the padding could not be written: errno */
};

struct tail {
    enum tail_state state;
    uint64_t looked_bytes;  /* at the file's end */
    uint64_t half_bytes;    /* of the packet that was not whole; 0: it was a character */
    uint64_t padding_bytes; /* that are written behind it */
    bool in_header;         /* they end a header first */
    uint64_t deadly_at;     /* the offset in the file */
    int error;              /* errno value */
};

static inline bool tail_may_append(const struct tail *tail) {
    return tail->state < TAIL_BUSY;
}

/*
 * Looks at what stands in front of where `fd` will write next, at most TAIL_LOOK_BYTES of it, and
 * ends half a packet there. Blocks while it reads, for half a second at most when it finds half a
 * packet and for two when somebody else does the same. False: nothing may be appended.
 */
bool tail_mend(int fd, struct tail *tail);

/* The same, but it writes nothing: what would be done, and whether that helps. */
bool tail_look(int fd, struct tail *tail);

/* What was found as a sentence without its subject; "": there is nothing to say. */
void tail_text(const struct tail *tail, char *out, size_t out_bytes);

#endif
