/*
 * The send queue of a connection: a ring of its requests, in order. Most requests make no
 * completion of their own; the next one that does covers those before it. Requests are collected
 * first and handed to the device with one call.
 */
#include "transport/rdma/rdma.h"

static struct batch *batch_for(struct rdma_conn *conn) {
    struct batch *batch = &conn->transport->batch;
    if (batch->count == BATCH_MAX)
        rdma_work_post(conn, false);
    assert(batch->count == 0 || batch->conn == conn); /* each caller posts before it returns */
    batch->conn = conn;
    return batch;
}

/* Has the queue a free entry, and has nothing failed? */
static bool has_room(const struct rdma_conn *conn, unsigned kept) {
    return !conn->error && !conn->disconnected && rdma_work_used(conn) + kept < WORK_MAX;
}

/* A new request, the last of the batch. */
static struct ibv_send_wr *add(struct rdma_conn *conn, const struct work *work) {
    struct batch *batch = batch_for(conn);
    unsigned number = conn->work_next++;
    struct ibv_send_wr *request = &batch->requests[batch->count];
    uint64_t index = conns_index(&conn->transport->conns, conn);
    conn->work[number % WORK_RING] = *work;
    *request = (struct ibv_send_wr){.wr_id = WORK_ID | index << 32 | number,
                                    .sg_list = &batch->pieces[batch->count]};
    batch->count++;
    return request;
}

static void sign(struct rdma_conn *conn, struct ibv_send_wr *request) {
    request->send_flags |= IBV_SEND_SIGNALED;
    conn->work[(uint32_t)request->wr_id % WORK_RING].signalled = true;
    conn->unsignalled = 0;
}

static void sign_in_turn(struct rdma_conn *conn, struct ibv_send_wr *request) {
    if (++conn->unsignalled >= WORK_SIGNAL_EVERY)
        sign(conn, request);
}

static struct slot *take_staging(struct rdma_conn *conn) {
    struct slots *slots = &conn->device->staging;
    return rdma_slots_charge(slots, &conn->staging_share, CONN_STAGING_MAX) ? rdma_slots_pop(slots)
                                                                            : NULL;
}

uint8_t *rdma_work_message(struct rdma_conn *conn, size_t len, size_t literal_bytes, bool control) {
    struct work work = {.kind = WORK_MESSAGE, .bytes = (uint32_t)literal_bytes};
    bool is_inline = len <= conn->inline_most;
    if (!has_room(conn, control ? 0 : WORK_FOR_CONTROLS))
        return NULL;
    if (!is_inline && !(work.staging = take_staging(conn)))
        return NULL;
    struct ibv_send_wr *request = add(conn, &work);
    uint8_t *data = is_inline ? conn->transport->batch.inlined[conn->transport->batch.count - 1]
                              : work.staging->data;
    *request->sg_list =
        (struct ibv_sge){(uintptr_t)data, (uint32_t)len, is_inline ? 0 : work.staging->key};
    request->num_sge = 1;
    request->opcode = IBV_WR_SEND;
    request->send_flags = is_inline ? IBV_SEND_INLINE : 0;
    conn->unacknowledged_bytes += literal_bytes;
    sign_in_turn(conn, request);
    return data;
}

bool rdma_work_read(struct rdma_conn *conn, struct fill *fill, const struct wire_span *from,
                    uint8_t *to, uint32_t key, bool is_last) {
    if (!has_room(conn, WORK_FOR_CONTROLS) || conn->reads == conn->device->reads_max)
        return false;
    const struct work work = {
        .kind = WORK_READ, .fill = fill, .is_last = is_last, .bytes = from->length};
    struct ibv_send_wr *request = add(conn, &work);
    *request->sg_list = (struct ibv_sge){(uintptr_t)to, from->length, key};
    request->num_sge = 1;
    request->opcode = IBV_WR_RDMA_READ;
    request->wr.rdma.remote_addr = from->address;
    request->wr.rdma.rkey = from->key;
    sign(conn, request);
    conn->reads++;
    conn->reading_bytes += from->length;
    fill->reads++;
    return true;
}

void rdma_work_probe(struct rdma_conn *conn) {
    const struct work work = {.kind = WORK_PROBE};
    if (!has_room(conn, WORK_FOR_CONTROLS))
        return;
    struct ibv_send_wr *request = add(conn, &work);
    request->opcode = IBV_WR_RDMA_WRITE; /* without bytes: needs neither slot nor key */
    sign(conn, request);
    rdma_work_post(conn, true);
}

static void give_back_staging(struct rdma_conn *conn, struct slot *slot) {
    rdma_slots_discharge(&conn->device->staging, &conn->staging_share);
    rdma_slots_push(&conn->device->staging, slot);
}

static void read_over(struct rdma_conn *conn, const struct work *work, bool ok) {
    conn->reads--;
    conn->reading_bytes -= work->bytes;
    work->fill->reads--;
    work->fill->failed |= !ok;
    if (ok && work->is_last)
        conn->done++;
}

static void one_over(struct rdma_conn *conn, const struct work *work, bool ok) {
    if (work->kind == WORK_READ)
        read_over(conn, work, ok);
    if (work->staging)
        give_back_staging(conn, work->staging);
    if (ok && work->kind == WORK_MESSAGE)
        conn->unacknowledged_bytes -= work->bytes;
}

void rdma_work_over(struct rdma_conn *conn, unsigned last, bool ok) {
    while (conn->work_first != last + 1) {
        bool worked = ok || (conn->work_first != last && !conn->error);
        one_over(conn, &conn->work[conn->work_first % WORK_RING], worked);
        conn->work_first++;
    }
}

/* The device rejected the requests from number `first` on. */
static void not_posted(struct rdma_conn *conn, unsigned first, int error) {
    while (conn->work_next != first) {
        conn->work_next--;
        one_over(conn, &conn->work[conn->work_next % WORK_RING], false);
    }
    rdma_rc_conn_break(conn, error, "send");
}

void rdma_work_post(struct rdma_conn *conn, bool signal) {
    struct batch *batch = &conn->transport->batch;
    struct ibv_send_wr *bad = NULL;
    if (batch->count == 0)
        return;
    struct ibv_send_wr *last = &batch->requests[batch->count - 1];
    if (signal && !(last->send_flags & IBV_SEND_SIGNALED))
        sign(conn, last);
    for (unsigned i = 0; i + 1 < batch->count; i++)
        batch->requests[i].next = &batch->requests[i + 1];
    batch->count = 0;
    int error = ibv_post_send(conn->id->qp, &batch->requests[0], &bad);
    if (error)
        not_posted(conn, (uint32_t)bad->wr_id, error);
}
