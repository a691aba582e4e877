/*
 * A muxd's transport: io_uring or epoll, and beside it the stacks that its endpoints need; and the
 * arena, one mapping that all of them receive into and that everything is sent from.
 */
#ifndef MUXD_ENGINE_H
#define MUXD_ENGINE_H

#include "tools/muxd/log.h"
#include "tools/muxd/options.h"
#include "transport/transport.h"

struct engine {
    const struct transport_ops *ops;
    struct transport *transport;
    struct mux_room arena;
    struct mux_room memory; /* the part of it that is left for the mux */
    unsigned vias;          /* bit i: it has a part for enum transport_via i */
};

/*
 * False after a sentence in the log. A stack that cannot be had (no device, no permission) is told
 * by listen() and connect(); one that the build lacks only where an endpoint asks for it by name.
 */
bool engine_start(struct engine *engine, const struct options *options, struct log *log);

/* Is there a part for such addresses? Only then may they be listened on or connected to. */
bool engine_has(const struct engine *engine, enum transport_via via);

/* After the transport's fini(). */
void engine_unmap(struct engine *engine);

#endif
