/*
 * The simulator: a network of addresses, connections and pipes that exists only in memory, on a
 * virtual clock, with faults that follow from a seed. Any number of transports (transport_sim, each
 * the engine of one "process") and of plain ends that a test reads and writes itself share one
 * world. The same seed and the same calls give the same bytes in the same order.
 *
 * How bytes move: a write puts them into the writer's "kernel" buffer; after a delay they arrive in
 * the reader's; a read takes them out; an acknowledgement travels back. Both buffers are finite, so
 * a reader that stops holds up its writer. Time passes only in sim_advance() and in poll().
 *
 * One thread. No system call, no real time. Running out of memory ends the process.
 */
#ifndef TRANSPORT_SIM_SIM_H
#define TRANSPORT_SIM_SIM_H

#include "transport/transport.h"
#include <sys/types.h>

struct sim;          /* the world */
struct sim_end;      /* one end of a connection or pipe, as a process holds it */
struct sim_listener; /* a listening socket */

/* Chances are in millionths, for each occasion. */
struct sim_faults {
    uint64_t delay_least_ns; /* of every journey through the network */
    uint64_t delay_most_ns;
    uint64_t clog_most_ns; /* most time that a clogged direction stands still */
    unsigned clog;         /* at each journey */
    unsigned shorten;      /* at each read, write and journey: less moves than could */
    unsigned early;   /* receives and sends complete before poll() reports them, as in a kernel that
                         works in the background */
    unsigned corrupt; /* at each journey: one bit of what arrives is wrong */
    unsigned cut;     /* at each journey: both ends get an error, what was under way is lost */
    unsigned vanish;  /* at each journey: as cut, but neither end notices before the keepalive */
    unsigned half_cut; /* at each journey: as cut, but only one end notices before the keepalive */
    unsigned strand;   /* at each journey: as cut, but the end that accepted gets all that was under
                          way to it, late, and then the end of the stream */
    uint64_t strand_most_ns;
    unsigned refuse; /* at each connect() */
};

/* No faults but the time a journey takes. */
extern const struct sim_faults sim_faultless;

struct sim *sim_create(uint64_t seed, const struct sim_faults *faults);

/* Every transport has been finished, every end and listener closed before. */
void sim_destroy(struct sim *sim);

/* The kernels' buffers of this connection, of each direction and at each of its ends. */
void sim_end_set_buffers(struct sim_end *end, size_t bytes);

/* For every connection without faults of its own, from now on. */
void sim_set_faults(struct sim *sim, const struct sim_faults *faults);

/* For the connection of this end, from now on. `faults` outlives the world. */
void sim_end_set_faults(struct sim_end *end, const struct sim_faults *faults);

uint64_t sim_now_ns(const struct sim *sim);

/* 0 <= result < below; follows from the seed. */
uint64_t sim_random(struct sim *sim, uint64_t below);

/* True in `millionths` of a million cases. */
bool sim_chance(struct sim *sim, unsigned millionths);

/*
 * Somebody is asked at each fault of the network, and at each that others say: false: it does not
 * happen. `id`: of the connection, or of what they have.
 */
typedef bool sim_fault(void *user, const char *what, unsigned id);
void sim_watch_faults(struct sim *sim, sim_fault *happens, void *user);
bool sim_fault_happens(struct sim *sim, const char *what, unsigned id);

/* A digest of every read, write, connect and end so far, with the time and the bytes. */
uint64_t sim_digest(const struct sim *sim);

/*
 * With `waits`, poll() waits: the network goes on, other processes do not. Without it, as at first,
 * a poll() without events returns at once, and the caller that runs the processes polls those that
 * are due, and calls sim_advance() when none is.
 */
void sim_poll_waits(struct sim *sim, bool waits);

/* Would poll() return events now, or has the deadline of its last call passed? */
bool sim_due(const struct transport *transport);

/*
 * Stops the process of this transport, as SIGSTOP does, or continues it. While stopped it is never
 * due, and its kernel goes on.
 */
void sim_stop(struct transport *transport, bool stopped);

/*
 * Advances time until something happens in the network or a process is due, until_ns at the latest.
 * False: nothing will ever happen, and until_ns is UINT64_MAX.
 */
bool sim_advance(struct sim *sim, uint64_t until_ns);

/*
 * Limits the ends that are open in transports; beyond it connect() and accept() fail with EMFILE.
 */
void sim_limit_ends(struct sim *sim, unsigned most);
unsigned sim_ends_open(const struct sim *sim);

/* How a connection was broken. */
enum sim_fate {
    SIM_WHOLE, /* it was not: its processes closed the ends */
    SIM_CUT,
    SIM_VANISHED,
};

/* The progress of one direction: offsets into its stream. */
struct sim_stream {
    const uint8_t *bytes; /* everything written, as it arrived: with corrupted bits */
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

/* The same at both ends of a connection, and never reused: 0, 1, 2, ... */
unsigned sim_end_id(const struct sim_end *end);

/*
 * What went through a connection, also after both ends are closed: written by the end that
 * connected (to_listener), or by the one that accepted. Of a pair: by ends[0], by ends[1]. `bytes`
 * is valid until more is written.
 */
struct sim_stream sim_stream(const struct sim *sim, unsigned id, bool to_listener);

/* The local port of an end that connected. */
uint16_t sim_end_port(const struct sim_end *end);

/* Received buffers that are lent to the user of a transport. */
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
void sim_close(struct sim_end *end);  /* once; the end is not used again */

/* A connected pair; `pipe`: ends[0] only reads, ends[1] only writes. */
void sim_pair(struct sim *sim, bool pipe, struct sim_end *ends[2]);

/* NULL: EADDRINUSE. Port 0 gets a free one. */
struct sim_listener *sim_listen(struct sim *sim, const struct transport_address *address,
                                struct transport_address *bound);
struct sim_end *sim_accept(struct sim_listener *listener); /* NULL: no connection waits */
void sim_unlisten(struct sim_listener *listener);

/*
 * `ready` is called when reading, writing, connecting or accepting may proceed: it only takes a
 * note.
 */
void sim_end_watch(struct sim_end *end, void (*ready)(void *user), void *user);
void sim_listener_watch(struct sim_listener *listener, void (*ready)(void *user), void *user);

/* Faults on demand, for a connection by its id: no effect if it is broken or closed already. */
void sim_cut(struct sim *sim, unsigned id);
void sim_vanish(struct sim *sim, unsigned id);

/* As sim_cut(), but the end that accepted gets all that was under way to it, at most so much later.
 */
void sim_strand(struct sim *sim, unsigned id, uint64_t most_ns);

/*
 * What was written in this direction stands still for this time; without `takes` its writer's
 * kernel takes nothing more meanwhile.
 */
void sim_clog(struct sim *sim, unsigned id, bool to_listener, uint64_t for_ns, bool takes);

/*
 * A number for attach() or watch(). An attached end belongs to the transport from then on, unless
 * borrowed; a watched one stays its owner's, which reads it with sim_read().
 */
int sim_descriptor(struct sim_end *end);
struct sim_end *sim_by_descriptor(struct sim *sim, int descriptor); /* NULL: there is none */

/* The end of a transport's connection, NULL once closed; of an attached pair of pipes the one that
 * is read. */
struct sim_end *sim_conn_end(const struct transport_conn *conn);

/* The engine; transport_config.engine_config points to the struct sim. */
extern const struct transport_ops transport_sim;

#endif
