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

#define NS_PER_SECOND UINT64_C(1000000000)

enum client_state {
    CLIENT_FREE,
    CLIENT_READING,   /* a request is awaited */
    CLIENT_ANSWERING, /* it waits for its turn to get the next piece */
    CLIENT_SENDING,   /* a piece is in flight */
    CLIENT_CLOSING,   /* its last event is awaited */
};

struct client {
    struct loop_handler base;
    struct control *control;
    struct mux_list turn; /* in control->turns while ANSWERING */
    struct transport_conn *conn;
    enum client_state state;
    bool is_last;      /* closed after this answer */
    bool is_over;      /* the client sends no more requests */
    bool is_done;      /* the answer is whole with the piece in flight */
    uint64_t acted_ns; /* when it last sent a request or took a piece */
    struct control_answer answer;
    size_t request_len;
    char request[CONTROL_REQUEST_BYTES];
    uint8_t room[CONTROL_REQUEST_BYTES]; /* received into: no buffer of the node's is taken */
    struct mux_span span;
    struct mux_gather gather;
    char piece[CONTROL_PIECE_BYTES];
};

struct control {
    struct loop_client base;
    struct loop_handler listening;
    struct control_config config;
    struct transport_listener *listener; /* NULL: closed */
    struct mux_list turns;
    uint64_t budget_bytes, budget_ns; /* what may be made now; when that was right */
    struct mux_limiter refusals;      /* of log lines */
    unsigned open;                    /* clients, those that are being closed included */
    struct client clients[CONTROL_CONNS_MAX];
};

/*
 * ---- a client's states ----
 */

static void set_state(struct client *client, enum client_state state) {
    if (client->state == CLIENT_ANSWERING)
        mux_list_remove(&client->turn);
    client->state = state;
    if (state == CLIENT_ANSWERING)
        mux_list_append(&client->control->turns, &client->turn);
}

static void close_client(struct client *client) {
    if (client->state == CLIENT_CLOSING)
        return;
    set_state(client, CLIENT_CLOSING);
    transport_close(client->conn);
}

static void begin_answer(struct client *client, enum control_request request) {
    control_answer_begin(&client->answer, request);
    set_state(client, CLIENT_ANSWERING);
}

/* Says what was wrong; nothing that the client sent behind it is read. */
static void refuse(struct client *client, const char *why) {
    begin_answer(client, CONTROL_ERROR);
    client->answer.error = why;
    client->is_last = true;
}

static void take_line(struct client *client, const char *line) {
    static const char *const names[] = {"status", "links", "counters"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(line, names[i]) == 0) {
            begin_answer(client, (enum control_request)i);
            return;
        }
    refuse(client, "expected a line with status, links or counters");
}

/* Takes the next whole line, or goes on reading. */
static void next_request(struct client *client) {
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
    } else if (client->is_over) {
        close_client(client);
    } else {
        set_state(client, CLIENT_READING);
        transport_receive(client->conn, true);
        transport_receive_into(client->conn, (struct mux_room){client->room, sizeof client->room});
    }
}

/*
 * ---- events ----
 */

static void received(struct client *client, const struct transport_event *event) {
    struct mux_span bytes = event->bytes;
    if (event->buffer)
        transport_receive(client->conn, false); /* the offer has lapsed */
    bool fits = bytes.len <= sizeof client->request - client->request_len;
    if (fits) {
        memcpy(client->request + client->request_len, bytes.data, bytes.len);
        client->request_len += bytes.len;
    }
    if (event->buffer)
        mux_buffer_release(event->buffer);
    bool has_line = memchr(client->request, '\n', client->request_len);
    if (client->is_last)
        return;
    if (!fits || (!has_line && client->request_len == sizeof client->request)) {
        client->is_over = true;
        client->request_len = 0;
        if (client->state == CLIENT_READING)
            refuse(client, "a request is too long, or too many came at once");
        else
            client->is_last = true;
    } else if (client->state == CLIENT_READING) {
        next_request(client);
    }
}

static void ended(struct client *client) {
    client->is_over = true;
    if (client->state == CLIENT_READING)
        next_request(client);
}

static void sent(struct client *client) {
    if (client->state == CLIENT_CLOSING)
        return;
    if (!client->is_done)
        set_state(client, CLIENT_ANSWERING);
    else if (client->is_last)
        close_client(client);
    else
        next_request(client);
}

static void handle_client(struct loop_handler *handler, const struct transport_event *event,
                          uint64_t now_ns) {
    struct client *client = LOOP_OWNER(handler, struct client, base);
    client->acted_ns = now_ns;
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
        close_client(client);
        break;
    case TRANSPORT_CLOSED:
        set_state(client, CLIENT_FREE);
        client->control->open--;
        break;
    default:
        break;
    }
}

