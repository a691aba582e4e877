#include "transport/stack.h"
#include "transport/dpdk/dpdk.h"

/* Given by the build: TRANSPORT_WITH_RDMA, TRANSPORT_WITH_DPDK. */
const struct transport_ops *stack_ops(enum transport_via via) {
    switch (via) {
    case TRANSPORT_VIA_KERNEL:
        break;
    case TRANSPORT_VIA_RDMA:
#ifdef TRANSPORT_WITH_RDMA
        return &transport_rdma;
#else
        break;
#endif
    case TRANSPORT_VIA_DPDK:
#ifdef TRANSPORT_WITH_DPDK
        return &transport_dpdk;
#else
        break;
#endif
    }
    return NULL;
}

const char *stack_name(enum transport_via via) {
    switch (via) {
    case TRANSPORT_VIA_RDMA:
        return "RDMA (libibverbs and librdmacm)";
    case TRANSPORT_VIA_DPDK:
        return "DPDK (libdpdk and lwIP)";
    case TRANSPORT_VIA_KERNEL:
        break;
    }
    return "the kernel's sockets";
}

bool stack_list_ports(FILE *out) {
#ifdef TRANSPORT_WITH_DPDK
    dpdk_ports_print(out);
    return true;
#else
    (void)out;
    return false;
#endif
}
