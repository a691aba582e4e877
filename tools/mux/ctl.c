/* mux ctl: asks a running muxd how it stands, and gives orders to places below it. */
#include "tools/base/output.h"
#include "tools/base/text.h"
#include "tools/base/wall.h"
#include "tools/mux/control_place.h"
#include "tools/mux/ctl_words.h"
#include "tools/mux/mux.h"
#include "tools/node/view.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The longest that a muxd takes, with its newline. */
#define REQUEST_BYTES 1024

static const char intro[] =
    "usage: mux ctl unix:PATH status|links|counters|ORDER ROUTE [--json] [--watch]\n"
    "\n"
    "Asks a running muxd (its --control unix:PATH) how it stands. It costs the stream nothing.\n"
    "Or gives an order to a place below it, through the nodes between, and waits for the answer:\n"
    "drain, undrain, kick or stop. ROUTE is a route code as that muxd sees it, such as 7/3;\n"
    ". is that muxd itself.\n"
    "\n"
    "  status      version, uptime, upstream, totals, and what holds links up\n"
    "  links       every link, worst first: state, bytes, packets, tests in progress and for how\n"
    "              long the oldest of them runs\n"
    "  counters    all counters that are not 0\n"
    "  drain       an agent, one of its slots, or a muxd with all below it takes no new jobs;\n"
    "              those that run are finished\n"
    "  undrain     it takes jobs again\n"
    "  kick        closes a link: a worker's tests fail, a node connects again\n"
    "  stop        ends what runs: a slot's job, an agent with its jobs, a mux exec's command, "
    "all\n"
    "              agents and commands below a muxd (TERM, and KILL after the grace)\n"
    "\n"
    "  mux ctl unix:/run/muxd.ctl status\n"
    "  mux ctl unix:/run/muxd.ctl links --watch\n"
    "  mux ctl unix:/run/muxd.ctl drain 7/3\n"
    "  mux ctl unix:/run/muxd.ctl links --json | jq '.links[] | select(.tests > 0)'\n";

static const char outro[] =
    "Exit codes: 0 it has answered, the order is carried out; 1 nobody answers there, the order "
    "was\n"
    "refused or not answered, or stdout could not be written: stderr says why; 2 wrong usage.\n";

struct ctl {
    struct control_place place;
    const char *request;
    const char *route; /* of an order; NULL: it is a question */
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
    return (double)wall_loop_ns() / 1e9;
}

/*
 * ---- the socket ----
 */

static bool open_socket(struct ctl *ctl, const char *text) {
    if (!control_place_connect(&ctl->place, "mux ctl", text))
        return false;
    ctl->socket = fdopen(ctl->place.fd, "r+");
    return ctl->socket || control_place_failed(&ctl->place, "fdopen", errno);
}

/* Sends the request and reads the line that answers it. */
static bool ask(struct ctl *ctl) {
    char request[REQUEST_BYTES];
    size_t len = (size_t)snprintf(request, sizeof request, "%s%s%s\n", ctl->request,
                                  ctl->route ? " " : "", ctl->route ? ctl->route : "");
    bool is_sent = output_write(fileno(ctl->socket), request, len);
    if (!is_sent && !control_place_is_closed(errno))
        return control_place_failed(&ctl->place, "send", errno);
    errno = 0;
    /* one that refused us has said why before it closed */
    if (getline(&ctl->line, &ctl->line_room, ctl->socket) > 0 && strchr(ctl->line, '\n'))
        return true;
    if (errno == EAGAIN)
        text_complain("mux ctl: %s: no answer for %d s", ctl->place.text, CONTROL_ANSWER_MOST_S);
    else if (errno && !control_place_is_closed(errno))
        return control_place_failed(&ctl->place, "receive", errno);
    else
        text_complain("mux ctl: %s: the connection was closed without an answer: muxd has ended",
                      ctl->place.text);
    return false;
}

/*
 * ---- the answer ----
 */

/* Rows of the terminal but for what stands below the table; 0: it is none, all is shown. */
static unsigned terminal_rows(void) {
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row < 4)
        return 0;
    return size.ws_row - 2u;
}

static void show_links(struct ctl *ctl, const json_t *answer) {
    double now_s = clock_s();
    unsigned most = ctl->is_watching ? terminal_rows() : 0;
    ctl_print_links(answer, ctl->before, now_s - ctl->before_s, most);
    ctl->before_s = now_s;
}

static bool show(struct ctl *ctl) {
    json_error_t error;
    json_t *answer = json_loads(ctl->line, 0, &error);
    const char *refused = json_string_value(json_object_get(answer, "error"));
    if (!answer || refused) {
        text_complain("mux ctl: %s: %s", ctl->place.text,
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
    else if (ctl->route)
        ctl_print_order(answer);
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

static bool is_among(const char *word, const char *const *words) {
    while (*words && strcmp(word, *words) != 0)
        words++;
    return *words != NULL;
}

static bool refuse_usage(const char *why) {
    text_complain("mux ctl: %s (mux ctl --help)", why);
    return false;
}

static bool take_order(struct ctl *ctl) {
    if (ctl->is_watching)
        return refuse_usage("an order is given once: --watch is for questions");
    if (!*ctl->route || strchr(ctl->route, '\n') || strlen(ctl->route) > VIEW_ROUTE_BYTES)
        return refuse_usage("expected a route of 1 to 1000 bytes in one line");
    return true;
}

_Static_assert(VIEW_ROUTE_BYTES == 1000, "as the message above says");

/* What is asked, or ordered, of whom. */
static bool take_words(struct ctl *ctl, char **words, int count) {
    static const char *const questions[] = {"status", "links", "counters", NULL};
    static const char *const orders[] = {"drain", "undrain", "kick", "stop", NULL};
    ctl->request = count > 1 ? words[1] : "";
    ctl->route = count == 3 ? words[2] : NULL;
    if (count == 3 && is_among(ctl->request, orders))
        return take_order(ctl);
    if (count == 2 && is_among(ctl->request, questions))
        return true;
    if (count == 2 && is_among(ctl->request, orders))
        return refuse_usage("an order needs a route: mux ctl unix:PATH drain 7/3");
    return refuse_usage("expected a socket and what to ask: mux ctl unix:PATH status, links or "
                        "counters; or an order: drain, undrain, kick or stop, and a ROUTE");
}

static int run(int argc, char **argv) {
    struct ctl ctl = {0};
    int status = option_parse(&options, argc, argv, &ctl);
    if (status != OPTION_GO_ON)
        return status;
    if (!take_words(&ctl, argv + optind, argc - optind))
        return EXIT_USAGE;
    int code = open_socket(&ctl, argv[optind]) ? watch(&ctl) : EXIT_FAILED;
    if (ctl.place.is_usage)
        code = EXIT_USAGE;
    if (ctl.socket)
        fclose(ctl.socket);
    json_decref(ctl.before);
    free(ctl.line);
    return code;
}

const struct subcommand subcommand_ctl = {"ctl", "asks a running muxd how it stands, gives orders",
                                          run};
