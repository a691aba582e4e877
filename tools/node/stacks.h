/*
 * The transport of a node: io_uring or epoll, and beside it the stacks that its endpoints need; and
 * the arena, one mapping that all of them receive into and that everything is sent from.
 */
#ifndef TOOLS_NODE_STACKS_H
#define TOOLS_NODE_STACKS_H

#include "tools/node/allow.h"
#include "tools/node/place.h"
#include "transport/transport.h"

/* Which of the kernel's engines. */
enum io_choice {
    IO_AUTO, /* io_uring, or epoll where that cannot be used */
    IO_URING,
    IO_EPOLL
};

/* The endpoints and the allow list outlive the stacks. What is 0 has its default. */
struct stacks_config {
    const struct endpoint *listen; /* what will be listened on; their stacks are made ... */
    unsigned listen_count;
    const struct place *upstream; /* ... and those of the place to connect to; NULL: none */
    enum io_choice io;
    unsigned busy_poll_us;     /* see transport_config */
    size_t memory_bytes;       /* of the arena */
    size_t owner_bytes;        /* and so many more in it for the owner alone */
    bool saves_memory;         /* the arena takes no more than is touched: no huge pages */
    size_t receive_bytes;      /* of it for receiving, by each stack; 0: a share of the arena */
    size_t buffer_bytes;       /* of a receive buffer; 0: what suits the stack */
    unsigned reserve_buffers;  /* see transport_config; 0: a few */
    unsigned conns_max;        /* see transport_config */
    unsigned kept;             /* see transport_config */
    const struct allow *allow; /* NULL: everybody may connect */
};

struct stacks {
    const struct transport_ops *ops;
    struct transport *transport;
    struct mux_room arena;
    struct mux_room memory; /* the part of it that is left for its owner */
    unsigned vias;          /* bit i: it has a part for enum transport_via i */
};

/*
 * True: `notice` is a sentence for people ("io_uring is forbidden here ...: using epoll"), or "".
 * False: it says why not. A stack that cannot be had (no device, no permission) is reported by
 * listen() and connect(); one that the build lacks here, where an endpoint asks for it by name.
 */
bool stacks_start(struct stacks *stacks, const struct stacks_config *config, char *notice,
                  size_t notice_bytes);

/* Is there a part for such addresses? Only then may they be listened on or connected to. */
bool stacks_has(const struct stacks *stacks, enum transport_via via);

/*
 * Ends the transport, of which everything is closed, and frees the arena. `between`, unless NULL,
 * is called when nothing is in flight any more, to give back the buffers that are lent.
 */
void stacks_stop(struct stacks *stacks, void (*between)(void *user), void *user);

#endif
