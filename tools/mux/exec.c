/* mux exec: one command under control. */
#include "tools/agent/orphans.h"
#include "tools/agent/slot.h"
#include "tools/base/log.h"
#include "tools/base/quantity.h"
#include "tools/base/standard.h"
#include "tools/base/text.h"
#include "tools/mux/mux.h"
#include "tools/node/dialer.h"
#include "tools/node/identity.h"
#include "tools/node/place.h"
#include "tools/node/resolver.h"
#include "tools/node/stacks.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* As a shell says it. */
#define EXIT_NOT_RUNNABLE 126
#define EXIT_NOT_FOUND 127
#define EXIT_SIGNAL 128

/* Small: it stands beside each command. What the node needs, and what is received into. */
#define MEMORY_BYTES ((size_t)24 << 20)
#define RECEIVE_BYTES ((size_t)4 << 20)

/* stdout, stderr, the upstream and its attempts. */
#define LINKS 2
#define CONNS_MAX (DIALER_ATTEMPTS_MAX + 8)

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
    "TERM, INT and HUP stop the command as --timeout does; a second one kills it at once.\n"
    "\n"
    "Exit codes: 0 the command returned 0, no test failed and at least one ran. Otherwise the\n"
    "command's own if it is not 0, 128 + N if signal N ended it; 4 tests failed; 5 no test ran;\n"
    "75 results did not reach ENDPOINT; 126, 127 the command could not be run, was not found;\n"
    "2 wrong usage.\n";

/* What mux does, one after the other. */
enum phase {
    PHASE_ANNOUNCE, /* --as-test: the test begins */
    PHASE_RUN,      /* the command runs, until all of it is on its way up */
    PHASE_VERDICT,  /* --as-test: the test ends */
    PHASE_LEAVE,    /* what is on its way up goes out */
};

struct exec {
    struct place place;
    bool has_place; /* else stdout */
    const char *as_test;
    bool allow_empty;
    uint64_t drain_timeout_ns;
    struct slot_limits limits;

    struct log log;
    struct signals signals;
    struct children children;
    struct stacks stacks;
    struct loop loop;
    struct loop_client works;
    struct node *node;
    struct resolver *resolver;
    struct slot slot;
    const char *const *command;
    enum phase phase;
    bool is_running; /* the command was started */
    int start_error;
    int signal; /* that mux itself got; 0: none */
};

/*
 * ---- options ----
 */

static bool wrong(const struct option_row *row, const char *value, const char *why) {
    text_complain("mux exec: --%s %s: %s", row->name, value, why);
    return false;
}

static bool parse_to(struct exec *exec, const char *text, char *why, size_t why_bytes) {
    if (!place_parse(text, &exec->place, why, why_bytes))
        return false;
    exec->has_place = exec->place.endpoint.kind != ENDPOINT_STDIO;
    if (!exec->has_place || endpoint_is_address(&exec->place.endpoint))
        return true;
    snprintf(why, why_bytes, "expected a place to connect to, or - for stdout");
    return false;
}

static bool set_to(const struct option_row *row, void *target, const char *value) {
    char why[PLACE_WHY_BYTES];
    return parse_to(target, value, why, sizeof why) || wrong(row, value, why);
}

static bool set_as_test(const struct option_row *row, void *target, const char *value) {
    struct exec *exec = target;
    exec->as_test = value;
    return *value || wrong(row, value, "expected the test's id");
}

static bool set_allow_empty(const struct option_row *row, void *target, const char *value) {
    struct exec *exec = target;
    (void)row, (void)value;
    exec->allow_empty = true;
    return true;
}

static bool set_time(const struct option_row *row, const char *value, uint64_t *ns) {
    if (quantity_ns(value, ns) && *ns <= TIME_MOST_NS)
        return true;
    return wrong(row, value, "expected a time up to 7 days, such as 30, 500ms, 5min");
}

static bool set_timeout(const struct option_row *row, void *target, const char *value) {
    return set_time(row, value, &((struct exec *)target)->limits.command_ns);
}

static bool set_idle_timeout(const struct option_row *row, void *target, const char *value) {
    return set_time(row, value, &((struct exec *)target)->limits.silence_ns);
}

static bool set_test_timeout(const struct option_row *row, void *target, const char *value) {
    return set_time(row, value, &((struct exec *)target)->limits.test_ns);
}

