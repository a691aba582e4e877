#include "tools/mux/show_more.h"
#include "tools/mux/store_words.h"
#include "tools/results/input.h"
#include "tools/store/names.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void print_json(json_t *object) {
    if (object)
        json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(object);
}

/* ---- slots ---- */

/* Tests of one slot that ran at the same time are no negative idleness. */
static double idle_share(const struct store_slot_row *row) {
    if (row->span_us <= 0 || row->busy_us >= row->span_us)
        return 0;
    return 1 - (double)row->busy_us / (double)row->span_us;
}

static bool print_slot(void *user, const struct store_slot_row *row) {
    const bool *json = user;
    if (*json) {
        print_json(json_pack("{s:s, s:I, s:f, s:f}", "route_code", row->route, "results",
                             (json_int_t)row->results, "busy_s", (double)row->busy_us / 1e6, "idle",
                             idle_share(row)));
        return true;
    }
    printf("%8llu results  busy %8s  idle %3.0f %%  ", (unsigned long long)row->results,
           store_words_took(row->busy_us), 100 * idle_share(row));
    store_words_text(*row->route ? row->route : "(no route)");
    putchar('\n');
    return true;
}

bool show_slots(struct store *store, const struct store_run *run, bool json,
                char why[STORE_WHY_BYTES]) {
    return store_slots(store, run, print_slot, &json, why);
}

/* ---- tests that never ran ---- */

#define IDS_FIRST 1024

/* Test ids by their keys; a place with both halves 0 is free. */
struct ids {
    struct names_key *places;
    size_t capacity, count; /* a power of two */
};

struct never {
    struct ids ids;   /* that ran; then, too, that were printed */
    bool is_chosen;   /* some were announced under no route */
    bool is_printing; /* the stream is read twice: who ran, then who did not */
    bool is_full;     /* out of memory */
    bool json;
};

static struct names_key *place_of(const struct ids *ids, struct names_key key) {
    size_t i = (size_t)key.b & (ids->capacity - 1);
    while ((ids->places[i].a || ids->places[i].b) && !names_same(ids->places[i], key))
        i = (i + 1) & (ids->capacity - 1);
    return &ids->places[i];
}

static bool grow(struct ids *ids) {
    struct ids larger = {.capacity = ids->capacity ? 2 * ids->capacity : IDS_FIRST,
                         .count = ids->count};
    larger.places = calloc(larger.capacity, sizeof *larger.places);
    if (!larger.places)
        return false;
    for (size_t i = 0; i < ids->capacity; i++)
        if (ids->places[i].a || ids->places[i].b)
            *place_of(&larger, ids->places[i]) = ids->places[i];
    free(ids->places);
    *ids = larger;
    return true;
}

/* False: it was there, or there is no memory, which `is_full` says. */
static bool add(struct never *never, struct mux_span test) {
    struct ids *ids = &never->ids;
    struct names_key key = names_key_of(test);
    if (ids->count >= ids->capacity / 2 && !grow(ids)) {
        never->is_full = true;
        return false;
    }
    struct names_key *place = place_of(ids, key);
    if (names_same(*place, key))
        return false;
    *place = key;
    ids->count++;
    return true;
}

static void print_id(const struct never *never, struct mux_span id) {
    if (never->json) {
        print_json(json_pack("{s:s%}", "test_id", id.data, id.len));
        return;
    }
    char text[4096], *room = id.len < sizeof text ? text : malloc(id.len + 1);
    if (!room)
        return;
    memcpy(room, id.data, id.len);
    room[id.len] = '\0';
    store_words_text(room);
    putchar('\n');
    if (room != text)
        free(room);
}

static bool take_frame(void *user, const struct mux_frame *frame) {
    struct never *never = user;
    const struct mux_packet *packet = &frame->packet;
    if (frame->kind != MUX_FRAME_PACKET || !packet->test_id.data)
        return true;
    bool is_announced = packet->status == MUX_STATUS_EXISTS;
    bool is_routed = packet->route.data != NULL;
    if (!never->is_printing && is_announced)
        never->is_chosen |= !is_routed;
    else if (!never->is_printing && packet->status != MUX_STATUS_NONE)
        add(never, packet->test_id);
    else if (never->is_printing && is_announced && !(never->is_chosen && is_routed) &&
             add(never, packet->test_id))
        print_id(never, packet->test_id);
    return !never->is_full;
}

/* A file never pauses. */
static bool go_on(void *user) {
    (void)user;
    return true;
}

bool show_never_ran(int stream, bool json, char why[STORE_WHY_BYTES]) {
    struct never never = {.json = json};
    const struct input_handler handler = {
        .frame = take_frame, .pause = go_on, .pause_ms = -1, .user = &never};
    int error = input_read(stream, &handler);
    never.is_printing = true;
    if (error == 0 && lseek(stream, 0, SEEK_SET) != 0)
        error = errno;
    if (error == 0)
        error = input_read(stream, &handler);
    free(never.ids.places);
    if (error)
        snprintf(why, STORE_WHY_BYTES, "the run's file: %s",
                 error > 0 ? strerror(error) : "out of memory");
    return error == 0;
}
