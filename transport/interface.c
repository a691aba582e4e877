#include "transport/interface.h"
#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The longest content of one of the kernel's files about an interface: a word or a number. */
#define WORD_BYTES 32

bool interface_exists(const char *name) {
    return *name != '\0' && if_nametoindex(name) != 0;
}

/* What udev puts behind its two letters for the kind of interface: "enp3s0", "ibs5", "eno1". */
static bool is_udev_name(const char *rest) {
    if (rest[0] == 'x') /* its hardware address */
        return isxdigit((unsigned char)rest[1]);
    return strchr("bcdiopPsuv", rest[0]) && isdigit((unsigned char)rest[1]);
}

/* Most digits behind a dot: the number of a VLAN. */
static bool has_no_domain(const char *rest) {
    const char *dot = strchr(rest, '.');
    return !dot || (dot[1] != '\0' && dot[1 + strspn(dot + 1, "0123456789")] == '\0');
}

bool interface_name_is_usual(const char *name) {
    static const char *const udev_kinds[] = {"en", "ib", "sl", "wl", "ww"};
    static const char *const kernel_kinds[] = {"bond", "br",  "dummy", "eth",  "hsn", "ib",  "tap",
                                               "team", "tun", "veth",  "vlan", "wg",  "wlan"};
    if (strlen(name) >= IF_NAMESIZE || strpbrk(name, "/: \t") || !has_no_domain(name))
        return false;
    for (size_t i = 0; i < sizeof kernel_kinds / sizeof *kernel_kinds; i++) {
        size_t len = strlen(kernel_kinds[i]);
        if (strncmp(name, kernel_kinds[i], len) == 0 && isdigit((unsigned char)name[len]))
            return true;
    }
    for (size_t i = 0; i < sizeof udev_kinds / sizeof *udev_kinds; i++)
        if (strncmp(name, udev_kinds[i], 2) == 0 && name[2] != '\0' && is_udev_name(name + 2))
            return true;
    return false;
}

/* Collects an interface's addresses from all of the machine's. */
struct wanted {
    unsigned interface;
    uint16_t port;
    struct transport_address *addresses;
    unsigned most, count;
};

static void gather(void *user, const struct netlink_address *found) {
    struct wanted *wanted = user;
    if (found->interface != wanted->interface || wanted->count == wanted->most)
        return;
    struct transport_address *address = &wanted->addresses[wanted->count++];
    *address = found->address;
    address->in4.sin_port = htons(wanted->port); /* in6 has it at the same place */
}

bool interface_addresses(const char *name, uint16_t port, struct transport_address *addresses,
                         unsigned most, unsigned *count, struct transport_failure *failure) {
    struct wanted wanted = {if_nametoindex(name), port, addresses, most, 0};
    bool read = netlink_each_address(gather, &wanted, failure);
    *count = wanted.count;
    return read;
}

struct search {
    const struct transport_address *address;
    enum netlink_address_state state;
};

static void compare(void *user, const struct netlink_address *found) {
    struct search *search = user;
    if (address_same_ip(&found->address, search->address))
        search->state = found->state;
}

enum netlink_address_state interface_address_state(const struct transport_address *address) {
    struct search search = {address, NETLINK_ADDRESS_ABSENT};
    struct transport_failure failure;
    netlink_each_address(compare, &search, &failure);
    return search.state;
}

void interface_names(char *names, size_t names_bytes) {
    struct if_nameindex *list = if_nameindex();
    size_t len = 0;
    names[0] = '\0';
    for (struct if_nameindex *item = list; item && item->if_name && len < names_bytes; item++)
        len += (size_t)snprintf(names + len, names_bytes - len, "%s%s", len ? ", " : "",
                                item->if_name);
    if (list)
        if_freenameindex(list);
}

