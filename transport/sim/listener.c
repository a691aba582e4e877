#include "transport/sim/internal.h"
#include <stdlib.h>

static bool accept_turn(struct task *task, struct transport_event *event);

static void listener_wake(struct transport_listener *listener) {
    if (listener->accepting && !queue_empty(&listener->socket->backlog))
        task_wake(&listener->transport->ready, &listener->task);
}

static void listener_ready(void *user) {
    listener_wake(user);
}

struct transport_listener *engine_listen(struct transport *transport,
                                         const struct transport_address *address, void *user,
                                         struct transport_address *bound,
                                         struct transport_failure *failure) {
    struct transport_listener *listener = calloc(1, sizeof *listener);
    if (!listener) {
        transport_failed(failure, "calloc");
        return NULL;
    }
    listener->socket = sim_listen(transport->sim, address, bound);
    if (!listener->socket) {
        *failure = (struct transport_failure){EADDRINUSE, "bind"};
        free(listener);
        return NULL;
    }
    listener->transport = transport;
    listener->task.turn = accept_turn;
    listener->accepting = true;
    listener->user = user;
    sim_listener_watch(listener->socket, listener_ready, listener);
    transport->listeners++;
    return listener;
}

void engine_accept(struct transport_listener *listener, bool on) {
    listener->accepting = on;
    if (on)
        listener_wake(listener);
    else
        task_stop(&listener->task);
}

void engine_close_listener(struct transport_listener *listener) {
    task_stop(&listener->task);
    sim_unlisten(listener->socket);
    listener->transport->listeners--;
    free(listener);
}

void *engine_listener_user(const struct transport_listener *listener) {
    return listener->user;
}

static void accepted(struct transport_listener *listener, struct transport_event *event,
                     struct sim_end *end) {
    struct transport_conn *conn = engine_conn_new(listener->transport, TRANSPORT_POOL_SHARED);
    assert(conn); /* accept_turn() has looked */
    engine_conn_use_socket(conn, end);
    event->kind = TRANSPORT_ACCEPTED;
    event->conn = conn;
}

static bool accept_turn(struct task *task, struct transport_event *event) {
    struct transport_listener *listener = queue_entry(task, struct transport_listener, task);
    struct transport *transport = listener->transport;
    if (queue_empty(&transport->free_conns)) {
        queue_push(&transport->starved, &task->link);
        return false;
    }
    struct sim_end *end = sim_accept(listener->socket);
    if (!end)
        return false;
    event->listener = listener;
    if (transport->sim->ends_open < transport->sim->ends_most) {
        accepted(listener, event, end);
    } else {
        sim_close(end);
        event->kind = TRANSPORT_REFUSED;
        event->error = EMFILE;
        event->operation = "accept";
    }
    listener_wake(listener);
    return true;
}
