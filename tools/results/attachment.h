/* Files that packets carry. */
#ifndef TOOLS_RESULTS_ATTACHMENT_H
#define TOOLS_RESULTS_ATTACHMENT_H

#include "mux/packet/packet.h"

/* Is a packet's file text, which people can read as it is? */
bool attachment_is_text(const struct mux_packet *packet);

#endif
