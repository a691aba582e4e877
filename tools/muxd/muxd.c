/* muxd: one node as a daemon. Options, listeners, the upstream's places, signals; node.c does the
 * rest. */
#include "tools/base/log.h"
#include "tools/base/output.h"
#include "tools/base/random.h"
#include "tools/base/standard.h"
#include "tools/muxd/options.h"
#include "tools/muxd/outfile.h"
#include "tools/muxd/stats.h"
#include "tools/node/dialer.h"
#include "tools/node/listeners.h"
#include "tools/node/node.h"
#include "tools/node/resolver.h"
#include "tools/node/stacks.h"
#include "tools/results/screen.h"
#include "transport/call.h"
#include "transport/stack.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define EXIT_START_FAILED 1
#define EXIT_STATS_FAILED 74 /* EX_IOERR */
#define EXIT_NOT_ALL_SENT 75 /* EX_TEMPFAIL */

/* Descriptors besides connections: listeners, the stacks', files. */
#define OTHER_DESCRIPTORS (LISTENERS_MAX + 256)
/* Standard ones, signals, the stacks', a listener, the upstream, a look-up, a file, few links. */
#define DESCRIPTORS_LEAST 24

/* Of a path in a log line, so that the cause behind it has room. */
#define PATH_SHOWN_BYTES 800

/* How often a log that nobody reads is tried. */
#define LOG_RETRY_NS 200000000u

struct muxd {
    struct node_conn signals; /* first: see handle_signals() */
    struct transport_conn *signals_conn;
    uint8_t signals_room[16]; /* received into, so that no lack of buffers keeps a signal waiting */
    struct options options;
    struct log log;
    struct stacks stacks;
    struct node *node;
    struct listeners *listeners;
    bool serves; /* something is listened on, or will be: the upstream is opened */
    bool deaf;   /* nothing could be listened on */
    struct screen *screen;
    bool stdin_taken;          /* by --listen - */
    bool has_terminal;         /* a controlling one, when it was started */
    struct resolver *resolver; /* of the upstream's name; NULL: it has none */
};

/*
 * ---- signals: a handler writes the number into a pipe that the transport reads ----
 */

static int signal_pipe[2];

static void on_signal(int number) {
    int error = errno;
    unsigned char byte = (unsigned char)number;
    ssize_t ignored = write(signal_pipe[1], &byte, 1);
    (void)ignored; /* a full pipe holds signals enough */
    errno = error;
}

static void say(void *user, const char *line) {
    struct muxd *muxd = user;
    log_line(&muxd->log, line, muxd->stacks.ops->now_ns(muxd->stacks.transport));
}

/* False: the counters are not where they were asked for. */
static bool write_stats(struct muxd *muxd) {
    const char *path = muxd->options.stats_file;
    char line[PATH_SHOWN_BYTES + 128];
    struct transport_count counts[TRANSPORT_COUNTS_MAX];
    const struct stacks *stacks = &muxd->stacks;
    unsigned count = stacks->ops->counts ? stacks->ops->counts(stacks->transport, counts) : 0;
    enum stats_result result =
        path ? stats_write(node_counters(muxd->node), counts, count, path) : STATS_WRITTEN;
    if (result != STATS_WRITTEN) {
        const char *why =
            result == STATS_UNREAD ? "nobody reads this pipe: not written" : strerror(errno);
        snprintf(line, sizeof line, "--stats-json %.*s: %s", PATH_SHOWN_BYTES, path, why);
        say(muxd, line);
    }
    return result != STATS_FAILED;
}

static void receive_signals(struct muxd *muxd) {
    transport_receive(muxd->signals_conn, true);
    transport_receive_into(muxd->signals_conn,
                           (struct mux_room){muxd->signals_room, sizeof muxd->signals_room});
}

/*
 * Whoever closes the terminal that we were started from means us, too; nobody else who sends HUP
 * does: then a file was renamed (logrotate).
 */
static void hang_up(struct muxd *muxd, struct node *node) {
    const struct options *options = &muxd->options;
    if (muxd->has_terminal)
        node_terminate(node, false);
    else if (options->upstream_given && options->upstream.kind == ENDPOINT_FILE)
        node_reopen_upstream(node);
    else
        say(muxd, "HUP: no file is written to that could be opened again (TERM ends muxd)");
}

