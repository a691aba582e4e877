/* Received bytes on their way from lwIP to the user: where they lie, and when they are copied. */
#include "transport/dpdk/internal.h"
#include <stdlib.h>

/*
 * Up to this many bytes are copied behind the previous ones, where there is room: cheaper than
 * another piece, and a peer that sends byte by byte does not pin a frame with each.
 */
#define SMALL_BYTES 256

/* Memory for what is copied out of frames. */
#define COPY_BYTES (4096 - sizeof(struct piece))

static unsigned taken;

unsigned dpdk_pieces_taken(void) {
    return taken;
}

static void free_frame(struct pbuf *pbuf) {
    struct piece *piece = (struct piece *)(void *)pbuf;
    assert(taken > 0);
    taken--;
    dpdk_nic_free(piece->mbuf);
}

struct pbuf *dpdk_piece_of_frame(const struct nic_frame *frame) {
    struct piece *piece = frame->private;
    *piece = (struct piece){
        .pbuf.custom_free_function = free_frame, .mbuf = frame->mbuf, .end = frame->end};
    taken++;
    return pbuf_alloced_custom(PBUF_RAW, (u16_t)frame->len, PBUF_REF, &piece->pbuf, frame->data,
                               (u16_t)frame->len);
}

void dpdk_piece_free(struct piece *piece) {
    if (piece->mbuf)
        free_frame(&piece->pbuf.pbuf);
    else
        free(piece);
}

static struct piece *last_piece(const struct dpdk_conn *conn) {
    return mux_list_empty(&conn->inbox) ? NULL
                                        : MUX_LIST_ITEM(conn->inbox.prev, struct piece, link);
}

static size_t room_behind(const struct piece *piece) {
    return piece ? (size_t)(piece->end - (piece->data + piece->len)) : 0;
}

static struct piece *make_piece(void) {
    struct piece *piece = malloc(sizeof *piece + COPY_BYTES);
    if (!piece)
        return NULL;
    *piece = (struct piece){.data = (uint8_t *)(piece + 1)};
    piece->end = piece->data + COPY_BYTES;
    return piece;
}

static bool put_copy(struct dpdk_conn *conn, const uint8_t *data, size_t len) {
    dpdk_counters.received_copied_bytes += len;
    while (len > 0) {
        struct piece *last = last_piece(conn);
        size_t room = room_behind(last);
        if (room == 0) {
            last = make_piece();
            if (!last)
                return false;
            mux_list_append(&conn->inbox, &last->link);
            room = room_behind(last);
        }
        size_t now = len < room ? len : room;
        memcpy(last->data + last->len, data, now);
        last->len += now;
        data += now;
        len -= now;
    }
    return true;
}

/* Is this frame used only here, so that it may be kept? */
static bool may_keep(const struct pbuf *pbuf) {
    return pbuf->flags & PBUF_FLAG_IS_CUSTOM && pbuf->ref == 1 && taken <= FRAMES_KEPT_MAX;
}

static bool put_one(struct dpdk_conn *conn, struct pbuf *pbuf) {
    bool small = pbuf->len <= SMALL_BYTES && pbuf->len <= room_behind(last_piece(conn));
    if (pbuf->len > 0 && !small && may_keep(pbuf)) {
        struct piece *piece = (struct piece *)(void *)pbuf;
        piece->data = pbuf->payload;
        piece->len = pbuf->len;
        mux_list_append(&conn->inbox, &piece->link);
        return true;
    }
    bool put = put_copy(conn, pbuf->payload, pbuf->len);
    pbuf_free(pbuf);
    return put;
}

bool dpdk_inbox_put(struct dpdk_conn *conn, struct pbuf *chain) {
    while (chain) {
        struct pbuf *rest = chain->next;
        chain->next = NULL;
        chain->tot_len = chain->len;
        if (!put_one(conn, chain)) {
            if (rest)
                pbuf_free(rest);
            return false;
        }
        chain = rest;
    }
    return true;
}

size_t dpdk_inbox_copy(struct dpdk_conn *conn, struct mux_room room) {
    size_t copied = 0;
    while (copied < room.len && !mux_list_empty(&conn->inbox)) {
        struct piece *piece = MUX_LIST_ITEM(conn->inbox.next, struct piece, link);
        size_t left = room.len - copied, now = piece->len < left ? piece->len : left;
        memcpy(room.data + copied, piece->data, now);
        copied += now;
        piece->data += now;
        piece->len -= now;
        if (piece->len == 0) {
            mux_list_remove(&piece->link);
            dpdk_piece_free(piece);
        }
    }
    dpdk_counters.received_copied_bytes += copied;
    return copied;
}

void dpdk_inbox_clear(struct dpdk_conn *conn) {
    struct mux_list *link;
    while ((link = mux_list_pop(&conn->inbox)))
        dpdk_piece_free(MUX_LIST_ITEM(link, struct piece, link));
}
