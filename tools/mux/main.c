#include "tools/base/output.h"
#include "tools/base/standard.h"
#include "tools/base/text.h"
#include "tools/base/usage.h"
#include "tools/mux/mux.h"
#include "tools/mux/store_folder.h"
#include "tools/mux/store_subcommands.h"
#include "tools/results/tail.h"
#include "tools/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

bool stdout_takes_binary(const struct subcommand *subcommand) {
    if (!isatty(STDOUT_FILENO))
        return true;
    text_complain("mux %s: packets are binary and stdout is a terminal: send them to a file or a "
                  "pipe (mux cat shows them)",
                  subcommand->name);
    return false;
}

bool stdout_mend(const struct subcommand *subcommand) {
    struct tail tail;
    char text[256];
    bool may_append = tail_mend(STDOUT_FILENO, &tail);
    tail_text(&tail, text, sizeof text);
    if (*text)
        text_complain("mux %s: stdout: %s", subcommand->name, text);
    return may_append;
}

int open_input(const struct subcommand *subcommand, const char *path) {
    bool is_stdin = strcmp(path, "-") == 0;
    if (is_stdin && standard_input_is_open())
        return STDIN_FILENO;
    if (is_stdin) {
        text_complain("mux %s: " STANDARD_INPUT_CLOSED, subcommand->name);
        return -1;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        text_complain("mux %s: %s: %s", subcommand->name, path, strerror(errno));
    return fd;
}

static void print_help(FILE *out) {
    fputs("usage: mux SUBCOMMAND [ARGUMENT...]\n\n"
          "Works with subunit v2 streams, the test results that muxd gathers.\n\n",
          out);
    for (size_t i = 0; i < subcommands_count; i++)
        fprintf(out, "  %-8s %s\n", subcommands[i]->name, subcommands[i]->summary);
    fputs("\nmux SUBCOMMAND --help explains each; mux --version says which mux this is. To begin:\n"
          "mux run -- COMMAND, where COMMAND runs a test suite: then mux alone says how it went.\n",
          out);
}

/* How the last run went, where runs are kept. Returns where none are. */
static void show_last(char *program) {
    static char subcommand[] = "last", option[] = "--short";
    char folder[PATH_MAX + sizeof STORE_FOLDER];
    char *const arguments[] = {program, subcommand, option, NULL};
    if (store_folder_find(folder, sizeof folder))
        program_run_beside(STORE_PROGRAM, arguments);
}

/* Output that could not be written is an error, whatever the subcommand returned. */
static int end(const char *who, int status) {
    return output_flush(who) ? status : EXIT_FAILED;
}

static int run_subcommand(const struct subcommand *subcommand, int argc, char **argv) {
    char name[64];
    snprintf(name, sizeof name, "mux %s", subcommand->name);
    return end(name, subcommand->run(argc, argv));
}

static void complain_unknown(const char *name) {
    const char *names[SUBCOMMANDS_MAX];
    for (size_t i = 0; i < subcommands_count; i++)
        names[i] = subcommands[i]->name;
    const char *nearest = usage_nearest(name, names, subcommands_count);
    text_complain("mux: there is no subcommand '%s'%s%s%s (mux --help lists them)", name,
                  nearest ? "; did you mean mux " : "", nearest ? nearest : "", nearest ? "?" : "");
}

static const struct subcommand *find(const char *name) {
    for (size_t i = 0; i < subcommands_count; i++)
        if (strcmp(name, subcommands[i]->name) == 0)
            return subcommands[i];
    return NULL;
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "";
    const struct subcommand *subcommand = find(name);
    stacks_run_full(argv);
    if (subcommand && subcommand->is_short)
        mallopt(M_TOP_PAD, 0); /* fresh from the kernel: calloc() need not touch it */
    standard_descriptors_open();
    output_streams_open();
    signal(SIGPIPE, SIG_IGN);
    if (strcmp(name, "--help") == 0) {
        print_help(stdout);
        return end("mux", EXIT_FINE);
    }
    if (strcmp(name, "--version") == 0) {
        puts("mux " MUXD_VERSION);
        return end("mux", EXIT_FINE);
    }
    if (subcommand)
        return run_subcommand(subcommand, argc - 1, argv + 1);
    if (*name) {
        complain_unknown(name);
        return EXIT_USAGE;
    }
    if (argc == 1)
        show_last(argv[0]);
    print_help(stderr);
    return EXIT_USAGE;
}
