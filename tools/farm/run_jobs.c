/* What slots get, and what becomes of it: jobs with ids, or runners that stay alive and batches. */
#include "tools/base/text.h"
#include "tools/farm/run_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The event of a runner behind each batch. */
#define BATCH_FILE "runner.batch"

/* Exit statuses of mux exec that say nothing of the runner: tests failed, no test ran. */
#define STATUS_TESTS_FAILED 4
#define STATUS_NOTHING_RAN 5
#define STATUS_SIGNAL 128

/* Of what a runner said that ended between tests. */
#define SAID_LINES 5

static const char *id_of(const struct run *run, uint32_t test) {
    return (const char *)ids_text(&run->ids, run->selected[test]).data;
}

/*
 * ---- a job's object ----
 */

static void set_texts(json_t *object, const char *key, const char *const *texts) {
    if (!texts || !*texts)
        return;
    json_t *list = json_array();
    for (; *texts; texts++)
        json_array_append_new(list, json_string(*texts));
    json_object_set_new(object, key, list);
}

static void set_time(json_t *limits, const char *key, uint64_t ns) {
    if (ns)
        json_object_set_new(limits, key, json_real((double)ns / 1e9));
}

/* A list that is longer is refused here, and never cut on its way. */
static void set_list_limit(json_t *limits) {
    json_object_set_new(limits, "max_output_bytes", json_integer(2 * RUN_LINES_MOST_BYTES));
}

static void set_limits(const struct run *run, json_t *object, bool is_list) {
    const struct run_config *config = &run->config;
    json_t *limits = json_object();
    if (is_list)
        set_list_limit(limits);
    set_time(limits, "timeout_s", config->timeout_ns);
    set_time(limits, "idle_timeout_s", config->idle_timeout_ns);
    set_time(limits, "test_timeout_s", config->test_timeout_ns);
    json_object_set_new(object, "limits", limits);
}

static void set_ids(const struct run *run, json_t *object, const struct run_command *command) {
    static const char *const names[] = {
        [RUNNER_IDS_FILE] = "file", [RUNNER_IDS_LIST] = "list", [RUNNER_IDS_STDIN] = "stdin"};
    if (command->how > RUNNER_IDS_STDIN)
        return;
    json_t *ids = json_array();
    for (uint32_t i = 0; i < command->count; i++)
        json_array_append_new(ids, json_string(id_of(run, command->tests[i])));
    json_object_set_new(object, "ids", ids);
    json_object_set_new(object, "ids_as", json_string(names[command->how]));
}

/* Programs that share things may keep them apart by these. */
static void set_environment(const struct run *run, json_t *object, unsigned slot) {
    char number[16];
    json_t *environment = json_object();
    snprintf(number, sizeof number, "%u", slot);
    json_object_set_new(environment, "MUX_RUN", json_string(run->config.uuid));
    json_object_set_new(environment, "MUX_SLOT", json_string(number));
    json_object_set_new(object, "environment", environment);
}

/* False after run_fail(). */
static bool set_on_instance(struct run *run, unsigned slot, struct run_command *command) {
    const struct strings *instances = run->config.instances;
    char why[RUNNER_WHY_BYTES];
    if (instances->count == 0 ||
        runner_on_instance(run->config.runner, instances->all[slot % instances->count],
                           command->how, &command->arguments, why))
        return true;
    run_fail(run, why);
    return false;
}

bool run_jobs_send(struct run *run, unsigned slot, struct run_command *command) {
    if (!set_on_instance(run, slot, command))
        return false;
    json_t *object = json_object();
    set_texts(object, "command", strings_list(&command->arguments));
    set_texts(object, "tags", run->config.tags);
    set_texts(object, "masks", run->config.masks);
    set_limits(run, object, run->slots[slot].state == RUN_SLOT_LISTING);
    set_environment(run, object, slot);
    set_ids(run, object, command);
    json_object_set_new(object, "allow_empty", json_true());
    json_object_set_new(object, "pty", json_boolean(command->has_terminal));
    struct run_slot *at = &run->slots[slot];
    at->job = ++run->last_job;
    at->is_stopped = at->is_limited = at->has_died = false;
    at->failed = 0;
    *at->prompt = '\0';
    at->batch = 0;
    at->death_len = at->said_len = 0;
    at->dead_took_ns = UINT64_MAX;
    bool is_sent = object && desk_send_job(run->desk, slot, at->job, object);
    json_decref(object);
    return is_sent;
}

/*
 * ---- a job with ids ----
 */

