#include "tools/mux/destination.h"

#include "tools/base/text.h"

#include <stdio.h>
#include <stdlib.h>

bool destination_parse(const char *text, enum destination_kind kind, struct place *place,
                       char *why) {
    if (!(destination_is_known(place) ? place_add_spare(place, text, why, PLACE_WHY_BYTES)
                                      : place_parse(text, place, why, PLACE_WHY_BYTES)))
        return false;
    if (endpoint_is_address(&place->endpoint) ||
        (kind == DESTINATION_ANY && place->endpoint.kind == ENDPOINT_STDIO))
        return true;
    snprintf(why, PLACE_WHY_BYTES, "expected a place to connect to%s",
             kind == DESTINATION_ANY ? ", or - for stdout and stdin" : "");
    return false;
}

bool destination_complete(const char *program, enum destination_kind kind, struct place *place) {
    const char *text = getenv("MUX_ENDPOINT");
    char why[PLACE_WHY_BYTES];
    if (destination_is_known(place) || !text || !*text || destination_parse(text, kind, place, why))
        return true;
    text_complain("%s: MUX_ENDPOINT=%s: %s", program, text, why);
    return false;
}
