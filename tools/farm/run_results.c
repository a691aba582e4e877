/* What tests say: verdicts for the plan, texts for people. */
#include "mux/hash.h"
#include "mux/packet/report.h"
#include "tools/base/text.h"
#include "tools/farm/run_internal.h"
#include "tools/results/attachment.h"

/* Never 0. Of one test in one slot. */
static uint64_t hash_of(const struct run *run, int slot, struct mux_span id) {
    return (mux_hash(run->config.hash_key + (uint64_t)(slot + 1), id)) | 1;
}

static enum plan_verdict verdict_of(enum mux_status status) {
    switch (status) {
    case MUX_STATUS_SUCCESS:
        return PLAN_PASS;
    case MUX_STATUS_SKIP:
        return PLAN_SKIP;
    case MUX_STATUS_XFAIL:
        return PLAN_XFAIL;
    case MUX_STATUS_UXSUCCESS:
        return PLAN_UXSUCCESS;
    default:
        return PLAN_FAIL;
    }
}

/* What is said of a test before its end. */
static void keep_text(struct run *run, int slot, const struct mux_packet *packet) {
    if (packet->file_name.data && attachment_is_text(packet))
        texts_add(&run->texts, hash_of(run, slot, packet->test_id), packet->file_content);
}

static uint64_t stamp_of(const struct mux_packet *packet) {
    int64_t ns = packet->has_timestamp ? mux_packet_time_ns(packet) : 0;
    return ns > 0 ? (uint64_t)ns : 0;
}

static void begin(struct run *run, unsigned slot, uint32_t number, uint64_t now_ns) {
    run->slots[slot].has_test = true;
    run->slots[slot].test = number;
    run->slots[slot].began_ns = now_ns;
    plan_test_started(run->plan, slot, run->places[number], now_ns);
}

/* A node or mux exec says that a test failed with its runner. */
static bool is_death(const struct mux_packet *packet) {
    return packet->status == MUX_STATUS_FAIL &&
           mux_span_equal(packet->file_name, mux_span_text("muxd"));
}

/* No verdict yet: the plan says at the end of the job what follows. */
static void note_death(struct run_slot *at, const struct run_ended *ended) {
    struct mux_span text = ended->text;
    at->has_died = true;
    at->dead_test = ended->test;
    at->dead_took_ns = ended->took_ns;
    at->death_len = text.len < RUN_DEATH_BYTES ? text.len : RUN_DEATH_BYTES;
    if (at->death_len)
        memcpy(at->death, text.data, at->death_len);
}

/* It runs no longer. Returns how long it did. */
static uint64_t end_running(struct run_slot *at, uint32_t number, uint64_t now_ns) {
    if (!at->has_test || at->test != number)
        return UINT64_MAX;
    uint64_t took_ns = now_ns - at->began_ns;
    at->has_test = false;
    at->began_ns = now_ns;
    return took_ns;
}

static void end_known(struct run *run, struct run_ended *ended, const struct mux_packet *packet,
                      uint64_t now_ns) {
    struct run_slot *at = &run->slots[ended->slot];
    uint64_t stamp_ns = stamp_of(packet);
    if (at->has_test && at->test == ended->test && at->stamp_ns && stamp_ns >= at->stamp_ns)
        ended->says_ns = stamp_ns - at->stamp_ns;
    ended->took_ns = end_running(at, ended->test, now_ns);
    if (is_death(packet)) {
        note_death(at, ended);
        return;
    }
    at->failed += run_is_bad(ended->status);
    plan_test_ended(run->plan, (unsigned)ended->slot, run->places[ended->test],
                    verdict_of(ended->status), now_ns);
    run->config.events->ended(run->config.user, ended);
}

/* Its slot had been lost, and the test was given up, or handed out again. */
static void end_late(struct run *run, struct run_ended *ended, uint32_t number) {
    ended->test = number;
    bool counts = plan_test_ended_late(run->plan, run->places[number], verdict_of(ended->status)) ==
                  PLAN_TAKEN;
    run_say(run, "%s: %s, late: its slot had been lost%s", ids_text(&run->ids, number).data,
            run_is_bad(ended->status) ? "it failed" : "it did not fail",
            counts ? ", and with it the test"
                   : "; the test runs elsewhere, or has, and that counts");
    if (counts)
        run->config.events->ended(run->config.user, ended);
}

/* A fixture of a class, a module that cannot be imported: a result all the same. */
static void end_stranger(struct run *run, const struct run_ended *ended, uint64_t now_ns) {
    run->strangers++;
    run->strangers_failed += run_is_bad(ended->status);
    if (ended->slot >= 0) {
        run->slots[ended->slot].failed += run_is_bad(ended->status);
        plan_test_ended(run->plan, (unsigned)ended->slot, run->selected_count,
                        verdict_of(ended->status), now_ns);
    }
    run->config.events->ended(run->config.user, ended);
}

