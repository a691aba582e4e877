/*
 * What an agent reads and writes: any job, want, order, answer or window is refused (in words), or
 * is read and keeps its promises; a job that was read becomes the arguments of a mux exec; what was
 * put together of parts is what was cut into them; wants and answers that were written are read
 * back; any expression masks the same bytes wherever the pieces end.
 *
 * Input: mode, then a message, packets as a supervisor's, or an expression and a text.
 */
#include "tests/fuzz/fuzz.h"

#include "tools/agent/invocation.h"
#include "tools/agent/mask.h"
#include "tools/agent/parts.h"
#include "tools/agent/terminal.h"
#include "tools/node/order.h"
#include "tools/node/want.h"

#include <stdlib.h>

enum mode {
    MODE_JOB,
    MODE_WANT,
    MODE_ORDER,
    MODE_PARTS,
    MODE_WRITE,
    MODE_ORDER_ANSWER,
    MODE_ANSWER,
    MODE_WINDOW,
    MODE_MASK,
    MODES
};

#define SECOND_NS UINT64_C(1000000000)

static void check_strings(const char *const *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        assert(list[i]);
    assert(!list[count]);
}

static void check_limit(uint64_t limit_ms) {
    assert(limit_ms == JOB_NO_LIMIT || limit_ms <= (uint64_t)JOB_TIME_MOST_S * 1000);
}

static void check_job(const struct job *job) {
    size_t arguments = 0;
    while (job->command[arguments])
        arguments++;
    assert(arguments > 0 && *job->command[0] && *job->name);
    for (size_t i = 0; i < job->environment_count; i++)
        assert(*job->environment[i].name && !strchr(job->environment[i].name, '='));
    assert(job->has_ids || job->id_count == 0);
    if (job->has_ids)
        check_strings(job->ids, job->id_count);
    for (size_t i = 0; i < job->id_count && job->ids_as != JOB_IDS_LIST; i++)
        assert(*job->ids[i] && !strchr(job->ids[i], '\n'));
    assert(!job->directory || *job->directory);
    assert(!job->as_test || *job->as_test);
    check_limit(job->limits.timeout_ms);
    check_limit(job->limits.idle_timeout_ms);
    check_limit(job->limits.test_timeout_ms);
    check_limit(job->limits.grace_ms);
}

/* Where its own arguments end, the job's command begins: nothing that a job says is taken for an
 * option of mux. */
static void check_invocation(const struct job *job) {
    static const char *const base[] = {"PATH=/bin", "HOME=/", NULL};
    struct invocation made = {0};
    assert(invocation_make(&made, job, "mux", base, job->has_ids ? "/tmp/ids" : NULL));
    const struct invocation_list *arguments = &made.arguments, *environment = &made.environment;
    assert(strcmp(arguments->strings[0], "mux") == 0);
    check_strings((const char *const *)arguments->strings, arguments->count);
    check_strings((const char *const *)environment->strings, environment->count);
    size_t at = 0;
    while (strcmp(arguments->strings[at], "--") != 0)
        at++;
    assert(strcmp(arguments->strings[at + 1], job->command[0]) == 0 ||
           strchr(job->command[0], '$'));
    invocation_free(&made);
}

static void read_job(struct mux_span text) {
    struct job job;
    char why[READ_WHY_BYTES] = "";
    bool is_fine = job_parse(text, &job, why);
    assert(is_fine || *why);
    assert(memchr(job.name, '\0', sizeof job.name) && memchr(job.run, '\0', sizeof job.run));
    if (!is_fine)
        return;
    check_job(&job);
    check_invocation(&job);
    job_free(&job);
}

static void check_want(const struct want *want) {
    struct want_message message;
    struct mux_packet packet;
    struct want again;
    char why[READ_WHY_BYTES];
    want_put(&message, want, &packet);
    assert(want_parse(packet.file_content, &again, why));
    assert(again.slots == want->slots && again.free == want->free && again.ahead == want->ahead &&
           again.room == want->room && again.taken == want->taken &&
           again.draining == want->draining &&
           memcmp(again.slot_drains, want->slot_drains, sizeof again.slot_drains) == 0);
}

