/* muxd: one node as a daemon. Options, listeners, the upstream's places, signals; node.c does the
 * rest. */
#include "tools/muxd/muxd.h"

#include "tools/base/output.h"
#include "tools/base/standard.h"
#include "tools/muxd/stats.h"
#include "tools/node/identity.h"
#include "tools/node/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define EXIT_START_FAILED 1
#define EXIT_STATS_FAILED 74 /* EX_IOERR */
#define EXIT_NOT_ALL_SENT 75 /* EX_TEMPFAIL */

/* Of a path in a log line, so that the cause behind it has room. */
#define PATH_SHOWN_BYTES 800

void muxd_say(void *user, const char *line) {
    struct muxd *muxd = user;
    log_line(&muxd->log, line, loop_now_ns(&muxd->loop));
}

/* False: the counters are not where they were asked for. */
static bool write_stats(struct muxd *muxd) {
    const char *path = muxd->options.stats_file;
    char line[PATH_SHOWN_BYTES + 128];
    struct metrics metrics;
    metrics_take(&metrics, muxd->node, &muxd->loop);
    enum stats_result result = path ? stats_write(&metrics, path) : STATS_WRITTEN;
    if (result != STATS_WRITTEN) {
        const char *why =
            result == STATS_UNREAD ? "nobody reads this pipe: not written" : strerror(errno);
        snprintf(line, sizeof line, "--stats-json %.*s: %s", PATH_SHOWN_BYTES, path, why);
        muxd_say(muxd, line);
    }
    return result != STATS_FAILED;
}

/*
 * ---- signals ----
 */

/*
 * Whoever closes the terminal that we were started from means us, too; nobody else who sends HUP
 * does: then a file was renamed (logrotate).
 */
static void hang_up(void *user, int number, uint64_t now_ns) {
    struct muxd *muxd = user;
    const struct options *options = &muxd->options;
    (void)number, (void)now_ns;
    if (muxd->has_terminal)
        node_terminate(muxd->node, false);
    else if (options->upstream_given && options->upstream.endpoint.kind == ENDPOINT_FILE)
        node_reopen_upstream(muxd->node);
    else
        muxd_say(muxd, "HUP: no file is written to that could be opened again (TERM ends muxd)");
}

static void show_counters(void *user, int number, uint64_t now_ns) {
    (void)number, (void)now_ns;
    write_stats(user);
}

static void terminate(void *user, int number, uint64_t now_ns) {
    struct muxd *muxd = user;
    (void)now_ns;
    node_terminate(muxd->node, number == SIGINT);
}

/* Those that come before the loop runs are handed over then. nohup's HUP stays ignored. */
static bool catch_signals(struct muxd *muxd) {
    struct transport_failure failure;
    struct sigaction before;
    if (!signals_open(&muxd->signals, &failure)) {
        log_text(&muxd->log, "muxd: signals: %s: %s\n", failure.operation, strerror(failure.error));
        return false;
    }
    signals_catch(&muxd->signals, SIGTERM, terminate, muxd);
    signals_catch(&muxd->signals, SIGINT, terminate, muxd);
    signals_catch(&muxd->signals, SIGUSR1, show_counters, muxd);
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        signals_catch(&muxd->signals, SIGHUP, hang_up, muxd);
    return true;
}

static bool watch_signals(struct muxd *muxd) {
    struct transport_failure failure;
    if (signals_watch(&muxd->signals, &muxd->loop, &failure))
        return true;
    log_text(&muxd->log, "muxd: signals: %s: %s\n", failure.operation, strerror(failure.error));
    return false;
}

/*
 * ---- what the node asks for ----
 */

static bool peer_allowed(void *user, const struct transport_peer *peer) {
    struct muxd *muxd = user;
    return allow_has(&muxd->options.allow, &peer->address);
}

static enum mux_taking take(void *user, const struct mux_packet *packet) {
    struct muxd *muxd = user;
    return orders_take(&muxd->orders, packet);
}

