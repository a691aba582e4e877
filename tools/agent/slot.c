#include "tools/agent/slot.h"
#include "tools/agent/exit_event.h"
#include "tools/agent/orphans.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NS_PER_MS UINT64_C(1000000)

/* How often the limits are looked at, at most and at least; between, ten times a limit. */
#define LOOK_LEAST_NS (10 * NS_PER_MS)
#define LOOK_MOST_NS (1000 * NS_PER_MS)

/*
 * After the command's end another process may still hold its pipes. What it writes within this time
 * is read, then they are closed.
 */
#define LINGER_NS (250 * NS_PER_MS)

/* Of a test's id in a reason. */
#define NAME_SHOWN_BYTES 160

static void set_state(struct slot *slot, enum slot_state state) {
    assert(state > slot->state);
    slot->state = state;
}

/*
 * ---- the end ----
 */

/* "exited with status 3", "was killed by SIGSEGV (core dumped)". */
static void end_text(const struct slot *slot, char *out, size_t out_bytes) {
    const struct child_end *end = &slot->end;
    if (end->exited)
        snprintf(out, out_bytes, "exited with status %d", end->status);
    else
        snprintf(out, out_bytes, "was killed by SIG%s%s", sigabbrev_np(end->signal),
                 end->core ? " (core dumped)" : "");
}

static void end_stream(struct slot_stream *stream, const char *reason) {
    if (stream->link)
        node_end_adopted(stream->link, reason);
}

/* Both its streams are read to their end, and its fate is known. */
static void close_streams(struct slot *slot) {
    char text[128], reason[sizeof slot->why + sizeof text + sizeof "it : "];
    set_state(slot, SLOT_CLOSING);
    loop_cancel(slot->config.loop, &slot->looks);
    loop_cancel(slot->config.loop, &slot->escalate);
    end_text(slot, text, sizeof text);
    snprintf(reason, sizeof reason, "it %s%s%s", text, *slot->why ? ": " : "", slot->why);
    end_stream(&slot->err, reason);
    end_stream(&slot->out, reason);
}

static void advance(struct slot *slot) {
    if (slot->state == SLOT_READING && slot->out.ended && slot->err.ended)
        close_streams(slot);
    if (slot->state == SLOT_CLOSING && !slot->out.link && !slot->err.link)
        set_state(slot, SLOT_REPORTING);
}

static void stream_ended(void *user) {
    struct slot_stream *stream = user;
    stream->ended = true;
    advance(stream->slot);
}

static void stream_gone(void *user) {
    struct slot_stream *stream = user;
    stream->link = NULL;
    stream->ended = true;
    advance(stream->slot);
}

static const struct node_owner owner = {.ended = stream_ended, .gone = stream_gone};

static uint64_t reports_deadline_ns(const struct loop_client *client) {
    const struct slot *slot = LOOP_OWNER(client, struct slot, reports);
    return slot->state == SLOT_REPORTING ? 0 : UINT64_MAX;
}

static void report(struct loop_client *client, uint64_t now_ns) {
    struct slot *slot = LOOP_OWNER(client, struct slot, reports);
    struct exit_event event;
    struct mux_packet packet;
    (void)now_ns;
    if (slot->state != SLOT_REPORTING)
        return;
    exit_event_make(&event, slot, &packet);
    if (!node_add_up(slot->config.node, NULL, &packet))
        return;
    set_state(slot, SLOT_ENDED);
    loop_leave(&slot->reports);
    slot->config.ended(slot);
}

/* Reads on while something is there; what another process holds open is left after a while. */
static void look_for_rest(struct slot *slot, uint64_t now_ns) {
    bool has_more = (slot->out.link && node_link_unread(slot->out.link)) ||
                    (slot->err.link && node_link_unread(slot->err.link));
    if (has_more)
        loop_at(slot->config.loop, &slot->looks, now_ns + LINGER_NS);
    else
        close_streams(slot);
}

static void command_ended(struct child *child, const struct child_end *end, uint64_t now_ns) {
    struct slot *slot = LOOP_OWNER(child, struct slot, child);
    slot->end = *end;
    slot->ended_ns = now_ns;
    set_state(slot, SLOT_READING);
    orphans_kill();
    loop_cancel(slot->config.loop, &slot->escalate);
    loop_at(slot->config.loop, &slot->looks, now_ns + LINGER_NS);
    advance(slot);
}

/*
 * ---- limits ----
 */

