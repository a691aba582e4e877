/*
 * One node: the mux tied to a transport, as a client of a loop. The daemon and the simulator both
 * run this code: it reads no clock, opens nothing and writes nothing itself. Time and connections
 * come from the loop, everything else through the callbacks below.
 *
 * One thread. Nothing here blocks.
 */
#ifndef TOOLS_NODE_NODE_H
#define TOOLS_NODE_NODE_H

#include "mux/node/mux.h"
#include "tools/base/loop.h"
#include "tools/node/node_counters.h"

struct node;
struct node_link;

struct node_config {
    struct loop *loop;
    struct mux_config mux; /* the node fills in user, log and what the transport's caps say */
    uint64_t drain_timeout_ns;
    uint64_t exit_after_links; /* 0: for ever */
    bool exit_when_idle;       /* when the links that were adopted have ended: "--listen -" alone */
    bool upstream_retry;       /* reconnect; else a loss ends the node (stdout) */
    bool upstream_waits;       /* for node_begin_upstream() */
    uint64_t seed;             /* of the back-off's jitter */
    /*
     * NULL, or what is to be added to the loop's clock to get the time of day, nanoseconds since
     * 1970: see mux_set_wall(). Never blocks. `user` is the node's.
     */
    int64_t (*wall_ahead_ns)(void *user);
    const char *upstream_text; /* for log lines */
    void *user;

    /* One line for the log. */
    void (*log)(void *user, const char *line);

    /*
     * The upstream is a place: its addresses, at most DIALER_ADDRESSES_MAX. 0, and one sentence in
     * `why`: they are not known (yet). Never blocks.
     */
    unsigned (*upstream_addresses)(void *user, struct transport_address *addresses, char *why,
                                   size_t why_bytes);
    /* Begins to connect to one of them: transport_ops.connect. */
    struct transport_conn *(*connect)(void *user, const struct transport_address *address,
                                      void *conn_user, struct transport_failure *failure);

    /*
     * The upstream is no place (upstream_addresses NULL) but a file or a pipe: opens it. NULL, and
     * one sentence in `why`, when that fails.
     */
    struct transport_conn *(*open_upstream)(void *user, struct loop_handler *handler, char *why,
                                            size_t why_bytes);
    /*
     * Of an end of bundles that keeps a journal, else NULL; false after one sentence in `why`: the
     * upstream is closed and opened again. `record`: keeps the record of the batch that is to be
     * sent. `sent`: it was written; false ends the node. `rest`: while mux_upstream_holds() all
     * was sent.
     */
    bool (*record)(void *user, char *why, size_t why_bytes);
    bool (*sent)(void *user, char *why, size_t why_bytes);
    bool (*rest)(void *user, char *why, size_t why_bytes);
    /*
     * NULL, or hears that nothing more comes down by that file or pipe: whoever wrote there has
     * gone. What comes from below still goes up. Must not call the node.
     */
    void (*down_ended)(void *user);

    /*
     * When not NULL there is no upstream: packets go here. `segment` is the link's and is not in
     * the packet's route; "": the route is whole, of a message of this node's own, or of what came
     * in a bundle. See mux_config.sink.
     */
    bool (*sink)(void *user, const char *segment, const struct mux_packet *packet);
    /*
     * With mux.spool: begins an operation on a file, whose outcome it tells by node_spool_done() in
     * a later step. The operation and what it refers to stay until then.
     */
    void (*spool)(void *user, const struct mux_spool_op *op);
    /* NULL, or is shown what comes down for nodes: see mux_config.take. */
    enum mux_taking (*take)(void *user, const struct mux_packet *packet);
    /* With a sink: a worker came or left. A node that sends bundles comes only: see `gone`. */
    void (*show_link)(void *user, const char *segment, const char *peer, bool came);

    /* NULL, or hears what node_show_gone() tells, from the start. */
    void (*gone)(void *user, const char *segment, struct mux_span route);
    /* NULL, or hears where nodes are that send bundles: see mux_config.came. */
    void (*came)(void *user, struct mux_span route);

    /*
     * NULL, or the node takes no more connections: the owner closes its listeners. Perhaps
     * repeatedly.
     */
    void (*stop_listening)(void *user);

    /* May this peer connect? */
    bool (*allowed)(void *user, const struct transport_peer *peer);
};

/* It joins the loop. NULL: out of memory or too little of it configured. */
struct node *node_create(const struct node_config *config);

/* Once it has ended. The loop and its transport stay their owner's. */
void node_destroy(struct node *node);

/* Of one that waits with its upstream: from now on it is opened. */
void node_begin_upstream(struct node *node);

/* The handler of its listeners: each connection that they accept becomes a link. */
struct loop_handler *node_listening(struct node *node);

/*
 * A connection that is there already becomes a link: stdin, or what a process writes.
 */
struct node_adoption {
    struct transport_conn *conn; /* loop_attach() made it without a handler */
    bool way_down;
    /* Carries the way down: a process's stdin. When it is lost only that is over. NULL: conn does.
     */
    struct transport_conn *down_conn;
    enum mux_link_kind kind;
    bool is_bare, is_raw; /* see mux_link_config, as for the next one */
    const char *segment;