static bool show_packet(void *user, const char *segment, const struct mux_packet *packet) {
    struct muxd *muxd = user;
    summary_link_packet(muxd->summary, segment, packet, loop_now_ns(&muxd->loop));
    return true;
}

static void show_link(void *user, const char *segment, const char *peer, bool came) {
    struct muxd *muxd = user;
    summary_worker(muxd->summary, segment, peer, came);
}

/* False: nothing can be listened on. */
static bool listens(struct muxd *muxd, enum listeners_state state) {
    if (state == LISTENERS_OPEN && !muxd->serves) {
        muxd->serves = true;
        node_begin_upstream(muxd->node);
    }
    return state != LISTENERS_FAILED;
}

static void listening_settled(void *user, enum listeners_state state) {
    struct muxd *muxd = user;
    if (listens(muxd, state))
        return;
    muxd->deaf = true;
    node_terminate(muxd->node, true);
}

static void stop_listening(void *user) {
    struct muxd *muxd = user;
    if (muxd->listeners)
        listeners_stop(muxd->listeners);
}

/*
 * ---- the spool ----
 */

static void do_spool(void *user, const struct mux_spool_op *op) {
    struct muxd *muxd = user;
    spool_disk_do(muxd->spool, op);
}

static void spool_done(void *user, size_t bytes, const char *why) {
    struct muxd *muxd = user;
    node_spool_done(muxd->node, bytes, why);
    node_spool_next(muxd->node);
}

static bool spool_found(void *user, const struct mux_spool_head *head, uint64_t len_bytes) {
    struct muxd *muxd = user;
    return node_spool_found(muxd->node, head, len_bytes);
}

/* Before anything else: who has its folder already must not start. */
static bool open_spool(struct muxd *muxd) {
    const struct options *options = &muxd->options;
    const struct spool_disk_config config = {options->spool, muxd, muxd_say, spool_done};
    char why[256];
    if (!options->spool)
        return true;
    muxd->spool = spool_disk_open(&config, why, sizeof why);
    if (!muxd->spool)
        log_text(&muxd->log, "muxd: --spool %.*s: %s\n", PATH_SHOWN_BYTES, options->spool, why);
    return muxd->spool != NULL;
}

/* The node is there. */
static bool start_spool(struct muxd *muxd) {
    struct transport_failure failure;
    char why[256];
    if (!muxd->spool)
        return true;
    bool is_found = spool_disk_find(muxd->spool, spool_found, why, sizeof why);
    if (is_found && spool_disk_start(muxd->spool, &muxd->loop, &failure))
        return true;
    if (is_found)
        snprintf(why, sizeof why, "%s: %s", failure.operation, strerror(failure.error));
    log_text(&muxd->log, "muxd: --spool %.*s: %s\n", PATH_SHOWN_BYTES, muxd->options.spool, why);
    return false;
}

/*
 * ---- the screen: drawn after packets have come, and as time goes by ----
 */

static uint64_t screen_deadline_ns(const struct loop_client *client) {
    return LOOP_OWNER(client, struct muxd, screen_draws)->screen_draws_at_ns;
}

static void draw_screen(struct loop_client *client, uint64_t now_ns) {
    struct muxd *muxd = LOOP_OWNER(client, struct muxd, screen_draws);
    muxd->screen_draws_at_ns = summary_tick(muxd->summary, now_ns);
}

/*
 * ---- start ----
 */

static const char distrust[] =
    "it comes over a network, where anybody could send some: muxd takes and passes on orders and "
    "jobs from a unix socket (ssh -L forwards one) or a pipe, or with --trust-network";

static bool trusts_upstream(const struct options *options) {
    return options->trusts_network || !muxd_upstream_is_place(options) ||
           place_is_private(&options->upstream);
}

static void init_orders(struct muxd *muxd) {
    const struct orders_config config = {
        .loop = &muxd->loop,
        .distrust = trusts_upstream(&muxd->options) ? NULL : distrust,
    };
    orders_init(&muxd->orders, &config);
}

