/*
 * Connects to one of several addresses, side by side (RFC 8305): the one that worked last is tried
 * first, then those of the lowest rank, IPv6 and IPv4 in turn, each a stagger after the one before
 * or at once when that has failed. The first that answers is taken, the others are closed. One
 * attempt lasts for a bounded time, so that packets which vanish on the way to one address cost the
 * others nothing.
 *
 * muxd and mux send dial so. One thread; nothing here blocks or allocates. The owner passes on the
 * events of the attempts' connections and calls dialer_run() when dialer_deadline_ns() is over.
 */
#ifndef TOOLS_NODE_DIALER_H
#define TOOLS_NODE_DIALER_H

#include "transport/transport.h"

#define DIALER_ADDRESSES_MAX 64

/* At a time; with more addresses the next one waits until one of these is given up. */
#define DIALER_ATTEMPTS_MAX 16

/* RFC 8305's Connection Attempt Delay. */
#define DIALER_STAGGER_NS UINT64_C(250000000)

/* One attempt: time for four SYNs (after 1, 3 and 7 s), and far less than a node's grace. */
#define DIALER_ATTEMPT_MOST_NS UINT64_C(10000000000)

/* The interval at which a unix socket with a full backlog is tried again within one attempt. */
#define DIALER_BUSY_NS UINT64_C(50000000)

/* The least time between two reports of one reason for which an address fails. */
#define DIALER_REPEAT_NS UINT64_C(60000000000)

enum dialer_state {
    DIALER_IDLE,      /* not begun, or taken */
    DIALER_TRYING,    /* attempts are under way */
    DIALER_CONNECTED, /* one came through: dialer_take() */
    DIALER_FAILED,    /* none did; each was told */
};

enum dialer_choice {
    DIALER_UNTRIED,
    DIALER_TRIED,    /* an attempt is under way */
    DIALER_GIVEN_UP, /* failed, or not the node that was wanted: not again in this round */
};

struct dialer_address {
    struct transport_address address;
    enum dialer_choice choice;
    uint64_t begun_ns; /* in this round; 0: not yet */
    int told_error;    /* the reason told last, 0: none since it worked */
    uint64_t told_ns;
    unsigned untold; /* failures since then for the same reason */
};

struct dialer_attempt {
    struct transport_conn *conn; /* NULL: this entry is free */
    unsigned index;              /* of its address */
    uint64_t until_ns;
    bool closing; /* only its last event is awaited */
};

struct dialer_config {
    void *conn_user; /* of the attempts' connections: their events go to dialer_handle() */
    uint64_t attempt_most_ns;
    void *user;

    /* Begins to connect: transport_ops.connect. */
    struct transport_conn *(*connect)(void *user, const struct transport_address *address,
                                      void *conn_user, struct transport_failure *failure);
    /* It takes longer than a stagger: "[::1]:7533, 127.0.0.1:7533". Once until one has worked. */
    void (*trying)(void *user, const char *addresses);
    /* An address was not reached: `told` times for this reason since that was told, 0: not now. */
    void (*failed)(void *user, const char *address, const struct transport_failure *failure,
                   unsigned told);
};

struct dialer {
    struct dialer_config config;
    enum dialer_state state;
    struct dialer_address addresses[DIALER_ADDRESSES_MAX]; /* in the order of trying */
    unsigned count;
    struct dialer_attempt attempts[DIALER_ATTEMPTS_MAX];
    uint64_t next_ns; /* when the next address is tried though no attempt has failed */
    uint64_t tell_ns; /* when the log says that this takes long */
    struct transport_conn *winner;
    unsigned winner_index;
    struct transport_address home;    /* the address that worked last; len 0: none has */
    bool home_refused;                /* the last attempt there: nobody listens */
    struct transport_address shunned; /* tried last; len 0: none */
    bool told_trying;
};

/* `dialer` is zero so far: its 39 KB are touched as they are needed. */
void dialer_init(struct dialer *dialer, const struct dialer_config *config);

/* Begins a round with these addresses (at least one, at most DIALER_ADDRESSES_MAX). */
void dialer_start(struct dialer *dialer, const struct transport_address *addresses, unsigned count,
                  uint64_t now_ns);

/* Does what is due: begins attempts, gives them up. */
void dialer_run(struct dialer *dialer, uint64_t now_ns);

/* When to run it next; UINT64_MAX: events tell. */
uint64_t dialer_deadline_ns(const struct dialer *dialer);

/* An event of a connection whose user is conn_user. */
void dialer_handle(struct dialer *dialer, const struct transport_event *event, uint64_t now_ns);

/* The connection that came through is the owner's now, with this user. */
struct transport_conn *dialer_take(struct dialer *dialer, void *conn_user);

/* The address of the connection taken last. */
const struct transport_address *dialer_taken(const struct dialer *dialer);

/* Does the connection taken last go to the address that worked last? */
bool dialer_is_home(const struct dialer *dialer);

/* Has any address worked? */
static inline bool dialer_has_home(const struct dialer *dialer) {
    return dialer->home.len > 0;
}

/* Is the address that worked last known to have no listener: did the last attempt there find so? */
static inline bool dialer_home_refused(const struct dialer *dialer) {
    return dialer->home_refused;
}

/* The connection taken last works: its address is the one to try first from now on. */
void dialer_worked(struct dialer *dialer);

/*
 * The connection taken last is not what was wanted (somebody else answers there): the round goes on
 * with the other addresses.
 */
void dialer_reject(struct dialer *dialer, uint64_t now_ns);

/* The connection taken last ended at once: in the next round its address is the last to be tried.
 */
void dialer_shun(struct dialer *dialer);

/* Closes all attempts. */
void dialer_stop(struct dialer *dialer);

/* Is the last event of every connection closed here come? */
bool dialer_is_quiet(const struct dialer *dialer);

#endif