static bool make_command(struct run *run, struct run_command *command, char why[RUNNER_WHY_BYTES]) {
    const char **ids = malloc((command->count + 1) * sizeof *ids);
    snprintf(why, RUNNER_WHY_BYTES, "out of memory");
    if (!ids)
        return false;
    for (uint32_t i = 0; i < command->count; i++)
        ids[i] = id_of(run, command->tests[i]);
    bool is_made = runner_job_command(run->config.runner, ids, command->count, &command->arguments,
                                      &command->how, why);
    free(ids);
    return is_made;
}

/* A person debugs on a terminal. */
static bool make_debugging(struct run *run, struct run_command *command,
                           char why[RUNNER_WHY_BYTES]) {
    command->how = RUNNER_IDS_FILE;
    command->has_terminal = true;
    return runner_debug_command(run->config.runner, &command->arguments, why);
}

static void give_job(struct run *run, const struct plan_job *job) {
    char why[RUNNER_WHY_BYTES];
    struct run_command command = {.tests = job->tests, .count = job->count};
    run_set_slot(run, job->slot, RUN_SLOT_WORKING);
    bool is_made =
        run->config.debugs ? make_debugging(run, &command, why) : make_command(run, &command, why);
    if (!is_made)
        run_fail(run, why);
    else if (!run_jobs_send(run, job->slot, &command))
        run_fail(run, "out of memory for a job");
    strings_free(&command.arguments);
}

/*
 * ---- runners that stay alive ----
 */

static void start_server(struct run *run, unsigned slot) {
    char why[RUNNER_WHY_BYTES];
    struct run_command command = {.how = RUNNER_IDS_BATCHES};
    run_set_slot(run, slot, RUN_SLOT_STARTING);
    if (!runner_serve_command(run->config.runner, &command.arguments, why))
        run_fail(run, why);
    else if (!run_jobs_send(run, slot, &command))
        run_fail(run, "out of memory for a runner");
    strings_free(&command.arguments);
}

/* A line of JSON: ids may have any characters. */
static void send_batch(struct run *run, unsigned slot) {
    struct run_slot *at = &run->slots[slot];
    json_t *object = json_object(), *ids = json_array();
    for (uint32_t i = 0; i < at->waiting_count; i++)
        json_array_append_new(ids, json_string(id_of(run, at->waiting[i])));
    json_object_set_new(object, "batch", json_integer((json_int_t)++at->batch));
    json_object_set_new(object, "ids", ids);
    char *text = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII);
    size_t len = text ? strlen(text) : 0;
    if (text)
        text[len] = '\n'; /* in place of the NUL */
    if (!text || !desk_send_input(run->desk, slot, mux_span((uint8_t *)text, len + 1), false))
        run_fail(run, "out of memory for a batch");
    free(text);
    json_decref(object);
    at->waiting_count = 0;
    run_set_slot(run, slot, RUN_SLOT_SERVING);
}

/* It has begun. Its batch may have to wait for the list still. */
static void server_began(struct run *run, unsigned slot) {
    if (run->slots[slot].waiting_count)
        send_batch(run, slot);
    else
        run_set_slot(run, slot, RUN_SLOT_READY);
}

/* While one slot lists, the runners of others start: no more than a list of chosen tests can use.
 */
void run_jobs_prepare(struct run *run, uint64_t now_ns) {
    const struct ids *chosen = selection_list(run->config.selection);
    unsigned wanted = chosen && chosen->count < run->slot_count ? chosen->count : run->slot_count;
    for (unsigned i = 0; i < wanted && run_serves(run) && !run->has_failed; i++)
        if (run->slots[i].state == RUN_SLOT_IDLE) {
            run->slots[i].began_ns = now_ns;
            start_server(run, i);
        }
}

static bool keep_batch(struct run_slot *at, const struct plan_job *job) {
    if (job->count > at->waiting_room) {
        uint32_t *waiting = realloc(at->waiting, job->count * sizeof *waiting);
        if (!waiting)
            return false;
        at->waiting = waiting;
        at->waiting_room = job->count;
    }
    memcpy(at->waiting, job->tests, job->count * sizeof *job->tests);
    at->waiting_count = job->count;
    return true;
}

static void close_server(struct run *run, unsigned slot) {
    run_set_slot(run, slot, RUN_SLOT_CLOSING);
    if (!desk_send_input(run->desk, slot, mux_span(NULL, 0), true))
        run_fail(run, "out of memory for the end of a runner");
}

