/* mux exec: one command under control. */
#include "mux/packet/report.h"
#include "tools/agent/keeper.h"
#include "tools/agent/orphans.h"
#include "tools/agent/output.h"
#include "tools/agent/slot.h"
#include "tools/base/standard.h"
#include "tools/base/text.h"
#include "tools/mux/exec_options.h"
#include "tools/mux/mux.h"
#include "tools/node/answer.h"
#include "tools/node/dialer.h"
#include "tools/node/order.h"
#include "tools/node/station.h"
#include "tools/node/view.h"

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
#define RECEIVE_BYTES ((size_t)2 << 20)

/*
 * Of what a node above takes in bundles so much is kept until the end of the tree has it. With less
 * the end would acknowledge too late for the next to be sent.
 */
#define WINDOW_BYTES ((size_t)384 << 10)

/* An endpoint that is reached sooner than that, when the command has ended, is not spoken of. */
#define WAIT_IS_SAID_NS UINT64_C(5000000000)

/* stdout, stderr, the upstream and its attempts. */
#define LINKS 2
#define CONNS_MAX (DIALER_ATTEMPTS_MAX + 8)

/* What mux does, one after the other. */
enum phase {
    PHASE_RUN,     /* the command runs, until all of it is on its way up */
    PHASE_LAST,    /* --as-test: it has failed, and this was its last output */
    PHASE_VERDICT, /* --as-test: the test ends */
    PHASE_LEAVE,   /* what is on its way up goes out */
};

struct exec {
    struct exec_options options;
    struct station station;
    struct loop_client works;
    struct output output;
    struct slot slot;
    struct timespec begun;
    struct terminal_window window; /* that is to be said upwards; rows 0: none */
    struct order_answer answer;    /* to an order, likewise */
    bool has_answer;
    struct answer_names refused; /* a job, whose refusal is to be said, likewise */
    bool has_refused;
    enum phase phase;
    struct timer wait; /* for the endpoint, until it is said */
    int signal;        /* that mux itself got; 0: none */
    bool is_left;      /* --to -: stdin has ended, so nobody is there any more */
    bool is_cut_off;   /* the command was ended for that, or because nobody took its results */
};

/*
 * ---- what the node asks for ----
 */

static struct exec *exec_of(void *station) {
    return LOOP_OWNER(station, struct exec, station);
}

static void say(struct exec *exec, const char *line) {
    station_say(&exec->station, line);
}

/* A pipe's other end may have the way down, too. */
static struct transport_conn *open_stdout(void *user, struct loop_handler *handler, char *why,
                                          size_t why_bytes) {
    struct exec *exec = exec_of(user);
    struct transport_failure failure;
    const struct loop_descriptors descriptors = {
        .in = exec->options.is_pipe ? STDIN_FILENO : -1,
        .out = STDOUT_FILENO,
        .borrowed = true,
        .pool = TRANSPORT_POOL_RESERVE,
        .name = "stdout",
    };
    struct transport_conn *conn = loop_attach(&exec->station.loop, &descriptors, handler, &failure);
    if (!conn)
        snprintf(why, why_bytes, "%s: %s", failure.operation, strerror(failure.error));
    return conn;
}

static const char network_refusal[] =
    "it comes over a network; mux exec takes it from a unix socket (ssh -L forwards one), or with "
    "--trust-network";

/* Without a place it is a pipe. */
static bool trusts_upstream(const struct exec *exec) {
    return !exec->options.has_place || place_is_private(&exec->options.place) ||
           exec->options.trusts_network;
}

static enum mux_taking take_window(struct exec *exec, const struct mux_packet *packet) {
    struct terminal_window window;
    if (!trusts_upstream(exec))
        return MUX_TAKES; /* it comes with input, whose refusal is said */
    if (!terminal_window_parse(packet->file_content, &window))
        say(exec, "a muxd.window from above is no object with rows and columns: skipped");
    else if (exec->phase == PHASE_RUN && slot_resize(&exec->slot, window))
        exec->window = window; /* who looks at it is to know that it is a terminal */
    return MUX_TAKES;
}

