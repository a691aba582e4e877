#include "tests/base/rig.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE_BYTES 4096
#define BUFFER_BYTES 4096
#define BUFFERS 64
#define CONNS_MAX 64

static const struct transport_ops *ops_of(const char *name) {
    if (strcmp(name, "uring") == 0)
        return &transport_uring;
    if (strcmp(name, "mixed") == 0)
        return &transport_mixed;
    return strcmp(name, "sim") == 0 ? &transport_sim : &transport_epoll;
}

void rig_open(struct rig *rig, const char *name) {
    struct transport_failure failure;
    const struct transport_ops *ops = ops_of(name);
    rig->sim = ops == &transport_sim ? sim_create(1, &sim_faultless) : NULL;
    rig->memory = aligned_alloc(PAGE_BYTES, (size_t)BUFFERS * BUFFER_BYTES);
    struct transport_part part = {
        .via = TRANSPORT_VIA_KERNEL,
        .ops = &transport_epoll,
        .config = {.memory = {rig->memory, (size_t)BUFFERS * BUFFER_BYTES},
                   .buffer_bytes = BUFFER_BYTES,
                   .reserve_buffers = 8,
                   .conns_max = CONNS_MAX,
                   .arena = {rig->memory, (size_t)BUFFERS * BUFFER_BYTES},
                   .engine_config = rig->sim}};
    const struct transport_config several = {.parts = &part, .parts_count = 1};
    struct transport *transport =
        ops->init(ops == &transport_mixed ? &several : &part.config, &failure);
    if (!transport)
        fail_msg("%s: %s: %s", name, failure.operation, strerror(failure.error));
    loop_init(&rig->loop, ops, transport);
    if (rig->sim)
        sim_poll_waits(rig->sim, true);
}

void rig_close(struct rig *rig) {
    rig->loop.ops->stop(rig->loop.transport);
    rig->loop.ops->fini(rig->loop.transport);
    if (rig->sim)
        sim_destroy(rig->sim);
    free(rig->memory);
}

void rig_pipe(struct rig *rig, int fds[2]) {
    struct sim_end *ends[2];
    if (!rig->sim) {
        assert_int_equal(pipe(fds), 0);
        return;
    }
    sim_pair(rig->sim, true, ends);
    fds[0] = sim_descriptor(ends[0]);
    fds[1] = sim_descriptor(ends[1]);
}

void rig_write(struct rig *rig, int fd, const char *text) {
    ssize_t len = (ssize_t)strlen(text);
    if (rig->sim)
        assert_int_equal(
            sim_write(sim_by_descriptor(rig->sim, fd), (const uint8_t *)text, (size_t)len), len);
    else
        assert_int_equal(write(fd, text, (size_t)len), len);
}

size_t rig_read(struct rig *rig, int fd, char *bytes, size_t most) {
    ssize_t len = rig->sim ? sim_read(sim_by_descriptor(rig->sim, fd), (uint8_t *)bytes, most)
                           : read(fd, bytes, most);
    return len > 0 ? (size_t)len : 0;
}

void rig_close_fd(struct rig *rig, int fd) {
    if (rig->sim)
        sim_close(sim_by_descriptor(rig->sim, fd));
    else
        close(fd);
}

struct transport_address rig_loopback(void) {
    struct transport_address address = {.len = sizeof address.in4};
    address.in4.sin_family = AF_INET;
    address.in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}
