#include "tools/node/answer.h"
#include "tools/node/write.h"

#include <signal.h>
#include <string.h>

static void put_fate(struct json *json, const struct answer *answer) {
    if (answer->status >= 0) {
        json_put_member_number(json, "status", (uint64_t)answer->status);
        return;
    }
    json_put_member_number(json, "signal", (uint64_t)answer->signal);
    json_put_member_text(json, "signal_name", sigabbrev_np(answer->signal));
}

void answer_put(struct answer_message *message, const struct answer *answer,
                struct mux_packet *packet) {
    static const char *const names[] = {
        [ANSWER_BEGUN] = "begun",
        [ANSWER_ENDED] = "ended",
        [ANSWER_REFUSED] = "refused",
        [ANSWER_REPEATED] = "repeated",
    };
    struct json json;
    write_begin(&json, message->content, sizeof message->content);
    json_put_member_text(&json, "run", answer->run);
    json_put_member_text(&json, "job", answer->name);
    json_put_member_text(&json, "state", names[answer->state]);
    if (answer->slot)
        json_put_member_text(&json, "slot", answer->slot);
    if (answer->state == ANSWER_ENDED)
        put_fate(&json, answer);
    if (answer->why)
        json_put_member_text(&json, "why", answer->why);
    write_end(&json, MESSAGE_JOB_FILE, packet);
    packet->route = answer->slot ? mux_span_text(answer->slot) : mux_span(NULL, 0);
}
