#include "tools/agent/slot.h"
#include "tools/agent/exit_event.h"
#include "tools/agent/orphans.h"
#include "tools/agent/prompt_event.h"
#include "tools/base/wall.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
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

void slot_fate(const struct slot *slot, char out[SLOT_FATE_BYTES]) {
    const struct child_end *end = &slot->end;
    if (!slot_has_started(slot))
        snprintf(out, SLOT_FATE_BYTES, "did not start: %s: %s", slot->failure.operation,
                 strerror(slot->failure.error));
    else if (end->exited)
        snprintf(out, SLOT_FATE_BYTES, "exited with status %d", end->status);
    else
        snprintf(out, SLOT_FATE_BYTES, "was killed by SIG%s%s", sigabbrev_np(end->signal),
                 end->core                                      ? " (core dumped)"
                 : end->signal == SIGKILL && slot->memory_kills ? " (out of memory)"
                                                                : "");
}

static void end_stream(struct slot_stream *stream, const char *reason) {
    if (stream->link)
        node_end_adopted(stream->link, reason);
}

/* Both its streams are read to their end, and its fate is known. */
static void close_streams(struct slot *slot) {
    char text[SLOT_FATE_BYTES], reason[sizeof slot->why + sizeof text + sizeof "it : "];
    set_state(slot, SLOT_CLOSING);
    loop_cancel(slot->config.loop, &slot->looks);
    loop_cancel(slot->config.loop, &slot->escalate);
    slot_fate(slot, text);
    snprintf(reason, sizeof reason, "it %s%s%s", text, *slot->why ? ": " : "", slot->why);
    end_stream(&slot->err, reason);
    end_stream(&slot->out, reason);
}

