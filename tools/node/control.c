#include "tools/node/control_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Most bytes a second for all clients together, and most at once when they were quiet: some
 * thousandths of a core, and a piece for each of a few clients in one step. */
#define BYTES_PER_SECOND UINT64_C(8388608)
#define BURST_BYTES UINT64_C(65536)
/* What the smallest piece counts for: it costs a system call. */
#define CHARGE_LEAST_BYTES 2048

/* A client that has been idle for this time gives its place to a new one. */
#define IDLE_NS UINT64_C(10000000000)

_Static_assert(IDLE_NS == UINT64_C(10000000000), "as a message below says");

#define NS_PER_SECOND UINT64_C(1000000000)

/*
 * ---- a client's states ----
 */

void control_set_state(struct control_client *client, enum client_state state) {
    if (client->state == CLIENT_ANSWERING)
        mux_list_remove(&client->turn);
    client->control->ordering -= client->state == CLIENT_ORDERING;
    client->control->ordering += state == CLIENT_ORDERING;
    client->state = state;
    if (state == CLIENT_ANSWERING)
        mux_list_append(&client->control->turns, &client->turn);
}

void control_close_client(struct control_client *client) {
    if (client->state == CLIENT_CLOSING)
        return;
    control_leave_view(client);
    control_set_state(client, CLIENT_CLOSING);
    transport_close(client->conn);
}

void control_begin_answer(struct control_client *client, enum control_request request) {
    control_answer_begin(&client->answer, request);
    client->answer.drains = &client->control->drains;
    control_set_state(client, CLIENT_ANSWERING);
}

void control_refuse(struct control_client *client, const char *why) {
    control_begin_answer(client, CONTROL_ERROR);
    client->answer.error = why;
    client->is_last = true;
}

static void take_line(struct control_client *client, const char *line) {
    static const char *const names[] = {"status", "links", "counters"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(line, names[i]) == 0) {
            control_begin_answer(client, (enum control_request)i);
            return;
        }
    if (!control_ask_view(client, line) && !control_ask_order(client, line))
        control_refuse(client, "expected a line with status, links, counters, tail LAST PATTERN, "
                               "attach LAST ROUTE, or drain, undrain, kick or stop and a ROUTE");
}

void control_receive(struct control_client *client) {
    transport_receive(client->conn, true);
    transport_receive_into(client->conn, (struct mux_room){client->room, sizeof client->room});
}

/* Takes the next whole line, or goes on reading. */
static void next_request(struct control_client *client) {
    char line[CONTROL_REQUEST_BYTES];
    const char *newline = memchr(client->request, '\n', client->request_len);
    if (newline) {
        size_t len = (size_t)(newline - client->request);
        memcpy(line, client->request, len);
        line[len] = '\0';
        client->request_len -= len + 1;
        memmove(client->request, newline + 1, client->request_len);
        if (len > 0 && line[len - 1] == '\r')
            line[len - 1] = '\0';
        take_line(client, line);
    } else if (client->is_over && !client->fault && client->request_len == 0) {
        control_close_client(client);
    } else if (client->is_over) {
        control_refuse(client, client->fault ? client->fault : "a request ends with a newline");
    } else {
        control_set_state(client, CLIENT_READING);
        control_receive(client);
    }
}

/*
 * ---- events ----
 */

static void received(struct control_client *client, const struct transport_event *event) {
    struct mux_span bytes = event->bytes;
    if (event->buffer)
        transport_receive(client->conn, false); /* the offer has lapsed */
    if (client->view_state == CLIENT_VIEW_OPEN) {
        control_view_received(client, bytes, event->buffer);
        return;
    }
    bool is_heard = !client->is_last && !client->is_over;
    bool fits = bytes.len <= sizeof client->request - client->request_len;
    if (is_heard && fits) {
        memcpy(client->request + client->request_len, bytes.data, bytes.len);
        client->request_len += bytes.len;
    }
    if (event->buffer)
        mux_buffer_release(event->buffer);
    bool has_line = memchr(client->request, '\n', client->request_len);
    if (!is_heard)
        return;
    if (!fits || (!has_line && client->request_len == sizeof client->request)) {
        client->is_over = true;
        client->request_len = 0;
        client->fault = "a request is too long, or too many came at once";
    }
    if (client->state == CLIENT_READING)
        next_request(client);
}

