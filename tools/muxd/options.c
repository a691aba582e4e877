#include "tools/muxd/options.h"

#include "tools/base/option.h"
#include "tools/base/quantity.h"
#include "tools/base/text.h"
#include "tools/node/dialer.h"
#include "tools/node/place.h"
#include "transport/mistake.h"
#include "transport/stack.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_OF(number) TEXT_OF_TOKEN(number)
#define TEXT_OF_TOKEN(token) #token

#define MEMORY_LEAST_BYTES ((uint64_t)16 << 20)

/* Less would be acknowledged too slowly; more could not be read again in a sensible time. */
#define WINDOW_LEAST_BYTES (UINT64_C(1) << 20)
#define WINDOW_MOST_BYTES (UINT64_C(64) << 30)
/* 13 ms at 10 Gbit/s; some engines pin or reserve all of it. */
#define WINDOW_DEFAULT "16M"
/* A file is an eighth of it, and takes a packet of any length at least when it is new. */
#define SPOOL_LEAST_BYTES (UINT64_C(16) << 20)
#define LINKS_MAX_DEFAULT 16384
#define LINKS_MAX_MOST 1000000
/* A second. A longer silence has no traffic whose latency could matter. */
#define BUSY_POLL_MOST_US 1000000
/* Longer than a switch or a routing protocol takes to find another way. */
#define NODE_GRACE_DEFAULT_S 30
static_assert(3 * DIALER_ATTEMPT_MOST_NS <= NODE_GRACE_DEFAULT_S * UINT64_C(1000000000),
              "an address that does not answer leaves time for others within the grace");
#define TIME_MOST_NS ((uint64_t)86400 * 1000000000)

static bool wrong(const char *name, const char *value, const char *expected) {
    text_complain("muxd: --%s %s: expected %s", name, value, expected);
    return false;
}

static bool parse_count(const struct option_row *row, const char *value, uint64_t least,
                        uint64_t most, uint64_t *out) {
    char expected[96], *end;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (value[0] >= '0' && value[0] <= '9' && !*end && !errno && number >= least &&
        number <= most) {
        *out = number;
        return true;
    }
    snprintf(expected, sizeof expected, "a number from %llu to %llu", (unsigned long long)least,
             (unsigned long long)most);
    return wrong(row->name, value, expected);
}

static bool parse_size(const struct option_row *row, const char *value, uint64_t *out) {
    if (!quantity_bytes(value, out) || *out < MEMORY_LEAST_BYTES)
        return wrong(row->name, value, "a size of at least 16M, such as 256M or 1GiB");
    return true;
}

static bool parse_window(const struct option_row *row, const char *value, uint64_t *out) {
    if (!quantity_bytes(value, out) || (*out > 0 && *out < WINDOW_LEAST_BYTES) ||
        *out > WINDOW_MOST_BYTES)
        return wrong(row->name, value, "0, or a size from 1M to 64G, such as 256M");
    return true;
}

static bool parse_seconds(const struct option_row *row, const char *value, uint64_t *out_ns) {
    if (!quantity_ns(value, out_ns) || *out_ns > TIME_MOST_NS)
        return wrong(row->name, value, "seconds from 0 to 86400, such as 5 or 0.5, or 500ms, 2min");
    return true;
}

static bool parse_endpoint(const struct option_row *row, const char *value,
                           struct endpoint *endpoint) {
    char why[PLACE_WHY_BYTES];
    if (endpoint_parse(value, endpoint, why, sizeof why))
        return true;
    text_complain("muxd: --%s %s: %s", row->name, value, why);
    return false;
}

static bool add_listen(const struct option_row *row, void *target, const char *value) {
    struct options *options = target;
    if (options->listen_count == LISTENERS_ENDPOINTS_MAX)
        return wrong(row->name, value, "at most 64 of them");
    if (strncmp(value, PLACE_NODE_PREFIX, strlen(PLACE_NODE_PREFIX)) == 0)
        return wrong(row->name, value,
                     "no mux: here (it is for --upstream): nodes may connect to every listener");
    struct endpoint *endpoint = &options->listen[options->listen_count];
    if (!parse_endpoint(row, value, endpoint))
        return false;
    if (endpoint->kind == ENDPOINT_FILE)
        return wrong(row->name, value, "a place that workers connect to, not a file");
    const char *expected = stack_expects(endpoint, true);
    if (expected)
        return wrong(row->name, value, expected);
    options->listen_count++;
    return true;
}