/* The stack comes before the failure that it belongs to. */
static void advance(struct slot *slot) {
    bool is_read = slot->out.ended && slot->err.ended && !slot->stack.is_ready;
    if (slot->state == SLOT_READING && is_read)
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

/*
 * ---- prompts ----
 */

static struct prompt *prompt_of(struct slot *slot) {
    return &slot->config.output->prompt;
}

static uint64_t wall_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t sent_down_bytes(const struct slot *slot) {
    struct mux_link_stats stats = {0};
    if (slot->out.link)
        node_link_stats(slot->out.link, &stats);
    return stats.sent_down_bytes;
}

/* Since text came last. */
static bool is_typed(const struct slot *slot) {
    return sent_down_bytes(slot) != slot->typed_bytes;
}

/* A person is there: limits do not hold for the test. */
static void begin_debugging(struct slot *slot) {
    slot->is_debugged = slot->was_debugged = true;
}

/* Nothing was written for a while. */
static void silent(struct timer *timer, uint64_t now_ns) {
    struct slot *slot = LOOP_OWNER(timer, struct slot, silence);
    struct prompt *prompt = prompt_of(slot);
    (void)now_ns;
    if (slot->state != SLOT_RUNNING || prompt->state != PROMPT_NONE || is_typed(slot) ||
        !prompt_look(prompt))
        return;
    prompt->since_ns = wall_ns() - PROMPT_SILENCE_NS;
    prompt->state = PROMPT_COMES;
    output_make_room(slot->config.output);
}

/* Its stream, with the test that has been in progress the longest; without any, the command is it.
 */
static void find_test(const struct slot *slot, struct mux_link_stats *stats) {
    if (slot->out.link)
        node_link_stats(slot->out.link, stats);
    if (stats->tests || !slot->config.test)
        return;
    stats->tests = 1;
    stats->oldest_id = mux_span_text(slot->config.test);
    stats->oldest_age_ns = loop_now_ns(slot->config.loop) - slot->begun_ns;
}

static bool report_prompt(struct slot *slot, bool is_over) {
    struct prompt_event event;
    struct mux_link_stats stats = {0};
    struct mux_packet packet;
    find_test(slot, &stats);
    prompt_event_make(&event, prompt_of(slot), is_over, stats.oldest_id,
                      &slot->config.output->config->mask, &packet);
    output_complete(slot->config.output, &packet);
    return node_add_up(slot->config.node, NULL, &packet);
}

static bool is_answered(const struct slot *slot) {
    return slot->config.output->prompt.state == PROMPT_WAITS && is_typed(slot);
}

/* It is over when it is answered, something is written, a test ends, or the command has ended. */
static void follow_prompt(struct slot *slot, uint64_t now_ns) {
    struct prompt *prompt = prompt_of(slot);
    bool is_over = prompt->is_fresh || prompt->goes_on || slot->state != SLOT_RUNNING;
    if (is_answered(slot)) {
        begin_debugging(slot);
        is_over = true;
    }
    if (prompt->is_fresh) {
        loop_at(slot->config.loop, &slot->silence, now_ns + PROMPT_SILENCE_NS);
        slot->typed_bytes = sent_down_bytes(slot);
    }
    prompt->is_fresh = prompt->goes_on = false;
    if (is_over && prompt->state == PROMPT_COMES)
        prompt->state = PROMPT_NONE;
    if (is_over && prompt->state == PROMPT_WAITS)
        prompt->state = PROMPT_GOES;
    if (prompt->state == PROMPT_COMES && report_prompt(slot, false))
        prompt->state = PROMPT_WAITS;
    if (prompt->state == PROMPT_GOES && report_prompt(slot, true))
        prompt->state = PROMPT_NONE;
}

static bool has_prompt_to_report(const struct slot *slot) {
    const struct prompt *prompt = &slot->config.output->prompt;
    return prompt->is_fresh || prompt->goes_on || prompt->state == PROMPT_COMES ||
           prompt->state == PROMPT_GOES || is_answered(slot) ||
           (prompt->state == PROMPT_WAITS && slot->state != SLOT_RUNNING);
}

/*
 * ---- reports ----
 */

static uint64_t reports_deadline_ns(const struct loop_client *client) {
    const struct slot *slot = LOOP_OWNER(client, struct slot, reports);
    bool is_due =
        slot->state == SLOT_REPORTING || slot->stack.is_ready || has_prompt_to_report(slot);
    return is_due ? 0 : UINT64_MAX;
}

static struct mux_span taken_name(const uint8_t *name, bool has, size_t len) {
    return mux_span(has ? name : NULL, len);
}

static void report_stack(struct slot *slot) {
    struct slot_stack *stack = &slot->stack;
    static char text[OUTPUT_GROWTH * HANG_OUTPUT_BYTES]; /* large, and used once */
    uint64_t count = stack->hang.output_count;
    size_t len = count < HANG_OUTPUT_BYTES ? (size_t)count : HANG_OUTPUT_BYTES;
    len = output_readable(mux_span(stack->hang.output, len), text);
    mask_text(&slot->config.output->config->mask, (uint8_t *)text, len);
    struct mux_packet packet = {
        .eof = true,
        .test_id = taken_name(stack->test_id, stack->has_test, stack->test_id_len),
        .mime = mux_span_text("text/plain;charset=utf8"),
        .file_name = mux_span_text("on-hang"),
        .file_content = mux_span(text, len),
        .route = taken_name(stack->route, stack->has_route, stack->route_len),
    };
    output_complete(slot->config.output, &packet);
    if (!node_add_up(slot->config.node, NULL, &packet))
        return;
    if (count > HANG_OUTPUT_BYTES)
        output_count_cut(slot->config.output, count - HANG_OUTPUT_BYTES);
    stack->is_ready = false;
    advance(slot);
}

static void report_end(struct slot *slot) {
    struct exit_event event;
    struct mux_packet packet;
    exit_event_make(&event, slot, &packet);
    output_complete(slot->config.output, &packet);
    if (!node_add_up(slot->config.node, NULL, &packet))
        return;
    set_state(slot, SLOT_ENDED);
    if (slot->terminal >= 0)
        close(slot->terminal);
    slot->terminal = -1;
    loop_leave(&slot->reports);
    loop_cancel(slot->config.loop, &slot->silence);
    slot->config.ended(slot);
}

static void report(struct loop_client *client, uint64_t now_ns) {
    struct slot *slot = LOOP_OWNER(client, struct slot, reports);
    follow_prompt(slot, now_ns);
    if (slot->stack.is_ready)
        report_stack(slot);
    if (slot->state == SLOT_REPORTING && prompt_of(slot)->state == PROMPT_NONE)
        report_end(slot);
}

/* Reads on while something is there; what another process holds open is left after a while. */
static void look_for_rest(struct slot *slot, uint64_t now_ns) {
    bool has_more = (slot->out.link && node_link_unread(slot->out.link)) ||
                    (slot->err.link && node_link_unread(slot->err.link));
    if (has_more || slot->stack.is_ready)
        loop_at(slot->config.loop, &slot->looks, now_ns + LINGER_NS);
    else
        close_streams(slot);
}

/* Nothing that was started on purpose runs any more. */
static void end_rest(struct slot *slot, uint64_t now_ns) {
    set_state(slot, SLOT_READING);
    group_kill(&slot->group);
    orphans_kill();
    slot->knows_memory_kills = group_memory_kills(&slot->group, &slot->memory_kills);
    group_close(&slot->group);
    loop_at(slot->config.loop, &slot->looks, now_ns + LINGER_NS);
    advance(slot);
}

static void command_ended(struct child *child, const struct child_end *end, uint64_t now_ns) {
    struct slot *slot = LOOP_OWNER(child, struct slot, child);
    slot->end = *end;
    slot->ended_ns = now_ns;
    loop_cancel(slot->config.loop, &slot->escalate);
    loop_cancel(slot->config.loop, &slot->looks);
    sink_close(&slot->out.sink);
    sink_close(&slot->err.sink);
    set_state(slot, SLOT_LOOKED_AT);
    if (hang_runs(&slot->stack.hang))
        hang_kill(&slot->stack.hang);
    else
        end_rest(slot, now_ns);
}

/*
 * ---- limits ----
 */

static void stop_step(struct slot *slot, enum slot_stop step);

static void hang_over(struct hang *hang, uint64_t now_ns) {
    struct slot *slot = LOOP_OWNER(hang, struct slot, stack.hang);
    slot->stack.is_ready = true;
    if (slot->state == SLOT_LOOKED_AT)
        end_rest(slot, now_ns);
    else if (slot->stop == SLOT_STOP_STACK)
        stop_step(slot, SLOT_STOP_TERM);
}

static void keep_name(struct mux_span name, uint8_t *out, bool *has, size_t *len, size_t most) {
    *has = name.data && name.len <= most;
    *len = *has ? name.len : 0;
    if (*len)
        memcpy(out, name.data, *len);
}

/* False: there is no command for that, or it cannot be run. */
static bool look_at_hang(struct slot *slot) {
    struct slot_stack *stack = &slot->stack;
    struct mux_link_stats stats = {0};
    struct transport_failure failure;
    const struct hang_config config = {
        .loop = slot->config.loop,
        .children = slot->config.children,
        .command = slot->config.limits.hang_command,
        .pid = slot->child.pid,
        .over = hang_over,
    };
    if (!config.command)
        return false;
    find_test(slot, &stats);
    keep_name(stats.oldest_id, stack->test_id, &stack->has_test, &stack->test_id_len,
              sizeof stack->test_id);
    keep_name(stats.oldest_route, stack->route, &stack->has_route, &stack->route_len,
              sizeof stack->route);
    return hang_start(&stack->hang, &config, &failure);
}

static void stop_step(struct slot *slot, enum slot_stop step) {
    assert(step > slot->stop);
    slot->stop = step;
    if (step == SLOT_STOP_STACK && look_at_hang(slot))
        return;
    int signals[] = {[SLOT_STOP_STACK] = slot->config.limits.hang_signal,
                     [SLOT_STOP_TERM] = SIGTERM,
                     [SLOT_STOP_KILL] = SIGKILL};
    if (signals[step])
        child_signal(&slot->child, signals[step]);
    if (step == SLOT_STOP_KILL)
        group_kill(&slot->group);
    if (step < SLOT_STOP_KILL)
        loop_at(slot->config.loop, &slot->escalate,
                loop_now_ns(slot->config.loop) + slot->config.limits.grace_ns);
}

static void escalate(struct timer *timer, uint64_t now_ns) {
    struct slot *slot = LOOP_OWNER(timer, struct slot, escalate);
    (void)now_ns;
    stop_step(slot, slot->stop + 1);
}

bool slot_resize(struct slot *slot, struct terminal_window window) {
    if (prompt_of(slot)->state != PROMPT_NONE)
        begin_debugging(slot);
    if (slot->terminal >= 0)
        terminal_resize(slot->terminal, window);
    return slot->terminal >= 0;
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
    const struct slot_limits *limits = &slot->config.limits;
    bool brings_stack = limits->hang_signal || limits->hang_command;
    stop_step(slot, brings_stack ? SLOT_STOP_STACK : SLOT_STOP_TERM);
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
    find_test(slot, out);
    if (slot->err.link)
        node_link_stats(slot->err.link, &err);
    /* what is typed is a sign of life, too */
    uint64_t bytes = out->received_bytes + err.received_bytes + out->sent_down_bytes;
    if (bytes == slot->output_bytes)
        return;
    slot->output_bytes = bytes;
    slot->output_ns = now_ns;
}

/* Until another test runs. A terminal is there for a person: a prompt on it waits for one. */
static void note_debugging(struct slot *slot, const struct mux_link_stats *out) {
    bool waits = prompt_of(slot)->state != PROMPT_NONE;
    if (out->oldest_age_ns < slot->test_age_ns)
        slot->is_debugged = false;
    if (waits && slot->config.has_terminal)
        begin_debugging(slot);
    slot->test_age_ns = out->oldest_age_ns;
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
    note_debugging(slot, &out);
    if (slot->is_debugged)
        slot->output_ns = now_ns; /* its silence begins behind it */
    uint64_t test_ns = out.tests && !slot->is_debugged ? limits->test_ns : 0;
    uint64_t command_ns =
        left_ns(slot->was_debugged ? 0 : limits->command_ns, now_ns - slot->begun_ns);
    if (command_ns == 0)
        hang(slot, "it ran longer than %g s", seconds(limits->command_ns));
    else if (left_ns(limits->silence_ns, now_ns - slot->output_ns) == 0)
        hang(slot, "no output for %g s", seconds(limits->silence_ns));
    else if (left_ns(test_ns, out.oldest_age_ns) == 0)
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

static void close_ends(int ends[2]) {
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0)
            close(ends[i]);
}

static void close_all(struct slot_ends *ends) {
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

static void start_command(struct slot *slot, const struct slot_ends *ends,
                          struct transport_failure *failure) {
    const struct slot_config *config = &slot->config;
    const struct child_config child = {
        .arguments = config->arguments,
        .environment = config->environment,
        .directory = config->directory,
        .cgroup = slot->group.folder,
        .terminal = *ends->terminal ? ends->terminal : NULL,
        .descriptors = {config->input >= 0 ? config->input : ends->input[1], ends->out[1],
                        ends->err[1]},
        .kill_group = true,
        .ended = command_ended,
    };
    child_start(config->children, &slot->child, &child, failure);
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

/*
 * Any of them may be missing: *failure says why. Those that are there are the node's. On a terminal
 * there is no stderr.
 */
static bool adopt_all(struct slot *slot, struct node_adoption *out, struct node_adoption *err,
                      struct transport_failure *failure) {
    bool has_err = !slot->config.has_terminal;
    if (!out->conn || (has_err && !err->conn) || (out->way_down && !out->down_conn)) {
        abandon(slot, out->conn);
        abandon(slot, out->down_conn);
        abandon(slot, err->conn);
        return false;
    }
    bool adopted = adopt(&slot->out, out);
    if (has_err)
        adopted = adopt(&slot->err, err) && adopted;
    slot->err.ended = !has_err;
    slot->config.output->stderr_link = slot->err.link;
    if (!adopted)
        *failure = (struct transport_failure){.error = ENOMEM, .operation = "links"};
    return adopted;
}

static bool open_streams(struct slot *slot, struct slot_ends *ends,
                         struct transport_failure *failure) {
    bool is_piped = slot->config.input < 0 || slot->config.has_terminal;
    slot->out.slot = slot->err.slot = slot;
    sink_hold(&slot->out.sink, ends->out[0]);
    sink_hold(&slot->err.sink, ends->err[0]);
    struct node_adoption out = {
        .conn = attach(slot, &ends->out[0], false, failure),
        .down_conn = is_piped ? attach(slot, &ends->input[0], true, failure) : NULL,
        .way_down = is_piped,
        .is_raw = is_piped,
        .kind = MUX_LINK_WORKER,
    };
    struct node_adoption err = {
        .conn = slot->config.has_terminal ? NULL : attach(slot, &ends->err[0], false, failure),
        .kind = MUX_LINK_STDERR,
    };
    return adopt_all(slot, &out, &err, failure);
}

/* What is typed goes by a descriptor of its own: that this ends does not end the output. */
static bool make_terminal(struct slot *slot, struct slot_ends *ends,
                          struct transport_failure *failure) {
    struct terminal terminal;
    if (!terminal_open(&terminal, failure))
        return false;
    memcpy(ends->terminal, terminal.path, sizeof ends->terminal);
    ends->out[0] = terminal.master;
    ends->out[1] = terminal.slave;
    ends->input[0] = fcntl(terminal.master, F_DUPFD_CLOEXEC, 0);
    slot->terminal = fcntl(terminal.master, F_DUPFD_CLOEXEC, 0);
    if (ends->input[0] >= 0 && slot->terminal >= 0)
        return true;
    *failure = (struct transport_failure){.error = errno, .operation = "dup"};
    return false;
}

static bool make_pipes(struct slot *slot, struct slot_ends *ends,
                       struct transport_failure *failure) {
    if (slot->config.has_terminal)
        return make_terminal(slot, ends, failure);
    if ((slot->config.input >= 0 || make_pipe(ends->input, true)) && make_pipe(ends->out, false) &&
        make_pipe(ends->err, false))
        return true;
    *failure = (struct transport_failure){.error = errno, .operation = "pipe"};
    return false;
}

/* It runs, but what it writes cannot be read: it ends at once, and the streams that are missing. */
static void give_up(struct slot *slot, const struct transport_failure *failure) {
    snprintf(slot->why, sizeof slot->why, "its output cannot be read (%s: %s)", failure->operation,
             strerror(failure->error));
    slot->out.ended = !slot->out.link;
    slot->err.ended = !slot->err.link;
    stop_step(slot, SLOT_STOP_KILL);
}

void slot_start(struct slot *slot, const struct slot_config *config) {
    slot->config = *config;
    slot->terminal = -1;
    slot->ends = (struct slot_ends){{-1, -1}, {-1, -1}, {-1, -1}, ""};
    group_open(&slot->group);
    slot->begun_ns = wall_loop_ns(); /* the loop may not be there yet */
    if (make_pipes(slot, &slot->ends, &slot->failure))
        start_command(slot, &slot->ends, &slot->failure);
}

void slot_follow(struct slot *slot, struct node *node) {
    struct transport_failure failure;
    slot->config.node = node;
    slot->looks.run = look;
    slot->escalate.run = escalate;
    slot->silence.run = silent;
    slot->reports = (struct loop_client){.deadline_ns = reports_deadline_ns, .work = report};
    if (slot_has_started(slot) && !open_streams(slot, &slot->ends, &failure))
        give_up(slot, &failure);
    close_all(&slot->ends);
    slot->ended_ns = slot->output_ns = slot->begun_ns;
    loop_join(slot->config.loop, &slot->reports);
    if (slot_has_started(slot)) {
        look_at_limits(slot, loop_now_ns(slot->config.loop));
        return;
    }
    group_close(&slot->group);
    set_state(slot, SLOT_REPORTING);
}

void slot_forsake(struct slot *slot) {
    sink_open(&slot->out.sink, slot->config.loop);
    sink_open(&slot->err.sink, slot->config.loop);
}

void slot_abandon(struct slot *slot) {
    group_kill(&slot->group);
    orphans_kill();
    group_close(&slot->group);
}
