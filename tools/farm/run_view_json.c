/* A run for programs: an object a line. mux(1), "Progress as JSON", says what is in them. */
#include "tools/base/json.h"
#include "tools/farm/run_view_internal.h"

#include <stdlib.h>
#include <string.h>

/* So often it says how it stands, while that changes. */
#define PROGRESS_NS RUN_VIEW_SECOND_NS

/* Of an object without ids and texts. */
#define OBJECT_BYTES 2048

struct object {
    struct json json;
    char *room; /* NULL: out of memory */
};

/* With room for texts of so many bytes. */
static struct object begin(const char *event, size_t text_bytes) {
    struct object object = {0};
    size_t room = OBJECT_BYTES + JSON_GROWTH * text_bytes;
    object.room = malloc(room);
    if (!object.room)
        abort(); /* out of memory */
    json_put_start(&object.json, object.room, room);
    json_put_open(&object.json, '{');
    json_put_member_text(&object.json, "event", event);
    return object;
}

static void put_span(struct object *object, const char *key, struct mux_span text) {
    json_put_key(&object->json, key);
    json_put_text(&object->json, text);
}

/* UINT64_MAX: not known. */
static void put_seconds(struct object *object, const char *key, uint64_t ns) {
    json_put_key(&object->json, key);
    if (ns == UINT64_MAX)
        json_put_null(&object->json);
    else
        json_put_seconds(&object->json, ns);
}

static void put_slot(struct object *object, int slot) {
    json_put_key(&object->json, "slot");
    if (slot < 0)
        json_put_null(&object->json);
    else
        json_put_number(&object->json, (uint64_t)slot);
}

static void end(struct run_view *view, struct object *object) {
    json_put_close(&object->json, '}');
    json_put_line_end(&object->json);
    outlet_write(&view->screen.outlet, object->room, json_len(&object->json));
    free(object->room);
}

/*
 * ---- events ----
 */

void run_view_json_planned(struct run_view *view, uint64_t now_ns) {
    struct run_totals totals;
    run_totals(view->run, &totals);
    struct object object = begin("start", strlen(view->config.what));
    json_put_member_number(&object.json, "v", 1);
    json_put_member_text(&object.json, "run", view->config.uuid);
    json_put_member_text(&object.json, "runner", view->config.what);
    json_put_member_number(&object.json, "tests", totals.selected);
    json_put_member_number(&object.json, "slots", totals.slots);
    json_put_member_number(&object.json, "past_runs", view->seen->past_runs);
    put_seconds(&object, "left_s", run_seen_left_ns(view->seen, now_ns));
    if (*view->config.random)
        json_put_member_text(&object.json, "random", view->config.random);
    end(view, &object);
}

void run_view_json_ended(struct run_view *view, const struct run_ended *ended) {
    bool is_known = ended->test != RUN_STRANGER;
    const char *status = mux_status_text(ended->status);
    uint64_t usual_ns = is_known ? run_past_of(view->run, ended->test)->usual_ns : 0;
    struct object object = begin("test", ended->id.len + ended->text.len);
    put_span(&object, "test_id", ended->id);
    json_put_member_text(&object.json, "status", status ? status : "none");
    put_slot(&object, ended->slot);
    put_seconds(&object, "took_s", ended->took_ns);
    put_seconds(&object, "usual_s", usual_ns ? usual_ns : UINT64_MAX);
    json_put_member_bool(&object.json, "announced", is_known);
    if (run_is_bad(ended->status)) {
        json_put_member_bool(&object.json, "new", run_seen_is_new(view->run, ended->test));
        put_span(&object, "text", ended->text.data ? ended->text : mux_span_text(""));
    }
    end(view, &object);
}

void run_view_json_waits(struct run_view *view, unsigned slot) {
    char route[DESK_SLOT_ROUTE_BYTES];
    struct run_slot_status status;
    run_slot_status(view->run, slot, &status);
    run_slot_route(view->run, slot, route);
    struct mux_span id =
        status.has_test ? ids_text(run_ids(view->run), status.test) : mux_span_text("");
    struct object object = begin("wait", id.len + DESK_SLOT_ROUTE_BYTES);
    put_slot(&object, (int)slot);
    put_span(&object, "test_id", id);
    json_put_member_text(&object.json, "prompt", status.prompt ? status.prompt : "");
    json_put_member_text(&object.json, "control", view->config.control ? view->config.control : "");
    json_put_member_text(&object.json, "route_code", route);
    end(view, &object);
}

void run_view_json_say(struct run_view *view, const char *line) {
    struct object object = begin("message", strlen(line));
    json_put_member_text(&object.json, "text", line);
    end(view, &object);
}

/*
 * ---- how it stands ----
 */

