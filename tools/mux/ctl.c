/* mux ctl: asks a running muxd how it stands. */
#include "tools/base/output.h"
#include "tools/base/text.h"
#include "tools/mux/ctl_words.h"
#include "tools/mux/mux.h"
#include "transport/endpoint.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* A muxd that is alive answers in milliseconds; one with ten thousand links in a second or two. */
#define ANSWER_MOST_S 10

static const char intro[] =
    "usage: mux ctl unix:PATH status|links|counters [--json] [--watch]\n"
    "\n"
    "Asks a running muxd (its --control unix:PATH) how it stands. It costs the stream nothing.\n"
    "\n"
    "  status      version, uptime, upstream, totals, and what holds links up\n"
    "  links       every link, worst first: state, bytes, packets, tests in progress and for how\n"
    "              long the oldest of them runs\n"
    "  counters    all counters that are not 0\n"
    "\n"
    "  mux ctl unix:/run/muxd.ctl status\n"
    "  mux ctl unix:/run/muxd.ctl links --watch\n"
    "  mux ctl unix:/run/muxd.ctl links --json | jq '.links[] | select(.tests > 0)'\n";

static const char outro[] =
    "Exit codes: 0 it has answered; 1 nobody answers there, or stdout could not be written: "
    "stderr\n"
    "says why; 2 wrong usage.\n";

struct ctl {
    const char *place;
    const char *request;
    bool is_json, is_watching;
    FILE *socket;
    char *line; /* the answer */
    size_t line_room;
    json_t *before; /* the answer before it, for rates */
    double before_s;
};

static bool set_json(const struct option_row *row, void *target, const char *value) {
    (void)row, (void)value;
    ((struct ctl *)target)->is_json = true;
    return true;
}

static bool set_watch(const struct option_row *row, void *target, const char *value) {
    (void)row, (void)value;
    ((struct ctl *)target)->is_watching = true;
    return true;
}

static const struct option_row rows[] = {
    {"json", .set = set_json, .help = "one JSON object a line, as muxd gives it"},
    {"watch", .set = set_watch, .help = "ask again every second, until interrupted"},
    {"help", .end = option_help, .help = OPTION_HELP_TEXT},
};

static const struct option_table options = {
    .program = "mux ctl",
    .intro = intro,
    .outro = outro,
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
};

static double clock_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/*
 * ---- the socket ----
 */

static bool failed(const struct ctl *ctl, const char *operation, int error) {
    if (error == EACCES || error == EPERM)
        text_complain("mux ctl: %s: %s: %s: only muxd's user may, and its --control-group",
                      ctl->place, operation, strerror(error));
    else if (error == ENOENT || error == ECONNREFUSED)
        text_complain("mux ctl: %s: %s: %s: is muxd running, with --control %s?", ctl->place,
                      operation, strerror(error), ctl->place);
    else
        text_complain("mux ctl: %s: %s: %s", ctl->place, operation, strerror(error));
    return false;
}

static bool connect_to(struct ctl *ctl, const struct transport_address *address) {
    const struct timeval most = {.tv_sec = ANSWER_MOST_S};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return failed(ctl, "socket", errno);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
    if (connect(fd, &address->any, address->len) < 0) {
        int error = errno;
        close(fd);
        return failed(ctl, "connect", error);
    }
    ctl->socket = fdopen(fd, "r+");
    return ctl->socket || failed(ctl, "fdopen", errno);
}

static bool is_closed(int error) {
    return error == EPIPE || error == ECONNRESET;
}

/* Sends the request and reads the line that answers it. */
static bool ask(struct ctl *ctl) {
    char request[32];
    size_t len = (size_t)snprintf(request, sizeof request, "%s\n", ctl->request);
    bool is_sent = output_write(fileno(ctl->socket), request, len);
    if (!is_sent && !is_closed(errno))
        return failed(ctl, "send", errno);
    errno = 0;
    /* one that refused us has said why before it closed */
    if (getline(&ctl->line, &ctl->line_room, ctl->socket) > 0 && strchr(ctl->line, '\n'))
        return true;
    if (errno == EAGAIN)
        text_complain("mux ctl: %s: no answer for %d s", ctl->place, ANSWER_MOST_S);
    else if (errno && !is_closed(errno))
        return failed(ctl, "receive", errno);
    else
        text_complain("mux ctl: %s: the connection was closed without an answer: muxd has ended",
                      ctl->place);
    return false;
}

