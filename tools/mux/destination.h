/* Where the packets of mux exec and mux agent go: --to, else the environment's MUX_ENDPOINT. */
#ifndef TOOLS_MUX_DESTINATION_H
#define TOOLS_MUX_DESTINATION_H

#include "tools/node/place.h"

enum destination_kind {
    DESTINATION_ADDRESS, /* a place to connect to */
    DESTINATION_ANY,     /* or "-", stdout */
};

/*
 * The place, or when that is known one more node that can stand in for it. False after a sentence
 * in `why` (PLACE_WHY_BYTES).
 */
bool destination_parse(const char *text, enum destination_kind kind, struct place *place,
                       char *why);

static inline bool destination_is_known(const struct place *place) {
    return place->endpoint.text[0] != '\0';
}

/* MUX_ENDPOINT, unless the place is known or there is none. False after a sentence on stderr. */
bool destination_complete(const char *program, enum destination_kind kind, struct place *place);

#endif