/* Nobody could end it in order any more: it ends by itself. */
static void lost_signals(struct muxd *muxd, struct node *node,
                         const struct transport_event *event) {
    char line[128];
    snprintf(line, sizeof line, "signals cannot be heard (%s: %s): ending as at TERM",
             event->operation, strerror(event->error));
    say(muxd, line);
    node_terminate(node, false);
}

static void handle_signals(struct node *node, struct node_conn *conn,
                           const struct transport_event *event, uint64_t now_ns) {
    struct muxd *muxd = (struct muxd *)conn;
    (void)now_ns;
    if (event->kind == TRANSPORT_LOST)
        lost_signals(muxd, node, event);
    if (event->kind != TRANSPORT_RECEIVED)
        return;
    for (size_t i = 0; i < event->bytes.len; i++) {
        if (event->bytes.data[i] == SIGUSR1)
            write_stats(muxd);
        else if (event->bytes.data[i] == SIGHUP)
            hang_up(muxd, node);
        else
            node_terminate(node, event->bytes.data[i] == SIGINT);
    }
    if (event->buffer)
        mux_buffer_release(event->buffer);
    receive_signals(muxd);
}

static bool catch_signals(struct muxd *muxd) {
    if (call_pipe(signal_pipe) < 0) {
        log_text(&muxd->log, "muxd: signals: pipe: %s\n", strerror(errno));
        return false;
    }
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    struct sigaction hang_up;
    if (sigaction(SIGHUP, NULL, &hang_up) == 0 && hang_up.sa_handler != SIG_IGN) /* nohup */
        sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    return true;
}

/*
 * ---- what the node asks for ----
 */

static bool peer_allowed(void *user, const struct transport_peer *peer) {
    struct muxd *muxd = user;
    return allow_has(&muxd->options.allow, &peer->address);
}

static void show_packets(void *user, const struct mux_gather *packets) {
    struct muxd *muxd = user;
    screen_packets(muxd->screen, packets, muxd->stacks.ops->now_ns(muxd->stacks.transport));
}

static void show_link(void *user, const char *segment, const char *peer, bool came) {
    struct muxd *muxd = user;
    summary_worker(screen_summary(muxd->screen), segment, peer, came);
}

/* Called again and again, first at the start: then false means that the start has failed. */
static bool listen_where_possible(struct muxd *muxd, uint64_t now_ns, uint64_t *next_ns) {
    enum listeners_state state = listeners_tick(muxd->listeners, now_ns, next_ns);
    if (state == LISTENERS_OPEN && !muxd->serves) {
        muxd->serves = true;
        node_begin_upstream(muxd->node);
    }
    return state != LISTENERS_FAILED;
}

static void stop_listening(void *user) {
    struct muxd *muxd = user;
    if (muxd->listeners)
        listeners_stop(muxd->listeners);
}

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* What nobody read when it was written is tried again, and what could not be listened on. */
static uint64_t tick(void *user, uint64_t now_ns) {
    struct muxd *muxd = user;
    uint64_t listen_ns = UINT64_MAX;
    if (muxd->listeners && !muxd->deaf && !listen_where_possible(muxd, now_ns, &listen_ns)) {
        muxd->deaf = true;
        node_terminate(muxd->node, true);
    }
    uint64_t log_ns = outlet_flush(&muxd->log.outlet) ? UINT64_MAX : now_ns + LOG_RETRY_NS;
    uint64_t screen_ns =
        muxd->screen ? summary_tick(screen_summary(muxd->screen), now_ns) : UINT64_MAX;
    return least(listen_ns, least(log_ns, screen_ns));
}

static struct transport_conn *attach(struct muxd *muxd, int in, int out, bool borrowed,
                                     enum transport_pool pool, const char *name, void *conn_user,
                                     char *why, size_t why_bytes) {
    struct transport_failure failure;
    struct transport_conn *conn = muxd->stacks.ops->attach(
        muxd->stacks.transport, in, out, borrowed, pool, name, conn_user, &failure);
    if (!conn)
        snprintf(why, why_bytes, "%s: %s", failure.operation, strerror(failure.error));
    return conn;
}

/* What was there before must not swallow what is appended. */
static bool mend_file(struct muxd *muxd, int fd, const char *name, char *why, size_t why_bytes) {
    char line[PATH_MAX + 256];
    if (!outfile_mend(fd, why, why_bytes))
        return false;
    snprintf(line, sizeof line, "upstream %s: %s", name, why);
    if (*why)
        say(muxd, line);
    return true;
}

