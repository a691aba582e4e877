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
    place->spare_count = 0;
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

bool place_add_spare(struct place *place, const char *text, char *why, size_t why_bytes) {
    struct place spare;
    if (place->spare_count == PLACE_SPARES_MAX) {
        snprintf(why, why_bytes, "expected at most %d", 1 + PLACE_SPARES_MAX);
        return false;
    }
    if (!place_parse(text, &spare, why, why_bytes))
        return false;
    if (!place->is_node || !spare.is_node)
        return expected(why, why_bytes,
                        "one, or several of mux:: only nodes can stand in for another");
    place->spares[place->spare_count++] = spare.endpoint;
    return true;
}

void place_text(const struct place *place, char text[PLACE_TEXT_BYTES]) {
    int len = snprintf(text, PLACE_TEXT_BYTES, "%s", place->endpoint.text);
    for (unsigned i = 0; i < place->spare_count && len < PLACE_TEXT_BYTES; i++)
        len +=
            snprintf(text + len, PLACE_TEXT_BYTES - (size_t)len, " or %s", place->spares[i].text);
}

bool place_is_private(const struct place *place) {
    bool is_private = place->endpoint.kind == ENDPOINT_UNIX;
    for (unsigned i = 0; i < place->spare_count; i++)
        is_private = is_private && place->spares[i].kind == ENDPOINT_UNIX;
    return is_private;
}
