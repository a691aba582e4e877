/*
 * Ports of DPDK: frames in, frames out. The implementation includes DPDK's headers and nothing of
 * lwIP, because the two conflict; this header needs neither.
 *
 * DPDK's environment (EAL) is started once in a process, with the first port, and stays. One
 * thread. Nothing blocks except dpdk_nic_open(), for some 0.2 s.
 */
#ifndef TRANSPORT_DPDK_NIC_H
#define TRANSPORT_DPDK_NIC_H

#include "transport/dpdk/spec.h"
#include "transport/transport.h"

/* Frames of all ports together; 2 KiB each. */
#define NIC_FRAMES 16383

/*
 * Frames taken from a port at a time, and handed to it: what drivers fetch in one go. With 64 a
 * stream of 64 KiB packets is a tenth slower, of 100 B packets a tenth faster.
 */
#define NIC_BURST 32

/* Largest packet, and largest frame without its checksum: Ethernet's. */
#define NIC_MTU_BYTES 1500
#define NIC_FRAME_MOST_BYTES (14 + NIC_MTU_BYTES)

struct nic;

/* A received frame. It is the caller's until dpdk_nic_free(mbuf). */
struct nic_frame {
    void *mbuf;
    void *private; /* the caller's; private_bytes of dpdk_nic_open() */
    uint8_t *data;
    size_t len;
    uint8_t *end; /* of the memory that the frame lies in */
};

/*
 * Opens a port; it receives from now on. private_bytes is the same each time. NULL with *failure,
 * whose operation names the port, and the reason that DPDK gave: EPERM, ENODEV, ENOMEM, ...
 */
struct nic *dpdk_nic_open(const struct dpdk_spec *spec, size_t private_bytes,
                          struct transport_failure *failure);

/*
 * Restores the interface to the state before dpdk_nic_open(). Frames still lent may be freed after
 * it.
 */
void dpdk_nic_close(struct nic *nic);

/* The port's own MAC address: a card's; false when it has none. */
bool dpdk_nic_mac(const struct nic *nic, uint8_t mac[DPDK_MAC_BYTES]);

/* Of the interface or card, at most NIC_MTU_BYTES. */
unsigned dpdk_nic_mtu_bytes(const struct nic *nic);

/* Frames that the port dropped for want of room, according to its driver. */
uint64_t dpdk_nic_missed(const struct nic *nic);

/* Has the kernel's interface that the port was opened on vanished? */
bool dpdk_nic_is_gone(const struct nic *nic);

/* Up to `most` (at most NIC_BURST) frames, each in one piece. */
unsigned dpdk_nic_receive(struct nic *nic, struct nic_frame *frames, unsigned most);
void dpdk_nic_free(void *mbuf);

/*
 * Room for a frame of `len` bytes to send; NULL when there is none: the frame is lost, as frames
 * may be. dpdk_nic_queue() hands it over; it leaves with dpdk_nic_flush() at the latest. Both
 * return how many frames the port did not take, which are lost, too.
 */
uint8_t *dpdk_nic_room(size_t len, void **mbuf);
unsigned dpdk_nic_queue(struct nic *nic, void *mbuf);
unsigned dpdk_nic_flush(struct nic *nic);
bool dpdk_nic_has_queued(const struct nic *nic);

#endif
