/*
 * Views: clients of the control socket that look at the output of routes, and those that are
 * attached to one, whose input goes down to it. Of all that are attached to a route one writes: the
 * one that came first and is still there.
 */
#include "mux/packet/report.h"
#include "mux/packet/route.h"
#include "tools/node/control_internal.h"
#include "tools/node/node_internal.h"
#include "tools/node/route_glob.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a route in a log line or a message, which has room for its cause, too. */
#define ROUTE_SHOWN 200

/* What is said of refused input, for each client. */
#define REFUSALS_PER_SECOND 1
#define REFUSALS_BURST 2

/* The longest route of output that is shown: longer ones than packets' reports have are nobody's.
 */
#define ROUTE_MOST_BYTES MUX_REPORT_ROUTE_MAX_BYTES

/*
 * ---- who writes ----
 */

static bool is_attached_to(const struct control_client *client, const char *route) {
    return client->view && client->view->is_exact && client->state != CLIENT_CLOSING &&
           strcmp(client->view->route, route) == 0;
}

static struct control_client *writer_of(struct control *control, const char *route) {
    for (unsigned i = 0; i < CONTROL_CONNS_MAX; i++)
        if (is_attached_to(&control->clients[i], route) && control->clients[i].answer.view.writes)
            return &control->clients[i];
    return NULL;
}

static struct control_client *next_writer(struct control *control, const char *route) {
    struct control_client *next = NULL;
    for (unsigned i = 0; i < CONTROL_CONNS_MAX; i++) {
        struct control_client *client = &control->clients[i];
        if (is_attached_to(client, route) && (!next || client->attached < next->attached))
            next = client;
    }
    return next;
}

static void wake(struct control_client *client) {
    if (client->state == CLIENT_WATCHING && view_has_more(client->view))
        control_set_state(client, CLIENT_ANSWERING);
}

static void tell(struct control_client *client, enum mux_status status, const char *text) {
    view_say(client->view, status, text);
    wake(client);
}

/* A word that only this socket says, to a client that is attached. */
static void tell_word(struct control_client *client, const char *file, const char *text) {
    const struct mux_packet packet = {.runnable = true,
                                      .eof = true,
                                      .file_name = mux_span_text(file),
                                      .file_content = mux_span_text(text),
                                      .route = mux_span_text(client->view->route)};
    view_add(client->view, &packet);
    wake(client);
}

/* The client writes from now on. */
static void tell_writes(struct control_client *client) {
    tell_word(client, VIEW_WRITER_FILE, "the writer has gone\n");
}

/* What the client was sent is the past; the room that VIEW_RECENT_BYTES leaves is enough. */
static void tell_live(struct control_client *client) {
    tell_word(client, VIEW_LIVE_FILE, "what comes now is live\n");
}

static void log_attached(struct control_client *client) {
    char who[CONTROL_PEER_WORDS_BYTES], writer[CONTROL_PEER_WORDS_BYTES];
    const struct control_view *view = &client->answer.view;
    control_peer_words(&client->peer, who);
    if (view->writes)
        node_log(client->control->config.node,
                 "control socket: %s attached to %.*s and writes to it", who, ROUTE_SHOWN,
                 client->view->route);
    else
        node_log(client->control->config.node,
                 "control socket: %s attached to %.*s, to which %s writes", who, ROUTE_SHOWN,
                 client->view->route, control_peer_words(&view->writer, writer));
}

static void log_detached(struct control_client *client) {
    char who[CONTROL_PEER_WORDS_BYTES];
    node_log(client->control->config.node,
             "control socket: %s detached from %.*s, to which it wrote %" PRIu64 " bytes",
             control_peer_words(&client->peer, who), ROUTE_SHOWN, client->view->route,
             client->input->sent_bytes);
}

