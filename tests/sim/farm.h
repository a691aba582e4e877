/*
 * A farm in the simulator: a tree of nodes (tools/muxd/node.c, as in the daemon), workers below it,
 * a sink above it that takes what comes up and sends down. A seed decides its shape, what the
 * workers do and what the network does to them. After a while the faults end, every queue must
 * drain, and check.c holds every node's output against its input.
 */
#ifndef TESTS_SIM_FARM_H
#define TESTS_SIM_FARM_H

#include "mux/packet.h"
#include "tools/muxd/node.h"
#include "transport/queue.h"
#include "transport/sim/sim.h"

#define FARM_NODES_MAX 24
#define FARM_UPLINKS_MAX 64 /* connections that a node has ever had to its upstream */
#define FARM_SEGMENTS_MAX 4096
#define FARM_PORTS 65536

#define NS_PER_MS UINT64_C(1000000)

struct farm;

/* Bytes that grow. */
struct bytes {
    uint8_t *data;
    size_t len, room;
};
uint8_t *bytes_grow(struct bytes *bytes, size_t more); /* room for so many behind bytes->len */

/* A packet of a worker that sends little: where it ends in its stream, and how much its node had
 * sent up when it was written. */
struct mark {
    uint64_t to;
    uint64_t sent_up;
};

/* A part of a stream. */
struct range {
    uint64_t from, to;
};

/* What a farm is made of and what happens in it: all from the seed. */
struct plan {
    unsigned levels;
    unsigned nodes;
    unsigned workers;
    unsigned packets_most; /* of a worker */
    size_t content_most;   /* of a packet, now and then */
    unsigned chatter;      /* millionths of a worker's writes, as all below */
    unsigned large;
    unsigned rest;    /* goes on after some milliseconds */
    unsigned stall;   /* goes on after some seconds */
    unsigned abandon; /* a packet stops in the middle and another one follows */
    unsigned die;     /* ends in the middle */
    unsigned deaf;    /* never reads */
    unsigned down;    /* the sink sends packets at a tick */
    size_t down_most; /* content of such a one */
    unsigned lazy;    /* the sink does not read at a tick; else whenever there is something */
    unsigned leave;   /* the sink closes its connection at a tick */
    bool node_links;  /* nodes say hello to each other */
    uint64_t node_grace_ns;
    bool nobody_is_given_up;
    bool flood; /* no faults: worker 0 has more than can go up, the others have little */
    uint64_t active_ns;
    struct sim_faults worker_faults, node_faults;
};

/* A node and what it needs. */
struct place {
    struct farm *farm;
    unsigned index;
    struct place *parent; /* NULL: its upstream is the sink */
    struct transport *transport;
    struct node *node;
    bool terminated;
    bool ended;
    struct transport_address address;
    uint8_t *memory;
    unsigned uplinks[FARM_UPLINKS_MAX]; /* ids of connections */
    unsigned uplink_count;
    unsigned segments[FARM_SEGMENTS_MAX]; /* ids of the links' connections */
    unsigned segment_count;
};

/* Somebody who connects to a node, sends and goes: one connection. */
struct worker {
    struct farm *farm;
    struct queue_link runnable; /* in farm->runnable */
    unsigned index;
    struct place *place;
    uint64_t start_ns;
    uint64_t stall_until_ns;
    struct sim_end *end; /* NULL: before and after */
    unsigned id;         /* of its connection, once it has begun */
    bool begun, deaf, floods, lingers, finished, done;
    unsigned packets_left;
    unsigned tests_begun, tests_done;
    struct bytes out; /* all that it has to send so far */
    size_t written;
    struct range *chatter; /* what is not subunit; neighbours are one */
    unsigned chatter_count;
    uint64_t *abandoned; /* where packets begin that stop in the middle */
    unsigned abandoned_count;
    struct mark *marks; /* of its packets, in a flood */
    unsigned mark_count, marks_set;
};

/* The end of it all: accepts the root's connection. */
struct sink {
    struct sim_listener *listener;
    struct transport_address address;
    struct sim_end *end;
    struct bytes down; /* what is to be sent on this connection */
    size_t down_sent;
    unsigned sent_packets;
    bool ready; /* something may have come */
    bool awake; /* until the next tick it takes what comes, at once */
};

/* Who has which connection: by id. */
enum owner_kind { OWNER_NONE, OWNER_WORKER, OWNER_PLACE };
struct owner {
    enum owner_kind kind;
    unsigned index;
};

struct farm {
    uint64_t seed;
    struct sim *sim;
    struct plan plan;
    struct place places[FARM_NODES_MAX]; /* [0] is the root; parents come before children */
    struct worker *workers;
    struct queue runnable;
    struct sink sink;
    struct owner *owners;
    unsigned owner_count;
    unsigned id_by_port[FARM_PORTS];
    uint64_t tick_ns;      /* the next one */
    uint64_t tick_step_ns; /* grows while nothing happens */
    bool healed;
    struct mux_counters *totals; /* of all nodes of all farms */
};

/*
 * farm.c: runs one seed; on failure the process ends with how to run it again. Adds up what the
 * nodes counted. Returns the digest of all that went through the network: the same every time.
 */
uint64_t farm_run(uint64_t seed, bool verbose, struct mux_counters *totals);
void farm_plan(struct farm *farm); /* plan.c */
void farm_owns(struct farm *farm, struct sim_end *end, enum owner_kind kind, unsigned index);
bool farm_likely(struct farm *farm, unsigned millionths);
__attribute__((format(printf, 2, 3), noreturn)) void farm_fail(const struct farm *farm,
                                                               const char *format, ...);

/* worker.c */
void worker_init(struct worker *worker, struct farm *farm, unsigned index);
void worker_act(struct worker *worker);
void worker_tick(struct worker *worker);
void worker_fini(struct worker *worker);

/* sink.c */
void sink_init(struct farm *farm);
bool sink_act(struct farm *farm); /* false: there was nothing to do */
void sink_tick(struct farm *farm);
void sink_fini(struct farm *farm);

/* check.h: what every node made of what it got. */
void check_farm(struct farm *farm);

#endif
