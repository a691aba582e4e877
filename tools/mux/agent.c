/* mux agent: runs the jobs that a driver sends to this machine. */
#include "tools/agent/agent.h"
#include "tools/agent/orphans.h"
#include "tools/base/quantity.h"
#include "tools/base/text.h"
#include "tools/mux/destination.h"
#include "tools/mux/mux.h"
#include "tools/mux/slots.h"
#include "tools/node/dialer.h"
#include "tools/node/station.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

/* What the node needs, and what is received into; pages that are not touched cost nothing. */
#define MEMORY_BYTES ((size_t)96 << 20)
#define RECEIVE_BYTES ((size_t)32 << 20)

/* Besides the keepers: the upstream's attempts, and connections on their way to be closed. */
#define OTHER_CONNS (DIALER_ATTEMPTS_MAX + 16)

/* Descriptors of a slot while it starts a job, and of the process. */
#define SLOT_DESCRIPTORS 4
#define OTHER_DESCRIPTORS 64

#define TIME_MOST_NS ((uint64_t)7 * 86400 * 1000000000)

static const char intro[] =
    "usage: mux agent --to ENDPOINT [OPTION...]\n"
    "\n"
    "Stands on a machine and runs the jobs that come down from a driver, each in one of its slots\n"
    "under a mux exec. It asks for jobs (file \"muxd.want\"), and says how each began and ended\n"
    "(file \"muxd.job\"): muxd-protocol(7). Each slot has a segment of the route code, 0, 1, 2...\n"
    "\n"
    "  mux agent --to mux:unix:/run/muxd.sock --slots auto\n"
    "\n"
    "A job is a shell on this machine. So ENDPOINT is a unix socket, perhaps one that ssh "
    "forwards;\n"
    "another network has to be trusted by an option. A token that shows who may send jobs\n"
    "(--token-file) waits for TLS: sent in the clear it would be everybody's.\n";

static const char outro[] =
    "TIME is in seconds or has a unit: 500ms, 30s, 5min, 1h.\n"
    "TERM: takes no new jobs, and ends when its jobs have ended. A second TERM, INT or HUP end\n"
    "the jobs; a further one kills them.\n"
    "\n"
    "Exit codes: 0 all that the jobs said went up; 1 it could not start; 2 wrong usage;\n"
    "75 results did not reach ENDPOINT.\n";

struct program {
    struct place place;
    unsigned slots;
    uint64_t lease_ns, drain_timeout_ns;
    bool trusts_network;

    struct station station;
    struct agent agent;
};

/*
 * ---- options ----
 */

static bool wrong(const struct option_row *row, const char *value, const char *why) {
    text_complain("mux agent: --%s %s: %s", row->name, value, why);
    return false;
}

static bool set_to(const struct option_row *row, void *target, const char *value) {
    char why[PLACE_WHY_BYTES];
    struct program *program = target;
    return destination_parse(value, DESTINATION_ADDRESS, &program->place, why) ||
           wrong(row, value, why);
}

static bool set_slots(const struct option_row *row, void *target, const char *value) {
    return slots_parse(value, &((struct program *)target)->slots) ||
           wrong(row, value, SLOTS_EXPECTED);
}

static bool set_time(const struct option_row *row, const char *value, uint64_t *ns) {
    return (quantity_ns(value, ns) && *ns <= TIME_MOST_NS) ||
           wrong(row, value, "expected a time up to 7 days, such as 30, 500ms, 5min");
}

static bool set_lease(const struct option_row *row, void *target, const char *value) {
    return set_time(row, value, &((struct program *)target)->lease_ns);
}

static bool set_drain_timeout(const struct option_row *row, void *target, const char *value) {
    return set_time(row, value, &((struct program *)target)->drain_timeout_ns);
}

static bool set_trust(const struct option_row *row, void *target, const char *value) {
    (void)row, (void)value;
    ((struct program *)target)->trusts_network = true;
    return true;
}

static const struct option_row rows[] = {
    {"to", "ENDPOINT", NULL, NULL,
     "where jobs come from and results go: mux:unix:PATH, a muxd's socket (a lost connection then "
     "fails no test); may be repeated for mux: endpoints that can stand in for each other; the "
     "default is $MUX_ENDPOINT",
     .set = set_to},
    {"slots", "N|auto", "auto", NULL, "jobs at a time; auto: the number of processors",
     .set = set_slots},
    {"lease", "TIME", "300", NULL,
     "jobs are ended when the node has been out of reach for this time: it has given them to "
     "others",
     .set = set_lease},
    {"drain-timeout", "TIME", "60", NULL,
     "how long ENDPOINT is waited for at the end, when all jobs have ended",
     .set = set_drain_timeout},
    {"trust-network", NULL, NULL, NULL,
     "takes jobs over a network where anybody could send some: TCP, RDMA, DPDK", .set = set_trust},
    {"help", .end = option_help, .help = OPTION_HELP_TEXT},
};