static void say_progress(struct run_view *view, const struct run_totals *totals, uint64_t now_ns) {
    const struct run_seen *seen = view->seen;
    struct object object = begin("progress", 0);
    json_put_member_number(&object.json, "done", totals->done);
    json_put_member_number(&object.json, "due", totals->due);
    json_put_member_number(&object.json, "passed", seen->passed);
    json_put_member_number(&object.json, "failed", seen->failed);
    json_put_member_number(&object.json, "skipped", seen->skipped);
    json_put_member_number(&object.json, "retries", plan_totals(run_plan(view->run)).retries);
    json_put_member_number(&object.json, "slots", totals->slots);
    json_put_member_number(&object.json, "busy_slots", totals->busy_slots);
    put_seconds(&object, "age_s", now_ns - seen->planned_ns);
    put_seconds(&object, "left_s", run_seen_left_ns(view->seen, now_ns));
    end(view, &object);
}

uint64_t run_view_json_tick(struct run_view *view, uint64_t now_ns) {
    struct run_totals totals;
    if (!run_plan(view->run))
        return UINT64_MAX;
    if (now_ns < view->told_ns + PROGRESS_NS)
        return view->told_ns + PROGRESS_NS;
    run_totals(view->run, &totals);
    if (totals.done != view->told_done)
        say_progress(view, &totals, now_ns);
    view->told_done = totals.done;
    view->told_ns = now_ns;
    return now_ns + PROGRESS_NS;
}

/*
 * ---- the end ----
 */

/* What became of a test, where that is more than its last result says. */
static const char *word_of(enum plan_outcome outcome) {
    static const char *const words[PLAN_OUTCOMES] = {[PLAN_FAILED] = "failed",
                                                     [PLAN_FLAKY] = "flaky",
                                                     [PLAN_KILLER] = "killer",
                                                     [PLAN_NEVER] = "never ran"};
    return words[outcome];
}

static const char *cause_of(enum plan_cause cause) {
    static const char *const words[] = {[PLAN_CAUSE_NONE] = NULL,
                                        [PLAN_CAUSE_IGNORED] = "ignored",
                                        [PLAN_CAUSE_LOST] = "lost",
                                        [PLAN_CAUSE_STOPPED] = "stopped",
                                        [PLAN_CAUSE_CUT] = "cut"};
    return words[cause];
}

static void say_outcome(struct run_view *view, uint32_t index) {
    struct plan_record record = plan_record(run_plan(view->run), index);
    const char *word = word_of(record.outcome), *cause = cause_of(record.cause);
    if (!word)
        return;
    struct mux_span id = ids_text(run_ids(view->run), run_selected(view->run, index));
    struct object object = begin("outcome", id.len);
    put_span(&object, "test_id", id);
    json_put_member_text(&object.json, "outcome", word);
    if (record.outcome == PLAN_NEVER && cause)
        json_put_member_text(&object.json, "cause", cause);
    end(view, &object);
}

static const char *end_word(enum run_outcome outcome) {
    static const char *const words[] = {
        [RUN_PASSED] = "passed",           [RUN_FAILED] = "failed",
        [RUN_INCOMPLETE] = "incomplete",   [RUN_NOTHING] = "nothing",
        [RUN_INTERRUPTED] = "interrupted", [RUN_INFRASTRUCTURE] = "infrastructure",
    };
    return words[outcome];
}

static void put_counts(struct object *object, const struct run_totals *totals) {
    const uint32_t *counts = totals->counts;
    json_put_key(&object->json, "counts");
    json_put_open(&object->json, '{');
    json_put_member_number(&object->json, "passed", counts[PLAN_PASSED]);
    json_put_member_number(&object->json, "failed", counts[PLAN_FAILED]);
    json_put_member_number(&object->json, "killers", counts[PLAN_KILLER]);
    json_put_member_number(&object->json, "flaky", counts[PLAN_FLAKY]);
    json_put_member_number(&object->json, "skipped", counts[PLAN_SKIPPED]);
    json_put_member_number(&object->json, "never_ran", counts[PLAN_NEVER]);
    json_put_member_number(&object->json, "strangers_failed", totals->strangers_failed);
    json_put_member_number(&object->json, "runners_failed", totals->runners_failed);
    json_put_close(&object->json, '}');
}

void run_view_json_end(struct run_view *view, uint64_t now_ns) {
    char why[RUN_WHY_BYTES];
    struct run_totals totals;
    if (run_state(view->run) != RUN_OVER)
        return;
    run_totals(view->run, &totals);
    enum run_outcome outcome = run_outcome(view->run, why);
    for (uint32_t i = 0; run_plan(view->run) && i < totals.selected; i++)
        say_outcome(view, i);
    struct object object = begin("end", sizeof why);
    json_put_member_text(&object.json, "outcome", end_word(outcome));
    json_put_member_text(&object.json, "why", why);
    put_counts(&object, &totals);
    put_seconds(&object, "took_s", now_ns - view->seen->begun_ns);
    put_seconds(&object, "busy_s", view->seen->busy_ns);
    json_put_member_number(&object.json, "slots", run_slots(view->run));
    end(view, &object);
}
