/* A device: opened when a listener or a route first leads to it, with one of each object. */
#include "transport/rdma/rdma.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Six slots for each of 5000 connections; the queue itself is allocated at once. */
#define SRQ_MOST 32768

/* Completions at first; doubled as connections are made. */
#define COMPLETIONS_LEAST 4096

static bool fail(struct transport_failure *failure, const char *operation) {
    transport_failed(failure, operation);
    return false;
}

static bool register_memory(struct rdma_device *device, struct transport_failure *failure) {
    struct mux_room arena = device->transport->arena;
    device->pd = ibv_alloc_pd(device->context);
    if (!device->pd)
        return fail(failure, "ibv_alloc_pd");
    rdma_slots_init(&device->receive, device->pd);
    rdma_slots_init(&device->staging, device->pd);
    device->arena = ibv_reg_mr(device->pd, arena.data, arena.len,
                               IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ);
    return device->arena || fail(failure, "pinning memory (ulimit -l): ibv_reg_mr");
}

static bool make_queues(struct rdma_device *device, struct transport_failure *failure) {
    struct ibv_device_attr limits;
    errno = ibv_query_device(device->context, &limits);
    if (errno)
        return fail(failure, "ibv_query_device");
    int reads = limits.max_qp_rd_atom < limits.max_qp_init_rd_atom ? limits.max_qp_rd_atom
                                                                   : limits.max_qp_init_rd_atom;
    device->reads_max = reads < READS_MAX ? (unsigned)reads : READS_MAX;
    device->srq_max = limits.max_srq_wr < SRQ_MOST ? (unsigned)limits.max_srq_wr : SRQ_MOST;
    device->completions_max = (unsigned)limits.max_cqe;
    device->completions =
        COMPLETIONS_LEAST < device->completions_max ? COMPLETIONS_LEAST : device->completions_max;
    device->cq = ibv_create_cq(device->context, (int)device->completions, NULL, device->channel, 0);
    if (!device->cq)
        return fail(failure, "ibv_create_cq");
    struct ibv_srq_init_attr attributes = {.attr = {.max_wr = device->srq_max, .max_sge = 1}};
    device->srq = ibv_create_srq(device->pd, &attributes);
    return device->srq || fail(failure, "ibv_create_srq");
}

static bool make_channel(struct rdma_device *device, struct transport_failure *failure) {
    device->channel = ibv_create_comp_channel(device->context);
    if (!device->channel)
        return fail(failure, "ibv_create_comp_channel");
    int fd = device->channel->fd;
    struct epoll_event entry = {.events = EPOLLIN};
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0 ||
        epoll_ctl(device->transport->epoll_fd, EPOLL_CTL_ADD, fd, &entry) < 0)
        return fail(failure, "epoll_ctl");
    return true;
}

void rdma_device_close(struct rdma_device *device) {
    assert(device->conns == 0);
    mux_list_remove(&device->link);
    if (device->srq)
        ibv_destroy_srq(device->srq);
    if (device->cq)
        ibv_destroy_cq(device->cq);
    if (device->channel)
        ibv_destroy_comp_channel(device->channel);
    if (device->arena)
        ibv_dereg_mr(device->arena);
    if (device->pd) {
        rdma_slots_fini(&device->receive);
        rdma_slots_fini(&device->staging);
        ibv_dealloc_pd(device->pd);
    }
    free(device);
}

static struct rdma_device *device_open(struct transport *transport, struct ibv_context *context,
                                       struct transport_failure *failure) {
    struct rdma_device *device = calloc(1, sizeof *device);
    if (!device) {
        transport_failed(failure, "calloc");
        return NULL;
    }
    device->transport = transport;
    device->context = context;
    mux_list_append(&transport->devices, &device->link);
    if (register_memory(device, failure) && make_channel(device, failure) &&
        make_queues(device, failure))
        return device;
    rdma_device_close(device);
    return NULL;
}

static struct rdma_device *find(struct transport *transport, const struct ibv_context *context) {
    struct mux_list *head = &transport->devices;
    for (struct mux_list *link = head->next; link != head; link = link->next) {
        struct rdma_device *device = MUX_LIST_ITEM(link, struct rdma_device, link);
        if (device->context == context)
            return device;
    }
    return NULL;
}

struct rdma_device *rdma_device_get(struct transport *transport, struct ibv_context *context,
                                    struct transport_failure *failure) {
    struct rdma_device *device = find(transport, context);
    return device ? device : device_open(transport, context, failure);
}

static void close_if_unused(struct rdma_device *device) {
    if (device->removed && device->conns == 0)
        rdma_device_close(device);
}

void rdma_device_removed(struct transport *transport, struct ibv_context *context) {
    struct rdma_device *device = find(transport, context);
    if (!device)
        return;
    device->removed = true;
    close_if_unused(device);
}

/* The completion queue never overflows: it has an entry for every request that can be posted. */
static bool make_completions(struct rdma_device *device, struct transport_failure *failure) {
    unsigned needed = device->receive.total + (device->conns + 1) * WORK_MAX;
    if (device->receive.reserved + SLOTS_SURPLUS > device->srq_max ||
        needed > device->completions_max) {
        errno = ENOSPC; /* more connections than the device has queues for */
        return fail(failure, "ibv_resize_cq");
    }
    if (needed <= device->completions)
        return true;
    unsigned twice = 2 * device->completions;
    unsigned count = twice < needed ? needed : twice;
    count = count < device->completions_max ? count : device->completions_max;
    errno = ibv_resize_cq(device->cq, (int)count);
    if (errno)
        return fail(failure, "ibv_resize_cq");
    device->completions = count;
    return true;
}

