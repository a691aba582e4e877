#include "tools/farm/past_jobs.h"

#include "tools/node/answer.h"
#include "tools/results/input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Slot, runner and job of a test's last begin: a result behind it is no other begin. */
struct last {
    uint32_t slot, job;
    bool is_there;
};

struct slot {
    uint32_t runner, job;
};

struct reading {
    struct past_jobs *jobs;
    struct slot *slots;
    uint32_t slot_room;
    struct last *last; /* by test */
    uint32_t last_room;
    int error;
};

/* ---- tables that grow, zeroed ---- */

static bool grow(void **table, uint32_t *room, uint32_t wanted, size_t item_bytes) {
    if (wanted < *room)
        return true;
    uint32_t more = wanted + wanted / 2 + 64;
    uint8_t *grown = realloc(*table, more * item_bytes);
    if (!grown)
        return false;
    memset(grown + *room * item_bytes, 0, (more - *room) * item_bytes);
    *table = grown;
    *room = more;
    return true;
}

/* The number of a route's slot, a new one if it is new. IDS_NONE: out of memory. */
static uint32_t slot_of(struct reading *reading, struct mux_span route) {
    struct ids *slots = &reading->jobs->slots;
    uint32_t slot = ids_add(slots, route.data ? route : mux_span_text(""));
    if (slot != IDS_NONE &&
        grow((void **)&reading->slots, &reading->slot_room, slot, sizeof *reading->slots))
        return slot;
    reading->error = ENOMEM;
    return IDS_NONE;
}

/* What comes from below a slot is that slot's. */
static uint32_t slot_of_test(struct reading *reading, struct mux_span route) {
    for (size_t len = route.len; len > 0; len--) {
        if (len < route.len && route.data[len] != '/')
            continue;
        uint32_t slot = ids_find(&reading->jobs->slots, mux_span(route.data, len));
        if (slot != IDS_NONE)
            return slot;
    }
    return slot_of(reading, route);
}

/* ---- packets ---- */

static void add_begin(struct reading *reading, uint32_t test, uint32_t slot) {
    struct past_jobs *jobs = reading->jobs;
    if (!grow((void **)&jobs->begins, &jobs->room, jobs->count, sizeof *jobs->begins)) {
        reading->error = ENOMEM;
        return;
    }
    jobs->begins[jobs->count++] =
        (struct past_begin){test, slot, reading->slots[slot].runner, reading->slots[slot].job};
    reading->last[test] = (struct last){slot, reading->slots[slot].job, true};
}

/* Not every runner says when a test begins: then its result does. */
static void take_test(struct reading *reading, const struct mux_packet *packet) {
    uint32_t slot = slot_of_test(reading, packet->route);
    uint32_t test = ids_add(&reading->jobs->tests, packet->test_id);
    if (slot == IDS_NONE || test == IDS_NONE ||
        !grow((void **)&reading->last, &reading->last_room, test, sizeof *reading->last)) {
        reading->error = ENOMEM;
        return;
    }
    const struct last *last = &reading->last[test];
    if (!last->is_there || last->slot != slot || last->job != reading->slots[slot].job)
        add_begin(reading, test, slot);
}

static void take_answer(struct reading *reading, const struct mux_packet *packet) {
    char why[READ_WHY_BYTES];
    struct answer answer;
    json_t *tree;
    if (answer_parse(packet->file_content, &answer, &tree, why) && answer.state == ANSWER_BEGUN) {
        uint32_t slot = slot_of(reading, packet->route);
        if (slot != IDS_NONE) {
            reading->slots[slot].runner++;
            reading->slots[slot].job++;
        }
    }
    json_decref(tree);
}

static void take_packet(struct reading *reading, const struct mux_packet *packet) {
    if (packet->test_id.data) {
        if (packet->status > MUX_STATUS_EXISTS && packet->runnable)
            take_test(reading, packet);
    } else if (mux_span_equal(packet->file_name, mux_span_text("muxd.job"))) {
        take_answer(reading, packet);
    } else if (mux_span_equal(packet->file_name, mux_span_text("runner.batch"))) {
        uint32_t slot = slot_of_test(reading, packet->route);
        if (slot != IDS_NONE)
            reading->slots[slot].job++;
    }
}

static bool take_frame(void *user, const struct mux_frame *frame) {
    struct reading *reading = user;
    if (frame->kind == MUX_FRAME_PACKET)
        take_packet(reading, &frame->packet);
    return reading->error == 0;
}

static bool go_on(void *user) {
    (void)user;
    return true;
}

/* ---- order ---- */

/* Routes of slots, "0/9" before "0/10". */
static int compare_routes(struct mux_span a, struct mux_span b) {
    if (a.len != b.len)
        return a.len < b.len ? -1 : 1;
    return a.len ? memcmp(a.data, b.data, a.len) : 0;
}

static int compare(const void *left, const void *right, void *user) {
    const struct ids *slots = user;
    return compare_routes(ids_text(slots, *(const uint32_t *)left),
                          ids_text(slots, *(const uint32_t *)right));
}

/* order[0..slots): the slots by route; then at[slot]: where its first begin is to stand. */
static void find_places(struct past_jobs *jobs, uint32_t *order, uint32_t *at) {
    for (uint32_t slot = 0; slot < jobs->slots.count; slot++)
        order[slot] = slot;
    qsort_r(order, jobs->slots.count, sizeof *order, compare, &jobs->slots);
    for (uint32_t i = 0; i < jobs->count; i++)
        at[jobs->begins[i].slot]++;
    for (uint32_t i = 0, sum = 0; i < jobs->slots.count; i++) {
        uint32_t slot = order[i], count = at[slot];
        at[slot] = sum;
        sum += count;
        jobs->slot_count += count > 0;
    }
}

/* Slots get new numbers: those of their places among the slots that had tests. */
static void put_in_order(struct past_jobs *jobs, uint32_t *at, struct past_begin *sorted) {
    for (uint32_t i = 0; i < jobs->count; i++)
        sorted[at[jobs->begins[i].slot]++] = jobs->begins[i];
    for (uint32_t i = 0, before = 0, slot = 0; i < jobs->count; i++) {
        slot += i > 0 && sorted[i].slot != before;
        before = sorted[i].slot;
        sorted[i].slot = slot;
    }
    free(jobs->begins);
    jobs->begins = sorted;
}

static bool sort(struct past_jobs *jobs) {
    uint32_t *order = calloc(jobs->slots.count + 1, sizeof *order);
    uint32_t *at = calloc(jobs->slots.count + 1, sizeof *at);
    struct past_begin *sorted = calloc(jobs->count + 1, sizeof *sorted);
    bool is_fine = order && at && sorted;
    if (is_fine) {
        find_places(jobs, order, at);
        put_in_order(jobs, at, sorted);
    } else {
        free(sorted);
    }
    free(order);
    free(at);
    return is_fine;
}

int past_jobs_read(struct past_jobs *jobs, int fd, uint64_t hash_key) {
    struct reading reading = {.jobs = jobs};
    const struct input_handler handler = {
        .frame = take_frame, .pause = go_on, .pause_ms = -1, .user = &reading};
    *jobs = (struct past_jobs){0};
    ids_open(&jobs->tests, hash_key);
    ids_open(&jobs->slots, hash_key);
    int error = input_read(fd, &handler);
    if (error < 0)
        error = reading.error;
    if (!error && !sort(jobs))
        error = ENOMEM;
    free(reading.slots);
    free(reading.last);
    return error;
}

void past_jobs_free(struct past_jobs *jobs) {
    ids_close(&jobs->tests);
    ids_close(&jobs->slots);
    free(jobs->begins);
}