static struct transport_conn *open_file(struct muxd *muxd, void *conn_user, char *why,
                                        size_t why_bytes) {
    const char *path = muxd->options.upstream.name;
    int fd = outfile_open(path, why, why_bytes);
    struct transport_conn *conn = NULL;
    if (fd >= 0 && mend_file(muxd, fd, muxd->options.upstream.text, why, why_bytes))
        conn = attach(muxd, -1, fd, false, TRANSPORT_POOL_RESERVE, path, conn_user, why, why_bytes);
    if (!conn && fd >= 0)
        close(fd);
    return conn;
}

static unsigned upstream_addresses(void *user, struct transport_address *addresses, char *why,
                                   size_t why_bytes) {
    struct muxd *muxd = user;
    return resolver_addresses(muxd->resolver, addresses, DIALER_ADDRESSES_MAX, why, why_bytes);
}

static struct transport_conn *connect_upstream(void *user, const struct transport_address *address,
                                               void *conn_user, struct transport_failure *failure) {
    struct muxd *muxd = user;
    return muxd->stacks.ops->connect(muxd->stacks.transport, address, conn_user, failure);
}

/* stdin, when it was asked for by "-", unless workers write to it or a person does. */
static int way_down(const struct muxd *muxd) {
    bool is_asked_for = muxd->options.upstream_given && !muxd->stdin_taken;
    return is_asked_for && !isatty(STDIN_FILENO) ? STDIN_FILENO : -1;
}

static struct transport_conn *open_stdout(struct muxd *muxd, void *conn_user, char *why,
                                          size_t why_bytes) {
    if (!mend_file(muxd, STDOUT_FILENO, "stdout", why, why_bytes))
        return NULL;
    return attach(muxd, way_down(muxd), STDOUT_FILENO, true, TRANSPORT_POOL_RESERVE, "stdout",
                  conn_user, why, why_bytes);
}

static struct transport_conn *open_upstream(void *user, void *conn_user, char *why,
                                            size_t why_bytes) {
    struct muxd *muxd = user;
    const struct options *options = &muxd->options;
    if (options->upstream_given && options->upstream.kind == ENDPOINT_FILE)
        return open_file(muxd, conn_user, why, why_bytes);
    return open_stdout(muxd, conn_user, why, why_bytes);
}

/*
 * ---- start ----
 */

/* As many descriptors as --max-links needs, if the hard limit has them. */
static bool raise_descriptor_limit(struct muxd *muxd) {
    struct rlimit limit;
    rlim_t wanted = muxd->options.links_max + OTHER_DESCRIPTORS;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
        return true;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < wanted)
        log_text(&muxd->log, "muxd: the limit of open files (%llu) allows fewer than %u links\n",
                 (unsigned long long)limit.rlim_cur, muxd->options.links_max);
    if (limit.rlim_cur >= DESCRIPTORS_LEAST)
        return true;
    log_text(&muxd->log, "muxd: it needs at least %d: ulimit -n %d\n", DESCRIPTORS_LEAST,
             DESCRIPTORS_LEAST);
    return false;
}

/* An identity that no other node has, nor this one when it is started again. */
static void introduce(struct node_config *config) {
    uint64_t random[6];
    char identity[MUX_IDENTITY_BYTES], name[MUX_NODE_NAME_BYTES] = "";
    random_fill(random, sizeof random);
    snprintf(identity, sizeof identity, "%016" PRIx64 "%016" PRIx64, random[0], random[1]);
    gethostname(name, sizeof name - 1);
    mux_hello_init(&config->mux.hello, identity, name);
    config->seed = random[2];
    config->mux.hash_key = random[3];
    config->mux.secret[0] = random[4];
    config->mux.secret[1] = random[5];
}

/* Is the upstream one that is connected to? */
static bool has_places(const struct options *options) {
    return options->upstream_given && endpoint_is_address(&options->upstream);
}