/* The writer has gone: the next one writes. */
static void pass_on(struct control *control, const char *route) {
    char who[CONTROL_PEER_WORDS_BYTES];
    struct control_client *next = next_writer(control, route);
    if (!next)
        return;
    next->answer.view.writes = true;
    node_log(control->config.node, "control socket: %s writes to %.*s now",
             control_peer_words(&next->peer, who), ROUTE_SHOWN, route);
    if (next->view_state == CLIENT_VIEW_OPEN)
        tell_writes(next);
}

/*
 * ---- requests ----
 */

/* "NUMBER REST": sets both. */
static bool take_number(const char *text, uint64_t *number, const char **rest) {
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 9 || text[digits] != ' ')
        return false;
    *number = strtoull(text, NULL, 10);
    *rest = text + digits + 1;
    return true;
}

static bool make_view(struct control_client *client, struct mux_span route, bool is_attach) {
    client->view = view_create(route, is_attach);
    if (!client->view)
        return false;
    if (!is_attach)
        return true;
    client->input = calloc(1, sizeof *client->input);
    if (!client->input)
        return false;
    client->input->refusals = mux_limiter_init(REFUSALS_PER_SECOND, REFUSALS_BURST);
    mux_framer_init(&client->input->framer,
                    (struct mux_room){client->input->store, sizeof client->input->store});
    return true;
}

/* Why this route cannot be attached to; NULL: it can. */
static const char *why_not(const struct control_client *client, struct mux_span route) {
    if (route.len == 0)
        return "attach to which route? attach LAST ROUTE";
    if (!route_is_whole(route))
        return ROUTE_NOT_WHOLE;
    return node_down_obstacle(client->control->config.node, route);
}

static void decide_writer(struct control_client *client) {
    struct control_view *view = &client->answer.view;
    struct control_client *writer = writer_of(client->control, client->view->route);
    view->writes = view->is_attach && !writer;
    view->writer = writer ? writer->peer : (struct control_peer){false};
    client->attached = ++client->control->attached;
}

bool control_ask_view(struct control_client *client, const char *line) {
    static const char tail[] = "tail ", attach[] = "attach ";
    bool is_attach = strncmp(line, attach, sizeof attach - 1) == 0;
    const char *rest, *obstacle = NULL;
    if (!is_attach && strncmp(line, tail, sizeof tail - 1) != 0)
        return false;
    if (!take_number(line + (is_attach ? sizeof attach : sizeof tail) - 1, &client->recent_bytes,
                     &rest))
        return false;
    struct mux_span route = mux_span_text(rest);
    if (route.len > VIEW_ROUTE_BYTES)
        obstacle = "this route is too long for a view";
    else if (is_attach)
        obstacle = why_not(client, route);
    if (obstacle) {
        control_refuse(client, obstacle);
        return true;
    }
    client->peer = control_peer_of(client->conn);
    if (!make_view(client, route, is_attach)) {
        control_free_view(client);
        control_refuse(client, "there is no memory for a view");
        return true;
    }
    client->view_state = CLIENT_VIEW_ASKED;
    client->control->views++;
    control_begin_answer(client, CONTROL_VIEW);
    client->answer.view.is_attach = is_attach;
    decide_writer(client);
    return true;
}

/*
 * ---- output ----
 */

static bool reader_wants(void *user, struct mux_span route) {
    return view_wants(user, route);
}

static void reader_gives(void *user, struct mux_span packet) {
    view_add_bytes(user, packet);
}

void control_begin_view(struct control_client *client) {
    struct recent_reader reader = {client->view, reader_wants, reader_gives};
    client->view_state = CLIENT_VIEW_OPEN;
    if (client->input)
        log_attached(client);
    if (client->recent_bytes)
        recent_read(client->control->recent, &reader, client->recent_bytes, VIEW_RECENT_BYTES);
    if (client->recent_bytes && client->input)
        tell_live(client);
    control_set_state(client, view_has_more(client->view) ? CLIENT_ANSWERING : CLIENT_WATCHING);
    if (client->request_len)
        control_view_received(client, mux_span(client->request, client->request_len), NULL);
    else
        control_receive(client);
}

