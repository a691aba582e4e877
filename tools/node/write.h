/* What the writers of JSON messages share, as read.h for their readers. */
#ifndef TOOLS_NODE_WRITE_H
#define TOOLS_NODE_WRITE_H

#include "mux/packet/packet.h"
#include "tools/base/json.h"

/* Begins an object with the version. */
void write_begin(struct json *json, char *room, size_t room_bytes);

/* Ends it: there was room. The packet of this file has it as content, and no route. */
void write_end(struct json *json, const char *file, struct mux_packet *packet);

#endif
