/* Completions of a device: messages that arrived and requests that are done. */
#include "transport/rdma/rdma.h"

/* Completions fetched at a time. */
#define COMPLETIONS_AT_ONCE 32

static int error_of(enum ibv_wc_status status) {
    switch (status) {
    case IBV_WC_RETRY_EXC_ERR:
    case IBV_WC_RESP_TIMEOUT_ERR:
        return ETIMEDOUT;
    case IBV_WC_RNR_RETRY_EXC_ERR:
        return ENOBUFS;
    case IBV_WC_WR_FLUSH_ERR:
        return ECONNRESET;
    case IBV_WC_FATAL_ERR:
        return ENODEV;
    default:
        return EPROTO; /* lengths, keys or operations that the other side does not allow */
    }
}

/* A message that is not kept: its slot receives another one. */
static void repost(struct rdma_device *device, struct slot *slot) {
    rdma_slots_push(&device->receive, slot);
    rdma_device_claim(device, 0);
}

/* Handles the head of a message. False: the peer broke the rules. */
static bool take_head(struct rdma_conn *conn, const struct wire_head *head) {
    if (!rdma_rc_send_done(conn, head->done) || !rdma_flow_receive(&conn->flow, head))
        return false; /* nothing is counted: the slot stays the peer's until it is cut off */
    if (head->credits > 0)
        rdma_rc_send_wake(conn);
    if (rdma_flow_owes_answer(&conn->flow) || head->controls > 0)
        rdma_control_due(conn);
    return true;
}

/* Returns whether the slot is kept. */
static bool take_message(struct rdma_conn *conn, struct slot *slot, size_t len) {
    struct rdma_device *device = conn->device;
    if (conn->stage == STAGE_ACCEPTING)
        rdma_rc_conn_open(
            conn); /* the peer has our answer: its confirmation is on its way or lost */
    if (conn->error || conn->stage != STAGE_OPEN)
        return false;
    if (!rdma_wire_parse(slot->data, len, &slot->message) ||
        !take_head(conn, &slot->message.head)) {
        rdma_rc_conn_break(conn, EPROTO, "receive");
        return false;
    }
    if (!(slot->message.head.flags & WIRE_STREAM)) {
        rdma_control_receive(conn, &slot->message);
        return false;
    }
    rdma_device_unclaim(device, 1);
    rdma_rc_receive_message(conn, slot);
    return true;
}

static void take_received(struct rdma_device *device, const struct ibv_wc *completion) {
    struct slot *slot = (struct slot *)(uintptr_t)completion->wr_id;
    struct rdma_conn *conn = rdma_device_conn(device, completion->qp_num);
    device->posted--;
    bool good = completion->status == IBV_WC_SUCCESS;
    if (conn && !good && completion->status != IBV_WC_WR_FLUSH_ERR)
        rdma_rc_conn_break(conn, error_of(completion->status), "receive");
    if (!conn || !good || !take_message(conn, slot, completion->byte_len))
        repost(device, slot);
}

static void take_done(struct rdma_device *device, const struct ibv_wc *completion) {
    struct rdma_conn *conn =
        conns_at(&device->transport->conns, (unsigned)(completion->wr_id << 1 >> 33));
    unsigned number = (uint32_t)completion->wr_id;
    assert(number - conn->work_first < rdma_work_used(conn));
    enum work_kind kind = conn->work[number % WORK_RING].kind;
    bool ok = completion->status == IBV_WC_SUCCESS;
    rdma_work_over(conn, number, ok);
    if (!ok)
        rdma_rc_conn_break(conn, error_of(completion->status),
                           kind == WORK_READ ? "receive" : "send");
    rdma_rc_send_wake(conn);
    rdma_rc_receive_wake(conn);
    rdma_control_due(conn);
    if (conn->closing)
        rdma_rc_close_wake(conn);
}

bool rdma_completions_take(struct rdma_device *device) {
    struct ibv_wc completions[COMPLETIONS_AT_ONCE];
    int count;
    bool any = false;
    while ((count = ibv_poll_cq(device->cq, COMPLETIONS_AT_ONCE, completions)) > 0) {
        any = true;
        for (int i = 0; i < count; i++) {
            if (completions[i].wr_id & WORK_ID)
                take_done(device, &completions[i]);
            else
                take_received(device, &completions[i]);
        }
    }
    return any;
}