static void give_batch(struct run *run, const struct plan_job *job) {
    struct run_slot *at = &run->slots[job->slot];
    if (!keep_batch(at, job))
        run_fail(run, "out of memory for a batch");
    else if (at->state == RUN_SLOT_IDLE)
        start_server(run, job->slot);
    else if (at->state == RUN_SLOT_STARTING)
        return;
    else if (job->is_fresh && at->batch > 0)
        close_server(run, job->slot); /* its successor gets it */
    else
        send_batch(run, job->slot);
}

static bool is_number(struct mux_span text, uint64_t number) {
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, number);
    return mux_span_equal(text, mux_span((const uint8_t *)digits, (size_t)len));
}

void run_jobs_batch_ended(struct run *run, unsigned slot, const struct mux_packet *packet,
                          uint64_t now_ns) {
    struct run_slot *at = &run->slots[slot];
    struct plan_blame blame;
    if (!mux_span_equal(packet->file_name, mux_span_text(BATCH_FILE)) ||
        at->state != RUN_SLOT_SERVING || !is_number(packet->file_content, at->batch))
        return;
    at->has_test = false;
    desk_input_is_read(run->desk, slot);
    run_set_slot(run, slot, RUN_SLOT_READY);
    plan_job_ended(run->plan, slot, PLAN_END_DONE, now_ns, &blame);
}

/*
 * ---- who gets something ----
 */

void run_jobs_give(struct run *run, uint64_t now_ns) {
    struct plan_job job;
    while (run->state == RUN_WORKS && !run->has_failed && plan_next(run->plan, now_ns, &job)) {
        run->slots[job.slot].began_ns = now_ns;
        if (run_serves(run))
            give_batch(run, &job);
        else
            give_job(run, &job);
    }
}

/*
 * ---- the end of a job ----
 */

static enum plan_end how_of(const struct run_slot *at, const struct answer *answer) {
    if (answer->state == ANSWER_REFUSED)
        return PLAN_END_REFUSED;
    if (at->is_stopped || at->is_limited)
        return PLAN_END_STOPPED;
    if (at->has_died || answer->status < 0 || answer->status >= STATUS_SIGNAL)
        return PLAN_END_DIED;
    if (answer->status == 0 || answer->status == STATUS_TESTS_FAILED ||
        answer->status == STATUS_NOTHING_RAN || at->failed)
        return PLAN_END_DONE;
    return PLAN_END_DIED;
}

/* What was said of it when its runner ended is its text. */
static void tell_dead(struct run *run, unsigned slot, uint32_t number) {
    const struct run_slot *at = &run->slots[slot];
    const struct run_ended ended = {
        .id = ids_text(&run->ids, number),
        .test = number,
        .status = MUX_STATUS_FAIL,
        .slot = (int)slot,
        .took_ns = at->dead_took_ns,
        .says_ns = UINT64_MAX,
        .text = mux_span(at->death, at->death_len),
    };
    run->config.events->ended(run->config.user, &ended);
}

/*
 * A test that went over a limit, or did not end within the grace of an interrupted run, has failed;
 * that its runner died is no riddle.
 */
static void end_stopped(struct run *run, unsigned slot, uint64_t now_ns) {
    const struct run_slot *at = &run->slots[slot];
    if (!at->has_died || (!at->is_limited && !at->is_stopped))
        return;
    plan_test_ended(run->plan, slot, run->places[at->dead_test], PLAN_FAIL, now_ns);
    tell_dead(run, slot, at->dead_test);
}

/* A test that its runner's death is blamed on, for the last time: it has failed. */
static void tell_killer(struct run *run, unsigned slot, const struct plan_blame *blame) {
    if (blame->test == PLAN_NONE)
        return;
    if (blame->is_killer)
        tell_dead(run, slot, run->selected[blame->test]);
    else
        run_say(run, "%s: its runner died under it: it runs once more, in a new one",
                id_of(run, blame->test));
}

/* No test was in progress: how the runner ended is all that is known, and what it printed. */
static void note_end(struct run_slot *at, const struct answer *answer) {
    char fate[ANSWER_FATE_BYTES];
    if (at->has_died || answer->state == ANSWER_REFUSED)
        return;
    answer_fate(answer, fate);
    int len = snprintf((char *)at->death, RUN_DEATH_BYTES, "its runner %s%s%.*s", fate,
                       at->said_len ? "; it said:\n" : " and said nothing of it", (int)at->said_len,
                       at->said);
    at->death_len = (size_t)len < RUN_DEATH_BYTES ? (size_t)len : RUN_DEATH_BYTES - 1;
}