    /*
     * NULL: the link ends with its connection. Else its owner ends it, by node_end_adopted(), when
     * it knows why; until then its tests wait.
     */
    const struct node_owner *owner;
    void *user;
};

struct node_owner {
    /* Nothing more comes by this connection: it ended, or it was lost. Called once. */
    void (*ended)(void *user);
    /* All that came is on its way up, and the connection is closed: the link is no more. */
    void (*gone)(void *user);
};

/* NULL: no room; the connection is closed then. */
struct node_link *node_adopt(struct node *node, const struct node_adoption *adoption);

/*
 * Of an adopted link with an owner, once: reads no more of it. Its tests in progress are reported
 * failed with `reason`, a clause for people: "killed by SIGSEGV".
 */
void node_end_adopted(struct node_link *link, const char *reason);

/* What this link is doing. */
void node_link_stats(const struct node_link *link, struct mux_link_stats *stats);

/* Has more come by an adopted link than was read? */
bool node_link_unread(const struct node_link *link);

/* See mux_add_up(). `link` NULL: as this node's own. False: not now; again in a later step. */
bool node_add_up(struct node *node, struct node_link *link, const struct mux_packet *packet);

/* See mux_add_news(). */
bool node_add_news(struct node *node, const struct mux_packet *packet);

/* What found no room is tried again after this time; the second while there is no upstream. */
#define NODE_RETRY_NS UINT64_C(10000000)
#define NODE_RETRY_AWAY_NS UINT64_C(500000000)

/* One line to config.log, of this node and of what stands on it. */
__attribute__((format(printf, 2, 3))) void node_log(struct node *node, const char *format, ...);

/* Is there an upstream, and does it take packets? */
bool node_reaches_upstream(const struct node *node);

/*
 * From now on all output on its way up is shown to `output`, see mux_show_output(): `segment` is
 * the link's and not in the packet's route; "": a message of this node's own, or of a bare link.
 * NULL: no more. It must not call the node.
 */
typedef void node_output(void *user, const char *segment, const struct mux_packet *packet);
void node_show_output(struct node *node, node_output *output, void *user);

/*
 * From now on `gone` hears of each node further down that is no longer there, see mux_config.gone.
 * NULL: no more. It must not call the node.
 */
typedef void node_gone(void *user, const char *segment, struct mux_span route);
void node_show_gone(struct node *node, node_gone *gone, void *user);

/*
 * An order with an id goes down by this route. If that is a link of this node, one answer to it may
 * come by that link, although a worker is there: a mux exec that is connected without "mux:".
 */
void node_await_answer(struct node *node, struct mux_span route);

/* See mux_sink_safe(). */
void node_sink_safe(struct node *node);

/* See mux_add_down() and mux_down_obstacle(). False: not now; again in a later step. */
bool node_add_down(struct node *node, const struct mux_packet *packet);
const char *node_down_obstacle(const struct node *node, struct mux_span route);

/* Is the link of its first segment one that has said no hello? What is a node's does not go there.
 */
bool node_leads_to_worker(const struct node *node, struct mux_span route);

/*
 * Closes the connection of the link that has this segment: what was received goes up, its tests
 * fail or, if it is a node, wait for its return. NULL: it is done; else why not, a clause.
 */
const char *node_kick(struct node *node, struct mux_span segment);

/*
 * Sends a packet down to each connected node below that was not told this number before; 0: to all.
 * Its route is set here. Returns how many got it; *behind: how many have no room now.
 */
unsigned node_tell_nodes(struct node *node, struct mux_packet *packet, unsigned number,
                         unsigned *behind);

/* Before the first step: a file that an earlier life has left, see mux_spool_found(). */
bool node_spool_found(struct node *node, const struct mux_spool_head *head, uint64_t len_bytes);

/* What came of the operation that is underway: see mux_spool_done(). */
void node_spool_done(struct node *node, size_t bytes, const char *why);

/* Behind it: begins the next one now, so that the disk does not wait until links had their turns.
 */
void node_spool_next(struct node *node);

/*
 * Nothing more comes of it: what it had to send is out or given up, each of its connections is
 * closed. It has left the loop.
 */
bool node_has_ended(const struct node *node);

/*
 * TERM: takes what is there right now, forwards it and ends, within the drain timeout.
 * A second call, or `at_once`: ends now.
 */
void node_terminate(struct node *node, bool at_once);

/*
 * Closes an upstream that is a file, between two packets, and opens it again at once: it was
 * renamed, and the old file is to be left alone. Nothing is lost by it.
 */
void node_reopen_upstream(struct node *node);

/* Did all that was received go out, or is it in the spool? Meaningful when it has ended. */
bool node_all_sent(const struct node *node);

/* May a lost upstream not have read some of what was sent? */
bool node_in_doubt(const struct node *node);

/* How the upstream's clock stands to this node's: see mux_upstream_clock(). */
void node_upstream_clock(const struct node *node, struct mux_clock_stats *clock);

/* The core, for those who keep the journal of an end: see mux.h. */
struct mux *node_core(struct node *node);

/* The core's counters, and those that the node keeps of its connections. */
struct mux_counters *node_core_counters(struct node *node);
const struct node_counters *node_own_counters(const struct node *node);

#endif
