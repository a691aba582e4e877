#include "tools/mux/exec_options.h"
#include "mux/node/hello.h"
#include "tools/base/option.h"
#include "tools/base/quantity.h"
#include "tools/base/signals.h"
#include "tools/base/text.h"
#include "tools/mux/destination.h"
#include "tools/mux/mux.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define TIME_MOST_NS ((uint64_t)7 * 86400 * 1000000000)

static const char intro[] =
    "usage: mux exec [OPTION...] [--] COMMAND [ARGUMENT...]\n"
    "\n"
    "Runs one command under control. Its stdout is a subunit stream, or text, which becomes file\n"
    "\"stdout\"; its stderr becomes file \"stderr\". How it ended is one more packet, file\n"
    "\"muxd.exit\": status or signal, time, memory. Each test that was in progress then fails "
    "with\n"
    "that reason. Without --to and MUX_ENDPOINT all this goes to stdout, and the command has the\n"
    "stdin of mux; else its stdin is what comes down from there.\n"
    "\n"
    "  mux exec --to mux:build7 --idle-timeout 5min -- python3 -m subunit.run my.tests\n"
    "  mux exec --as-test smoke.sh -- ./smoke.sh > run.subunit\n"
    "\n"
    "Processes that the command leaves behind, daemons too, are killed when it has ended.\n";

static const char outro[] =
    "TIME is in seconds or has a unit: 500ms, 30s, 5min, 1h.\n"
    "TERM, INT, HUP and whatever else ends a process stop the command as --timeout does; a second\n"
    "one kills it at once.\n"
    "\n"
    "Exit codes: 0 the command returned 0, no test failed and at least one ran. Otherwise the\n"
    "command's own if it is not 0, 128 + N if signal N ended it, 143 if it was stopped and\n"
    "returned 0; 4 tests failed; 5 no test ran; 75 results did not reach ENDPOINT, or stdin\n"
    "ended (--to -); 126, 127 the command could not be run, was not found; 2 wrong usage.\n";

static bool wrong(const struct option_row *row, const char *value, const char *why) {
    text_complain("mux exec: --%s %s: %s", row->name, value, why);
    return false;
}

static bool set_to(const struct option_row *row, void *target, const char *value) {
    char why[PLACE_WHY_BYTES];
    struct exec_options *options = target;
    return destination_parse(value, DESTINATION_ANY, &options->place, why) ||
           wrong(row, value, why);
}

static bool set_as_test(const struct option_row *row, void *target, const char *value) {
    struct exec_options *options = target;
    options->as_test = value;
    return (*value && !mux_string_check(mux_span_text(value))) ||
           wrong(row, value, "expected the test's id, in UTF-8");
}

static bool set_slot(const struct option_row *row, void *target, const char *value) {
    ((struct exec_options *)target)->name = value;
    return mux_hello_is_name(mux_span_text(value)) ||
           wrong(row, value, "expected 1 to 64 visible ASCII characters, none of them /");
}

static bool set_directory(const struct option_row *row, void *target, const char *value) {
    (void)row;
    ((struct exec_options *)target)->directory = value;
    return true;
}

static bool set_pty(const struct option_row *row, void *target, const char *value) {
    (void)row, (void)value;
    ((struct exec_options *)target)->has_terminal = true;
    return true;
}

/* 0: no limit. */
static bool set_bytes(const struct option_row *row, const char *value, uint64_t *bytes) {
    if (!quantity_bytes(value, bytes))
        return wrong(row, value, "expected a size, such as 500K, 64M, 1G; 0 is no limit");
    *bytes = *bytes ? *bytes : UINT64_MAX;
    return true;
}

static bool set_max_output(const struct option_row *row, void *target, const char *value) {
    return set_bytes(row, value, &((struct exec_options *)target)->output.test_bytes);
}

static bool set_max_job_output(const struct option_row *row, void *target, const char *value) {
    return set_bytes(row, value, &((struct exec_options *)target)->output.job_bytes);
}

