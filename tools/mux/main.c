#include "tools/common/output.h"
#include "tools/common/standard.h"
#include "tools/mux/mux.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static const struct subcommand *const subcommands[] = {
    &subcommand_cat, &subcommand_top, &subcommand_route, &subcommand_send, &subcommand_encode,
};
#define SUBCOMMANDS (sizeof subcommands / sizeof *subcommands)

int next_option(const struct subcommand *subcommand, int argc, char **argv,
                const struct option *options, int *status) {
    int id = getopt_long(argc, argv, "", options, NULL);
    if (id == 'h') {
        fputs(subcommand->help, stdout);
        *status = EXIT_FINE;
        return -2;
    }
    if (id == '?') {
        fprintf(stderr, "mux %s --help lists the options\n", subcommand->name);
        *status = EXIT_USAGE;
        return -2;
    }
    return id;
}

bool stdout_takes_binary(const struct subcommand *subcommand) {
    if (!isatty(STDOUT_FILENO))
        return true;
    fprintf(stderr,
            "mux %s: packets are binary and stdout is a terminal: send them to a file or a "
            "pipe (mux cat shows them)\n",
            subcommand->name);
    return false;
}

int open_input(const struct subcommand *subcommand, const char *path) {
    if (strcmp(path, "-") == 0)
        return STDIN_FILENO;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fprintf(stderr, "mux %s: %s: %s\n", subcommand->name, path, strerror(errno));
    return fd;
}

static void print_help(FILE *out) {
    fputs("usage: mux SUBCOMMAND [ARGUMENT...]\n\n"
          "Works with subunit v2 streams, the test results that muxd gathers.\n\n",
          out);
    for (size_t i = 0; i < SUBCOMMANDS; i++)
        fprintf(out, "  %-8s %s\n", subcommands[i]->name, subcommands[i]->summary);
    fputs("\nmux SUBCOMMAND --help explains each; mux --version says which mux this is.\n", out);
}

/* What could not be written is an error, whatever else there is to say. */
static int end(const char *who, int status) {
    return output_flush(who) ? status : EXIT_FAILED;
}

/* getopt's messages begin with argv[0]. */
static int run_subcommand(const struct subcommand *subcommand, int argc, char **argv) {
    char name[64];
    snprintf(name, sizeof name, "mux %s", subcommand->name);
    argv[0] = name;
    return end(name, subcommand->run(argc, argv));
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "";
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
    for (size_t i = 0; i < SUBCOMMANDS; i++)
        if (strcmp(name, subcommands[i]->name) == 0)
            return run_subcommand(subcommands[i], argc - 1, argv + 1);
    if (*name)
        fprintf(stderr, "mux: there is no subcommand '%s'\n\n", name);
    print_help(stderr);
    return EXIT_USAGE;
}
