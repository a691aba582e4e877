/*
 * The peer's stream: messages wait in their slots; their content is laid out in a receive buffer
 * (or a room), literal bytes by copy, announced spans by READ. Such a fill is reported when its
 * last READ is done, in the stream's order.
 */
#include "transport/rdma/rdma.h"

/* Bytes behind a span that may belong to it: route code and CRC of a packet. */
#define TRAIL_BYTES 512

/* Doubled while the peer uses all of it. */
static void widen_window(struct rdma_conn *conn) {
    if (conn->flow.granted * 4 <= conn->window)
        conn->window *= 2;
    if (conn->window > CONN_CREDITS_MAX)
        conn->window = CONN_CREDITS_MAX;
}

/* Slots up to the window are posted for the peer. */
static void grant(struct rdma_conn *conn) {
    struct rdma_device *device = conn->device;
    if (conn->closing || conn->peer_closed || conn->error)
        return;
    while (conn->receive_share.used < conn->window &&
           rdma_slots_charge(&device->receive, &conn->receive_share, conn->window)) {
        rdma_device_claim(device, 1);
        rdma_flow_grant(&conn->flow);
    }
    if (conn->flow.owed > 0)
        rdma_control_due(conn);
}

static void slot_done(struct rdma_conn *conn, struct slot *slot) {
    rdma_slots_discharge(&conn->device->receive, &conn->receive_share);
    rdma_slots_push(&conn->device->receive, slot);
}

/* The first message is used up. */
static void drop_first(struct rdma_conn *conn) {
    struct slot *slot = conn->unread;
    conn->unread = slot->next;
    if (!conn->unread)
        conn->unread_end = &conn->unread;
    slot_done(conn, slot);
}

void rdma_rc_receive_message(struct rdma_conn *conn, struct slot *slot) {
    if (conn->closing || conn->peer_ended || conn->peer_closed) {
        slot_done(conn, slot); /* late data is discarded; after END it violates the protocol */
        rdma_device_claim(conn->device, 0);
        return;
    }
    slot->literal_at = 0;
    slot->span = 0;
    slot->span_begun_bytes = 0;
    slot->next = NULL;
    *conn->unread_end = slot;
    conn->unread_end = &slot->next;
    widen_window(conn);
    grant(conn);
    rdma_rc_receive_wake(conn);
}

/* The next part of the stream: literal bytes, and the announced span behind them. */
struct next {
    struct slot *slot;
    size_t literal_bytes; /* 0: the span is next */
    bool has_span;
    struct wire_span span; /* the rest of it */
    bool begun;
};

static bool look(const struct rdma_conn *conn, struct next *next) {
    struct slot *slot = conn->unread;
    if (!slot)
        return false;
    const struct wire_message *message = &slot->message;
    size_t end = message->literal_bytes;
    *next = (struct next){.slot = slot, .has_span = slot->span < message->spans};
    if (next->has_span) {
        next->span = rdma_wire_span_at(message, slot->span);
        next->span.address += slot->span_begun_bytes;
        next->span.length -= slot->span_begun_bytes;
        next->begun = slot->span_begun_bytes > 0;
        end = next->span.before;
    }
    next->literal_bytes = end - slot->literal_at;
    return true;
}

/* Steps over `literals` literal bytes and part of the span. */
static void step(struct rdma_conn *conn, const struct next *next, size_t literals, size_t of_span) {
    struct slot *slot = next->slot;
    slot->literal_at += literals;
    conn->taken_bytes += literals + of_span;
    slot->span_begun_bytes += (uint32_t)of_span;
    if (next->has_span && of_span == next->span.length) {
        slot->span++;
        slot->span_begun_bytes = 0;
    }
    if (slot->span == slot->message.spans && slot->literal_at == slot->message.literal_bytes)
        drop_first(conn);
}

static bool is_registered(const struct rdma_conn *conn, struct mux_room room) {
    const struct mux_room *arena = &conn->transport->arena;
    return room.data >= arena->data && room.data + room.len <= arena->data + arena->len;
}