static bool set_listen_mode(const struct option_row *row, void *target, const char *value) {
    struct options *options = target;
    char *end;
    unsigned long mode = strtoul(value, &end, 8);
    if (value[0] < '0' || value[0] > '7' || *end || mode > 0777)
        return wrong(row->name, value, "permissions in octal, such as 660 or 0600");
    options->listen_mode_given = true;
    options->listen_mode = (mode_t)mode;
    return true;
}

/* The group of a unix socket. */
static bool parse_group(const struct option_row *row, const char *value, gid_t *out) {
    const struct group *group = getgrnam(value);
    uint64_t number;
    if (group) {
        *out = group->gr_gid;
        return true;
    }
    if (value[0] < '0' || value[0] > '9')
        return wrong(row->name, value, "the name or number of a group");
    bool fine = parse_count(row, value, 0, UINT32_MAX - 1, &number);
    *out = (gid_t)number;
    return fine;
}

static bool set_listen_group(const struct option_row *row, void *target, const char *value) {
    struct options *options = target;
    options->listen_group_given = true;
    return parse_group(row, value, &options->listen_group);
}

static bool set_control(const struct option_row *row, void *target, const char *value) {
    struct options *options = target;
    if (options->control_given)
        return wrong(row->name, value, "it to be given once");
    options->control_given = true;
    if (!parse_endpoint(row, value, &options->control))
        return false;
    if (options->control.kind != ENDPOINT_UNIX)
        return wrong(row->name, value, "a unix socket, such as unix:/run/muxd.ctl");
    return true;
}

static bool set_control_group(const struct option_row *row, void *target, const char *value) {
    struct options *options = target;
    options->control_group_given = true;
    return parse_group(row, value, &options->control_group);
}

static bool set_upstream(const struct option_row *row, void *target, const char *value) {
    struct options *options = target;
    struct place *place = &options->upstream;
    char why[PLACE_WHY_BYTES];
    bool is_taken = options->upstream_given ? place_add_spare(place, value, why, sizeof why)
                                            : place_parse(value, place, why, sizeof why);
    options->upstream_given = true;
    if (!is_taken) {
        text_complain("muxd: --%s %s: %s", row->name, value, why);
        return false;
    }
    struct stat status;
    bool is_file = place->endpoint.kind == ENDPOINT_FILE;
    if (is_file && stat(place->endpoint.name, &status) == 0 && S_ISDIR(status.st_mode))
        return wrong(row->name, value, "a file, not a directory");
    return true;
}

/* Finds `value` among `count` words. */
static bool parse_word(const struct option_row *row, const char *value, const char *const *words,
                       unsigned count, const char *expected, unsigned *out) {
    for (*out = 0; *out < count; (*out)++)
        if (strcmp(value, words[*out]) == 0)
            return true;
    return wrong(row->name, value, expected);
}

static bool set_io(const struct option_row *row, void *target, const char *value) {
    struct options *options = target;
    static const char *const words[] = {
        [IO_AUTO] = "auto", [IO_URING] = "uring", [IO_EPOLL] = "epoll"};
    unsigned word;
    if (!parse_word(row, value, words, 3, "auto, uring or epoll", &word))
        return false;
    options->io = (enum io_choice)word;
    return true;
}

static bool set_segment_by(const struct option_row *row, void *target, const char *value) {
    struct options *options = target;
    static const char *const words[] = {
        [MUX_SEGMENT_BY_NUMBER] = "number", [MUX_SEGMENT_BY_HOST] = "host"};
    unsigned word;
    if (!parse_word(row, value, words, 2, "number or host", &word))
        return false;
    options->segment_by = (enum mux_segment_by)word;
    return true;
}

static bool set_allow(const struct option_row *row, void *target, const char *value) {
    struct options *options = target;
    char why[256];
    if (allow_add(&options->allow, value, why, sizeof why))
        return true;
    text_complain("muxd: --%s %s: %s", row->name, value, why);
    return false;
}

static bool set_max_links(const struct option_row *row, void *target, const char *value) {
    struct options *options = target;
    uint64_t number = 0;
    bool fine = parse_count(row, value, 1, LINKS_MAX_MOST, &number);
    options->links_max = (unsigned)number;
    return fine;
}

static bool set_memory(const struct option_row *row, void *target, const char *value) {
    struct options *options = target;
    return parse_size(row, value, &options->memory_bytes);
}

