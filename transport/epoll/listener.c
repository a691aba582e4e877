#include "transport/call.h"
#include "transport/epoll/internal.h"
#include <stdlib.h>
#include <unistd.h>

static bool accept_turn(struct task *task, struct transport_event *event);

struct transport_listener *epoll_listen(struct transport *transport,
                                        const struct transport_address *address, void *user,
                                        struct transport_address *bound,
                                        struct transport_failure *failure) {
    struct epoll_listener *listener = calloc(1, sizeof *listener);
    if (!listener) {
        transport_failed(failure, "calloc");
        return NULL;
    }
    listener->head = (struct transport_listener){.ops = &epoll_listener_ops, .user = user};
    listener->transport = transport;
    listener->task.turn = accept_turn;
    listener->accepting = true;
    if (!socket_listen(address, &listener->socket, failure)) {
        free(listener);
        return NULL;
    }
    if (!epoll_register(transport, listener->socket.fd, listener, ENTRY_LISTENER)) {
        transport_failed(failure, "epoll_ctl");
        socket_unlisten(&listener->socket);
        free(listener);
        return NULL;
    }
    *bound = listener->socket.bound;
    transport->listeners++;
    return &listener->head;
}

void epoll_listener_wake(struct epoll_listener *listener) {
    if (listener->accepting && listener->ready)
        task_wake(&listener->transport->ready, &listener->task);
}

void epoll_accept(struct transport_listener *handle, bool on) {
    struct epoll_listener *listener = epoll_listener_of(handle);
    listener->accepting = on;
    if (on)
        epoll_listener_wake(listener);
    else
        task_stop(&listener->task);
}

void epoll_close_listener(struct transport_listener *handle) {
    struct epoll_listener *listener = epoll_listener_of(handle);
    task_stop(&listener->task);
    epoll_unregister(listener->transport, listener->socket.fd);
    socket_unlisten(&listener->socket);
    listener->transport->listeners--;
    listener->head.user = NULL;
    deferred_free(&listener->transport->deferred, &listener->deferred, listener);
}

static bool refused(struct epoll_listener *listener, struct transport_event *event, int error,
                    const char *operation) {
    event->kind = TRANSPORT_REFUSED;
    event->listener = &listener->head;
    event->error = error;
    event->operation = operation;
    epoll_listener_wake(listener);
    return true;
}

/* accept() also reports errors of the connection that it was about to return: those are skipped. */
static bool accept_failed(struct epoll_listener *listener, struct transport_event *event,
                          int error) {
    if (socket_accept_starved(error)) {
        if (socket_refuse(&listener->transport->reserve, listener->socket.fd))
            return refused(listener, event, error, "accept");
        mux_list_append(&listener->transport->starved, &listener->task.link);
        return false;
    }
    if (error == EAGAIN)
        listener->ready = false;
    epoll_listener_wake(listener);
    return false;
}

static bool accepted(struct epoll_listener *listener, struct transport_event *event, int fd,
                     const struct transport_address *address) {
    if (fd >= listener->transport->accept_limit) {
        close(fd);
        return refused(listener, event, EMFILE, "accept");
    }
    struct epoll_conn *conn = epoll_conn_new(listener->transport, TRANSPORT_POOL_SHARED);
    assert(conn); /* accept_turn() has checked */
    if (!epoll_conn_use_socket(conn, fd)) {
        int error = errno;
        close(fd);
        epoll_conn_free(conn);
        return refused(listener, event, error, "epoll_ctl");
    }
    socket_describe_peer(fd, address, &conn->peer);
    event->kind = TRANSPORT_ACCEPTED;
    event->listener = &listener->head;
    event->conn = &conn->head;
    epoll_listener_wake(listener);
    return true;
}

static bool accept_turn(struct task *task, struct transport_event *event) {
    struct epoll_listener *listener = MUX_CONTAINER_OF(task, struct epoll_listener, task);
    struct transport *transport = listener->transport;
    struct transport_address address = {.len = sizeof address.storage};
    if (transport->conns.used + transport->kept >= transport->conns.count) {
        mux_list_append(&transport->starved, &task->link);
        return false;
    }
    int fd = call_accept(listener->socket.fd, &address.any, &address.len);
    if (fd < 0)
        return accept_failed(listener, event, errno);
    return accepted(listener, event, fd, &address);
}
