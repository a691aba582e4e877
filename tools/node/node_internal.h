/* What the files node*.c share, and control_answers.c, which shows it. */
#ifndef TOOLS_NODE_NODE_INTERNAL_H
#define TOOLS_NODE_NODE_INTERNAL_H

#include "mux/limiter.h"
#include "mux/list.h"
#include "tools/node/dialer.h"
#include "tools/node/node.h"
#include "tools/node/node_upstream_state.h"

/* In this order; some may be left out. */
enum node_phase {
    NODE_RUNNING,
    NODE_DRAINING, /* reads what is there right now */
    NODE_FLUSHING, /* reads no more; what has come goes up */
    NODE_LEAVING,  /* what has not gone up stays; from its next turn on it closes */
    NODE_CLOSING,  /* its connections are being closed */
    NODE_ENDED,    /* all are */
    NODE_PHASES,   /* how many there are */
};

/* A connection of a link: what it writes, or the one that carries the way down alone. */
enum node_conn_state {
    NODE_CONN_NONE, /* there is none (any more) */
    NODE_CONN_OPEN,
    NODE_CONN_CLOSING, /* only its last event is awaited */
};

/* What comes by a link. */
enum node_input_state {
    NODE_INPUT_OPEN,
    NODE_INPUT_OVER,  /* no more comes; its owner has been told, who will say why */
    NODE_INPUT_ENDED, /* the mux has been told */
};

struct node_link {
    struct loop_handler base;
    struct node *node;
    struct mux_list open_entry; /* in node.open_links */
    struct loop_handler from_down;
    struct transport_conn *conn;      /* NULL: closed, its last packets are on their way */
    struct transport_conn *down_conn; /* carries the way down; NULL: conn does, or it is over */
    struct mux_link *link;            /* NULL: this entry is free */
    enum node_conn_state state, down_state;
    enum node_input_state input;
    bool receiving;
    bool is_shown; /* node_config.show_link was called for it */
    bool adopted;
    uint8_t answers_awaited;        /* orders that went to it, less the answers that it gave */
    const struct node_owner *owner; /* NULL: it ends with its connection */
    void *owner_user;
    const char *close_reason; /* why this node closed it; NULL: it ended by itself */
    const char *lost_operation;
    int lost_error; /* 0: not lost */
    unsigned told;  /* see node_tell_nodes() */
    struct node_link *next_free;
};

/* The states are explained in node_upstream_state.h. */
struct node_upstream {
    struct loop_handler base;
    struct loop_handler dialing; /* of connections that are attempts */
    struct dialer dialer;
    struct transport_conn *conn; /* NULL: there is none (yet) */
    enum node_upstream_state state;
    enum node_upstream_up up;
    enum node_upstream_down down;
    enum node_upstream_next next;
    enum node_upstream_doubt doubt;
    bool may_be_dead;     /* a node went without a goodbye; the next one that answers tells */
    bool has_sent;        /* something, on this connection */
    bool unconfirmed;     /* at the last look the peer had not acknowledged all that was sent */
    bool keeps_little;    /* the kernel keeps little that is not on its way */
    unsigned quick_sends; /* in a row */
    uint64_t connected_ns;
    uint64_t sending_since_ns;
    uint64_t finished_ns;
    uint64_t left_ns;   /* when the connection that worked last was closed */
    char told_why[256]; /* there is no upstream; said once */
    uint64_t retry_at_ns;
    uint64_t backoff_ns;
    uint64_t waited_ns; /* before this connection, but for the jitter */
    uint64_t random;
};

struct node {
    struct loop_client base;
    struct node_config config;
    struct loop_handler listening;
    struct loop_handler rejected; /* of connections that are closed before they were links */
    struct mux *mux;
    struct mux_counters *counters; /* of the core */
    struct node_counters own_counters;
    enum node_phase phase;
    bool terminating;
    bool cut;            /* the time to read was over before nothing more came */
    bool input_failed;   /* stdin could not be read to its end */
    uint64_t begun_ns;   /* when it was made */
    uint64_t now_ns;     /* when it worked last */
    uint64_t wall_at_ns; /* when it looks at the time of day again */
    bool has_work;       /* without an event: the next step comes at once */
    unsigned events;     /* of its own, since it worked last */
    unsigned quiet_polls;
    uint64_t look_at_ns; /* flushing: when it looks again whether the peer has acknowledged */
    uint64_t drain_until_ns, flush_until_ns;
    struct node_link *links;
    unsigned links_touched;
    struct node_link *free_links;
    struct mux_list open_links;
    unsigned open_count; /* links */
    unsigned conn_count; /* connections from below whose last event has not come */
    struct mux_limiter turned_away_lines;
    uint64_t turned_away_unsaid; /* connections, since the last such line */
    struct mux_limiter forgery_lines;
    struct node_upstream upstream;
    node_output *output; /* NULL: nobody looks */
    void *output_user;
    node_gone *gone; /* NULL: nobody listens */
    void *gone_user;
};

/* node.c */
void node_set_phase(struct node *node, enum node_phase phase);
/* A link is over; perhaps that ends the node. */
void node_link_gone(struct node *node);
/* Nothing more is read, and not because nothing more came. */
void node_cut_links(struct node *node, const char *why);

/* node_words.c */
/* mux_config.refuse */
bool node_refuses(struct node *node, struct mux_link *link, const struct mux_packet *packet);

/* node_links.c */
/* False: out of memory. */
bool node_links_init(struct node *node);
void node_link_accepted(struct node *node, struct transport_conn *conn);
/* Does what the mux wishes for its links: receive, pause, send, close. */
void node_links_attend(struct node *node);
unsigned node_links_not_ended(const struct node *node);
void node_links_close_all(struct node *node);
/* Ends one link now: what it has sent so far is forwarded. */
void node_link_end(struct mux_link *link);

/* node_upstream.c */
void node_upstream_init(struct node *node);
/* Connects when it is time. */
void node_upstream_open(struct node *node, uint64_t now_ns);
/* When that must be looked at at the latest. */
uint64_t node_upstream_deadline_ns(const struct node *node);
/* Not the node that was wanted: closes it and tries the other addresses, this one again in the next
 * round. */
void node_upstream_reject(struct node *node, const char *operation, const char *why);
/* Sends the next batch; false when there is none or it must wait. */
bool node_upstream_send(struct node *node);
/* Receiving from above goes on or pauses as the mux wishes. */
void node_upstream_receive(struct node *node);
/* Is all out and, where that can be known, acknowledged? */
bool node_upstream_flushed(struct node *node);
/* How it stands, for people. All is static or good until the next step. */
struct node_upstream_status {
    const char *state;    /* "none", "waiting", "connecting", "greeting", "connected", "closing" */
    const char *peer;     /* NULL: there is no connection */
    const char *why_slow; /* a clause: why links have to wait for it */
    uint64_t since_ns;    /* how long it is connected; else 0 */
    uint64_t sending_ns;  /* how long the batch in flight has not been taken; 0: there is none */
};
void node_upstream_status(const struct node *node, uint64_t now_ns,
                          struct node_upstream_status *status);
/* Closes it, and attempts to connect. */
void node_upstream_close(struct node *node);
/* Has the last event of all that was closed come? */
bool node_upstream_is_closed(const struct node *node);

#endif
