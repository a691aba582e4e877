#include "tools/node/order.h"
#include "tools/base/text.h"
#include "tools/node/write.h"

#include <stdio.h>
#include <string.h>

static const char *const verbs[ORDER_VERBS] = {
    [ORDER_DRAIN] = "drain",
    [ORDER_UNDRAIN] = "undrain",
    [ORDER_KICK] = "kick",
    [ORDER_STOP] = "stop",
};

static const char *const states[ORDER_STATES] = {
    [ORDER_DONE] = "done",
    [ORDER_REFUSED] = "refused",
    [ORDER_NEWS] = "news",
};

/* The place of a word among others; `count`: it is not there. */
static unsigned place_of(struct mux_span word, const char *const *words, unsigned count) {
    for (unsigned i = 0; word.data && i < count; i++)
        if (mux_span_equal(word, mux_span_text(words[i])))
            return i;
    return count;
}

const char *order_verb_name(enum order_verb verb) {
    return verb < ORDER_VERBS ? verbs[verb] : "one that is not known";
}

bool order_verb_parse(struct mux_span word, enum order_verb *verb) {
    unsigned place = place_of(word, verbs, ORDER_VERBS);
    *verb = place < ORDER_VERBS ? (enum order_verb)place : ORDER_DRAIN;
    return place < ORDER_VERBS;
}

/*
 * ---- writing ----
 */

void order_put(struct order_message *message, const struct order *order,
               struct mux_packet *packet) {
    struct json json;
    write_begin(&json, message->content, sizeof message->content);
    json_put_member_text(&json, "do", verbs[order->verb]);
    if (*order->id)
        json_put_member_text(&json, "id", order->id);
    if (order->is_from_above) {
        json_put_member_bool(&json, "above", true);
    }
    write_end(&json, ORDER_FILE, packet);
}

void order_answer_put(struct order_message *message, const struct order_answer *answer,
                      struct mux_packet *packet) {
    struct json json;
    write_begin(&json, message->content, sizeof message->content);
    json_put_member_text(&json, "state", states[answer->state]);
    if (answer->state != ORDER_NEWS) {
        if (answer->verb < ORDER_VERBS)
            json_put_member_text(&json, "do", verbs[answer->verb]);
        json_put_member_text(&json, "id", answer->id);
    }
    json_put_member_bool(&json, "draining", answer->draining);
    if (*answer->why)
        json_put_member_text(&json, "why", answer->why);
    write_end(&json, ORDER_FILE, packet);
}

void order_answer_make(struct order_answer *answer, const struct order *order, bool draining,
                       const char *why) {
    *answer = (struct order_answer){
        .state = why ? ORDER_REFUSED : ORDER_DONE, .verb = order->verb, .draining = draining};
    memcpy(answer->id, order->id, sizeof answer->id);
    snprintf(answer->why, sizeof answer->why, "%s", why ? why : "");
}

/*
 * ---- reading ----
 */

static struct mux_span text_of(const json_t *tree, const char *key) {
    const json_t *value = json_object_get(tree, key);
    return mux_span(json_string_value(value), json_string_length(value));
}

static bool take_verb(const json_t *tree, enum order_verb *verb, char *why) {
    enum { SHOWN_BYTES = 40 };
    struct mux_span word = text_of(tree, "do");
    char shown[SHOWN_BYTES * TEXT_GROWTH + 1];
    if (order_verb_parse(word, verb))
        return true;
    word.len = word.len < SHOWN_BYTES ? word.len : SHOWN_BYTES;
    text_clean(word, false, shown, sizeof shown);
    return read_wrong(
        why, "\"do\": \"%s\" is not known here: expected kick, drain, undrain or stop", shown);
}

/* May be missing. */
static bool take_id(const json_t *tree, char id[ORDER_ID_BYTES], char *why) {
    struct mux_span text = text_of(tree, "id");
    *id = '\0';
    if (!json_object_get(tree, "id"))
        return true;
    if (!text.data || text.len >= ORDER_ID_BYTES || memchr(text.data, '\0', text.len))
        return read_wrong(why, "\"id\": expected a string of at most %d bytes", ORDER_ID_BYTES - 1);
    memcpy(id, text.data, text.len);
    id[text.len] = '\0';
    return true;
}

/* May be missing: false. */
static bool take_bool(const json_t *tree, const char *key, bool *out, char *why) {
    const json_t *value = json_object_get(tree, key);
    *out = json_is_true(value);
    return !value || json_is_boolean(value) ||
           read_wrong(why, "\"%s\": expected true or false", key);
}

static bool take_order(const json_t *tree, struct order *order, char *why) {
    if (!take_id(tree, order->id, why) || !take_verb(tree, &order->verb, why) ||
        !take_bool(tree, "above", &order->is_from_above, why))
        return false;
    return !order->is_from_above || order->verb <= ORDER_UNDRAIN ||
           read_wrong(why, "\"above\" goes with drain and undrain only");
}

static bool take_answer(const json_t *tree, struct order_answer *answer, char *why) {
    unsigned state = place_of(text_of(tree, "state"), states, ORDER_STATES);
    struct mux_span reason = text_of(tree, "why");
    if (state == ORDER_STATES)
        return read_wrong(why, "\"state\": expected done, refused or news");
    answer->state = (enum order_state)state;
    if (reason.data)
        snprintf(answer->why, sizeof answer->why, "%.*s", (int)reason.len,
                 (const char *)reason.data);
    if (!take_id(tree, answer->id, why) || !take_bool(tree, "draining", &answer->draining, why))
        return false;
    if (answer->state == ORDER_REFUSED && !json_object_get(tree, "do")) {
        answer->verb = ORDER_VERBS;
        return true;
    }
    return answer->state == ORDER_NEWS || take_verb(tree, &answer->verb, why);
}

bool order_parse(struct mux_span text, struct order *order, char *why) {
    json_t *tree;
    *order = (struct order){0};
    char id_why[READ_WHY_BYTES];
    bool is_read = read_message(text, &tree, why);
    bool is_fine = is_read && take_order(tree, order, why);
    if (!is_read)
        take_id(tree, order->id, id_why);
    if (!is_fine)
        order->verb = ORDER_VERBS;
    json_decref(tree);
    return is_fine;
}

bool order_answer_parse(struct mux_span text, struct order_answer *answer, char *why) {
    json_t *tree;
    *answer = (struct order_answer){0};
    bool is_fine = read_message(text, &tree, why) && take_answer(tree, answer, why);
    json_decref(tree);
    return is_fine;
}