static void read_want(struct mux_span text) {
    struct want want;
    char why[READ_WHY_BYTES] = "";
    if (want_parse(text, &want, why))
        check_want(&want);
    else
        assert(*why);
}

static void read_order(struct mux_span text) {
    struct order order, again;
    struct order_message message;
    struct mux_packet packet;
    char why[READ_WHY_BYTES] = "";
    if (!order_parse(text, &order, why)) {
        assert(*why);
        return;
    }
    order_put(&message, &order, &packet);
    assert(order_parse(packet.file_content, &again, why));
    assert(again.verb == order.verb && again.is_from_above == order.is_from_above &&
           strcmp(again.id, order.id) == 0);
}

static void read_order_answer(struct mux_span text) {
    struct order_answer answer, again;
    struct order_message message;
    struct mux_packet packet;
    char why[READ_WHY_BYTES] = "";
    if (!order_answer_parse(text, &answer, why)) {
        assert(*why);
        return;
    }
    order_answer_put(&message, &answer, &packet);
    assert(order_answer_parse(packet.file_content, &again, why));
    assert(again.state == answer.state && again.verb == answer.verb &&
           again.draining == answer.draining && !*again.id == !*answer.id);
}

/* What became of a job, from an agent that may be anybody. */
static void read_answer(struct mux_span text) {
    struct answer answer;
    json_t *tree;
    char why[READ_WHY_BYTES] = "";
    if (answer_parse(text, &answer, &tree, why)) {
        assert(answer.run && answer.name && answer.state <= ANSWER_REPEATED);
        assert(answer.status >= -1 && answer.status <= 255 && answer.signal >= 0 &&
               answer.signal <= 255);
    } else {
        assert(*why);
    }
    json_decref(tree);
}

static void read_window(struct mux_span text) {
    struct terminal_window window, again;
    char written[TERMINAL_WINDOW_BYTES];
    if (!terminal_window_parse(text, &window))
        return;
    assert(window.rows && window.columns);
    size_t len = terminal_window_write(window, written);
    assert(len < sizeof written && terminal_window_parse(mux_span(written, len), &again));
    assert(again.rows == window.rows && again.columns == window.columns);
}

/*
 * ---- parts ----
 */

static struct mux_packet part_of(struct script *script, char *name, uint8_t *tag) {
    uint8_t flags = script_byte(script);
    struct mux_packet packet = {.eof = flags & 1, .file_name = mux_span_text(MESSAGE_JOB_FILE)};
    name[0] = (char)('a' + (flags >> 1) % 4);
    if (flags & 8)
        packet.test_id = mux_span((const uint8_t *)name, 1);
    packet.file_content = script_take(script, script_byte(script));
    if (flags & 16) {
        memcpy(tag,
               "\x06"
               "at=",
               4);
        for (unsigned i = 4, rest = script_byte(script); i < 7; i++, rest /= 8)
            tag[i] = (uint8_t)('0' + rest % 8);
        packet.has_tags = true;
        packet.tag_count = 1;
        packet.tags = mux_span(tag, 7);
    }
    return packet;
}

/* Whatever comes: bounded, and each packet has one of the outcomes. */
static void check_parts(struct script script) {
    struct parts parts = {0};
    struct parts_result result;
    for (uint64_t now_ns = 0; script.rest.len > 0; now_ns += SECOND_NS) {
        char name[1];
        uint8_t tag[8];
        struct mux_packet packet = part_of(&script, name, tag);
        parts_take(&parts, &packet, now_ns, &result);
        assert(result.outcome != PARTS_REFUSED || *result.why);
        if (result.outcome == PARTS_WHOLE)
            read_job(result.text);
        while (parts_give_up(&parts, now_ns, &result))
            assert(*result.why && *result.name);
        assert(parts.bytes <= PARTS_MOST_BYTES && parts_deadline_ns(&parts) > now_ns);
    }
    parts_free(&parts);
    assert(parts.bytes == 0);
}

/*
 * ---- writing ----
 */

static const char *text_of(struct script *script, char *out, size_t most) {
    struct mux_span text = script_take(script, script_byte(script) % most);
    memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    return out;
}

