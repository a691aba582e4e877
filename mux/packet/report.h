/*
 * Packets of a node's own: chatter wrapped, damage reported, messages. Each function fills pieces
 * that point into its arguments. `route`: the route code of the report; {NULL, 0}: none.
 */
#ifndef MUX_REPORT_H
#define MUX_REPORT_H

#include "packet.h"

/* Longest route code of a report: with it chatter and messages always fit a packet. */
#define MUX_REPORT_ROUTE_MAX_BYTES 4096

/* Which stream of a process the text was written to. */
enum mux_report_stream { MUX_REPORT_STDOUT, MUX_REPORT_STDERR };

/*
 * Bytes that are not subunit: file "stdout" or "stderr", no test id (oracle rule 7). At most 1 MiB.
 */
#define MUX_REPORT_CHATTER_MAX_BYTES 1048576
void mux_report_chatter(enum mux_report_stream stream, struct mux_span bytes, struct mux_span route,
                        struct mux_pieces *pieces);

/*
 * The pair of "subunit.parser" events (oracle rule 6). The bytes become two packets when one cannot
 * hold them. Returns how many pieces were filled, 2 or 3. At most MUX_PACKET_MAX_BYTES of damage.
 */
#define MUX_REPORT_DAMAGE_PACKETS 3
#define MUX_REPORT_PARSER_ID "subunit.parser"
unsigned mux_report_damage(struct mux_span bytes, enum mux_error why, struct mux_span route,
                           struct mux_pieces pieces[MUX_REPORT_DAMAGE_PACKETS]);

/*
 * The same as fields, for a reader that takes no bytes: without a route, and damage always in two
 * packets.
 */
#define MUX_REPORT_DAMAGE_EVENTS 2
void mux_report_chatter_event(enum mux_report_stream stream, struct mux_span bytes,
                              struct mux_packet *packet);
void mux_report_damage_events(struct mux_span bytes, enum mux_error why,
                              struct mux_packet packets[MUX_REPORT_DAMAGE_EVENTS]);

/* The file of a node's messages. */
#define MUX_REPORT_MESSAGE_FILE "muxd"

/* Is it a name that only nodes give: "muxd", or one that begins with "muxd."? */
bool mux_report_is_own_file(struct mux_span name);

/* What messages about input begin with that a person waits for: mux attach understands them. */
#define MUX_REPORT_NO_LINK "no link has the segment "
#define MUX_REPORT_NO_WORKER "input was dropped: it has no route code"

/*
 * A message of this node: file "muxd", the reason as text/plain; status fail, or none where nothing
 * failed. With a test id: that test failed because its worker is gone; data == NULL: no test.
 * `reason` is UTF-8, at most 1 MiB.
 */
void mux_report_message(enum mux_status status, struct mux_span reason, struct mux_span test_id,
                        struct mux_span route, struct mux_pieces *pieces);
void mux_report_message_event(enum mux_status status, struct mux_span reason,
                              struct mux_span test_id, struct mux_span route,
                              struct mux_packet *packet);

#endif
