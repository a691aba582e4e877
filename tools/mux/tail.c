/* mux tail: what programs print below a muxd, live. */
#include "mux/packet/report.h"
#include "tools/base/output.h"
#include "tools/base/quantity.h"
#include "tools/base/text.h"
#include "tools/mux/mux.h"
#include "tools/mux/viewer.h"
#include "tools/node/view.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* A muxd takes a number of nine digits. */
#define LAST_MOST_BYTES 999999999

/* Of a route and a file in front of a line. */
#define PREFIX_BYTES 256

static const char intro[] =
    "usage: mux tail [--last SIZE] unix:PATH [PATTERN]\n"
    "\n"
    "Shows what programs print below a muxd (its --control unix:PATH), live: each line with the\n"
    "route code of its program in front. PATTERN is a route code, of which the first segments are\n"
    "enough: 7 is everything below link 7. In a segment * stands for any bytes, ? for one byte.\n"
    "What a program prints cannot steer the terminal.\n"
    "\n"
    "  mux tail unix:/run/muxd.ctl\n"
    "  mux tail --last 16K unix:/run/muxd.ctl '*/3'\n";

static const char outro[] = "Exit codes: 0 ended by INT or TERM; 1 nobody answers there, muxd has "
                            "ended the view, or stdout\n"
                            "could not be written: stderr says why; 2 wrong usage.\n";

struct tail_view {
    uint64_t last_bytes;
    bool is_inside_line;
    char prefix[PREFIX_BYTES]; /* of the line that stdout ends in */
};

static bool set_last(const struct option_row *row, void *target, const char *value) {
    struct tail_view *view = target;
    if (quantity_bytes(value, &view->last_bytes) && view->last_bytes <= LAST_MOST_BYTES)
        return true;
    text_complain("mux tail: --%s %s: expected a size, such as 16K, below 1G", row->name, value);
    return false;
}

static const struct option_row rows[] = {
    {"last", "SIZE", "0", NULL, "begin with the last bytes of each route; muxd keeps 64K of each",
     .set = set_last},
    {"help", .end = option_help, .help = OPTION_HELP_TEXT},
};

static const struct option_table options = {
    .program = "mux tail",
    .intro = intro,
    .outro = outro,
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
};

/* What comes next is another text: a message, an attachment that was whole. */
static void end_line(struct tail_view *view) {
    if (view->is_inside_line)
        putchar('\n');
    view->is_inside_line = false;
}

/* "3/0: ", "3/0 stderr: " */
static void make_prefix(const struct mux_packet *packet, char out[PREFIX_BYTES]) {
    char route[PREFIX_BYTES / 2], file[PREFIX_BYTES / 4];
    bool is_stdout = mux_span_equal(packet->file_name, mux_span_text("stdout"));
    text_clean(packet->route, false, route, sizeof route);
    text_clean(packet->file_name, false, file, sizeof file);
    snprintf(out, PREFIX_BYTES, "%s%s%s: ", route, is_stdout || !*route ? "" : " ",
             is_stdout ? "" : file);
}

static void begin_line(struct tail_view *view, const char *prefix) {
    if (view->is_inside_line && strcmp(view->prefix, prefix) == 0)
        return;
    end_line(view);
    fputs(prefix, stdout);
    snprintf(view->prefix, sizeof view->prefix, "%s", prefix);
    view->is_inside_line = true;
}

static void show_text(struct tail_view *view, const char *prefix, const char *text) {
    while (*text) {
        const char *newline = strchr(text, '\n');
        size_t len = newline ? (size_t)(newline - text) : strlen(text);
        begin_line(view, prefix);
        fwrite(text, 1, len, stdout);
        if (newline)
            putchar('\n');
        view->is_inside_line = !newline;
        text += len + (newline != NULL);
    }
}

static void show_content(struct tail_view *view, const char *prefix, struct mux_span content) {
    enum { PIECE_BYTES = 4096 };
    char text[PIECE_BYTES * TEXT_GROWTH + 1];
    while (content.len) {
        size_t len = content.len < PIECE_BYTES ? content.len : PIECE_BYTES;
        while (len < content.len && len > PIECE_BYTES - 4 && (content.data[len] & 0xC0) == 0x80)
            len--; /* not inside a character */
        text_clean(mux_span(content.data, len), true, text, sizeof text);
        show_text(view, prefix, text);
        content = mux_span(content.data + len, content.len - len);
    }
}

/* Of a file that is muxd's own two kinds are for people: messages, and how a command has ended. */
static void show_packet(void *user, const struct mux_packet *packet) {
    char prefix[PREFIX_BYTES], words[VIEWER_EXIT_BYTES];
    struct mux_span text = packet->file_content;
    bool is_own = mux_report_is_own_file(packet->file_name);
    bool is_exit = mux_span_equal(packet->file_name, mux_span_text("muxd.exit"));
    if (!view_is_output(packet->file_name) && !is_exit &&
        !mux_span_equal(packet->file_name, mux_span_text(MUX_REPORT_MESSAGE_FILE)))
        return;
    make_prefix(packet, prefix);
    if (is_exit) {
        viewer_exit_words(text, words);
        text = mux_span_text(words);
    }
    show_content(user, prefix, text);
    if (is_own || packet->eof)
        end_line(user);
}

static volatile sig_atomic_t got_signal;

static void on_signal(int number) {
    got_signal = number;
}

/* They are blocked but in ppoll(), so that none is missed. */
static void catch_signals(sigset_t *before) {
    const struct sigaction action = {.sa_handler = on_signal};
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, before);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static int look(struct viewer *viewer) {
    struct pollfd waits = {.fd = viewer->place.fd, .events = POLLIN};
    sigset_t signals;
    catch_signals(&signals);
    while (!got_signal && (ppoll(&waits, 1, NULL, &signals) >= 0 || errno == EINTR))
        if (!viewer_read(viewer) || !output_flush("mux tail"))
            return EXIT_FAILED;
    if (got_signal)
        return EXIT_FINE;
    control_place_failed(&viewer->place, "poll", errno);
    return EXIT_FAILED;
}

static int run(int argc, char **argv) {
    struct tail_view view = {0};
    static struct viewer viewer = {.packet = show_packet};
    int status = option_parse(&options, argc, argv, &view);
    if (status != OPTION_GO_ON)
        return status;
    if (argc - optind != 1 && argc - optind != 2) {
        text_complain("mux tail: expected a socket and perhaps a pattern: mux tail unix:PATH "
                      "[PATTERN] (mux tail --help)");
        return EXIT_USAGE;
    }
    viewer.user = &view;
    bool is_open = viewer_open(&viewer, "mux tail", argv[optind], "tail", view.last_bytes,
                               argc - optind == 2 ? argv[optind + 1] : "");
    status = is_open ? look(&viewer) : viewer.place.is_usage ? EXIT_USAGE : EXIT_FAILED;
    viewer_close(&viewer);
    return status;
}

const struct subcommand subcommand_tail = {"tail", "shows what programs print below a muxd", run};