static void stop_step(struct slot *slot, enum slot_stop step) {
    assert(step > slot->stop);
    slot->stop = step;
    child_signal(&slot->child, step == SLOT_STOP_STACK  ? slot->config.limits.hang_signal
                               : step == SLOT_STOP_TERM ? SIGTERM
                                                        : SIGKILL);
    if (step < SLOT_STOP_KILL)
        loop_at(slot->config.loop, &slot->escalate,
                loop_now_ns(slot->config.loop) + slot->config.limits.grace_ns);
}

static void escalate(struct timer *timer, uint64_t now_ns) {
    struct slot *slot = LOOP_OWNER(timer, struct slot, escalate);
    (void)now_ns;
    stop_step(slot, slot->stop + 1);
}

void slot_stop(struct slot *slot, const char *why) {
    if (slot->state != SLOT_RUNNING || slot->stop == SLOT_STOP_KILL)
        return;
    if (!*slot->why)
        snprintf(slot->why, sizeof slot->why, "%s", why);
    stop_step(slot, slot->stop < SLOT_STOP_TERM ? SLOT_STOP_TERM : SLOT_STOP_KILL);
}

__attribute__((format(printf, 2, 3))) static void hang(struct slot *slot, const char *format, ...) {
    va_list arguments;
    if (slot->stop != SLOT_STOP_NONE)
        return;
    va_start(arguments, format);
    vsnprintf(slot->why, sizeof slot->why, format, arguments);
    va_end(arguments);
    stop_step(slot, slot->config.limits.hang_signal ? SLOT_STOP_STACK : SLOT_STOP_TERM);
}

/* A limit that is not beyond: how long it still lasts. */
static uint64_t left_ns(uint64_t limit_ns, uint64_t spent_ns) {
    return limit_ns == 0 ? UINT64_MAX : limit_ns > spent_ns ? limit_ns - spent_ns : 0;
}

static double seconds(uint64_t ns) {
    return (double)ns / 1e9;
}

static void note_output(struct slot *slot, uint64_t now_ns, struct mux_link_stats *out) {
    struct mux_link_stats err = {0};
    if (slot->out.link)
        node_link_stats(slot->out.link, out);
    if (slot->err.link)
        node_link_stats(slot->err.link, &err);
    uint64_t bytes = out->received_bytes + err.received_bytes;
    if (bytes == slot->output_bytes)
        return;
    slot->output_bytes = bytes;
    slot->output_ns = now_ns;
}

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* Output and tests are seen only by looking: each limit on them is looked at ten times. */
static uint64_t look_after_ns(const struct slot_limits *limits, uint64_t command_ns) {
    uint64_t silence_ns = limits->silence_ns ? limits->silence_ns / 10 : LOOK_MOST_NS;
    uint64_t test_ns = limits->test_ns ? limits->test_ns / 10 : LOOK_MOST_NS;
    uint64_t after_ns = least(least(command_ns, LOOK_MOST_NS), least(silence_ns, test_ns));
    return after_ns < LOOK_LEAST_NS ? LOOK_LEAST_NS : after_ns;
}

static void look_at_limits(struct slot *slot, uint64_t now_ns) {
    const struct slot_limits *limits = &slot->config.limits;
    struct mux_link_stats out = {0};
    note_output(slot, now_ns, &out);
    uint64_t command_ns = left_ns(limits->command_ns, now_ns - slot->begun_ns);
    if (command_ns == 0)
        hang(slot, "it ran longer than %g s", seconds(limits->command_ns));
    else if (left_ns(limits->silence_ns, now_ns - slot->output_ns) == 0)
        hang(slot, "no output for %g s", seconds(limits->silence_ns));
    else if (left_ns(out.tests ? limits->test_ns : 0, out.oldest_age_ns) == 0)
        hang(slot, "%.*s ran longer than %g s", (int)least(out.oldest_id.len, NAME_SHOWN_BYTES),
             (const char *)out.oldest_id.data, seconds(limits->test_ns));
    loop_at(slot->config.loop, &slot->looks, now_ns + look_after_ns(limits, command_ns));
}

static void look(struct timer *timer, uint64_t now_ns) {
    struct slot *slot = LOOP_OWNER(timer, struct slot, looks);
    if (slot->state == SLOT_RUNNING)
        look_at_limits(slot, now_ns);
    else if (slot->state == SLOT_READING)
        look_for_rest(slot, now_ns);
}

/*
 * ---- the start ----
 */

/* [0]: we read or write, [1]: the command does. */
struct ends {
    int input[2], out[2], err[2];
};