static bool set_busy_poll(const struct option_row *row, void *target, const char *value) {
    struct options *options = target;
    uint64_t number = 0;
    bool fine = parse_count(row, value, 0, BUSY_POLL_MOST_US, &number);
    options->busy_poll_us = (unsigned)number;
    return fine;
}

static bool set_stats_json(const struct option_row *row, void *target, const char *value) {
    struct options *options = target;
    (void)row;
    options->stats_file = value;
    return true;
}

static bool set_drain_timeout(const struct option_row *row, void *target, const char *value) {
    struct options *options = target;
    return parse_seconds(row, value, &options->drain_timeout_ns);
}

static bool set_node_grace(const struct option_row *row, void *target, const char *value) {
    struct options *options = target;
    return parse_seconds(row, value, &options->node_grace_ns);
}

static bool set_window(const struct option_row *row, void *target, const char *value) {
    struct options *options = target;
    return parse_window(row, value, &options->window_bytes);
}

static bool set_spool(const struct option_row *row, void *target, const char *value) {
    struct options *options = target;
    if (!*value)
        return wrong(row->name, value, "a folder");
    options->spool = value;
    return true;
}

static bool set_spool_max(const struct option_row *row, void *target, const char *value) {
    struct options *options = target;
    if (quantity_bytes(value, &options->spool_most_bytes) &&
        options->spool_most_bytes >= SPOOL_LEAST_BYTES)
        return true;
    return wrong(row->name, value, "a size of at least 16M, such as 10G");
}

static bool set_spool_sync(const struct option_row *row, void *target, const char *value) {
    struct options *options = target;
    static const char *const words[] = {[MUX_SPOOL_SYNC_NONE] = "none",
                                        [MUX_SPOOL_SYNC_INTERVAL] = "interval",
                                        [MUX_SPOOL_SYNC_ALWAYS] = "always"};
    unsigned word;
    if (!parse_word(row, value, words, 3, "none, interval or always", &word))
        return false;
    options->spool_sync = (enum mux_spool_sync)word;
    return true;
}

/* Words with commas between. */
static bool set_clock(const struct option_row *row, void *target, const char *value) {
    struct options *options = target;
    for (const char *word = value, *end; word; word = *end ? end + 1 : NULL) {
        end = strchrnul(word, ',');
        size_t len = (size_t)(end - word);
        if (len == strlen("correct") && strncmp(word, "correct", len) == 0)
            options->clock_correct = true;
        else if (len == strlen("stamp") && strncmp(word, "stamp", len) == 0)
            options->clock_stamp = true;
        else
            return wrong(row->name, value, "correct, stamp or correct,stamp");
    }
    return true;
}

static bool set_sync(const struct option_row *row, void *target, const char *value) {
    (void)row, (void)value;
    ((struct options *)target)->syncs = true;
    return true;
}

static bool set_trust(const struct option_row *row, void *target, const char *value) {
    (void)row, (void)value;
    ((struct options *)target)->trusts_network = true;
    return true;
}

static bool set_exit_after(const struct option_row *row, void *target, const char *value) {
    struct options *options = target;
    return parse_count(row, value, 1, UINT32_MAX, &options->exit_after_links);
}

static int list_ports(const struct option_table *table) {
    (void)table;
    if (stack_list_devices(stdout))
        return 0;
    text_complain("muxd: --list-ports: this muxd was built without %s",
                  stack_of(TRANSPORT_VIA_DPDK)->name);
    return 1;
}