/* Any names and reasons are JSON. */
static void check_answer(struct script script) {
    char run[ANSWER_NAME_BYTES], name[ANSWER_NAME_BYTES], why[READ_WHY_BYTES];
    struct answer_message message;
    struct mux_packet packet;
    uint8_t flags = script_byte(&script);
    const struct answer answer = {
        .state = (enum answer_state)(flags % 4),
        .slot = flags & 4 ? "12" : NULL,
        .status = flags & 8 ? -1 : flags,
        .signal = 9,
        .run = text_of(&script, run, ANSWER_NAME_BYTES),
        .name = text_of(&script, name, ANSWER_NAME_BYTES),
        .why = flags & 16 ? text_of(&script, why, READ_WHY_BYTES) : NULL,
    };
    answer_put(&message, &answer, &packet);
    json_t *tree = json_loadb((const char *)packet.file_content.data, packet.file_content.len,
                              JSON_REJECT_DUPLICATES, NULL);
    assert(json_is_string(json_object_get(tree, "state")));
    json_decref(tree);
}

/*
 * ---- masks ----
 */

/* In pieces of this length; the last may be shorter. */
static void mask_in_pieces(const struct mask *mask, struct mux_span text, size_t piece_bytes,
                           uint8_t *out) {
    static struct mask_stream stream;
    static uint8_t front[MASK_HELD_BYTES];
    size_t front_len, held = 0, done = 0;
    memset(&stream, 0, sizeof stream);
    for (size_t at = 0; at < text.len; at += piece_bytes) {
        size_t len = text.len - at < piece_bytes ? text.len - at : piece_bytes;
        uint8_t *piece = copy_of(mux_span(text.data + at, len));
        size_t decided = mask_run(mask, &stream, piece, len, front, &front_len);
        assert(decided <= len && front_len <= held);
        memcpy(out + done, front, front_len);
        memcpy(out + done + front_len, piece, decided);
        done += front_len + decided;
        held += len - front_len - decided;
        assert(held <= MASK_HELD_BYTES);
        free(piece);
    }
    front_len = mask_end(mask, &stream, front);
    assert(front_len == held && done + held == text.len);
    memcpy(out + done, front, front_len);
}

/* Two expressions, the length of a piece, the text. */
static void check_mask(struct script script) {
    static struct mask mask;
    char expression[64], why[MASK_WHY_BYTES];
    memset(&mask, 0, sizeof mask);
    for (unsigned i = 0; i < 2; i++) {
        *why = '\0';
        char *exact = strdup(text_of(&script, expression, sizeof expression));
        assert(mask_add(&mask, exact, why) || *why);
        free(exact);
    }
    size_t piece_bytes = script_byte(&script) % 32 + 1;
    struct mux_span text = script.rest;
    uint8_t *whole = malloc(text.len + 1), *pieces = malloc(text.len + 1);
    mask_in_pieces(&mask, text, text.len + 1, whole);
    mask_in_pieces(&mask, text, piece_bytes, pieces);
    assert(memcmp(whole, pieces, text.len) == 0);
    for (size_t i = 0; i < text.len; i++)
        assert(whole[i] == text.data[i] || whole[i] == '*');
    free(whole);
    free(pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct script script = {mux_span(data, size)};
    enum mode mode = script_byte(&script) % MODES;
    uint8_t *copy = copy_of(script.rest);
    struct mux_span bytes = mux_span(copy, script.rest.len);
    if (mode == MODE_JOB)
        read_job(bytes);
    else if (mode == MODE_WANT)
        read_want(bytes);
    else if (mode == MODE_ORDER)
        read_order(bytes);
    else if (mode == MODE_PARTS)
        check_parts((struct script){bytes});
    else if (mode == MODE_ORDER_ANSWER)
        read_order_answer(bytes);
    else if (mode == MODE_ANSWER)
        read_answer(bytes);
    else if (mode == MODE_WINDOW)
        read_window(bytes);
    else if (mode == MODE_MASK)
        check_mask((struct script){bytes});
    else
        check_answer((struct script){bytes});
    free(copy);
    return 0;
}
