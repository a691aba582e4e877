/*
 * The end of a file that packets are appended to. Where a writer died inside a packet (kill -9, no
 * power, a full disk), every reader takes what is appended for the rest of that packet: it must end
 * first. It is ended with zeros up to the length that it claims: damage, one event for a reader,
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
    TAIL_ENDED,   /* half a packet was ended as damage */
    TAIL_BUSY,    /* half a packet, but somebody else is writing: left alone */
    TAIL_UNKNOWN, /* it cannot be looked at: errno */
    TAIL_FAILED,  /* half a packet, which could not be ended: errno. Nothing may be appended */
};

struct tail {
    enum tail_state state;
    uint64_t looked_bytes; /* at the file's end */
    uint64_t half_bytes;   /* of the packet that was not whole */
    uint64_t zero_bytes;   /* written behind it */
    int error;             /* errno value */
};

/*
 * Looks at what stands in front of where `fd` will write next, at most TAIL_LOOK_BYTES of it, and
 * ends half a packet there. Blocks while it reads, for half a second at most when it finds half a
 * packet and for two when somebody else does the same.
 */
void tail_mend(int fd, struct tail *tail);

/* What was found as a sentence without its subject; "": there is nothing to say. */
void tail_text(const struct tail *tail, char *out, size_t out_bytes);

#endif