static const char intro[] =
    "usage: muxd --listen ENDPOINT... [--upstream ENDPOINT] [OPTION...]\n"
    "\n"
    "Gathers subunit v2 streams from many workers and forwards one stream in which every\n"
    "packet's route code says which worker sent it.\n"
    "\n"
    "  muxd --listen ib0                            show what happens, on a terminal\n"
    "  muxd --listen ib0 > run.subunit              gather into a file or pipe\n"
    "  muxd --listen eth0 --upstream mux:build7     forward to the next muxd\n"
    "\n"
    "Endpoints:\n"
    "  ib0, ib0:7533      an interface: all its addresses (--listen only)\n"
    "  HOST, HOST:PORT    a name or an IPv4 address; [v6]:PORT; :PORT for every address\n"
    "  tcp:PLACE          any of these, when it could be taken for something else\n"
    "  rdma:PLACE         any of these by RDMA; an interface that carries an RDMA device offers\n"
    "                     both; --upstream rdma:HOST,from=ADDRESS leaves by the device of ADDRESS\n"
    "  dpdk:PORT,ip=ADDRESS/LEN[,gw=ADDRESS][,mac=MAC][,to=HOST]:PORTNUMBER\n"
    "                     TCP on a port that DPDK drives: a PCI address, or a virtual device with\n"
    "                     its arguments; to=HOST for --upstream; --list-ports shows what is there\n"
    "  unix:PATH          a unix socket\n"
    "  mux:ENDPOINT       another muxd (--upstream only), to which this one is a node and not a\n"
    "                     worker: a lost connection then fails no test\n"
    "  file:PATH          a file, appended to (--upstream only)\n"
    "  -                  stdin (--listen); stdout, with stdin as the way down (--upstream)\n"
    "The port is 7533 unless given; 0 takes a free one. Once a socket listens, stderr says\n"
    "\"listening on ADDRESS\".\n";

static const char outro[] =
    "SIZE is in bytes or with K, M, G, T, all powers of 1024 (KiB, kb, MB... are the same); "
    "SECONDS\n"
    "can have a unit of their own: ms, s, min, h.\n"
    "\n"
    "Signals: TERM takes what workers have sent so far, forwards it and ends; a second one, or\n"
    "INT, ends at once. USR1 writes the counters. HUP opens file:PATH again (after a rename), or\n"
    "ends as TERM does when muxd was started from a terminal.\n"
    "\n"
    "Exit codes: 0 all that was received went out; 75 something did not (its bytes are logged\n"
    "and counted); 74 it did, but --stats-json could not be written at the end; 1 could not "
    "start;\n"
    "2 wrong usage.\n";

static const struct option_row rows[] = {
    {"listen", "ENDPOINT", .set = add_listen, .group = "Where workers connect",
     .help = "listen there; can be given many times. What muxd cannot listen on it logs, and tries "
             "again"},
    {"listen-mode", "MODE", .set = set_listen_mode,
     .help = "who may connect to unix sockets, such as 660; without it as the umask says"},
    {"listen-group", "GROUP", .set = set_listen_group,
     .help = "the group that unix sockets belong to"},
    {"allow", "CIDR,...", .set = set_allow,
     .help = "networks that may connect; without it everybody"},
    {"max-links", "N", TEXT_OF(LINKS_MAX_DEFAULT), .set = set_max_links,
     .help = "most connections at a time"},
    {"segment-by", "number|host", "number", .set = set_segment_by,
     .help = "the names of workers in route codes: 0, 1, 2, ... or HOST, HOST.1, HOST.2, ..."},

    {"upstream", "ENDPOINT", .set = set_upstream, .group = "Where the stream goes",
     .help = "send it there; without it to stdout (stdin is left alone), or on a terminal a live "
             "summary; may be repeated for mux: endpoints that can stand in for each other: the "
             "one that worked last is tried first, then the others in this order"},
    {"node-grace", "SECONDS", TEXT_OF(NODE_GRACE_DEFAULT_S), .set = set_node_grace,
     .help = "how long muxd waits for a lost node before it reports the node's tests in progress "
             "as failed"},
    {"window", "SIZE", WINDOW_DEFAULT, .set = set_window,
     .help = "keep up to SIZE of what this node's workers sent, in bundles, until the end of the "
             "tree has it; with an upstream that is no node be that end; 0: plain packets, which "
             "are lost with a node"},
    {"spool", "DIR", .set = set_spool,
     .help = "what --window has no room for, and what survives this muxd: files in this folder, "
             "which it makes and no other muxd may use"},
    {"spool-max", "SIZE", "1G", .set = set_spool_max,
     .help = "most bytes in --spool, at least 16M; when it is full, too, the workers feel "
             "back-pressure"},
    {"spool-sync", "none|interval|always", "interval", .set = set_spool_sync,
     .help = "what a power failure may take of the spool: all that the kernel has not written, "
             "the last second, nothing"},
    {"clock", "WORD,...", .set = set_clock,
     .help =
         "correct: shift timestamps to the clock of a mux: upstream, and those of workers whose "
         "clock is wrong; stamp: add a timestamp where there is none; without it they stay as "
         "they are"},

    {"sync", .set = set_sync,
     .help = "of an end of bundles that writes a file: acknowledge when the disk has it, so that a "
             "power failure loses nothing either"},

    {"trust-network", .set = set_trust,
     .help =
         "take and pass on orders and jobs from an upstream over a network, where anybody could "
         "send some: TCP, RDMA, DPDK"},

    {"control", "unix:PATH", .set = set_control, .group = "How it is watched",
     .help = "a socket that mux ctl asks how muxd stands; only this user may connect"},
    {"control-group", "GROUP", .set = set_control_group,
     .help = "a group whose members may connect to the control socket, too"},
    {"stats-json", "FILE|-", .set = set_stats_json,
     .help = "write the counters at exit and on SIGUSR1"},

    {"memory", "SIZE", "128M", .set = set_memory, .group = "How it works",
     .help = "for buffers, at least 16M; when they are full the workers feel back-pressure"},
    {"io", "auto|uring|epoll", "auto", .set = set_io,
     .help = "how muxd talks to the kernel; auto: by io_uring where it is allowed, else by epoll"},
    {"busy-poll-us", "N", "0", .set = set_busy_poll,
     .help = "RDMA and DPDK: poll this long before sleeping; costs a core while traffic lasts, "
             "saves the wake-up"},
    {"list-ports", .end = list_ports, .help = "show the ports that dpdk: can use, and end"},

    {"drain-timeout", "SECONDS", "5", .set = set_drain_timeout, .group = "How it ends",
     .help = "how long SIGTERM may take"},
    {"exit-after", "N", .set = set_exit_after, .help = "end when N links have ended"},

    {"help", .end = option_help, .group = "About it", .help = OPTION_HELP_TEXT},
    {"version", .end = option_version, .help = OPTION_VERSION_TEXT},
};

