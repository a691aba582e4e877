/*
 * The DPDK engine from inside: lwIP (raw interface, one thread) over ports of DPDK's.
 *
 * One pass of poll(): frames of every port go through the filter into lwIP, whose callbacks note
 * what happened in the connections and wake their tasks; timers; then every ready task has its
 * turn, with one event at most; then what lwIP has to send leaves. Nothing waits.
 *
 * A received frame is never copied on its way in: lwIP's pbuf lies in the private area of DPDK's
 * mbuf, and what TCP makes of it, in order, waits in the connection's inbox. From there it is lent
 * to the user, and counted as received by TCP when he gives it back, which is what opens the peer's
 * window. A received buffer takes one of its pool's, too: as a token when a frame is lent, as room
 * when bytes are gathered from several frames. So the limits of the pools hold.
 *
 * lwIP's state is the process's: there is one engine at a time.
 */
#ifndef TRANSPORT_DPDK_INTERNAL_H
#define TRANSPORT_DPDK_INTERNAL_H

#include "transport/conns.h"
#include "transport/cursor.h"
#include "transport/deferred.h"
#include "transport/descriptor.h"
#include "transport/dpdk/filter.h"
#include "transport/dpdk/nic.h"
#include "transport/intake.h"
#include "transport/transport.h"

#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/tcp.h"

#define GATHER_MAX 1024

/* Ports of one process: one per network, some for failover. */
#define PORTS_MAX 8

/* Connections that came and are not yet accepted, all listeners together: a farm that starts. */
#define BACKLOG_MAX 4096

/*
 * Frames that may wait or be lent: half of them. What arrives beyond that is copied out of its
 * frame, so that there are always frames to receive into.
 */
#define FRAMES_KEPT_MAX (NIC_FRAMES / 2)

/*
 * A connection's window when it begins: what a peer may send before anything was read, perhaps all
 * that a worker has to say before it goes. It grows as bytes are read, as long as all that windows
 * have grown by fits into config.memory.len: so no more waits in the inboxes than
 * connections x WINDOW_LEAST_BYTES + config.memory.len.
 */
#define WINDOW_LEAST_BYTES (8 * TCP_MSS)

/* With so many taken, bytes that came out of order are thrown away: they come again. */
#define FRAMES_TAKEN_MAX (NIC_FRAMES / 4 * 3)

/* lwIP's segments refer to the sender's memory, or have copies: how it was built. */
#define SENDS_BY_REFERENCE (!LWIP_NETIF_TX_SINGLE_PBUF)

struct port;

/* Since the process began, of all ports; counters.c says what they mean. */
struct dpdk_counters {
    uint64_t frames_received;
    uint64_t frames_filtered;
    uint64_t frames_sent;
    uint64_t frames_unsent;
    uint64_t openings_ignored;
    uint64_t openings_dropped;
    uint64_t segments_refused;
    uint64_t reorder_dropped;
    uint64_t received_copied_bytes;
    uint64_t sent_copied_bytes;
    uint64_t framed_copied_bytes;
};
extern struct dpdk_counters dpdk_counters;

/*
 * Received bytes: in a frame of DPDK's, or copied into memory of their own. In a frame this lies in
 * its private area.
 */
struct piece {
    struct pbuf_custom pbuf; /* lwIP's view of the frame, until the bytes come to the inbox */
    void *mbuf;              /* NULL: from malloc() */
    struct mux_list link;    /* in a connection's inbox, or among what it has lent */
    uint8_t *data;
    size_t len;
    uint8_t *end;             /* of the memory behind the bytes */
    struct dpdk_conn *conn;   /* lent: whose window it opens; NULL when that is gone */
    struct mux_buffer *token; /* lent: of the pool */
    struct mux_buffer buffer; /* lent: as the user knows it */
};

struct dpdk_conn {
    struct transport_conn head; /* first */
    struct transport *transport;
    struct tcp_pcb *pcb;            /* NULL: lwIP has no part in it any more */
    struct mux_list place;          /* of conns.h */
    struct mux_list link;           /* waiting to be accepted */
    struct dpdk_listener *listener; /* while waiting to be accepted */
    struct intake intake;
    struct task out; /* sending; before that connecting */
    struct task closed;

    bool connecting;
    bool closing;
    bool lost;

    uint32_t window_bytes; /* granted: may wait here, be lent, or be under way */
    bool fin;              /* the peer's has come */
    bool ended;            /* and was told */
    struct mux_list inbox;
    struct mux_list lent;
    struct mux_list ack; /* in the queue of those that owe the peer one */
    uint64_t ack_due_ns;
    uint32_t ack_bytes; /* that came since */

    bool sending;
    bool finishing;
    bool finished;
    struct cursor cursor; /* behind what lwIP took */
    bool refers;          /* lwIP's segments point into the gather list's memory */
    uint32_t end_seq;     /* behind the last byte of ours, once no more are to come */

