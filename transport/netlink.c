#include "transport/netlink.h"
#include "transport/descriptor.h"
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <unistd.h>

/* Most bytes of one answer of the kernel (rtnetlink(7)). */
#define ANSWER_BYTES 32768

struct dump {
    void (*each)(void *user, const struct netlink_address *address);
    void *user;
    bool over;
    int error;
};

static int open_socket(unsigned groups, int flags, struct transport_failure *failure) {
    const struct sockaddr_nl own = {.nl_family = AF_NETLINK, .nl_groups = groups};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE);
    if (fd < 0) {
        transport_failed(failure, "socket(AF_NETLINK)");
        return -1;
    }
    if (bind(fd, (const struct sockaddr *)&own, sizeof own) != 0) {
        transport_failed(failure, "bind(AF_NETLINK)");
        close(fd);
        return -1;
    }
    return fd;
}

int netlink_subscribe(struct transport_failure *failure) {
    const int on = 1;
    int fd =
        open_socket(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR, SOCK_NONBLOCK, failure);
    /* An overflow is not an error: the queued messages wake us, and all addresses are read anew. */
    if (fd >= 0)
        setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof on);
    return fd;
}

void netlink_discard(int fd) {
    char byte;
    while (recv(fd, &byte, sizeof byte, MSG_DONTWAIT) >= 0 || errno == EINTR)
        ;
}

static enum netlink_address_state state_of(unsigned flags) {
    if (flags & IFA_F_DADFAILED)
        return NETLINK_ADDRESS_DUPLICATE;
    /* an optimistic address can be bound during duplicate detection */
    return flags & IFA_F_TENTATIVE && !(flags & IFA_F_OPTIMISTIC) ? NETLINK_ADDRESS_TENTATIVE
                                                                  : NETLINK_ADDRESS_READY;
}

static void set_ip(struct transport_address *address, const struct ifaddrmsg *message,
                   const void *ip) {
    *address = (struct transport_address){.len = 0};
    if (message->ifa_family == AF_INET) {
        address->len = sizeof address->in4;
        address->in4.sin_family = AF_INET;
        memcpy(&address->in4.sin_addr, ip, sizeof address->in4.sin_addr);
        return;
    }
    address->len = sizeof address->in6;
    address->in6.sin6_family = AF_INET6;
    memcpy(&address->in6.sin6_addr, ip, sizeof address->in6.sin6_addr);
    if (IN6_IS_ADDR_LINKLOCAL(&address->in6.sin6_addr))
        address->in6.sin6_scope_id = message->ifa_index;
}

/* Of a point-to-point interface IFA_ADDRESS is the other end and IFA_LOCAL ours. */
static void tell(struct dump *dump, const struct nlmsghdr *header) {
    const struct ifaddrmsg *message = NLMSG_DATA(header);
    struct netlink_address found = {.interface = message->ifa_index};
    size_t ip_bytes = message->ifa_family == AF_INET ? 4 : 16;
    unsigned flags = message->ifa_flags;
    const void *ip = NULL, *local = NULL;
    int len = (int)IFA_PAYLOAD(header);
    if (message->ifa_family != AF_INET && message->ifa_family != AF_INET6)
        return;
    for (const struct rtattr *at = IFA_RTA(message); RTA_OK(at, len); at = RTA_NEXT(at, len)) {
        if (at->rta_type == IFA_ADDRESS && RTA_PAYLOAD(at) >= ip_bytes)
            ip = RTA_DATA(at);
        if (at->rta_type == IFA_LOCAL && RTA_PAYLOAD(at) >= ip_bytes)
            local = RTA_DATA(at);
        if (at->rta_type == IFA_FLAGS && RTA_PAYLOAD(at) >= sizeof flags)
            memcpy(&flags, RTA_DATA(at), sizeof flags);
    }
    if (!ip && !local)
        return;
    found.state = state_of(flags);
    set_ip(&found.address, message, local ? local : ip);
    dump->each(dump->user, &found);
}

static void take(struct dump *dump, const struct nlmsghdr *header) {
    if (header->nlmsg_type == NLMSG_DONE) {
        dump->over = true;
    } else if (header->nlmsg_type == NLMSG_ERROR) {
        const struct nlmsgerr *error = NLMSG_DATA(header);
        dump->over = true;
        dump->error = -error->error;
    } else if (header->nlmsg_type == RTM_NEWADDR) {
        tell(dump, header);
    }
}

/* One datagram of the answer. The kernel has it ready, so this does not wait. */
static void receive(struct dump *dump, int fd) {
    union {
        struct nlmsghdr header;
        char bytes[ANSWER_BYTES];
    } answer;
    ssize_t len = recv(fd, &answer, sizeof answer, 0);
    if (len < 0 && errno == EINTR)
        return;
    if (len <= 0) {
        dump->over = true;
        dump->error = len < 0 ? errno : EIO;
        return;
    }
    size_t left = (size_t)len;
    for (struct nlmsghdr *at = &answer.header; NLMSG_OK(at, left) && !dump->over;
         at = NLMSG_NEXT(at, left))
        take(dump, at);
}

static bool ask(int fd) {
    const struct {
        struct nlmsghdr header;
        struct ifaddrmsg message;
    } question = {.header = {.nlmsg_len = sizeof question,
                             .nlmsg_type = RTM_GETADDR,
                             .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
                  .message = {.ifa_family = AF_UNSPEC}};
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    return sendto(fd, &question, sizeof question, 0, (const struct sockaddr *)&kernel,
                  sizeof kernel) >= 0;
}

bool netlink_each_address(void (*each)(void *user, const struct netlink_address *address),
                          void *user, struct transport_failure *failure) {
    struct dump dump = {.each = each, .user = user};
    int fd = open_socket(0, 0, failure);
    if (fd < 0)
        return false;
    if (!ask(fd))
        dump = (struct dump){.over = true, .error = errno};
    while (!dump.over)
        receive(&dump, fd);
    close(fd);
    *failure = (struct transport_failure){dump.error, "RTM_GETADDR"};
    return dump.error == 0;
}
