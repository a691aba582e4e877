/*
 * The simulator: a network of addresses, connections and pipes that exists only in memory, on a
 * clock that nobody's watch knows, with faults that follow from a seed. Any number of transports
 * (transport_sim, each the engine of one "process") and of plain ends that a test reads and writes
 * itself share one world. The same seed and the same calls give the same bytes in the same order.
 *
 * How bytes move: a write puts them into the writer's "kernel" buffer; after a delay they arrive in
 * the reader's; a read takes them out; an acknowledgement travels back. Both buffers are finite, so
 * who does not read holds up who writes. Time passes only in sim_advance() and in poll().
 *
 * One thread. No system call, no real time. Out of memory ends the process: nothing to be tested.
 */
#ifndef TRANSPORT_SIM_SIM_H
#define TRANSPORT_SIM_SIM_H

#include "transport/transport.h"
#include <sys/types.h>

struct sim;          /* the world */
struct sim_end;      /* one end of a connection or pipe, as a process holds it */
struct sim_listener; /* a listening socket */

/* Chances are in millionths. Of each: how often, at every occasion there is. */
struct sim_faults {
    uint64_t delay_least_ns; /* of every journey through the network */
    uint64_t delay_most_ns;
    uint64_t clog_most_ns; /* a direction that clogs stands still for up to so long */
    unsigned clog;         /* at each journey */
    unsigned shorten;      /* at each read, write and journey: less moves than could */
    unsigned early;        /* receives and sends are done before poll() comes to them: as a kernel
                              that completes in the background would */
    unsigned corrupt;      /* at each journey: one bit of what arrives is wrong */
    unsigned cut;          /* at each journey: both ends get an error, what was under way is lost */
    unsigned vanish;       /* at each journey: as cut, but nobody is told until the keepalive */
    unsigned half_cut;     /* at each journey: as cut, but only one end is told before that */
    unsigned refuse;       /* at each connect() */
};

/* No faults but the time a journey takes. */
extern const struct sim_faults sim_faultless;

struct sim *sim_create(uint64_t seed, const struct sim_faults *faults);

/* Every transport is finished, every end and listener closed before. */
void sim_destroy(struct sim *sim);

/* Of every connection that has none of its own: from now on. */
void sim_set_faults(struct sim *sim, const struct sim_faults *faults);

/* Of the connection of this end: from now on. `faults` outlives the world. */
void sim_end_set_faults(struct sim_end *end, const struct sim_faults *faults);

uint64_t sim_now_ns(const struct sim *sim);

/* 0 <= result < below; part of what the seed decides. */
uint64_t sim_random(struct sim *sim, uint64_t below);

/* True in so many of a million cases. */
bool sim_chance(struct sim *sim, unsigned millionths);

/* A digest of every read, write, connect and end so far, with the time and the bytes. */
uint64_t sim_digest(const struct sim *sim);

/*
 * With `waits` poll() waits: the network goes on, other processes do not. Without it, as at first,
 * a poll() that has nothing to bring returns at once, and whoever runs the processes calls those
 * that are due, and sim_advance() when none is.
 */
void sim_poll_waits(struct sim *sim, bool waits);

/* Would poll() bring something now, or is the deadline that it was given last over? */
bool sim_due(const struct transport *transport);

/*
 * The process of this transport does not run, as after SIGSTOP, or runs again: meanwhile it is
 * never due, and its kernel goes on.
 */
void sim_stop(struct transport *transport, bool stopped);

/*
 * Lets time pass until something happens in the network or a process is due, until_ns at the
 * latest. False: nothing ever will, and until_ns is UINT64_MAX.
 */
bool sim_advance(struct sim *sim, uint64_t until_ns);

/* At most so many ends are open in transports; connect() and accept() fail with EMFILE then. */
void sim_limit_ends(struct sim *sim, unsigned most);
unsigned sim_ends_open(const struct sim *sim);

