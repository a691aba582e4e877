/* mux attach: a terminal on one worker, through the nodes between. */
#include "mux/packet/report.h"
#include "mux/packet/route.h"
#include "tools/agent/terminal.h"
#include "tools/base/output.h"
#include "tools/base/quantity.h"
#include "tools/base/text.h"
#include "tools/mux/mux.h"
#include "tools/mux/terminal_mode.h"
#include "tools/mux/terminal_signals.h"
#include "tools/mux/viewer.h"
#include "tools/node/route_glob.h"
#include "tools/node/view.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* A muxd takes a number of nine digits. */
#define LAST_MOST_BYTES 999999999

/* Content of a packet of input; muxd takes packets of 2,048 bytes. */
#define INPUT_BYTES 1024

/* A segment in a message that is at least this long may be only the beginning of it. */
#define SEGMENT_SHOWN_LEAST 60

/* Input that waits for muxd to take it. */
#define WAITING_BYTES 16384

static const char intro[] =
    "usage: mux attach [OPTION...] [RUN]|unix:PATH ROUTE\n"
    "\n"
    "RUN, a run of the store that goes on: the beginning of its name, or last (without RUN, too).\n"
    "Comes back to it: shows what mux run shows, and takes the same keys. Ctrl-] leaves it, as "
    "does\n"
    "the end of the terminal, and it goes on. Several may look, and each may press keys.\n"
    "\n"
    "Shows what the worker at ROUTE prints and sends it what is typed, through a muxd above it "
    "(its\n"
    "--control unix:PATH) and the nodes between. With a terminal of its own (mux exec --pty) it "
    "gets\n"
    "every key, and its output as it is; otherwise lines, and its output cannot steer the "
    "terminal.\n"
    "Ctrl-] detaches. Of several that are attached the first one writes, the others look.\n"
    "\n"
    "  mux attach 7c1e\n"
    "  mux attach unix:/run/muxd.ctl 3/0\n";

static const char outro[] =
    "Exit codes: 0 detached, or the command or the run has ended (mux wait says how); 1 nobody\n"
    "answers there, there is no such route or run, or muxd has ended the view: stderr says why; 2\n"
    "wrong usage; 128 + N ended by signal N.\n";

struct attach {
    const char *route;
    const char *store; /* of RUN; NULL: the nearest */
    uint64_t last_bytes;
    struct viewer viewer;
    bool is_raw;        /* the worker has a terminal, and so every key goes down */
    bool is_live;       /* what comes is no past: an end is the end of what runs now */
    bool is_over;       /* detached, or the command has ended */
    bool is_nowhere;    /* there is no worker at the route */
    bool input_ended;   /* stdin has */
    bool has_told_full; /* since input was last taken */
    bool is_inside_line;
    uint8_t waiting[WAITING_BYTES]; /* packets that muxd has not taken */
    size_t waiting_len;
};

static bool set_last(const struct option_row *row, void *target, const char *value) {
    struct attach *attach = target;
    if (quantity_bytes(value, &attach->last_bytes) && attach->last_bytes <= LAST_MOST_BYTES)
        return true;
    text_complain("mux attach: --%s %s: expected a size, such as 16K, below 1G", row->name, value);
    return false;
}

static bool set_store(const struct option_row *row, void *target, const char *value) {
    (void)row;
    ((struct attach *)target)->store = value;
    return true;
}

static const struct option_row rows[] = {
    {"store", "DIR", .set = set_store,
     .help = "of RUN: the store's folder; without it the nearest .mux, from here upwards"},
    {"last", "SIZE", "4K", NULL,
     "of ROUTE: begin with the last bytes of its output; muxd keeps 64K", .set = set_last},
    {"help", .end = option_help, .help = OPTION_HELP_TEXT},
};

static const struct option_table options = {
    .program = "mux attach",
    .intro = intro,
    .outro = outro,
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
};

/* A line of ours between the worker's. */
static void say(struct attach *attach, const char *text) {
    fflush(stdout);
    if (attach->is_inside_line)
        fputc('\n', stderr);
    attach->is_inside_line = false;
    text_complain("mux attach: %s", text);
}

