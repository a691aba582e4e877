/* Slots that wait at a prompt: file "muxd.prompt" (muxd-protocol(7)). */
#include "mux/hash.h"
#include "tools/base/text.h"
#include "tools/results/summary_internal.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#define SECOND_NS ((uint64_t)1000000000)

static uint64_t hash_of(const struct summary *summary, struct mux_span route) {
    return mux_hash(summary->hash_key, route) | 1;
}

static struct waiting *find(struct summary *summary, uint64_t hash) {
    for (unsigned i = 0; i < WAITING_MAX; i++)
        if (summary->waiting[i].hash == hash)
            return &summary->waiting[i];
    return NULL;
}

static void keep_text(const json_t *event, const char *key, char *out, size_t out_bytes) {
    const char *text = json_string_value(json_object_get(event, key));
    size_t len = text ? json_string_length(json_object_get(event, key)) : 0;
    while (len && text[len - 1] == ' ')
        len--;
    text_clean(mux_span(text ? text : "", len), false, out, out_bytes);
}

/* How long it waited already when it said so; the clocks of two machines are not compared. */
static uint64_t waited_ns(const json_t *event, const struct mux_packet *packet) {
    uint64_t since_ns = (uint64_t)json_integer_value(json_object_get(event, "since_ns"));
    uint64_t said_ns = packet->seconds * SECOND_NS + packet->nanoseconds;
    bool is_known = packet->has_timestamp && since_ns && since_ns < said_ns;
    return is_known ? said_ns - since_ns : 0;
}

void summary_waiting_text(const struct summary *summary, const struct waiting *waiting,
                          uint64_t now_ns, char *out, size_t out_bytes) {
    const char *control = summary->control;
    snprintf(out, out_bytes, "%s waits at %s%s%s for %" PRIu64 " s%s%s%s%s", waiting->route,
             waiting->prompt, *waiting->test ? " in " : "", waiting->test,
             (now_ns - waiting->since_ns) / SECOND_NS, control ? ": mux attach " : "",
             control ? control : "", control ? " " : "", control ? waiting->route : "");
}

static void begin(struct summary *summary, const json_t *event, const struct mux_packet *packet,
                  uint64_t now_ns) {
    uint64_t hash = hash_of(summary, packet->route);
    struct waiting *waiting = find(summary, hash);
    char line[WAITING_LINE_BYTES];
    if (!waiting)
        waiting = find(summary, 0);
    if (!waiting)
        return; /* more than a person can help at a time */
    uint64_t waited = waited_ns(event, packet);
    *waiting = (struct waiting){.hash = hash, .since_ns = now_ns > waited ? now_ns - waited : 0};
    text_clean(packet->route, false, waiting->route, sizeof waiting->route);
    if (!*waiting->route)
        snprintf(waiting->route, sizeof waiting->route, "-");
    keep_text(event, "prompt", waiting->prompt, sizeof waiting->prompt);
    keep_text(event, "test", waiting->test, sizeof waiting->test);
    summary_waiting_text(summary, waiting, now_ns, line, sizeof line);
    if (!summary->screen.live)
        screen_line(&summary->screen, "%s", line);
}

static void end(struct summary *summary, struct waiting *waiting, uint64_t now_ns) {
    if (!summary->screen.live)
        screen_line(&summary->screen, "%s waits no longer, after %" PRIu64 " s", waiting->route,
                    (now_ns - waiting->since_ns) / SECOND_NS);
    waiting->hash = 0;
}

static void take_prompt(struct summary *summary, const struct mux_packet *packet, uint64_t now_ns) {
    struct waiting *waiting = find(summary, hash_of(summary, packet->route));
    json_t *event =
        json_loadb((const char *)packet->file_content.data, packet->file_content.len, 0, NULL);
    if (json_is_true(json_object_get(event, "waits")))
        begin(summary, event, packet, now_ns);
    else if (waiting)
        end(summary, waiting, now_ns);
    json_decref(event);
}

void summary_prompts_packet(struct summary *summary, const struct mux_packet *packet,
                            uint64_t now_ns) {
    struct waiting *waiting;
    if (mux_span_equal(packet->file_name, mux_span_text("muxd.prompt")))
        take_prompt(summary, packet, now_ns);
    else if (mux_span_equal(packet->file_name, mux_span_text("muxd.exit")) &&
             (waiting = find(summary, hash_of(summary, packet->route))))
        end(summary, waiting, now_ns);
}

void summary_prompts_left(struct summary *summary, const char *segment) {
    size_t len = strlen(segment);
    for (unsigned i = 0; i < WAITING_MAX; i++) {
        struct waiting *waiting = &summary->waiting[i];
        bool is_under = strncmp(waiting->route, segment, len) == 0 &&
                        (waiting->route[len] == '\0' || waiting->route[len] == '/');
        if (waiting->hash && is_under)
            waiting->hash = 0;
    }
}
