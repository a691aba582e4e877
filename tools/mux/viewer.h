/*
 * A view of a muxd's control socket, from the side of who looks: mux tail, mux attach. Blocks in
 * viewer_open() for CONTROL_ANSWER_MOST_S at most; viewer_read() after poll() does not block.
 */
#ifndef TOOLS_MUX_VIEWER_H
#define TOOLS_MUX_VIEWER_H

#include "mux/packet/framer.h"
#include "tools/mux/control_place.h"

struct viewer {
    struct control_place place;
    bool writes;              /* what is typed goes down */
    char writer[64];          /* else: who writes */
    struct mux_framer framer; /* over a store that is static: there is one viewer in a process */
    void *user;
    void (*packet)(void *user, const struct mux_packet *packet);
};

/* `request`: "tail" or "attach". False after a sentence on stderr. */
bool viewer_open(struct viewer *viewer, const char *program, const char *place, const char *request,
                 uint64_t last_bytes, const char *route);

/* Takes what has come. False: muxd has ended the view, or it is broken: stderr says it. */
bool viewer_read(struct viewer *viewer);

void viewer_close(struct viewer *viewer);

/* How a command has ended, of a packet "muxd.exit", in words. */
#define VIEWER_EXIT_BYTES 512
void viewer_exit_words(struct mux_span json, char out[VIEWER_EXIT_BYTES]);

#endif
