/*
 * What the kernel says of this machine's IP addresses (rtnetlink): all of them now, and that
 * something has changed. Nothing here waits.
 */
#ifndef TRANSPORT_NETLINK_H
#define TRANSPORT_NETLINK_H

#include "transport/transport.h"

/* Can an address be bound? */
enum netlink_address_state {
    NETLINK_ADDRESS_ABSENT,    /* no interface has it */
    NETLINK_ADDRESS_READY,     /* yes */
    NETLINK_ADDRESS_TENTATIVE, /* not before duplicate address detection is over (RFC 4862), which
                                  needs a carrier */
    NETLINK_ADDRESS_DUPLICATE, /* no: another machine has it */
};

/* An address of an interface; link-local ones have their scope. */
struct netlink_address {
    unsigned interface; /* its index */
    enum netlink_address_state state;
    struct transport_address address; /* port 0 */
};

/* Calls `each` with every address of the machine. False with *failure: not all could be read. */
bool netlink_each_address(void (*each)(void *user, const struct netlink_address *address),
                          void *user, struct transport_failure *failure);

/*
 * A socket that can be read when an interface or an address has come, gone or changed. What it says
 * does not matter, and some of it may get lost when there is much: all that is wanted to know is
 * asked for anew. -1 with *failure.
 */
int netlink_subscribe(struct transport_failure *failure);

/* Throws away what it has said. */
void netlink_discard(int fd);

#endif
