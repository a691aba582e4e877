#include "tools/mux/run_keys.h"

#include "tools/mux/terminal_mode.h"

#include <errno.h>
#include <unistd.h>

/* A person's, or a paste: the rest comes in the next step. */
#define KEYS_BYTES 64

bool run_keys_has_terminal(void) {
    return terminal_mode_has() && tcgetpgrp(STDIN_FILENO) == getpgrp();
}

static void stop_reading(struct run_keys *keys) {
    if (keys->watch)
        loop_unwatch(keys->loop, keys->watch);
    keys->watch = NULL;
}

/* A shell may have taken the terminal since: what is typed is its. */
static void read_keys(struct loop_handler *handler, const struct transport_event *event,
                      uint64_t now_ns) {
    struct run_keys *keys = LOOP_OWNER(handler, struct run_keys, readable);
    char bytes[KEYS_BYTES];
    (void)event;
    if (!run_keys_has_terminal()) {
        stop_reading(keys);
        return;
    }
    ssize_t got = read(STDIN_FILENO, bytes, sizeof bytes);
    if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) {
        keys->has_ended = true;
        stop_reading(keys);
    }
    for (ssize_t i = 0; i < got; i++)
        keys->pressed(keys->user, bytes[i], now_ns);
}

/* Without keys the run goes on all the same. */
void run_keys_begin(struct run_keys *keys) {
    struct transport_failure failure;
    if (keys->watch || keys->has_ended || !run_keys_has_terminal())
        return;
    terminal_mode_set(TERMINAL_MODE_KEYS);
    keys->readable.handle = read_keys;
    keys->watch = loop_watch(keys->loop, STDIN_FILENO, &keys->readable, &failure);
}

void run_keys_end(struct run_keys *keys) {
    stop_reading(keys);
    if (run_keys_has_terminal())
        terminal_mode_set(TERMINAL_MODE_OWN);
}
