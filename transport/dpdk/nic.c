#include "transport/dpdk/nic.h"
#include "transport/dpdk/eal.h"
#include "transport/dpdk/kernel.h"
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <rte_bus_vdev.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Frames in a port's own rings. */
#define RING_FRAMES 1024

/* Bursts of the most frames that an interface's ring in the kernel holds. */
#define DRAIN_BURSTS (4096 / NIC_BURST)

/* Cached per thread, so that the pool is rarely used. */
#define CACHE_FRAMES 256

/* After this many tries the rest is lost, as on a full wire. */
#define FLUSH_TRIES 64

struct nic {
    uint16_t id;
    bool is_pci;
    char device[ENDPOINT_TEXT_BYTES];
    char interface[IFNAMSIZ];            /* of the kernel's; "": none */
    struct dpdk_kernel_interface before; /* its state when it was opened */
    int promiscuous_fd;                  /* -1: none */
    int claims[DPDK_ADDRESSES_MAX];      /* its addresses on that interface */
    unsigned claims_count;
    struct rte_mbuf *queued[NIC_BURST];
    uint16_t queued_count;
};

/* Shared by all ports; lives as long as the environment. */
static struct rte_mempool *pool;

static bool make_pool(size_t private_bytes, struct transport_failure *failure) {
    if (pool)
        return true;
    pool = rte_pktmbuf_pool_create("muxd", NIC_FRAMES, CACHE_FRAMES,
                                   (uint16_t)RTE_ALIGN_CEIL(private_bytes, RTE_MBUF_PRIV_ALIGN),
                                   RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    if (!pool)
        dpdk_eal_failed(failure, rte_errno, "rte_pktmbuf_pool_create", "");
    return pool;
}

/* The value of KEY=VALUE in a device's arguments; "" when it has none. */
static void find_argument(const struct dpdk_spec *spec, const char *key, char *value,
                          size_t value_bytes) {
    size_t key_len = strlen(key);
    const char *item = spec->arguments;
    value[0] = '\0';
    while (item) {
        if (strncmp(item, key, key_len) == 0 && item[key_len] == '=')
            snprintf(value, value_bytes, "%.*s", (int)strcspn(item + key_len + 1, ","),
                     item + key_len + 1);
        item = strchr(item, ',');
        item = item ? item + 1 : NULL;
    }
}

static bool is_driver(const struct dpdk_spec *spec, const char *name) {
    return strncmp(spec->device, name, strlen(name)) == 0;
}

/* Does the device use an interface that the kernel has already? */
static bool uses_interface(const struct dpdk_spec *spec) {
    return is_driver(spec, "net_af_packet") || is_driver(spec, "net_af_xdp");
}

/* Two programs with one address on one network would each get half of everything. */
static bool claim(struct nic *nic, const struct dpdk_spec *spec,
                  struct transport_failure *failure) {
    for (unsigned i = 0; i < spec->addresses_count; i++) {
        const struct dpdk_ip *ip = &spec->addresses[i];
        char address[INET6_ADDRSTRLEN], name[KERNEL_NAME_BYTES];
        inet_ntop(ip->family, ip->bytes, address, sizeof address);
        snprintf(name, sizeof name, "muxd/dpdk/%s/%s", nic->interface, address);
        nic->claims[i] = dpdk_kernel_claim(name);
        if (nic->claims[i] < 0) {
            dpdk_eal_failed(failure, errno, "taking this address on", nic->interface);
            return false;
        }
        nic->claims_count++;
    }
    return true;
}

/*
 * Drivers return -1 for everything that the kernel forbids: asking the kernel first gives the
 * reason.
 */
static bool kernel_allows(struct nic *nic, const struct dpdk_spec *spec,
                          struct transport_failure *failure) {
    if (is_driver(spec, "net_tap") && !dpdk_kernel_may_tap()) {
        dpdk_eal_failed(failure, errno, "making a tap for", spec->device);
        return false;
    }
    if (!uses_interface(spec))
        return true;
    find_argument(spec, "iface", nic->interface, sizeof nic->interface);
    if (!dpdk_kernel_interface(nic->interface, &nic->before)) {
        dpdk_eal_failed(failure, errno, "finding the interface that iface= names for",
                        spec->device);
        return false;
    }
    if (!claim(nic, spec, failure))
        return false;
    nic->promiscuous_fd =
        dpdk_kernel_promiscuous(&nic->before); /* our MAC is not the interface's */
    if (nic->promiscuous_fd < 0)
        dpdk_eal_failed(failure, errno, "listening to all frames for", spec->device);
    return nic->promiscuous_fd >= 0;
}

/*
 * The interface's ring in the kernel: room for bursts of some milliseconds; a quarter of it where a
 * user may not lock so much memory.
 */
static const char *const ring_frames[] = {"4096", "1024"};

#define RING_SIZES (sizeof ring_frames / sizeof *ring_frames)

static void complete_arguments(const struct dpdk_spec *spec, const char *frames, char *arguments,
                               size_t bytes) {
    const char *const defaults[][2] = {
        {"framesz", "2048"}, {"blocksz", "65536"}, {"framecnt", frames}};
    size_t len = (size_t)snprintf(arguments, bytes, "%s", spec->arguments);
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) {
        char given[8];
        find_argument(spec, defaults[i][0], given, sizeof given);
        if (given[0] == '\0')
            len += (size_t)snprintf(arguments + len, bytes - len, "%s%s=%s", len ? "," : "",
                                    defaults[i][0], defaults[i][1]);
    }
}

