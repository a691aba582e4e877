/*
 * Words that only nodes and agents may say. From a link that is none they are not passed on: nobody
 * further up could tell them from those of a node. A bare link's packets go up as this node's own,
 * so what its command prints may not have a word at all, unless that has a route further down.
 */
#include "mux/packet/report.h"
#include "mux/packet/route.h"
#include "tools/node/node_internal.h"
#include "tools/node/order.h"
#include "tools/node/view.h"

/* Of a file's name in a log line. */
#define FILE_SHOWN_BYTES 40

static const char *const files[] = {ORDER_FILE,  MESSAGE_JOB_FILE, MESSAGE_WANT_FILE,
                                    "muxd.node", VIEW_WRITER_FILE, VIEW_LIVE_FILE};

static struct node_link *link_of(struct mux_link *link) {
    return link ? mux_link_user(link) : NULL;
}

/* With its first byte any other link has got a segment. */
static bool is_bare(const struct mux_link *link) {
    return *mux_link_segment(link) == '\0';
}

/* Others a worker may send, such as the words of a mux exec about its command. */
static bool is_forbidden(const struct mux_link *link, const struct mux_packet *packet) {
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++)
        if (mux_span_equal(packet->file_name, mux_span_text(files[i])))
            return true;
    return is_bare(link) && !packet->route.data && mux_report_is_own_file(packet->file_name);
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

static void say_forged(struct node *node, struct mux_link *link, struct mux_span file) {
    struct mux_link_stats stats;
    int len = (int)(file.len < FILE_SHOWN_BYTES ? file.len : FILE_SHOWN_BYTES);
    mux_link_stats(link, &stats);
    if (is_bare(link))
        node_log(node,
                 "%s has printed a packet with file %.*s, which it may not say itself: it is not "
                 "passed on",
                 stats.peer, len, (const char *)file.data);
    else
        node_log(node,
                 "%s (link %s) has sent file %.*s, which only nodes and agents may send (they "
                 "connect by mux:): it is not passed on",
                 stats.peer, mux_link_segment(link), len, (const char *)file.data);
}

bool node_refuses(struct node *node, struct mux_link *link, const struct mux_packet *packet) {
    if (!is_forbidden(link, packet) || is_awaited_answer(link_of(link), packet))
        return false;
    NODE_COUNT(node, orders_forged, 1);
    if (mux_limiter_allow(&node->forgery_lines, node->now_ns))
        say_forged(node, link, packet->file_name);
    return true;
}
