/*
 * Packets as JSON objects: test_id, test_status, test_tags (in the order of the wire), runnable,
 * file_name, file_b64, eof, mime_type, route_code, timestamp [seconds, nanoseconds]; null for what
 * is not there.
 */
#ifndef TOOLS_RESULTS_EVENT_H
#define TOOLS_RESULTS_EVENT_H

#include "mux/packet/packet.h"

#include <jansson.h>

/* The packet as an object; NULL: out of memory. */
json_t *event_to_json(const struct mux_packet *packet);

/*
 * An object as a packet, encoded to out[0..capacity). Keys that are missing are fields that are not
 * there. False: one sentence in `why`.
 */
bool event_encode(const json_t *event, uint8_t *out, size_t capacity, size_t *written, char *why,
                  size_t why_bytes);

#endif
