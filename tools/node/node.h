/*
 * One node: the mux tied to its transport. The daemon and the simulator both run this code, so it
 * reads no clock, opens nothing and writes nothing itself: time and connections come from the
 * transport's table, the rest through the callbacks below.
 *
 * One thread. node_step() blocks only in the transport's poll().
 */
#ifndef TOOLS_NODE_NODE_H
#define TOOLS_NODE_NODE_H

#include "mux/node/mux.h"
#include "transport/transport.h"

struct node;

/*
 * What the user pointer of every connection on the node's transport points to. The owner may have
 * connections of its own: the node only calls their handler.
 */
struct node_conn {
    void (*handle)(struct node *node, struct node_conn *conn, const struct transport_event *event,
                   uint64_t now_ns);
};

struct node_config {
    const struct transport_ops *ops;
    struct transport *transport;
    struct mux_config
        mux; /* user, log and what the transport's caps say are filled in by the node */
    uint64_t drain_timeout_ns;
    uint64_t exit_after_links; /* 0: for ever */
    bool exit_when_idle;       /* when the links that were adopted have ended: "--listen -" alone */
    bool upstream_retry;       /* reconnect; else a loss ends the node (stdout) */
    bool upstream_waits;       /* for node_begin_upstream() */
    uint64_t seed;             /* of the back-off's jitter */
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
    struct transport_conn *(*open_upstream)(void *user, void *conn_user, char *why,
                                            size_t why_bytes);

    /* When not NULL there is no upstream: whole packets are shown to people, at once. */
    void (*show)(void *user, const struct mux_gather *packets);
    /* With it: a worker came or left. */
    void (*show_link)(void *user, const char *segment, const char *peer, bool came);

    /* NULL, or called at every step; returns when it wants to be called again at the latest. */
    uint64_t (*tick)(void *user, uint64_t now_ns);

    /*
     * Nobody shall connect any more: the owner closes its listeners. They are made with any user;
     * the node serves whatever they accept. Can be called more than once.
     */
    void (*stop_listening)(void *user);

    /* May this peer connect? */
    bool (*allowed)(void *user, const struct transport_peer *peer);
};

/* NULL: out of memory or too little of it configured. */
struct node *node_create(const struct node_config *config);

/* After node_step() said false. The transport is stopped and finished by its owner. */
void node_destroy(struct node *node);

/* Of one that waits with its upstream: from now on it is opened. */
void node_begin_upstream(struct node *node);

/* A connection that is there already (stdin) becomes a link. False: no room. */
bool node_adopt(struct node *node, struct transport_conn *conn, bool way_down);

/* Waits for events and handles them. False: the node has ended. */
bool node_step(struct node *node);

/*
 * TERM: takes what is there right now, forwards it and ends, within the drain timeout.
 * A second call, or `at_once`: ends now.
 */
void node_terminate(struct node *node, bool at_once);

/*
 * Closes an upstream that is a file, between two packets, and opens it again at once: it was
 * renamed, and who did that wants the old one to be left alone. Nothing is lost by it.
 */
void node_reopen_upstream(struct node *node);

/* Did all that was received go out? Meaningful when node_step() said false. */
bool node_all_sent(const struct node *node);

/* May a lost upstream not have read some of what was sent? */
bool node_in_doubt(const struct node *node);

struct mux_counters *node_counters(struct node *node);

#endif
