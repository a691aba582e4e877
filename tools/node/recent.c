#include "tools/node/recent.h"

#include "mux/hash.h"
#include "mux/list.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 4096

/* What a packet with a short route takes beside its content; a piece of it brings some content. */
#define PIECE_LEAST_BYTES 512

/* In front of each packet in a block. */
struct head {
    uint16_t packet_bytes, content_bytes;
};

_Static_assert(RECENT_BLOCK_BYTES <= UINT16_MAX, "a packet's length fits its head");

struct block {
    struct mux_list in_age;   /* of recent.ages, or of recent.free */
    struct mux_list in_route; /* of route.blocks */
    struct route *route;
    uint64_t begin_bytes; /* of the route's contents, before this block */
    size_t used;
    uint8_t *bytes;
};

/* A route with at least one block. There are never more of them than blocks. */
struct route {
    uint64_t hash;      /* stands for its name */
    struct route *next; /* in its bucket, or in the free list */
    struct mux_list blocks;
    unsigned block_count;
    uint64_t content_bytes; /* since it came, what was forgotten included */
};

struct recent {
    uint64_t key;
    struct mux_list ages; /* blocks in use, the oldest first */
    struct mux_list free;
    struct route *free_routes;
    struct route *buckets[BUCKETS];
    struct route routes[RECENT_BLOCKS];
    struct block blocks[RECENT_BLOCKS];
    uint8_t bytes[RECENT_BLOCKS][RECENT_BLOCK_BYTES];
};

struct recent *recent_create(uint64_t key) {
    struct recent *recent = calloc(1, sizeof *recent);
    if (!recent)
        return NULL;
    recent->key = key;
    mux_list_init(&recent->ages);
    mux_list_init(&recent->free);
    for (unsigned i = 0; i < RECENT_BLOCKS; i++) {
        recent->blocks[i].bytes = recent->bytes[i];
        mux_list_append(&recent->free, &recent->blocks[i].in_age);
        recent->routes[i].next = recent->free_routes;
        recent->free_routes = &recent->routes[i];
    }
    return recent;
}

void recent_destroy(struct recent *recent) {
    free(recent);
}

static struct route **find(struct recent *recent, uint64_t hash) {
    struct route **at = &recent->buckets[hash % BUCKETS];
    while (*at && (*at)->hash != hash)
        at = &(*at)->next;
    return at;
}

static void forget_route(struct recent *recent, struct route *route) {
    *find(recent, route->hash) = route->next;
    route->next = recent->free_routes;
    recent->free_routes = route;
}

/* Takes a block from its route, which is forgotten with its last one. */
static struct block *take_back(struct recent *recent, struct block *block) {
    struct route *route = block->route;
    mux_list_remove(&block->in_route);
    if (--route->block_count == 0)
        forget_route(recent, route);
    return block;
}

/* A block that is free now: never one of `route` while it may have more. */
static struct block *free_block(struct recent *recent, const struct route *route) {
    if (route->block_count > RECENT_ROUTE_BLOCKS)
        return take_back(recent, MUX_LIST_ITEM(route->blocks.next, struct block, in_route));
    struct mux_list *entry = mux_list_pop(&recent->free);
    if (entry)
        return MUX_LIST_ITEM(entry, struct block, in_age);
    return take_back(recent, MUX_LIST_ITEM(recent->ages.next, struct block, in_age));
}

static struct block *new_block(struct recent *recent, struct route *route) {
    route->block_count++; /* so that it stays if its oldest block is taken */
    struct block *block = free_block(recent, route);
    block->route = route;
    block->begin_bytes = route->content_bytes;
    block->used = 0;
    mux_list_append(&recent->ages, &block->in_age);
    mux_list_append(&route->blocks, &block->in_route);
    return block;
}

/* The route of this name, new if need be: the caller gives it a block. */
static struct route *route_of(struct recent *recent, struct mux_span name) {
    uint64_t hash = mux_hash(recent->key, name);
    struct route **at = find(recent, hash), *route = *at;
    if (route)
        return route;
    if (!recent->free_routes) /* each of them has one block: the oldest one's goes */
        mux_list_append(
            &recent->free,
            &take_back(recent, MUX_LIST_ITEM(recent->ages.next, struct block, in_age))->in_age);
    at = find(recent, hash);
    route = recent->free_routes;
    recent->free_routes = route->next;
    *route = (struct route){.hash = hash, .next = *at};
    mux_list_init(&route->blocks);
    *at = route;
    return route;
}

static size_t room_in(const struct block *block) {
    size_t left = RECENT_BLOCK_BYTES - block->used;
    return left > sizeof(struct head) ? left - sizeof(struct head) : 0;
}