static bool set_mask(const struct option_row *row, void *target, const char *value) {
    char why[MASK_WHY_BYTES];
    return mask_add(&((struct exec_options *)target)->output.mask, value, why) ||
           wrong(row, value, why);
}

static bool set_tag(const struct option_row *row, void *target, const char *value) {
    return output_config_tag(&((struct exec_options *)target)->output, value) ||
           wrong(row, value, OUTPUT_TAG_EXPECTED);
}

static bool set_prompt(const struct option_row *row, void *target, const char *value) {
    struct exec_options *options = target;
    char why[128];
    prompt_pattern_free(&options->prompt);
    options->prompt.text = value;
    options->output.prompt = *value ? &options->prompt : NULL;
    return !*value || prompt_pattern_compile(&options->prompt, why, sizeof why) ||
           wrong(row, value, why);
}

static bool set_timestamp(const struct option_row *row, void *target, const char *value) {
    (void)row, (void)value;
    ((struct exec_options *)target)->output.adds_timestamps = true;
    return true;
}

static bool set_input(const struct option_row *row, void *target, const char *value) {
    struct exec_options *options = target;
    options->input = open(value, O_RDONLY | O_CLOEXEC);
    return options->input >= 0 || wrong(row, value, strerror(errno));
}

static bool set_trust(const struct option_row *row, void *target, const char *value) {
    struct exec_options *options = target;
    (void)row, (void)value;
    options->trusts_network = true;
    return true;
}

static bool set_allow_empty(const struct option_row *row, void *target, const char *value) {
    struct exec_options *options = target;
    (void)row, (void)value;
    options->allow_empty = true;
    return true;
}

static bool set_time(const struct option_row *row, const char *value, uint64_t *ns) {
    if (quantity_ns(value, ns) && *ns <= TIME_MOST_NS)
        return true;
    return wrong(row, value, "expected a time up to 7 days, such as 30, 500ms, 5min");
}

static bool set_timeout(const struct option_row *row, void *target, const char *value) {
    return set_time(row, value, &((struct exec_options *)target)->limits.command_ns);
}

static bool set_idle_timeout(const struct option_row *row, void *target, const char *value) {
    return set_time(row, value, &((struct exec_options *)target)->limits.silence_ns);
}

static bool set_test_timeout(const struct option_row *row, void *target, const char *value) {
    return set_time(row, value, &((struct exec_options *)target)->limits.test_ns);
}

static bool set_grace(const struct option_row *row, void *target, const char *value) {
    return set_time(row, value, &((struct exec_options *)target)->limits.grace_ns);
}

static bool set_drain_timeout(const struct option_row *row, void *target, const char *value) {
    return set_time(row, value, &((struct exec_options *)target)->drain_timeout_ns);
}

static bool set_on_hang(const struct option_row *row, void *target, const char *value) {
    struct slot_limits *limits = &((struct exec_options *)target)->limits;
    return hang_parse(value, &limits->hang_signal, &limits->hang_command) ||
           wrong(row, value, HANG_EXPECTED);
}