static bool set_grace(const struct option_row *row, void *target, const char *value) {
    return set_time(row, value, &((struct exec *)target)->limits.grace_ns);
}

static bool set_drain_timeout(const struct option_row *row, void *target, const char *value) {
    return set_time(row, value, &((struct exec *)target)->drain_timeout_ns);
}

static bool set_on_hang(const struct option_row *row, void *target, const char *value) {
    struct exec *exec = target;
    const char *name = strncmp(value, "SIG", 3) == 0 ? value + 3 : value;
    for (int number = 1; number < SIGNALS_MAX; number++) {
        const char *known = sigabbrev_np(number);
        if (known && strcmp(known, name) == 0) {
            exec->limits.hang_signal = number;
            return true;
        }
    }
    return wrong(row, value, "expected a signal's name, such as ABRT or SIGUSR1");
}

static const struct option_row rows[] = {
    {"to", "ENDPOINT", NULL, NULL,
     "where the packets go: mux:HOST when that is a muxd (a lost connection then fails no test), "
     "HOST:PORT, unix:PATH; - is stdout; the default is $MUX_ENDPOINT, or stdout",
     .set = set_to},
    {"as-test", "ID", NULL, NULL,
     "the command is one test with this id, which fails unless it returns 0", .set = set_as_test},
    {"timeout", "TIME", NULL, NULL, "stops the command after this time", .set = set_timeout},
    {"idle-timeout", "TIME", NULL, NULL, "stops it when it has written nothing for this time",
     .set = set_idle_timeout},
    {"test-timeout", "TIME", NULL, NULL, "stops it when one test takes longer",
     .set = set_test_timeout},
    {"on-hang", "SIGNAL", NULL, NULL,
     "what a timeout sends first, so that the command shows its stacks: ABRT for python with "
     "PYTHONFAULTHANDLER=1, QUIT for Go",
     .set = set_on_hang},
    {"grace", "TIME", "5", NULL, "between that signal, TERM and KILL", .set = set_grace},
    {"drain-timeout", "TIME", "60", NULL,
     "how long ENDPOINT is waited for when the command has ended", .set = set_drain_timeout},
    {"allow-empty", NULL, NULL, NULL, "no test at all is no error", .set = set_allow_empty},
    {"help", .end = option_help, .help = OPTION_HELP_TEXT},
};

static const struct option_table options = {
    .program = "mux exec",
    .intro = intro,
    .outro = outro,
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
};

/* --to wins over the environment. */
static bool take_environment(struct exec *exec) {
    const char *text = getenv("MUX_ENDPOINT");
    char why[PLACE_WHY_BYTES];
    if (exec->place.endpoint.text[0] || !text || !*text || parse_to(exec, text, why, sizeof why))
        return true;
    text_complain("mux exec: MUX_ENDPOINT=%s: %s", text, why);
    return false;
}

/*
 * ---- what the node asks for ----
 */

static void say(void *user, const char *line) {
    struct exec *exec = user;
    log_line(&exec->log, line, loop_now_ns(&exec->loop));
}

static unsigned upstream_addresses(void *user, struct transport_address *addresses, char *why,
                                   size_t why_bytes) {
    struct exec *exec = user;
    return resolver_addresses(exec->resolver, addresses, DIALER_ADDRESSES_MAX, why, why_bytes);
}

static struct transport_conn *connect_upstream(void *user, const struct transport_address *address,
                                               void *conn_user, struct transport_failure *failure) {
    struct exec *exec = user;
    return loop_connect(&exec->loop, address, conn_user, failure);
}

static struct transport_conn *open_stdout(void *user, struct loop_handler *handler, char *why,
                                          size_t why_bytes) {
    struct exec *exec = user;
    struct transport_failure failure;
    const struct loop_descriptors descriptors = {-1, STDOUT_FILENO, true, TRANSPORT_POOL_RESERVE,
                                                 "stdout"};
    struct transport_conn *conn = loop_attach(&exec->loop, &descriptors, handler, &failure);
    if (!conn)
        snprintf(why, why_bytes, "%s: %s", failure.operation, strerror(failure.error));
    return conn;
}

static void stop_listening(void *user) {
    (void)user;
}

/*
 * ---- one after the other ----
 */

