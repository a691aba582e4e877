/* The world as processes see it: ends that are read, written and closed; listeners. */
#include "transport/sim/internal.h"
#include <stdlib.h>

enum { NOTE_READ = 1, NOTE_WRITTEN, NOTE_CONNECTED, NOTE_REFUSED, NOTE_CLOSED };

static void news(struct sim_timer *timer);

void sim_end_watch(struct sim_end *end, void (*ready)(void *user), void *user) {
    end->watcher = (struct watcher){ready, user};
}

void sim_listener_watch(struct sim_listener *listener, void (*ready)(void *user), void *user) {
    listener->watcher = (struct watcher){ready, user};
}

unsigned sim_end_id(const struct sim_end *end) {
    return end->wire->id;
}

void sim_end_set_faults(struct sim_end *end, const struct sim_faults *faults) {
    end->wire->faults = faults;
}

void sim_end_set_buffers(struct sim_end *end, size_t bytes) {
    end->wire->buffer_bytes = bytes;
}

void sim_limit_ends(struct sim *sim, unsigned most) {
    sim->ends_most = most;
}

unsigned sim_ends_open(const struct sim *sim) {
    return sim->ends_open;
}

/* Addresses: family, host and port. */

static uint16_t port_of(const struct transport_address *address) {
    return ntohs(address->in4.sin_port); /* in6 has it at the same place */
}

static bool is_same_host(const struct transport_address *a, const struct transport_address *b) {
    if (a->any.sa_family == AF_INET)
        return a->in4.sin_addr.s_addr == b->in4.sin_addr.s_addr;
    return memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof a->in6.sin6_addr) == 0;
}

static struct sim_listener *find_listener(struct sim *sim,
                                          const struct transport_address *address) {
    struct mux_list *link = sim->listeners.next;
    for (; link != &sim->listeners; link = link->next) {
        struct sim_listener *listener = MUX_LIST_ITEM(link, struct sim_listener, link);
        const struct transport_address *bound = &listener->address;
        if (bound->any.sa_family == address->any.sa_family && port_of(bound) == port_of(address) &&
            is_same_host(bound, address))
            return listener;
    }
    return NULL;
}

static void set_free_port(struct sim *sim, struct transport_address *address) {
    address->in4.sin_port = htons(sim->next_port++);
}

static struct sim_stream stream(const struct channel *channel) {
    return (struct sim_stream){.bytes = channel->bytes,
                               .written = channel->written,
                               .arrived = channel->arrived,
                               .read = channel->read,
                               .acked = channel->acked,
                               .fate = channel->wire->fate,
                               .over =
                                   channel->wire->ends[0].closed && channel->wire->ends[1].closed,
                               .corruptions = channel->corruptions,
                               .corruption_count = channel->corruption_count};
}

struct sim_stream sim_stream(const struct sim *sim, unsigned id, bool to_listener) {
    assert(id < sim->wire_count);
    return stream(&sim->wires[id]->channels[!to_listener]);
}

uint16_t sim_end_port(const struct sim_end *end) {
    return port_of(&end->own);
}

/* Connecting. */

struct sim_end *sim_connect(struct sim *sim, const struct transport_address *address) {
    struct wire *wire = sim_wire_new(sim);
    struct sim_end *end = sim_wire_open_end(wire, 0, true, true);
    wire->tcp = true;
    end->own = end->peer = *address;
    set_free_port(sim, &end->own);
    end->connecting = true;
    end->news.fire = news;
    sim_timer_set(sim, &end->news, sim->now_ns + sim_wire_delay_ns(wire));
    return end;
}

int sim_connected(const struct sim_end *end) {
    return end->connecting ? EINPROGRESS : end->error;
}

static void connect_done(struct sim_end *end) {
    struct wire *wire = end->wire;
    struct sim *sim = wire->sim;
    struct sim_listener *listener = find_listener(sim, &end->peer);
    bool refused =
        !listener || sim_wire_strikes(wire, sim_wire_faults(wire)->refuse, "refused connection");
    sim_note(sim, refused ? NOTE_REFUSED : NOTE_CONNECTED, wire->id);
    end->connecting = false;
    if (refused) {
        end->error = ECONNREFUSED;
        return;
    }
    struct sim_end *other = sim_wire_open_end(wire, 1, true, true);
    other->news.fire = news;
    other->peer = end->own;
    mux_list_append(&listener->backlog, &other->backlog_link);
    if (listener->watcher.ready)
        listener->watcher.ready(listener->watcher.user);
}

/* An end gets the result of connecting, or the error that broke it: bytes on their way are lost. */
static void news(struct sim_timer *timer) {
    struct sim_end *end = MUX_CONTAINER_OF(timer, struct sim_end, news);
    if (end->connecting && !end->coming_error) {
        connect_done(end);
    } else {
        end->connecting = false;
        end->error = end->coming_error;
        for (unsigned i = 0; i < 2; i++)
            if (!sim_channel_is_stranded(&end->wire->channels[i]))
                sim_timer_stop(end->wire->sim, &end->wire->channels[i].deliver);
    }
    sim_end_ready(end);
}