/*
 * ---- the answer ----
 */

/* Rows of the terminal; 0: it is none, all is shown. */
static unsigned terminal_rows(void) {
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row < 4)
        return 0;
    return size.ws_row - 1u;
}

static void show_links(struct ctl *ctl, const json_t *answer) {
    double now_s = clock_s();
    unsigned most = ctl->is_watching ? terminal_rows() : 0;
    ctl_print_links(json_object_get(answer, "links"), json_object_get(ctl->before, "links"),
                    now_s - ctl->before_s, most);
    ctl->before_s = now_s;
}

static bool show(struct ctl *ctl) {
    json_error_t error;
    json_t *answer = json_loads(ctl->line, 0, &error);
    const char *refused = json_string_value(json_object_get(answer, "error"));
    if (!answer || refused) {
        text_complain("mux ctl: %s: %s", ctl->place,
                      refused ? refused : "what answers there is no muxd");
        json_decref(answer);
        return false;
    }
    if (ctl->is_json)
        fputs(ctl->line, stdout);
    else if (strcmp(ctl->request, "links") == 0)
        show_links(ctl, answer);
    else if (strcmp(ctl->request, "status") == 0)
        ctl_print_status(answer);
    else
        ctl_print_counters(answer);
    json_decref(ctl->before);
    ctl->before = answer;
    return true;
}

/* Redrawn in place on a terminal; elsewhere a line between. */
static void separate(const struct ctl *ctl, bool is_first) {
    if (!ctl->is_watching || ctl->is_json)
        return;
    if (isatty(STDOUT_FILENO))
        fputs("\033[H\033[J", stdout);
    else if (!is_first)
        putchar('\n');
}

static int watch(struct ctl *ctl) {
    for (bool is_first = true;; is_first = false) {
        if (!ask(ctl))
            return EXIT_FAILED;
        separate(ctl, is_first);
        if (!show(ctl))
            return EXIT_FAILED;
        if (!ctl->is_watching)
            return EXIT_FINE;
        if (!output_flush("mux ctl"))
            return EXIT_FAILED;
        sleep(1);
    }
}

/*
 * ---- the command line ----
 */

static bool is_request(const char *word) {
    return strcmp(word, "status") == 0 || strcmp(word, "links") == 0 ||
           strcmp(word, "counters") == 0;
}

static bool parse_place(const char *text, struct transport_address *address) {
    char why[2 * ENDPOINT_TEXT_BYTES + 256];
    struct endpoint endpoint;
    bool fine = endpoint_parse(text, &endpoint, why, sizeof why);
    if (fine && endpoint.kind != ENDPOINT_UNIX)
        fine =
            endpoint_refuse(why, sizeof why, "expected the socket of muxd's --control: unix:PATH");
    if (fine)
        fine = endpoint_resolve(&endpoint, false, address, 1, why, sizeof why) == 1;
    if (!fine)
        text_complain("mux ctl: %s: %s", text, why);
    return fine;
}

static int run(int argc, char **argv) {
    struct ctl ctl = {0};
    struct transport_address address;
    int status = option_parse(&options, argc, argv, &ctl);
    if (status != OPTION_GO_ON)
        return status;
    if (argc - optind != 2 || !is_request(argv[optind + 1])) {
        text_complain("mux ctl: expected a socket and what to ask: mux ctl unix:PATH status, links "
                      "or counters (mux ctl --help)");
        return EXIT_USAGE;
    }
    ctl.place = argv[optind];
    ctl.request = argv[optind + 1];
    if (!parse_place(ctl.place, &address))
        return EXIT_USAGE;
    int code = connect_to(&ctl, &address) ? watch(&ctl) : EXIT_FAILED;
    if (ctl.socket)
        fclose(ctl.socket);
    json_decref(ctl.before);
    free(ctl.line);
    return code;
}

const struct subcommand subcommand_ctl = {"ctl", "asks a running muxd how it stands", run};