    int failed_error;        /* the connection is broken; told when what came before is received */
    uint64_t in_doubt_bytes; /* as it last was; what it is once there is no pcb */
    struct transport_peer peer;
};

struct dpdk_listener {
    struct transport_listener head; /* first */
    struct deferred_item deferred;
    struct transport *transport;
    struct mux_list link; /* in the transport's listeners */
    struct port *port;
    int failed_error; /* of the port, to be told */
    struct tcp_pcb *pcb;
    struct task task;
    struct mux_list pending;
    bool accepting;
};

static inline struct dpdk_conn *dpdk_conn_of(const struct transport_conn *handle) {
    return MUX_CONTAINER_OF(handle, struct dpdk_conn, head);
}

static inline struct dpdk_listener *dpdk_listener_of(const struct transport_listener *handle) {
    return MUX_CONTAINER_OF(handle, struct dpdk_listener, head);
}

extern const struct transport_conn_ops dpdk_conn_ops;
extern const struct transport_listener_ops dpdk_listener_ops;

struct transport {
    struct transport_caps caps;
    struct pools pools;
    struct deferred deferred;
    struct port *ports[PORTS_MAX];
    unsigned ports_count;
    struct mux_list ready;
    struct mux_list starved;  /* listeners that wait for a place */
    struct conns conns;       /* the user's and those that wait to be accepted */
    struct mux_list acks_now; /* connections that owe an acknowledgement: with this pass, and ... */
    struct mux_list acks;     /* ... in a while, the one that is due first in front */
    unsigned conns_max;
    unsigned conns_used; /* of conns_max; those that wait to be accepted are not among them */
    unsigned pending;
    size_t windows_max_bytes;   /* that windows may grow by, all together */
    size_t windows_grown_bytes; /* and have */
    struct mux_list listeners;
    uint64_t busy_ns;       /* when something last came or went */
    uint64_t census_due_ns; /* of lwIP's connections that are not ours */
    unsigned half_open;     /* as the last census found, and those since */
};

/* engine.c */
uint64_t dpdk_now_ns(const struct transport *transport);
int dpdk_errno_of(err_t error);
bool dpdk_lwip_failed(struct transport_failure *failure, err_t error, const char *operation);

/* counters.c */
unsigned dpdk_counts(const struct transport *transport, struct transport_count *counts);

/* address.c: between the two kinds of addresses */
bool dpdk_address_to_ip(const struct transport_address *address, ip_addr_t *ip, uint16_t *port);
void dpdk_address_from_ip(struct transport_address *address, const ip_addr_t *ip, uint16_t port);

/* port.c: a port with its interface of lwIP's */
struct port *dpdk_port_for(struct transport *transport, const struct transport_address *address,
                           struct transport_failure *failure);
struct netif *dpdk_port_netif(struct port *port);

/* The port's own address of the family of `remote`; false when it has none. */
bool dpdk_port_own_ip(const struct port *port, const ip_addr_t *remote, ip_addr_t *own);

bool dpdk_port_has_ip(const struct port *port, const ip_addr_t *ip);

/*
 * Feeds lwIP with what has arrived, one burst, and with what was sent to ourselves. Returns how
 * many frames. One burst, so that peers have their acknowledgements early and send the next while
 * this one is worked on: with four a 64 KiB stream is a third slower.
 */
unsigned dpdk_port_receive(struct port *port);
bool dpdk_port_has_work(const struct port *port);
void dpdk_port_flush(struct port *port);
uint64_t dpdk_port_missed(const struct port *port);

/* Looks after the kernel's interface: without it all connections are lost; it may come back. */
void dpdk_port_watch(struct port *port, uint64_t now_ns);
void dpdk_port_close(struct port *port);

/* piece.c */
struct pbuf *dpdk_piece_of_frame(const struct nic_frame *frame);
void dpdk_piece_free(struct piece *piece);

/* Frames that lwIP, the inboxes and the user have. */
unsigned dpdk_pieces_taken(void);

/* Moves the bytes of a chain into the inbox and frees the chain. False: out of memory. */
bool dpdk_inbox_put(struct dpdk_conn *conn, struct pbuf *chain);

/* Up to room.len bytes from the inbox. */
size_t dpdk_inbox_copy(struct dpdk_conn *conn, struct mux_room room);
void dpdk_inbox_clear(struct dpdk_conn *conn);

/* guard.c: what lwIP does not do against peers that mean harm */

/* May lwIP see it? *pcb: the connection that it belongs to, first in lwIP's list; NULL: none. */
bool dpdk_guard_admits(struct transport *transport, const struct filter_tcp *tcp,
                       struct tcp_pcb **pcb);

/* After lwIP has seen one that belonged to none. */
void dpdk_guard_opened(void);