/* NULL: it is done. Else why not. */
static const char *obey(struct exec *exec, const struct order *order) {
    if (!trusts_upstream(exec))
        return network_refusal;
    if (order->verb == ORDER_KICK)
        return "kick closes a link, and is carried out by the node above it, which is an older "
               "version";
    if (order->verb != ORDER_STOP)
        return "one command runs here, and no jobs are taken";
    if (exec->phase != PHASE_RUN)
        return "the command has ended";
    slot_stop(&exec->slot, "an order from above");
    return NULL;
}

static const char *job_refusal(const struct exec *exec) {
    return trusts_upstream(exec) ? "one command runs here, and no jobs are taken" : network_refusal;
}

static enum mux_taking take_job(struct exec *exec, const struct mux_packet *packet) {
    char line[READ_WHY_BYTES + 64];
    if (exec->has_refused)
        return MUX_TAKES_LATER;
    snprintf(line, sizeof line, "a job from above is refused: %s", job_refusal(exec));
    say(exec, line);
    exec->has_refused = answer_names_of(packet, &exec->refused);
    return MUX_TAKES;
}

/* One answer waits at a time. */
static enum mux_taking take_order(struct exec *exec, const struct mux_packet *packet) {
    struct order order;
    char text[READ_WHY_BYTES], line[READ_WHY_BYTES + 64];
    const char *why = text;
    if (exec->has_answer)
        return MUX_TAKES_LATER;
    bool is_read = order_parse(packet->file_content, &order, text);
    if (is_read && order.is_from_above)
        return MUX_TAKES; /* the nodes above drain: they ask for no answer, and nobody for jobs */
    if (packet->route.data)
        why = "nothing is below a command";
    else if (is_read)
        why = obey(exec, &order);
    snprintf(line, sizeof line, "an order from above is refused: %s", why ? why : "");
    if (why)
        say(exec, line);
    order_answer_make(&exec->answer, &order, false, why);
    exec->has_answer = *order.id;
    return MUX_TAKES;
}

/* Words of muxd itself; a worker's stdin needs none. */
static enum mux_taking take(void *user, const struct mux_packet *packet) {
    struct exec *exec = exec_of(user);
    if (mux_span_equal(packet->file_name, mux_span_text(ORDER_FILE)))
        return take_order(exec, packet);
    if (mux_span_equal(packet->file_name, mux_span_text(MESSAGE_JOB_FILE)))
        return take_job(exec, packet);
    if (!packet->route.data && mux_span_equal(packet->file_name, mux_span_text(VIEW_WINDOW_FILE)))
        return take_window(exec, packet);
    return MUX_TAKES_NOT;
}

/*
 * ---- one after the other ----
 */

static void say_wait(struct timer *timer, uint64_t now_ns) {
    struct exec *exec = LOOP_OWNER(timer, struct exec, wait);
    (void)now_ns;
    if (exec->options.has_place && !node_reaches_upstream(exec->station.node))
        text_complain("mux exec: the command has ended; %s is waited for, %g s at most "
                      "(--drain-timeout)",
                      exec->station.place_text, (double)exec->options.drain_timeout_ns / 1e9);
}

static void leave(struct exec *exec) {
    exec->phase = PHASE_LEAVE;
    loop_at(&exec->station.loop, &exec->wait, loop_now_ns(&exec->station.loop) + WAIT_IS_SAID_NS);
    node_terminate(exec->station.node, false);
}

static void slot_ended(struct slot *slot) {
    struct exec *exec = slot->config.user;
    exec->phase = PHASE_LAST;
}