/*
 * ---- down ----
 */

/* Sends what waits, as far as muxd takes it. False: the connection is broken. */
static bool send_waiting(struct attach *attach) {
    while (attach->waiting_len) {
        ssize_t sent = send(attach->viewer.place.fd, attach->waiting, attach->waiting_len,
                            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ||
                   control_place_is_closed(errno); /* viewer_read() tells what came before */
        attach->waiting_len -= (size_t)sent;
        memmove(attach->waiting, attach->waiting + sent, attach->waiting_len);
        attach->has_told_full = false;
    }
    return true;
}

static void send_file(struct attach *attach, const char *file, struct mux_span content) {
    size_t written;
    const struct mux_packet packet = {
        .runnable = true, .file_name = mux_span_text(file), .file_content = content};
    enum mux_error error =
        mux_packet_encode(&packet, attach->waiting + attach->waiting_len,
                          sizeof attach->waiting - attach->waiting_len, &written);
    if (!error)
        attach->waiting_len += written;
    else if (!attach->has_told_full)
        say(attach, "the worker does not read: what you type is dropped");
    attach->has_told_full = error;
}

/* Without a size (a pipe, a serial line) it is the usual one: the answer says whether the worker
   has a terminal, and an agent without a job there says so. */
static void send_window(struct attach *attach) {
    char json[64];
    struct winsize size;
    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_row || !size.ws_col)
        size = (struct winsize){.ws_row = TERMINAL_ROWS, .ws_col = TERMINAL_COLUMNS};
    snprintf(json, sizeof json, "{\"v\":1,\"rows\":%u,\"columns\":%u}", size.ws_row, size.ws_col);
    send_file(attach, VIEW_WINDOW_FILE, mux_span_text(json));
}

static void type(struct attach *attach) {
    uint8_t keys[INPUT_BYTES];
    ssize_t got = read(STDIN_FILENO, keys, sizeof keys);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (got <= 0) { /* the worker's stdin stays open: somebody else may attach */
        attach->input_ended = true;
        attach->is_over = terminal_mode_has();
        return;
    }
    const uint8_t *detach =
        terminal_mode_has() ? memchr(keys, TERMINAL_MODE_DETACH, (size_t)got) : NULL;
    size_t len = detach ? (size_t)(detach - keys) : (size_t)got;
    attach->is_over = detach != NULL;
    if (len && attach->viewer.writes)
        send_file(attach, "stdin", mux_span(keys, len));
    else if (len && !attach->has_told_full)
        say(attach, "somebody else writes: what you type is dropped");
    attach->has_told_full = attach->has_told_full || (len && !attach->viewer.writes);
}

/*
 * ---- up ----
 */

static void show_output(struct attach *attach, struct mux_span content) {
    enum { PIECE_BYTES = 4096 };
    char text[PIECE_BYTES * TEXT_GROWTH + 1];
    if (content.len)
        attach->is_inside_line = content.data[content.len - 1] != '\n';
    if (attach->is_raw) {
        fwrite(content.data, 1, content.len, stdout);
        return;
    }
    while (content.len) {
        size_t len = content.len < PIECE_BYTES ? content.len : PIECE_BYTES;
        while (len < content.len && len > PIECE_BYTES - 4 && (content.data[len] & 0xC0) == 0x80)
            len--; /* not inside a character */
        fwrite(text, 1, text_clean(mux_span(content.data, len), true, text, sizeof text), stdout);
        content = mux_span(content.data + len, content.len - len);
    }
}

static void show_message(struct attach *attach, const struct mux_packet *packet) {
    char text[512];
    struct mux_span words = packet->file_content;
    while (words.len && words.data[words.len - 1] == '\n')
        words.len--;
    text_clean(words, false, text, sizeof text);
    say(attach, text);
}

static bool begins_with(struct mux_span text, struct mux_span words) {
    return text.len >= words.len && memcmp(text.data, words.data, words.len) == 0;
}

