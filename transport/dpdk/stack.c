/* DPDK among the stacks; in every build. */
#include "transport/stack.h"
#include "transport/dpdk/dpdk.h"
#include "transport/dpdk/spec.h"
#include "transport/endpoint_internal.h"
#include <string.h>

/* "DEVICE,ip=ADDRESS/LEN,...[:PORT]"; its parts are checked now, so that mistakes show early. */
static bool parse_dpdk(const char *text, struct endpoint *endpoint, char *why, size_t why_bytes) {
    struct dpdk_spec spec;
    const char *port_text;
    size_t len;
    endpoint->port = ENDPOINT_DEFAULT_PORT;
    if (!dpdk_spec_split(text, &len, &port_text))
        return endpoint_refuse(
            why, why_bytes,
            "'%s': before a port number an IPv6 address goes in brackets: to=[fd00::1]:%u",
            endpoint->text, ENDPOINT_DEFAULT_PORT);
    memcpy(endpoint->name, text, len);
    endpoint->port_given = port_text != NULL;
    if (port_text && !endpoint_parse_port(port_text, &endpoint->port))
        return endpoint_refuse(why, why_bytes, "'%s': '%s' is no port number (0 to 65535)",
                               endpoint->text, port_text);
    char reason[ENDPOINT_TEXT_BYTES];
    return dpdk_spec_parse(endpoint->name, &spec, reason, sizeof reason) ||
           endpoint_refuse(why, why_bytes, "'%s': %s", endpoint->text, reason);
}

static const char *expects(const struct endpoint *endpoint, bool listening) {
    struct dpdk_spec spec;
    char why[ENDPOINT_TEXT_BYTES];
    bool has_to = dpdk_spec_parse(endpoint->name, &spec, why, sizeof why) && spec.to[0];
    if (listening)
        return has_to ? "no to= here (it says what to connect to)" : NULL;
    return has_to ? NULL : "to=HOST, which is connected to";
}

const struct stack stack_dpdk = {
    .name = "DPDK (libdpdk and lwIP)",
    .prefix = "dpdk:",
    .form = "dpdk:DEVICE,ip=ADDRESS/LEN:PORT",
#ifdef TRANSPORT_WITH_DPDK
    .ops = &transport_dpdk,
    .list_devices = dpdk_ports_print,
#endif
    .buffer_bytes = (size_t)32 << 10, /* tokens for frames, room for bytes gathered from several */
    .parse = parse_dpdk,
    .resolve = dpdk_spec_resolve,
    .expects = expects,
};