static void ended(struct control_client *client) {
    client->is_over = true;
    if (client->view_state == CLIENT_VIEW_OPEN)
        control_close_client(client); /* it looks no more */
    else if (client->state == CLIENT_READING)
        next_request(client);
}

static void sent(struct control_client *client) {
    if (client->state == CLIENT_CLOSING)
        return;
    if (client->view_state == CLIENT_VIEW_OPEN)
        control_view_sent(client);
    else if (!client->is_done)
        control_set_state(client, CLIENT_ANSWERING);
    else if (client->view && client->is_over)
        control_close_client(client);
    else if (client->view)
        control_begin_view(client);
    else if (client->is_last)
        control_close_client(client);
    else
        next_request(client);
}

static void handle_client(struct loop_handler *handler, const struct transport_event *event,
                          uint64_t now_ns) {
    struct control_client *client = LOOP_OWNER(handler, struct control_client, base);
    client->acted_ns = client->control->now_ns = now_ns;
    switch (event->kind) {
    case TRANSPORT_RECEIVED:
        if (client->state != CLIENT_CLOSING)
            received(client, event);
        else if (event->buffer)
            mux_buffer_release(event->buffer);
        break;
    case TRANSPORT_SENT:
        sent(client);
        break;
    case TRANSPORT_ENDED:
        ended(client);
        break;
    case TRANSPORT_LOST:
        control_close_client(client);
        break;
    case TRANSPORT_CLOSED:
        control_free_view(client);
        control_set_state(client, CLIENT_FREE);
        client->control->open--;
        break;
    default:
        break;
    }
}

/*
 * ---- coming and going ----
 */

static struct control_client *free_place(struct control *control) {
    for (unsigned i = 0; i < CONTROL_CONNS_MAX; i++)
        if (control->clients[i].state == CLIENT_FREE)
            return &control->clients[i];
    return NULL;
}

static const char too_many[] = "too many clients are connected: try again";

static unsigned served(const struct control *control) {
    unsigned count = 0;
    for (unsigned i = 0; i < CONTROL_CONNS_MAX; i++) {
        const struct control_client *client = &control->clients[i];
        count +=
            client->state != CLIENT_FREE && client->state != CLIENT_CLOSING && !client->is_last;
    }
    return count;
}

/* Half a request, or an answer that is not read: somebody else may need the place. */
static bool evict_idle(struct control *control, uint64_t now_ns) {
    struct control_client *idlest = NULL;
    for (unsigned i = 0; i < CONTROL_CONNS_MAX; i++) {
        struct control_client *client = &control->clients[i];
        if ((client->state == CLIENT_READING || client->state == CLIENT_SENDING) &&
            now_ns - client->acted_ns >= IDLE_NS &&
            (!idlest || client->acted_ns < idlest->acted_ns))
            idlest = client;
    }
    if (idlest && idlest->state == CLIENT_READING)
        control_refuse(idlest, "nothing was asked for 10 s, and others wait for the place");
    else if (idlest)
        control_close_client(idlest);
    return idlest != NULL;
}

static void say_refused(struct control *control, uint64_t now_ns) {
    if (mux_limiter_allow(&control->refusals, now_ns))
        node_log(control->config.node,
                 "control socket: %u clients are connected: one more is refused",
                 CONTROL_CLIENTS_MAX);
}

static void accepted(struct control *control, struct transport_conn *conn, uint64_t now_ns) {
    struct control_client *client = free_place(control);
    bool has_room = served(control) < CONTROL_CLIENTS_MAX || evict_idle(control, now_ns);
    if (!has_room)
        say_refused(control, now_ns);
    if (!client) {
        control_say(conn, too_many);
        loop_abandon(control->config.loop, conn);
        return;
    }
    client->base.handle = handle_client;
    client->control = control;
    client->conn = conn;
    client->acted_ns = now_ns;
    client->request_len = 0;
    client->fault = NULL;
    client->is_last = client->is_over = client->is_done = false;
    client->view_state = CLIENT_VIEW_NONE;
    mux_list_init(&client->turn);
    control->open++;
    loop_own(conn, &client->base);
    if (has_room)
        next_request(client);
    else
        control_refuse(client, too_many);
}

static void handle_listening(struct loop_handler *handler, const struct transport_event *event,
                             uint64_t now_ns) {
    struct control *control = LOOP_OWNER(handler, struct control, listening);
    if (event->kind == TRANSPORT_ACCEPTED)
        accepted(control, event->conn, now_ns);
    else
        say_refused(control, now_ns);
}