/* The first word of a file of the kernel's; false when there is none. */
static bool read_word(const char *sys, const char *name, const char *file, char *word) {
    char path[PATH_MAX];
    int len = snprintf(path, sizeof path, "%s/%s/%s", sys, name, file);
    if (len < 0 || (size_t)len >= sizeof path)
        return false;
    FILE *stream = fopen(path, "re");
    if (!stream)
        return false;
    bool found = fscanf(stream, "%31s", word) == 1;
    fclose(stream);
    return found;
}

/* ", datagram": how IPoIB carries packets; "" when the kernel does not say. */
static void describe_infiniband(const char *sys, const char *name, const char *mtu, char *out,
                                size_t out_bytes) {
    char mode[WORD_BYTES];
    bool known = read_word(sys, name, "mode", mode);
    snprintf(out, out_bytes, "%s is InfiniBand (IPoIB, %s%sMTU %s)", name, known ? mode : "",
             known ? ", " : "", mtu);
}

static void describe_ethernet(const char *sys, const char *name, const char *mtu, char *out,
                              size_t out_bytes) {
    char speed[WORD_BYTES];
    if (read_word(sys, name, "speed", speed) && atol(speed) > 0)
        snprintf(out, out_bytes, "%s is Ethernet (MTU %s, %s Mbit/s)", name, mtu, speed);
    else
        snprintf(out, out_bytes, "%s is Ethernet (MTU %s)", name, mtu);
}

bool interface_describe(const char *sys, const char *name, char *out, size_t out_bytes) {
    char type[WORD_BYTES], mtu[WORD_BYTES];
    if (!read_word(sys, name, "type", type) || !read_word(sys, name, "mtu", mtu))
        return false;
    switch (atoi(type)) {
    case ARPHRD_INFINIBAND:
        describe_infiniband(sys, name, mtu, out, out_bytes);
        break;
    case ARPHRD_ETHER:
        describe_ethernet(sys, name, mtu, out, out_bytes);
        break;
    case ARPHRD_LOOPBACK:
        snprintf(out, out_bytes, "%s is loopback (MTU %s)", name, mtu);
        break;
    default:
        snprintf(out, out_bytes, "%s is of link type %s (MTU %s)", name, type, mtu);
    }
    return true;
}

/* Does one of the files in `directory` hold this word? */
static bool a_file_names(const char *directory, const char *word) {
    char found[WORD_BYTES];
    DIR *dir = opendir(directory);
    bool names = false;
    for (struct dirent *item; dir && !names && (item = readdir(dir));)
        names = read_word(directory, ".", item->d_name, found) && strcmp(found, word) == 0;
    if (dir)
        closedir(dir);
    return names;
}

static bool is_hidden(const struct dirent *item) {
    return item->d_name[0] == '.';
}

/* Does a port of this device belong to the interface? */
static bool device_has(const char *sys, const char *device, const char *name) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/infiniband/%s/ports", sys, device);
    DIR *dir = opendir(path);
    bool has = false;
    for (struct dirent *port; dir && !has && (port = readdir(dir));) {
        int len = snprintf(path, sizeof path, "%s/infiniband/%s/ports/%s/gid_attrs/ndevs", sys,
                           device, port->d_name);
        has = !is_hidden(port) && len > 0 && (size_t)len < sizeof path && a_file_names(path, name);
    }
    if (dir)
        closedir(dir);
    return has;
}

bool interface_carries_rdma(const char *sys, const char *name) {
    char path[PATH_MAX];
    if (*name == '\0' || strchr(name, '/'))
        return false;
    snprintf(path, sizeof path, "%s/net/%s/device/infiniband", sys, name);
    if (access(path, F_OK) == 0)
        return true;
    snprintf(path, sizeof path, "%s/infiniband", sys);
    DIR *dir = opendir(path);
    bool has = false;
    for (struct dirent *device; dir && !has && (device = readdir(dir));)
        has = !is_hidden(device) && device_has(sys, device->d_name, name);
    if (dir)
        closedir(dir);
    return has;
}
