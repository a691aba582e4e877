/* A connection: two directions, their delays and faults, and how it breaks. */
#include "transport/sim/internal.h"
#include <stdlib.h>

/*
 * A kernel's buffers for one direction: bytes sent and not acknowledged, bytes received and not
 * read.
 */
#define KERNEL_BYTES 65536

/* The time after which a vanished peer is noticed: keepalive and user timeout. */
#define KEEPALIVE_NS 30000000000u

/* Kinds of events in the digest, beside those of socket.c. */
enum { NOTE_ARRIVED = 100, NOTE_CORRUPTED, NOTE_CUT, NOTE_VANISHED, NOTE_FAILED, NOTE_STRANDED };

static void deliver(struct sim_timer *timer);
static void acknowledge(struct sim_timer *timer);

struct wire *sim_wire_new(struct sim *sim) {
    struct wire *wire = sim_alloc(NULL, sizeof *wire);
    *wire = (struct wire){.sim = sim, .id = sim->wire_count, .buffer_bytes = KERNEL_BYTES};
    sim->wires = sim_alloc(sim->wires, (sim->wire_count + 1) * sizeof(struct wire *));
    sim->wires[sim->wire_count++] = wire;
    sim->wires_open++;
    for (unsigned i = 0; i < 2; i++) {
        wire->channels[i] = (struct channel){
            .wire = wire, .from = i, .deliver.fire = deliver, .ack.fire = acknowledge};
        wire->ends[i] = (struct sim_end){.wire = wire, .closed = true};
    }
    return wire;
}

struct sim_end *sim_wire_open_end(struct wire *wire, unsigned index, bool reads, bool writes) {
    struct sim_end *end = &wire->ends[index];
    end->closed = false;
    end->in = reads ? &wire->channels[!index] : NULL;
    end->out = writes ? &wire->channels[index] : NULL;
    return end;
}

static void stop_moving(struct wire *wire) {
    for (unsigned i = 0; i < 2; i++) {
        sim_timer_stop(wire->sim, &wire->channels[i].deliver);
        sim_timer_stop(wire->sim, &wire->channels[i].ack);
    }
}

void sim_wire_left(struct wire *wire) {
    if (!wire->ends[0].closed || !wire->ends[1].closed)
        return;
    stop_moving(wire);
    wire->sim->wires_open--;
}

void sim_wire_free(struct wire *wire) {
    for (unsigned i = 0; i < 2; i++) {
        free(wire->channels[i].bytes);
        free(wire->channels[i].corruptions);
    }
    free(wire);
}

const struct sim_faults *sim_wire_faults(const struct wire *wire) {
    return wire->faults ? wire->faults : &wire->sim->faults;
}

bool sim_wire_strikes(struct wire *wire, unsigned millionths, const char *what) {
    return sim_chance(wire->sim, millionths) && sim_fault_happens(wire->sim, what, wire->id);
}

uint64_t sim_wire_delay_ns(struct wire *wire) {
    const struct sim_faults *faults = sim_wire_faults(wire);
    uint64_t span_ns = faults->delay_most_ns - faults->delay_least_ns;
    uint64_t delay_ns = 1 + faults->delay_least_ns + sim_random(wire->sim, span_ns + 1);
    if (sim_chance(wire->sim, faults->clog))
        delay_ns += sim_random(wire->sim, faults->clog_most_ns + 1);
    return delay_ns;
}

size_t sim_wire_shorten(struct wire *wire, size_t len) {
    if (len < 2 || !sim_chance(wire->sim, sim_wire_faults(wire)->shorten))
        return len;
    return 1 + (size_t)sim_random(wire->sim, len - 1);
}

void sim_end_ready(struct sim_end *end) {
    if (end->watcher.ready)
        end->watcher.ready(end->watcher.user);
}

void sim_end_fails(struct sim_end *end, int error, uint64_t delay_ns) {
    if (end->closed || end->error || end->coming_error)
        return;
    end->coming_error = error;
    sim_timer_stop(end->wire->sim, &end->news);
    sim_timer_set(end->wire->sim, &end->news, end->wire->sim->now_ns + delay_ns);
}