/* Without --to the command reads what mux would; from a terminal it cannot, in another group. */
static int command_input(const struct exec *exec) {
    if (exec->options.input >= 0 || exec->options.has_place || exec->options.is_pipe)
        return exec->options.input;
    return isatty(STDIN_FILENO) ? open("/dev/null", O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
}

static void complain_of_start(const struct exec *exec) {
    const struct transport_failure *failure = &exec->slot.failure;
    bool enters = !failure->error || strcmp(failure->operation, "chdir") != 0;
    if (failure->error)
        text_complain("mux exec: %s: %s",
                      enters ? exec->options.command[0] : exec->options.directory,
                      strerror(failure->error));
}

/*
 * Nobody waits for the command any more: it ends as if it were told to, if it was not. An agent
 * that dies lets stdin end and sends a signal, in whatever order: together they are one word.
 */
static void cut_off(struct exec *exec, const char *why) {
    if (exec->is_cut_off || !child_runs(&exec->slot.child))
        return;
    exec->is_cut_off = true;
    text_complain("mux exec: %s: the command is ended", why);
    if (!exec->signal)
        slot_stop(&exec->slot, why);
}

static const char left[] = "stdin, by which packets come down, has ended";

/* What there is to say still goes out. */
static void down_ended(void *user) {
    struct exec *exec = exec_of(user);
    exec->is_left = true;
    if (exec->phase == PHASE_RUN)
        cut_off(exec, left);
}

static void start_command(struct exec *exec) {
    const struct slot_config config = {
        .loop = &exec->station.loop,
        .children = &exec->station.children,
        .output = &exec->output,
        .arguments = exec->options.command,
        .directory = exec->options.directory,
        .test = exec->options.as_test,
        .input = command_input(exec),
        .has_terminal = exec->options.has_terminal,
        .limits = exec->options.limits,
        .user = exec,
        .ended = slot_ended,
    };
    clock_gettime(CLOCK_REALTIME, &exec->begun);
    slot_start(&exec->slot, &config);
    complain_of_start(exec);
}

/* Many programs exit with 0 on TERM: one that had to be stopped has not done what it was to do. */
static bool command_succeeded(const struct exec *exec) {
    const struct slot *slot = &exec->slot;
    return slot_has_started(slot) && slot->end.exited && slot->end.status == 0 && !*slot->why;
}

/* Of the test that the command is. False: not now. */
static bool send_packet_of(struct exec *exec, struct timespec time, struct mux_packet *packet) {
    packet->runnable = true;
    packet->has_timestamp = true;
    packet->seconds = (uint32_t)time.tv_sec;
    packet->nanoseconds = (uint32_t)time.tv_nsec;
    packet->test_id = mux_span_text(exec->options.as_test);
    output_complete(&exec->output, packet);
    return node_add_up(exec->station.node, NULL, packet);
}

static bool send_packet(struct exec *exec, struct mux_packet *packet) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return send_packet_of(exec, now, packet);
}

/* Before anything of the command is read. */
static void announce(struct exec *exec) {
    struct mux_packet packet = {.status = MUX_STATUS_INPROGRESS};
    bool is_queued = !exec->options.as_test || send_packet_of(exec, exec->begun, &packet);
    assert(is_queued); /* the first packet has room */
}

static bool send_last_output(struct exec *exec) {
    char room[OUTPUT_LAST_ROOM_BYTES];
    struct mux_packet packet;
    const struct mux_span none = mux_span(NULL, 0);
    bool is_wanted = exec->options.as_test && !command_succeeded(exec);
    return !is_wanted || !output_last(&exec->output, none, none, room, &packet) ||
           send_packet(exec, &packet);
}

static bool send_failure(struct exec *exec) {
    char fate[SLOT_FATE_BYTES], reason[sizeof fate + sizeof exec->slot.why + 32];
    struct mux_packet packet;
    slot_fate(&exec->slot, fate);
    snprintf(reason, sizeof reason, "the command %s%s%s\n", fate, *exec->slot.why ? ": " : "",
             exec->slot.why);
    mask_text(&exec->options.output.mask, (uint8_t *)reason, strlen(reason));
    mux_report_message_event(MUX_STATUS_FAIL, mux_span_text(reason), mux_span(NULL, 0),
                             mux_span(NULL, 0), &packet);
    return send_packet(exec, &packet);
}

static bool send_verdict(struct exec *exec) {
    struct mux_packet packet = {.status = MUX_STATUS_SUCCESS};
    if (!exec->options.as_test)
        return true;
    return command_succeeded(exec) ? send_packet(exec, &packet) : send_failure(exec);
}

/* Says that the command's terminal has this size now. False: not now. */
static bool send_window(struct exec *exec) {
    char json[TERMINAL_WINDOW_BYTES];
    const struct mux_packet packet = {
        .runnable = true,
        .eof = true,
        .mime = mux_span_text("application/json"),
        .file_name = mux_span_text(VIEW_WINDOW_FILE),
        .file_content = mux_span(json, terminal_window_write(exec->window, json)),
    };
    return node_add_up(exec->station.node, NULL, &packet);
}

