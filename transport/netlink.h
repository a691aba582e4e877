/*
 * This machine's IP addresses from the kernel (rtnetlink): all of them now, and a notice when
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

/* Calls `each` with every address of the machine. False with *failure: some could not be read. */
bool netlink_each_address(void (*each)(void *user, const struct netlink_address *address),
                          void *user, struct transport_failure *failure);

/*
 * A socket that becomes readable when an interface or an address appears, disappears or changes.
 * Its messages are only a notice, and some may get lost: the reader asks for all addresses anew. -1
 * with *failure.
 */
int netlink_subscribe(struct transport_failure *failure);

/* Discards its messages. */
void netlink_discard(int fd);

#endif
