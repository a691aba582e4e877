#include "transport/interface.h"
#include <dirent.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What one of the kernel's files about an interface holds at most: a word or a number. */
#define WORD_BYTES 32

bool interface_exists(const char *name) {
    return *name != '\0' && if_nametoindex(name) != 0;
}

static bool copy_address(const struct sockaddr *from, uint16_t port, struct transport_address *to) {
    *to = (struct transport_address){0};
    if (from && from->sa_family == AF_INET) {
        to->len = sizeof to->in4;
        memcpy(&to->in4, from, sizeof to->in4);
        to->in4.sin_port = htons(port);
    } else if (from && from->sa_family == AF_INET6) {
        to->len = sizeof to->in6;
        memcpy(&to->in6, from, sizeof to->in6);
        to->in6.sin6_port = htons(port);
    }
    return to->len > 0;
}

unsigned interface_addresses(const char *name, uint16_t port, struct transport_address *addresses,
                             unsigned most) {
    struct ifaddrs *list;
    unsigned count = 0;
    if (getifaddrs(&list) != 0)
        return 0;
    for (struct ifaddrs *item = list; item && count < most; item = item->ifa_next)
        if (strcmp(item->ifa_name, name) == 0 &&
            copy_address(item->ifa_addr, port, &addresses[count]))
            count++;
    freeifaddrs(list);
    return count;
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