static bool send_answer(struct exec *exec) {
    struct order_message message;
    struct mux_packet packet;
    order_answer_put(&message, &exec->answer, &packet);
    return node_add_up(exec->station.node, NULL, &packet);
}

static bool send_refusal(struct exec *exec) {
    struct answer_message message;
    struct mux_packet packet;
    answer_put_refusal(&message, &exec->refused, job_refusal(exec), &packet);
    return node_add_up(exec->station.node, NULL, &packet);
}

static void work(struct loop_client *client, uint64_t now_ns) {
    struct exec *exec = LOOP_OWNER(client, struct exec, works);
    (void)now_ns;
    if (exec->window.rows && send_window(exec))
        exec->window.rows = 0;
    if (exec->has_answer && send_answer(exec))
        exec->has_answer = false;
    if (exec->has_refused && send_refusal(exec))
        exec->has_refused = false;
    if (exec->phase == PHASE_LAST && send_last_output(exec))
        exec->phase = PHASE_VERDICT;
    if (exec->phase == PHASE_VERDICT && send_verdict(exec))
        leave(exec);
}

static uint64_t work_deadline_ns(const struct loop_client *client) {
    const struct exec *exec = LOOP_OWNER(client, struct exec, works);
    bool is_quiet = exec->phase == PHASE_RUN || exec->phase == PHASE_LEAVE;
    return is_quiet && !exec->window.rows && !exec->has_answer && !exec->has_refused ? UINT64_MAX
                                                                                     : 0;
}

static void on_signal(void *user, int number, uint64_t now_ns) {
    struct exec *exec = user;
    char why[128];
    bool is_said = exec->is_cut_off && !exec->signal; /* see cut_off() */
    (void)now_ns;
    exec->signal = number;
    const char *name = sigabbrev_np(number);
    const char *told = number == SIGTERM ? keeper_why_text(signals_value(number)) : NULL;
    if (told)
        snprintf(why, sizeof why, "%s", told);
    else if (name)
        snprintf(why, sizeof why, "mux exec got SIG%s", name);
    else
        snprintf(why, sizeof why, "mux exec got signal %d", number);
    if (exec->phase == PHASE_RUN && !is_said)
        slot_stop(&exec->slot, why);
    else if (exec->phase != PHASE_RUN)
        node_terminate(exec->station.node, exec->phase == PHASE_LEAVE);
}

/*
 * ---- the start ----
 */

static size_t window_bytes(const struct exec *exec) {
    return exec->options.has_place && exec->options.place.is_node ? WINDOW_BYTES : 0;
}

static bool start_station(struct exec *exec) {
    struct stacks_config config = {
        .memory_bytes = MEMORY_BYTES,
        .owner_bytes = MUX_WINDOW_MEMORY_BYTES(window_bytes(exec)),
        .saves_memory = true,
        .receive_bytes = RECEIVE_BYTES,
        .conns_max = CONNS_MAX,
    };
    return station_start(&exec->station, &config);
}

static bool start_node(struct exec *exec) {
    struct node_config config = {
        .mux = {.links_max = LINKS,
                .editor = &exec->output.editor,
                .input_refusal = trusts_upstream(exec) ? NULL : network_refusal,
                .is_quiet = true,
                .window_bytes = window_bytes(exec),
                .window_saves_memory = true,
                .node_grace_ns = STATION_GRACE_NS},
        .drain_timeout_ns = exec->options.drain_timeout_ns,
        .take = take,
        .open_upstream = open_stdout,
        .down_ended = exec->options.is_pipe ? down_ended : NULL,
    };
    output_init(&exec->output, &exec->options.output);
    exec->station.name = exec->options.name;
    if (!station_make_node(&exec->station, &config))
        return false;
    exec->output.counters = node_core_counters(exec->station.node);
    exec->wait.run = say_wait;
    exec->works = (struct loop_client){.deadline_ns = work_deadline_ns, .work = work};
    loop_join(&exec->station.loop, &exec->works);
    return true;
}

