/* A subunit stream from a descriptor, as frames, and every frame as packets. */
#ifndef TOOLS_RESULTS_INPUT_H
#define TOOLS_RESULTS_INPUT_H

#include "mux/packet/framer.h"
#include "tools/results/looks.h"

#include <sys/types.h>

/* What was read, for who shows it to people. */
struct input_seen {
    uint64_t bytes, packets;
    bool damaged_bundle; /* what was no packet in it came as events of subunit.parser */
    size_t head_len;
    uint8_t head[LOOKS_BYTES]; /* the first bytes */
};

struct input_handler {
    /* A frame; its spans are good until it returns. False: stop reading. */
    bool (*frame)(void *user, const struct mux_frame *frame);
    /* Input pauses: a good time to flush. False: stop reading. */
    bool (*pause)(void *user);
    int pause_ms; /* while nothing comes it is told again as often; -1: once */
    void *user;
    bool raw; /* bundles come as they are, in place of the packets in them */
    /* Zeroed; filled. A byte order mark of UTF-8 at the beginning is then left out. NULL: each byte
     * counts. */
    struct input_seen *seen;
};

/*
 * Reads `fd` to its end. Chatter waits for its newline or 30 ms of silence. Blocks. Returns 0, an
 * errno value when reading failed, or -1 when the handler stopped it.
 */
int input_read(int fd, const struct input_handler *handler);

/*
 * Was it a stream? False, after a sentence on stderr that says what it looks like, when there was
 * not one packet, or some in what is packed.
 */
bool input_was_stream(const char *command, const char *path, const struct input_seen *seen);

/* Is nothing there to be read for so long? */
bool input_silent(int fd, int timeout_ms);

/* read(2), but it waits on non-blocking descriptors too and is not interrupted. */
ssize_t input_read_some(int fd, void *bytes, size_t most);

/*
 * Chatter or damage as whole packets under a route code (data NULL: none), each given to `packet`;
 * false when it returns false. The bytes are good until it returns.
 */
bool input_report(const struct mux_frame *frame, struct mux_span route,
                  bool (*packet)(void *user, struct mux_span bytes), void *user);

#endif
