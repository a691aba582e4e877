/*
 * Recent output by route, for viewers who come later: whole packets, the newest of each route. The
 * memory is one pool of blocks, untouched until output comes. A route holds RECENT_ROUTE_BLOCKS of
 * them at most and then recycles its own, so that a route that prints much does not push out the
 * others; when all blocks are in use the oldest one is taken from its route.
 *
 * No clock, no system call; memory is taken by recent_create() alone.
 */
#ifndef TOOLS_NODE_RECENT_H
#define TOOLS_NODE_RECENT_H

#include "mux/packet/packet.h"

/* 8 MiB for a node, however many links it has: of ten thousand links each has 838 bytes. */
#define RECENT_BLOCK_BYTES 4096
#define RECENT_BLOCKS 2048
/* 64 KiB of a route: some screens of text. */
#define RECENT_ROUTE_BLOCKS 16

struct recent;

/* `key` is secret: peers choose the routes. NULL: out of memory. */
struct recent *recent_create(uint64_t key);
void recent_destroy(struct recent *recent);

/*
 * Remembers a packet, its route complete: it is divided as it fits into blocks. One whose fields
 * other than the content fill a block, or that no reader would accept, is not remembered.
 */
void recent_add(struct recent *recent, const struct mux_packet *packet);

/*
 * Gives what is remembered of the routes that `wants`: of each route no more than the last
 * `content_bytes` of the files' contents and one packet, of all together the newest, at most
 * `most_bytes` of packets. In order within a route; routes by the age of their blocks. `packet` is
 * one whole packet.
 */
struct recent_reader {
    void *user;
    bool (*wants)(void *user, struct mux_span route);
    void (*give)(void *user, struct mux_span packet);
};
void recent_read(const struct recent *recent, const struct recent_reader *reader,
                 uint64_t content_bytes, size_t most_bytes);

#endif