static int make_virtual(const struct dpdk_spec *spec) {
    char arguments[2 * ENDPOINT_TEXT_BYTES];
    int error = -1;
    if (!is_driver(spec, "net_af_packet"))
        return rte_vdev_init(spec->device, spec->arguments);
    for (size_t i = 0; i < RING_SIZES && error; i++) {
        complete_arguments(spec, ring_frames[i], arguments, sizeof arguments);
        error = rte_vdev_init(spec->device, arguments);
    }
    return error;
}

/* Drivers start threads, too, which must not take signals. */
static int make_device(const struct dpdk_spec *spec) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = spec->is_pci ? rte_dev_probe(spec->device) : make_virtual(spec);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

static void remove_device(const struct nic *nic) {
    if (!nic->is_pci)
        rte_vdev_uninit(nic->device);
}

static const char *configure(struct nic *nic, int *error) {
    const struct rte_eth_conf configuration = {0};
    uint16_t rx = RING_FRAMES, tx = RING_FRAMES;
    unsigned socket = (unsigned)rte_eth_dev_socket_id(nic->id);
    if ((*error = rte_eth_dev_configure(nic->id, 1, 1, &configuration)))
        return "rte_eth_dev_configure";
    if ((*error = rte_eth_dev_adjust_nb_rx_tx_desc(nic->id, &rx, &tx)))
        return "rte_eth_dev_adjust_nb_rx_tx_desc";
    if ((*error = rte_eth_rx_queue_setup(nic->id, 0, rx, socket, NULL, pool)))
        return "rte_eth_rx_queue_setup";
    if ((*error = rte_eth_tx_queue_setup(nic->id, 0, tx, socket, NULL)))
        return "rte_eth_tx_queue_setup";
    if ((*error = rte_eth_dev_start(nic->id)))
        return "rte_eth_dev_start";
    return NULL;
}

/*
 * An AF_PACKET socket collects the frames of all interfaces, loopback included, until it is bound:
 * those are discarded, within a limit, because a busy network never lets it run empty.
 */
static void drain(struct nic *nic) {
    struct rte_mbuf *frames[NIC_BURST];
    uint16_t count = NIC_BURST;
    for (unsigned bursts = 0; count > 0 && bursts < DRAIN_BURSTS; bursts++) {
        count = rte_eth_rx_burst(nic->id, 0, frames, NIC_BURST);
        rte_pktmbuf_free_bulk(frames, count);
    }
}

static bool start(struct nic *nic, const struct dpdk_spec *spec,
                  struct transport_failure *failure) {
    int error = rte_eth_dev_get_port_by_name(spec->device, &nic->id);
    if (error) {
        dpdk_eal_failed(failure, error, "rte_eth_dev_get_port_by_name", spec->device);
        return false;
    }
    const char *operation = configure(nic, &error);
    if (operation) {
        dpdk_eal_failed(failure, error, operation, spec->device);
        rte_eth_dev_close(nic->id);
        return false;
    }
    if (spec->is_pci && spec->has_mac)
        rte_eth_promiscuous_enable(nic->id);
    rte_eth_allmulticast_enable(nic->id);
    drain(nic);
    return true;
}

static bool probe(struct nic *nic, const struct dpdk_spec *spec,
                  struct transport_failure *failure) {
    nic->is_pci = spec->is_pci;
    strcpy(nic->device, spec->device);
    int error = make_device(spec);
    /* Unknown to all drivers, or refused by one; what the kernel forbids was reported above. */
    error = error == -1 ? -ENODEV : error;
    if (error && !(spec->is_pci && error == -EEXIST)) {
        dpdk_eal_failed(failure, error, spec->is_pci ? "rte_dev_probe" : "rte_vdev_init",
                        spec->device);
        return false;
    }
    if (start(nic, spec, failure))
        return true;
    remove_device(nic);
    return false;
}

/* Frees what the kernel gave, and our own memory. */
static void leave(struct nic *nic) {
    if (nic->promiscuous_fd >= 0)
        close(nic->promiscuous_fd);
    while (nic->claims_count > 0)
        close(nic->claims[--nic->claims_count]);
    free(nic);
}

