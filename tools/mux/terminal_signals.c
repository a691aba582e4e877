#include "tools/mux/terminal_signals.h"

#include <stddef.h>

struct terminal_signals terminal_signals;

static void on_signal(int number) {
    if (number == SIGWINCH)
        terminal_signals.resized = 1;
    else if (number == SIGCONT)
        terminal_signals.continued = 1;
    else
        terminal_signals.ender = number;
}

void terminal_signals_catch(sigset_t *in_poll) {
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGWINCH, SIGCONT};
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t blocked;
    sigemptyset(&blocked);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        sigaddset(&blocked, numbers[i]);
        sigaction(numbers[i], &action, NULL);
    }
    sigprocmask(SIG_BLOCK, &blocked, in_poll);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigdelset(in_poll, numbers[i]);
}
