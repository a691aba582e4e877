/* A leaf by hand, at the end of bundles that the rig is: what it says, and what it is answered. */
#ifndef TESTS_CORE_LEAF_H
#define TESTS_CORE_LEAF_H

#include "tests/core/rig.h"

#include "mux/node/message.h"

struct leaf {
    uint8_t id;
    const char *path; /* below the relay; NULL: it is the relay's own stream */
    uint32_t epoch;
    uint64_t offset;
    uint32_t crc;
};
extern struct leaf leaf;
extern struct mux_link *leaf_relay; /* the link that it comes by */

/* What its next bundle will have. */
extern uint8_t leaf_content[1 << 20];
extern size_t leaf_content_bytes;

/* The rig opens as an end; the relay has said hello, and the leaf is there. */
int leaf_open_end(void **state);

/* `final_bytes`: nothing comes behind them; 0: something may. */
void leaf_where(const struct leaf *from, uint64_t final_bytes);
void leaf_lost(const char *path);

/* It says where it is, and is answered. */
void leaf_open_stream(void);

/* More for the next bundle. `route` NULL: none. */
void leaf_add(size_t file_bytes, const char *route, unsigned number, enum mux_status status);

/* As a leaf sends it; `goes_on`: the next one follows it. */
void leaf_bundle(struct leaf *from, bool goes_on);

/* What goes down to the relay next, of which nothing else may come. */
struct mux_packet leaf_read_down(enum mux_message_kind kind);
struct mux_ack leaf_read_ack(void);

/* A second, in steps. */
void leaf_wait(void);

#endif
