#include "tools/agent/hang.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* What has left its group may still hold its output: for this time it is read. */
#define LINGER_NS UINT64_C(250000000)

/* Capitals alone are meant as a signal's name, and so is one word that begins with SIG. */
static bool looks_like_signal(const char *text) {
    return text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-_")] == '\0' ||
           (strncasecmp(text, "SIG", 3) == 0 && !strpbrk(text, " \t\n/;|&"));
}

bool hang_parse(const char *text, int *signal, const char **command) {
    const char *name = strncmp(text, "SIG", 3) == 0 ? text + 3 : text;
    *signal = 0;
    *command = NULL;
    for (int number = 1; number < SIGNALS_MAX; number++) {
        const char *known = sigabbrev_np(number);
        if (known && strcmp(known, name) == 0) {
            *signal = number;
            return true;
        }
    }
    *command = text;
    return !looks_like_signal(text);
}

static void close_output(struct hang *hang) {
    if (!hang->conn || hang->is_closing)
        return;
    hang->is_closing = true;
    transport_close(hang->conn);
}

static void keep(struct hang *hang, struct mux_span bytes) {
    uint64_t count = hang->output_count;
    size_t room = count < HANG_OUTPUT_BYTES ? (size_t)(HANG_OUTPUT_BYTES - count) : 0;
    memcpy(hang->output + (HANG_OUTPUT_BYTES - room), bytes.data,
           bytes.len < room ? bytes.len : room);
    hang->output_count += bytes.len;
}

static void tell(struct hang *hang, uint64_t now_ns) {
    if (hang_runs(hang))
        return;
    loop_cancel(hang->config.loop, &hang->timer);
    hang->config.over(hang, now_ns);
}

static void handle(struct loop_handler *handler, const struct transport_event *event,
                   uint64_t now_ns) {
    struct hang *hang = LOOP_OWNER(handler, struct hang, base);
    if (event->kind == TRANSPORT_RECEIVED) {
        keep(hang, event->bytes);
        mux_buffer_release(event->buffer);
    } else if (event->kind == TRANSPORT_ENDED || event->kind == TRANSPORT_LOST) {
        close_output(hang);
    } else if (event->kind == TRANSPORT_CLOSED) {
        hang->conn = NULL;
        tell(hang, now_ns);
    }
}

static void ended(struct child *child, const struct child_end *end, uint64_t now_ns) {
    struct hang *hang = LOOP_OWNER(child, struct hang, child);
    (void)end;
    loop_at(hang->config.loop, &hang->timer, now_ns + LINGER_NS);
    tell(hang, now_ns);
}

void hang_kill(struct hang *hang) {
    child_signal(&hang->child, SIGKILL);
}

static void time_is_over(struct timer *timer, uint64_t now_ns) {
    struct hang *hang = LOOP_OWNER(timer, struct hang, timer);
    (void)now_ns;
    if (child_runs(&hang->child))
        hang_kill(hang);
    else
        close_output(hang);
}

static bool start_child(struct hang *hang, int output, struct transport_failure *failure) {
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const char *const arguments[] = {"sh", "-c", hang->config.command, NULL};
    const struct child_config child = {.arguments = arguments,
                                       .descriptors = {null, output, output},
                                       .kill_group = true,
                                       .ended = ended};
    bool started = child_start(hang->config.children, &hang->child, &child, failure);
    if (null >= 0)
        close(null);
    return started;
}

/* The descriptor is the connection's, or closed. */
static bool read_output(struct hang *hang, int fd, struct transport_failure *failure) {
    const struct loop_descriptors descriptors = {
        .in = fd, .out = -1, .pool = TRANSPORT_POOL_SHARED, .name = "on-hang"};
    hang->conn = loop_attach(hang->config.loop, &descriptors, &hang->base, failure);
    if (hang->conn)
        transport_receive(hang->conn, true);
    else
        close(fd);
    return hang->conn != NULL;
}

bool hang_start(struct hang *hang, const struct hang_config *config,
                struct transport_failure *failure) {
    int output[2];
    char pid[16];
    hang->base.handle = handle;
    hang->config = *config;
    hang->timer.run = time_is_over;
    snprintf(pid, sizeof pid, "%d", (int)config->pid);
    if (setenv("PID", pid, 1) < 0 || pipe2(output, O_CLOEXEC) < 0) {
        *failure = (struct transport_failure){.error = errno, .operation = "pipe"};
        return false;
    }
    bool started = start_child(hang, output[1], failure);
    close(output[1]);
    if (!started) {
        close(output[0]);
        return false;
    }
    if (!read_output(hang, output[0], failure))
        hang_kill(hang); /* `over` is called when it has ended */
    loop_at(config->loop, &hang->timer, loop_now_ns(config->loop) + HANG_TIME_NS);
    return true;
}
