#include "tools/mux/terminal_mode.h"

#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static struct {
    bool is_known; /* `own` is what it was before us */
    struct termios own;
} terminal;

bool terminal_mode_has(void) {
    return isatty(STDIN_FILENO);
}

static void restore(void) {
    terminal_mode_set(TERMINAL_MODE_OWN);
}

static struct termios modes_of(enum terminal_mode mode) {
    struct termios modes = terminal.own;
    if (mode == TERMINAL_MODE_LINES) {
        modes.c_lflag |= ICANON | ECHO | ISIG;
        modes.c_cc[VEOL] = TERMINAL_MODE_DETACH;
    } else if (mode == TERMINAL_MODE_KEYS) {
        modes.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        modes.c_lflag |= ISIG;
        modes.c_cc[VMIN] = 1;
        modes.c_cc[VTIME] = 0;
    } else if (mode == TERMINAL_MODE_RAW) {
        cfmakeraw(&modes);
        modes.c_oflag |= OPOST | ONLCR; /* a slot's terminal leaves newlines as they are */
    }
    return modes;
}

/* A process in the background that sets modes is stopped. */
static bool is_in_background(void) {
    pid_t front = tcgetpgrp(STDIN_FILENO);
    return front > 0 && front != getpgrp();
}

void terminal_mode_set(enum terminal_mode mode) {
    if (is_in_background())
        return;
    if (!terminal.is_known) {
        if (tcgetattr(STDIN_FILENO, &terminal.own) < 0)
            return;
        terminal.is_known = true;
        atexit(restore);
    }
    struct termios modes = modes_of(mode);
    tcsetattr(STDIN_FILENO, TCSANOW, &modes);
}
