/*
 * A farm in the simulator: a tree of nodes (tools/node/node.c, as in the daemon), workers below it,
 * a sink above it that takes what comes up and sends down. A seed decides its shape, what the
 * workers do and what the network does to them. After a while the faults end, every queue must
 * drain, and check.c holds every node's output against its input.
 */
#ifndef TESTS_SIM_FARM_H
#define TESTS_SIM_FARM_H

#include "mux/list.h"
#include "mux/packet/packet.h"
#include "tools/node/node.h"
#include "transport/sim/sim.h"

#define FARM_NODES_MAX 24
#define FARM_UPLINKS_MAX 2048 /* connections that a node has ever had to its upstream */
#define FARM_DEATHS_MAX 32    /* of the nodes at one place */
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
    unsigned fitting; /* content about as large as a receive buffer */
    unsigned rest;    /* goes on after some milliseconds */
    unsigned stall;   /* goes on after some seconds */
    unsigned hang;    /* goes on when the faults end */
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
    bool flood;  /* no faults: worker 0 has more than can go up, the others have little */
    bool mortal; /* nodes are killed, ended, stopped and started again; little else breaks */
    bool loses;  /* such a farm: connections between nodes break, too, with what is under way */
    unsigned faults_most;    /* of each of them */
    uint64_t fault_every_ns; /* beside the time that it is left in peace */
    uint64_t stop_most_ns;   /* of those that may be stopped for long: see mortal.c */
    uint64_t active_ns;
    struct sim_faults worker_faults, node_faults;
};

/* A node has ended, or was killed, and another one was started in its place. */
struct death {
    uint64_t from_ns, until_ns; /* from TERM to its end; killed: the same */
    uint64_t told_ns;           /* those below it were stopped until then and did not notice */
};

/* A node and what it needs. */
struct place {
    struct farm *farm;
    unsigned index;
    struct place *parent; /* NULL: its upstream is the sink */
    struct transport *transport;
    struct loop loop;
    struct transport_listener *listener; /* NULL: closed */
    struct node *node;
    unsigned depth;
    bool terminated;
    bool ended;
    struct transport_address address;
    uint8_t *memory;
    size_t buffer_bytes;
    unsigned buffers;
    struct death deaths[FARM_DEATHS_MAX];
    unsigned death_count;
    unsigned faults_left;
    uint64_t next_fault_ns;
    uint64_t runs_again_ns; /* a stopped one, or the next one in its place; 0: it runs */
    unsigned uplinks[FARM_UPLINKS_MAX]; /* ids of connections */
    unsigned uplink_count;
    unsigned segments[FARM_SEGMENTS_MAX]; /* ids of the links' connections */
    unsigned segment_count;
};

/* What became of a worker's test. Offsets are those of its packets' ends in the worker's stream. */
struct test {
    uint64_t begin_to, end_to; /* 0: it was not written */
    uint64_t ended_ns;         /* when the worker's kernel had that */

    /* at the sink */
    uint64_t begun_ns;  /* the last time; 0: never */
    struct bytes route; /* as it began then */
    unsigned ended;     /* packets */
    bool is_judged;     /* by a node: its worker is dead */
    uint64_t judged_ns;
};

/* Somebody who connects to a node, sends and goes: one connection. */
struct worker {
    struct farm *farm;
    struct mux_list runnable; /* in farm->runnable */
    unsigned index;
    struct place *place;
    uint64_t start_ns;
    uint64_t begun_ns, left_ns;
    uint64_t stall_until_ns;
    struct sim_end *end; /* NULL: before and after */
    unsigned id;         /* of its connection, once it has begun */
    bool begun, deaf, floods, lingers, finished, done;
    unsigned packets_left;
    unsigned nest_left; /* packets that die inside each other: see worker.c */
    unsigned tests_begun, tests_done;
    struct test *tests; /* tests_begun */
    unsigned ends_written;
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
    struct bytes up;   /* of this connection, what is not yet a whole packet */
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
    struct mux_list runnable;
    struct sink sink;
    struct owner *owners;
    unsigned owner_count;
    unsigned id_by_port[FARM_PORTS];
    uint64_t tick_ns;      /* the next one */
    uint64_t tick_step_ns; /* grows while nothing happens */
    bool healed;
    uint64_t judged_ns;          /* no lost node is waited for any more */
    struct mux_counters *totals; /* of all nodes of all farms */
};

/*
 * farm.c: runs one seed; on failure the process ends with how to run it again. Adds up what the
 * nodes counted. Returns the digest of all that went through the network: the same every time.
 */
struct farm_options {
    bool verbose;
    bool mortal; /* only such farms */
};
uint64_t farm_run(uint64_t seed, const struct farm_options *options, struct mux_counters *totals);
void farm_plan(struct farm *farm, bool mortal); /* plan.c */
void farm_start_place(struct place *place);
void farm_bury_place(struct place *place);
bool farm_step_place(struct place *place); /* false: its node has ended */
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

/* mortal.c: faults of whole nodes. At a tick; and when all faults end. */
void mortal_init(struct place *place);
void mortal_tick(struct place *place);
void mortal_heal(struct place *place);
/* It has ended after TERM. */
void mortal_ended(struct place *place);

/* check_verdicts.c: packets reach the sink; and at the end, what became of every test. */
void verdicts_see(struct farm *farm);
void verdicts_check(const struct farm *farm);

/* check.h: what every node made of what it got. */
void check_farm(struct farm *farm);

#endif
