/* Receive windows: how much peers may send before it is read. */
#include "transport/dpdk/internal.h"

#include "lwip/priv/tcp_priv.h"

#define ETHERNET_BYTES 14
#define TYPE_AT 12
#define TYPE_IPV4 0x0800
#define TYPE_IPV6 0x86dd
#define IPV4_BYTES 20
#define IPV6_BYTES 40
#define TCP_BYTES 20

/* Offsets in a TCP header. */
#define FLAGS_AT 13
#define WINDOW_AT 14
#define CHECKSUM_AT 16

void dpdk_window_begin(struct dpdk_conn *conn, uint32_t bytes) {
    conn->window_bytes = bytes;
    conn->transport->windows_grown_bytes += bytes - WINDOW_LEAST_BYTES;
}

void dpdk_window_end(struct dpdk_conn *conn) {
    conn->transport->windows_grown_bytes -= conn->window_bytes - WINDOW_LEAST_BYTES;
    conn->window_bytes = WINDOW_LEAST_BYTES;
}

/* Doubles the window each time it was read whole, as far as there is room. */
static uint32_t growth(const struct dpdk_conn *conn, size_t len) {
    const struct transport *transport = conn->transport;
    size_t more = TCP_WND_MAX(conn->pcb) - conn->window_bytes;
    size_t left = transport->windows_max_bytes > transport->windows_grown_bytes
                      ? transport->windows_max_bytes - transport->windows_grown_bytes
                      : 0;
    more = more < len ? more : len;
    return (uint32_t)(more < left ? more : left);
}

void dpdk_window_open(struct dpdk_conn *conn, size_t len) {
    if (!conn->pcb)
        return;
    uint32_t more = growth(conn, len);
    conn->window_bytes += more;
    conn->transport->windows_grown_bytes += more;
    for (size_t left = len + more; left > 0;) {
        u16_t now = left < UINT16_MAX ? (u16_t)left : UINT16_MAX;
        tcp_recved(conn->pcb, now);
        left -= now;
    }
}

bool dpdk_window_is_news(const struct dpdk_conn *conn) {
    const struct tcp_pcb *pcb = conn->pcb;
    uint32_t unknown = pcb->rcv_nxt + pcb->rcv_wnd - pcb->rcv_ann_right_edge;
    return (int32_t)unknown >= (int32_t)conn->window_bytes / 2;
}

/* lwIP starts with its largest window; it can be taken back before a byte has arrived. */
void dpdk_window_shut(struct tcp_pcb *pcb) {
    pcb->rcv_wnd = pcb->rcv_ann_wnd = WINDOW_LEAST_BYTES;
    pcb->rcv_ann_right_edge = pcb->rcv_nxt + WINDOW_LEAST_BYTES;
}

static unsigned read16(const uint8_t *data) {
    return (unsigned)data[0] << 8 | data[1];
}

static void write16(uint8_t *data, unsigned value) {
    data[0] = (uint8_t)(value >> 8);
    data[1] = (uint8_t)value;
}

/*
 * The window field of a frame of ours, whose headers are as lwIP makes them; NULL: another kind of
 * frame.
 */
static uint8_t *syn_ack(uint8_t *frame, size_t len) {
    bool is_6 = len > ETHERNET_BYTES && frame[ETHERNET_BYTES] >> 4 == 6;
    size_t at = ETHERNET_BYTES + (is_6 ? IPV6_BYTES : IPV4_BYTES);
    if (len < at + TCP_BYTES || read16(frame + TYPE_AT) != (is_6 ? TYPE_IPV6 : TYPE_IPV4))
        return NULL;
    unsigned protocol = frame[ETHERNET_BYTES + (is_6 ? 6 : 9)];
    bool is_one = protocol == IP_PROTO_TCP && frame[at + FLAGS_AT] == (TCP_SYN | TCP_ACK);
    return is_one ? frame + at : NULL;
}

/*
 * The answer to a SYN leaves before dpdk_window_shut() can be called: the field is changed in the
 * frame, and its checksum corrected as in RFC 1624.
 */
void dpdk_window_write(uint8_t *frame, size_t len) {
    uint8_t *tcp = syn_ack(frame, len);
    if (!tcp || read16(tcp + WINDOW_AT) <= WINDOW_LEAST_BYTES)
        return;
    uint32_t sum = (~read16(tcp + CHECKSUM_AT) & 0xffff) + (~read16(tcp + WINDOW_AT) & 0xffff) +
                   WINDOW_LEAST_BYTES;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    write16(tcp + CHECKSUM_AT, ~sum & 0xffff);
    write16(tcp + WINDOW_AT, WINDOW_LEAST_BYTES);
}