static void tell_end(struct run *run, unsigned slot, const struct answer *answer, enum plan_end how,
                     const struct plan_blame *blame) {
    const struct run_slot *at = &run->slots[slot];
    bool is_bad = how == PLAN_END_DIED || how == PLAN_END_REFUSED;
    char fate[ANSWER_FATE_BYTES];
    tell_killer(run, slot, blame);
    if (!is_bad || blame->test != PLAN_NONE)
        return;
    if (how == PLAN_END_DIED && !blame->again && !blame->ignored)
        run->runners_failed++;
    answer_fate(answer, fate);
    if (answer->why)
        run_say(run, "slot %u: its job %s: %s", slot,
                how == PLAN_END_REFUSED ? "could not begin" : "ended", answer->why);
    else
        run_say(run, "slot %u: the runner %s, between tests%s", slot, fate,
                at->said_len ? "; it said:" : "");
    if (how == PLAN_END_DIED)
        text_show_tail(mux_span(at->said, at->said_len), SAID_LINES, run_say_word, run);
}

void run_jobs_said(struct run_slot *at, const struct mux_packet *packet) {
    if (mux_span_equal(packet->file_name, mux_span_text("stdout")) ||
        mux_span_equal(packet->file_name, mux_span_text("stderr")))
        text_keep_tail((struct mux_room){at->said, sizeof at->said}, &at->said_len,
                       packet->file_content);
}

/* One that waits, and a successor has it: the plan's job is not over. */
static bool has_successor(const struct run_slot *at) {
    return at->state == RUN_SLOT_CLOSING && at->waiting_count > 0;
}

static void end_work(struct run *run, unsigned slot, const struct answer *answer, uint64_t now_ns) {
    struct run_slot *at = &run->slots[slot];
    struct plan_blame blame = {.test = PLAN_NONE};
    enum plan_end how = how_of(at, answer);
    bool restarts = has_successor(at);
    end_stopped(run, slot, now_ns);
    if (!restarts)
        plan_job_ended(run->plan, slot, how, now_ns, &blame);
    note_end(at, answer);
    tell_end(run, slot, answer, how, &blame);
    at->has_test = false;
    if (!restarts)
        at->waiting_count = 0;
    run_set_slot(run, slot, RUN_SLOT_IDLE);
    if (restarts)
        start_server(run, slot);
}

void run_jobs_ended(struct run *run, unsigned slot, const struct answer *answer, uint64_t now_ns) {
    struct run_slot *at = &run->slots[slot];
    bool begins = answer->state == ANSWER_BEGUN;
    if (begins && at->state == RUN_SLOT_STARTING)
        server_began(run, slot);
    bool has_none = at->state == RUN_SLOT_IDLE || at->state == RUN_SLOT_GONE;
    if (begins || has_none || answer->state == ANSWER_REPEATED)
        return;
    if (at->state == RUN_SLOT_LISTING) {
        run_set_slot(run, slot, RUN_SLOT_IDLE);
        run_list_ended(run, answer, now_ns);
    } else if (run->plan) {
        end_work(run, slot, answer, now_ns);
    } else {
        run_set_slot(run, slot, RUN_SLOT_IDLE); /* why is said of the next, which has a batch */
    }
}

void run_jobs_slot_left(struct run *run, unsigned slot, uint64_t now_ns) {
    struct plan_blame blame;
    bool was_listing = run->slots[slot].state == RUN_SLOT_LISTING;
    run->slots[slot].has_test = false;
    run->slots[slot].waiting_count = 0;
    run_set_slot(run, slot, RUN_SLOT_GONE);
    if (was_listing && run->state == RUN_LISTS) /* not when it has failed meanwhile */
        run_set_state(run, RUN_WAITS);
    if (!run->plan)
        return;
    plan_slot_left(run->plan, slot, now_ns, &blame);
    tell_killer(run, slot, &blame);
}

void run_jobs_stop_all(struct run *run) {
    for (unsigned i = 0; i < run->slot_count; i++) {
        struct run_slot *at = &run->slots[i];
        if (at->state == RUN_SLOT_IDLE || at->state == RUN_SLOT_GONE)
            continue;
        at->is_stopped = true;
        if (!desk_stop(run->desk, i))
            run_fail(run, "out of memory for orders to stop");
    }
}

bool run_jobs_close(struct run *run) {
    bool is_done = true;
    for (unsigned i = 0; i < run->slot_count; i++) {
        if (run->slots[i].state == RUN_SLOT_READY)
            close_server(run, i);
        is_done = is_done &&
                  (run->slots[i].state == RUN_SLOT_IDLE || run->slots[i].state == RUN_SLOT_GONE);
    }
    return is_done;
}