static bool start_node(struct muxd *muxd) {
    const struct options *options = &muxd->options;
    struct node_config config = {
        .loop = &muxd->loop,
        .mux = {.memory = muxd->stacks.memory,
                .links_max = options->links_max,
                .segment_by = options->segment_by,
                .upstream_is_node = options->upstream.is_node,
                .window_bytes = muxd->summary ? 0 : options->window_bytes,
                .spool = {options->spool ? options->spool_most_bytes : 0, options->spool_sync},
                .node_grace_ns = options->node_grace_ns,
                .clock_correct = options->clock_correct,
                .clock_stamp = options->clock_stamp},
        .drain_timeout_ns = options->drain_timeout_ns,
        .exit_after_links = options->exit_after_links,
        .exit_when_idle = muxd->stdin_taken && options->listen_count == 1,
        .upstream_retry =
            options->upstream_given && options->upstream.endpoint.kind != ENDPOINT_STDIO,
        .upstream_text = options->upstream_given ? muxd->upstream_text : "stdout",
        .user = muxd,
        .log = muxd_say,
        .upstream_addresses = muxd_upstream_is_place(options) ? muxd_upstream_addresses : NULL,
        .connect = muxd_connect_upstream,
        .open_upstream = muxd_open_upstream,
        .record = muxd->has_journal ? muxd_record : NULL,
        .sent = muxd->has_journal && options->syncs ? muxd_sent : NULL,
        .rest = muxd->has_journal ? muxd_rest : NULL,
        .sink = muxd->summary ? show_packet : NULL,
        .show_link = muxd->summary ? show_link : NULL,
        .spool = options->spool ? do_spool : NULL,
        .take = take,
        .upstream_waits = true,
        .stop_listening = stop_listening,
        .allowed = peer_allowed,
    };
    identity_draw(&config, NULL);
    init_orders(muxd);
    muxd->node = node_create(&config);
    if (!muxd->node) {
        log_text(&muxd->log, "muxd: out of memory for %u links\n", options->links_max);
        return false;
    }
    if (!muxd_follow_journal(muxd))
        return false;
    orders_open(&muxd->orders, muxd->node);
    muxd->log.suppressed_total =
        &node_core_counters(muxd->node)->value[MUX_COUNT_log_lines_suppressed];
    muxd->screen_draws =
        (struct loop_client){.deadline_ns = screen_deadline_ns, .work = draw_screen};
    if (muxd->summary)
        loop_join(&muxd->loop, &muxd->screen_draws); /* behind the node, whose packets it shows */
    return true;
}

static bool listen_on_stdin(struct muxd *muxd) {
    char why[256];
    if (isatty(STDIN_FILENO))
        log_text(&muxd->log, "muxd: reading a subunit stream from the terminal\n");
    const struct loop_descriptors descriptors = {STDIN_FILENO, -1, true, TRANSPORT_POOL_SHARED,
                                                 "stdin"};
    struct transport_conn *conn = muxd_attach(muxd, &descriptors, NULL, why, sizeof why);
    if (!conn)
        log_text(&muxd->log, "muxd: --listen -: %s\n", why);
    return conn && node_adopt(muxd->node, &(struct node_adoption){.conn = conn});
}

/* Its mode lets this user connect, or also a group. */
static bool open_control(struct muxd *muxd) {
    const struct options *options = &muxd->options;
    struct transport_address address;
    struct transport_failure failure;
    char why[ENDPOINT_TEXT_BYTES];
    if (!options->control_given)
        return true;
    if (!endpoint_resolve(&options->control, true, &address, 1, why, sizeof why)) {
        log_text(&muxd->log, "muxd: --control %s: %s\n", options->control.text, why);
        return false;
    }
    address.mode_given = true;
    address.mode = options->control_group_given ? 0660 : 0600;
    address.group_given = options->control_group_given;
    address.group = options->control_group;
    const struct control_config config = {.loop = &muxd->loop,
                                          .node = muxd->node,
                                          .orders = &muxd->orders,
                                          .version = MUXD_VERSION,
                                          .address = &address};
    muxd->control = control_open(&config, &failure);
    if (!muxd->control)
        log_text(&muxd->log, "muxd: --control %s: %s: %s\n", options->control.text,
                 failure.operation, strerror(failure.error));
    return muxd->control != NULL;
}

