/*
 * stranger HOST PORT HELLO [MESSAGE...]: an RDMA client that is no muxd. Connects with HELLO as
 * private data, then sends each MESSAGE; all in hex, "" is empty, and IMM:MESSAGE is sent with
 * immediate data. Prints the result: "rejected", or "accepted" and then "disconnected". Waits for
 * it without limit.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <rdma/rdma_cma.h>
#include <rdma/rdma_verbs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGES_MAX 64
#define MESSAGE_BYTES 65536
#define SILENCE_MS 20000 /* far longer than muxd takes to cut off a violator */
#define COMPLETION_MS 1  /* between two looks for a completion */
#define RECEIVES 64      /* more messages than the peer may send: it must find a receive buffer */

static struct ibv_mr *memory;

static void die(const char *operation) {
    fprintf(stderr, "stranger: %s: %s\n", operation, strerror(errno));
    exit(1);
}

static size_t from_hex(const char *hex, uint8_t *out, size_t out_bytes) {
    size_t count = strlen(hex) / 2;
    for (size_t i = 0; i < count; i++) {
        unsigned value;
        if (i == out_bytes || sscanf(hex + 2 * i, "%2x", &value) != 1) {
            fprintf(stderr, "stranger: %s: not hex, or too long\n", hex);
            exit(2);
        }
        out[i] = (uint8_t)value;
    }
    return count;
}

static struct rdma_cm_id *reach(char *host, char *port) {
    struct rdma_addrinfo hints = {.ai_port_space = RDMA_PS_TCP}, *found;
    struct ibv_qp_init_attr attributes = {.qp_type = IBV_QPT_RC,
                                          .sq_sig_all = 1,
                                          .cap = {.max_send_wr = MESSAGES_MAX,
                                                  .max_recv_wr = RECEIVES,
                                                  .max_send_sge = 1,
                                                  .max_recv_sge = 1}};
    struct rdma_cm_id *id;
    if (rdma_getaddrinfo(host, port, &hints, &found) != 0)
        die("rdma_getaddrinfo");
    if (rdma_create_ep(&id, found, NULL, &attributes) != 0)
        die("rdma_create_ep");
    rdma_freeaddrinfo(found);
    return id;
}

static void be_ready_to_receive(struct rdma_cm_id *id) {
    static uint8_t room[MESSAGE_BYTES];
    memory = rdma_reg_msgs(id, room, sizeof room);
    if (!memory)
        die("rdma_reg_msgs");
    for (int i = 0; i < RECEIVES; i++)
        if (rdma_post_recv(id, NULL, room, sizeof room, memory) != 0)
            die("rdma_post_recv");
}

/* False: rejected. */
static bool come_in(struct rdma_cm_id *id, const char *hello) {
    uint8_t data[256];
    struct rdma_conn_param with = {.private_data = data,
                                   .private_data_len = (uint8_t)from_hex(hello, data, 255),
                                   .responder_resources = 1,
                                   .initiator_depth = 1,
                                   .retry_count = 3,
                                   .rnr_retry_count = 7};
    if (rdma_connect(id, &with) == 0)
        return true;
    if (errno != ECONNREFUSED)
        die("rdma_connect");
    return false;
}

/*
 * False: it failed, or the peer ended the connection meanwhile. A peer that is out of receive
 * buffers when it ends leaves the software device waiting, at times for ever: the connection
 * manager's event ends the wait.
 */
static bool await_completion(struct rdma_cm_id *id) {
    struct ibv_wc completion;
    struct pollfd channel = {.fd = id->channel->fd, .events = POLLIN};
    for (;;) {
        int count = ibv_poll_cq(id->send_cq, 1, &completion);
        if (count < 0)
            die("ibv_poll_cq");
        if (count == 1)
            return completion.status == IBV_WC_SUCCESS;
        if (poll(&channel, 1, COMPLETION_MS) == 1)
            return false;
    }
}

/* False: it was not delivered. */
static bool deliver(struct rdma_cm_id *id, struct ibv_sge *piece, struct ibv_send_wr *request) {
    struct ibv_send_wr *bad;
    request->sg_list = piece;
    request->num_sge = 1;
    errno = ibv_post_send(id->qp, request, &bad);
    if (errno)
        die("ibv_post_send");
    return await_completion(id);
}

static bool say(struct rdma_cm_id *id, const char *message) {
    static uint8_t room[MESSAGE_BYTES];
    const char *colon = strchr(message, ':');
    size_t len = from_hex(colon ? colon + 1 : message, room, sizeof room);
    struct ibv_mr *mr = rdma_reg_msgs(id, room, sizeof room);
    if (!mr)
        die("rdma_reg_msgs");
    struct ibv_sge piece = {(uintptr_t)room, (uint32_t)len, mr->lkey};
    struct ibv_send_wr request = {.opcode = IBV_WR_SEND};
    if (colon) {
        request.opcode = IBV_WR_SEND_WITH_IMM;
        request.imm_data = htonl((uint32_t)strtoul(message, NULL, 16));
    }
    if (!deliver(id, &piece, &request))
        return false; /* the device may still hold the memory: it goes with the process */
    rdma_dereg_mr(mr);
    return true;
}

/*
 * The connection manager's message is a datagram, which a busy machine loses now and then, and its
 * sender does not wait for the answer: after a silence one more message shows whether the peer is
 * gone.
 */
static void await_disconnect(struct rdma_cm_id *id) {
    struct rdma_cm_event *event;
    struct pollfd channel = {.fd = id->channel->fd, .events = POLLIN};
    while (poll(&channel, 1, SILENCE_MS) == 0) {
        if (!say(id, "")) {
            puts("disconnected");
            return;
        }
    }
    if (rdma_get_cm_event(id->channel, &event) != 0)
        die("rdma_get_cm_event");
    puts(event->event == RDMA_CM_EVENT_DISCONNECTED ? "disconnected"
                                                    : rdma_event_str(event->event));
    rdma_ack_cm_event(event);
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: stranger HOST PORT HELLO [MESSAGE...]\n");
        return 2;
    }
    struct rdma_cm_id *id = reach(argv[1], argv[2]);
    be_ready_to_receive(id);
    setlinebuf(stdout);
    if (!come_in(id, argv[3])) {
        puts("rejected");
    } else {
        puts("accepted");
        for (int i = 4; i < argc && say(id, argv[i]); i++)
            continue;
        await_disconnect(id);
        rdma_disconnect(id);
    }
    rdma_dereg_mr(memory);
    rdma_destroy_ep(id);
    return 0;
}
