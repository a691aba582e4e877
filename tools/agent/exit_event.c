#include "tools/agent/exit_event.h"
#include "tools/base/json.h"

#include <string.h>
#include <sys/time.h>
#include <time.h>

#define EXIT_EVENT_VERSION 1

static uint64_t time_ns(struct timeval time) {
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_usec * 1000;
}

static void put_number(struct json *json, const char *key, uint64_t number) {
    json_put_key(json, key);
    json_put_number(json, number);
}

static void put_text(struct json *json, const char *key, const char *text) {
    json_put_key(json, key);
    json_put_text(json, mux_span_text(text));
}

static void put_bool(struct json *json, const char *key, bool value) {
    json_put_key(json, key);
    json_put_bool(json, value);
}

static void put_command(struct json *json, const char *const *arguments) {
    size_t left = EXIT_EVENT_COMMAND_BYTES;
    json_put_key(json, "command");
    json_put_open(json, '[');
    for (; *arguments && strlen(*arguments) < left; arguments++) {
        left -= strlen(*arguments) + 1;
        json_put_text(json, mux_span_text(*arguments));
    }
    json_put_close(json, ']');
    put_bool(json, "truncated", *arguments != NULL);
}

static void put_fate(struct json *json, const struct slot *slot) {
    const struct child_end *end = &slot->end;
    if (end->exited) {
        put_number(json, "status", (uint64_t)end->status);
    } else {
        put_number(json, "signal", (uint64_t)end->signal);
        put_text(json, "signal_name", sigabbrev_np(end->signal));
        put_bool(json, "core_dumped", end->core);
    }
    if (*slot->why)
        put_text(json, "stopped", slot->why);
}

/* The kernel counts the peak in KiB. */
static void put_usage(struct json *json, const struct slot *slot) {
    const struct rusage *usage = &slot->end.usage;
    put_number(json, "wall_ns", slot->ended_ns - slot->begun_ns);
    put_number(json, "user_ns", time_ns(usage->ru_utime));
    put_number(json, "system_ns", time_ns(usage->ru_stime));
    put_number(json, "peak_memory_bytes", (uint64_t)usage->ru_maxrss * 1024);
}

void exit_event_make(struct exit_event *event, const struct slot *slot, struct mux_packet *packet) {
    struct timespec now;
    struct json json;
    json_put_start(&json, event->content, sizeof event->content);
    json_put_open(&json, '{');
    put_number(&json, "version", EXIT_EVENT_VERSION);
    put_fate(&json, slot);
    put_usage(&json, slot);
    put_command(&json, slot->config.arguments);
    json_put_close(&json, '}');
    clock_gettime(CLOCK_REALTIME, &now);
    *packet = (struct mux_packet){
        .eof = true,
        .has_timestamp = true,
        .seconds = (uint32_t)now.tv_sec,
        .nanoseconds = (uint32_t)now.tv_nsec,
        .mime = mux_span_text("application/json"),
        .file_name = mux_span_text("muxd.exit"),
        .file_content = mux_span(event->content, json_len(&json)),
    };
}