static void close_ends(int ends[2]) {
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0)
            close(ends[i]);
}

static void close_all(struct ends *ends) {
    close_ends(ends->input);
    close_ends(ends->out);
    close_ends(ends->err);
}

static bool make_pipe(int ends[2], bool we_write) {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return false;
    ends[0] = fds[we_write];
    ends[1] = fds[!we_write];
    return true;
}

static bool start_command(struct slot *slot, const struct ends *ends,
                          struct transport_failure *failure) {
    const struct slot_config *config = &slot->config;
    const struct child_config child = {
        .arguments = config->arguments,
        .descriptors = {config->input >= 0 ? config->input : ends->input[1], ends->out[1],
                        ends->err[1]},
        .kill_group = true,
        .ended = command_ended,
    };
    return child_start(config->children, &slot->child, &child, failure);
}

/* NULL with *failure. The connection owns the descriptor when it is made. */
static struct transport_conn *attach(struct slot *slot, int *fd, bool we_write,
                                     struct transport_failure *failure) {
    const struct loop_descriptors descriptors = {
        .in = we_write ? -1 : *fd,
        .out = we_write ? *fd : -1,
        .pool = TRANSPORT_POOL_SHARED,
        .name = slot->config.arguments[0],
    };
    struct transport_conn *conn = loop_attach(slot->config.loop, &descriptors, NULL, failure);
    if (conn)
        *fd = -1;
    return conn;
}

static bool adopt(struct slot_stream *stream, struct node_adoption *adoption) {
    adoption->is_bare = true;
    adoption->owner = &owner;
    adoption->user = stream;
    stream->link = node_adopt(stream->slot->config.node, adoption);
    return stream->link != NULL;
}

static void abandon(struct slot *slot, struct transport_conn *conn) {
    if (conn)
        loop_abandon(slot->config.loop, conn);
}

/* Either of them may be missing: *failure says why. Those that are there are the node's. */
static bool adopt_all(struct slot *slot, struct node_adoption *out, struct node_adoption *err,
                      struct transport_failure *failure) {
    if (!out->conn || !err->conn || (out->way_down && !out->down_conn)) {
        abandon(slot, out->conn);
        abandon(slot, out->down_conn);
        abandon(slot, err->conn);
        return false;
    }
    bool adopted = adopt(&slot->out, out);
    adopted = adopt(&slot->err, err) && adopted;
    if (!adopted)
        *failure = (struct transport_failure){.error = ENOMEM, .operation = "links"};
    return adopted;
}

static bool open_streams(struct slot *slot, struct ends *ends, struct transport_failure *failure) {
    bool is_piped = slot->config.input < 0;
    slot->out.slot = slot->err.slot = slot;
    struct node_adoption out = {
        .conn = attach(slot, &ends->out[0], false, failure),
        .down_conn = is_piped ? attach(slot, &ends->input[0], true, failure) : NULL,
        .way_down = is_piped,
        .is_raw = is_piped,
        .kind = MUX_LINK_WORKER,
    };
    struct node_adoption err = {
        .conn = attach(slot, &ends->err[0], false, failure),
        .kind = MUX_LINK_STDERR,
    };
    return adopt_all(slot, &out, &err, failure);
}

static bool make_pipes(struct slot *slot, struct ends *ends, struct transport_failure *failure) {
    if ((slot->config.input >= 0 || make_pipe(ends->input, true)) && make_pipe(ends->out, false) &&
        make_pipe(ends->err, false))
        return true;
    *failure = (struct transport_failure){.error = errno, .operation = "pipe"};
    return false;
}

bool slot_start(struct slot *slot, const struct slot_config *config,
                struct transport_failure *failure) {
    struct ends ends = {{-1, -1}, {-1, -1}, {-1, -1}};
    *slot = (struct slot){.config = *config,
                          .looks = {.run = look},
                          .escalate = {.run = escalate},
                          .reports = {.deadline_ns = reports_deadline_ns, .work = report}};
    bool started = make_pipes(slot, &ends, failure) && start_command(slot, &ends, failure);
    if (started && !open_streams(slot, &ends, failure)) {
        child_signal(&slot->child, SIGKILL);
        started = false;
    }
    close_all(&ends);
    if (!started)
        return false;
    slot->begun_ns = slot->output_ns = loop_now_ns(config->loop);
    loop_join(config->loop, &slot->reports);
    look_at_limits(slot, slot->begun_ns);
    return true;
}
