/*
 * Orders to a node of the tree (order.h): those that are for the node itself, those that it carries
 * out for a link below it (kick), and whether orders and jobs from above are taken at all. A
 * service beside the node on the same loop.
 *
 * A node that drains passes that on to every node and agent below it, also to those that come
 * later, and says so upwards: when it begins or ends, and every 10 s. It drains by an order of its
 * own, or while the node above it drains; that is over when the connection to that node is lost.
 */
#ifndef TOOLS_NODE_ORDERS_H
#define TOOLS_NODE_ORDERS_H

#include "mux/limiter.h"
#include "tools/base/loop.h"
#include "tools/node/answer.h"
#include "tools/node/node.h"
#include "tools/node/order.h"

/* Answers that wait for room on the way up; with more, the way down waits. */
#define ORDERS_ANSWERS_MAX 64

/* One: to an order, or to a job that does not go on from here. */
struct orders_answer {
    bool is_job;
    const char *why; /* of a job */
    struct order_answer order;
    struct answer_names names; /* likewise */
};

struct orders_config {
    struct loop *loop;
    struct node *node; /* set by orders_open() */
    /* NULL, or why orders and jobs from above are dropped: a clause. */
    const char *distrust;
};

struct orders {
    struct loop_client base;
    struct orders_config config;
    struct orders_answer answers[ORDERS_ANSWERS_MAX]; /* in order */
    unsigned answer_count;
    bool drains;       /* by an order */
    bool drains_above; /* the node above does */
    bool is_reached;   /* there is an upstream */
    bool is_news_due;
    bool has_stop;      /* one from above is to be carried out */
    bool has_refusal;   /* one without an id is to be said upwards */
    unsigned told;      /* the state that nodes below are to know, a number; 0: none ever */
    bool is_telling;    /* some do not know it yet */
    uint64_t connected; /* nodes that had said hello when they were last told */
    uint64_t news_ns;   /* when the news are repeated */
    uint64_t retry_ns;  /* when what found no room is tried again; UINT64_MAX: nothing */
    struct order stop;
    struct mux_limiter lines, messages; /* about what is refused */
    char refusal[READ_WHY_BYTES + 64];
};

/* Before the node is made, whose take() is orders_take(). */
void orders_init(struct orders *orders, const struct orders_config *config);

/* Joins the loop, behind the node. */
void orders_open(struct orders *orders, struct node *node);

/* node_config.take: its user is the orders. */
enum mux_taking orders_take(struct orders *orders, const struct mux_packet *packet);

/* An order to this node itself; not while the core works. NULL: it is done; else why not, a clause.
 */
const char *orders_obey(struct orders *orders, const struct order *order);

/* Does this node drain? */
bool orders_drain(const struct orders *orders);

#endif
