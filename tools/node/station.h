/*
 * What a program that is one node stands on: log, signals, child processes, transport, loop, the
 * upstream's name, the node. They are made in this order, and end together. mux exec and mux agent
 * are such programs. What cannot be made is said in a sentence on stderr.
 *
 * One thread. Blocks as its parts do: stacks.h, resolver.h.
 */
#ifndef TOOLS_NODE_STATION_H
#define TOOLS_NODE_STATION_H

#include "tools/base/children.h"
#include "tools/base/log.h"
#include "tools/node/node.h"
#include "tools/node/place.h"
#include "tools/node/resolver.h"
#include "tools/node/stacks.h"

/*
 * Of a program that keeps what is not acknowledged, or acknowledges: as muxd's --window, which a
 * machine's agent fills in a second at a gigabit, and its --node-grace by default.
 */
#define STATION_WINDOW_BYTES ((size_t)8 << 20)
#define STATION_GRACE_NS UINT64_C(30000000000)

/* Lies in its owner, zeroed. */
struct station {
    const char *program;       /* "mux exec" */
    const struct place *place; /* the upstream; NULL: not one that is connected to */
    const char *name;          /* what the node calls itself; NULL: the host's name */
    struct log log;
    struct signals signals;
    struct children children;
    struct stacks stacks;
    struct loop loop;
    struct resolver *resolver;
    char place_text[PLACE_TEXT_BYTES];
    struct node *node; /* NULL: there is none yet */
};

/* With signals and child processes: now is the time to catch signals. `place` outlives it. */
bool station_open(struct station *station, const char *program, const struct place *place);

/* The transport, whose upstream and engine are set here, and the loop. */
bool station_start(struct station *station, struct stacks_config *config);

/*
 * The node. Set here: its loop, its memory, how its upstream is connected to, its log, its
 * identity. Its user is the station.
 */
bool station_make_node(struct station *station, struct node_config *config);

/* One line for the log; `user` is the station. */
void station_say(void *user, const char *line);

/* Until the node has ended, and with it what was on the loop. */
void station_run(struct station *station);

/* Did all that it had to say go out? When it has ended. */
bool station_all_sent(const struct station *station);

/* The process is about to end, which gives all back at once: one by one takes longer. */
void station_leave(struct station *station);

/* Also when one of the above has failed. */
void station_close(struct station *station);

#endif
