/*
 * The stacks, one struct each: what its folder does for endpoints, addresses and engines. All are
 * there in every build, so that endpoints are understood the same everywhere; `ops` says whether
 * the build can use them.
 */
#ifndef TRANSPORT_STACK_H
#define TRANSPORT_STACK_H

#include "transport/endpoint.h"
#include "transport/transport.h"
#include <stdio.h>

struct stack {
    const char *name;   /* "RDMA (libibverbs and librdmacm)": for people */
    const char *prefix; /* of its endpoints: "rdma:" */
    const char *form;   /* of them, for messages: "rdma:HOST:PORT" */
    bool uses_names;    /* they name hosts and interfaces (see endpoint_is_interface()) */

    /*
     * To run beside one of the kernel's (transport_mixed). NULL: this build is without it; the
     * kernel's own, of which there are two to choose from.
     */
    const struct transport_ops *ops;

    /* Bytes of a receive buffer that suit it, and of a large one; 0: it has no use for these. */
    size_t buffer_bytes;
    size_t large_bytes;

    /* endpoint_parse() and endpoint_resolve(), for what follows the prefix. */
    bool (*parse)(const char *text, struct endpoint *endpoint, char *why, size_t why_bytes);
    unsigned (*resolve)(const struct endpoint *endpoint, bool listening,
                        struct transport_address *addresses, unsigned most, char *why,
                        size_t why_bytes);

    /*
     * What an endpoint lacks, or has too much, to listen on it or to connect to it: "expected ..."
     * without that word. NULL: nothing, or, as a member, there is nothing to be asked.
     */
    const char *(*expects)(const struct endpoint *endpoint, bool listening);

    /* Can what this endpoint of the kernel's names be listened on by this stack, too? NULL: never.
     */
    bool (*offered_by)(const struct endpoint *endpoint);

    /* Prints its devices, a line each, as --listen takes them. NULL: none, or not in this build. */
    void (*list_devices)(FILE *out);
};

#define STACK_DECLARED(name, symbol) extern const struct stack symbol;
TRANSPORT_STACKS(STACK_DECLARED)
#undef STACK_DECLARED

const struct stack *stack_of(enum transport_via via);

/* What the endpoint's stack expects of it: see struct stack. NULL: nothing else. */
const char *stack_expects(const struct endpoint *endpoint, bool listening);

/* The stack whose prefix the endpoint begins with; the kernel's when it has none. */
const struct stack *stack_of_text(const char *text, enum transport_via *via);

/* How many bytes of the endpoint are this stack's prefix. */
size_t stack_prefix_bytes(const struct stack *stack, const char *text);

/* list_devices() of all stacks. False: this build has none that lists any. */
bool stack_list_devices(FILE *out);

#endif
