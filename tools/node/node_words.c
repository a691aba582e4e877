/*
 * Words that only nodes and agents may say. From a link that is none they are not passed on: nobody
 * further up could tell them from those of a node.
 */
#include "mux/packet/route.h"
#include "tools/node/node_internal.h"
#include "tools/node/order.h"
#include "tools/node/view.h"

static const char *const files[] = {ORDER_FILE, MESSAGE_JOB_FILE, MESSAGE_WANT_FILE, "muxd.node",
                                    VIEW_WRITER_FILE};

/* NULL: a worker may send it, such as the words of a mux exec about its command. */
static const char *forbidden_file(const struct mux_packet *packet) {
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++)
        if (mux_span_equal(packet->file_name, mux_span_text(files[i])))
            return files[i];
    return NULL;
}

static struct node_link *link_of(struct mux_link *link) {
    return link ? mux_link_user(link) : NULL;
}

void node_await_answer(struct node *node, struct mux_span route) {
    struct mux_span segment = mux_route_first(route);
    struct node_link *link =
        segment.len == route.len ? link_of(mux_link_find(node->mux, segment)) : NULL;
    if (link && link->answers_awaited < UINT8_MAX)
        link->answers_awaited++;
}

/* To an order that went to this link. A command takes no jobs, and so does not drain. */
static bool is_awaited_answer(struct node_link *link, const struct mux_packet *packet) {
    struct order_answer answer;
    char why[READ_WHY_BYTES];
    bool is_answer = link->answers_awaited && !packet->route.data &&
                     mux_span_equal(packet->file_name, mux_span_text(ORDER_FILE)) &&
                     order_answer_parse(packet->file_content, &answer, why) &&
                     answer.state != ORDER_NEWS && *answer.id && !answer.draining;
    link->answers_awaited -= is_answer;
    return is_answer;
}

bool node_refuses(struct node *node, struct mux_link *link, const struct mux_packet *packet) {
    const char *file = forbidden_file(packet);
    struct mux_link_stats stats;
    if (!file || is_awaited_answer(link_of(link), packet))
        return false;
    NODE_COUNT(node, orders_forged, 1);
    if (!mux_limiter_allow(&node->forgery_lines, node->now_ns))
        return true;
    mux_link_stats(link, &stats);
    node_log(node,
             "%s (link %s) has sent file %s, which only nodes and agents may send (they connect by "
             "mux:): it is not passed on",
             stats.peer, mux_link_segment(link), file);
    return true;
}
