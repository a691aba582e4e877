/*
 * Subunit version 1, a text, as .stestr and .testrepository keep their runs, told as packets of
 * version 2. No I/O. What python-subunit's reader would refuse by an exception is chatter here.
 */
#ifndef TOOLS_STORE_SUBUNIT1_H
#define TOOLS_STORE_SUBUNIT1_H

#include "mux/packet/packet.h"

/*
 * Reads all of it and gives packets: a test's begin, its files in pieces of 64 KiB at most, its
 * end; chatter as file "stdout" of no test. A tag worker-N is the route code N, too. Strings are
 * not checked: mux_packet_encode() refuses what version 2 cannot express. False: `packet` returned
 * false.
 */
bool subunit1_read(struct mux_span text,
                   bool (*packet)(void *user, const struct mux_packet *packet), void *user);

#endif
