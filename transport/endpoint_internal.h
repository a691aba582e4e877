/* What a stack's own endpoint grammar uses of the common one. */
#ifndef TRANSPORT_ENDPOINT_INTERNAL_H
#define TRANSPORT_ENDPOINT_INTERNAL_H

#include "transport/endpoint.h"

/* Digits only, 0 to 65535. */
bool endpoint_parse_port(const char *text, uint16_t *port);

/* An interface, HOST, HOST:PORT, [v6]:PORT: transport/stack.h, `parse` of stacks that use names. */
bool endpoint_parse_place(const char *text, struct endpoint *endpoint, char *why, size_t why_bytes);

/* The same, `resolve`. */
unsigned endpoint_resolve_place(const struct endpoint *endpoint, bool listening,
                                struct transport_address *addresses, unsigned most, char *why,
                                size_t why_bytes);

#endif
