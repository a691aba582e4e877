#include "tests/fuzz/node.h"

#include <stdio.h>
#include <stdlib.h>

/* The time of day when the node begins. */
#define NODE_WALL_NS INT64_C(1700000000000000000)

#define SETTLE_NS 10000000u
#define ROUNDS_MOST 100000 /* a node that needs more is in an endless loop */

/* Every run overwrites it and none clears it: the core must not depend on its content. */
static uint8_t memory[MUX_MEMORY_MIN_BYTES];

static void say(void *user, const char *line) {
    (void)user;
    assert(*line);
}

static void release(struct mux_buffer *buffer) {
    struct node *node = buffer->owner;
    node->buffers--;
    free(buffer->data);
    free(buffer);
}

static struct mux_buffer *lend(struct node *node, struct mux_span bytes, unsigned most) {
    if (node->buffers >= most)
        return NULL;
    struct mux_buffer *buffer = malloc(sizeof *buffer);
    assert(buffer);
    *buffer = (struct mux_buffer){copy_of(bytes), bytes.len, 1, release, node};
    node->buffers++;
    return buffer;
}

void node_open(struct node *node, const struct node_setup *setup) {
    *node = (struct node){.setup = *setup, .now_ns = 1};
    struct mux_config config = {
        .memory = {memory, sizeof memory},
        .links_max = NODE_LINKS,
        .inputs_max = NODE_INPUTS + NODE_RESERVE_INPUTS,
        .input_bytes_max = setup->input_bytes,
        .reference_least_bytes = setup->reference_least_bytes,
        .gather_max = setup->gather_max,
        .upstream_is_node = setup->upstream_is_node,
        .node_grace_ns = NODE_GRACE_NS,
        .clock_correct = setup->has_clock,
        .clock_stamp = setup->has_clock,
        .user = node,
        .log = say,
    };
    mux_hello_init(&config.hello, NODE_IDENTITY, "fuzzed");
    node->mux = mux_create(&config);
    assert(node->mux);
    if (setup->has_clock)
        mux_set_wall(node->mux, NODE_WALL_NS);
}

void node_close(struct node *node) {
    mux_destroy(node->mux);
    assert(node->buffers == 0);
    for (unsigned i = 0; i < node->past_count; i++)
        free(node->pasts[i].given.data);
    for (unsigned i = 0; i < NODE_LINKS; i++)
        free(node->peers[i].read.data);
    free(node->up.data);
}

uint64_t node_count(const struct node *node, enum mux_counter counter) {
    return mux_counters_of(node->mux)->value[counter];
}

/*
 * ---- peers ----
 */

void node_connect(struct node *node, struct peer *peer, bool way_down) {
    if (peer->link || node->past_count + NODE_LINKS > NODE_PASTS_MOST)
        return;
    struct mux_link_config config = {"peer", "host", way_down, peer};
    peer->link = mux_link_open(node->mux, &config); /* NULL: lost nodes still have their links */
    peer->ended = peer->sending = false;
}

bool node_give(struct node *node, struct peer *peer, struct mux_span bytes) {
    if (!peer->link || peer->ended || bytes.len == 0 || !mux_link_wants_receive(peer->link))
        return false;
    if (peer->offered.len) {
        bytes.len = bytes.len < peer->offered.len ? bytes.len : peer->offered.len;
        memcpy(peer->offered.data, bytes.data, bytes.len);
        mux_link_filled(peer->link, bytes.len, node->now_ns);
    } else {
        bytes.len = bytes.len < node->setup.input_bytes ? bytes.len : node->setup.input_bytes;
        struct mux_buffer *buffer = lend(node, bytes, NODE_INPUTS);
        if (!buffer) {
            mux_link_starved(peer->link);
            return false;
        }
        mux_link_received(peer->link, buffer, mux_span(buffer->data, bytes.len), node->now_ns);
    }
    peer->offered = (struct mux_room){NULL, 0};
    bytes_append(&peer->given, bytes);
    return true;
}

void node_offer(struct peer *peer) {
    if (peer->link && !peer->ended && !peer->offered.len && mux_link_wants_receive(peer->link))
        peer->offered = mux_link_offer(peer->link);
}

void node_end(struct peer *peer) {
    if (!peer->link || peer->ended)
        return;
    peer->ended = true;
    peer->offered = (struct mux_room){NULL, 0};
    mux_link_ended(peer->link, "its connection was closed");
}

/* Its link is finished. */
static void disconnect(struct node *node, struct peer *peer) {
    struct past *past = &node->pasts[node->past_count++];
    assert(peer->ended);
    *past = (struct past){.given = peer->given};
    snprintf(past->segment, sizeof past->segment, "%s", mux_link_segment(peer->link));
    peer->given = (struct bytes){0};
    mux_link_close(peer->link);
    peer->link = NULL;
}

void node_take(struct peer *peer) {
    const struct mux_gather *gather = peer->link ? mux_link_take(peer->link) : NULL;
    if (!gather)
        return;
    assert(!peer->sending);
    peer->sending = true;
    for (size_t i = 0; i < gather->count; i++)
        bytes_append(&peer->read, gather->spans[i]);
}

