/*
 * The DPDK engine from inside: lwIP (raw interface, one thread) over ports of DPDK.
 *
 * One pass of poll(): frames of every port go through the filter into lwIP, whose callbacks note
 * what happened in the connections and wake their tasks; timers; then every ready task has its
 * turn, with one event at most; then lwIP's output is sent. Nothing waits.
 *
 * A received frame is never copied on its way in: lwIP's pbuf lies in the private area of DPDK's
 * mbuf, and the bytes that TCP has put in order wait in the connection's inbox. From there a frame
 * is lent to the user, and counts as received by TCP when the user gives it back, which opens the
 * peer's window. A received buffer also takes one of its pool: as a token when a frame is lent, as
 * room when bytes are collected from several frames. So the limits of the pools hold.
 *
 * lwIP's state belongs to the process: there is one engine at a time.
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

/* Most ports of a process: one per network, some for failover. */
#define PORTS_MAX 8

/*
 * Most connections that are not yet accepted, for all listeners together: many workers may connect
 * at once.
 */
#define BACKLOG_MAX 4096

/*
 * Frames that may wait or be lent: half of them. Bytes beyond that are copied out of their frame,
 * so that there are always frames to receive into.
 */
#define FRAMES_KEPT_MAX (NIC_FRAMES / 2)

/*
 * A connection's first window: what a peer may send before anything is read, perhaps all that a
 * worker sends before it exits. It grows as bytes are read, as long as the growth of all windows
 * fits into config.memory.len: so at most connections x WINDOW_LEAST_BYTES + config.memory.len wait
 * in the inboxes.
 */
#define WINDOW_LEAST_BYTES (8 * TCP_MSS)

/* With this many frames in use, out-of-order bytes are dropped: the peer sends them again. */
#define FRAMES_TAKEN_MAX (NIC_FRAMES / 4 * 3)

/* Do lwIP's segments refer to the sender's memory, or have copies? Depends on its build. */
#define SENDS_BY_REFERENCE (!LWIP_NETIF_TX_SINGLE_PBUF)

struct port;

/* Since the process began, for all ports; counters.c has their meaning. */
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
 * Received bytes: in a frame of DPDK, or copied into memory of their own. In a frame this struct
 * lies in its private area.
 */
struct piece {
    struct pbuf_custom pbuf; /* lwIP's view of the frame, until the bytes enter the inbox */
    void *mbuf;              /* NULL: from malloc() */
    struct mux_list link;    /* in a connection's inbox, or among what it has lent */
    uint8_t *data;
    size_t len;
    uint8_t *end;           /* of the memory behind the bytes */
    struct dpdk_conn *conn; /* lent: the connection whose window it opens; NULL when that is gone */
    struct mux_buffer *token; /* lent: of the pool */
    struct mux_buffer buffer; /* lent: as the user knows it */
};

struct dpdk_conn {
    struct transport_conn head; /* first */
    struct transport *transport;
    struct tcp_pcb *pcb;            /* NULL: lwIP no longer knows the connection */
    struct mux_list place;          /* of conns.h */
    struct mux_list link;           /* waiting to be accepted */
    struct dpdk_listener *listener; /* while waiting to be accepted */
    struct intake intake;
    struct task out; /* sending; before that connecting */
    struct task closed;

    bool connecting;
    bool closing;
    bool lost;

    uint32_t
        window_bytes; /* granted to the peer: bytes that wait here, are lent, or are in flight */
    bool fin;         /* the peer's has arrived */
    bool ended;       /* and was reported */
    struct mux_list inbox;
    struct mux_list lent;
    struct mux_list ack; /* in a queue of connections that owe the peer an acknowledgement */
    uint64_t ack_due_ns;
    uint32_t ack_bytes; /* received since the last one */

    bool sending;
    bool finishing;
    bool finished;
    struct cursor cursor; /* behind what lwIP took */
    bool refers;          /* lwIP's segments point into the gather list's memory */
    uint32_t end_seq;     /* behind our last byte, once no more follow */

    int failed_error; /* the connection is broken; reported after the bytes received before it */
    uint64_t in_doubt_bytes; /* the last known value; final once there is no pcb */
    struct transport_peer peer;
};