static void break_wire(struct wire *wire, enum sim_fate fate) {
    sim_note(wire->sim, fate == SIM_CUT ? NOTE_CUT : NOTE_VANISHED, wire->id);
    wire->fate = fate;
    stop_moving(wire);
    for (unsigned i = 0; i < 2; i++) {
        if (fate == SIM_CUT)
            sim_end_fails(&wire->ends[i], ECONNRESET, sim_wire_delay_ns(wire));
        else
            sim_end_fails(&wire->ends[i], ETIMEDOUT, KEEPALIVE_NS + sim_wire_delay_ns(wire));
    }
}

static void half_cut(struct wire *wire) {
    sim_end_fails(&wire->ends[sim_random(wire->sim, 2)], ECONNRESET, sim_wire_delay_ns(wire));
    break_wire(wire, SIM_VANISHED);
}

void sim_cut(struct sim *sim, unsigned id) {
    if (sim->wires[id]->fate == SIM_WHOLE)
        break_wire(sim->wires[id], SIM_CUT);
}

void sim_vanish(struct sim *sim, unsigned id) {
    if (sim->wires[id]->fate == SIM_WHOLE)
        break_wire(sim->wires[id], SIM_VANISHED);
}

bool sim_channel_is_stranded(const struct channel *channel) {
    return channel->wire->is_stranded && channel->from == 0;
}

/* What was under way comes late; the end that connected has no way to know of it. */
static void strand(struct wire *wire, uint64_t late_ns) {
    struct channel *channel = &wire->channels[0];
    sim_note(wire->sim, NOTE_STRANDED, wire->id);
    wire->fate = SIM_VANISHED;
    wire->is_stranded = true;
    stop_moving(wire);
    sim_end_fails(&wire->ends[0], ECONNRESET, sim_wire_delay_ns(wire));
    sim_timer_set(wire->sim, &channel->deliver,
                  wire->sim->now_ns + 1 + sim_random(wire->sim, late_ns + 1));
}

void sim_strand(struct sim *sim, unsigned id, uint64_t most_ns) {
    if (sim->wires[id]->fate == SIM_WHOLE)
        strand(sim->wires[id], most_ns);
}

static bool is_broken(const struct channel *channel) {
    const struct wire *wire = channel->wire;
    if (sim_channel_is_stranded(channel))
        return wire->ends[1].error;
    return wire->fate != SIM_WHOLE || wire->ends[0].error || wire->ends[1].error;
}

void sim_clog(struct sim *sim, unsigned id, bool to_listener, uint64_t for_ns, bool takes) {
    struct channel *channel = &sim->wires[id]->channels[!to_listener];
    if (is_broken(channel) || channel->wire->ends[!to_listener].closed)
        return;
    channel->is_full = !takes;
    sim_timer_stop(sim, &channel->deliver);
    sim_timer_set(sim, &channel->deliver, sim->now_ns + 1 + for_ns);
}

/* The number of bytes that could arrive now. */
static size_t movable(const struct channel *channel) {
    uint64_t under_way = channel->written - channel->arrived;
    uint64_t window = channel->wire->buffer_bytes - (channel->arrived - channel->read);
    return (size_t)(under_way < window ? under_way : window);
}

static bool fin_comes(const struct channel *channel) {
    return channel->fin_written && !channel->fin_arrived && channel->arrived == channel->written;
}

void sim_channel_kick(struct channel *channel) {
    struct sim *sim = channel->wire->sim;
    if (channel->deliver.place || is_broken(channel))
        return;
    if (movable(channel) > 0 || fin_comes(channel))
        sim_timer_set(sim, &channel->deliver, sim->now_ns + sim_wire_delay_ns(channel->wire));
}

/* Flips one bit of the bytes that arrive. */
static void corrupt(struct channel *channel, size_t len) {
    struct sim *sim = channel->wire->sim;
    struct sim_corruption corruption = {.offset = channel->arrived + sim_random(sim, len),
                                        .mask = (uint8_t)(1u << sim_random(sim, 8))};
    channel->corruptions = sim_alloc(channel->corruptions, (channel->corruption_count + 1) *
                                                               sizeof *channel->corruptions);
    channel->corruptions[channel->corruption_count++] = corruption;
    channel->bytes[corruption.offset] ^= corruption.mask;
    sim_note(sim, NOTE_CORRUPTED, corruption.offset);
}