static bool create_qp(struct rdma_device *device, struct rdma_conn *conn, unsigned inlined) {
    struct ibv_qp_init_attr attributes = {
        .send_cq = device->cq,
        .recv_cq = device->cq,
        .srq = device->srq,
        .qp_type = IBV_QPT_RC,
        .cap = {.max_send_wr = WORK_MAX, .max_send_sge = 1, .max_inline_data = inlined}};
    if (rdma_create_qp(conn->id, device->pd, &attributes) != 0)
        return false;
    unsigned got = attributes.cap.max_inline_data;
    conn->inline_most = got < INLINE_MAX ? got : INLINE_MAX;
    return true;
}

static bool make_conn(struct rdma_device *device, struct rdma_conn *conn,
                      struct transport_failure *failure) {
    const unsigned received = CONN_CREDITS + FLOW_CONTROLS_MAX;
    if (!rdma_slots_reserve(&device->receive, &conn->receive_share, received, failure) ||
        !rdma_slots_reserve(&device->staging, &conn->staging_share, CONN_STAGING, failure) ||
        !make_completions(device, failure))
        return false;
    conn->work = calloc(WORK_RING, sizeof *conn->work);
    if (!conn->work)
        return fail(failure, "calloc");
    return create_qp(device, conn, INLINE_MAX) || create_qp(device, conn, 0) ||
           fail(failure, "rdma_create_qp");
}

static struct rdma_conn **bucket_of(struct rdma_device *device, uint32_t qp_number) {
    return &device->by_qp[qp_number % QP_BUCKETS];
}

struct rdma_conn *rdma_device_conn(const struct rdma_device *device, uint32_t qp_number) {
    struct rdma_conn *conn = device->by_qp[qp_number % QP_BUCKETS];
    while (conn && conn->id->qp->qp_num != qp_number)
        conn = conn->next_by_qp;
    return conn;
}

static void give_back(struct rdma_device *device, struct rdma_conn *conn) {
    rdma_slots_unreserve(&device->receive, &conn->receive_share);
    rdma_slots_unreserve(&device->staging, &conn->staging_share);
    free(conn->work);
    conn->work = NULL;
}

bool rdma_device_join(struct rdma_device *device, struct rdma_conn *conn,
                      struct transport_failure *failure) {
    if (!make_conn(device, conn, failure)) {
        give_back(device, conn);
        return false;
    }
    conn->device = device;
    device->conns++;
    mux_list_append(&device->transport->open_conns, &conn->open_link);
    struct rdma_conn **bucket = bucket_of(device, conn->id->qp->qp_num);
    conn->next_by_qp = *bucket;
    *bucket = conn;
    for (unsigned i = 0; i < CONN_CREDITS + FLOW_CONTROLS_MAX; i++)
        rdma_slots_charge(&device->receive, &conn->receive_share, 0);
    conn->window = CONN_CREDITS + FLOW_CONTROLS_MAX;
    conn->unread_end = &conn->unread;
    rdma_device_claim(device, CONN_CREDITS + FLOW_CONTROLS_MAX);
    return true;
}

static void forget_qp(struct rdma_device *device, struct rdma_conn *conn) {
    struct rdma_conn **at = bucket_of(device, conn->id->qp->qp_num);
    while (*at != conn)
        at = &(*at)->next_by_qp;
    *at = conn->next_by_qp;
}

/*
 * What the peer sent before the end is received first: some devices drop remaining completions when
 * the queue pair is destroyed, and a received slot would be lost with each. After the destruction
 * nothing is in flight, whether it was reported or not.
 */
void rdma_device_leave(struct rdma_conn *conn) {
    struct rdma_device *device = conn->device;
    rdma_rc_conn_disconnect(conn);
    rdma_completions_take(device);
    forget_qp(device, conn);
    rdma_destroy_qp(conn->id);
    rdma_completions_take(device);
    rdma_rc_conn_break(conn, ECONNRESET,
                       "send"); /* a request without a completion is not known to be done */
    if (rdma_work_used(conn) > 0)
        rdma_work_over(conn, conn->work_next - 1, false);
    rdma_rc_receive_drop(conn);
    rdma_device_unclaim(device, conn->flow.granted + FLOW_CONTROLS_MAX);
    give_back(device, conn);
    mux_list_remove(&conn->open_link);
    device->conns--;
    conn->device = NULL;
    close_if_unused(device);
}

void rdma_device_claim(struct rdma_device *device, unsigned count) {
    device->claimed += count;
    while (device->posted < device->claimed) {
        struct slot *slot = rdma_slots_pop(&device->receive);
        struct ibv_sge piece = {(uintptr_t)slot->data, SLOT_BYTES, slot->key};
        struct ibv_recv_wr *bad,
            request = {.wr_id = (uintptr_t)slot, .sg_list = &piece, .num_sge = 1};
        if (ibv_post_srq_recv(device->srq, &request, &bad) != 0) {
            rdma_slots_push(&device->receive,
                            slot); /* the queue has room for every slot, so the device is dead */
            return;
        }
        device->posted++;
    }
}

void rdma_device_unclaim(struct rdma_device *device, unsigned count) {
    assert(device->claimed >= count);
    device->claimed -= count;
}