static const struct option_table options = {
    .program = "mux agent",
    .intro = intro,
    .outro = outro,
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
};

static bool find_place(struct program *program) {
    if (!destination_complete("mux agent", DESTINATION_ADDRESS, &program->place))
        return false;
    if (!destination_is_known(&program->place))
        text_complain("mux agent: to which node? mux agent --to mux:unix:PATH");
    return destination_is_known(&program->place);
}

static bool is_trusted(const struct program *program) {
    if (place_is_private(&program->place) || program->trusts_network)
        return true;
    text_complain("mux agent: %s: whoever answers there could run commands here: use a unix "
                  "socket (ssh -L forwards one), or --trust-network",
                  program->place.endpoint.text);
    return false;
}

/*
 * ---- what the node and the agent ask for ----
 */

static enum mux_taking take(void *user, const struct mux_packet *packet) {
    struct program *program = LOOP_OWNER(user, struct program, station);
    return agent_take(&program->agent, packet);
}

static void agent_ended(void *user) {
    struct program *program = user;
    node_terminate(program->station.node, false);
}

/* Once its jobs have ended only the node is left to end: at once then. */
static void on_term(void *user, int number, uint64_t now_ns) {
    struct program *program = user;
    (void)number, (void)now_ns;
    if (program->agent.life == AGENT_ENDED)
        node_terminate(program->station.node, true);
    else
        agent_terminate(&program->agent);
}

static void on_int(void *user, int number, uint64_t now_ns) {
    struct program *program = user;
    if (program->agent.life == AGENT_LIVES)
        on_term(user, number, now_ns);
    on_term(user, number, now_ns);
}

/*
 * ---- the start ----
 */

static void raise_descriptor_limit(const struct program *program) {
    struct rlimit limit;
    rlim_t wanted = program->slots * SLOT_DESCRIPTORS + OTHER_DESCRIPTORS;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void catch_signals(struct program *program) {
    struct signals *signals = &program->station.signals;
    signals_catch(signals, SIGTERM, on_term, program);
    signals_catch(signals, SIGINT, on_int, program);
    signals_catch(signals, SIGHUP, on_int, program);
}

/* What a node above takes in bundles is kept until the end of the tree has it. */
static size_t window_bytes(const struct program *program) {
    return program->place.is_node ? STATION_WINDOW_BYTES : 0;
}

static bool start_station(struct program *program) {
    struct stacks_config config = {
        .memory_bytes = MEMORY_BYTES,
        .receive_bytes = RECEIVE_BYTES,
        .owner_bytes = MUX_WINDOW_MEMORY_BYTES(window_bytes(program)),
        .conns_max = 2 * program->slots + OTHER_CONNS,
    };
    return station_start(&program->station, &config);
}

static bool start_node(struct program *program, uint64_t *hash_key) {
    struct node_config config = {
        .mux = {.links_max = 2 * program->slots,
                .window_bytes = window_bytes(program),
                .node_grace_ns = STATION_GRACE_NS},
        .drain_timeout_ns = program->drain_timeout_ns,
        .take = take,
    };
    bool is_made = station_make_node(&program->station, &config);
    *hash_key = config.mux.hash_key;
    return is_made;
}

static bool start_agent(struct program *program, uint64_t hash_key) {
    const struct agent_config config = {
        .node = program->station.node,
        .loop = &program->station.loop,
        .children = &program->station.children,
        .program = "/proc/self/exe",
        .slots = program->slots,
        .lease_ns = program->lease_ns,
        .hash_key = hash_key,
        .user = program,
        .ended = agent_ended,
    };
    return agent_open(&program->agent, &config);
}

static bool start(struct program *program) {
    uint64_t hash_key;
    if (!orphans_adopt())
        text_complain("mux agent: what a killed job leaves behind cannot be killed: %s",
                      strerror(errno));
    raise_descriptor_limit(program);
    if (!station_open(&program->station, "mux agent", &program->place))
        return false;
    catch_signals(program);
    return start_station(program) && start_node(program, &hash_key) &&
           start_agent(program, hash_key);
}

/*
 * ---- the end ----
 */

static int run_agent(struct program *program) {
    int status = EXIT_FAILED;
    if (start(program)) {
        station_run(&program->station);
        status = station_all_sent(&program->station) ? EXIT_FINE : EXIT_NOT_ALL_SENT;
    }
    agent_close(&program->agent);
    station_close(&program->station);
    return status;
}

static int run(int argc, char **argv) {
    static struct program program;
    int status = option_parse(&options, argc, argv, &program);
    if (status != OPTION_GO_ON)
        return status;
    if (!find_place(&program) || !is_trusted(&program))
        return EXIT_USAGE;
    return run_agent(&program);
}

const struct subcommand subcommand_agent = {"agent", "runs the jobs that come to this machine",
                                            run};