/*
 * ---- turns: a piece each, as the budget allows ----
 */

static void fill_budget(struct control *control, uint64_t now_ns) {
    uint64_t since_ns = now_ns - control->budget_ns;
    if (since_ns > NS_PER_SECOND)
        since_ns = NS_PER_SECOND;
    control->budget_bytes += since_ns * BYTES_PER_SECOND / NS_PER_SECOND;
    if (control->budget_bytes > BURST_BYTES)
        control->budget_bytes = BURST_BYTES;
    control->budget_ns = now_ns;
}

static void spend(struct control *control, size_t len) {
    size_t charge = len > CHARGE_LEAST_BYTES ? len : CHARGE_LEAST_BYTES;
    control->budget_bytes -= charge < control->budget_bytes ? charge : control->budget_bytes;
}

static void send_view(struct control_client *client) {
    const struct mux_gather *gather = view_take(client->view, CONTROL_PIECE_BYTES);
    spend(client->control, gather->len_bytes);
    control_set_state(client, CLIENT_SENDING);
    transport_send(client->conn, gather);
}

static void make_piece(struct control_client *client) {
    struct control *control = client->control;
    struct json json;
    json_put_start(&json, client->piece, sizeof client->piece);
    json.needs_comma = client->answer.needs_comma;
    client->is_done = control_answer_go_on(&client->answer, &control->config, &json);
    client->answer.needs_comma = json.needs_comma;
    size_t len = json_len(&json);
    spend(control, len);
    if (len == 0) { /* it has only counted so far */
        control_set_state(client, CLIENT_ANSWERING);
        return;
    }
    client->span = mux_span(client->piece, len);
    client->gather = (struct mux_gather){&client->span, 1, len};
    control_set_state(client, CLIENT_SENDING);
    transport_send(client->conn, &client->gather);
}

static void work(struct loop_client *base, uint64_t now_ns) {
    struct control *control = LOOP_OWNER(base, struct control, base);
    control->now_ns = now_ns;
    control_work_views(control);
    control_work_orders(control);
    if (mux_list_empty(&control->turns))
        return;
    fill_budget(control, now_ns);
    while (!mux_list_empty(&control->turns) && control->budget_bytes >= CHARGE_LEAST_BYTES) {
        struct control_client *client =
            LOOP_OWNER(control->turns.next, struct control_client, turn);
        if (client->view_state == CLIENT_VIEW_OPEN)
            send_view(client);
        else
            make_piece(client);
    }
}

/* When there is something to make, and the budget for it. */
static uint64_t deadline_ns(const struct loop_client *base) {
    const struct control *control = LOOP_OWNER(base, struct control, base);
    if (mux_list_empty(&control->turns))
        return control_orders_deadline_ns(control);
    if (control->budget_bytes >= CHARGE_LEAST_BYTES)
        return 0;
    return control->budget_ns + CHARGE_LEAST_BYTES * NS_PER_SECOND / BYTES_PER_SECOND;
}

/*
 * ---- life ----
 */

struct control *control_open(const struct control_config *config,
                             struct transport_failure *failure) {
    struct transport_address bound;
    struct control *control = calloc(1, sizeof *control);
    *failure = (struct transport_failure){.error = ENOMEM, .operation = "calloc"};
    if (!control)
        return NULL;
    control->config = *config;
    control->listening.handle = handle_listening;
    control->refusals = control->forgeries = mux_limiter_init(1, 1);
    mux_list_init(&control->turns);
    if (control_open_views(control))
        control->listener =
            loop_listen(config->loop, config->address, &control->listening, &bound, failure);
    if (!control->listener) {
        control_close_views(control);
        free(control);
        return NULL;
    }
    control->base = (struct loop_client){.deadline_ns = deadline_ns, .work = work};
    loop_join(config->loop, &control->base);
    return control;
}

void control_close(struct control *control) {
    if (control->listener)
        transport_unlisten(control->listener);
    control->listener = NULL;
    for (unsigned i = 0; i < CONTROL_CONNS_MAX; i++) {
        struct control_client *client = &control->clients[i];
        if (client->state == CLIENT_ORDERING)
            control_say(client->conn, "muxd has ended before there was an answer");
        if (client->state != CLIENT_FREE)
            control_close_client(client);
    }
}

bool control_is_closed(const struct control *control) {
    return !control->listener && control->open == 0;
}

void control_destroy(struct control *control) {
    loop_leave(&control->base);
    control_close_views(control);
    free(control);
}
