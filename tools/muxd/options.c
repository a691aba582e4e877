#include "tools/muxd/options.h"

#include "tools/base/quantity.h"
#include "tools/base/text.h"
#include "tools/base/usage.h"
#include "tools/node/dialer.h"
#include "transport/dpdk/spec.h"
#include "transport/mistake.h"
#include "transport/stack.h"

#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define EXIT_USAGE 2

/* A sentence that quotes an endpoint twice. */
#define WHY_BYTES (2 * ENDPOINT_TEXT_BYTES + 256)

/* In front of the endpoint of an upstream that is a node. */
#define NODE_PREFIX "mux:"

#define MEMORY_DEFAULT_BYTES ((uint64_t)128 << 20)
#define MEMORY_LEAST_BYTES ((uint64_t)16 << 20)
#define LINKS_MAX_DEFAULT 16384
#define LINKS_MAX_MOST 1000000
/* A second: beyond it nobody waits for an answer any more. */
#define BUSY_POLL_MOST_US 1000000
#define DRAIN_TIMEOUT_DEFAULT_NS ((uint64_t)5000000000)
/* Longer than a switch or a routing protocol takes to find another way. */
#define NODE_GRACE_DEFAULT_NS ((uint64_t)30000000000)
static_assert(3 * DIALER_ATTEMPT_MOST_NS <= NODE_GRACE_DEFAULT_NS,
              "an address that does not answer leaves time for others within the grace");
#define TIME_MOST_NS ((uint64_t)86400 * 1000000000)

static const char help[] =
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
    "  rdma:PLACE         any of these by RDMA; an interface that carries an RDMA device offers\n"
    "                     both; --upstream rdma:HOST,from=ADDRESS leaves by the device of ADDRESS\n"
    "  dpdk:PORT,ip=ADDRESS/LEN[,gw=ADDRESS][,mac=MAC][,to=HOST]:PORTNUMBER\n"
    "                     TCP on a port that DPDK drives: a PCI address, or a virtual device with\n"
    "                     its arguments; to=HOST for --upstream; --list-ports shows what is there\n"
    "  unix:PATH          a unix socket\n"
    "  mux:ENDPOINT       another muxd (--upstream only), that shall know us as a node and not\n"
    "                     take us for a worker: a lost connection then fails no test\n"
    "  file:PATH          a file, appended to (--upstream only)\n"
    "  -                  stdin (--listen); stdout, with stdin as the way down (--upstream)\n"
    "The port is 7533 unless given; 0 takes a free one. Once a socket listens, stderr says\n"
    "\"listening on ADDRESS\".\n"
    "\n"
    "Options:\n"
    "  --listen ENDPOINT        where workers connect; can be given many times. What cannot be\n"
    "                           listened on now is said, and tried again\n"
    "  --listen-mode MODE       who may connect to unix sockets, such as 660 (default: as the\n"
    "                           umask says)\n"
    "  --listen-group GROUP     the group that unix sockets belong to\n"
    "  --upstream ENDPOINT      where the one stream goes; default: stdout (stdin is left alone),\n"
    "                           or on a terminal a live summary\n"
    "  --segment-by number|host what a worker is called in route codes: 0, 1, 2, ... or\n"
    "                           HOST, HOST.1, HOST.2, ... (default number)\n"
    "  --allow CIDR,...         networks that may connect (default: everybody)\n"
    "  --max-links N            most connections at a time (default 16384)\n"
    "  --memory SIZE            for buffers (default 128M, least 16M); when it is full the "
    "workers\n"
    "                           feel back-pressure\n"
    "  --io auto|uring|epoll    how the kernel is talked to (default auto: io_uring where it is\n"
    "                           allowed, else epoll)\n"
    "  --busy-poll-us N         RDMA and DPDK: look for more this long before sleeping; costs a\n"
    "                           core while traffic lasts, spares the wake-up (default 0)\n"
    "  --stats-json FILE|-      write the counters at exit and on SIGUSR1\n"
    "  --drain-timeout SECONDS  how long SIGTERM may take (default 5)\n"
    "  --node-grace SECONDS     how long a node that was lost is waited for before its tests in\n"
    "                           progress are reported failed (default 30)\n"
    "  --exit-after N           end when N links have ended\n"
    "  --list-ports             show the ports that dpdk: can use, and end\n"
    "  --help, --version\n"
    "\n"
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