static void leave(struct exec *exec) {
    exec->phase = PHASE_LEAVE;
    node_terminate(exec->node, false);
}

static void slot_ended(struct slot *slot) {
    struct exec *exec = slot->config.user;
    exec->phase = PHASE_VERDICT;
}

/* Without --to the command reads what mux would; from a terminal it cannot, in another group. */
static int command_input(const struct exec *exec) {
    if (exec->has_place)
        return -1;
    return isatty(STDIN_FILENO) ? open("/dev/null", O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
}

static void start_command(struct exec *exec) {
    struct transport_failure failure;
    const struct slot_config config = {
        .node = exec->node,
        .loop = &exec->loop,
        .children = &exec->children,
        .arguments = exec->command,
        .input = command_input(exec),
        .limits = exec->limits,
        .user = exec,
        .ended = slot_ended,
    };
    exec->phase = PHASE_RUN;
    exec->is_running = slot_start(&exec->slot, &config, &failure);
    if (exec->is_running)
        return;
    exec->start_error = failure.error;
    text_complain("mux exec: %s: %s", exec->command[0], strerror(failure.error));
    exec->phase = PHASE_VERDICT;
}

static bool command_succeeded(const struct exec *exec) {
    return exec->is_running && exec->slot.end.exited && exec->slot.end.status == 0;
}

/* False: not now. */
static bool send_status(struct exec *exec, enum mux_status status) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const struct mux_packet packet = {
        .status = status,
        .runnable = true,
        .has_timestamp = true,
        .seconds = (uint32_t)now.tv_sec,
        .nanoseconds = (uint32_t)now.tv_nsec,
        .test_id = mux_span_text(exec->as_test),
    };
    return node_add_up(exec->node, NULL, &packet);
}

static void work(struct loop_client *client, uint64_t now_ns) {
    struct exec *exec = LOOP_OWNER(client, struct exec, works);
    (void)now_ns;
    if (exec->phase == PHASE_ANNOUNCE &&
        (!exec->as_test || send_status(exec, MUX_STATUS_INPROGRESS)))
        start_command(exec);
    if (exec->phase == PHASE_VERDICT &&
        (!exec->as_test ||
         send_status(exec, command_succeeded(exec) ? MUX_STATUS_SUCCESS : MUX_STATUS_FAIL)))
        leave(exec);
}

static uint64_t work_deadline_ns(const struct loop_client *client) {
    const struct exec *exec = LOOP_OWNER(client, struct exec, works);
    return exec->phase == PHASE_ANNOUNCE || exec->phase == PHASE_VERDICT ? 0 : UINT64_MAX;
}

static void on_signal(void *user, int number, uint64_t now_ns) {
    struct exec *exec = user;
    char why[64];
    (void)now_ns;
    exec->signal = number;
    snprintf(why, sizeof why, "mux exec got SIG%s", sigabbrev_np(number));
    if (exec->phase == PHASE_RUN && exec->is_running)
        slot_stop(&exec->slot, why);
    else
        node_terminate(exec->node, exec->phase == PHASE_LEAVE);
}

/*
 * ---- the start ----
 */

static bool failed(const char *what, const struct transport_failure *failure) {
    text_complain("mux exec: %s: %s: %s", what, failure->operation, strerror(failure->error));
    return false;
}

static bool start_loop(struct exec *exec) {
    const struct stacks_config config = {
        .upstream = exec->has_place ? &exec->place.endpoint : NULL,
        .io = IO_EPOLL,
        .memory_bytes = MEMORY_BYTES,
        .receive_bytes = RECEIVE_BYTES,
        .conns_max = CONNS_MAX,
    };
    char said[2 * ENDPOINT_TEXT_BYTES];
    struct transport_failure failure;
    if (!stacks_start(&exec->stacks, &config, said, sizeof said)) {
        text_complain("mux exec: %s", said);
        return false;
    }
    loop_init(&exec->loop, exec->stacks.ops, exec->stacks.transport);
    log_join(&exec->log, &exec->loop);
    return signals_watch(&exec->signals, &exec->loop, &failure) || failed("signals", &failure);
}