static bool start_node(struct muxd *muxd) {
    const struct options *options = &muxd->options;
    struct node_config config = {
        .ops = muxd->stacks.ops,
        .transport = muxd->stacks.transport,
        .mux = {.memory = muxd->stacks.memory,
                .links_max = options->links_max,
                .segment_by = options->segment_by,
                .upstream_is_node = options->upstream_is_node,
                .node_grace_ns = options->node_grace_ns},
        .drain_timeout_ns = options->drain_timeout_ns,
        .exit_after_links = options->exit_after_links,
        .exit_when_idle = muxd->stdin_taken && options->listen_count == 1,
        .upstream_retry = options->upstream_given && options->upstream.kind != ENDPOINT_STDIO,
        .upstream_text = options->upstream_given ? options->upstream.text : "stdout",
        .user = muxd,
        .log = say,
        .upstream_addresses = has_places(options) ? upstream_addresses : NULL,
        .connect = connect_upstream,
        .open_upstream = open_upstream,
        .show = muxd->screen ? show_packets : NULL,
        .show_link = muxd->screen ? show_link : NULL,
        .upstream_waits = true,
        .tick = tick,
        .stop_listening = stop_listening,
        .allowed = peer_allowed,
    };
    introduce(&config);
    muxd->node = node_create(&config);
    if (muxd->node)
        muxd->log.suppressed_total =
            &node_counters(muxd->node)->value[MUX_COUNT_log_lines_suppressed];
    else
        log_text(&muxd->log, "muxd: out of memory for %u links\n", options->links_max);
    return muxd->node != NULL;
}

static bool listen_on_stdin(struct muxd *muxd) {
    char why[256];
    if (isatty(STDIN_FILENO))
        log_text(&muxd->log, "muxd: reading a subunit stream from the terminal\n");
    struct transport_conn *conn =
        attach(muxd, STDIN_FILENO, -1, true, TRANSPORT_POOL_SHARED, "stdin", NULL, why, sizeof why);
    if (!conn)
        log_text(&muxd->log, "muxd: --listen -: %s\n", why);
    return conn && node_adopt(muxd->node, conn, false);
}

static bool listen_everywhere(struct muxd *muxd) {
    uint64_t next_ns;
    if (muxd->stdin_taken && !listen_on_stdin(muxd))
        return false;
    const struct options *options = &muxd->options;
    const struct listeners_config config = {
        .endpoints = options->listen,
        .count = options->listen_count,
        .mode_given = options->listen_mode_given,
        .group_given = options->listen_group_given,
        .mode = options->listen_mode,
        .group = options->listen_group,
        .anybody = options->allow.count == 0,
    };
    muxd->listeners = listeners_create(&config, &muxd->stacks, &muxd->log);
    return muxd->listeners &&
           listen_where_possible(muxd, muxd->stacks.ops->now_ns(muxd->stacks.transport), &next_ns);
}

/*
 * Binary never reaches a terminal: without an upstream, or with "-", people see lines there.
 */
static bool choose_screen(struct muxd *muxd) {
    const struct options *options = &muxd->options;
    bool to_stdout = !options->upstream_given || options->upstream.kind == ENDPOINT_STDIO;
    if (!to_stdout || !isatty(STDOUT_FILENO))
        return true;
    muxd->screen = screen_create(muxd->stacks.ops->now_ns(muxd->stacks.transport));
    return muxd->screen != NULL;
}

static bool resolve_upstream(struct muxd *muxd) {
    const struct endpoint *upstream = &muxd->options.upstream;
    if (!has_places(&muxd->options))
        return true;
    muxd->resolver = resolver_start(upstream);
    if (!muxd->resolver)
        log_text(&muxd->log, "muxd: --upstream %s: out of memory\n", upstream->text);
    else if (resolver_blocks(muxd->resolver))
        log_text(&muxd->log,
                 "muxd: no thread can be made (is clone3 forbidden?): while the name of %s is "
                 "looked up nothing else is done\n",
                 upstream->text);
    return muxd->resolver != NULL;
}

static bool watch_signals(struct muxd *muxd) {
    char why[256];
    muxd->signals.handle = handle_signals;
    muxd->signals_conn = attach(muxd, signal_pipe[0], -1, true, TRANSPORT_POOL_RESERVE, "signals",
                                &muxd->signals, why, sizeof why);
    if (!muxd->signals_conn) {
        log_text(&muxd->log, "muxd: signals: %s\n", why);
        return false;
    }
    receive_signals(muxd);
    return true;
}