static bool open_as(struct nic *nic, const struct dpdk_spec *spec, size_t private_bytes,
                    struct transport_failure *failure) {
    return dpdk_eal_start(spec, failure) && kernel_allows(nic, spec, failure) &&
           make_pool(private_bytes, failure) && probe(nic, spec, failure);
}

struct nic *dpdk_nic_open(const struct dpdk_spec *spec, size_t private_bytes,
                          struct transport_failure *failure) {
    struct nic *nic = calloc(1, sizeof *nic);
    if (!nic) {
        dpdk_eal_failed(failure, ENOMEM, "calloc", "");
        return NULL;
    }
    nic->promiscuous_fd = -1;
    if (open_as(nic, spec, private_bytes, failure))
        return nic;
    leave(nic);
    return NULL;
}

void dpdk_nic_close(struct nic *nic) {
    dpdk_nic_flush(nic);
    if (nic->is_pci)
        rte_eth_promiscuous_disable(nic->id);
    rte_eth_dev_stop(nic->id);
    rte_eth_dev_close(nic->id);
    remove_device(nic);
    leave(nic);
}

unsigned dpdk_nic_mtu_bytes(const struct nic *nic) {
    uint16_t mtu = NIC_MTU_BYTES;
    unsigned least = nic->interface[0] ? nic->before.mtu_bytes : NIC_MTU_BYTES;
    if (rte_eth_dev_get_mtu(nic->id, &mtu) == 0 && mtu < least)
        least = mtu;
    return least < NIC_MTU_BYTES ? least : NIC_MTU_BYTES;
}

uint64_t dpdk_nic_missed(const struct nic *nic) {
    struct rte_eth_stats stats;
    return rte_eth_stats_get(nic->id, &stats) == 0 ? stats.imissed + stats.rx_nombuf : 0;
}

bool dpdk_nic_is_gone(const struct nic *nic) {
    return nic->interface[0] && if_nametoindex(nic->interface) != nic->before.index;
}

bool dpdk_nic_mac(const struct nic *nic, uint8_t mac[DPDK_MAC_BYTES]) {
    struct rte_ether_addr address;
    if (!nic->is_pci || rte_eth_macaddr_get(nic->id, &address) != 0)
        return false;
    memcpy(mac, address.addr_bytes, DPDK_MAC_BYTES);
    return true;
}

unsigned dpdk_nic_receive(struct nic *nic, struct nic_frame *frames, unsigned most) {
    struct rte_mbuf *mbufs[NIC_BURST];
    unsigned count = 0;
    uint16_t received = rte_eth_rx_burst(nic->id, 0, mbufs, (uint16_t)most);
    for (uint16_t i = 0; i < received; i++) {
        struct rte_mbuf *mbuf = mbufs[i];
        if (mbuf->nb_segs != 1) { /* larger than any frame that this port may get */
            rte_pktmbuf_free(mbuf);
            continue;
        }
        uint8_t *data = rte_pktmbuf_mtod(mbuf, uint8_t *);
        frames[count++] = (struct nic_frame){.mbuf = mbuf,
                                             .private = rte_mbuf_to_priv(mbuf),
                                             .data = data,
                                             .len = mbuf->data_len,
                                             .end = (uint8_t *)mbuf->buf_addr + mbuf->buf_len};
    }
    return count;
}

void dpdk_nic_free(void *mbuf) {
    rte_pktmbuf_free(mbuf);
}

uint8_t *dpdk_nic_room(size_t len, void **mbuf) {
    struct rte_mbuf *made = rte_pktmbuf_alloc(pool);
    if (!made)
        return NULL;
    *mbuf = made;
    char *data = rte_pktmbuf_append(made, (uint16_t)len);
    if (!data)
        rte_pktmbuf_free(made);
    return (uint8_t *)data;
}

unsigned dpdk_nic_queue(struct nic *nic, void *mbuf) {
    unsigned lost = nic->queued_count == NIC_BURST ? dpdk_nic_flush(nic) : 0;
    nic->queued[nic->queued_count++] = mbuf;
    return lost;
}

unsigned dpdk_nic_flush(struct nic *nic) {
    uint16_t sent = 0;
    for (unsigned tries = 0; sent < nic->queued_count && tries < FLUSH_TRIES; tries++)
        sent = (uint16_t)(sent + rte_eth_tx_burst(nic->id, 0, nic->queued + sent,
                                                  (uint16_t)(nic->queued_count - sent)));
    unsigned lost = nic->queued_count - sent;
    rte_pktmbuf_free_bulk(nic->queued + sent, lost);
    nic->queued_count = 0;
    return lost;
}

bool dpdk_nic_has_queued(const struct nic *nic) {
    return nic->queued_count > 0;
}
