/*
 * A farm in the simulator: a tree of nodes (tools/node/node.c, as in the daemon), workers below it,
 * and a sink above it that reads the stream and sends packets down. A seed decides the farm's
 * shape, what the workers do, and the faults of the network. After a while the faults end, every
 * queue must drain, and check.h compares every node's output with its input.
 */
#ifndef TESTS_SIM_FARM_H
#define TESTS_SIM_FARM_H

#include "mux/list.h"
#include "mux/packet/packet.h"
#include "tests/core/scripted_end.h"
#include "tests/sim/disk.h"
#include "tools/muxd/journal.h"
#include "tools/node/node.h"
#include "transport/sim/sim.h"

#define FARM_NODES_MAX 24
#define FARM_UPLINKS_MAX 2048 /* of a node to its upstream, one after the other */
#define FARM_DEATHS_MAX 32    /* of nodes at one place */
#define FARM_SEGMENTS_MAX 4096
#define FARM_PORTS 65536

#define NS_PER_MS UINT64_C(1000000)

struct farm;

/* Bytes that grow. */
struct bytes {
    uint8_t *data;
    size_t len, room;
};
uint8_t *bytes_grow(struct bytes *bytes, size_t more); /* room for `more` after bytes->len */

/*
 * A packet of a worker that sends little: where it ends in its stream, and how many bytes its node
 * had sent up when it was written.
 */
struct mark {
    uint64_t to;
    uint64_t sent_up;
};

/* A part of a stream. */
struct range {
    uint64_t from, to;
};

/* Of scenes.c. */
enum scene {
    SCENE_NONE,
    SCENE_TWINS,
    SCENE_BIRTH,
    SCENE_FULL,
    SCENE_LATE,
    SCENE_QUEUE,
    SCENE_TERM,
    SCENE_REPLAY,
    SCENE_SPLIT,
    SCENE_SEGMENT,
    SCENES
};

/* A farm's shape and behaviour, all from the seed. */
struct plan {
    unsigned levels;
    unsigned nodes;
    unsigned workers;
    unsigned packets_most; /* of a worker */
    size_t content_most;   /* of a packet; rare */
    unsigned chatter;      /* millionths of a worker's writes, as all below */
    unsigned large;
    unsigned fitting; /* content about as large as a receive buffer */
    unsigned rest;    /* pauses for some milliseconds */
    unsigned stall;   /* pauses for some seconds */
    unsigned hang;    /* pauses until the faults end */
    unsigned abandon; /* stops in the middle of a packet and begins another */
    unsigned die;     /* ends in the middle */
    unsigned deaf;    /* never reads */
    unsigned down;    /* the sink sends packets at a tick */
    size_t down_most; /* content of such a packet */
    unsigned lazy;    /* the sink does not read until the next tick */
    unsigned leave;   /* the sink closes its connection at a tick */
    bool node_links;  /* nodes say hello to each other */
    uint64_t node_grace_ns;
    bool nobody_is_given_up;
    bool flood;          /* no faults: worker 0 sends more than can go up, the others send little */
    bool mortal;         /* nodes are killed, ended, stopped and started again; few other faults */
    bool bundles;        /* a mortal farm whose nodes take bundles; leaves live: see bundles.c */
    size_t window_bytes; /* of such a node */
    bool trees;          /* a farm with bundles whose root is an end with a journal: see trees.c */
    unsigned full;       /* of its disks, at each write to a spool */
    unsigned rot;        /* of a spool: see strikes.c */
    size_t node_buffer_bytes, output_buffer_bytes; /* of kernels; 0: the simulator's */
    enum scene scene;
    bool loses; /* of such a farm: connections between nodes break and lose bytes in flight */
    unsigned faults_most;    /* of each of them */
    uint64_t fault_every_ns; /* in addition to the peace between faults */
    uint64_t stop_most_ns;   /* of nodes that may be stopped for long: see mortal.c */
    uint64_t active_ns;
    struct sim_faults worker_faults, node_faults;
};

/* A node has ended, or was killed, and another one was started in its place. */
struct death {
    uint64_t from_ns, until_ns; /* from TERM to its end; killed: the same */
    uint64_t told_ns;           /* when the last stopped node below it ran again, and noticed */
};

