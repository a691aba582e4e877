#include "tools/agent/sink.h"

#include <fcntl.h>
#include <unistd.h>

static void handle(struct loop_handler *handler, const struct transport_event *event,
                   uint64_t now_ns) {
    struct sink *sink = LOOP_OWNER(handler, struct sink, base);
    (void)now_ns;
    if (event->kind == TRANSPORT_RECEIVED)
        mux_buffer_release(event->buffer);
    else if (event->kind == TRANSPORT_ENDED || event->kind == TRANSPORT_LOST)
        transport_close(sink->conn);
    else if (event->kind == TRANSPORT_CLOSED)
        sink->conn = NULL;
}

void sink_hold(struct sink *sink, int fd) {
    sink->base.handle = handle;
    sink->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

void sink_open(struct sink *sink, struct loop *loop) {
    struct transport_failure failure;
    const struct loop_descriptors descriptors = {
        .in = sink->fd, .out = -1, .pool = TRANSPORT_POOL_RESERVE, .name = "a sink"};
    if (sink->fd < 0)
        return;
    sink->conn = loop_attach(loop, &descriptors, &sink->base, &failure);
    if (!sink->conn)
        return; /* it holds it, unread */
    sink->fd = -1;
    transport_receive(sink->conn, true);
}

void sink_close(struct sink *sink) {
    if (sink->fd >= 0)
        close(sink->fd);
    sink->fd = -1;
}
