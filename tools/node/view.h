/*
 * A view: somebody looks at the output of some routes. What is to be sent to the viewer waits in a
 * queue of whole packets. It never grows: what does not fit is left out, counted, and the viewer is
 * told how much when there is room again. So a slow viewer loses output, and nobody waits for one.
 *
 * No clock, no system call; memory is taken by view_create() alone.
 */
#ifndef TOOLS_NODE_VIEW_H
#define TOOLS_NODE_VIEW_H

#include "mux/packet/packet.h"

/*
 * Files of the size of a terminal, both ways; of who writes to a route; and of where the past ends
 * for a client that attaches and asked for some of it (docs/protocol.md).
 */
#define VIEW_WINDOW_FILE "muxd.window"
#define VIEW_WRITER_FILE "muxd.writer"
#define VIEW_LIVE_FILE "muxd.live"

/* Is it for people? Files of muxd's own are not, nor is what a runner says of its batch. */
bool view_is_output(struct mux_span file);

/* What an agent says when somebody attaches to a slot that is free; its segment follows. */
#define VIEW_NO_JOB "no job runs in slot "

/* And when somebody attaches to the agent itself; its slots follow. */
#define VIEW_AGENT "no worker is here, but an agent: "

/* A second of fast output, for a viewer that redraws ten times a second. */
#define VIEW_QUEUE_BYTES 262144

/* Content goes to viewers in packets of at most this length. */
#define VIEW_CONTENT_BYTES 16384

/* A viewer that comes is given at most this much of what was before; the rest is for what comes. */
#define VIEW_RECENT_BYTES (VIEW_QUEUE_BYTES / 4 * 3)

/* Longest pattern or route of a view. */
#define VIEW_ROUTE_BYTES 1000

struct view {
    uint8_t *queue;
    size_t head, len; /* a ring: the oldest byte, and how many */
    struct mux_span spans[2];
    struct mux_gather gather; /* in flight when len_bytes > 0 */
    uint64_t missed_bytes;    /* of content: left out since the viewer was last told */
    uint64_t missed_total_bytes;
    bool is_exact; /* one route, and the messages of the nodes on the way to it */
    char route[VIEW_ROUTE_BYTES + 1];
};

/* Of an exact view `route` is a route, else a pattern (route_glob.h). NULL: out of memory. */
struct view *view_create(struct mux_span route, bool is_exact);
void view_destroy(struct view *view);

/* Does it show what comes from this route? */
bool view_wants(const struct view *view, struct mux_span route);

/* Queues a packet; its route is complete. */
void view_add(struct view *view, const struct mux_packet *packet);

/* Queues one whole packet as it is, if there is room. */
void view_add_bytes(struct view *view, struct mux_span packet);

/* Queues a message of this node's: file "muxd". */
void view_say(struct view *view, enum mux_status status, const char *text);

/* Is there something to send that is not in flight? */
bool view_has_more(const struct view *view);

/* What to send now, `most` bytes of it; NULL: nothing, or a send is in flight. */
const struct mux_gather *view_take(struct view *view, size_t most);

/* It was sent whole. */
void view_sent(struct view *view);

#endif