/* What is left of the route behind the place that speaks, which is on the way to it. */
static bool rest_of_route(const struct attach *attach, struct mux_span place,
                          struct mux_span *rest) {
    *rest = mux_span_text(attach->route);
    if (!place.data)
        return true;
    if (!route_leads_to(place, *rest))
        return false;
    size_t used = place.len < rest->len ? place.len + 1 : place.len;
    *rest = mux_span(rest->data + used, rest->len - used);
    return true;
}

/* Is it "words SEGMENT" or "words \"SEGMENT\"", of the next segment? A long one may be cut. */
static bool names(struct mux_span text, const char *words, struct mux_span segment) {
    struct mux_span start = mux_span_text(words);
    if (!segment.len || !begins_with(text, start))
        return false;
    struct mux_span named = mux_span(text.data + start.len, text.len - start.len);
    if (named.len >= 2 && *named.data == '"')
        named = mux_span(named.data + 1, named.len - 2);
    return mux_span_equal(named, segment) ||
           (named.len >= SEGMENT_SHOWN_LEAST && begins_with(segment, named));
}

/* Does a node on the way say that nothing is there which could be attached to? NULL: it does not.
 */
static const char *why_nowhere(const struct attach *attach, const struct mux_packet *packet) {
    struct mux_span rest, text = packet->file_content;
    if (packet->status != MUX_STATUS_FAIL || packet->test_id.data ||
        !rest_of_route(attach, packet->route, &rest))
        return NULL;
    if (names(text, VIEW_NO_JOB, rest))
        return "no job runs there";
    if (names(text, MUX_REPORT_NO_LINK, mux_route_first(rest)))
        return "there is no such route, or no job runs in that slot";
    if (!rest.len && begins_with(text, mux_span_text(VIEW_AGENT)))
        return "attach to one of its slots: put /SLOT behind the route";
    if (!rest.len && begins_with(text, mux_span_text(MUX_REPORT_NO_WORKER)))
        return "there is a muxd or an agent, no worker: the route of a worker below it is longer";
    return NULL;
}

static void look_at_place(struct attach *attach, const struct mux_packet *packet) {
    const char *why = why_nowhere(attach, packet);
    if (!why || attach->is_nowhere || !attach->is_live)
        return;
    say(attach, why);
    attach->is_over = attach->is_nowhere = true;
}

static void begin_raw(struct attach *attach) {
    if (attach->is_raw)
        return;
    attach->is_raw = true;
    if (terminal_mode_has())
        terminal_mode_set(TERMINAL_MODE_RAW);
}

static void take_packet(void *user, const struct mux_packet *packet) {
    struct attach *attach = user;
    char words[VIEWER_EXIT_BYTES];
    struct mux_span file = packet->file_name;
    if (mux_span_equal(file, mux_span_text(VIEW_WINDOW_FILE))) {
        begin_raw(attach);
    } else if (mux_span_equal(file, mux_span_text(VIEW_WRITER_FILE))) {
        attach->viewer.writes = true;
        attach->has_told_full = false;
        say(attach, "the writer has gone: what you type goes down now");
        send_window(attach);
    } else if (mux_span_equal(file, mux_span_text(VIEW_LIVE_FILE))) {
        attach->is_live = true;
    } else if (mux_span_equal(file, mux_span_text("muxd.exit"))) {
        viewer_exit_words(packet->file_content, words);
        say(attach, words);
        attach->is_over = attach->is_live;
    } else if (mux_span_equal(file, mux_span_text(MUX_REPORT_MESSAGE_FILE))) {
        show_message(attach, packet);
        look_at_place(attach, packet);
    } else if (view_is_output(file)) {
        show_output(attach, packet->file_content);
    }
}

/*
 * ---- signals ----
 */

static void take_signals(struct attach *attach) {
    if (terminal_signals.resized && attach->viewer.writes)
        send_window(attach);
    if (terminal_signals.continued)
        terminal_mode_set(attach->is_raw ? TERMINAL_MODE_RAW : TERMINAL_MODE_LINES);
    terminal_signals.resized = terminal_signals.continued = 0;
}

/*
 * ---- the whole ----
 */