static bool start_node(struct exec *exec) {
    struct node_config config = {
        .loop = &exec->loop,
        .mux = {.memory = exec->stacks.memory,
                .links_max = LINKS,
                .upstream_is_node = exec->has_place && exec->place.is_node,
                .node_grace_ns = 0},
        .drain_timeout_ns = exec->drain_timeout_ns,
        .upstream_retry = exec->has_place,
        .upstream_text = exec->has_place ? exec->place.endpoint.text : "stdout",
        .user = exec,
        .log = say,
        .upstream_addresses = exec->has_place ? upstream_addresses : NULL,
        .connect = connect_upstream,
        .open_upstream = open_stdout,
        .stop_listening = stop_listening,
    };
    identity_draw(&config);
    exec->node = node_create(&config);
    if (!exec->node) {
        text_complain("mux exec: out of memory");
        return false;
    }
    exec->works = (struct loop_client){.deadline_ns = work_deadline_ns, .work = work};
    loop_join(&exec->loop, &exec->works);
    return true;
}

static bool catch_signals(struct exec *exec) {
    struct transport_failure failure;
    if (!signals_open(&exec->signals, &failure))
        return failed("signals", &failure);
    children_open(&exec->children, &exec->signals);
    signals_catch(&exec->signals, SIGTERM, on_signal, exec);
    signals_catch(&exec->signals, SIGINT, on_signal, exec);
    signals_catch(&exec->signals, SIGHUP, on_signal, exec);
    return true;
}

static bool start(struct exec *exec) {
    if (!orphans_adopt())
        text_complain("mux exec: daemons that the command starts cannot be killed: %s",
                      strerror(errno));
    if (!catch_signals(exec) || !start_loop(exec) || !start_node(exec))
        return false;
    if (exec->has_place)
        exec->resolver = resolver_start(&exec->place.endpoint);
    return true;
}

/*
 * ---- the end ----
 */

static int start_status(const struct exec *exec) {
    return exec->start_error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUNNABLE;
}

static int tests_status(const struct exec *exec) {
    const uint64_t *count = node_core_counters(exec->node)->value;
    if (count[MUX_COUNT_results_failed] || count[MUX_COUNT_tests_failed])
        return EXIT_TESTS_FAILED;
    if (count[MUX_COUNT_results] || exec->as_test || exec->allow_empty)
        return EXIT_FINE;
    text_complain("mux exec: no test ran (--allow-empty if none had to, --as-test if %s is one)",
                  exec->command[0]);
    return EXIT_NOTHING_RAN;
}

/* The truth, the worst first. */
static int exit_status(const struct exec *exec) {
    const struct child_end *end = &exec->slot.end;
    if (exec->signal)
        return EXIT_SIGNAL + exec->signal;
    if (!exec->is_running)
        return start_status(exec);
    if (!end->exited)
        return EXIT_SIGNAL + end->signal;
    if (end->status)
        return end->status;
    if (!node_all_sent(exec->node) || node_in_doubt(exec->node))
        return EXIT_NOT_ALL_SENT;
    return tests_status(exec);
}

static void destroy_node(void *user) {
    struct exec *exec = user;
    if (exec->node)
        node_destroy(exec->node);
}

static int run_command(struct exec *exec) {
    int status = EXIT_FAILED;
    if (start(exec)) {
        while (!node_has_ended(exec->node) || exec->loop.orphans)
            loop_step(&exec->loop);
        status = exit_status(exec);
    }
    if (exec->loop.transport)
        signals_close(&exec->signals);
    stacks_stop(&exec->stacks, destroy_node, exec);
    return status;
}

static int run(int argc, char **argv) {
    static struct exec exec;
    int status = option_parse(&options, argc, argv, &exec);
    if (status != OPTION_GO_ON)
        return status;
    if (optind == argc) {
        text_complain("mux exec: which command? mux exec [OPTION...] -- COMMAND [ARGUMENT...]");
        return EXIT_USAGE;
    }
    exec.command = (const char *const *)argv + optind;
    if (!take_environment(&exec))
        return EXIT_USAGE;
    if (!exec.has_place && !stdout_takes_binary(&subcommand_exec))
        return EXIT_USAGE;
    if (!exec.has_place && !stdout_mend(&subcommand_exec))
        return EXIT_FAILED;
    log_open(&exec.log, "mux exec");
    status = run_command(&exec);
    log_close(&exec.log);
    return status;
}

const struct subcommand subcommand_exec = {"exec", "runs a command under control", run};
