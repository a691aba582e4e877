/* A mux with the least memory (one large slot, two middle slots), its links and buffers; no I/O. */
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
#define RIG_WINDOW_BYTES 65536
#define SECOND_NS ((uint64_t)1000000000)

/* One at a time; rig_open() and rig_close() are a cmocka test's setup and teardown. */
extern struct mux *mux;
extern uint64_t now_ns;
extern uint8_t packet_bytes[RIG_PACKET_BYTES]; /* made by rig_packet() */
extern char rig_log[4096];                     /* the last log line */

extern bool rig_unread; /* the kernel still has bytes of a link whose connection is superseded */

extern const struct mux_editor *rig_editor; /* of the next mux that is opened; NULL: none */

/* Hears of nodes that have gone, of the next mux that is opened; NULL: nobody does. */
extern void (*rig_gone)(void *user, struct mux_link *link, struct mux_span route);

/* Is shown what comes down for nodes, by the next mux that is opened; NULL: nobody is. */
extern enum mux_taking (*rig_take)(void *user, const struct mux_packet *packet);

/* Takes the packets of the next mux that is opened; NULL: they go up. */
extern bool (*rig_sink)(void *user, struct mux_link *link, const struct mux_packet *packet);

/* Of the next mux that is opened, with bundles; most_bytes 0: no spool. And its identity. */
extern struct mux_spool_limits rig_spool;
extern const char *rig_identity;

extern uint8_t *rig_up; /* everything that went up */
extern size_t rig_up_bytes;

int rig_open(void **state);
int rig_open_below_node(void **state);   /* its upstream is a node */
int rig_open_with_bundles(void **state); /* and it takes bundles */
int rig_open_as_end(void **state);       /* it takes bundles, and its upstream is no node */
/* Timestamps are corrected, or added; the second and third have an upstream that is a node. */
int rig_open_correcting(void **state);
int rig_open_correcting_below_node(void **state);
int rig_open_correcting_with_bundles(void **state);
int rig_open_stamping(void **state);
int rig_close(void **state);
#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_open, rig_close)

struct mux_link *rig_connect(void);

/* Makes a packet with `content_bytes` of content; returns its length. `route`: NULL for none. */
size_t rig_packet(size_t content_bytes, const char *route);

/* Corrects the CRC of the packet in packet_bytes after a change. */
void rig_seal(size_t len);

/* Sets the clock to then_ns, and runs the mux. */
void rig_run(uint64_t then_ns);

/* Bytes reach a link as a transport delivers them: in the room it offers, otherwise in a buffer. */
void rig_give(struct mux_link *link, const uint8_t *bytes, size_t len);

/* Bytes reach a link in a buffer although it does not want to receive: they were in flight. */
void rig_push(struct mux_link *link, const uint8_t *bytes, size_t len);

/* A packet reaches a link. */
void rig_give_packet(struct mux_link *link, const struct mux_packet *packet);

/* An event of a test reaches a link. `route`: NULL for none. */
void rig_give_status(struct mux_link *link, const char *id, const char *route,
                     enum mux_status status);

/*
 * The upstream comes and answers the hello as node `identity`, with these further lines in it. The
 * node's hello is what it has said, if not NULL.
 */
void rig_meet_upstream(const char *identity, const char *lines, struct mux_hello *hello);

/* A link says hello; returns what it is answered. */
struct mux_hello rig_say_hello(struct mux_link *link, const char *identity, bool takes_bundles);

/* A link's connection is lost, and its owner closes the link. */
void rig_lose(struct mux_link *link);

/* The packet in packet_bytes comes from the upstream. */
void rig_give_down(size_t len);

/* A link's connection takes everything queued for it; returns its length. rig_down: its start. */
extern uint8_t rig_down[RIG_DOWN_BYTES];
size_t rig_read_down(struct mux_link *link);

/* The transport has no buffer for this link, and the mux holds many: it may offer room. */
void rig_starve(struct mux_link *link);

/* Everything that is queued goes up. */
void rig_send_up(void);

/*
 * Reads and checks the packet at *at in rig_up, and moves *at past it. False: there is none. Its
 * spans are valid until more goes up.
 */
bool rig_next_up(size_t *at, struct mux_packet *packet);

uint64_t rig_counter(enum mux_counter id);

#endif
