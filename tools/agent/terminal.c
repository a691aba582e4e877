#include "tools/agent/terminal.h"
#include "transport/descriptor.h"

#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static bool failed(struct terminal *terminal, struct transport_failure *failure,
                   const char *operation) {
    transport_failed(failure, operation);
    if (terminal->master >= 0)
        close(terminal->master);
    *terminal = (struct terminal){.master = -1, .slave = -1};
    return false;
}

static bool set_modes(int slave) {
    struct termios modes;
    if (tcgetattr(slave, &modes) < 0)
        return false;
    modes.c_oflag &= ~(tcflag_t)OPOST;
    modes.c_iflag |= IUTF8;
    return tcsetattr(slave, TCSANOW, &modes) == 0;
}

bool terminal_open(struct terminal *terminal, struct transport_failure *failure) {
    *terminal = (struct terminal){.slave = -1};
    terminal->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal->master < 0)
        return failed(terminal, failure, "posix_openpt");
    if (grantpt(terminal->master) < 0 || unlockpt(terminal->master) < 0 ||
        ptsname_r(terminal->master, terminal->path, sizeof terminal->path) != 0)
        return failed(terminal, failure, "unlockpt");
    terminal->slave = open(terminal->path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal->slave < 0 || !set_modes(terminal->slave))
        return failed(terminal, failure, "opening the terminal");
    terminal_resize(terminal->master, (struct terminal_window){TERMINAL_ROWS, TERMINAL_COLUMNS});
    return true;
}

static bool read_size(const json_t *object, const char *key, unsigned short *size) {
    json_int_t value = json_integer_value(json_object_get(object, key)); /* 0: there is none */
    *size = (unsigned short)value;
    return value > 0 && value <= USHRT_MAX;
}

bool terminal_window_parse(struct mux_span text, struct terminal_window *window) {
    json_t *object = json_loadb((const char *)text.data, text.len, 0, NULL);
    bool is_good =
        read_size(object, "rows", &window->rows) && read_size(object, "columns", &window->columns);
    json_decref(object);
    return is_good;
}

size_t terminal_window_write(struct terminal_window window, char out[TERMINAL_WINDOW_BYTES]) {
    return (size_t)snprintf(out, TERMINAL_WINDOW_BYTES, "{\"v\":1,\"rows\":%u,\"columns\":%u}",
                            window.rows, window.columns);
}

void terminal_resize(int master, struct terminal_window window) {
    const struct winsize size = {.ws_row = window.rows, .ws_col = window.columns};
    ioctl(master, TIOCSWINSZ, &size);
}