enum option_id {
    OPTION_LISTEN = 256,
    OPTION_LISTEN_MODE,
    OPTION_LISTEN_GROUP,
    OPTION_UPSTREAM,
    OPTION_SEGMENT_BY,
    OPTION_ALLOW,
    OPTION_MAX_LINKS,
    OPTION_MEMORY,
    OPTION_IO,
    OPTION_BUSY_POLL_US,
    OPTION_STATS_JSON,
    OPTION_DRAIN_TIMEOUT,
    OPTION_NODE_GRACE,
    OPTION_EXIT_AFTER,
    OPTION_LIST_PORTS,
    OPTION_HELP,
    OPTION_VERSION,
};

static const struct option long_options[] = {
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"listen-mode", required_argument, NULL, OPTION_LISTEN_MODE},
    {"listen-group", required_argument, NULL, OPTION_LISTEN_GROUP},
    {"upstream", required_argument, NULL, OPTION_UPSTREAM},
    {"segment-by", required_argument, NULL, OPTION_SEGMENT_BY},
    {"allow", required_argument, NULL, OPTION_ALLOW},
    {"max-links", required_argument, NULL, OPTION_MAX_LINKS},
    {"memory", required_argument, NULL, OPTION_MEMORY},
    {"io", required_argument, NULL, OPTION_IO},
    {"busy-poll-us", required_argument, NULL, OPTION_BUSY_POLL_US},
    {"stats-json", required_argument, NULL, OPTION_STATS_JSON},
    {"drain-timeout", required_argument, NULL, OPTION_DRAIN_TIMEOUT},
    {"node-grace", required_argument, NULL, OPTION_NODE_GRACE},
    {"exit-after", required_argument, NULL, OPTION_EXIT_AFTER},
    {"list-ports", no_argument, NULL, OPTION_LIST_PORTS},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

static bool wrong(const char *option, const char *value, const char *expected) {
    text_complain("muxd: %s %s: expected %s", option, value, expected);
    return false;
}

static bool parse_count(const char *option, const char *value, uint64_t least, uint64_t most,
                        uint64_t *out) {
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
    return wrong(option, value, expected);
}

static bool parse_size(const char *option, const char *value, uint64_t *out) {
    if (!quantity_bytes(value, out) || *out < MEMORY_LEAST_BYTES)
        return wrong(option, value, "a size of at least 16M, such as 256M or 1GiB");
    return true;
}

static bool parse_seconds(const char *option, const char *value, uint64_t *out_ns) {
    if (!quantity_ns(value, out_ns) || *out_ns > TIME_MOST_NS)
        return wrong(option, value, "seconds from 0 to 86400, such as 5 or 0.5, or 500ms, 2min");
    return true;
}

/* `place`: the part of `value` that is the endpoint. */
static bool parse_endpoint(const char *option, const char *value, const char *place,
                           struct endpoint *endpoint) {
    char why[WHY_BYTES];
    if (endpoint_parse(place, endpoint, why, sizeof why))
        return true;
    text_complain("muxd: %s %s: %s", option, value, why);
    return false;
}

/* Does the endpoint of a port of DPDK's say whom to connect to? */
static bool has_to(const struct endpoint *endpoint) {
    struct dpdk_spec spec;
    char why[256];
    return dpdk_spec_parse(endpoint->name, &spec, why, sizeof why) && spec.to[0];
}