/* A node and what it needs. */
struct place {
    struct farm *farm;
    unsigned index;
    struct place *parent; /* NULL: its upstream is the sink */
    struct place *other;  /* NULL, or where it goes when its parent is not there */
    struct place *above;  /* where it has tried to go last */
    struct transport *transport;
    struct loop loop;
    struct transport_listener *listener; /* NULL: closed */
    struct node *node;
    unsigned depth;
    bool terminated;
    bool ended;
    struct transport_address address;
    uint8_t *memory;
    size_t buffer_bytes, large_bytes;
    unsigned large_buffers;
    unsigned buffers;
    struct death deaths[FARM_DEATHS_MAX];
    unsigned death_count;
    unsigned faults_left;
    uint64_t next_fault_ns;
    uint64_t spool_bytes;    /* 0: it has none */
    bool rots, is_rotten;    /* killed when much is in its spool, which then goes bad */
    unsigned rotten_packets; /* of workers, that were in its spool, and went bad there */
    const struct mux_spool_op *spool_op; /* NULL: none is underway */
    struct timer spool_timer;
    uint64_t apart_ns;      /* when it last was ended, had its upstream, or nobody below */
    uint64_t asleep_ns;     /* since then it has waited at one that is stopped; 0: it does not */
    uint64_t runs_again_ns; /* when a stopped or a new node runs here; 0: one is running */
    unsigned uplinks[FARM_UPLINKS_MAX]; /* ids of connections */
    unsigned uplink_count;
    unsigned segments[FARM_SEGMENTS_MAX]; /* ids of the links' connections */
    unsigned segment_count;
};

/* A worker's test and its outcome. Offsets are the ends of its packets in the worker's stream. */
struct test {
    uint64_t begin_to, end_to; /* 0: it was not written */
    uint64_t ended_ns;         /* when the worker's kernel had taken its end */

    /* at the sink */
    uint64_t begun_ns;  /* the last time; 0: never */
    struct bytes route; /* as it began then */
    unsigned ended;     /* packets that end it */
    bool is_judged;     /* a node reported it as failed: its worker is dead */
    uint64_t judged_ns;
};

/* A worker: connects to a node, sends and ends; one connection. */
struct worker {
    struct farm *farm;
    struct mux_list runnable; /* in farm->runnable */
    unsigned index;
    struct place *place;
    uint64_t start_ns;
    uint64_t begun_ns, left_ns;
    uint64_t stall_until_ns;
    struct sim_end *end; /* NULL: not begun, or ended */
    unsigned id;         /* of its connection, once it has begun */
    bool begun, deaf, floods, lingers, finished, done;

    /* of trees */
    unsigned life;                     /* how many nodes had died at its place when it came */
    bool is_orphan, is_newly_orphaned; /* its node has ended */
    bool outlasts;                     /* it waits for something to come down after the faults */
    uint64_t read_before_healing;
    size_t must;          /* of `out`, is in its node's spool */
    bool may_miss;        /* the spool has gone bad */
    struct bytes seen_at; /* its route at the end */

    unsigned packets_left;
    unsigned nest_left; /* unfinished packets inside each other: see worker.c */
    unsigned tests_begun, tests_done;
    struct bytes route; /* at the end; of farms with bundles, as `came` */
    size_t came;        /* of `out`, at the end */
    size_t part;        /* of the next packet's content, which came in two packets */
    struct test *tests; /* tests_begun */
    unsigned ends_written;
    struct bytes out; /* everything that it has made to send */
    size_t written;
    struct range *chatter; /* ranges that are not subunit; neighbours are joined */
    unsigned chatter_count;
    uint64_t *abandoned; /* offsets of packets that stop in the middle */
    unsigned abandoned_count;
    struct mark *marks; /* of its packets, in a flood */
    unsigned mark_count, marks_set;
};

/* The root's upstream: accepts its connection. */
struct sink {
    struct sim_listener *listener;
    struct transport_address address;
    struct sim_end *end;
    struct bytes up;   /* of this connection, bytes that are not yet a whole packet */
    struct bytes down; /* bytes to send on this connection */
    size_t down_sent;
    unsigned sent_packets;
    bool ready; /* bytes may have arrived */
    bool awake; /* until the next tick it reads at once */
};