void control_view_sent(struct control_client *client) {
    view_sent(client->view);
    if (view_has_more(client->view))
        control_set_state(client, CLIENT_ANSWERING);
    else if (client->is_last)
        control_close_client(client);
    else
        control_set_state(client, CLIENT_WATCHING);
}

static void show_to(struct control_client *client, const struct mux_packet *packet) {
    uint64_t missed = client->view->missed_total_bytes;
    view_add(client->view, packet);
    NODE_COUNT(client->control->config.node, view_missed_bytes,
               client->view->missed_total_bytes - missed);
    wake(client);
}

/* With the segment in front. False: it is too long. */
static bool full_route(const char *segment, struct mux_span *route, uint8_t out[ROUTE_MOST_BYTES]) {
    struct mux_span front = mux_span_text(segment);
    if (mux_route_joined_bytes(front, *route) > ROUTE_MOST_BYTES)
        return false;
    *route = mux_route_join(front, *route, (struct mux_room){out, ROUTE_MOST_BYTES});
    return true;
}

/* Messages between nodes, which are no output; and what only the control socket itself may say. */
static bool is_of_nodes(const struct mux_packet *packet) {
    struct mux_span file = packet->file_name;
    return packet->status == MUX_STATUS_NONE &&
           (mux_span_equal(file, mux_span_text(ORDER_FILE)) ||
            mux_span_equal(file, mux_span_text(MESSAGE_WANT_FILE)) ||
            mux_span_equal(file, mux_span_text(VIEW_WRITER_FILE)) ||
            mux_span_equal(file, mux_span_text(VIEW_LIVE_FILE)));
}

/* Output on its way up: it is remembered, and shown to those who look. */
static void show(void *user, const char *segment, const struct mux_packet *packet) {
    struct control *control = user;
    struct mux_packet routed = *packet;
    uint8_t route[ROUTE_MOST_BYTES];
    if (!full_route(segment, &routed.route, route))
        return;
    if (is_of_nodes(packet)) {
        control_hear(control, &routed);
        return;
    }
    recent_add(control->recent, &routed);
    for (unsigned i = 0; control->views && i < CONTROL_CONNS_MAX; i++) {
        struct control_client *client = &control->clients[i];
        if (client->view_state == CLIENT_VIEW_OPEN && client->state != CLIENT_CLOSING)
            show_to(client, &routed);
    }
}

/* A node further down has ended. */
static void forget(void *user, const char *segment, struct mux_span route) {
    uint8_t full[ROUTE_MOST_BYTES];
    if (full_route(segment, &route, full))
        control_forget(user, route);
}

/*
 * ---- input ----
 */

/* Says why input goes nowhere; every byte of it is counted. */
static void refuse_input(struct control_client *client, size_t len, const char *why) {
    NODE_COUNT(client->control->config.node, view_refused_bytes, len);
    if (mux_limiter_allow(&client->input->refusals, client->control->now_ns))
        tell(client, MUX_STATUS_FAIL, why);
}

/* What it sends can no longer be understood: it is told, and goes. */
static void refuse_client(struct control_client *client, const char *why) {
    client->is_last = true;
    tell(client, MUX_STATUS_FAIL, why);
    if (client->state == CLIENT_WATCHING)
        control_close_client(client);
}

static bool is_input(const struct mux_packet *packet) {
    return mux_span_equal(packet->file_name, mux_span_text("stdin")) ||
           mux_span_equal(packet->file_name, mux_span_text(VIEW_WINDOW_FILE));
}

/* False: the way down has no room for it now. */
static bool send_down(struct control_client *client, const struct mux_packet *packet) {
    struct node *node = client->control->config.node;
    struct mux_span route = mux_span_text(client->view->route);
    const struct mux_packet down = {.runnable = true,
                                    .eof = packet->eof,
                                    .mime = packet->mime,
                                    .file_name = packet->file_name,
                                    .file_content = packet->file_content,
                                    .route = route};
    char why[256];
    const char *obstacle = node_down_obstacle(node, route);
    if (!client->answer.view.writes || !is_input(packet)) {
        refuse_input(client, packet->file_content.len,
                     is_input(packet) ? "somebody else writes: what you type is dropped"
                                      : "expected packets with file stdin or muxd.window");
        return true;
    }
    if (obstacle) {
        snprintf(why, sizeof why, "what you type is dropped: %s", obstacle);
        refuse_input(client, packet->file_content.len, why);
        return true;
    }
    if (!node_add_down(node, &down))
        return false;
    NODE_COUNT(node, view_input_bytes, packet->file_content.len);
    client->input->sent_bytes += packet->file_content.len;
    return true;
}

