#include "transport/dpdk/kernel.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Keeps errno. */
static void close_quietly(int fd) {
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
}

bool dpdk_kernel_may_tap(void) {
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    bool allowed = fd >= 0 && ioctl(fd, TUNSETIFF, &request) == 0;
    close_quietly(fd);
    return allowed;
}

bool dpdk_kernel_may_capture(void) {
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    close_quietly(fd);
    return fd >= 0;
}

bool dpdk_kernel_interface(const char *name, struct dpdk_kernel_interface *interface) {
    struct ifreq request = {0};
    if (strlen(name) >= sizeof request.ifr_name) {
        errno = ENODEV;
        return false;
    }
    strcpy(request.ifr_name, name);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool known = fd >= 0 && ioctl(fd, SIOCGIFMTU, &request) == 0;
    *interface = (struct dpdk_kernel_interface){.mtu_bytes = (unsigned)request.ifr_mtu};
    close_quietly(fd);
    if (!known)
        return false;
    interface->index = if_nametoindex(name);
    return interface->index != 0;
}

int dpdk_kernel_promiscuous(const struct dpdk_kernel_interface *interface) {
    const struct packet_mreq membership = {.mr_ifindex = (int)interface->index,
                                           .mr_type = PACKET_MR_PROMISC};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0); /* protocol 0: receives nothing */
    if (fd < 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership, sizeof membership) == 0)
        return fd;
    close_quietly(fd);
    return -1;
}

/* An abstract unix socket. */
int dpdk_kernel_claim(const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strnlen(name, KERNEL_NAME_BYTES);
    memcpy(address.sun_path + 1, name, len);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, address_len) == 0)
        return fd;
    close_quietly(fd);
    return -1;
}
