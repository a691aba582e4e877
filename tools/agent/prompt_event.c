#include "tools/agent/prompt_event.h"
#include "tools/base/json.h"

#include <time.h>

#define PROMPT_EVENT_VERSION 1

/* Without secrets. */
static void put_masked(struct json *json, const char *key, struct mux_span text,
                       const struct mask *mask) {
    uint8_t copy[PROMPT_EVENT_TEST_BYTES];
    size_t len = text.len < sizeof copy ? text.len : sizeof copy;
    memcpy(copy, text.data, len);
    mask_text(mask, copy, len);
    json_put_key(json, key);
    json_put_text(json, mux_span(copy, len));
}

void prompt_event_make(struct prompt_event *event, const struct prompt *prompt, bool is_over,
                       struct mux_span test, const struct mask *mask, struct mux_packet *packet) {
    struct timespec now;
    struct json json;
    clock_gettime(CLOCK_REALTIME, &now);
    json_put_start(&json, event->content, sizeof event->content);
    json_put_open(&json, '{');
    json_put_member_number(&json, "version", PROMPT_EVENT_VERSION);
    json_put_member_bool(&json, "waits", !is_over);
    put_masked(&json, "prompt", mux_span(prompt->shown, prompt->shown_len), mask);
    if (test.data)
        put_masked(&json, "test", test, mask);
    json_put_member_number(&json, "since_ns", prompt->since_ns);
    json_put_close(&json, '}');
    *packet = (struct mux_packet){
        .eof = true,
        .has_timestamp = true,
        .seconds = (uint32_t)now.tv_sec,
        .nanoseconds = (uint32_t)now.tv_nsec,
        .mime = mux_span_text("application/json"),
        .file_name = mux_span_text("muxd.prompt"),
        .file_content = mux_span(event->content, json_len(&json)),
    };
}
