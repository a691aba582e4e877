#include "tools/node/want.h"
#include "tools/node/write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * ---- writing ----
 */

/* Nothing, when all take jobs. */
static void put_slots(struct json *json, const bool *drains) {
    char segment[16];
    if (!memchr(drains, true, MESSAGE_SLOTS_MAX))
        return;
    json_put_key(json, "slots_draining");
    json_put_open(json, '[');
    for (unsigned i = 0; i < MESSAGE_SLOTS_MAX; i++)
        if (drains[i]) {
            snprintf(segment, sizeof segment, "%u", i);
            json_put_text(json, mux_span_text(segment));
        }
    json_put_close(json, ']');
}

void want_put(struct want_message *message, const struct want *want, struct mux_packet *packet) {
    struct json json;
    write_begin(&json, message->content, sizeof message->content);
    json_put_member_number(&json, "slots", want->slots);
    json_put_member_number(&json, "free", want->free);
    json_put_member_number(&json, "ahead", want->ahead);
    json_put_member_number(&json, "room", want->room);
    json_put_member_number(&json, "taken", want->taken);
    json_put_member_bool(&json, "draining", want->draining);
    put_slots(&json, want->slot_drains);
    write_end(&json, MESSAGE_WANT_FILE, packet);
}

/*
 * ---- reading ----
 */

static bool take_number(const json_t *tree, const char *key, uint64_t *number, char *why) {
    const json_t *value = json_object_get(tree, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return read_wrong(why, "\"%s\": expected a whole number", key);
    *number = (uint64_t)json_integer_value(value);
    return true;
}

/* Names of slots that are no numbers of ours are skipped. */
static bool take_slots(const json_t *tree, bool *drains, char *why) {
    const json_t *list = json_object_get(tree, "slots_draining");
    size_t i;
    json_t *segment;
    memset(drains, 0, MESSAGE_SLOTS_MAX * sizeof *drains);
    if (list && !json_is_array(list))
        return read_wrong(why, "\"slots_draining\": expected a list");
    json_array_foreach(list, i, segment) {
        const char *text = json_string_value(segment);
        unsigned long slot =
            text && *text >= '0' && *text <= '9' ? strtoul(text, NULL, 10) : MESSAGE_SLOTS_MAX;
        if (slot < MESSAGE_SLOTS_MAX)
            drains[slot] = true;
    }
    return true;
}

static bool take_want(const json_t *tree, struct want *want, char *why) {
    const json_t *draining = json_object_get(tree, "draining");
    want->draining = json_is_true(draining);
    if (draining && !json_is_boolean(draining))
        return read_wrong(why, "\"draining\": expected true or false");
    return take_slots(tree, want->slot_drains, why) &&
           take_number(tree, "slots", &want->slots, why) &&
           take_number(tree, "free", &want->free, why) &&
           take_number(tree, "ahead", &want->ahead, why) &&
           take_number(tree, "room", &want->room, why) &&
           take_number(tree, "taken", &want->taken, why);
}

bool want_parse(struct mux_span text, struct want *want, char *why) {
    json_t *tree;
    bool is_fine = read_message(text, &tree, why) && take_want(tree, want, why);
    json_decref(tree);
    return is_fine;
}