/* Where READs of this fill go when its memory is not registered: to a slot, part by part. */
static bool use_bounce(struct rdma_conn *conn, struct fill *fill) {
    struct slots *slots = &conn->device->staging;
    if (!rdma_slots_charge(slots, &conn->staging_share, CONN_STAGING_MAX))
        return false;
    fill->bounce = rdma_slots_pop(slots);
    fill->room.len = fill->room.len < SLOT_BYTES ? fill->room.len : SLOT_BYTES;
    return true;
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Begins to read as much of the next span as fits. False: not now. */
static bool read_span(struct rdma_conn *conn, struct fill *fill, const struct next *next) {
    if (!fill->bounce && !is_registered(conn, fill->room)) {
        if (fill->len > 0 || !use_bounce(conn, fill))
            return false;
    }
    uint8_t *to = fill->bounce ? fill->bounce->data : fill->room.data;
    uint32_t key = fill->bounce ? fill->bounce->key : conn->device->arena->lkey;
    size_t len = least(next->span.length, fill->room.len - fill->len);
    if (!fill->buffer) /* it is reported when this much has arrived; the user offers the rest anew
                        */
        len = least(len, READ_WINDOW_BYTES - conn->reading_bytes);
    if (len == 0)
        return false;
    struct wire_span part = next->span;
    part.length = (uint32_t)len;
    if (!rdma_work_read(conn, fill, &part, to + fill->len, key, len == next->span.length))
        return false;
    fill->len += len;
    step(conn, next, 0, len);
    return true;
}

/*
 * How many of the next literal bytes go into this buffer, before a span that fits whole into one
 * buffer, with what belongs to it, but no longer into this one.
 */
static size_t literals_here(const struct fill *fill, const struct next *next) {
    size_t rest = fill->room.len - fill->len, len = next->literal_bytes;
    bool fits = len + next->span.length + TRAIL_BYTES <= rest;
    if (!fill->buffer || !next->has_span || next->begun || fits)
        return least(len, rest);
    size_t apart = len - least(len, next->span.lead);
    bool alone =
        fill->len == 0 && apart == 0; /* it fits no buffer: at least its head is reported */
    return least(alone ? len : apart, rest);
}

/*
 * A span that does not fit a buffer together with its head begins in the next fill, which may be a
 * room that the user offers for it.
 */
static bool waits_for_next_fill(const struct fill *fill, const struct next *next) {
    size_t rest = fill->room.len - fill->len;
    return fill->buffer && fill->len > 0 && next->has_span && !next->begun &&
           next->literal_bytes == 0 && next->span.length > rest;
}

static bool copy_literals(struct rdma_conn *conn, struct fill *fill, const struct next *next) {
    size_t len = literals_here(fill, next);
    uint8_t *to = fill->bounce ? fill->bounce->data : fill->room.data;
    if (len > 0)
        memcpy(to + fill->len, next->slot->message.literals + next->slot->literal_at, len);
    fill->len += len;
    step(conn, next, len, 0);
    return len > 0;
}

/* Lays out as much of the stream as fits and belongs together. */
static void lay_out(struct rdma_conn *conn, struct fill *fill) {
    struct next next;
    while (fill->len < fill->room.len && look(conn, &next)) {
        if (next.literal_bytes > 0) {
            size_t before = next.literal_bytes;
            bool all = literals_here(fill, &next) == before;
            if (!copy_literals(conn, fill, &next) || !all)
                return;
        } else if (waits_for_next_fill(fill, &next) || !read_span(conn, fill, &next)) {
            return;
        }
    }
}

static unsigned fills_count(const struct rdma_conn *conn) {
    return conn->fill_next - conn->fill_first;
}

static struct fill *first_fill(struct rdma_conn *conn) {
    return fills_count(conn) ? &conn->fills[conn->fill_first % FILLS_MAX] : NULL;
}

bool rdma_rc_receive_has_bytes(const struct rdma_conn *conn) {
    const struct fill *fill = &conn->fills[conn->fill_first % FILLS_MAX];
    if (fills_count(conn) > 0)
        return !fill->failed;
    struct next next; /* of a broken connection, spans cannot be read any more */
    return look(conn, &next) && (next.literal_bytes > 0 || !conn->error);
}

void rdma_rc_receive_wake(struct rdma_conn *conn) {
    if (!conn->told || conn->stage != STAGE_OPEN || conn->lost || conn->closing)
        return;
    struct fill *fill = first_fill(conn);
    bool ready = fill && fill->reads == 0;
    if (conn->intake.on || ready)
        intake_wake(&conn->intake);
}

void rdma_rc_receive(struct transport_conn *handle, bool on) {
    struct rdma_conn *conn = rdma_conn_of(handle);
    conn->intake.on = on;
    if (!on)
        intake_stop(&conn->intake);
    rdma_rc_receive_wake(conn);
}

void rdma_rc_receive_into(struct transport_conn *handle, struct mux_room room) {
    struct rdma_conn *conn = rdma_conn_of(handle);
    intake_offer(&conn->intake, room);
    rdma_rc_receive_wake(conn);
}

/* A new fill over the room or a buffer; NULL: there is none, or existing fills come first. */
static struct fill *begin_fill(struct rdma_conn *conn) {
    struct fill *fill = &conn->fills[conn->fill_next % FILLS_MAX];
    if (conn->intake.room.len > 0) {
        if (fills_count(conn) > 0)
            return NULL;
        *fill = (struct fill){.room = conn->intake.room};
        return fill;
    }
    struct mux_buffer *buffer = intake_buffer(&conn->intake);
    if (!buffer) {
        if (fills_count(conn) == 0) {
            intake_wait(&conn->intake);
            conn->starved = true;
        }
        return NULL;
    }
    *fill = (struct fill){.buffer = buffer, .room = {buffer->data, buffer->size_bytes}};
    return fill;
}

/*
 * May the next fill begin? After a fill over a room none begins until that is reported. And a span
 * that fits no buffer is not begun before everything in front of it was reported: the user may
 * offer a room for it.
 */
static bool may_begin(struct rdma_conn *conn) {
    struct next next;
    const struct fill *fill = first_fill(conn);
    if (!conn->intake.on || !look(conn, &next) || fills_count(conn) == FILLS_MAX)
        return false;
    if (conn->error)
        return !fill && next.literal_bytes > 0;
    if (!fill)
        return true;
    if (conn->reading_bytes + fill->room.len > READ_WINDOW_BYTES)
        return false;
    bool large = next.has_span && !next.begun && next.literal_bytes == 0 &&
                 next.span.length > fill->room.len;
    return fill->buffer && !large;
}

static void release_bounce(struct rdma_conn *conn, struct fill *fill) {
    rdma_slots_discharge(&conn->device->staging, &conn->staging_share);
    rdma_slots_push(&conn->device->staging, fill->bounce);
    fill->bounce = NULL;
}

static void give_up_fill(struct rdma_conn *conn, struct fill *fill) {
    if (fill->bounce)
        release_bounce(conn, fill);
    if (fill->buffer)
        conn->intake.pool->returned(conn->intake.pool, fill->buffer);
}

static void plan(struct rdma_conn *conn) {
    while (may_begin(conn)) {
        struct fill *fill = begin_fill(conn);
        if (!fill)
            break;
        lay_out(conn, fill);
        if (fill->len == 0) {
            give_up_fill(conn, fill); /* the send queue is full: its completions wake us */
            break;
        }
        if (!fill->buffer)
            conn->intake.room.len = 0;
        conn->fill_next++;
    }
    rdma_work_post(conn, true);
    if (conn->device)
        grant(conn);
}

/*
 * Starts the next READs while the user handles what was reported. Not of a span for which the user
 * may offer a room; literal bytes wait, as more may follow.
 */
static void read_ahead(struct rdma_conn *conn) {
    struct next next;
    size_t buffer_bytes = conn->intake.pool->buffers[0].size_bytes;
    if (look(conn, &next) && next.has_span && (next.begun || next.span.length <= buffer_bytes))
        plan(conn);
}

/* Reports the first fill. */
static bool tell(struct rdma_conn *conn, struct transport_event *event) {
    struct fill *fill = first_fill(conn);
    conn->fill_first++;
    event->kind = TRANSPORT_RECEIVED;
    event->conn = &conn->head;
    event->buffer = fill->buffer;
    event->bytes = mux_span(fill->room.data, fill->len);
    if (fill->bounce) {
        memcpy(fill->room.data, fill->bounce->data, fill->len);
        release_bounce(conn, fill);
    }
    if (fill->buffer) {
        pool_lend(conn->intake.pool, fill->buffer);
        conn->intake.room.len = 0; /* an offer that was made meanwhile has lapsed */
        read_ahead(conn);
    } else {
        conn->intake.on = false;
    }
    rdma_rc_receive_wake(conn);
    rdma_rc_send_wake(conn); /* a failed send may have waited for this */
    return true;
}

static bool tell_starved(struct rdma_conn *conn, struct transport_event *event) {
    conn->starved = false;
    event->kind = TRANSPORT_STARVED;
    event->conn = &conn->head;
    return true;
}

static bool tell_ended(struct rdma_conn *conn, struct transport_event *event) {
    conn->ended = true;
    event->kind = TRANSPORT_ENDED;
    event->conn = &conn->head;
    rdma_rc_send_wake(conn);
    return true;
}

static bool end_comes_first(const struct rdma_conn *conn) {
    return conn->peer_ended && conn->intake.on && !conn->ended && fills_count(conn) == 0;
}

/* Everything that arrived was reported: does an end, or a loss, follow? */
static bool tell_what_is_behind(struct rdma_conn *conn, struct transport_event *event) {
    if (conn->error && (!conn->peer_closed || fills_count(conn) > 0) && !end_comes_first(conn))
        return rdma_rc_conn_tell_lost(conn, event, conn->error, conn->operation);
    if (conn->peer_closed && conn->peer_left_unread && conn->intake.on && !conn->ended)
        return rdma_rc_conn_tell_lost(conn, event, ECONNRESET, "receive");
    if ((conn->peer_ended || conn->peer_closed) && conn->intake.on && !conn->ended)
        return tell_ended(conn, event);
    return false;
}

bool rdma_rc_receive_turn(struct task *task, struct transport_event *event) {
    struct rdma_conn *conn = MUX_CONTAINER_OF(task, struct rdma_conn, intake.task);
    struct fill *fill = first_fill(conn);
    if (!fill || fill->reads > 0) {
        plan(conn);
        fill = first_fill(conn);
    }
    if (fill && fill->reads == 0 && !fill->failed)
        return tell(conn, event);
    if (conn->starved)
        return tell_starved(conn, event);
    if ((fill && !fill->failed) || !mux_list_empty(&conn->intake.task.link) ||
        rdma_rc_receive_has_bytes(conn))
        return false;
    return tell_what_is_behind(conn, event);
}

/* Only the literal bytes before the first span that is not read whole can be reported. */
void rdma_rc_receive_cut(struct rdma_conn *conn) {
    struct slot **at = &conn->unread;
    while (*at && (*at)->span == (*at)->message.spans)
        at = &(*at)->next;
    struct slot *slot = *at;
    if (!slot)
        return;
    slot->message.literal_bytes = rdma_wire_span_at(&slot->message, slot->span).before;
    slot->message.spans = slot->span;
    if (slot->literal_at < slot->message.literal_bytes)
        at = &slot->next;
    struct slot *behind = *at;
    *at = NULL;
    conn->unread_end = at;
    while (behind) {
        struct slot *next = behind->next;
        slot_done(conn, behind);
        behind = next;
    }
}

uint64_t rdma_rc_receive_taken_bytes(const struct rdma_conn *conn) {
    uint64_t bytes = conn->taken_bytes;
    if (!conn->peer_closed)
        return bytes;
    for (const struct slot *slot = conn->unread; slot; slot = slot->next)
        bytes += slot->message.literal_bytes - slot->literal_at;
    return bytes;
}

static void drop_fills(struct rdma_conn *conn) {
    struct fill *fill;
    while ((fill = first_fill(conn)) && fill->reads == 0) {
        give_up_fill(conn, fill);
        conn->fill_first++;
    }
}

void rdma_rc_receive_drop(struct rdma_conn *conn) {
    for (unsigned i = conn->fill_first; !conn->dropped && i != conn->fill_next; i++)
        conn->taken_bytes -= conn->fills[i % FILLS_MAX].len;
    conn->dropped = true;
    while (conn->unread)
        drop_first(conn);
    drop_fills(conn);
}