static const struct option_table table = {
    .program = "muxd",
    .version = MUXD_VERSION,
    .intro = intro,
    .outro = outro,
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
};
/* Checks what depends on several options. */
static bool consistent(const struct options *options) {
    unsigned stdins = 0, paths = 0;
    for (unsigned i = 0; i < options->listen_count; i++) {
        stdins += options->listen[i].kind == ENDPOINT_STDIO;
        paths += options->listen[i].kind == ENDPOINT_UNIX;
    }
    if ((options->listen_mode_given || options->listen_group_given) && paths == 0) {
        text_complain("muxd: --listen-mode and --listen-group are for unix sockets: give --listen "
                      "unix:PATH");
        return false;
    }
    if (options->control_group_given && !options->control_given) {
        text_complain("muxd: --control-group is for the control socket: give --control unix:PATH");
        return false;
    }
    if (options->listen_count == 0) {
        text_complain("muxd: where do workers connect? Give --listen ib0, --listen :7533 or "
                      "another endpoint (muxd --help lists them)");
        return false;
    }
    if (options->spool && (!options->window_bytes || !options->upstream.is_node)) {
        text_complain(
            "muxd: --spool is for what a muxd above has not acknowledged: give --upstream "
            "mux:HOST, and no --window 0");
        return false;
    }
    if (stdins > 1)
        return wrong("listen", "-", "it to be given once: there is one stdin");
    bool to_stdout = !options->upstream_given || options->upstream.endpoint.kind == ENDPOINT_STDIO;
    if (to_stdout && options->stats_file && strcmp(options->stats_file, "-") == 0)
        return wrong("stats-json", "-", "a file: packets go to stdout here");
    return true;
}

static const struct option_row *find_row(const char *name) {
    for (size_t i = 0; i < table.count; i++)
        if (strcmp(table.rows[i].name, name) == 0)
            return &table.rows[i];
    return NULL;
}

/* An endpoint without its option, or an option without its dashes. `next` NULL: the last word. */
static void complain_alone(const char *word, const char *next) {
    const struct option_row *row = find_row(word);
    if (!row)
        text_complain("muxd: '%s' stands alone; did you mean --listen %s?", word, word);
    else
        text_complain("muxd: '%s' stands alone; did you mean --%s%s%s?", word, word,
                      row->argument ? " " : "", row->argument ? (next ? next : row->argument) : "");
}

int options_parse(struct options *options, int argc, char **argv) {
    *options = (struct options){0};
    int status = option_parse(&table, argc, argv, options);
    if (status != OPTION_GO_ON)
        return status;
    if (optind < argc) {
        complain_alone(argv[optind], argv[optind + 1]);
        return OPTION_EXIT_USAGE;
    }
    return consistent(options) ? OPTION_GO_ON : OPTION_EXIT_USAGE;
}