/* "id [part]", "id (part)": of a test that says itself how it went. */
static bool is_part(const struct run *run, struct mux_span id) {
    for (size_t at = 1; at + 1 < id.len; at++)
        if (id.data[at] == ' ' && (id.data[at + 1] == '[' || id.data[at + 1] == '(') &&
            ids_find(&run->ids, mux_span(id.data, at)) != IDS_NONE)
            return true;
    return false;
}

/* testr's filter_tags: what such a layer's set-up says is of no interest as long as it passes. */
static bool is_filtered(const struct run *run, const struct mux_packet *packet) {
    const struct strings *filters = &run->config.runner->filter_tags;
    struct mux_span tags = packet->tags, tag;
    if (!packet->has_tags || packet->status == MUX_STATUS_FAIL)
        return false;
    while (filters->count && mux_tag_next(&tags, &tag))
        for (size_t i = 0; i < filters->count; i++)
            if (mux_span_equal(tag, mux_span_text(filters->all[i])))
                return true;
    return false;
}

/* What cannot be run by itself counts when it failed: a fixture of a class, of a module. */
static bool counts(const struct run *run, const struct mux_packet *packet) {
    if (is_filtered(run, packet))
        return false;
    return packet->runnable || (run_is_bad(packet->status) && !is_part(run, packet->test_id));
}

static void take_test(struct run *run, int slot, bool is_late, const struct mux_packet *packet,
                      uint64_t now_ns) {
    uint32_t number = ids_find(&run->ids, packet->test_id);
    bool is_known = number != IDS_NONE && run->places[number] != PLAN_NONE;
    bool is_ours = is_known && slot >= 0;
    keep_text(run, slot, packet);
    if (packet->status == MUX_STATUS_INPROGRESS && is_ours)
        begin(run, (unsigned)slot, number, now_ns);
    if (packet->status == MUX_STATUS_INPROGRESS && is_ours)
        run->slots[slot].stamp_ns = stamp_of(packet);
    if (packet->status <= MUX_STATUS_INPROGRESS)
        return;
    if (slot < 0 && number != IDS_NONE && is_death(packet))
        return; /* its agent is lost, and with it the slot: that was told */
    struct run_ended ended = {
        .id = packet->test_id,
        .test = is_ours ? number : RUN_STRANGER,
        .status = packet->status,
        .slot = slot,
        .took_ns = UINT64_MAX,
        .says_ns = UINT64_MAX,
        .text = texts_take(&run->texts, hash_of(run, slot, packet->test_id)),
    };
    if (is_ours)
        end_known(run, &ended, packet, now_ns);
    else if (is_known && is_late)
        end_late(run, &ended, number);
    else if (counts(run, packet))
        end_stranger(run, &ended, now_ns);
}

/* The command was stopped by a limit of its job: then its test has failed, and is not to blame for
 * a death. */
static void take_exit(struct run_slot *at, const struct mux_packet *packet) {
    json_t *tree =
        json_loadb((const char *)packet->file_content.data, packet->file_content.len, 0, NULL);
    if (json_object_get(tree, "stopped"))
        at->is_limited = true;
    json_decref(tree);
}

/* "(Pdb) " and its like: somebody may attach. Or it goes on. */
static void take_prompt(struct run *run, unsigned slot, const struct mux_packet *packet) {
    struct run_slot *at = &run->slots[slot];
    json_t *tree =
        json_loadb((const char *)packet->file_content.data, packet->file_content.len, 0, NULL);
    const char *text = json_string_value(json_object_get(tree, "prompt"));
    bool waits = text && json_is_true(json_object_get(tree, "waits"));
    size_t len = waits ? strlen(text) : 0;
    while (len && text[len - 1] == ' ')
        len--;
    text_clean(mux_span((const uint8_t *)text, len), false, at->prompt, sizeof at->prompt);
    json_decref(tree);
    if (*at->prompt)
        run->config.events->waits(run->config.user, slot);
}

static void take_word(struct run *run, unsigned slot, const struct mux_packet *packet) {
    if (mux_span_equal(packet->file_name, mux_span_text("muxd.exit")))
        take_exit(&run->slots[slot], packet);
    else if (mux_span_equal(packet->file_name, mux_span_text("muxd.prompt")))
        take_prompt(run, slot, packet);
}

void run_results_take(struct run *run, int slot, bool is_late, const struct mux_packet *packet,
                      uint64_t now_ns) {
    if (!packet->test_id.data) {
        if (slot >= 0)
            take_word(run, (unsigned)slot, packet);
        return;
    }
    if (mux_span_equal(packet->test_id, mux_span_text(MUX_REPORT_PARSER_ID)))
        return; /* damage is said by whoever shows the stream */
    take_test(run, slot, is_late, packet, now_ns);
}