static const struct option_row rows[] = {
    {"to", "ENDPOINT", NULL, NULL,
     "where the packets go: mux:HOST when that is a muxd (a lost connection then fails no test), "
     "HOST:PORT, unix:PATH; - is stdout, with stdin as the way down; may be repeated for mux: "
     "endpoints that can stand in for each other; the default is $MUX_ENDPOINT, or stdout alone",
     .set = set_to},
    {"slot", "NAME", NULL, NULL,
     "what the muxd at mux:ENDPOINT calls this command, in mux ctl links and its log, in place of "
     "the host's name; its route stays what it is",
     .set = set_slot},
    {"as-test", "ID", NULL, NULL,
     "the command is one test with this id, which fails unless it returns 0", .set = set_as_test},
    {"chdir", "DIR", NULL, NULL, "runs the command in this directory", .set = set_directory},
    {"pty", NULL, NULL, NULL,
     "the command has a terminal, on which is typed what comes down; its stderr is in its stdout",
     .set = set_pty},
    {"stdin", "FILE", NULL, NULL, "the command reads this file as its stdin", .set = set_input},
    {"timeout", "TIME", NULL, NULL, "stops the command after this time", .set = set_timeout},
    {"idle-timeout", "TIME", NULL, NULL, "stops it when it has written nothing for this time",
     .set = set_idle_timeout},
    {"test-timeout", "TIME", NULL, NULL, "stops it when one test takes longer",
     .set = set_test_timeout},
    {"on-hang", "SIGNAL|COMMAND", NULL, NULL,
     "what a timeout does first, so that there is a stack: a signal for which the command shows it "
     "(ABRT for python with PYTHONFAULTHANDLER=1, QUIT for Go); or a command for sh -c, with $PID, "
     "whose output goes up as file on-hang, after at most 30 s",
     .set = set_on_hang},
    {"grace", "TIME", "5", NULL, "between that signal, TERM and KILL", .set = set_grace},
    {"max-output", "SIZE", "64M", NULL,
     "most output from one test's begin to the next one's; beyond it only the end is sent, with a "
     "line that says what is missing; 0 is no limit",
     .set = set_max_output},
    {"max-job-output", "SIZE", "1G", NULL, "the same for all output of the command",
     .set = set_max_job_output},
    {"mask", "REGEX", NULL, NULL,
     "replaces what this extended regular expression matches by asterisks before it leaves; may be "
     "given several times",
     .set = set_mask},
    {"tag", "TAG", NULL, NULL, "adds this tag to each packet; may be given several times",
     .set = set_tag},
    {"timestamp", NULL, NULL, NULL, "adds the time to packets that have none",
     .set = set_timestamp},
    {"prompt", "REGEX", NULL, NULL,
     "text that ends so, and then silence, is a prompt: that somebody is waited for goes up; "
     "without "
     "it (Pdb), (gdb), (lldb), ipdb> and >>>, each with a blank; \"\" is none",
     .set = set_prompt},
    {"drain-timeout", "TIME", "60", NULL,
     "how long ENDPOINT is waited for when the command has ended", .set = set_drain_timeout},
    {"trust-network", NULL, NULL, NULL,
     "takes input from above over a network where anybody could send some: TCP, RDMA, DPDK; from a "
     "unix socket (ssh -L forwards one) or a pipe it is taken always",
     .set = set_trust},
    {"allow-empty", NULL, NULL, NULL, "no test at all is no error", .set = set_allow_empty},
    {"help", .end = option_help, .help = OPTION_HELP_TEXT},
};

static const struct option_table table = {
    .program = "mux exec",
    .intro = intro,
    .outro = outro,
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
};

static bool find_place(struct exec_options *options) {
    if (!destination_complete("mux exec", DESTINATION_ANY, &options->place))
        return false;
    bool is_known = destination_is_known(&options->place);
    options->is_pipe = is_known && options->place.endpoint.kind == ENDPOINT_STDIO;
    options->has_place = is_known && !options->is_pipe;
    return true;
}

int exec_options_parse(struct exec_options *options, int argc, char **argv) {
    options->prompt.text = PROMPT_USUAL;
    options->output.prompt = &options->prompt;
    options->input = -1;
    int status = option_parse(&table, argc, argv, options);
    if (status != OPTION_GO_ON)
        return status;
    if (optind == argc) {
        text_complain("mux exec: which command? mux exec [OPTION...] -- COMMAND [ARGUMENT...]");
        return EXIT_USAGE;
    }
    if (options->has_terminal && options->input >= 0) {
        text_complain("mux exec: --stdin and --pty exclude each other: the terminal is stdin");
        return EXIT_USAGE;
    }
    options->command = (const char *const *)argv + optind;
    if (!find_place(options))
        return EXIT_USAGE;
    if (options->name && !options->place.is_node) {
        text_complain("mux exec: --slot needs --to mux:...: only a muxd is told the name");
        return EXIT_USAGE;
    }
    return OPTION_GO_ON;
}