static bool has_terminal(void) {
    int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* A stdin that was asked for and cannot be read is a mistake in how muxd was started. */
static bool check_stdin(struct muxd *muxd) {
    const struct options *options = &muxd->options;
    bool is_way_down = options->upstream_given && options->upstream.kind == ENDPOINT_STDIO;
    if ((!muxd->stdin_taken && !is_way_down) || standard_input_is_open())
        return true;
    if (muxd->stdin_taken)
        log_text(&muxd->log, "muxd: --listen -: " STANDARD_INPUT_CLOSED "\n");
    else
        log_text(&muxd->log, "muxd: --upstream -: " STANDARD_INPUT_CLOSED
                             ": leave --upstream out, or give muxd an empty stdin: </dev/null\n");
    return false;
}

/* A path that can never be written is known before workers have come. */
static bool check_stats(struct muxd *muxd) {
    const char *path = muxd->options.stats_file;
    if (!path || stats_try(path) != STATS_FAILED)
        return true;
    log_text(&muxd->log, "muxd: --stats-json '%.*s': %s\n", PATH_SHOWN_BYTES, path,
             *path ? strerror(errno) : "expected a file's name, or - for stdout");
    return false;
}

static bool start_stacks(struct muxd *muxd) {
    const struct options *options = &muxd->options;
    const struct stacks_config config = {
        .listen = options->listen,
        .listen_count = options->listen_count,
        .upstream = options->upstream_given ? &options->upstream : NULL,
        .io = options->io,
        .busy_poll_us = options->busy_poll_us,
        .memory_bytes = options->memory_bytes,
        .links_max = options->links_max,
        .allow = &options->allow,
    };
    return stacks_start(&muxd->stacks, &config, &muxd->log);
}

static bool start(struct muxd *muxd) {
    muxd->has_terminal = has_terminal();
    for (unsigned i = 0; i < muxd->options.listen_count; i++)
        muxd->stdin_taken |= muxd->options.listen[i].kind == ENDPOINT_STDIO;
    return check_stdin(muxd) && check_stats(muxd) && raise_descriptor_limit(muxd) &&
           catch_signals(muxd) && start_stacks(muxd) && choose_screen(muxd) && start_node(muxd) &&
           watch_signals(muxd) && resolve_upstream(muxd) && listen_everywhere(muxd);
}

/* A connection of our own: its last event is awaited, as for every other. */
static void close_own(struct muxd *muxd, struct transport_conn *conn) {
    struct transport_event event = {.kind = TRANSPORT_RECEIVED};
    if (!conn)
        return;
    transport_close(conn);
    while (event.kind != TRANSPORT_CLOSED)
        if (muxd->stacks.ops->poll(muxd->stacks.transport, UINT64_MAX, &event, 1) &&
            event.kind == TRANSPORT_RECEIVED && event.buffer)
            mux_buffer_release(event.buffer);
}

static void stop(struct muxd *muxd) {
    close_own(muxd, muxd->signals_conn);
    if (muxd->listeners)
        close_own(muxd, listeners_news(muxd->listeners));
    if (muxd->stacks.transport)
        muxd->stacks.ops->stop(muxd->stacks.transport);
    if (muxd->node)
        node_destroy(muxd->node);
    if (muxd->stacks.transport)
        muxd->stacks.ops->fini(muxd->stacks.transport);
    if (muxd->listeners)
        listeners_destroy(muxd->listeners);
    stacks_unmap(&muxd->stacks);
}

/* What people were to see could not be shown to its end. */
static bool finish_screen(struct muxd *muxd) {
    if (!muxd->stacks.transport ||
        screen_finish(muxd->screen, muxd->stacks.ops->now_ns(muxd->stacks.transport)))
        return true;
    log_text(&muxd->log, "muxd: stdout: %s\n", strerror(errno));
    return false;
}

int main(int argc, char **argv) {
    static struct muxd muxd;
    standard_descriptors_open();
    output_streams_open();
    int status = options_parse(&muxd.options, argc, argv);
    if (status >= 0) /* --help and the like */
        return output_flush("muxd") ? status : EXIT_START_FAILED;
    log_open(&muxd.log);
    status = EXIT_START_FAILED;
    bool started = start(&muxd);
    if (!started && muxd.node)
        node_terminate(muxd.node, true);
    while (muxd.node && node_step(muxd.node))
        ;
    bool shown = finish_screen(&muxd);
    if (started && !muxd.deaf) {
        bool counted = write_stats(&muxd);
        bool all_sent = node_all_sent(muxd.node) && !node_in_doubt(muxd.node) && shown;
        status = !all_sent ? EXIT_NOT_ALL_SENT : counted ? 0 : EXIT_STATS_FAILED;
    }
    stop(&muxd);
    log_close(&muxd.log);
    return status;
}
