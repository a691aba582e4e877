/* A bundle (docs/protocol.md) taken apart, for who looks at a stream: packets under their routes.
 */
#ifndef TOOLS_RESULTS_THROUGH_H
#define TOOLS_RESULTS_THROUGH_H

#include "mux/packet/framer.h"

struct through {
    bool (*packet)(void *user, const struct mux_frame *frame); /* false: stop */
    void *user;
    bool damaged; /* something in it was no packet; events of subunit.parser say so */
};

/* Is it a packet that is a valid bundle? Others are shown as they are. */
bool through_is(const struct mux_frame *frame);

/*
 * Gives each packet in the bundle, with the bundle's route code in front of its own. A bundle in a
 * bundle is an ordinary packet. The frame's spans are good until `packet` returns. False: it was
 * stopped.
 */
bool through_take(struct through *through, const struct mux_frame *frame);

#endif