/* The owners of connections, by id. */
enum owner_kind { OWNER_NONE, OWNER_WORKER, OWNER_PLACE };
struct owner {
    enum owner_kind kind;
    unsigned index;
};

/* Of farms with bundles: the sink is an end. */
struct bundles {
    struct scripted_end end;
    uint64_t beat_at_ns;
};

/*
 * Faults that belong together: what a relay sends up stands still; a node below it comes anew, and
 * says so; then the relay dies, or the node and the relay's connection.
 */
enum gang_stage { GANG_NONE, GANG_CLOGGED, GANG_ANEW, GANG_CUT };
struct gang {
    enum gang_stage stage;
    struct place *relay, *below;
    bool kills_below;
    uint64_t next_ns;
};

struct scene_state {
    unsigned stage;
    uint64_t next_ns;
    uint64_t written, quiet_ns;   /* by its workers; since when nothing */
    uint64_t live_at, earlier_at; /* where its streams were when the live one last moved */
};

/* Of trees: the end's output. */
struct tree {
    struct journal journal;
    struct disk_file *output;
    int output_fd;
    struct sim_end *reader; /* of the pipe that stands for it; NULL: it is not open */
    unsigned output_id;
    uint64_t output_taken; /* bytes of the pipe that are in the file */
    bool is_ready, is_awake;
    uint64_t slow_until_ns;
    bool is_doomed;     /* it dies while it is slow, */
    uint64_t doomed_ns; /* and then, when it has taken something; 0: it has nothing yet */
    struct gang gang;
    struct scene_state scene;
    bool is_still;   /* nothing is sent down */
    bool has_rotten; /* a spool has gone bad */
    unsigned rotations;
    size_t looked;    /* bytes of the output in which workers were looked for */
    bool has_unnamed; /* tests have failed whose names were not known */
};

struct farm {
    uint64_t seed;
    struct sim *sim;
    struct plan plan;
    struct place places[FARM_NODES_MAX]; /* [0] is the root; parents come before children */
    struct worker *workers;
    struct mux_list runnable;
    struct sink sink;
    struct bundles bundles;
    struct tree tree;
    struct owner *owners;
    unsigned owner_count;
    unsigned id_by_port[FARM_PORTS];
    uint64_t tick_ns;      /* the next one */
    uint64_t tick_step_ns; /* grows while nothing happens */
    bool healed;
    bool is_over;                /* with bundles: all has come, and nodes end in order */
    uint64_t judged_ns;          /* when no lost node is waited for any more */
    struct mux_counters *totals; /* of all nodes of all farms */
};

/*
 * farm.c: runs one seed; on failure the process prints how to run it again, and ends. Adds up the
 * nodes' counters. Returns the digest of all bytes on the network: the same in every run.
 */
struct farm_options {
    bool verbose;
    bool mortal;  /* only such farms */
    bool bundles; /* only such farms */
    bool trees;   /* only such farms */
    bool scenes;  /* only such trees: see scenes.c */
    bool shrinks; /* of a seed that fails, its faults */
};
uint64_t farm_run(uint64_t seed, const struct farm_options *options, struct mux_counters *totals);
void farm_plan(struct farm *farm, const struct farm_options *options); /* plan.c */
void farm_start_place(struct place *place);
void farm_destroy_place(struct place *place);
bool farm_step_place(struct place *place); /* false: its node has ended */
void farm_owns(struct farm *farm, struct sim_end *end, enum owner_kind kind, unsigned index);
bool farm_likely(struct farm *farm, unsigned millionths);
void farm_say(const struct place *place, const char *line); /* with -v */
__attribute__((format(printf, 2, 3), noreturn)) void farm_fail(const struct farm *farm,
                                                               const char *format, ...);

/* worker.c */
void worker_init(struct worker *worker, struct farm *farm, unsigned index);
void worker_act(struct worker *worker);
void worker_tick(struct worker *worker);
void worker_fini(struct worker *worker);