/* After lwIP has seen it: does the connection still exist? */
bool dpdk_guard_is_open(const struct tcp_pcb *pcb);
void dpdk_guard_timers(void);
void dpdk_guard_census(struct transport *transport, uint64_t now_ns);
void dpdk_guard_linger(struct transport *transport);
void dpdk_guard_end(void);

/* poll.c */
unsigned dpdk_poll(struct transport *transport, uint64_t deadline_ns,
                   struct transport_event *events, unsigned most);
int dpdk_wake_fd(const struct transport *transport);
uint64_t dpdk_rest(struct transport *transport);
void dpdk_pass(struct transport *transport);

/* listener.c */
struct transport_listener *dpdk_listen(struct transport *transport,
                                       const struct transport_address *address, void *user,
                                       struct transport_address *bound,
                                       struct transport_failure *failure);
void dpdk_accept(struct transport_listener *handle, bool on);
void dpdk_close_listener(struct transport_listener *handle);
void dpdk_listener_wake(struct dpdk_listener *listener);

/* The port has gone: told once. Those on other ports are not concerned. */
void dpdk_listeners_fail(struct port *port, struct transport *transport, int error);

/* conn.c: how connections begin and end */
struct transport_conn *dpdk_connect(struct transport *transport,
                                    const struct transport_address *address, void *user,
                                    struct transport_failure *failure);
struct transport_conn *dpdk_attach(struct transport *transport, int in, int out, bool borrowed,
                                   enum transport_pool pool, const char *name, void *user,
                                   struct transport_failure *failure);
void dpdk_close(struct transport_conn *handle);

/* NULL when none is free. */
struct dpdk_conn *dpdk_conn_new(struct transport *transport, enum transport_pool pool);
void dpdk_conn_use_pcb(struct dpdk_conn *conn, struct tcp_pcb *pcb);
/* It was never shown to the user, and lwIP has no part in it any more. */
void dpdk_conn_free(struct dpdk_conn *conn);
void dpdk_conns_recycle(struct transport *transport);

void dpdk_describe_peer(struct dpdk_conn *conn, const struct transport_address *address);

/* lwIP keeps the pcb, or has freed it; we do not look at it again. */
void dpdk_conn_forget_pcb(struct dpdk_conn *conn);

/* No more bytes either way; told in its time. */
void dpdk_conn_fail(struct dpdk_conn *conn, int error);

/* All that lwIP has on this interface of its own. */
void dpdk_conns_fail(struct transport *transport, const struct netif *netif, int error);
bool dpdk_conn_lost(struct dpdk_conn *conn, struct transport_event *event, const char *operation);

/* receive.c */
void dpdk_receive(struct transport_conn *handle, bool on);
void dpdk_receive_into(struct transport_conn *handle, struct mux_room room);
bool dpdk_receive_turn(struct task *task, struct transport_event *event);
void dpdk_receive_wake(struct dpdk_conn *conn);
err_t dpdk_receive_callback(void *argument, struct tcp_pcb *pcb, struct pbuf *chain, err_t error);

/* window.c */
void dpdk_window_begin(struct dpdk_conn *conn, uint32_t bytes);
void dpdk_window_end(struct dpdk_conn *conn);

/* The user has read so much: the peer may send as much again, or more. */
void dpdk_window_open(struct dpdk_conn *conn, size_t len);

/* Does the peer not know by far how much it may send? */
bool dpdk_window_is_news(const struct dpdk_conn *conn);

/* A SYN has just made this connection, and its answer waits in `frame`: its window is small. */
void dpdk_window_shut(struct tcp_pcb *pcb);
void dpdk_window_write(uint8_t *frame, size_t len);

/*
 * lwIP acknowledges every second segment at once. Around its input of one, so that it only notes
 * that it owes an acknowledgement: one a pass, for all that came, costs less.
 */
bool dpdk_receive_hold_ack(struct tcp_pcb *pcb, const struct filter_tcp *tcp);
void dpdk_receive_owe_ack(struct tcp_pcb *pcb);

/* Those that are due. When the next is; UINT64_MAX: none. */
void dpdk_receive_acknowledge(struct transport *transport, uint64_t now_ns);
uint64_t dpdk_receive_due_ns(const struct transport *transport);

/* What is lent opens no window any more; its bytes count as received. */
void dpdk_receive_disown(struct dpdk_conn *conn);

/* send.c */
void dpdk_send(struct transport_conn *handle, const struct mux_gather *gather);
void dpdk_finish(struct transport_conn *handle);
uint64_t dpdk_unacknowledged(const struct transport_conn *handle);
bool dpdk_unread(const struct transport_conn *handle);
bool dpdk_send_turn(struct task *task, struct transport_event *event);
void dpdk_send_wake(struct dpdk_conn *conn);
err_t dpdk_sent_callback(void *argument, struct tcp_pcb *pcb, uint16_t len);
err_t dpdk_retry_callback(void *argument, struct tcp_pcb *pcb);

#endif
