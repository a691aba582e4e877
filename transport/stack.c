#include "transport/stack.h"
#include "transport/endpoint_internal.h"
#include <assert.h>
#include <string.h>

const struct stack stack_kernel = {
    .name = "the kernel's sockets",
    .prefix = "tcp:",
    .form = "an interface, HOST:PORT, [v6]:PORT",
    .uses_names = true,
    .buffer_bytes = (size_t)32 << 10, /* several hundred small packets */
    .large_bytes = (size_t)1 << 20,   /* of packets of 64 KiB, one in 16 straddles two */
    .parse = endpoint_parse_place,
    .resolve = endpoint_resolve_place,
};

static const struct stack *const stacks[] = {
#define STACK_ROW(name, symbol) [TRANSPORT_VIA_##name] = &(symbol),
    TRANSPORT_STACKS(STACK_ROW)
#undef STACK_ROW
};

const struct stack *stack_of(enum transport_via via) {
    assert(via < TRANSPORT_VIAS);
    return stacks[via];
}

size_t stack_prefix_bytes(const struct stack *stack, const char *text) {
    size_t len = strlen(stack->prefix);
    return strncmp(text, stack->prefix, len) == 0 ? len : 0;
}

const char *stack_expects(const struct endpoint *endpoint, bool listening) {
    const struct stack *stack = stack_of(endpoint->via);
    return endpoint->kind == ENDPOINT_NETWORK && stack->expects
               ? stack->expects(endpoint, listening)
               : NULL;
}

const struct stack *stack_of_text(const char *text, enum transport_via *via) {
    for (unsigned i = 0; i < TRANSPORT_VIAS; i++) {
        *via = i;
        if (stack_prefix_bytes(stacks[i], text) > 0)
            return stacks[i];
    }
    *via = TRANSPORT_VIA_KERNEL;
    return &stack_kernel;
}

bool stack_list_devices(FILE *out) {
    bool any = false;
    for (unsigned i = 0; i < TRANSPORT_VIAS; i++) {
        if (!stacks[i]->list_devices)
            continue;
        stacks[i]->list_devices(out);
        any = true;
    }
    return any;
}
