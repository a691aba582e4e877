/* mux attach RUN: the view of a run that goes on, on this terminal. run_viewers.h is its other end.
 */
#include "tools/base/output.h"
#include "tools/base/text.h"
#include "tools/farm/run_view.h"
#include "tools/mux/mux.h"
#include "tools/mux/store_place.h"
#include "tools/mux/terminal_mode.h"
#include "tools/mux/terminal_signals.h"
#include "tools/node/view.h"
#include "tools/store/live.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* What is typed at a time. */
#define KEYS_BYTES 512

/* Keys that the run has not taken; what does not fit is dropped. */
#define WAITING_BYTES 8192

/* Who leaves waits so long for the picture to be wiped: the run may be stopped. */
#define LEAVE_MS 1000

struct visit {
    struct store_place place;
    struct store_live live;
    int fd;
    bool reads_keys;
    bool leaves;    /* we want no more, and said so */
    bool has_ended; /* the run has */
    uint8_t waiting[WAITING_BYTES];
    size_t waiting_len;
};

static const struct option_row rows[] = {
    STORE_PLACE_FOLDER_ROW,
};

/* mux attach has read them, and has the help. */
static const struct option_table options = {
    "mux attach", NULL, "", "", rows, sizeof rows / sizeof *rows,
};

static bool failed(const struct visit *visit, const char *operation, int error) {
    text_complain("mux attach: run %s: %s: %s", visit->live.run.uuid, operation, strerror(error));
    return false;
}

/*
 * ---- which run ----
 */

static bool find(struct visit *visit, const char *name) {
    char folder[STORE_PATH_BYTES];
    store_place_folder(&visit->place, folder, sizeof folder);
    unsigned found = store_live_find(folder, name, &visit->live);
    bool is_any = !*name || strcmp(name, "last") == 0;
    if (found == 1 && *visit->live.screen)
        return true;
    if (found == 1)
        text_complain("mux attach: run %s: nobody can attach to it", visit->live.run.uuid);
    else if (found)
        text_complain("mux attach: run %s: several runs begin so: give more of it", name);
    else
        text_complain(
            "mux attach: %s%s%s goes on in the store in %s (mux runs lists what there is)",
            is_any ? "no run" : "no run '", is_any ? "" : name, is_any ? "" : "'", folder);
    return false;
}

/* What comes from there goes to the terminal as it is: another user's is not trusted. */
static bool is_this_user(int fd) {
    struct ucred who;
    socklen_t len = sizeof who;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && who.uid == geteuid();
}

static bool dial(struct visit *visit) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = visit->live.screen + strlen("unix:");
    if (strncmp(visit->live.screen, "unix:", 5) != 0 || strlen(path) >= sizeof address.sun_path)
        return failed(visit, visit->live.screen, EINVAL);
    strcpy(address.sun_path, path);
    visit->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (visit->fd < 0 || connect(visit->fd, (struct sockaddr *)&address, sizeof address) < 0)
        return failed(visit, path, errno);
    return is_this_user(visit->fd) || failed(visit, "it is another user's", EPERM);
}

/*
 * ---- down ----
 */

static void put_file(struct visit *visit, const char *file, struct mux_span content) {
    size_t written;
    const struct mux_packet packet = {
        .runnable = true, .file_name = mux_span_text(file), .file_content = content};
    if (mux_packet_encode(&packet, visit->waiting + visit->waiting_len,
                          sizeof visit->waiting - visit->waiting_len, &written) == MUX_OK)
        visit->waiting_len += written;
}

