/* mux cat: a stream for people, or as JSON lines. */
#include "tools/base/output.h"
#include "tools/base/text.h"
#include "tools/mux/mux.h"
#include "tools/results/attachment.h"
#include "tools/results/event.h"
#include "tools/results/input.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Longer names are cut. Of a longer text only the last lines are shown: they say most. */
#define NAME_BYTES 1024
#define TEXT_LINES 100

static const char intro[] =
    "usage: mux cat [--json] [--raw] [FILE|-]...\n"
    "\n"
    "Shows subunit v2 streams: for people, an event a line with its route code (- for none), "
    "status\n"
    "and test id, and texts below it; with --json, an object a line. Files are read one after the\n"
    "other; without one, stdin, as it comes.\n"
    "\n"
    "  mux cat run.subunit                      what happened\n"
    "  muxd --listen :7533 | mux cat            what happens\n"
    "  mux cat --json run.subunit | jq -r 'select(.test_status==\"fail\").test_id'\n"
    "\n"
    "Bytes that are not subunit are shown as file stdout. Damage is shown as events of the test\n"
    "subunit.parser, as python-subunit does. Nothing in a stream can steer the terminal.\n"
    "\n"
    "A byte order mark of UTF-8 at the beginning is left out. When there is not one packet, as in\n"
    "an empty file, one that is still packed, or subunit v1, stderr says what it looks like.\n";

static const char outro[] =
    "Exit codes: 0 all is well; 3 the stream was damaged, or was none; 1 a file could not be\n"
    "read, or stdout not be written; 2 wrong usage.\n";

struct cat {
    void (*print)(const struct mux_packet *packet);
    bool raw;
    bool damaged; /* or the file had not one packet */
};

static void print_json(const struct mux_packet *packet) {
    json_t *event = event_to_json(packet);
    int error = event ? json_dumpf(event, stdout, JSON_ENSURE_ASCII) : -1;
    if (error && !ferror(stdout))
        abort(); /* out of memory; to leave the line out would falsify the output */
    putchar('\n');
    json_decref(event);
}

static void print_name(const char *before, struct mux_span name, const char *after) {
    char clean[NAME_BYTES];
    text_clean(name, false, clean, sizeof clean);
    printf("%s%s%s", before, clean, after);
}

static void print_tags(const struct mux_packet *packet) {
    struct mux_span rest = packet->tags, tag;
    const char *before = "  [";
    while (mux_tag_next(&rest, &tag)) {
        print_name(before, tag, "");
        before = " ";
    }
    if (packet->tag_count)
        putchar(']');
}

static void print_time(const struct mux_packet *packet) {
    struct mux_time when = mux_packet_time(packet);
    time_t seconds = (time_t)when.seconds;
    struct tm tm;
    char text[32];
    if (packet->has_timestamp && gmtime_r(&seconds, &tm) &&
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm))
        printf("  %s.%09uZ", text, when.nanoseconds);
}

static void print_line(void *user, const char *line) {
    (void)user;
    printf("      %s\n", line);
}

static void print_people(const struct mux_packet *packet) {
    const char *status = mux_status_text(packet->status);
    if (packet->route.data)
        print_name("", packet->route, "");
    else
        putchar('-');
    printf("  %s", status ? status : packet->file_name.data ? "file" : "event");
    if (packet->test_id.data)
        print_name("  ", packet->test_id, "");
    print_tags(packet);
    print_time(packet);
    if (packet->file_name.data) {
        print_name("  ", packet->file_name, "");
        printf(" (%zu bytes", packet->file_content.len);
        if (packet->mime.data)
            print_name(", ", packet->mime, "");
        printf("%s)", packet->eof ? ", end" : "");
    }
    putchar('\n');
    if (packet->file_name.data && attachment_is_text(packet))
        text_show_tail(packet->file_content, TEXT_LINES, print_line, NULL);
}

static bool show_bytes(void *user, struct mux_span bytes) {
    struct cat *cat = user;
    struct mux_packet packet;
    enum mux_error error = mux_packet_parse(bytes, &packet, NULL);
    assert(!error);
    (void)error;
    cat->print(&packet);
    return !ferror(stdout);
}

static bool show_frame(void *user, const struct mux_frame *frame) {
    struct cat *cat = user;
    if (frame->kind != MUX_FRAME_PACKET) {
        cat->damaged |= frame->kind == MUX_FRAME_DAMAGE;
        return input_report(frame, mux_span(NULL, 0), show_bytes, cat);
    }
    cat->print(&frame->packet);
    return !ferror(stdout);
}

static bool flush(void *user) {
    (void)user;
    return output_flush("mux cat");
}

static bool cat_file(struct cat *cat, const char *path) {
    static struct input_seen seen;
    struct input_handler handler = {show_frame, flush, -1, cat, cat->raw, &seen};
    seen = (struct input_seen){0};
    int fd = open_input(&subcommand_cat, path);
    if (fd < 0)
        return false;
    int error = input_read(fd, &handler);
    cat->damaged |= seen.damaged_bundle;
    if (error > 0)
        text_complain("mux cat: %s: %s", path, strerror(error));
    if (error == 0 && !input_was_stream(subcommand_cat.name, path, &seen))
        cat->damaged = true;
    if (fd != STDIN_FILENO)
        close(fd);
    return error == 0;
}

static bool set_json(const struct option_row *row, void *target, const char *value) {
    struct cat *cat = target;
    (void)row, (void)value;
    cat->print = print_json;
    return true;
}

static bool set_raw(const struct option_row *row, void *target, const char *value) {
    struct cat *cat = target;
    (void)row, (void)value;
    cat->raw = true;
    return true;
}

static const struct option_row rows[] = {
    {"json", .set = set_json, .help = "one JSON object a line, in place of text for people"},
    {"raw", .set = set_raw, .help = "show bundles of nodes as they are, not the packets in them"},
    {"help", .end = option_help, .help = OPTION_HELP_TEXT},
};

static const struct option_table options = {
    .program = "mux cat",
    .intro = intro,
    .outro = outro,
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
};

static int run(int argc, char **argv) {
    struct cat cat = {.print = print_people};
    int status = option_parse(&options, argc, argv, &cat);
    if (status != OPTION_GO_ON)
        return status;
    bool fine = optind < argc || cat_file(&cat, "-");
    for (int i = optind; i < argc && !ferror(stdout); i++)
        fine = cat_file(&cat, argv[i]) && fine;
    return !fine ? EXIT_FAILED : cat.damaged ? EXIT_DAMAGED : EXIT_FINE;
}

const struct subcommand subcommand_cat = {"cat", "shows a stream, for people or as JSON lines",
                                          run};
