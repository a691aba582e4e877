/*
 * The transport of a node: io_uring or epoll, and beside it the stacks that its endpoints need; and
 * the arena, one mapping that all of them receive into and that everything is sent from.
 */
#ifndef TOOLS_NODE_STACKS_H
#define TOOLS_NODE_STACKS_H

#include "tools/base/log.h"
#include "tools/node/allow.h"
#include "transport/transport.h"

/* Which of the kernel's engines. */
enum io_choice {
    IO_AUTO, /* io_uring, or epoll where that cannot be used */
    IO_URING,
    IO_EPOLL
};

/* The endpoints and the allow list outlive the stacks. */
struct stacks_config {
    const struct endpoint *listen; /* what will be listened on; their stacks are made ... */
    unsigned listen_count;
    const struct endpoint *upstream; /* ... and this one's; NULL: there is none */
    enum io_choice io;
    unsigned busy_poll_us; /* see transport_config */
    uint64_t memory_bytes; /* of the arena */
    unsigned links_max;
    const struct allow *allow;
};

struct stacks {
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
bool stacks_start(struct stacks *stacks, const struct stacks_config *config, struct log *log);

/* Is there a part for such addresses? Only then may they be listened on or connected to. */
bool stacks_has(const struct stacks *stacks, enum transport_via via);

/* After the transport's fini(). */
void stacks_unmap(struct stacks *stacks);

#endif
