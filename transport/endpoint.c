#include "transport/endpoint.h"
#include "transport/endpoint_internal.h"
#include "transport/interface.h"
#include "transport/mistake.h"
#include "transport/stack.h"
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What could have been written: "an interface, HOST:PORT, ...". */
static const char *forms(void) {
    static char text[512];
    size_t len = 0;
    for (unsigned via = 0; via < TRANSPORT_VIAS; via++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s, ", stack_of(via)->form);
    assert(len < sizeof text);
    snprintf(text + len, sizeof text - len, "unix:PATH, file:PATH or -");
    return text;
}

bool endpoint_refuse(char *why, size_t why_bytes, const char *format, ...) {
    va_list list;
    va_start(list, format);
    vsnprintf(why, why_bytes, format, list);
    va_end(list);
    return false;
}

bool endpoint_parse_port(const char *text, uint16_t *port) {
    unsigned value = 0;
    const char *c = text;
    for (; *c >= '0' && *c <= '9' && value <= UINT16_MAX; c++)
        value = value * 10 + (unsigned)(*c - '0');
    *port = (uint16_t)value;
    return c != text && *c == '\0' && value <= UINT16_MAX;
}

static bool parse_path(const char *path, struct endpoint *endpoint, enum endpoint_kind kind,
                       char *why, size_t why_bytes) {
    endpoint->kind = kind;
    if (*path == '\0')
        return endpoint_refuse(why, why_bytes, "'%s' has no path after the colon", endpoint->text);
    if (kind == ENDPOINT_UNIX && strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return endpoint_refuse(why, why_bytes,
                               "'%s': the path of a unix socket has at most %zu bytes",
                               endpoint->text, sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
    strcpy(endpoint->name, path);
    return mistake_check_path(endpoint, path, why, why_bytes);
}

/* "[v6]" or "[v6]:PORT": *port_text gets what follows the bracket's colon, or NULL. */
static bool split_brackets(const char *text, struct endpoint *endpoint, const char **port_text) {
    const char *end = strchr(text, ']');
    if (!end || end == text + 1 || (end[1] != '\0' && end[1] != ':'))
        return false;
    memcpy(endpoint->name, text + 1, (size_t)(end - text - 1));
    *port_text = end[1] == ':' ? end + 2 : NULL;
    return true;
}

/* "NAME", "NAME:PORT", ":PORT". */
static void split_colon(const char *text, struct endpoint *endpoint, const char **port_text) {
    const char *colon = strchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : strlen(text);
    memcpy(endpoint->name, text, len);
    *port_text = colon ? colon + 1 : NULL;
}

bool endpoint_parse_place(const char *text, struct endpoint *endpoint, char *why,
                          size_t why_bytes) {
    const char *port_text = NULL;
    endpoint->port = ENDPOINT_DEFAULT_PORT;
    if (*text == '\0')
        return endpoint_refuse(why, why_bytes, "'%s' names no place; expected %s", endpoint->text,
                               forms());
    if (!mistake_check_place(endpoint, text, why, why_bytes))
        return false;
    if (*text == '[') {
        if (!split_brackets(text, endpoint, &port_text))
            return endpoint_refuse(
                why, why_bytes, "'%s': expected [v6-address] or [v6-address]:PORT", endpoint->text);
    } else if (strchr(text, ':') != strrchr(text, ':')) {
        return endpoint_refuse(
            why, why_bytes,
            "'%s' has several colons: an IPv6 address goes in brackets, as in [::1]:%u; "
            "expected %s",
            endpoint->text, ENDPOINT_DEFAULT_PORT, forms());
    } else {
        split_colon(text, endpoint, &port_text);
    }
    if (!mistake_check_host(endpoint, endpoint->name, why, why_bytes))
        return false;
    endpoint->port_given = port_text != NULL;
    if (port_text && !endpoint_parse_port(port_text, &endpoint->port))
        return endpoint_refuse(why, why_bytes, "'%s': '%s' is no port number (0 to 65535)",
                               endpoint->text, port_text);
    return true;
}

bool endpoint_parse(const char *text, struct endpoint *endpoint, char *why, size_t why_bytes) {
    *endpoint = (struct endpoint){0};
    if (strlen(text) >= sizeof endpoint->text)
        return endpoint_refuse(why, why_bytes, "'%.40s...' is longer than %zu bytes", text,
                               sizeof endpoint->text - 1);
    strcpy(endpoint->text, text);
    if (strcmp(text, "-") == 0) {
        endpoint->kind = ENDPOINT_STDIO;
        return true;
    }
    if (strncmp(text, "unix:", 5) == 0)
        return parse_path(text + 5, endpoint, ENDPOINT_UNIX, why, why_bytes);
    if (strncmp(text, "file:", 5) == 0)
        return parse_path(text + 5, endpoint, ENDPOINT_FILE, why, why_bytes);
    const struct stack *stack = stack_of_text(text, &endpoint->via);
    endpoint->kind = ENDPOINT_NETWORK;
    return stack->parse(text + stack_prefix_bytes(stack, text), endpoint, why, why_bytes);
}

static unsigned resolve_unix(const struct endpoint *endpoint, struct transport_address *address) {
    *address = (struct transport_address){.len = sizeof address->un};
    address->un.sun_family = AF_UNIX;
    strcpy(address->un.sun_path, endpoint->name);
    return 1;
}

/* Can sockets of this family be made here? ":7533" is not to fail where IPv6 is switched off. */
static bool family_works(int family) {
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        close(fd);
    return fd >= 0 || errno != EAFNOSUPPORT;
}

/* A name or number, or every local address for "". Returns getaddrinfo()'s error. */
static int resolve_name(const struct endpoint *endpoint, bool listening,
                        struct transport_address *addresses, unsigned most, unsigned *count) {
    char port[sizeof "65535"];
    snprintf(port, sizeof port, "%u", endpoint->port);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICSERV | (listening ? AI_PASSIVE : 0)};
    struct addrinfo *list = NULL;
    *count = 0;
    int error = getaddrinfo(*endpoint->name ? endpoint->name : NULL, port, &hints, &list);
    for (struct addrinfo *item = list; item && *count < most; item = item->ai_next) {
        bool fits = item->ai_addrlen <= sizeof addresses->storage;
        if (!fits || (*endpoint->name == '\0' && !family_works(item->ai_family)))
            continue;
        struct transport_address *address = &addresses[(*count)++];
        *address = (struct transport_address){.len = item->ai_addrlen};
        memcpy(&address->any, item->ai_addr, item->ai_addrlen);
    }
    if (list)
        freeaddrinfo(list);
    return error;
}

static const char *name_error(int error) {
    return error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error);
}

/* Does its name stand for a place in an IP network? */
static bool is_place(const struct endpoint *endpoint) {
    return endpoint->kind == ENDPOINT_NETWORK && stack_of(endpoint->via)->uses_names;
}

bool endpoint_is_interface(const struct endpoint *endpoint) {
    return is_place(endpoint) && interface_exists(endpoint->name);
}

bool endpoint_may_be_interface(const struct endpoint *endpoint) {
    return is_place(endpoint) && interface_name_is_usual(endpoint->name);
}

/* By the endpoint's stack. */
static void mark(const struct endpoint *endpoint, struct transport_address *addresses,
                 unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        addresses[i].via = endpoint->via;
        addresses[i].source = endpoint->source;
    }
}

