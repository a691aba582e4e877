/*
 * What an agent wants: a packet with file "muxd.want", whose content is a JSON object
 * (docs/protocol.md). Pure: no I/O. Any bytes are read, or refused in words.
 */
#ifndef TOOLS_NODE_WANT_H
#define TOOLS_NODE_WANT_H

#include "mux/packet/packet.h"
#include "tools/node/read.h"

#include <stdint.h>

/* Of a slot's segment among others; and the longest that is written, with all slots. */
#define WANT_SEGMENT_BYTES (sizeof "\"511\",")
#define WANT_MESSAGE_BYTES (MESSAGE_SLOTS_MAX * WANT_SEGMENT_BYTES + 512)

_Static_assert(MESSAGE_SLOTS_MAX <= 512, "a segment has at most three digits");

struct want_message {
    char content[WANT_MESSAGE_BYTES];
};

/* How many jobs an agent has, and takes. */
struct want {
    uint64_t slots; /* that there are */
    uint64_t free;  /* slots without a job */
    uint64_t ahead; /* jobs that wait for a slot */
    uint64_t room;  /* jobs more that it takes now */
    uint64_t taken; /* jobs that it has accepted since it started */
    bool draining;
    bool slot_drains[MESSAGE_SLOTS_MAX]; /* slots that take no jobs, by an order */
};

/* The packet refers to the message. */
void want_put(struct want_message *message, const struct want *want, struct mux_packet *packet);

/* False, and a sentence in `why` (READ_WHY_BYTES). */
bool want_parse(struct mux_span text, struct want *want, char *why);

#endif
