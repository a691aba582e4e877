/*
 * The world of a conformance test: two engines in one thread, polled in turn, and the ends of the
 * connections between them. It uses only transport_ops, so that it runs with every engine.
 *
 * Every end sends a stream of bytes made from its seed, in gather lists of random shape, and
 * digests the bytes it receives. The dispatcher checks at every event what must always hold: no
 * event after CLOSED, LOST once, SENT only for a send in flight, nothing received after ENDED,
 * bytes in the room that was offered. Memory that is free again is overwritten, so that late uses
 * are found.
 */
#ifndef TESTS_TRANSPORT_WORLD_H
#define TESTS_TRANSPORT_WORLD_H

#include "tests/transport/kinds.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define WORLD_ENDS_MAX 1200
#define END_HELD_MAX 64
#define SEND_MOST_BYTES (192 * 1024)
#define SPANS_MOST 2048

struct world;

struct engine {
    const struct transport_ops *ops;
    struct transport *transport;
    uint8_t *arena; /* receive buffers, then slabs for the first ends that send */
    struct mux_room slabs;
    struct end *accepted[WORLD_ENDS_MAX]; /* in the order of the ACCEPTED events */
    unsigned accepted_count;
    unsigned refused_count;
    int refused_error;
};

struct end {
    struct world *world;
    struct engine *engine;
    struct transport_conn *conn;

    /* Sending: the stream `out_seed`, until out_total bytes are handed over. */
    uint64_t out_seed;
    uint64_t out_total;
    uint64_t out_handed; /* to send() */
    uint64_t out_sent;   /* reported as SENT */
    size_t send_most;    /* bytes of one gather list: random up to this */
    size_t span_most;    /* bytes of a span: random up to this */
    bool finish_at_end;
    bool sending;
    struct mux_gather gather;
    struct mux_span *spans;
    uint8_t *slab;
    bool own_slab; /* not in the arena */

    /* Receiving. */
    uint64_t in_bytes;
    uint64_t in_digest;
    unsigned in_events;
    size_t in_most_bytes;   /* in a buffer, at a time */
    size_t in_buffer_bytes; /* size of the last buffer */
    bool hold;              /* received buffers are kept until end_release() */
    struct mux_buffer *held[END_HELD_MAX];
    unsigned held_count;
    uint8_t *room; /* offered by end_offer(); NULL: none */
    size_t room_len;
    size_t room_filled;
    unsigned lapsed;
    unsigned starved_count;

    bool connected;
    bool ended;
    bool lost;
    bool closing;
    bool closed;
    int error;
    const char *operation;
    uint64_t closed_sent_bytes;
    uint64_t in_doubt_bytes;
};

/* A descriptor that an engine watches. */
struct watched {
    struct world *world;
    struct engine *engine;
    struct transport_watch *watch; /* NULL: no longer */
    int fd;
    unsigned events;
    void (*readable)(struct watched *watched); /* at each event; NULL: events are only counted */
    struct watched *other;                     /* for `readable` */
    uint64_t read_bytes;
    bool ended; /* the end was read */
};

struct carrier;
struct host;

struct world {
    const struct carrier *carrier;
    const struct host *host;
    struct sim *sim; /* NULL with the kernel as host */
    struct engine engines[2];
    struct engine *near; /* listens */
    struct engine *far;  /* connects */
    struct transport_listener *listener;
    struct transport_address address; /* bound */
    struct transport_address reach;   /* the same for the far engine's connect() */
    struct end *ends[WORLD_ENDS_MAX];
    unsigned ends_count;
    unsigned events_most; /* the room for events of a poll() */
    uint64_t random;
    char directory[64];
};

/* The configuration of a run, which every test gets as *state. */
struct setup {
    const struct engine_kind *kind;
    const struct carrier *carrier;
    const struct host *host;
    uint64_t seed; /* of the simulator; 0: without faults */
};

struct world_options {
    bool one_engine; /* both ends are in the same engine */
    unsigned buffers;
    unsigned reserve_buffers;
    size_t buffer_bytes;
    unsigned large_buffers;
    size_t large_bytes;
    unsigned conns_max;
};

/* Options that are 0 get defaults. Fails the test when an engine cannot be made. */
struct world *world_open(void **state, struct world_options options);

/* Closes every end, waits for CLOSED of each, ends the engines and frees all. */
void world_close(struct world *world);

/* Polls both engines once; handles their events. Waits a little when there are none. */
void world_step(struct world *world);

/* Steps for this time. */
void world_run(struct world *world, unsigned ms);

/* Steps until the condition holds; fails the test after PATIENCE_MS. */
#define WAIT(world, condition)                                                          \
    do {                                                                                \
        uint64_t wait_deadline_ns = world_deadline_ns(world);                           \
        while (!(condition))                                                            \
            world_step_before(world, wait_deadline_ns, #condition, __FILE__, __LINE__); \
    } while (0)
uint64_t world_deadline_ns(const struct world *world);
void world_step_before(struct world *world, uint64_t deadline_ns, const char *condition,
                       const char *file, int line);

uint64_t world_random(struct world *world, uint64_t below);

/* An end for a new connection of the engine. */
struct end *end_new(struct world *world, struct engine *engine, struct transport_conn *conn);

/* Begins to send, and continues with every SENT. */
void end_send(struct end *end, uint64_t total_bytes, size_t send_most, size_t span_most);

/* Sends one gather list of `count` spans of `span_bytes` each. */
void end_send_spans(struct end *end, size_t count, size_t span_bytes);

/* Must succeed. `readable` as above. */
void watch_start(struct watched *watched, struct world *world, int fd,
                 void (*readable)(struct watched *watched));
void watch_stop(struct watched *watched);

void end_receive(struct end *end, bool on);
void end_offer(struct end *end, size_t len);
void end_release(struct end *end); /* the buffer held longest */
void end_release_all(struct end *end);
void end_finish(struct end *end);
void end_close(struct end *end);

/* `end` has received exactly the first bytes of what `from` sends. */
void assert_received_prefix(const struct end *end, const struct end *from);

/* `end` has received everything. */
void assert_received_all(const struct end *end, const struct end *from);

#endif
