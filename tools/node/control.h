/*
 * The control socket: people and programs ask a running node how it stands. A service beside the
 * node on the same loop.
 *
 * A client sends requests, a line each, and gets one line of JSON for each of them, in order; it
 * may ask as often as it likes on one connection:
 *
 *   status     version, uptime, phase, upstream, totals, and what holds links up
 *   links      every link: segment, peer, state, bytes, packets, tests in progress, what it waits
 *              for
 *   counters   the counters, as --stats-json writes them
 *
 * and two that begin a view (view.h), after which the connection carries subunit packets:
 *
 *   tail LAST PATTERN   output of the routes that match, from the last LAST bytes of each on
 *   attach LAST ROUTE   output of one route; packets of file "stdin" from the client go down it
 *
 * and four that give an order to a place below, or to this node itself ("."); the answer says what
 * became of it:
 *
 *   drain ROUTE, undrain ROUTE, kick ROUTE, stop ROUTE   see order.h
 *
 * Numbers have their unit in the name (_bytes, _s). Keys may be added in later versions; readers
 * skip those that they do not know. What is asked for wrongly is answered with {"error": "..."},
 * and the connection is closed.
 *
 * Clients cost the stream little, whatever they do. Each has a fixed amount of memory, none of it
 * from the node's arena. Answers are made in pieces, a piece when the one before it was taken, and
 * all clients together get a bounded number of bytes a second, in turns. A client beyond
 * CONTROL_CLIENTS_MAX takes the place of one that has done nothing for a while, or is refused.
 */
#ifndef TOOLS_NODE_CONTROL_H
#define TOOLS_NODE_CONTROL_H

#include "tools/base/loop.h"
#include "tools/node/node.h"
#include "tools/node/orders.h"

#define CONTROL_CLIENTS_MAX 64

/* Longest packet of input from an attached client: typed by a person, or pasted in pieces. */
#define CONTROL_INPUT_BYTES 2048

/* Connections of the transport that it needs at most: those, and some that are being refused. */
#define CONTROL_CONNS_MAX (CONTROL_CLIENTS_MAX + 16)

struct control;

struct control_config {
    struct loop *loop;
    struct node *node;
    struct orders *orders; /* of the node */
    const char *version;
    const struct transport_address *address; /* a unix socket, with its mode and group */
};

/* NULL with *failure. */
struct control *control_open(const struct control_config *config,
                             struct transport_failure *failure);

/* Closes the socket and all clients; control_is_closed() when their last events have come. */
void control_close(struct control *control);
bool control_is_closed(const struct control *control);

/* Then. */
void control_destroy(struct control *control);

#endif
