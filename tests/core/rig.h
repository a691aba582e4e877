/* A mux with the least memory (one large slot, two middle ones), its links and buffers, no I/O. */
#ifndef TESTS_CORE_RIG_H
#define TESTS_CORE_RIG_H

#include "tests/unit/check.h"

#include "mux/node/mux.h"
#include "mux/packet/packet.h"

#define RIG_LINKS 16
#define RIG_INPUTS 64
#define RIG_INPUT_BYTES 65536
#define RIG_PACKET_BYTES 2000000
#define RIG_DOWN_BYTES 4096
#define SECOND_NS ((uint64_t)1000000000)

/* One at a time; rig_open() and rig_close() are a cmocka test's setup and teardown. */
extern struct mux *mux;
extern uint64_t now_ns;
extern uint8_t packet_bytes[RIG_PACKET_BYTES]; /* made by rig_packet() */
extern char rig_log[4096];                     /* the last log line */

extern bool rig_unread; /* our kernel has more of a link whose connection is superseded */

extern uint8_t *rig_up; /* what went up so far */
extern size_t rig_up_bytes;

int rig_open(void **state);
int rig_open_below_node(void **state); /* its upstream is one */
int rig_close(void **state);
#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_open, rig_close)

struct mux_link *rig_connect(void);

/* Makes a packet with so much content; returns its length. `route`: NULL for none. */
size_t rig_packet(size_t content_bytes, const char *route);

/* Makes the CRC of the packet just made right again. */
void rig_seal(size_t len);

/* Time goes on to then_ns, and the mux runs. */
void rig_run(uint64_t then_ns);

/* Bytes reach a link as a transport brings them: into the room it offers, else in a buffer. */
void rig_give(struct mux_link *link, const uint8_t *bytes, size_t len);

/* Bytes reach a link in a buffer, wanted or not: they were under way. */
void rig_push(struct mux_link *link, const uint8_t *bytes, size_t len);

/* This packet reaches a link. */
void rig_give_packet(struct mux_link *link, const struct mux_packet *packet);

/* An event of a test reaches a link. `route`: NULL for none. */
void rig_give_status(struct mux_link *link, const char *id, const char *route,
                     enum mux_status status);

/* A link's connection is lost, and its owner lets go of it. */
void rig_lose(struct mux_link *link);

/* The packet just made comes from the upstream. */
void rig_give_down(size_t len);

/* A link's connection takes all that waits for it; returns how many bytes. The first: rig_down. */
extern uint8_t rig_down[RIG_DOWN_BYTES];
size_t rig_read_down(struct mux_link *link);

/* All that is queued goes up. */
void rig_send_up(void);

/*
 * The packet at *at in what went up, checked; *at is then behind it. False: there is none. Its
 * spans are good until more goes up.
 */
bool rig_next_up(size_t *at, struct mux_packet *packet);

uint64_t rig_counter(enum mux_counter id);

#endif
