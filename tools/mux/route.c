/* mux route: prefix or strip the route codes of a stream. */
#include "mux/packet/route.h"
#include "tools/base/output.h"
#include "tools/base/text.h"
#include "tools/mux/mux.h"
#include "tools/results/input.h"

#include <stdio.h>
#include <unistd.h>

static const char intro[] =
    "usage: mux route [--raw] --prefix SEGMENT | --strip\n"
    "\n"
    "Copies a subunit v2 stream from stdin to stdout and changes each packet's route code:\n"
    "--prefix puts a segment in front (3/1 becomes SEGMENT/3/1, none becomes SEGMENT), as a muxd\n"
    "does on the way up; --strip cuts the first segment (3/1 becomes 1, 3 becomes none), as on "
    "the\n"
    "way down, and leaves packets without a route code as they are. All else stays byte for byte.\n"
    "Bundles of nodes are taken apart, unless there is --raw.\n"
    "\n"
    "Bytes that are not subunit leave as packets (file stdout), damage as the events of\n"
    "subunit.parser, under SEGMENT (--prefix) or no route code (--strip). A packet that its "
    "longer\n"
    "route code would make longer than 4194303 bytes is sent as two.\n"
    "\n"
    "  python3 -m subunit.run my.tests | mux route --prefix laptop > run.subunit\n";

static const char outro[] =
    "Exit codes: 0 all is well; 1 stdin could not be read or stdout not be written; 2 wrong "
    "usage,\n"
    "or stdout is a terminal.\n";

/* With prefix.segment.data NULL the first segment is stripped. */
struct route {
    struct mux_prefix prefix;
    bool raw;
    unsigned modes; /* --prefix and --strip that were given: exactly one is right */
};

static bool write_bytes(void *user, struct mux_span bytes) {
    (void)user;
    return fwrite(bytes.data, 1, bytes.len, stdout) == bytes.len;
}

static bool write_pieces(const struct mux_pieces *pieces) {
    for (size_t i = 0; i < pieces->count; i++)
        if (!write_bytes(NULL, pieces->piece[i]))
            return false;
    return true;
}

static bool write_prefixed(const struct route *route, const struct mux_frame *frame) {
    struct mux_pieces pieces, last;
    if (!mux_prefix_apply(&route->prefix, frame->bytes, &frame->packet, &frame->layout, &pieces))
        return write_pieces(&pieces);
    if (!mux_prefix_split(&route->prefix, &frame->packet, &pieces, &last))
        return write_pieces(&pieces) && write_pieces(&last);
    struct mux_frame damage = {
        .kind = MUX_FRAME_DAMAGE, .bytes = frame->bytes, .why = MUX_ERROR_TOO_LARGE};
    return input_report(&damage, route->prefix.segment, write_bytes, NULL);
}

static bool write_stripped(const struct mux_frame *frame) {
    struct mux_pieces pieces;
    struct mux_span segment;
    mux_strip(frame->bytes, &frame->packet, &frame->layout, &segment, &pieces);
    return write_pieces(&pieces);
}

static bool route_frame(void *user, const struct mux_frame *frame) {
    const struct route *route = user;
    if (frame->kind != MUX_FRAME_PACKET)
        return input_report(frame, route->prefix.segment, write_bytes, NULL);
    return route->prefix.segment.data ? write_prefixed(route, frame) : write_stripped(frame);
}

static bool flush(void *user) {
    (void)user;
    return output_flush("mux route");
}

static bool set_prefix(const struct option_row *row, void *target, const char *segment) {
    struct route *route = target;
    (void)row;
    route->modes++;
    enum mux_error error = mux_prefix_init(&route->prefix, mux_span_text(segment));
    if (error)
        text_complain("mux route: --prefix '%s': a segment is 1 to %d bytes of UTF-8 without '/'",
                      segment, MUX_SEGMENT_MAX_BYTES);
    return !error;
}

static bool set_strip(const struct option_row *row, void *target, const char *value) {
    struct route *route = target;
    (void)row, (void)value;
    route->modes++;
    return true;
}

static bool set_raw(const struct option_row *row, void *target, const char *value) {
    struct route *route = target;
    (void)row, (void)value;
    route->raw = true;
    return true;
}

static const struct option_row rows[] = {
    {"prefix", "SEGMENT", .set = set_prefix, .help = "put SEGMENT in front of every route code"},
    {"strip", .set = set_strip, .help = "cut the first segment of every route code"},
    {"raw", .set = set_raw, .help = "bundles of nodes are packets as all others"},
    {"help", .end = option_help, .help = OPTION_HELP_TEXT},
};

static const struct option_table options = {
    .program = "mux route",
    .intro = intro,
    .outro = outro,
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
};

static int run(int argc, char **argv) {
    struct route route = {0};
    int status = option_parse(&options, argc, argv, &route);
    if (status != OPTION_GO_ON)
        return status;
    if (route.modes != 1 || optind < argc) {
        text_complain("mux route: give --prefix SEGMENT or --strip, once; the stream comes from "
                      "stdin (mux route --help)");
        return EXIT_USAGE;
    }
    if (!stdout_takes_binary(&subcommand_route))
        return EXIT_USAGE;
    int fd = open_input(&subcommand_route, "-");
    if (fd < 0 || !stdout_mend(&subcommand_route))
        return EXIT_FAILED;
    struct input_handler handler = {route_frame, flush, -1, &route, route.raw, NULL};
    int error = input_read(fd, &handler);
    if (error > 0)
        text_complain("mux route: stdin: %s", strerror(error));
    return error == 0 ? EXIT_FINE : EXIT_FAILED;
}

const struct subcommand subcommand_route = {"route",
                                            "prefixes or strips the route codes of a stream", run};