static void put_window(struct visit *visit) {
    char json[128];
    struct winsize size = {0};
    bool draws = screen_can_draw();
    if (draws && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
        size.ws_row = 0;
    unsigned high = size.ws_row ? size.ws_row : 24, wide = size.ws_col ? size.ws_col : 80;
    snprintf(json, sizeof json, "{\"v\":1,\"rows\":%u,\"columns\":%u,\"keys\":%s,\"utf8\":%s}",
             draws ? high : 0, wide, visit->reads_keys ? "true" : "false",
             run_view_speaks_utf8() ? "true" : "false");
    put_file(visit, VIEW_WINDOW_FILE, mux_span_text(json));
}

static void send_waiting(struct visit *visit) {
    ssize_t sent = send(visit->fd, visit->waiting, visit->waiting_len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent <= 0)
        return; /* when the connection is broken reading tells it */
    visit->waiting_len -= (size_t)sent;
    memmove(visit->waiting, visit->waiting + sent, visit->waiting_len);
}

static void leave(struct visit *visit) {
    visit->leaves = true;
    visit->reads_keys = false;
    shutdown(visit->fd, SHUT_WR);
}

static void read_keys(struct visit *visit) {
    uint8_t keys[KEYS_BYTES];
    ssize_t got = read(STDIN_FILENO, keys, sizeof keys);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    const uint8_t *detach = got > 0 ? memchr(keys, TERMINAL_MODE_DETACH, (size_t)got) : NULL;
    size_t len = detach ? (size_t)(detach - keys) : got > 0 ? (size_t)got : 0;
    if (len)
        put_file(visit, "stdin", mux_span(keys, len));
    if (visit->waiting_len)
        send_waiting(visit);
    if (detach || got <= 0)
        leave(visit);
}

/*
 * ---- up ----
 */

/* A terminal that is stopped holds us up, and the run leaves pictures out meanwhile. */
static bool show(struct visit *visit) {
    char bytes[16384];
    ssize_t got = recv(visit->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    visit->has_ended = got <= 0;
    if (got <= 0 || output_write(STDOUT_FILENO, bytes, (size_t)got))
        return true;
    if (errno != EPIPE)
        failed(visit, "stdout", errno);
    return false;
}

/*
 * ---- signals ----
 */

static void take_signals(struct visit *visit) {
    if (terminal_signals.continued)
        terminal_mode_set(TERMINAL_MODE_KEYS);
    if (terminal_signals.resized || terminal_signals.continued)
        put_window(visit);
    if (terminal_signals.ender && !visit->leaves)
        leave(visit);
    terminal_signals.resized = terminal_signals.continued = 0;
}

/*
 * ---- the whole ----
 */

/* False: it cannot go on, or who leaves has waited long enough. */
static bool step(struct visit *visit, const sigset_t *signals) {
    const struct timespec most = {.tv_sec = LEAVE_MS / 1000};
    short out = visit->waiting_len && !visit->leaves ? POLLOUT : 0;
    struct pollfd waits[] = {
        {.fd = visit->fd, .events = (short)(POLLIN | out)},
        {.fd = visit->reads_keys ? STDIN_FILENO : -1, .events = POLLIN},
    };
    int ready = ppoll(waits, 2, visit->leaves ? &most : NULL, signals);
    if (ready < 0 && errno != EINTR)
        return failed(visit, "poll", errno);
    take_signals(visit);
    if (ready > 0 && waits[1].revents)
        read_keys(visit);
    if (ready > 0 && waits[0].revents & POLLOUT && !visit->leaves)
        send_waiting(visit);
    if (ready > 0 && waits[0].revents & (POLLIN | POLLHUP | POLLERR))
        return show(visit);
    return ready != 0 || !visit->leaves;
}

static int stay(struct visit *visit) {
    sigset_t signals;
    bool is_fine = true;
    terminal_signals_catch(&signals);
    visit->reads_keys = terminal_mode_has();
    terminal_mode_set(TERMINAL_MODE_KEYS);
    put_window(visit);
    while (is_fine && !visit->has_ended)
        is_fine = step(visit, &signals);
    terminal_mode_set(TERMINAL_MODE_OWN);
    if (visit->leaves)
        text_complain("mux attach: left run %.8s, which goes on", visit->live.run.uuid);
    else if (visit->has_ended)
        text_complain("mux attach: run %.8s has ended: mux wait %.8s says how",
                      visit->live.run.uuid, visit->live.run.uuid);
    return terminal_signals.ender     ? 128 + terminal_signals.ender
           : is_fine || visit->leaves ? EXIT_FINE
                                      : EXIT_FAILED;
}

static int run(int argc, char **argv) {
    static struct visit visit = {.fd = -1};
    int status = option_parse(&options, argc, argv, &visit);
    if (status != OPTION_GO_ON)
        return status;
    bool is_there = find(&visit, optind < argc ? argv[optind] : "last") && dial(&visit);
    status = is_there ? stay(&visit) : EXIT_FAILED;
    if (visit.fd >= 0)
        close(visit.fd);
    return status;
}

extern const struct subcommand subcommand_attach_run;
const struct subcommand subcommand_attach_run = {RUN_PROGRAM_ATTACH, "comes back to a run", run};