static void arrive(struct channel *channel, size_t len) {
    struct sim *sim = channel->wire->sim;
    if (sim_wire_strikes(channel->wire, sim_wire_faults(channel->wire)->corrupt, "flipped bit on"))
        corrupt(channel, len);
    channel->arrived += len;
    sim_note(sim, NOTE_ARRIVED, channel->arrived);
    if (!channel->ack.place) {
        channel->ack_under_way = channel->arrived;
        sim_timer_set(sim, &channel->ack, sim->now_ns + sim_wire_delay_ns(channel->wire));
    }
}

/* True: the journey ended badly. */
static bool breaks(struct wire *wire) {
    const struct sim_faults *faults = sim_wire_faults(wire);
    if (wire->is_stranded)
        return false;
    if (sim_wire_strikes(wire, faults->cut, "cut of"))
        break_wire(wire, SIM_CUT);
    else if (sim_wire_strikes(wire, faults->vanish, "end without notice of"))
        break_wire(wire, SIM_VANISHED);
    else if (sim_wire_strikes(wire, faults->half_cut, "cut that one end sees of"))
        half_cut(wire);
    else if (wire->tcp && sim_wire_strikes(wire, faults->strand, "late delivery on"))
        strand(wire, faults->strand_most_ns);
    return wire->fate != SIM_WHOLE;
}

static void deliver(struct sim_timer *timer) {
    struct channel *channel = MUX_CONTAINER_OF(timer, struct channel, deliver);
    struct wire *wire = channel->wire;
    struct sim_end *from = &wire->ends[channel->from], *to = &wire->ends[!channel->from];
    size_t len = movable(channel);
    if (channel->is_full)
        sim_end_ready(from);
    channel->is_full = false;
    if (breaks(wire))
        return;
    if (to->closed) { /* the reader has gone */
        if (len > 0)
            sim_end_fails(from, wire->pipe ? EPIPE : ECONNRESET, sim_wire_delay_ns(wire));
        return;
    }
    len = sim_wire_shorten(wire, len);
    if (len > 0)
        arrive(channel, len);
    if (fin_comes(channel))
        channel->fin_arrived = true;
    sim_channel_kick(channel);
    sim_end_ready(to);
}

static void acknowledge(struct sim_timer *timer) {
    struct channel *channel = MUX_CONTAINER_OF(timer, struct channel, ack);
    struct sim *sim = channel->wire->sim;
    channel->acked = channel->ack_under_way;
    if (channel->arrived > channel->acked) {
        channel->ack_under_way = channel->arrived;
        sim_timer_set(sim, &channel->ack, sim->now_ns + sim_wire_delay_ns(channel->wire));
    }
    sim_end_ready(&channel->wire->ends[channel->from]);
}

/* The bytes are kept: sim_stream() returns them later. */
static void append(struct channel *channel, const uint8_t *data, size_t len) {
    if (channel->written + len > channel->room_bytes) {
        channel->room_bytes = 2 * (size_t)channel->written + len;
        channel->bytes = sim_alloc(channel->bytes, channel->room_bytes);
    }
    memcpy(channel->bytes + channel->written, data, len);
    channel->written += len;
}

size_t sim_channel_space_bytes(const struct channel *channel) {
    size_t used = (size_t)(channel->written - channel->acked);
    return channel->is_full ? 0 : channel->wire->buffer_bytes - used;
}

ssize_t sim_channel_write(struct channel *channel, const uint8_t *data, size_t len) {
    size_t space = sim_channel_space_bytes(channel);
    if (len == 0)
        return 0;
    if (space == 0)
        return -EAGAIN;
    len = sim_wire_shorten(channel->wire, len < space ? len : space);
    append(channel, data, len);
    sim_channel_kick(channel);
    return (ssize_t)len;
}

ssize_t sim_channel_read(struct channel *channel, uint8_t *data, size_t len) {
    uint64_t there = channel->arrived - channel->read;
    len = sim_wire_shorten(channel->wire, len < there ? len : (size_t)there);
    memcpy(data, channel->bytes + channel->read, len);
    channel->read += len;
    sim_channel_kick(channel);
    return (ssize_t)len;
}