struct dpdk_listener {
    struct transport_listener head; /* first */
    struct deferred_item deferred;
    struct transport *transport;
    struct mux_list link; /* in the transport's listeners */
    struct port *port;
    int failed_error; /* of the port, to be reported */
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
    struct conns conns;       /* accepted ones and those that wait to be accepted */
    struct mux_list acks_now; /* connections that owe an acknowledgement: with this pass, and ... */
    struct mux_list acks;     /* ... a little later, the earliest first */
    unsigned conns_max;
    unsigned conns_used; /* without those that wait to be accepted */
    unsigned pending;
    size_t windows_max_bytes;   /* most growth of all windows together */
    size_t windows_grown_bytes; /* their growth so far */
    struct mux_list listeners;
    uint64_t busy_ns;       /* when something was last received or sent */
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
 * Feeds lwIP with one burst of received frames, and with what was sent to ourselves. Returns how
 * many frames. One burst, so that peers get their acknowledgements early and send the next while
 * this one is processed: with four bursts a 64 KiB stream is a third slower.
 */
unsigned dpdk_port_receive(struct port *port);
bool dpdk_port_has_work(const struct port *port);
void dpdk_port_flush(struct port *port);
uint64_t dpdk_port_missed(const struct port *port);

/* Watches the kernel's interface: without it all connections are lost; it may come back. */
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

/* guard.c: protection that lwIP lacks against hostile peers */

/*
 * May lwIP get this segment? *pcb: the connection that it belongs to, moved to the front of lwIP's
 * list; NULL: none.
 */
bool dpdk_guard_admits(struct transport *transport, const struct filter_tcp *tcp,
                       struct tcp_pcb **pcb);

/* After lwIP got a segment that belonged to no connection. */
void dpdk_guard_opened(void);

/* After lwIP got it: does the connection still exist? */
bool dpdk_guard_is_open(const struct tcp_pcb *pcb);
void dpdk_guard_timers(void);
void dpdk_guard_census(struct transport *transport, uint64_t now_ns);
void dpdk_guard_linger(struct transport *transport);
void dpdk_guard_end(void);

/* poll.c */
unsigned dpdk_poll(struct transport *transport, uint64_t deadline_ns,
                   struct transport_event *events, unsigned most);
int dpdk_wake_fd(const struct transport *transport);
uint64_t dpdk_idle_until_ns(struct transport *transport);
void dpdk_pass(struct transport *transport);

/* listener.c */
struct transport_listener *dpdk_listen(struct transport *transport,
                                       const struct transport_address *address, void *user,
                                       struct transport_address *bound,
                                       struct transport_failure *failure);
void dpdk_accept(struct transport_listener *handle, bool on);
void dpdk_close_listener(struct transport_listener *handle);
void dpdk_listener_wake(struct dpdk_listener *listener);

/* The port has gone: reported once. Listeners on other ports are not affected. */
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
/* The user never knew of it, and lwIP no longer does. */
void dpdk_conn_free(struct dpdk_conn *conn);
void dpdk_conns_recycle(struct transport *transport);

void dpdk_describe_peer(struct dpdk_conn *conn, const struct transport_address *address);

/* lwIP keeps the pcb, or has freed it: this connection uses it no more. */
void dpdk_conn_forget_pcb(struct dpdk_conn *conn);

/* No more bytes in either direction; reported in its turn. */
void dpdk_conn_fail(struct dpdk_conn *conn, int error);

/* All connections on this interface of lwIP. */
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

/* The user has read `len` bytes: the peer may send as many again, or more. */
void dpdk_window_open(struct dpdk_conn *conn, size_t len);

/* Is the window that the peer knows much smaller than the real one? */
bool dpdk_window_is_news(const struct dpdk_conn *conn);

/*
 * A SYN has just made this connection, and its answer waits in `frame`: announces a small window in
 * it.
 */
void dpdk_window_shut(struct tcp_pcb *pcb);
void dpdk_window_write(uint8_t *frame, size_t len);

/*
 * lwIP acknowledges every second segment at once. These two surround its input of a segment, so
 * that it only notes that it owes an acknowledgement: one per pass, for everything received, costs
 * less.
 */
bool dpdk_receive_hold_ack(struct tcp_pcb *pcb, const struct filter_tcp *tcp);
void dpdk_receive_owe_ack(struct tcp_pcb *pcb);

/* Sends the acknowledgements that are due. When the next is due; UINT64_MAX: none. */
void dpdk_receive_acknowledge(struct transport *transport, uint64_t now_ns);
uint64_t dpdk_receive_due_ns(const struct transport *transport);

/* Lent bytes open no window any more; they count as received. */
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
