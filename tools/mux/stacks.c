/* The stacks beside the kernel's are in another program, which is run when an endpoint names one.
 */
#include "tools/mux/mux.h"
#include "tools/node/place.h"
#include "transport/stack.h"

#include <stdlib.h>

#ifdef MUX_IS_SMALL

/* "rdma:HOST:PORT", "--to=mux:dpdk:...": is it an endpoint of a stack that this program lacks? */
static bool names_stack(const char *text) {
    const char *value = strncmp(text, "--", 2) == 0 ? strchr(text, '=') : NULL;
    enum transport_via via;
    text = value ? value + 1 : text;
    text += strncmp(text, PLACE_NODE_PREFIX, strlen(PLACE_NODE_PREFIX)) == 0
                ? strlen(PLACE_NODE_PREFIX)
                : 0;
    const struct stack *stack = stack_of_text(text, &via);
    return via != TRANSPORT_VIA_KERNEL && !stack->ops;
}

static bool is_asked_for(char *const *arguments) {
    const char *environment = getenv("MUX_ENDPOINT");
    for (; *arguments && strcmp(*arguments, "--") != 0; arguments++)
        if (names_stack(*arguments))
            return true;
    return environment && names_stack(environment);
}

void stacks_run_full(char *const *arguments) {
    if (is_asked_for(arguments))
        program_run_beside("mux-full", arguments);
}

#else

void stacks_run_full(char *const *arguments) {
    (void)arguments;
}

#endif