/*
 * ---- coming and going ----
 */

static struct client *free_place(struct control *control) {
    for (unsigned i = 0; i < CONTROL_CONNS_MAX; i++)
        if (control->clients[i].state == CLIENT_FREE)
            return &control->clients[i];
    return NULL;
}

static unsigned served(const struct control *control) {
    unsigned count = 0;
    for (unsigned i = 0; i < CONTROL_CONNS_MAX; i++) {
        const struct client *client = &control->clients[i];
        count +=
            client->state != CLIENT_FREE && client->state != CLIENT_CLOSING && !client->is_last;
    }
    return count;
}

/* Half a request, or an answer that is not read: somebody else may need the place. */
static bool evict_idle(struct control *control, uint64_t now_ns) {
    struct client *idlest = NULL;
    for (unsigned i = 0; i < CONTROL_CONNS_MAX; i++) {
        struct client *client = &control->clients[i];
        if ((client->state == CLIENT_READING || client->state == CLIENT_SENDING) &&
            now_ns - client->acted_ns >= IDLE_NS &&
            (!idlest || client->acted_ns < idlest->acted_ns))
            idlest = client;
    }
    if (idlest)
        close_client(idlest);
    return idlest != NULL;
}

static void say_refused(struct control *control, uint64_t now_ns) {
    char line[96];
    if (!mux_limiter_allow(&control->refusals, now_ns))
        return;
    snprintf(line, sizeof line, "control socket: %u clients are connected: one more is refused",
             CONTROL_CLIENTS_MAX);
    control->config.log(control->config.user, line);
}

static void accepted(struct control *control, struct transport_conn *conn, uint64_t now_ns) {
    struct client *client = free_place(control);
    bool has_room = served(control) < CONTROL_CLIENTS_MAX || evict_idle(control, now_ns);
    if (!has_room)
        say_refused(control, now_ns);
    if (!client) {
        loop_abandon(control->config.loop, conn);
        return;
    }
    client->base.handle = handle_client;
    client->control = control;
    client->conn = conn;
    client->acted_ns = now_ns;
    client->request_len = 0;
    client->is_last = client->is_over = client->is_done = false;
    mux_list_init(&client->turn);
    control->open++;
    loop_own(conn, &client->base);
    if (has_room)
        next_request(client);
    else
        refuse(client, "too many clients are connected: try again");
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

static void make_piece(struct client *client) {
    struct control *control = client->control;
    struct json json;
    json_put_start(&json, client->piece, sizeof client->piece);
    json.needs_comma = client->answer.needs_comma;
    client->is_done = control_answer_go_on(&client->answer, &control->config, &json);
    client->answer.needs_comma = json.needs_comma;
    size_t len = json_len(&json), charge = len > CHARGE_LEAST_BYTES ? len : CHARGE_LEAST_BYTES;
    control->budget_bytes -= charge < control->budget_bytes ? charge : control->budget_bytes;
    if (len == 0) { /* it has only counted so far */
        set_state(client, CLIENT_ANSWERING);
        return;
    }
    client->span = mux_span(client->piece, len);
    client->gather = (struct mux_gather){&client->span, 1, len};
    set_state(client, CLIENT_SENDING);
    transport_send(client->conn, &client->gather);
}

static void work(struct loop_client *base, uint64_t now_ns) {
    struct control *control = LOOP_OWNER(base, struct control, base);
    if (mux_list_empty(&control->turns))
        return;
    fill_budget(control, now_ns);
    while (!mux_list_empty(&control->turns) && control->budget_bytes >= CHARGE_LEAST_BYTES)
        make_piece(LOOP_OWNER(control->turns.next, struct client, turn));
}

/* When there is something to make, and the budget for it. */
static uint64_t deadline_ns(const struct loop_client *base) {
    const struct control *control = LOOP_OWNER(base, struct control, base);
    if (mux_list_empty(&control->turns))
        return UINT64_MAX;
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
    if (!control) {
        *failure = (struct transport_failure){.error = ENOMEM, .operation = "calloc"};
        return NULL;
    }
    control->config = *config;
    control->listening.handle = handle_listening;
    control->refusals = mux_limiter_init(1, 1);
    mux_list_init(&control->turns);
    control->listener =
        loop_listen(config->loop, config->address, &control->listening, &bound, failure);
    if (!control->listener) {
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
    for (unsigned i = 0; i < CONTROL_CONNS_MAX; i++)
        if (control->clients[i].state != CLIENT_FREE)
            close_client(&control->clients[i]);
}

bool control_is_closed(const struct control *control) {
    return !control->listener && control->open == 0;
}

void control_destroy(struct control *control) {
    loop_leave(&control->base);
    free(control);
}