struct sim_listener *sim_listen(struct sim *sim, const struct transport_address *address,
                                struct transport_address *bound) {
    *bound = *address;
    if (port_of(bound) == 0)
        set_free_port(sim, bound);
    if (find_listener(sim, bound))
        return NULL;
    struct sim_listener *listener = sim_alloc(NULL, sizeof *listener);
    *listener = (struct sim_listener){.sim = sim, .address = *bound};
    mux_list_init(&listener->backlog);
    mux_list_append(&sim->listeners, &listener->link);
    return listener;
}

struct sim_end *sim_accept(struct sim_listener *listener) {
    struct mux_list *link = mux_list_pop(&listener->backlog);
    return link ? MUX_LIST_ITEM(link, struct sim_end, backlog_link) : NULL;
}

void sim_unlisten(struct sim_listener *listener) {
    struct sim_end *end;
    while ((end = sim_accept(listener))) {
        sim_end_fails(sim_end_other(end), ECONNRESET, sim_wire_delay_ns(end->wire));
        sim_close(end);
    }
    mux_list_remove(&listener->link);
    free(listener);
}

void sim_pair(struct sim *sim, bool pipe, struct sim_end *ends[2]) {
    struct wire *wire = sim_wire_new(sim);
    wire->pipe = pipe;
    for (unsigned i = 0; i < 2; i++) {
        ends[i] = sim_wire_open_end(wire, i, !pipe || i == 0, !pipe || i == 1);
        ends[i]->news.fire = news;
    }
}

/* Reading, writing, closing. */

bool sim_end_has_bytes(const struct sim_end *end) {
    return end->in->arrived > end->in->read;
}

bool sim_end_is_readable(const struct sim_end *end) {
    return sim_end_has_bytes(end) || end->error || end->in->fin_arrived;
}

bool sim_end_has_space(const struct sim_end *end) {
    return end->error || sim_channel_space_bytes(end->out) > 0;
}

uint64_t sim_end_unacknowledged(const struct sim_end *end) {
    return end->wire->tcp ? end->out->written - end->out->acked : 0;
}

ssize_t sim_read(struct sim_end *end, uint8_t *data, size_t len) {
    struct sim *sim = end->wire->sim;
    assert(end->in && !end->connecting && len > 0);
    if (!sim_end_has_bytes(end))
        return end->error ? -end->error : end->in->fin_arrived ? 0 : -EAGAIN;
    ssize_t got = sim_channel_read(end->in, data, len);
    sim_note(sim, NOTE_READ, end->wire->id);
    sim_note_bytes(sim, data, (size_t)got);
    return got;
}

ssize_t sim_write(struct sim_end *end, const uint8_t *data, size_t len) {
    assert(end->out && !end->connecting);
    if (end->error)
        return -end->error;
    if (end->out->fin_written)
        return -EPIPE;
    ssize_t got = sim_channel_write(end->out, data, len);
    sim_note(end->wire->sim, NOTE_WRITTEN, (uint64_t)got);
    return got;
}

void sim_finish(struct sim_end *end) {
    end->out->fin_written = true;
    sim_channel_kick(end->out);
}

/* A process that closes with bytes unread makes its kernel send a reset. */
static void tell_other(struct sim_end *end) {
    struct sim_end *other = sim_end_other(end);
    bool reset = end->in && sim_end_has_bytes(end);
    if (end->out && sim_channel_is_stranded(end->out))
        sim_finish(end);
    if (end->wire->fate != SIM_WHOLE)
        return;
    if (end->wire->pipe && !end->out)
        sim_end_fails(other, EPIPE, 1);
    else if (reset)
        sim_end_fails(other, ECONNRESET, sim_wire_delay_ns(end->wire));
    else
        sim_finish(end);
}

void sim_close(struct sim_end *end) {
    struct sim *sim = end->wire->sim;
    assert(!end->closed);
    sim_note(sim, NOTE_CLOSED, end->wire->id);
    end->closed = true;
    end->watcher = (struct watcher){0};
    sim_timer_stop(sim, &end->news);
    if (end->descriptor)
        sim->descriptors[end->descriptor] = NULL;
    tell_other(end);
    sim_wire_left(end->wire);
}

int sim_descriptor(struct sim_end *end) {
    struct sim *sim = end->wire->sim;
    if (sim->descriptor_count == 0)
        sim->descriptor_count = 1; /* 0 is none */
    end->descriptor = (int)sim->descriptor_count++;
    sim->descriptors =
        sim_alloc(sim->descriptors, sim->descriptor_count * sizeof(struct sim_end *));
    sim->descriptors[end->descriptor] = end;
    return end->descriptor;
}

struct sim_end *sim_by_descriptor(struct sim *sim, int descriptor) {
    bool known = descriptor > 0 && (unsigned)descriptor < sim->descriptor_count;
    return known ? sim->descriptors[descriptor] : NULL;
}