static bool add_listen(struct options *options, const char *value) {
    if (options->listen_count == LISTENERS_ENDPOINTS_MAX)
        return wrong("--listen", value, "at most 64 of them");
    if (strncmp(value, NODE_PREFIX, strlen(NODE_PREFIX)) == 0)
        return wrong("--listen", value,
                     "no mux: here (it is for --upstream): nodes may connect to every listener");
    struct endpoint *endpoint = &options->listen[options->listen_count];
    if (!parse_endpoint("--listen", value, value, endpoint))
        return false;
    if (endpoint->kind == ENDPOINT_FILE)
        return wrong("--listen", value, "a place that workers connect to, not a file");
    if (endpoint->kind == ENDPOINT_DPDK && has_to(endpoint))
        return wrong("--listen", value, "no to= here (it is for --upstream)");
    options->listen_count++;
    return true;
}

static bool set_listen_mode(struct options *options, const char *value) {
    char *end;
    unsigned long mode = strtoul(value, &end, 8);
    if (value[0] < '0' || value[0] > '7' || *end || mode > 0777)
        return wrong("--listen-mode", value, "permissions in octal, such as 660 or 0600");
    options->listen_mode_given = true;
    options->listen_mode = (mode_t)mode;
    return true;
}

static bool set_listen_group(struct options *options, const char *value) {
    const struct group *group = getgrnam(value);
    uint64_t number;
    options->listen_group_given = true;
    if (group) {
        options->listen_group = group->gr_gid;
        return true;
    }
    if (value[0] < '0' || value[0] > '9')
        return wrong("--listen-group", value, "the name or number of a group");
    bool fine = parse_count("--listen-group", value, 0, UINT32_MAX - 1, &number);
    options->listen_group = (gid_t)number;
    return fine;
}

static bool set_upstream(struct options *options, const char *value) {
    if (options->upstream_given)
        return wrong("--upstream", value, "it to be given once");
    options->upstream_given = true;
    options->upstream_is_node = strncmp(value, NODE_PREFIX, strlen(NODE_PREFIX)) == 0;
    const char *place = options->upstream_is_node ? value + strlen(NODE_PREFIX) : value;
    if (options->upstream_is_node && !*place)
        return wrong("--upstream", value, "mux:HOST:PORT or mux:unix:PATH");
    if (!parse_endpoint("--upstream", value, place, &options->upstream))
        return false;
    if (options->upstream_is_node && !endpoint_is_address(&options->upstream))
        return wrong("--upstream", value, "mux:HOST:PORT or mux:unix:PATH");
    bool has_port =
        endpoint_is_address(&options->upstream) && options->upstream.kind != ENDPOINT_UNIX;
    if (has_port && options->upstream.port == 0)
        return wrong("--upstream", value, "a port to connect to, not 0");
    if (options->upstream.kind == ENDPOINT_DPDK && !has_to(&options->upstream))
        return wrong("--upstream", value, "to=HOST, which is connected to");
    char why[WHY_BYTES];
    if (!options->upstream_is_node && !mistake_check_file(&options->upstream, why, sizeof why)) {
        text_complain("muxd: --upstream %s: %s", value, why);
        return false;
    }
    struct stat status;
    bool is_file = options->upstream.kind == ENDPOINT_FILE;
    if (is_file && stat(options->upstream.name, &status) == 0 && S_ISDIR(status.st_mode))
        return wrong("--upstream", value, "a file, not a directory");
    return true;
}

/* One of `count` words. */
static bool parse_word(const char *option, const char *value, const char *const *words,
                       unsigned count, const char *expected, unsigned *out) {
    for (*out = 0; *out < count; (*out)++)
        if (strcmp(value, words[*out]) == 0)
            return true;
    return wrong(option, value, expected);
}

static bool set_io(struct options *options, const char *value) {
    static const char *const words[] = {
        [IO_AUTO] = "auto", [IO_URING] = "uring", [IO_EPOLL] = "epoll"};
    unsigned word;
    if (!parse_word("--io", value, words, 3, "auto, uring or epoll", &word))
        return false;
    options->io = (enum io_choice)word;
    return true;
}

static bool set_segment_by(struct options *options, const char *value) {
    static const char *const words[] = {
        [MUX_SEGMENT_BY_NUMBER] = "number", [MUX_SEGMENT_BY_HOST] = "host"};
    unsigned word;
    if (!parse_word("--segment-by", value, words, 2, "number or host", &word))
        return false;
    options->segment_by = (enum mux_segment_by)word;
    return true;
}