bool endpoint_interface_addresses(const struct endpoint *endpoint,
                                  struct transport_address *addresses, unsigned most,
                                  unsigned *count, struct transport_failure *failure) {
    bool read =
        interface_addresses(endpoint->name, endpoint->port, addresses, most, count, failure);
    mark(endpoint, addresses, *count);
    return read;
}

unsigned endpoint_resolve_place(const struct endpoint *endpoint, bool listening,
                                struct transport_address *addresses, unsigned most, char *why,
                                size_t why_bytes) {
    bool exists = interface_exists(endpoint->name);
    unsigned count = 0;
    if (exists && listening) {
        struct transport_failure failure;
        if (!endpoint_interface_addresses(endpoint, addresses, most, &count, &failure))
            endpoint_refuse(why, why_bytes, "the addresses of %s cannot be read: %s: %s",
                            endpoint->name, failure.operation, strerror(failure.error));
        else if (count == 0)
            endpoint_refuse(why, why_bytes, "the interface %s has no IP address", endpoint->name);
        return count;
    }
    int error = resolve_name(endpoint, listening, addresses, most, &count);
    mark(endpoint, addresses, count);
    if (count > 0)
        return count;
    if (exists) {
        endpoint_refuse(
            why, why_bytes,
            "'%s' is an interface of this machine and no host name (%s): it can be listened on, "
            "not connected to",
            endpoint->name, name_error(error));
        return 0;
    }
    char names[ENDPOINT_TEXT_BYTES];
    interface_names(names, sizeof names);
    endpoint_refuse(why, why_bytes, "'%s' is neither an interface (%s) nor a host name: %s",
                    endpoint->name, names, error ? name_error(error) : "no address");
    return 0;
}

