#include "tools/agent/exit_event.h"
#include "tools/base/json.h"

#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#define EXIT_EVENT_VERSION 1

static uint64_t time_ns(struct timeval time) {
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_usec * 1000;
}

/* Words of the command, without its secrets. */
static void put_words(struct json *json, const struct slot *slot, const char *text) {
    char words[EXIT_EVENT_COMMAND_BYTES];
    size_t len = (size_t)snprintf(words, sizeof words, "%s", text);
    len = len < sizeof words ? len : sizeof words - 1;
    mask_text(&slot->config.output->config->mask, (uint8_t *)words, len);
    json_put_text(json, mux_span(words, len));
}

static void put_command(struct json *json, const struct slot *slot) {
    const char *const *arguments = slot->config.arguments;
    size_t left = EXIT_EVENT_COMMAND_BYTES;
    json_put_key(json, "command");
    json_put_open(json, '[');
    for (; *arguments && strlen(*arguments) < left; arguments++) {
        left -= strlen(*arguments) + 1;
        put_words(json, slot, *arguments);
    }
    json_put_close(json, ']');
    json_put_member_bool(json, "truncated", *arguments != NULL);
}

static void put_failure(struct json *json, const struct slot *slot) {
    char fate[SLOT_FATE_BYTES];
    slot_fate(slot, fate);
    json_put_member_text(json, "not_started", fate);
    json_put_member_text(json, "error", strerrorname_np(slot->failure.error));
}

static void put_stop(struct json *json, const struct slot *slot) {
    json_put_key(json, "stopped");
    put_words(json, slot, slot->why);
}

static void put_fate(struct json *json, const struct slot *slot) {
    const struct child_end *end = &slot->end;
    if (!slot_has_started(slot)) {
        put_failure(json, slot);
    } else if (end->exited) {
        json_put_member_number(json, "status", (uint64_t)end->status);
    } else {
        json_put_member_number(json, "signal", (uint64_t)end->signal);
        json_put_member_text(json, "signal_name", sigabbrev_np(end->signal));
        json_put_member_bool(json, "core_dumped", end->core);
    }
    if (slot->knows_memory_kills)
        json_put_member_number(json, "memory_kills", slot->memory_kills);
    if (*slot->why)
        put_stop(json, slot);
}

/* The kernel counts the peak in KiB. */
static void put_usage(struct json *json, const struct slot *slot) {
    const struct rusage *usage = &slot->end.usage;
    json_put_member_number(json, "wall_ns", slot->ended_ns - slot->begun_ns);
    json_put_member_number(json, "user_ns", time_ns(usage->ru_utime));
    json_put_member_number(json, "system_ns", time_ns(usage->ru_stime));
    json_put_member_number(json, "peak_memory_bytes", (uint64_t)usage->ru_maxrss * 1024);
}

/* It printed packets that only mux exec may send. */
static void put_forged(struct json *json, const struct slot *slot) {
    uint64_t count = node_own_counters(slot->config.node)->value[NODE_COUNT_orders_forged];
    if (count)
        json_put_member_number(json, "forged_packets", count);
}

void exit_event_make(struct exit_event *event, const struct slot *slot, struct mux_packet *packet) {
    struct timespec now;
    struct json json;
    json_put_start(&json, event->content, sizeof event->content);
    json_put_open(&json, '{');
    json_put_member_number(&json, "version", EXIT_EVENT_VERSION);
    put_fate(&json, slot);
    if (slot_has_started(slot))
        put_usage(&json, slot);
    json_put_member_number(&json, "output_cut_bytes", slot->config.output->cut_bytes);
    put_forged(&json, slot);
    put_command(&json, slot);
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