static bool step(struct attach *attach, const sigset_t *signals) {
    short out = attach->waiting_len ? POLLOUT : 0;
    struct pollfd waits[] = {
        {.fd = attach->viewer.place.fd, .events = (short)(POLLIN | out)},
        {.fd = attach->input_ended ? -1 : STDIN_FILENO, .events = POLLIN},
    };
    int ready = ppoll(waits, 2, NULL, signals);
    if (ready < 0 && errno != EINTR)
        return control_place_failed(&attach->viewer.place, "poll", errno);
    take_signals(attach);
    if (ready > 0 && waits[1].revents)
        type(attach);
    if (ready > 0 && waits[0].revents & (POLLIN | POLLHUP | POLLERR) &&
        !viewer_read(&attach->viewer))
        return false;
    if (!send_waiting(attach))
        return control_place_failed(&attach->viewer.place, "send", errno);
    return output_flush("mux attach");
}

static void greet(struct attach *attach) {
    char text[256];
    if (attach->viewer.writes)
        snprintf(text, sizeof text, "attached to %.100s%s", attach->route,
                 terminal_mode_has() ? ": Ctrl-] detaches" : "");
    else
        snprintf(text, sizeof text, "attached to %.100s, to which %s writes: you only look%s",
                 attach->route, attach->viewer.writer,
                 terminal_mode_has() ? ". Ctrl-] detaches" : "");
    say(attach, text);
}

static int stay(struct attach *attach) {
    sigset_t signals;
    bool is_fine = true;
    terminal_signals_catch(&signals);
    if (terminal_mode_has())
        terminal_mode_set(TERMINAL_MODE_LINES);
    greet(attach);
    if (attach->viewer.writes)
        send_window(attach);
    while (is_fine && !attach->is_over && !terminal_signals.ender)
        is_fine = step(attach, &signals);
    terminal_mode_set(TERMINAL_MODE_OWN);
    if (is_fine && !terminal_signals.ender && !attach->is_nowhere)
        say(attach, "detached");
    return terminal_signals.ender           ? 128 + terminal_signals.ender
           : is_fine && !attach->is_nowhere ? EXIT_FINE
                                            : EXIT_FAILED;
}

/* A run is another program's, which reads the store. NULL: the last one. */
static int attach_to_run(const struct attach *attach, const char *name) {
    const char *arguments[6] = {"mux", RUN_PROGRAM_ATTACH};
    unsigned count = 2;
    if (attach->store) {
        arguments[count++] = "--store";
        arguments[count++] = attach->store;
    }
    if (name)
        arguments[count++] = name;
    arguments[count] = NULL;
    program_run_beside(RUN_PROGRAM, (char *const *)arguments);
    text_complain("mux attach: the program " RUN_PROGRAM " is not there: it is installed with mux");
    return EXIT_FAILED;
}

/* Its form says what the argument is. */
static bool is_of_run(int argc, char *const *argv) {
    return argc == 0 || (argc == 1 && strncmp(argv[0], "unix:", 5) != 0);
}

static int run(int argc, char **argv) {
    static struct attach attach = {.viewer = {.packet = take_packet}};
    int status = option_parse(&options, argc, argv, &attach);
    if (status != OPTION_GO_ON)
        return status;
    if (is_of_run(argc - optind, argv + optind))
        return attach_to_run(&attach, argv[optind]);
    if (argc - optind != 2 || attach.store) {
        text_complain("mux attach: expected a run, or a socket and a route: mux attach unix:PATH "
                      "ROUTE (mux attach --help)");
        return EXIT_USAGE;
    }
    if (!*argv[optind + 1]) {
        text_complain("mux attach: the route is empty: expected one such as 3/0 (mux ctl %s links)",
                      argv[optind]);
        return EXIT_USAGE;
    }
    attach.viewer.user = &attach;
    attach.route = argv[optind + 1];
    attach.is_live = !attach.last_bytes;
    bool is_open = viewer_open(&attach.viewer, "mux attach", argv[optind], "attach",
                               attach.last_bytes, attach.route);
    status = is_open ? stay(&attach) : attach.viewer.place.is_usage ? EXIT_USAGE : EXIT_FAILED;
    viewer_close(&attach.viewer);
    return status;
}

const struct subcommand subcommand_attach = {"attach", "a terminal on one worker below a muxd",
                                             run};
