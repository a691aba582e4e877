/* mux encode: JSON lines to subunit. */
#include "tools/base/output.h"
#include "tools/base/text.h"
#include "tools/mux/mux.h"
#include "tools/results/event.h"
#include "tools/results/input.h"
#include "tools/results/looks.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* Room for the largest packet with each byte written as \u00XX, and for the keys. */
#define LINE_MAX_BYTES (6 * MUX_PACKET_MAX_BYTES + 4096)

#define READ_BYTES 65536

static const char intro[] =
    "usage: mux encode [FILE|-]\n"
    "\n"
    "Turns JSON lines, as `mux cat --json` prints them, into a subunit v2 stream on stdout.\n"
    "A line is one object; keys that are missing or null are fields that are not there, keys that\n"
    "are not listed here are an error:\n"
    "\n"
    "  {\"test_id\": \"a.test\", \"test_status\": \"fail\", \"runnable\": true,\n"
    "   \"test_tags\": [\"slow\"], \"file_name\": \"reason\", \"file_b64\": \"b25j\", \"eof\": "
    "true,\n"
    "   \"mime_type\": \"text/plain\", \"route_code\": \"3\", \"timestamp\": [1700000000, 5]}\n"
    "\n"
    "Statuses: exists inprogress success uxsuccess skip fail xfail.\n"
    "\n"
    "Limits, of the format: a packet is at most 4194303 bytes long, all fields and 8 to 10 bytes\n"
    "more; seconds since 1970 go from 0 to 4294967295 (in 2106), nanoseconds from 0 to 1073741823\n"
    "(mux cat carries 1000000000 and more into the seconds); strings hold no NUL.\n"
    "\n"
    "  mux cat --json run.subunit | jq -c 'select(.test_status==\"fail\")' | mux encode > failed\n";

static const char outro[] =
    "Exit codes: 0 all lines were written; 1 a line is wrong (what came before it is written) or\n"
    "a file is; 2 wrong usage, or stdout is a terminal.\n";

static const struct option_row rows[] = {
    {"help", .end = option_help, .help = OPTION_HELP_TEXT},
};

static const struct option_table options = {
    .program = "mux encode",
    .intro = intro,
    .outro = outro,
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
};

/* Input that was read. Whole lines are taken from it. */
struct lines {
    int fd;
    const char *path;
    size_t number; /* of the next line */
    size_t end, scanned;
    char bytes[LINE_MAX_BYTES];
};

static bool wrong_line(const struct lines *lines, const char *why) {
    text_complain("mux encode: %s: line %zu: %s", lines->path, lines->number, why);
    return false;
}

/* A line that is not JSON: says what it looks like. `line` lies in lines->bytes. */
static bool no_json(const struct lines *lines, struct mux_span line, const char *why) {
    const uint8_t *end = (const uint8_t *)lines->bytes + lines->end;
    char more[512];
    if (line.data[0] == '{' || line.data[0] == '[')
        snprintf(more, sizeof more,
                 "%s (each object stands on a line of its own: jq -c . writes it so)", why);
    else if (lines->number == 1)
        snprintf(more, sizeof more, "%s: it looks like %s", why,
                 looks_like(mux_span(line.data, (size_t)(end - line.data))));
    else
        snprintf(more, sizeof more, "%s", why);
    return wrong_line(lines, more);
}

static bool encode_line(const struct lines *lines, struct mux_span line) {
    static uint8_t bytes[MUX_PACKET_MAX_BYTES];
    char why[256];
    json_error_t error;
    size_t written;
    json_t *event = json_loadb((const char *)line.data, line.len,
                               JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!event)
        return no_json(lines, line, error.text);
    bool fine = event_encode(event, bytes, sizeof bytes, &written, why, sizeof why);
    if (!fine)
        wrong_line(lines, why);
    json_decref(event);
    return fine && fwrite(bytes, 1, written, stdout) == written;
}

static bool blank(struct mux_span line) {
    for (size_t i = 0; i < line.len; i++)
        if (!strchr(" \t\r", line.data[i]) || line.data[i] == '\0')
            return false;
    return true;
}

/* Skips a byte order mark of UTF-8. */
static struct mux_span without_mark(struct mux_span line) {
    static const char mark[] = "\xEF\xBB\xBF";
    size_t len = sizeof mark - 1;
    if (line.len < len || memcmp(line.data, mark, len) != 0)
        return line;
    return mux_span(line.data + len, line.len - len);
}

/* Encodes the whole lines; at the end of the input also a last one without newline. */
static bool take_lines(struct lines *lines, bool at_end) {
    char *start = lines->bytes, *end = lines->bytes + lines->end;
    char *from = lines->bytes + lines->scanned;
    while (start < end) {
        char *newline = memchr(from, '\n', (size_t)(end - from));
        if (!newline && !at_end)
            break;
        struct mux_span line = mux_span(start, (size_t)((newline ? newline : end) - start));
        if (lines->number == 1)
            line = without_mark(line);
        if (!blank(line) && !encode_line(lines, line))
            return false;
        lines->number++;
        start = from = newline ? newline + 1 : end;
    }
    lines->end = lines->scanned = (size_t)(end - start);
    memmove(lines->bytes, start, lines->end);
    return true;
}

static bool too_long(const struct lines *lines) {
    char why[128];
    snprintf(why, sizeof why,
             "longer than %d bytes, more than any packet needs; expected a newline",
             LINE_MAX_BYTES);
    return wrong_line(lines, why);
}

static bool encode(struct lines *lines) {
    while (true) {
        size_t room = sizeof lines->bytes - lines->end;
        if (room == 0)
            return too_long(lines);
        if (input_silent(lines->fd, 0) && !output_flush("mux encode"))
            return false;
        ssize_t len = input_read_some(lines->fd, lines->bytes + lines->end,
                                      room < READ_BYTES ? room : READ_BYTES);
        if (len < 0) {
            text_complain("mux encode: %s: %s", lines->path, strerror(errno));
            return false;
        }
        lines->end += (size_t)len;
        if (!take_lines(lines, len == 0))
            return false;
        if (len == 0)
            return true;
    }
}

static int run(int argc, char **argv) {
    static struct lines lines; /* 25 MB: in .bss, not in the program's file */
    int status = option_parse(&options, argc, argv, NULL);
    if (status != OPTION_GO_ON)
        return status;
    lines.number = 1;
    if (argc - optind > 1) {
        text_complain("mux encode: one file at most (mux encode --help)");
        return EXIT_USAGE;
    }
    if (!stdout_takes_binary(&subcommand_encode))
        return EXIT_USAGE;
    lines.path = optind < argc ? argv[optind] : "-";
    lines.fd = open_input(&subcommand_encode, lines.path);
    if (lines.fd < 0 || !stdout_mend(&subcommand_encode))
        return EXIT_FAILED;
    return encode(&lines) ? EXIT_FINE : EXIT_FAILED;
}

const struct subcommand subcommand_encode = {"encode", "JSON lines to a subunit stream", run};
