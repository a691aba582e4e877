/* RDMA among the stacks; in every build. */
#include "transport/stack.h"
#include "transport/endpoint_internal.h"
#include "transport/interface.h"
#include <netdb.h>
#include <string.h>

/* A number, not a name: it is one of this machine's addresses. */
static bool parse_source(const char *text, struct endpoint *endpoint, char *why, size_t why_bytes) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    struct addrinfo *list = NULL;
    if (getaddrinfo(text, NULL, &hints, &list) != 0 || !list)
        return endpoint_refuse(why, why_bytes, "'%s': from=%s: expected an IPv4 or IPv6 address",
                               endpoint->text, text);
    memcpy(&endpoint->source, list->ai_addr, list->ai_addrlen);
    freeaddrinfo(list);
    return true;
}

#define SOURCE_KEY ",from="

/* "PLACE" or "PLACE,from=ADDRESS" */
static bool parse_rdma(const char *text, struct endpoint *endpoint, char *why, size_t why_bytes) {
    char place[ENDPOINT_TEXT_BYTES];
    strcpy(place, text);
    char *source = strstr(place, SOURCE_KEY);
    if (source) {
        *source = '\0';
        if (!parse_source(source + strlen(SOURCE_KEY), endpoint, why, why_bytes))
            return false;
    }
    return endpoint_parse_place(place, endpoint, why, why_bytes);
}

/* The interface's addresses can be listened on by both. */
static bool offered_by(const struct endpoint *endpoint) {
    return endpoint->kind == ENDPOINT_NETWORK && endpoint->via == TRANSPORT_VIA_KERNEL &&
           interface_carries_rdma("/sys/class", endpoint->name);
}

const struct stack stack_rdma = {
    .name = "RDMA (libibverbs and librdmacm)",
    .prefix = "rdma:",
    .form = "rdma:HOST:PORT",
    .uses_names = true,
#ifdef TRANSPORT_WITH_RDMA
    .ops = &transport_rdma,
#endif
    /*
     * It reads into several buffers ahead, but into one assembly slot at a time: so attachments of
     * 64 KiB should lie whole in a buffer (0.83 instead of 0.66 of ib_send_bw in the guest).
     */
    .buffer_bytes = (size_t)128 << 10,
    .parse = parse_rdma,
    .resolve = endpoint_resolve_place,
    .offered_by = offered_by,
};
