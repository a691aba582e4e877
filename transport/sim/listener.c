#include "transport/sim/internal.h"
#include <stdlib.h>

static bool accept_turn(struct task *task, struct transport_event *event);

static void listener_wake(struct sim_engine_listener *listener) {
    if (listener->accepting && !mux_list_empty(&listener->socket->backlog))
        task_wake(&listener->transport->ready, &listener->task);
}

static void listener_ready(void *user) {
    listener_wake(user);
}

struct transport_listener *sim_engine_listen(struct transport *transport,
                                             const struct transport_address *address, void *user,
                                             struct transport_address *bound,
                                             struct transport_failure *failure) {
    struct sim_engine_listener *listener = calloc(1, sizeof *listener);
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
    listener->head = (struct transport_listener){.ops = &sim_engine_listener_ops, .user = user};
    listener->transport = transport;
    listener->task.turn = accept_turn;
    listener->accepting = true;
    sim_listener_watch(listener->socket, listener_ready, listener);
    transport->listeners++;
    return &listener->head;
}

void sim_engine_accept(struct transport_listener *handle, bool on) {
    struct sim_engine_listener *listener = sim_engine_listener_of(handle);
    listener->accepting = on;
    if (on)
        listener_wake(listener);
    else
        task_stop(&listener->task);
}

void sim_engine_close_listener(struct transport_listener *handle) {
    struct sim_engine_listener *listener = sim_engine_listener_of(handle);
    task_stop(&listener->task);
    sim_unlisten(listener->socket);
    listener->transport->listeners--;
    listener->head.user = NULL;
    deferred_free(&listener->transport->deferred, &listener->deferred, listener);
}

static void accepted(struct sim_engine_listener *listener, struct transport_event *event,
                     struct sim_end *end) {
    struct sim_engine_conn *conn = sim_engine_conn_new(listener->transport, TRANSPORT_POOL_SHARED);
    assert(conn); /* accept_turn() has checked */
    sim_engine_conn_use_socket(conn, end);
    event->kind = TRANSPORT_ACCEPTED;
    event->conn = &conn->head;
}

static bool accept_turn(struct task *task, struct transport_event *event) {
    struct sim_engine_listener *listener = MUX_CONTAINER_OF(task, struct sim_engine_listener, task);
    struct transport *transport = listener->transport;
    if (transport->conns.used == transport->conns.count) {
        mux_list_append(&transport->starved, &task->link);
        return false;
    }
    struct sim_end *end = sim_accept(listener->socket);
    if (!end)
        return false;
    event->listener = &listener->head;
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