static void set_waits(struct control_client *client, bool waits) {
    client->control->waiting += waits - client->input->waits;
    client->input->waits = waits;
}

/* All that came is used up. */
static void use_next(struct control_client *client) {
    struct client_input *input = client->input;
    if (input->buffer)
        mux_buffer_release(input->buffer);
    input->buffer = NULL;
    control_receive(client);
}

static const char no_packets[] = "expected subunit packets";

/* Takes one frame. False: there is nothing to do now. */
static bool step(struct control_client *client) {
    struct client_input *input = client->input;
    if (!input->waits)
        mux_framer_next(&input->framer, &input->frame);
    switch (input->frame.kind) {
    case MUX_FRAME_NONE:
        if (mux_framer_chatter(&input->framer))
            refuse_client(client, no_packets);
        else
            use_next(client);
        return false;
    case MUX_FRAME_STORE:
        if (input->frame.store_bytes > sizeof input->store) {
            refuse_client(client, "a packet of input is too long");
            return false;
        }
        mux_framer_move(&input->framer, input->framer.store);
        return true;
    case MUX_FRAME_PACKET:
        set_waits(client, !send_down(client, &input->frame.packet));
        return !input->waits;
    case MUX_FRAME_CHATTER:
    case MUX_FRAME_DAMAGE:
        refuse_client(client, no_packets);
        return false;
    }
    return false;
}

void control_view_received(struct control_client *client, struct mux_span bytes,
                           struct mux_buffer *buffer) {
    struct client_input *input = client->input;
    if (!input || client->is_last) {
        if (buffer)
            mux_buffer_release(buffer);
        if (!client->is_last) {
            client->is_last = true;
            tell(client, MUX_STATUS_FAIL, "a tail takes no input");
        }
        return;
    }
    input->buffer = buffer;
    mux_framer_feed(&input->framer, bytes);
    while (step(client))
        ;
}

void control_work_views(struct control *control) {
    for (unsigned i = 0; control->waiting && i < CONTROL_CONNS_MAX; i++) {
        struct control_client *client = &control->clients[i];
        if (client->input && client->input->waits)
            while (step(client))
                ;
    }
}

/*
 * ---- life ----
 */

void control_leave_view(struct control_client *client) {
    if (!client->view || client->view_state == CLIENT_VIEW_NONE)
        return;
    bool wrote = client->answer.view.writes;
    if (client->input)
        set_waits(client, false);
    if (client->input && client->view_state == CLIENT_VIEW_OPEN)
        log_detached(client);
    client->view_state = CLIENT_VIEW_NONE;
    client->control->views--;
    client->answer.view.writes = false;
    client->view->is_exact = false; /* it is attached to nothing */
    if (wrote)
        pass_on(client->control, client->view->route);
}

void control_free_view(struct control_client *client) {
    if (client->input && client->input->buffer)
        mux_buffer_release(client->input->buffer);
    free(client->input);
    view_destroy(client->view);
    client->input = NULL;
    client->view = NULL;
}

bool control_open_views(struct control *control) {
    control->recent = recent_create(control->config.node->config.mux.hash_key);
    if (!control->recent)
        return false;
    node_show_output(control->config.node, show, control);
    node_show_gone(control->config.node, forget, control);
    return true;
}

void control_close_views(struct control *control) {
    node_show_output(control->config.node, NULL, NULL);
    node_show_gone(control->config.node, NULL, NULL);
    recent_destroy(control->recent);
}
