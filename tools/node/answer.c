/* Answers to jobs, written and read. */
#include "tools/node/answer.h"
#include "tools/node/write.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static void put_fate(struct json *json, const struct answer *answer) {
    if (answer->status >= 0) {
        json_put_member_number(json, "status", (uint64_t)answer->status);
        return;
    }
    json_put_member_number(json, "signal", (uint64_t)answer->signal);
    json_put_member_text(json, "signal_name", sigabbrev_np(answer->signal));
}

/* mux exec says of a signal that ended its command what a shell says. */
#define STATUS_SIGNAL 128

void answer_fate(const struct answer *answer, char fate[ANSWER_FATE_BYTES]) {
    int number = answer->status < 0 ? answer->signal : answer->status - STATUS_SIGNAL;
    const char *name = number > 0 ? sigabbrev_np(number) : NULL;
    if (name)
        snprintf(fate, ANSWER_FATE_BYTES, "was ended by signal %d (SIG%s)", number, name);
    else if (answer->status < 0)
        snprintf(fate, ANSWER_FATE_BYTES, "was ended by signal %d", number);
    else
        snprintf(fate, ANSWER_FATE_BYTES, "ended with exit status %d", answer->status);
}

static void copy_name(const json_t *tree, const char *key, char out[ANSWER_NAME_BYTES]) {
    const char *name = json_string_value(json_object_get(tree, key));
    snprintf(out, ANSWER_NAME_BYTES, "%s", name ? name : "");
}

bool answer_names_of(const struct mux_packet *job, struct answer_names *names) {
    struct mux_span id = job->test_id;
    char why[READ_WHY_BYTES];
    json_t *tree;
    if (!job->eof)
        return false;
    read_message(job->file_content, &tree, why);
    copy_name(tree, "run", names->run);
    copy_name(tree, "job", names->job);
    json_decref(tree);
    if (!*names->job && id.data && id.len < ANSWER_NAME_BYTES)
        snprintf(names->job, ANSWER_NAME_BYTES, "%.*s", (int)id.len, (const char *)id.data);
    return true;
}

static const char *const state_names[] = {
    [ANSWER_BEGUN] = "begun",
    [ANSWER_ENDED] = "ended",
    [ANSWER_REFUSED] = "refused",
    [ANSWER_REPEATED] = "repeated",
};

void answer_put(struct answer_message *message, const struct answer *answer,
                struct mux_packet *packet) {
    struct json json;
    write_begin(&json, message->content, sizeof message->content);
    json_put_member_text(&json, "run", answer->run);
    json_put_member_text(&json, "job", answer->name);
    json_put_member_text(&json, "state", state_names[answer->state]);
    if (answer->slot)
        json_put_member_text(&json, "slot", answer->slot);
    if (answer->state == ANSWER_ENDED)
        put_fate(&json, answer);
    if (answer->why)
        json_put_member_text(&json, "why", answer->why);
    write_end(&json, MESSAGE_JOB_FILE, packet);
    packet->route = answer->slot ? mux_span_text(answer->slot) : mux_span(NULL, 0);
}

void answer_put_refusal(struct answer_message *message, const struct answer_names *names,
                        const char *why, struct mux_packet *packet) {
    const struct answer answer = {
        .state = ANSWER_REFUSED, .run = names->run, .name = names->job, .why = why};
    answer_put(message, &answer, packet);
}

/*
 * ---- reading ----
 */

static bool take_state(const json_t *tree, enum answer_state *state, char *why) {
    const char *text = json_string_value(json_object_get(tree, "state"));
    for (unsigned i = 0; text && i < sizeof state_names / sizeof *state_names; i++)
        if (strcmp(text, state_names[i]) == 0) {
            *state = (enum answer_state)i;
            return true;
        }
    return read_wrong(why, "\"state\": expected begun, ended, refused or repeated");
}

/* NULL is fine where it may be missing. */
static bool take_text(const json_t *tree, const char *key, const char **text, char *why) {
    const json_t *value = json_object_get(tree, key);
    *text = json_string_value(value);
    return !value || *text || read_wrong(why, "\"%s\": expected a text", key);
}

static bool take_fate(const json_t *tree, struct answer *answer, char *why) {
    const json_t *status = json_object_get(tree, "status");
    const json_t *signal = json_object_get(tree, "signal");
    enum { STATUS_MOST = 255 };
    answer->status = -1;
    if (answer->state != ANSWER_ENDED)
        return true;
    json_int_t value = json_integer_value(status ? status : signal);
    if (!json_is_integer(status ? status : signal) || value < 0 || value > STATUS_MOST)
        return read_wrong(why, "expected \"status\" or \"signal\", 0 to 255");
    if (status)
        answer->status = (int)value;
    else
        answer->signal = (int)value;
    return true;
}

static bool take_answer(const json_t *tree, struct answer *answer, char *why) {
    return take_state(tree, &answer->state, why) && take_text(tree, "run", &answer->run, why) &&
           take_text(tree, "job", &answer->name, why) &&
           take_text(tree, "slot", &answer->slot, why) &&
           take_text(tree, "why", &answer->why, why) && take_fate(tree, answer, why) &&
           ((answer->run && answer->name) || read_wrong(why, "\"run\" and \"job\" are missing"));
}

bool answer_parse(struct mux_span text, struct answer *answer, json_t **tree, char *why) {
    *answer = (struct answer){0};
    return read_message(text, tree, why) && take_answer(*tree, answer, why);
}
