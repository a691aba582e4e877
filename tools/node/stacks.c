#include "tools/node/stacks.h"

#include "mux/node/mux.h"
#include "transport/call.h"
#include "transport/stack.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * A quarter of the arena receives; the rest is for batches and slots. At most a GiB: io_uring
 * numbers a pool's buffers with 16 bits.
 */
#define RECEIVE_SHARE 4
#define RECEIVE_MOST_BYTES ((size_t)1 << 30)

/* The size of the kernel's huge pages; where it is another, nothing breaks. */
#define HUGE_PAGE_BYTES ((size_t)2 << 20)

/* Receive buffers for what is connected to, so that a flood from below cannot starve it. */
#define RESERVE_BUFFERS 4

/*
 * Half of what a part receives into is large buffers, at most. Connections take turns with them:
 * one is received into, one is read, one is sent from. With more, more bytes would be underway at a
 * time, and would have left the cache before they are checked and sent.
 */
#define LARGE_SHARE 2
#define LARGE_BUFFERS_MAX 3

/* Does an endpoint ask for this stack by its name? Then it is in `text`. */
static bool is_asked_for(const struct stacks_config *config, enum transport_via via,
                         const char **text) {
    for (unsigned i = 0; i < config->listen_count; i++) {
        *text = config->listen[i].text;
        if (config->listen[i].via == via)
            return true;
    }
    for (unsigned i = 0; config->upstream && i <= config->upstream->spare_count; i++) {
        const struct endpoint *endpoint =
            i ? &config->upstream->spares[i - 1] : &config->upstream->endpoint;
        *text = endpoint->text;
        if (endpoint->via == via)
            return true;
    }
    return false;
}

/* An interface may offer a stack besides TCP (RDMA); one that is still to come may, too. */
static bool is_offered(const struct stacks_config *config, const struct stack *stack) {
    bool offered = false;
    for (unsigned i = 0; i < config->listen_count && stack->offered_by; i++) {
        const struct endpoint *endpoint = &config->listen[i];
        bool may_come = endpoint_may_be_interface(endpoint) && !endpoint_is_interface(endpoint);
        offered = offered || may_come || stack->offered_by(endpoint);
    }
    return offered;
}

/* The stacks to run beside the kernel's. False, with a sentence in `why`: the build lacks one. */
static bool choose_parts(const struct stacks_config *config, struct transport_part *parts,
                         unsigned *count, char *why, size_t why_bytes) {
    *count = 1;
    for (unsigned via = TRANSPORT_VIA_KERNEL + 1; via < TRANSPORT_VIAS; via++) {
        const char *text;
        const struct stack *stack = stack_of(via);
        bool asked_for = is_asked_for(config, via, &text);
        if (asked_for && !stack->ops) {
            snprintf(why, why_bytes, "%s: this program was built without %s", text, stack->name);
            return false;
        }
        if (stack->ops && (asked_for || is_offered(config, stack)))
            parts[(*count)++] = (struct transport_part){.via = via, .ops = stack->ops};
    }
    return true;
}

static bool peer_allowed(const void *user, const struct sockaddr_storage *peer) {
    return allow_has(user, peer);
}

/* The largest receive buffer of any stack, in use or not. */
static size_t buffer_most_bytes(void) {
    size_t most = 0;
    for (unsigned via = 0; via < TRANSPORT_VIAS; via++) {
        const struct stack *stack = stack_of(via);
        size_t of_stack =
            stack->buffer_bytes > stack->large_bytes ? stack->buffer_bytes : stack->large_bytes;
        most = of_stack > most ? of_stack : most;
    }
    assert(most <= MUX_INPUT_MAX_BYTES); /* the mux takes every received buffer */
    return most;
}

/*
 * Of each part, whole buffers of any. The least memory has 4 of the largest, or 1 where there are
 * three stacks; in these are at least 8 of RDMA, 16 small ones of the kernel's.
 */
static size_t receive_bytes(const struct stacks_config *config, unsigned parts) {
    size_t share = config->memory_bytes / RECEIVE_SHARE;
    if (config->receive_bytes)
        return config->receive_bytes;
    if (share > RECEIVE_MOST_BYTES)
        share = RECEIVE_MOST_BYTES;
    share /= parts;
    return share - share % buffer_most_bytes();
}

static size_t buffer_bytes(const struct stacks_config *config, enum transport_via via) {
    return config->buffer_bytes ? config->buffer_bytes : stack_of(via)->buffer_bytes;
}

/* None where the owner says how large a buffer is. */
static unsigned large_buffers(const struct stacks_config *config, enum transport_via via,
                              size_t share) {
    size_t large_bytes = stack_of(via)->large_bytes;
    if (config->buffer_bytes || large_bytes == 0)
        return 0;
    size_t count = share / LARGE_SHARE / large_bytes;
    return count < LARGE_BUFFERS_MAX ? (unsigned)count : LARGE_BUFFERS_MAX;
}