/* sink.c */
void sink_init(struct farm *farm);
bool sink_act(struct farm *farm); /* false: it had nothing to do */
void sink_tick(struct farm *farm);
void sink_fini(struct farm *farm);

/* mortal.c: faults of whole nodes, at each tick, and when all faults end. */
void mortal_init(struct place *place);
void mortal_tick(struct place *place);
void mortal_heal(struct place *place);
/* The node has ended after TERM. */
void mortal_ended(struct place *place);
void mortal_kill(struct place *place);
void mortal_term(struct place *place);

/* check_verdicts.c: for packets that reach the sink; and at the end, for every test's outcome. */
void verdicts_see(struct farm *farm);
void verdicts_check(const struct farm *farm);

/* bundles.c: at the start, for bytes that reach the sink, at each tick, at the end. */
void bundles_init(struct farm *farm);
bool bundles_see(struct farm *farm); /* false: the connection is to be ended */
void bundles_tick(struct farm *farm);
void bundles_check(const struct farm *farm);
void bundles_fini(struct farm *farm);
bool bundles_is_leaf(const struct place *place);
struct worker *bundles_worker_of(struct farm *farm, const struct mux_packet *packet);
bool bundles_is_same(const struct mux_packet *a,
                     const struct mux_packet *b); /* but for the route */
/* The next packet of this worker has reached the end. */
void bundles_take(struct farm *farm, struct worker *worker, const struct mux_packet *packet);
void bundles_miss(struct worker *worker);
/* No other worker has its route. */
void bundles_check_route(const struct farm *farm, const struct worker *worker);

/*
 * trees.c: the end's output; a node begins its life, loses its workers, dies, is no more; at each
 * step and tick; when all is quiet; at the end.
 */
#define TREES_OUTPUT "0/out"
void trees_sync_output(struct farm *farm); /* what the end's kernel has taken is in the file */
bool trees_is_well(const struct place *place);
bool trees_is_end(const struct place *place);
struct transport_conn *trees_open_output(void *user, struct loop_handler *handler, char *why,
                                         size_t why_bytes);
bool trees_record(void *user, char *why, size_t why_bytes);
bool trees_rest(void *user, char *why, size_t why_bytes);
void trees_begin(struct place *place);
void trees_orphan(struct place *place);
void trees_die(struct place *place);
void trees_bury(struct place *place);
bool trees_act(struct farm *farm); /* false: it had nothing to do */
void trees_tick(struct farm *farm);
void trees_heal(struct farm *farm);
void trees_probe(struct farm *farm, const struct worker *worker, size_t len);
void trees_answer(struct farm *farm);
uint64_t trees_answers(const struct farm *farm);
bool trees_is_reached(const struct worker *worker);
bool trees_may_sleep(const struct place *place); /* for longer than the grace */
bool trees_is_quiet(const struct place *place);
void trees_check(struct farm *farm);

/*
 * strikes.c: a fault of the end (false: it is to be killed); and at each tick, those that take
 * their time, or belong together.
 */
bool trees_strike_end(struct place *place);
void trees_strike(struct farm *farm);
void trees_doom(struct farm *farm); /* the end: it dies when it has something that is not safe */

/*
 * scenes.c: a farm's plan; a place's and a worker's part in it; whose identity a place has; when
 * all is there; at each tick.
 */
void scenes_plan(struct farm *farm);
void scenes_place(struct place *place);
void scenes_worker(struct worker *worker);
unsigned scenes_identity(const struct place *place);
unsigned scenes_split_at(const struct worker *worker); /* its packet, by how many are left */
void scenes_begin(struct farm *farm);
void scenes_tick(struct farm *farm);

/* spools.c: an operation is asked for; the node dies in it; a new one finds the files; what is in
 * them must come; a byte in them goes bad. */
void spools_do(void *user, const struct mux_spool_op *op);
void spools_tear(struct place *place);
void spools_find(struct place *place);
void spools_note(struct place *place);
void spools_note_read(struct place *place); /* it has ended in order */
void spools_rot(struct place *place);

/* check.h: every node's output against its input. */
void check_farm(struct farm *farm);

#endif