void node_sent(struct peer *peer) {
    if (peer->link && peer->sending)
        mux_link_sent(peer->link);
    peer->sending = false;
}

/*
 * ---- the upstream ----
 */

bool node_give_down(struct node *node, struct mux_span bytes) {
    if (bytes.len == 0 || !mux_upstream_wants_receive(node->mux))
        return false;
    struct mux_buffer *buffer = lend(node, bytes, NODE_INPUTS + NODE_RESERVE_INPUTS);
    if (buffer)
        mux_upstream_received(node->mux, buffer, mux_span(buffer->data, bytes.len));
    return buffer != NULL;
}

void node_up_connected(struct node *node) {
    if (node->flight)
        return;
    if (node->is_connected)
        node_up_lost(node, 0);
    node->is_connected = true;
    mux_upstream_connected(node->mux, true);
}

void node_up_take(struct node *node) {
    if (!node->flight)
        node->flight = mux_upstream_take(node->mux);
}

/* The length of the whole packets in the first `len` of `bytes`. */
static size_t whole(const struct bytes *bytes, size_t len) {
    size_t at = 0;
    uint32_t length, header_bytes;
    while (at < len) {
        struct mux_span rest = mux_span(bytes->data + at, bytes->len - at);
        enum mux_error error = mux_header_parse(rest, &length, &header_bytes);
        assert(!error && length <= rest.len); /* a gather list has whole packets */
        if (at + length > len)
            break;
        at += length;
    }
    return at;
}

static void read_up(struct node *node, size_t most) {
    struct bytes sent = {0};
    for (size_t i = 0; i < node->flight->count; i++)
        bytes_append(&sent, node->flight->spans[i]);
    assert(sent.len == node->flight->len_bytes);
    most = most < sent.len ? most : sent.len;
    bytes_append(&node->up, mux_span(sent.data, whole(&sent, most)));
    free(sent.data);
}

/* The answer of an upstream node to the hello. */
static void answer(struct node *node) {
    struct mux_hello hello;
    uint8_t out[MUX_HELLO_PACKET_BYTES];
    mux_hello_init(&hello, "f00d", "upstream");
    node_give_down(node, mux_span(out, mux_hello_write(&hello, out)));
}

void node_up_sent(struct node *node) {
    if (!node->flight)
        return;
    read_up(node, SIZE_MAX);
    node->flight = NULL;
    mux_upstream_sent(node->mux);
    if (!mux_upstream_accepted(node->mux))
        answer(node);
}

void node_up_lost(struct node *node, size_t sent_bytes) {
    size_t most = 0;
    if (node->flight) {
        most = sent_bytes < node->flight->len_bytes ? sent_bytes : node->flight->len_bytes;
        read_up(node, most);
    }
    node->flight = NULL;
    node->is_connected = false;
    mux_upstream_lost(node->mux, most, node->now_ns);
}

/*
 * ---- its turns ----
 */

void node_run(struct node *node) {
    struct mux_link *link;
    mux_run(node->mux, node->now_ns);
    if (mux_upstream_close_reason(node->mux))
        node_up_lost(node, 0);
    while ((link = mux_next_attention(node->mux))) {
        struct peer *peer = mux_link_user(link);
        assert(peer->link == link);
        if (mux_link_close_reason(link))
            node_end(peer);
        if (mux_link_finished(link))
            disconnect(node, peer);
        else if (node->setup.offers)
            node_offer(peer);
    }
}

static bool is_settled(const struct node *node) {
    for (unsigned i = 0; i < NODE_LINKS; i++)
        if (node->peers[i].link)
            return false;
    if (node_count(node, MUX_COUNT_links_open)) /* the mux waits for a lost node */
        return false;
    return !node->flight && !mux_upstream_pending_bytes(node->mux) && !mux_busy(node->mux);
}

void node_settle(struct node *node) {
    for (unsigned round = 0; !is_settled(node); round++) {
        assert(round < ROUNDS_MOST);
        node->now_ns += SETTLE_NS;
        for (unsigned i = 0; i < NODE_LINKS; i++) {
            node_end(&node->peers[i]);
            node_take(&node->peers[i]);
            node_sent(&node->peers[i]);
        }
        node_run(node);
        if (!mux_upstream_accepted(node->mux)) {
            node_up_lost(node, 0); /* it has half a packet that would contain the answer */
            node_up_connected(node);
        }
        node_up_take(node);
        node_up_sent(node);
    }
    for (unsigned round = 0; mux_upstream_leave(node->mux); round++) {
        assert(round < ROUNDS_MOST);
        node->now_ns += SETTLE_NS;
        node_up_take(node);
        node_up_sent(node);
        node_run(node); /* the answer to the hello may still be in flight */
    }
    assert(node->buffers == 0 || mux_down_pending_bytes(node->mux));
    assert(mux_unframed_bytes(node->mux) == 0);
    assert(node_count(node, MUX_COUNT_sent_bytes) == node_count(node, MUX_COUNT_forwarded_bytes));
}
