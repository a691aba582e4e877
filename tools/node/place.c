#include "tools/node/place.h"
#include "transport/mistake.h"
#include "transport/stack.h"

#include <stdio.h>
#include <string.h>

static bool expected(char *why, size_t why_bytes, const char *what) {
    snprintf(why, why_bytes, "expected %s", what);
    return false;
}

static bool has_no_port(const struct endpoint *endpoint) {
    return endpoint_is_address(endpoint) && endpoint->kind != ENDPOINT_UNIX && endpoint->port == 0;
}

bool place_parse(const char *text, struct place *place, char *why, size_t why_bytes) {
    const size_t prefix = strlen(PLACE_NODE_PREFIX);
    place->is_node = strncmp(text, PLACE_NODE_PREFIX, prefix) == 0;
    const char *rest = place->is_node ? text + prefix : text;
    if (place->is_node && !*rest)
        return expected(why, why_bytes, "mux:HOST:PORT or mux:unix:PATH");
    if (!endpoint_parse(rest, &place->endpoint, why, why_bytes))
        return false;
    if (place->is_node && !endpoint_is_address(&place->endpoint))
        return expected(why, why_bytes, "mux:HOST:PORT or mux:unix:PATH");
    if (has_no_port(&place->endpoint))
        return expected(why, why_bytes, "a port to connect to, not 0");
    const char *lacks = stack_expects(&place->endpoint, false);
    if (lacks)
        return expected(why, why_bytes, lacks);
    return place->is_node || mistake_check_file(&place->endpoint, why, why_bytes);
}
