/* Lists the usable ports without starting DPDK. */
#include "transport/dpdk/dpdk.h"
#include "transport/dpdk/kernel.h"
#include <dirent.h>
#include <net/if.h>
#include <rte_build_config.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PCI_DEVICES "/sys/bus/pci/devices"

/* The class of network controllers, in the file's first bytes. */
#define PCI_CLASS_NETWORK "0x02"

#define ADDRESS_AND_PORT "ip=ADDRESS/LEN:7533"

/* Drivers that hand a card to a program; Mellanox's share it with the kernel. */
static bool is_drivers(const char *driver) {
    static const char *const names[] = {"vfio-pci", "igb_uio", "uio_pci_generic", "mlx5_core",
                                        "mlx4_core"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(driver, names[i]) == 0)
            return true;
    return false;
}

static bool is_network(const char *device) {
    char path[512], text[8] = "";
    snprintf(path, sizeof path, PCI_DEVICES "/%s/class", device);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool read = fgets(text, sizeof text, file) != NULL;
    fclose(file);
    return read && strncmp(text, PCI_CLASS_NETWORK, strlen(PCI_CLASS_NETWORK)) == 0;
}

static void print_card(FILE *out, const char *device) {
    char path[512], target[512];
    snprintf(path, sizeof path, PCI_DEVICES "/%s/driver", device);
    ssize_t len = readlink(path, target, sizeof target - 1);
    if (len <= 0 || !is_network(device))
        return;
    target[len] = '\0';
    const char *slash = strrchr(target, '/'), *driver = slash ? slash + 1 : target;
    if (is_drivers(driver))
        fprintf(out, "dpdk:%s," ADDRESS_AND_PORT "\n", device);
}

static void print_cards(FILE *out) {
    struct dirent **entries;
    int count = scandir(PCI_DEVICES, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.')
            print_card(out, entries[i]->d_name);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

static bool has_driver(const char *name) {
    char path[512];
    snprintf(path, sizeof path, RTE_EAL_PMD_PATH "/librte_%s.so", name);
    return access(path, R_OK) == 0;
}

/* One for each of the kernel's interfaces, which the kernel continues to use. */
static void print_interfaces(FILE *out) {
    struct if_nameindex *list = if_nameindex();
    unsigned count = 0;
    for (struct if_nameindex *item = list; item && item->if_index; item++)
        if (strcmp(item->if_name, "lo") != 0)
            fprintf(out, "dpdk:net_af_packet%u,iface=%s," ADDRESS_AND_PORT "\n", count++,
                    item->if_name);
    if (list)
        if_freenameindex(list);
}

void dpdk_ports_print(FILE *out) {
    print_cards(out);
    if (has_driver("net_af_packet") && dpdk_kernel_may_capture())
        print_interfaces(out);
    if (has_driver("net_tap") && dpdk_kernel_may_tap())
        fprintf(out, "dpdk:net_tap0,iface=NAME," ADDRESS_AND_PORT "\n");
}
