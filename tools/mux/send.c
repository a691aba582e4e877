/* mux send: sends a stream to a node, and writes what comes back to stdout. */
#include "tools/base/text.h"
#include "tools/mux/mux.h"
#include "tools/mux/send_internal.h"
#include "transport/mistake.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const char intro[] =
    "usage: mux send ENDPOINT [FILE|-]\n"
    "\n"
    "Sends a stream, byte for byte, to a muxd (or to anything that listens): a file, or\n"
    "stdin as it comes. Ends when the other side has closed, or has acknowledged all and is\n"
    "silent for 2 s (or only drips for 10 s); that it closes before the stream's end is a loss.\n"
    "What comes back, packets for this worker, goes to stdout; on a terminal it is only counted.\n"
    "All addresses of a name are tried side by side; stdin is read meanwhile.\n"
    "\n"
    "  python3 -m subunit.run my.tests | mux send build7\n"
    "  mux send unix:/run/muxd.sock run.subunit\n"
    "\n"
    "ENDPOINT: HOST, HOST:PORT, [v6]:PORT, tcp:..., rdma:HOST:PORT or unix:PATH; the port is 7533\n"
    "unless given.\n";

static const char outro[] =
    "Exit codes: 0 all was sent; 1 it was not, or what came back could not be written to stdout:\n"
    "stderr says why; 2 wrong usage.\n";

static const struct option_row rows[] = {
    {"help", .end = option_help, .help = OPTION_HELP_TEXT},
};

static const struct option_table options = {
    .program = "mux send",
    .intro = intro,
    .outro = outro,
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
};

static void tell_dropped(const struct sending *sending) {
    if (sending->down.dropped_bytes && (sending->to_terminal || sending->stdout_error))
        text_complain("mux send: %llu bytes came back and were dropped: stdout: %s",
                      (unsigned long long)sending->down.dropped_bytes,
                      sending->to_terminal ? "a terminal takes no packets"
                                           : strerror(sending->stdout_error));
}

/* Refuses, with a message, a file where the endpoint belongs. */
static bool refuse_input(const char *text) {
    struct stat status;
    bool is_stdin = strcmp(text, "-") == 0;
    if (!is_stdin &&
        (stat(text, &status) < 0 || S_ISSOCK(status.st_mode) || S_ISDIR(status.st_mode)))
        return true;
    text_complain("mux send: '%s' is no network address%s: ENDPOINT first, then FILE, as in mux "
                  "send build7 %s",
                  text, is_stdin ? "" : " but a file here (tcp:HOST if it is a host)", text);
    return false;
}

static bool parse_place(const char *text, struct endpoint *endpoint) {
    char why[2 * ENDPOINT_TEXT_BYTES + 256];
    bool fine = endpoint_parse(text, endpoint, why, sizeof why);
    if (fine)
        fine = mistake_check_file(endpoint, why, sizeof why);
    if (fine && !endpoint_is_address(endpoint))
        fine = endpoint_refuse(why, sizeof why, "'%s' is no network address", text);
    if (!fine)
        text_complain("mux send: %s: %s", text, why);
    return fine;
}

static int run(int argc, char **argv) {
    static struct sending sending;
    struct endpoint endpoint;
    int status = option_parse(&options, argc, argv, NULL);
    if (status != OPTION_GO_ON)
        return status;
    if (argc - optind < 1 || argc - optind > 2) {
        text_complain("mux send: where to? mux send ENDPOINT [FILE|-], as in mux send build7:7533 "
                      "run.subunit (mux send --help)");
        return EXIT_USAGE;
    }
    sending.path = argc - optind == 2 ? argv[optind + 1] : "-";
    const char *text = argv[optind];
    snprintf(sending.place, sizeof sending.place, "%s", text);
    if (!refuse_input(text) || !parse_place(text, &endpoint))
        return EXIT_USAGE;
    int input = open_input(&subcommand_send, sending.path);
    if (input < 0 || !send_start(&sending, &endpoint))
        return EXIT_FAILED;
    bool fine =
        send_open_ends(&sending, input) && send_connect(&sending, &endpoint) && send_all(&sending);
    send_stop(&sending);
    tell_dropped(&sending);
    bool all_written = !sending.down.dropped_bytes || !sending.stdout_error;
    return fine && all_written ? EXIT_FINE : EXIT_FAILED;
}

const struct subcommand subcommand_send = {"send", "sends a stream to a node", run};