static bool listen_everywhere(struct muxd *muxd) {
    if (muxd->stdin_taken && !listen_on_stdin(muxd))
        return false;
    const struct options *options = &muxd->options;
    const struct listeners_config config = {
        .loop = &muxd->loop,
        .handler = node_listening(muxd->node),
        .settled = listening_settled,
        .user = muxd,
        .endpoints = options->listen,
        .count = options->listen_count,
        .mode_given = options->listen_mode_given,
        .group_given = options->listen_group_given,
        .mode = options->listen_mode,
        .group = options->listen_group,
        .anybody = options->allow.count == 0,
    };
    muxd->listeners = listeners_create(&config, &muxd->stacks, &muxd->log);
    return muxd->listeners && listens(muxd, listeners_look(muxd->listeners));
}

/*
 * Binary never reaches a terminal: without an upstream, or with "-", people see lines there.
 */
static bool choose_screen(struct muxd *muxd) {
    const struct options *options = &muxd->options;
    bool to_stdout = !options->upstream_given || options->upstream.endpoint.kind == ENDPOINT_STDIO;
    if (!to_stdout || !isatty(STDOUT_FILENO))
        return true;
    muxd->summary = summary_create(loop_now_ns(&muxd->loop));
    if (muxd->summary && options->control_given)
        summary_set_control(muxd->summary, options->control.text);
    return muxd->summary != NULL;
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
    bool is_way_down = options->upstream_given && options->upstream.endpoint.kind == ENDPOINT_STDIO;
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

static bool start(struct muxd *muxd) {
    muxd->has_terminal = has_terminal();
    for (unsigned i = 0; i < muxd->options.listen_count; i++)
        muxd->stdin_taken |= muxd->options.listen[i].kind == ENDPOINT_STDIO;
    if (!(muxd_check_upstream(muxd) && check_stdin(muxd) && check_stats(muxd) &&
          muxd_raise_descriptor_limit(muxd) && catch_signals(muxd) && open_spool(muxd) &&
          muxd_start_stacks(muxd) && choose_screen(muxd) && start_node(muxd) && start_spool(muxd) &&
          watch_signals(muxd)))
        return false;
    muxd_resolve_upstream(muxd);
    return open_control(muxd) && listen_everywhere(muxd);
}

/* What is on the loop beside the node is closed; connections whose last event is due, awaited. */
static void leave_loop(struct muxd *muxd) {
    muxd_stop_upstream(muxd);
    if (muxd->listeners)
        listeners_stop(muxd->listeners);
    if (muxd->signals.owners[SIGTERM].caught)
        signals_close(&muxd->signals);
    if (muxd->spool)
        spool_disk_close(muxd->spool);
    if (muxd->control)
        control_close(muxd->control);
    while (muxd->loop.orphans || (muxd->control && !control_is_closed(muxd->control)))
        loop_step(&muxd->loop);
    if (muxd->control)
        control_destroy(muxd->control);
}

/* It gives back the buffers that it has. */
static void destroy_node(void *user) {
    struct muxd *muxd = user;
    if (muxd->node)
        node_destroy(muxd->node);
}

static void stop(struct muxd *muxd) {
    leave_loop(muxd);
    stacks_stop(&muxd->stacks, destroy_node, muxd);
    if (muxd->listeners)
        listeners_destroy(muxd->listeners);
}

/* What people were to see could not be shown to its end. */
static bool finish_screen(struct muxd *muxd) {
    if (!muxd->stacks.transport || summary_finish(muxd->summary, loop_now_ns(&muxd->loop)))
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
    log_open(&muxd.log, "muxd");
    status = EXIT_START_FAILED;
    bool started = start(&muxd);
    if (!started && muxd.node)
        node_terminate(muxd.node, true);
    while (muxd.node && !node_has_ended(muxd.node))
        loop_step(&muxd.loop);
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