/* It fits, and readers accept it. */
static void put(struct block *block, const struct mux_packet *packet) {
    uint8_t *at = block->bytes + block->used;
    size_t written;
    enum mux_error error =
        mux_packet_encode(packet, at + sizeof(struct head), room_in(block), &written);
    assert(!error);
    (void)error;
    const struct head head = {(uint16_t)written, (uint16_t)packet->file_content.len};
    memcpy(at, &head, sizeof head);
    block->used += sizeof head + written;
    block->route->content_bytes += packet->file_content.len;
}

/* What is beside the content of a packet, at most. */
static size_t frame_bytes(const struct mux_packet *packet) {
    return packet->route.len + packet->file_name.len + packet->mime.len + 64;
}

static struct block *last_block(const struct route *route) {
    return mux_list_empty(&route->blocks)
               ? NULL
               : MUX_LIST_ITEM(route->blocks.prev, struct block, in_route);
}

/* Puts the first bytes of the content, those that fit; returns how many. */
static size_t put_piece(struct recent *recent, struct route *route, struct mux_packet *piece,
                        bool eof, enum mux_status status) {
    struct mux_span rest = piece->file_content;
    struct block *block = last_block(route);
    size_t frame = frame_bytes(piece);
    bool fits = block && room_in(block) >= frame + rest.len;
    if (!block || (!fits && room_in(block) < frame + PIECE_LEAST_BYTES))
        block = new_block(recent, route);
    size_t most = room_in(block) - frame;
    bool is_last = rest.len <= most;
    piece->file_content.len = is_last ? rest.len : most;
    piece->eof = is_last && eof;
    piece->status = is_last ? status : MUX_STATUS_NONE;
    put(block, piece);
    size_t len = piece->file_content.len;
    piece->file_content = rest;
    return len;
}

static bool is_acceptable(const struct mux_packet *packet) {
    return packet->file_name.data && frame_bytes(packet) + PIECE_LEAST_BYTES < RECENT_BLOCK_BYTES &&
           !mux_string_check(packet->route) && !mux_string_check(packet->file_name) &&
           !mux_string_check(packet->mime);
}

void recent_add(struct recent *recent, const struct mux_packet *packet) {
    const size_t most = (size_t)RECENT_ROUTE_BLOCKS * RECENT_BLOCK_BYTES;
    struct mux_packet piece = *packet;
    if (!is_acceptable(packet))
        return;
    piece.has_tags = false;
    piece.tags = mux_span(NULL, 0);
    if (piece.file_content.len > most) {
        size_t cut = piece.file_content.len - most;
        piece.file_content = mux_span(piece.file_content.data + cut, most);
    }
    struct route *route = route_of(recent, packet->route);
    do {
        size_t len = put_piece(recent, route, &piece, packet->eof, packet->status);
        piece.file_content = mux_span(piece.file_content.data + len, piece.file_content.len - len);
    } while (piece.file_content.len);
}

/*
 * ---- reading ----
 */

static struct mux_span packet_at(const struct block *block, size_t at, struct head *head) {
    memcpy(head, block->bytes + at, sizeof *head);
    return mux_span(block->bytes + at + sizeof *head, head->packet_bytes);
}

static bool is_wanted(const struct block *block, const struct recent_reader *reader) {
    struct head head;
    struct mux_packet packet;
    enum mux_error error = mux_packet_parse(packet_at(block, 0, &head), &packet, NULL);
    assert(!error);
    (void)error;
    return reader->wants(reader->user, packet.route);
}

static void give_block(const struct block *block, const struct recent_reader *reader,
                       uint64_t content_bytes) {
    uint64_t at_bytes = block->begin_bytes;
    struct head head;
    for (size_t at = 0; at < block->used; at += sizeof head + head.packet_bytes) {
        struct mux_span packet = packet_at(block, at, &head);
        at_bytes += head.content_bytes;
        if (block->route->content_bytes - at_bytes < content_bytes)
            reader->give(reader->user, packet);
    }
}

void recent_read(const struct recent *recent, const struct recent_reader *reader,
                 uint64_t content_bytes, size_t most_bytes) {
    const struct mux_list *at = &recent->ages;
    size_t bytes = 0;
    while (at->prev != &recent->ages) {
        const struct block *block = MUX_LIST_ITEM(at->prev, struct block, in_age);
        if (is_wanted(block, reader))
            bytes += block->used;
        if (bytes > most_bytes)
            break;
        at = at->prev;
    }
    for (; at != &recent->ages; at = at->next) {
        const struct block *block = MUX_LIST_ITEM(at, struct block, in_age);
        if (is_wanted(block, reader))
            give_block(block, reader, content_bytes);
    }
}
