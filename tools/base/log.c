#include "tools/base/log.h"

#include "tools/base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

/* Peers can provoke lines, which must not fill a disk. */
#define LINES_PER_SECOND 20
#define LINES_BURST 100

#define LINE_BYTES 1024
#define PROGRAM_BYTES 32

/* The interval at which lines that could not be written are tried again. */
#define RETRY_NS 200000000u

void log_open(struct log *log, const char *program) {
    log->program = program;
    outlet_open(&log->outlet, STDERR_FILENO);
    log->limiter = mux_limiter_init(LINES_PER_SECOND, LINES_BURST);
    log->loop = NULL;
    log->timer = (struct timer){0};
    log->suppressed = 0;
    log->suppressed_total = NULL;
}

void log_reopen(struct log *log) {
    outlet_close(&log->outlet);
    outlet_open(&log->outlet, STDERR_FILENO);
}

static void write_rest(struct timer *timer, uint64_t now_ns) {
    struct log *log = LOOP_OWNER(timer, struct log, timer);
    if (!outlet_flush(&log->outlet))
        loop_at(log->loop, timer, now_ns + RETRY_NS);
}

/* What waits is tried again in a while. */
static void retry_later(struct log *log) {
    if (log->loop && !log->timer.is_set && !outlet_is_empty(&log->outlet))
        loop_at(log->loop, &log->timer, loop_now_ns(log->loop) + RETRY_NS);
}

void log_join(struct log *log, struct loop *loop) {
    log->loop = loop;
    log->timer.run = write_rest;
    retry_later(log);
}

/* All of it or nothing. */
static bool write_out(struct log *log, const char *text, size_t len) {
    bool taken = outlet_write(&log->outlet, text, len);
    retry_later(log);
    return taken;
}

static bool say(struct log *log, const char *line) {
    char text[LINE_BYTES + PROGRAM_BYTES + sizeof ": \n"];
    int len = snprintf(text, sizeof text, "%.*s: %s\n", PROGRAM_BYTES, log->program, line);
    return write_out(log, text, (size_t)len);
}

static void suppress(struct log *log) {
    log->suppressed++;
    if (log->suppressed_total)
        (*log->suppressed_total)++;
}

void log_text(struct log *log, const char *format, ...) {
    char text[LINE_BYTES], clean[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    struct mux_span line = mux_span_text(text);
    line.len -= line.len && line.data[line.len - 1] == '\n';
    size_t len = text_clean(line, false, clean, sizeof clean - 1);
    clean[len] = '\n';
    if (!write_out(log, clean, len + 1))
        suppress(log);
}

static void mention_suppressed(struct log *log) {
    char line[64];
    snprintf(line, sizeof line, "%" PRIu64 " lines left out here", log->suppressed);
    if (log->suppressed && say(log, line))
        log->suppressed = 0;
}

void log_line(struct log *log, const char *line, uint64_t now_ns) {
    char clean[LINE_BYTES];
    if (!mux_limiter_allow(&log->limiter, now_ns)) {
        suppress(log);
        return;
    }
    mention_suppressed(log);
    text_clean(mux_span_text(line), false, clean, sizeof clean);
    if (!say(log, clean))
        suppress(log);
}

void log_close(struct log *log) {
    mention_suppressed(log);
    outlet_close(&log->outlet);
}
