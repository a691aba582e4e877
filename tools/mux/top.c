/* mux top: sums a run up while it happens. */
#include "tools/base/text.h"
#include "tools/base/wall.h"
#include "tools/mux/mux.h"
#include "tools/results/input.h"
#include "tools/results/summary.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* How often the summary is redrawn while nothing comes. */
#define TICK_MS 100

static const char intro[] =
    "usage: mux top [--raw] [FILE|-]\n"
    "\n"
    "Sums a subunit v2 stream up while it comes: workers (route codes), tests that run and for "
    "how\n"
    "long, rates, failures with the tail of their traceback. On a terminal the summary is redrawn\n"
    "in place; elsewhere, with NO_COLOR or with TERM=dumb, it is plain lines.\n"
    "\n"
    "  muxd --listen ib0 | tee run.subunit | mux top    watch while it is gathered\n"
    "  tail -c +1 -f run.subunit | mux top              a run that somebody else gathers\n"
    "  mux top run.subunit                              how it ended\n";

static const char outro[] =
    "Exit codes: 0 tests ran, and all is well; 4 tests failed, or had not ended; 5 no test ran (a\n"
    "list of tests); 3 the stream or a worker's was damaged, whatever else it says, or it was "
    "none\n"
    "(stderr says what it looks like); 1 the file could not be read, or stdout not be written; 2\n"
    "wrong usage.\n";

struct top {
    struct summary *summary;
    bool raw;
};

static bool set_raw(const struct option_row *row, void *target, const char *value) {
    struct top *top = target;
    (void)row, (void)value;
    top->raw = true;
    return true;
}

static const struct option_row rows[] = {
    {"raw", .set = set_raw, .help = "count bundles of nodes as packets, not those in them"},
    {"help", .end = option_help, .help = OPTION_HELP_TEXT},
};

static const struct option_table options = {
    .program = "mux top",
    .intro = intro,
    .outro = outro,
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
};

static bool show_bytes(void *user, struct mux_span bytes) {
    struct top *top = user;
    struct mux_packet packet;
    enum mux_error error = mux_packet_parse(bytes, &packet, NULL);
    assert(!error);
    (void)error;
    summary_packet(top->summary, &packet, wall_loop_ns());
    return true;
}

static bool show_frame(void *user, const struct mux_frame *frame) {
    struct top *top = user;
    if (frame->kind != MUX_FRAME_PACKET)
        return input_report(frame, mux_span(NULL, 0), show_bytes, top);
    summary_packet(top->summary, &frame->packet, wall_loop_ns());
    summary_tick(top->summary, wall_loop_ns());
    return true;
}

static bool tick(void *user) {
    struct top *top = user;
    summary_tick(top->summary, wall_loop_ns());
    return true;
}

static int exit_code(const struct top *top) {
    static const int codes[] = {[SUMMARY_PASSED] = EXIT_FINE,
                                [SUMMARY_FAILED] = EXIT_TESTS_FAILED,
                                [SUMMARY_NOTHING] = EXIT_NOTHING_RAN,
                                [SUMMARY_DAMAGED] = EXIT_DAMAGED};
    return codes[summary_verdict(top->summary)];
}

/*
 * A broken stdout does not stop the reading: the process before us in the pipe (tee, which writes a
 * file) would break, too.
 */
static bool finish(struct top *top) {
    if (summary_finish(top->summary, wall_loop_ns()))
        return true;
    if (errno != EPIPE)
        text_complain("mux top: stdout: %s", strerror(errno));
    return false;
}

static int run(int argc, char **argv) {
    static struct input_seen seen;
    struct top top = {NULL, false};
    int status = option_parse(&options, argc, argv, &top);
    if (status != OPTION_GO_ON)
        return status;
    if (argc - optind > 1) {
        text_complain("mux top: one file at a time");
        return EXIT_USAGE;
    }
    const char *path = optind < argc ? argv[optind] : "-";
    int fd = open_input(&subcommand_top, path);
    if (fd < 0)
        return EXIT_FAILED;
    top.summary = summary_create(wall_loop_ns());
    if (!top.summary)
        abort(); /* out of memory */
    struct input_handler handler = {show_frame, tick, TICK_MS, &top, top.raw, &seen};
    int error = input_read(fd, &handler);
    int code = exit_code(&top);
    bool written = finish(&top);
    if (error > 0)
        text_complain("mux top: %s: %s", path, strerror(error));
    if (fd != STDIN_FILENO)
        close(fd);
    if (error == 0 && written && !input_was_stream(subcommand_top.name, path, &seen))
        code = EXIT_DAMAGED;
    return error || !written ? EXIT_FAILED : code;
}

const struct subcommand subcommand_top = {"top", "sums a run up while it happens", run};