/* Each signal that would end mux ends the command: all but KILL and those of faults of its own. */
static const int enders[] = {SIGTERM, SIGINT,    SIGHUP,  SIGQUIT,   SIGALRM, SIGUSR1, SIGUSR2,
                             SIGXCPU, SIGVTALRM, SIGPROF, SIGSTKFLT, SIGIO,   SIGPWR,  SIGXFSZ};

static void catch_signals(struct exec *exec) {
    struct signals *signals = &exec->station.signals;
    sigset_t all;
    for (unsigned i = 0; i < sizeof enders / sizeof *enders; i++)
        signals_catch(signals, enders[i], on_signal, exec);
    for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
        signals_catch(signals, number, on_signal, exec);
    sigfillset(&all); /* an agent holds TERM back until here */
    sigprocmask(SIG_UNBLOCK, &all, NULL);
}

static bool start(struct exec *exec) {
    const struct place *place = exec->options.has_place ? &exec->options.place : NULL;
    if (!orphans_adopt())
        text_complain("mux exec: daemons that the command starts cannot be killed: %s",
                      strerror(errno));
    if (!station_open(&exec->station, "mux exec", place))
        return false;
    catch_signals(exec);
    start_command(exec);
    if (!start_station(exec) || !start_node(exec)) {
        slot_abandon(&exec->slot);
        return false;
    }
    announce(exec);
    slot_follow(&exec->slot, exec->station.node);
    return true;
}

/*
 * ---- the end ----
 */

static int start_status(const struct exec *exec) {
    const struct transport_failure *failure = &exec->slot.failure;
    bool is_missing = failure->error == ENOENT && strcmp(failure->operation, "exec") == 0;
    return is_missing ? EXIT_NOT_FOUND : EXIT_NOT_RUNNABLE;
}

static int tests_status(const struct exec *exec) {
    const uint64_t *count = node_core_counters(exec->station.node)->value;
    if (count[MUX_COUNT_results_failed] || count[MUX_COUNT_tests_failed])
        return EXIT_TESTS_FAILED;
    if (count[MUX_COUNT_results] || exec->options.as_test || exec->options.allow_empty)
        return EXIT_FINE;
    text_complain("mux exec: no test ran (--allow-empty if none had to, --as-test if %s is one)",
                  exec->options.command[0]);
    return EXIT_NOTHING_RAN;
}

/* The truth, the worst first. */
static int exit_status(const struct exec *exec) {
    const struct child_end *end = &exec->slot.end;
    if (exec->signal)
        return EXIT_SIGNAL + exec->signal;
    if (!slot_has_started(&exec->slot))
        return start_status(exec);
    if (exec->is_cut_off)
        return EXIT_NOT_ALL_SENT;
    if (!end->exited)
        return EXIT_SIGNAL + end->signal;
    if (end->status)
        return end->status;
    if (*exec->slot.why)
        return EXIT_SIGNAL + SIGTERM;
    if (!station_all_sent(&exec->station))
        return EXIT_NOT_ALL_SENT;
    return tests_status(exec);
}

/* Nothing goes up any more. */
static void end_command(struct exec *exec) {
    cut_off(exec, "nobody takes its results");
    if (child_runs(&exec->slot.child))
        slot_forsake(&exec->slot);
    while (child_runs(&exec->slot.child))
        loop_step(&exec->station.loop);
}

static int run_command(struct exec *exec) {
    int status = EXIT_FAILED;
    if (start(exec)) {
        station_run(&exec->station);
        end_command(exec);
        status = exit_status(exec);
    }
    station_leave(&exec->station);
    return status;
}

static int run(int argc, char **argv) {
    static struct exec exec;
    int status = exec_options_parse(&exec.options, argc, argv);
    if (status != OPTION_GO_ON)
        return status;
    if (!exec.options.has_place && !stdout_takes_binary(&subcommand_exec))
        return EXIT_USAGE;
    if (!exec.options.has_place && !stdout_mend(&subcommand_exec))
        return EXIT_FAILED;
    return run_command(&exec);
}

const struct subcommand subcommand_exec = {"exec", "runs a command under control", run,
                                           .is_short = true};
