/*
 * One direction of a copy: what one connection receives is sent on another. The pump holds the
 * received buffers until they are sent; the transport lends at most `lent_max` of them, so the
 * pump's lists never overflow. While one list is being sent the next one fills.
 *
 * The owner passes on the events of both connections. Only pump_init() allocates; nothing blocks.
 */
#ifndef TOOLS_MUX_PUMP_H
#define TOOLS_MUX_PUMP_H

#include "transport/transport.h"

/* Received spans, each in the buffer that a reference is held on. */
struct pump_list {
    struct mux_buffer **buffers;
    struct mux_span *spans;
    unsigned count;
};

struct pump {
    struct transport_conn *to; /* NULL: bytes are dropped and counted ... */
    bool keeps;                /* ... or they are kept until there is a connection */
    struct pump_list waiting, sending;
    struct mux_gather gather; /* of what is being sent */
    uint64_t dropped_bytes;
};

/* `pump` is all zero. `lent_max` is that of the receiving transport. False: no memory. */
bool pump_init(struct pump *pump, unsigned lent_max);

/* Keeps what is received until pump_start(). */
void pump_keep(struct pump *pump);

/* Sends to `to` from now on; NULL: drops. */
void pump_start(struct pump *pump, struct transport_conn *to);

/* Drops from now on what is received. What is being sent stays until pump_stop(). */
void pump_detach(struct pump *pump);

/* Takes over the buffer of a TRANSPORT_RECEIVED. */
void pump_receive(struct pump *pump, const struct transport_event *event);

/* After a TRANSPORT_SENT of `to`. */
void pump_sent(struct pump *pump);

/* Everything received was sent (or dropped). */
bool pump_is_empty(const struct pump *pump);

/*
 * Releases what was not sent, and counts it as dropped. `sent_bytes`: how much of what was being
 * sent went out. Only after `to` is CLOSED: until then the transport may read the buffers.
 */
void pump_stop(struct pump *pump, uint64_t sent_bytes);

#endif