/* How a connection came to be broken. */
enum sim_fate {
    SIM_WHOLE, /* it was not: its ends were closed by those who held them */
    SIM_CUT,
    SIM_VANISHED,
};

/* How much of a direction has come how far: offsets into its stream. */
struct sim_stream {
    const uint8_t *bytes; /* all that was written, as it arrived: with what was corrupted */
    uint64_t written;     /* accepted by the writer's kernel */
    uint64_t arrived;     /* in the reader's */
    uint64_t read;        /* by the reader's process */
    uint64_t acked;       /* arrived, and the writer's kernel knows */
    enum sim_fate fate;   /* of the connection */
    bool over;            /* both ends of the connection are closed */
    const struct sim_corruption *corruptions;
    unsigned corruption_count;
};

struct sim_corruption {
    uint64_t offset;
    uint8_t mask; /* the byte that arrived = the byte that was written ^ mask */
};

/* The same on both ends of a connection, and never used again: 0, 1, 2, ... */
unsigned sim_end_id(const struct sim_end *end);

/*
 * What went through a connection, there still when both ends are closed: written by the end that
 * connected, or (not to_listener) by the one that accepted. Of a pair: by ends[0], by ends[1].
 * bytes is good until more is written.
 */
struct sim_stream sim_stream(const struct sim *sim, unsigned id, bool to_listener);

/* The port that an end which connected has got. */
uint16_t sim_end_port(const struct sim_end *end);

/* Received buffers that the user of a transport has. */
unsigned sim_lent(const struct transport *transport);

/*
 * Plain ends. connect: never fails at once; sim_connected() is 0, EINPROGRESS, or why not. read and
 * write never block and return the bytes moved, 0 at the stream's end, or a negative errno value:
 * -EAGAIN, -ECONNRESET, -ETIMEDOUT, -EPIPE. What arrived before an error is read before it.
 */
struct sim_end *sim_connect(struct sim *sim, const struct transport_address *address);
int sim_connected(const struct sim_end *end);
ssize_t sim_read(struct sim_end *end, uint8_t *data, size_t len);
ssize_t sim_write(struct sim_end *end, const uint8_t *data, size_t len);
void sim_finish(struct sim_end *end); /* no more writes */
void sim_close(struct sim_end *end);  /* once, and never again used */

/* A connected pair; `pipe`: ends[0] only reads, ends[1] only writes. */
void sim_pair(struct sim *sim, bool pipe, struct sim_end *ends[2]);

/* NULL: EADDRINUSE. Port 0 gets a free one. */
struct sim_listener *sim_listen(struct sim *sim, const struct transport_address *address,
                                struct transport_address *bound);
struct sim_end *sim_accept(struct sim_listener *listener); /* NULL: nobody there */
void sim_unlisten(struct sim_listener *listener);

/* `ready` is called when reading, writing, connecting or accepting may go on: only to note it. */
void sim_end_watch(struct sim_end *end, void (*ready)(void *user), void *user);
void sim_listener_watch(struct sim_listener *listener, void (*ready)(void *user), void *user);

/* Faults on demand, to a connection by its id: nothing if it is broken or over already. */
void sim_cut(struct sim *sim, unsigned id);
void sim_vanish(struct sim *sim, unsigned id);

/*
 * A number for attach() and watch(), for one of them. An attached end is the transport's from then
 * on, unless borrowed; a watched one stays its owner's, who reads it with sim_read().
 */
int sim_descriptor(struct sim_end *end);
struct sim_end *sim_by_descriptor(struct sim *sim, int descriptor); /* NULL: there is none */

/* The end of a transport's connection, NULL once closed; of an attached pair of pipes the one that
 * is read. */
struct sim_end *sim_conn_end(const struct transport_conn *conn);

/* A transport of this world: transport_config.engine_config points to the struct sim. */
extern const struct transport_ops transport_sim;

#endif