/* Each part receives into memory of its own; the rest is the owner's. */
static void share_arena(struct stacks *stacks, const struct stacks_config *config,
                        struct transport_part *parts, unsigned count) {
    struct mux_room *arena = &stacks->arena;
    size_t share = receive_bytes(config, count);
    for (unsigned i = 0; i < count; i++)
        parts[i].config = (struct transport_config){
            .memory = {arena->data + i * share, share},
            .buffer_bytes = buffer_bytes(config, parts[i].via),
            .reserve_buffers = config->reserve_buffers ? config->reserve_buffers : RESERVE_BUFFERS,
            .large_bytes = stack_of(parts[i].via)->large_bytes,
            .large_buffers = large_buffers(config, parts[i].via, share),
            .conns_max = config->conns_max,
            .kept = config->kept,
            .arena = *arena,
            .allowed = config->allow ? peer_allowed : NULL,
            .allowed_user = config->allow,
        };
    assert(count * share <= arena->len);
    stacks->memory = (struct mux_room){arena->data + count * share, arena->len - count * share};
}

/* Alone, or several as one. */
static bool make(struct stacks *stacks, const struct transport_ops *first,
                 const struct stacks_config *config, struct transport_part *parts, unsigned count,
                 struct transport_failure *failure) {
    parts[0].ops = first;
    const struct transport_config several = {
        .parts = parts, .parts_count = count, .busy_poll_us = config->busy_poll_us};
    stacks->ops = count > 1 ? &transport_mixed : first;
    stacks->transport = stacks->ops->init(count > 1 ? &several : &parts[0].config, failure);
    return stacks->transport != NULL;
}

/* io_uring where it can be had, unless epoll was asked for. */
static bool make_transport(struct stacks *stacks, const struct stacks_config *config,
                           struct transport_part *parts, unsigned count, char *notice,
                           size_t notice_bytes) {
    struct transport_failure failure;
    const struct transport_ops *first =
        config->io == IO_EPOLL ? &transport_epoll : &transport_uring;
    bool made = make(stacks, first, config, parts, count, &failure);
    if (!made && config->io == IO_AUTO) {
        snprintf(notice, notice_bytes, "io_uring %s (%s: %s): using epoll",
                 call_is_forbidden(failure.error) ? "is forbidden here" : "does not work here",
                 failure.operation, strerror(failure.error));
        first = &transport_epoll;
        made = make(stacks, first, config, parts, count, &failure);
    }
    if (!made)
        snprintf(notice, notice_bytes, "%s: %s: %s", first->name, failure.operation,
                 strerror(failure.error));
    return made;
}

/* Gives back whole pages behind the room, of which `mapped` bytes from its start are mapped. */
static void unmap_behind(struct mux_room room, size_t mapped) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t kept = (room.len + page - 1) / page * page;
    if (kept < mapped)
        munmap(room.data + kept, mapped - kept);
}

/*
 * At a multiple of HUGE_PAGE_BYTES, and in pages of that size where the kernel has them: what
 * streams through the arena touches hundreds of KiB in each round, which would be that many faults
 * at first and more than the TLB holds later. Pages that are not touched cost nothing. Who saves
 * memory wants no such pages, wherever it is.
 */
static bool map_arena(struct stacks *stacks, const struct stacks_config *config, char *why,
                      size_t why_bytes) {
    size_t len = config->memory_bytes + config->owner_bytes;
    size_t align_bytes = config->saves_memory ? 0 : HUGE_PAGE_BYTES, mapped = len + align_bytes;
    uint8_t *all = mmap(NULL, mapped, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) {
        snprintf(why, why_bytes, "cannot map %zu bytes of memory: %s", len, strerror(errno));
        return false;
    }
    size_t before = align_bytes ? align_bytes - (uintptr_t)all % align_bytes : 0;
    stacks->arena = (struct mux_room){all + before, len};
    if (before)
        munmap(all, before);
    unmap_behind(stacks->arena, mapped - before);
    /* optional: may fail */
    madvise(stacks->arena.data, len, config->saves_memory ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
    return true;
}

bool stacks_start(struct stacks *stacks, const struct stacks_config *config, char *notice,
                  size_t notice_bytes) {
    struct transport_part parts[TRANSPORT_VIAS] = {{.via = TRANSPORT_VIA_KERNEL}};
    unsigned count;
    *notice = '\0';
    if (!choose_parts(config, parts, &count, notice, notice_bytes) ||
        !map_arena(stacks, config, notice, notice_bytes))
        return false;
    share_arena(stacks, config, parts, count);
    for (unsigned i = 0; i < count; i++)
        stacks->vias |= 1U << parts[i].via;
    return make_transport(stacks, config, parts, count, notice, notice_bytes);
}

bool stacks_has(const struct stacks *stacks, enum transport_via via) {
    return stacks->vias & 1U << via;
}

void stacks_stop(struct stacks *stacks, void (*between)(void *user), void *user) {
    if (stacks->transport)
        stacks->ops->stop(stacks->transport);
    if (between)
        between(user);
    if (stacks->transport)
        stacks->ops->fini(stacks->transport);
    if (stacks->arena.data)
        munmap(stacks->arena.data, stacks->arena.len);
    *stacks = (struct stacks){0};
}
