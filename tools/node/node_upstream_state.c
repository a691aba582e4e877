#include "tools/node/node_internal.h"

#include <assert.h>

/* follows[state]: the states that may come next, as bits. */
#define BIT(state) (1u << (state))

/* An upstream that is no node works when it is connected: between two looks it may be lost. */
static const unsigned state_follows[] = {
    [NODE_UPSTREAM_APART] = BIT(NODE_UPSTREAM_GREETING) | BIT(NODE_UPSTREAM_FAILED),
    [NODE_UPSTREAM_GREETING] = BIT(NODE_UPSTREAM_WORKING) | BIT(NODE_UPSTREAM_CLOSING),
    [NODE_UPSTREAM_WORKING] = BIT(NODE_UPSTREAM_CLOSING),
    [NODE_UPSTREAM_CLOSING] = BIT(NODE_UPSTREAM_APART),
    [NODE_UPSTREAM_FAILED] = 0,
};

static const unsigned up_follows[] = {
    [NODE_UP_IDLE] = BIT(NODE_UP_SENDING) | BIT(NODE_UP_FINISHED),
    [NODE_UP_SENDING] = BIT(NODE_UP_IDLE),
    [NODE_UP_FINISHED] = 0,
};

static const unsigned down_follows[] = {
    [NODE_DOWN_PAUSED] = BIT(NODE_DOWN_RECEIVING) | BIT(NODE_DOWN_ENDED),
    [NODE_DOWN_RECEIVING] = BIT(NODE_DOWN_PAUSED) | BIT(NODE_DOWN_ENDED),
    [NODE_DOWN_ENDED] = 0,
};

void node_upstream_set_state(struct node_upstream *up, enum node_upstream_state state) {
    assert(state_follows[up->state] & BIT(state));
    up->state = state;
}

void node_upstream_set_up(struct node_upstream *up, enum node_upstream_up way) {
    assert(up_follows[up->up] & BIT(way));
    up->up = way;
}

void node_upstream_set_down(struct node_upstream *up, enum node_upstream_down way) {
    assert(down_follows[up->down] & BIT(way));
    up->down = way;
}

void node_upstream_set_next(struct node_upstream *up, enum node_upstream_next next) {
    assert(up->conn);
    up->next = next;
}

void node_upstream_raise_doubt(struct node_upstream *up, enum node_upstream_doubt doubt) {
    if (doubt > up->doubt)
        up->doubt = doubt;
}

void node_upstream_part(struct node_upstream *up) {
    node_upstream_set_state(up, NODE_UPSTREAM_APART);
    up->conn = NULL;
    up->up = NODE_UP_IDLE;
    up->down = NODE_DOWN_PAUSED;
    up->next = NODE_NEXT_RETRY;
    up->has_sent = false;
}

bool node_upstream_is_connected(const struct node_upstream *up) {
    return up->state == NODE_UPSTREAM_GREETING || up->state == NODE_UPSTREAM_WORKING;
}

void node_upstream_sane(const struct node_upstream *up) {
    bool is_apart = up->state == NODE_UPSTREAM_APART || up->state == NODE_UPSTREAM_FAILED;
    assert(is_apart == (up->conn == NULL));
    if (is_apart) {
        assert(up->up == NODE_UP_IDLE && up->down == NODE_DOWN_PAUSED);
        assert(up->next == NODE_NEXT_RETRY && !up->has_sent);
    } else {
        assert(up->retry_at_ns == UINT64_MAX && up->dialer.state != DIALER_TRYING);
    }
    assert(up->state != NODE_UPSTREAM_FAILED || up->retry_at_ns == UINT64_MAX);
}
