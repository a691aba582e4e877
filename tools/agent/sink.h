/*
 * A sink: a second descriptor of a stream that a command writes to. When nobody reads the stream
 * any more and the command still runs, the sink reads it and keeps nothing: in the grace that it
 * has the command shall not die of a broken pipe, nor wait for room in it.
 *
 * It reads into the reserve of the upstream, which is no more: what could not be sent to that may
 * hold all other memory.
 *
 * One thread, nothing blocks. It lies in its owner, zeroed, which outlives its connection.
 */
#ifndef TOOLS_AGENT_SINK_H
#define TOOLS_AGENT_SINK_H

#include "tools/base/loop.h"

struct sink {
    struct loop_handler base;
    struct transport_conn *conn; /* NULL: it does not read */
    int fd;                      /* that is held, -1: none, or it is the connection's */
};

/* Holds the stream that is read from `fd`, which stays its owner's; -1: there is none. */
void sink_hold(struct sink *sink, int fd);

/* Reads on from here, if it holds a stream. */
void sink_open(struct sink *sink, struct loop *loop);

/* Lets go of what is held. A connection ends by itself, with the stream. */
void sink_close(struct sink *sink);

#endif