static bool set_allow(struct options *options, const char *value) {
    char why[256];
    if (allow_add(&options->allow, value, why, sizeof why))
        return true;
    text_complain("muxd: --allow %s: %s", value, why);
    return false;
}

static bool set(struct options *options, int id, const char *value) {
    uint64_t number = 0;
    bool fine = true;
    switch (id) {
    case OPTION_LISTEN:
        return add_listen(options, value);
    case OPTION_LISTEN_MODE:
        return set_listen_mode(options, value);
    case OPTION_LISTEN_GROUP:
        return set_listen_group(options, value);
    case OPTION_UPSTREAM:
        return set_upstream(options, value);
    case OPTION_SEGMENT_BY:
        return set_segment_by(options, value);
    case OPTION_ALLOW:
        return set_allow(options, value);
    case OPTION_MAX_LINKS:
        fine = parse_count("--max-links", value, 1, LINKS_MAX_MOST, &number);
        options->links_max = (unsigned)number;
        return fine;
    case OPTION_MEMORY:
        return parse_size("--memory", value, &options->memory_bytes);
    case OPTION_IO:
        return set_io(options, value);
    case OPTION_BUSY_POLL_US:
        fine = parse_count("--busy-poll-us", value, 0, BUSY_POLL_MOST_US, &number);
        options->busy_poll_us = (unsigned)number;
        return fine;
    case OPTION_STATS_JSON:
        options->stats_file = value;
        return true;
    case OPTION_DRAIN_TIMEOUT:
        return parse_seconds("--drain-timeout", value, &options->drain_timeout_ns);
    case OPTION_NODE_GRACE:
        return parse_seconds("--node-grace", value, &options->node_grace_ns);
    case OPTION_EXIT_AFTER:
        return parse_count("--exit-after", value, 1, UINT32_MAX, &options->exit_after_links);
    default:
        return false;
    }
}

/* What only the whole command line shows. */
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
    if (options->listen_count == 0) {
        text_complain("muxd: where shall workers connect? Give --listen ib0, --listen :7533 or "
                      "another endpoint (muxd --help lists them)");
        return false;
    }
    if (stdins > 1)
        return wrong("--listen", "-", "it to be given once: there is one stdin");
    bool to_stdout = !options->upstream_given || options->upstream.kind == ENDPOINT_STDIO;
    if (to_stdout && options->stats_file && strcmp(options->stats_file, "-") == 0)
        return wrong("--stats-json", "-", "a file: packets go to stdout here");
    return true;
}

/* Returns the exit code. */
static int list_ports(void) {
    if (stack_list_ports(stdout))
        return 0;
    text_complain("muxd: --list-ports: this muxd was built without %s",
                  stack_name(TRANSPORT_VIA_DPDK));
    return 1;
}

int options_parse(struct options *options, int argc, char **argv) {
    *options = (struct options){
        .memory_bytes = MEMORY_DEFAULT_BYTES,
        .links_max = LINKS_MAX_DEFAULT,
        .drain_timeout_ns = DRAIN_TIMEOUT_DEFAULT_NS,
        .node_grace_ns = NODE_GRACE_DEFAULT_NS,
    };
    int id;
    while ((id = usage_next_option("muxd", argc, argv, long_options)) != -1) {
        if (id == OPTION_HELP) {
            fputs(help, stdout);
            return 0;
        }
        if (id == OPTION_LIST_PORTS)
            return list_ports();
        if (id == OPTION_VERSION) {
            puts("muxd " MUXD_VERSION);
            return 0;
        }
        if (id == '?' || !set(options, id, optarg))
            return EXIT_USAGE;
    }
    if (optind < argc) {
        text_complain("muxd: '%s' stands alone; did you mean --listen %s?", argv[optind],
                      argv[optind]);
        return EXIT_USAGE;
    }
    return consistent(options) ? -1 : EXIT_USAGE;
}
