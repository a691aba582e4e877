/*
 * The words of nodes to each other: ordinary packets without test id and status. The content is
 * lines of KEY=VALUE, each known key at most once; unknown keys are for later versions.
 *
 * hello   file "muxd.hello", the first packet on a node link. It tells a node from a worker. The
 * lower node sends it, the upper one answers with its own, and only then do packets go up.
 *   version, identity, name
 *           identity: random, new for each start of a node. The one that is sent upwards is a
 * secret between a node and those above it; the one in answers is another.
 *   secret  in an answer: what the node shows as `proof` when it connects again. Only the node that
 * was answered knows it.
 *   proof   in the lower node's hello: that secret, or nothing before the first answer. The line
 * alone says that the node knows of proofs.
 *   path    in an answer: the identities of the nodes above the upper one, nearest first.
 *   bundles 1 or more: the sender takes bundles and their messages (message.h). They are used when
 * both say it.
 *   time    in the lower node's hello: the line alone asks for the upper one's time of day, which
 * stands in the answer: nanoseconds since 1970.
 *   within  in an answer: nanoseconds, the most that `time` may be wrong by. Without it: nothing.
 *
 * path    file "muxd.path", downwards: the same as in an answer, when it has changed.
 *
 * notice  file "muxd.node", upwards: the node with this identity is at the packet's route. (Each
 * node on the way puts its segment in front, as to every packet.)
 *   identity, state
 *           state: here, or gone
 *
 * time    file "muxd.time", upwards: asks for the time again; only of a node whose answer had it.
 *   ask     a number, which the answer repeats
 *   ahead   how far the sender's clock is ahead of the receiver's, in nanoseconds, as it knows
 *   error   the most that `ahead` may be wrong by; both lines or none
 *
 * time    file "muxd.time", downwards: the answer.
 *   ask, time, within
 *
 * goodbye file "muxd.goodbye", the last packet of a node that ends in order.
 *   nodes   how many nodes below it go on without it; none when the line is missing
 */
#ifndef MUX_HELLO_H
#define MUX_HELLO_H

#include "mux/packet/packet.h"

#define MUX_HELLO_VERSION 1

/* With their NULs. */
#define MUX_IDENTITY_BYTES 33
#define MUX_NODE_NAME_BYTES 65

/* Most nodes above each other. A longer route is a loop. */
#define MUX_NODES_DEEP_MAX 32
#define MUX_PATH_BYTES (MUX_NODES_DEEP_MAX * MUX_IDENTITY_BYTES)

/* The longest of these packets: all keys, and what the packet adds. */
#define MUX_HELLO_PACKET_BYTES 2048
_Static_assert(MUX_PATH_BYTES + 3 * MUX_IDENTITY_BYTES + MUX_NODE_NAME_BYTES + 256 <
                   MUX_HELLO_PACKET_BYTES,
               "a hello with all its keys fits");

struct mux_hello {
    uint32_t version;
    char identity[MUX_IDENTITY_BYTES]; /* hexadecimal digits */
    char name[MUX_NODE_NAME_BYTES];    /* printable ASCII without '/', not empty */
    bool proves;                       /* it has a line `proof` */
    char proof[MUX_IDENTITY_BYTES];    /* "": none */
    char secret[MUX_IDENTITY_BYTES];   /* "": none */
    char path[MUX_PATH_BYTES];         /* identities with a comma after each but the last */
    bool takes_bundles;
    bool asks_time;
    int64_t time_ns;    /* 0: none */
    uint64_t within_ns; /* the time is wrong by at most this */
};

/* Is it a name that a hello may carry as it is? */
bool mux_hello_is_name(struct mux_span text);

/* Sets version, identity and name; characters that a name must not have become '_'. */
void mux_hello_init(struct mux_hello *hello, const char *identity, const char *name);

/* Writes the packet; returns its length. */
size_t mux_hello_write(const struct mux_hello *hello, uint8_t out[MUX_HELLO_PACKET_BYTES]);

/* Is this packet a hello, valid or not? */
bool mux_hello_is(const struct mux_packet *packet);

/* Reads it. NULL, or one clause that says why it is not valid. */
const char *mux_hello_read(const struct mux_packet *packet, struct mux_hello *hello);

/* Is this identity in the path? */
bool mux_path_has(const char *path, const char *identity);

/* `first`, then `rest`. False: that is deeper than MUX_NODES_DEEP_MAX. */
bool mux_path_join(char out[MUX_PATH_BYTES], const char *first, const char *rest);

/* Writes, and reads, the path packet. False: the packet is not one, or is not valid. */
size_t mux_path_write(const char *path, uint8_t out[MUX_HELLO_PACKET_BYTES]);
bool mux_path_read(const struct mux_packet *packet, char path[MUX_PATH_BYTES]);

struct mux_time_word {
    uint32_t ask;
    int64_t time_ns; /* 0: it is a question */
    uint64_t within_ns;
    bool has_ahead;
    int64_t ahead_ns;
    uint64_t error_ns;
};

/* Writes it; returns its length. */
size_t mux_time_write(const struct mux_time_word *word, uint8_t out[MUX_HELLO_PACKET_BYTES]);

/* Is this packet one, valid or not? */
bool mux_time_is(const struct mux_packet *packet);
bool mux_time_read(const struct mux_packet *packet, struct mux_time_word *word);

struct mux_notice {
    char identity[MUX_IDENTITY_BYTES];
    bool here; /* false: it is gone */
};

/* Writes the packet with this route, of at most MUX_NOTICE_ROUTE_BYTES; returns its length. */
#define MUX_NOTICE_ROUTE_BYTES 512
size_t mux_notice_write(const struct mux_notice *notice, struct mux_span route,
                        uint8_t out[MUX_HELLO_PACKET_BYTES]);

/* Is this packet a notice, valid or not? */
bool mux_notice_is(const struct mux_packet *packet);
bool mux_notice_read(const struct mux_packet *packet, struct mux_notice *notice);

/* Writes the goodbye; returns its length. */
size_t mux_goodbye_write(uint32_t nodes, uint8_t out[MUX_HELLO_PACKET_BYTES]);

/* Is it a goodbye, and how many nodes go on? */
bool mux_goodbye_is(const struct mux_packet *packet, uint32_t *nodes);

#endif
