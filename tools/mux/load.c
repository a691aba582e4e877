/* mux load: a stream that was kept elsewhere becomes a run of the store. */
#include "tools/base/output.h"
#include "tools/base/text.h"
#include "tools/mux/mux.h"
#include "tools/mux/store_place.h"
#include "tools/mux/store_subcommands.h"
#include "tools/mux/store_words.h"
#include "tools/results/input.h"
#include "tools/store/follower.h"
#include "tools/store/marks.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define COPY_BYTES (1 << 18)

/* A first packet that says the run's name is not longer. */
#define HEAD_BYTES STORE_MARK_BYTES

static const char intro[] = "usage: mux load [OPTION...] FILE|-\n"
                            "\n"
                            "Stores a subunit v2 stream, from a file or from stdin, as a run: mux "
                            "runs lists it, mux show\n"
                            "shows it. The stream is kept byte for byte. A run whose first packet "
                            "says its name keeps it.\n"
                            "\n"
                            "  python3 -m subunit.run discover | mux load -\n";

static const char outro[] =
    "Exit codes: 0 it is stored; 1 it could not be read or not be stored; 2 wrong usage.\n";

struct load {
    struct store_place place;
    const char *source;
};

static bool set_source(const struct option_row *row, void *load, const char *value) {
    (void)row;
    ((struct load *)load)->source = value;
    return true;
}

static const struct option_row rows[] = {
    STORE_PLACE_FOLDER_ROW,
    {"source", "TEXT", .set = set_source, .help = "what was run, for mux runs; without it FILE"},
    STORE_PLACE_JSON_ROW,
    {"help", .end = option_help, .help = OPTION_HELP_TEXT},
};

static const struct option_table options = {"mux load", NULL, intro,
                                            outro,      rows, sizeof rows / sizeof *rows};

static int failed_at(const char *what) {
    text_complain("mux load: %s: %s", what, strerror(errno));
    return EXIT_FAILED;
}

/* And when it began, if that is said. */
static void take_name(const struct mux_packet *packet, struct store_run *run) {
    struct store_mark mark;
    if (store_mark_uuid(packet, run->uuid) && store_mark_read(packet, &mark))
        run->begun_us = mark.at_us;
}

/*
 * Reads the stream's first packet, if it begins with one: who ran the run may have said its name
 * there. -1: errno.
 */
static ssize_t read_head(int from, uint8_t head[HEAD_BYTES], struct store_run *run) {
    struct mux_packet packet;
    uint32_t wanted = MUX_PACKET_MIN_BYTES, header_bytes;
    size_t have = 0;
    while (have < wanted && wanted <= HEAD_BYTES) {
        ssize_t len = input_read_some(from, head + have, HEAD_BYTES - have);
        if (len <= 0)
            return len < 0 ? len : (ssize_t)have;
        have += (size_t)len;
        enum mux_error error = mux_header_parse(mux_span(head, have), &wanted, &header_bytes);
        if (error == MUX_ERROR_SHORT_HEADER)
            wanted = MUX_PACKET_MIN_BYTES;
        else if (error)
            return (ssize_t)have;
    }
    struct mux_span bytes = mux_span(head, wanted);
    if (have >= wanted && mux_packet_verify(bytes) && !mux_packet_parse(bytes, &packet, NULL))
        take_name(&packet, run);
    return (ssize_t)have;
}

/* All of it, as it is. */
static int copy(int from, int to, const char *path) {
    static uint8_t bytes[COPY_BYTES];
    for (;;) {
        ssize_t len = input_read_some(from, bytes, sizeof bytes);
        if (len < 0)
            return failed_at(path);
        if (len == 0)
            return EXIT_FINE;
        if (!output_write(to, bytes, (size_t)len))
            return failed_at("the store");
    }
}

static bool print_run(void *user, const struct store_run_row *row) {
    char counts[256];
    const struct load *load = user;
    if (load->place.json) {
        store_words_run_json(row);
    } else {
        store_words_counts(row, counts, sizeof counts);
        printf("run %.*s: %s\n", STORE_WORDS_RUN_DIGITS, row->run.uuid, counts);
    }
    return true;
}

/* With its own name, and its own words for what was run, if its stream says them. */
static int begin(struct store *store, const struct load *load, const char *path,
                 struct store_run *run, char why[STORE_WHY_BYTES]) {
    if (*run->uuid == '\0')
        return store_begin(store, load->source ? load->source : path, run, why);
    return store_begin_named(store, load->source ? load->source : "", run, why);
}

static int load_into(struct store *store, const struct load *load, int from, const char *path) {
    static uint8_t head[HEAD_BYTES];
    char why[STORE_WHY_BYTES];
    struct store_run run = {0};
    ssize_t head_len = read_head(from, head, &run);
    if (head_len < 0)
        return failed_at(path);
    int to = begin(store, load, path, &run, why);
    if (to < 0)
        return store_place_failed("mux load", why);
    struct follower *follower = follower_start(store, &run, why);
    int status =
        output_write(to, head, (size_t)head_len) ? copy(from, to, path) : failed_at("the store");
    bool is_fine = follower && follower_finish(follower, why) &&
                   store_runs(store, run.id, 1, print_run, (void *)load, why);
    close(to);
    return is_fine ? status : store_place_failed("mux load", why);
}

/* To write, with what those have left who were killed. */
static struct store *open_store(const struct load *load) {
    char why[STORE_WHY_BYTES];
    struct store *store = store_place_open(&load->place, "mux load", STORE_WRITE);
    if (store && !store_recover(store, why))
        store_place_failed("mux load", why);
    return store;
}

int store_run_load(int argc, char **argv) {
    struct load load = {0};
    int status = option_parse(&options, argc, argv, &load);
    if (status != OPTION_GO_ON)
        return status;
    if (optind + 1 != argc) {
        text_complain("mux load: expected one FILE, or - for stdin (mux load --help)");
        return EXIT_USAGE;
    }
    int from = open_input(&(struct subcommand){.name = "load"}, argv[optind]);
    if (from < 0)
        return EXIT_FAILED;
    struct store *store = open_store(&load);
    status = store ? load_into(store, &load, from, argv[optind]) : EXIT_FAILED;
    store_close(store);
    return status;
}
