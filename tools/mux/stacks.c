/* The stacks beside the kernel's are in another program, which is run when an endpoint names one.
 */
#include "tools/mux/mux.h"
#include "tools/node/place.h"
#include "transport/stack.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef MUX_FULL_DIR

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

/* Beside this program where it was built, else where it was installed. */
static void run_from(const char *folder, size_t len, char *const *arguments) {
    char path[PATH_MAX + sizeof "/mux-full"];
    snprintf(path, sizeof path, "%.*s/mux-full", (int)len, folder);
    execv(path, arguments);
}

void stacks_run_full(char *const *arguments) {
    char path[PATH_MAX];
    ssize_t len = is_asked_for(arguments) ? readlink("/proc/self/exe", path, sizeof path - 1) : 0;
    if (len <= 0)
        return;
    path[len] = '\0';
    run_from(path, (size_t)(strrchr(path, '/') - path), arguments);
    run_from(MUX_FULL_DIR, strlen(MUX_FULL_DIR), arguments);
}

#else

void stacks_run_full(char *const *arguments) {
    (void)arguments;
}

#endif