bool endpoint_is_address(const struct endpoint *endpoint) {
    return endpoint->kind != ENDPOINT_FILE && endpoint->kind != ENDPOINT_STDIO;
}

unsigned endpoint_resolve(const struct endpoint *endpoint, bool listening,
                          struct transport_address *addresses, unsigned most, char *why,
                          size_t why_bytes) {
    assert(most > 0);
    if (endpoint->kind == ENDPOINT_UNIX)
        return resolve_unix(endpoint, addresses);
    if (endpoint->kind == ENDPOINT_NETWORK)
        return stack_of(endpoint->via)
            ->resolve(endpoint, listening, addresses, most, why, why_bytes);
    endpoint_refuse(why, why_bytes, "'%s' is no network address", endpoint->text);
    return 0;
}

bool endpoint_describe_interface(const struct endpoint *endpoint, char *out, size_t out_bytes) {
    return endpoint_is_interface(endpoint) &&
           interface_describe("/sys/class/net", endpoint->name, out, out_bytes);
}

void address_text(const struct transport_address *address, char *out, size_t out_bytes) {
    if (address->any.sa_family == AF_UNIX) {
        snprintf(out, out_bytes, "unix:%.*s", (int)sizeof address->un.sun_path,
                 address->un.sun_path);
        return;
    }
    char host[NI_MAXHOST], port[NI_MAXSERV];
    int error = getnameinfo(&address->any, address->len, host, sizeof host, port, sizeof port,
                            NI_NUMERICHOST | NI_NUMERICSERV);
    const char *stack = address->via == TRANSPORT_VIA_KERNEL ? "" : stack_of(address->via)->prefix;
    if (error)
        snprintf(out, out_bytes, "unknown address (%s)", name_error(error));
    else if (address->any.sa_family == AF_INET6)
        snprintf(out, out_bytes, "%s[%s]:%s", stack, host, port);
    else
        snprintf(out, out_bytes, "%s%s:%s", stack, host, port);
}

bool address_same_ip(const struct transport_address *a, const struct transport_address *b) {
    if (a->any.sa_family != b->any.sa_family)
        return false;
    return a->any.sa_family == AF_INET ? a->in4.sin_addr.s_addr == b->in4.sin_addr.s_addr
                                       : IN6_ARE_ADDR_EQUAL(&a->in6.sin6_addr, &b->in6.sin6_addr) &&
                                             a->in6.sin6_scope_id == b->in6.sin6_scope_id;
}

bool address_is_local(const struct transport_address *address) {
    switch (address->any.sa_family) {
    case AF_UNIX:
        return true;
    case AF_INET:
        return ntohl(address->in4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    case AF_INET6:
        return IN6_IS_ADDR_LOOPBACK(&address->in6.sin6_addr) ||
               (IN6_IS_ADDR_V4MAPPED(&address->in6.sin6_addr) &&
                address->in6.sin6_addr.s6_addr[12] == IN_LOOPBACKNET);
    default:
        return false;
    }
}
