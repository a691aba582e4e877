/* mux encode: JSON lines to subunit. */
#include "tools/mux/event.h"
#include "tools/mux/mux.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char help[] =
    "usage: mux encode [FILE|-]\n"
    "\n"
    "Turns JSON lines, as `mux cat --json` prints them, into a subunit v2 stream on stdout.\n"
    "A line is one object; keys that are missing or null are fields that are not there:\n"
    "\n"
    "  {\"test_id\": \"a.test\", \"test_status\": \"fail\", \"runnable\": true,\n"
    "   \"test_tags\": [\"slow\"], \"file_name\": \"reason\", \"file_b64\": \"b25j\", \"eof\": "
    "true,\n"
    "   \"mime_type\": \"text/plain\", \"route_code\": \"3\", \"timestamp\": [1700000000, 5]}\n"
    "\n"
    "Statuses: exists inprogress success uxsuccess skip fail xfail.\n"
    "\n"
    "  mux cat --json run.subunit | jq -c 'select(.test_status==\"fail\")' | mux encode > failed\n"
    "\n"
    "Exit codes: 0 all lines were written; 1 a line is wrong (what came before it is written) or\n"
    "a file is; 2 wrong usage, or stdout is a terminal.\n";

static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};

static bool encode_line(const char *line, size_t len, size_t number) {
    static uint8_t bytes[MUX_PACKET_MAX_BYTES];
    char why[256];
    json_error_t error;
    size_t written;
    json_t *event = json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    bool fine = event && event_encode(event, bytes, sizeof bytes, &written, why, sizeof why);
    if (!fine)
        fprintf(stderr, "mux encode: line %zu: %s\n", number, event ? why : error.text);
    json_decref(event);
    return fine && fwrite(bytes, 1, written, stdout) == written;
}

static bool encode(FILE *input) {
    char *line = NULL;
    size_t capacity = 0;
    bool fine = true;
    for (size_t number = 1; fine; number++) {
        ssize_t len = getline(&line, &capacity, input);
        if (len < 0)
            break;
        if (strspn(line, " \t\r\n") < (size_t)len)
            fine = encode_line(line, (size_t)len, number);
    }
    free(line);
    return fine;
}

static int run(int argc, char **argv) {
    int status, id;
    while ((id = next_option(&subcommand_encode, argc, argv, options, &status)) != -1)
        if (id == -2)
            return status;
    if (argc - optind > 1) {
        fprintf(stderr, "mux encode: one file at most\n");
        return EXIT_USAGE;
    }
    if (!stdout_takes_binary(&subcommand_encode))
        return EXIT_USAGE;
    const char *path = optind < argc ? argv[optind] : "-";
    int fd = open_input(&subcommand_encode, path);
    FILE *input = fd < 0 ? NULL : fdopen(fd, "r");
    if (!input)
        return EXIT_FAILED;
    bool fine = encode(input);
    if (ferror(input)) {
        fprintf(stderr, "mux encode: %s: %s\n", path, strerror(errno));
        fine = false;
    }
    fclose(input);
    return stdout_flush(&subcommand_encode) && fine ? EXIT_FINE : EXIT_FAILED;
}

const struct subcommand subcommand_encode = {"encode", "JSON lines to a subunit stream", help, run};
