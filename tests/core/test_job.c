/* What an agent reads and writes: jobs, wants, orders; jobs in parts. */
#include "tests/unit/check.h"
#include "tests/unit/random.h"

#include "tools/agent/parts.h"
#include "tools/node/order.h"
#include "tools/node/want.h"

#include <stdio.h>

static struct job job;
static char why[READ_WHY_BYTES];

static bool parse(const char *text) {
    size_t len = strlen(text);
    uint8_t *copy = exact_copy(text, len);
    *why = '\0';
    bool is_fine = job_parse(mux_span(copy, len), &job, why);
    free(copy); /* nothing of the job lies there */
    return is_fine;
}

static void everything(void **state) {
    (void)state;
    assert_true(parse(
        "{\"v\":1,\"run\":\"r\",\"job\":\"j\",\"command\":[\"python3\",\"-m\"],\"what\":[{}],"
        "\"environment\":{\"A\":\"1\",\"B\":null},\"directory\":\"/src\",\"ids\":[\"a\",\"b c\"],"
        "\"ids_as\":\"stdin\",\"as_test\":\"smoke\",\"allow_empty\":true,\"limits\":{"
        "\"timeout_s\":90,\"idle_timeout_s\":1.5,\"grace_s\":0,\"on_hang\":\"ABRT\",\"max_output_"
        "bytes\":7},"
        "\"tags\":[\"t\"],\"masks\":[]}"));
    assert_int_equal(job.limits.max_output_bytes, 7);
    assert_true(job.limits.max_job_output_bytes == JOB_NO_LIMIT);
    assert_string_equal(job.tags[0], "t");
    assert_null(job.masks[0]);
    assert_false(job.pty);
    assert_string_equal(job.run, "r");
    assert_string_equal(job.name, "j");
    assert_string_equal(job.command[1], "-m");
    assert_null(job.command[2]);
    assert_int_equal(job.environment_count, 2);
    assert_string_equal(job.environment[0].value, "1");
    assert_null(job.environment[1].value);
    assert_string_equal(job.directory, "/src");
    assert_int_equal(job.id_count, 2);
    assert_string_equal(job.ids[1], "b c");
    assert_int_equal(job.ids_as, JOB_IDS_STDIN);
    assert_string_equal(job.as_test, "smoke");
    assert_true(job.allow_empty);
    assert_int_equal(job.limits.timeout_ms, 90000);
    assert_int_equal(job.limits.idle_timeout_ms, 1500);
    assert_true(job.limits.test_timeout_ms == JOB_NO_LIMIT);
    assert_int_equal(job.limits.grace_ms, 0);
    assert_string_equal(job.limits.on_hang, "ABRT");
    job_free(&job);
}

static void the_least(void **state) {
    (void)state;
    assert_true(parse("{\"v\":1,\"job\":\"j\",\"command\":[\"true\"]}"));
    assert_string_equal(job.run, "");
    assert_false(job.has_ids);
    assert_null(job.directory);
    assert_true(job.limits.grace_ms == JOB_NO_LIMIT);
    job_free(&job);
}

#define START "{\"v\":1,\"job\":\"j\",\"command\":[\"x\"],"

/* Each is refused with these words; the job's name is known where it can be. */
static void refused(void **state) {
    static const struct {
        const char *text, *words, *name;
    } cases[] = {
        {"", "no JSON object", ""},
        {"{\"v\":1", "it ends too early, at byte", ""},
        {"{]", "a character that cannot stand there", ""},
        {"{\"job\":\"j\",\"v\":1}x", "more comes behind its end", "j"},
        {"{\"job\":\"j\",\"v\":\"\xff\"}", "a byte that is no UTF-8", ""},
        {"{\"job\":\"j\",\"v\":99999999999999999999}", "a number is too large", ""},
        {"[1]", "no JSON object", ""},
        {"{\"job\":\"j\"}", "the version, is missing", "j"},
        {"{\"v\":\"1\",\"job\":\"j\"}", "the version, is missing", "j"},
        {"{\"v\":2,\"job\":\"j\"}", "version 2 is not known here", "j"},
        {"{\"v\":1,\"v\":1,\"job\":\"j\"}", "a key stands twice", "j"},
        {"{\"v\":1,\"command\":[\"x\"]}", "\"job\": expected a string of 1 to 255", ""},
        {"{\"v\":1,\"job\":\"j\"}", "\"command\": expected a list", "j"},
        {"{\"v\":1,\"job\":\"j\",\"command\":\"x\"}", "\"command\": expected a list", "j"},
        {"{\"v\":1,\"job\":\"j\",\"command\":[]}", "at least the name of a program", "j"},
        {"{\"v\":1,\"job\":\"j\",\"command\":[\"\"]}", "at least the name of a program", "j"},
        {"{\"v\":1,\"job\":\"j\",\"command\":[\"x\",1]}", "entry 1 is no string", "j"},
        {"{\"v\":1,\"job\":\"j\",\"command\":[\"x\\u0000\"]}", "a character 0", "j"},
        {START "\"run\":7}", "\"run\": expected a string of 0", "j"},
        {START "\"environment\":[]}", "\"environment\": expected an object", "j"},
        {START "\"environment\":{\"A=B\":\"\"}}", "empty or has a =", "j"},
        {START "\"environment\":{\"A\":1}}", "A is neither a string nor null", "j"},
        {START "\"directory\":\"\"}", "\"directory\": expected a string", "j"},
        {START "\"ids\":\"a\"}", "\"ids\": expected a list", "j"},
        {START "\"ids\":[\"a\",\"b\\nc\"]}", "entry 1 is empty or has a line's end", "j"},
        {START "\"ids\":[\"\"],\"ids_as\":\"stdin\"}", "entry 0 is empty", "j"},
        {START "\"ids\":[\"a\"],\"ids_as\":\"mail\"}", "file, list or stdin", "j"},
        {START "\"ids\":[\"a\"],\"ids_as\":\"list\"}", "no argument is $IDLIST", "j"},
        {START "\"allow_empty\":1}", "true or false", "j"},
        {START "\"pty\":true,\"ids\":[],\"ids_as\":\"stdin\"}", "exclude each other", "j"},
        {START "\"tags\":\"t\"}", "\"tags\": expected a list", "j"},
        {START "\"tags\":[\"t\",\"\"]}", "\"tags\": entry 1: expected a word", "j"},
        {START "\"masks\":[\"x\",\"(\"]}", "\"masks\": entry 1: a ( without its )", "j"},
        {START "\"limits\":{\"on_hang\":\"NOPE\"}}", "\"on_hang\": expected a signal's name", "j"},
        {START "\"limits\":{\"on_hang\":\"\"}}", "\"on_hang\": expected", "j"},
        {START "\"limits\":{\"max_output_bytes\":-1}}", "a number of bytes", "j"},
        {START "\"limits\":{\"max_output_bytes\":9223372036854775807}}", "a number of bytes", "j"},
        {START "\"limits\":1}", "\"limits\": expected an object", "j"},
        {START "\"limits\":{\"timeout_s\":-1}}", "\"timeout_s\": expected 0 to", "j"},
        {START "\"limits\":{\"grace_s\":1e300}}", "\"grace_s\": expected 0 to", "j"},
        {START "\"limits\":{\"grace_s\":\"5\"}}", "\"grace_s\": expected 0 to", "j"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_false(parse(cases[i].text));
        if (!strstr(why, cases[i].words))
            fail_msg("%s: %s", cases[i].text, why);
        assert_string_equal(job.name, cases[i].name);
        assert_null(job.tree);
    }
}

static void wants_and_orders(void **state) {
    const struct want want = {.slots = 4, .free = 1, .ahead = 2, .room = 3, .taken = 1000000};
    struct want_message message;
    struct mux_packet packet;
    struct want read;
    struct order order;
    (void)state;
    want_put(&message, &want, &packet);
    assert_memory_equal(packet.file_content.data,
                        "{\"v\":1,\"slots\":4,\"free\":1,\"ahead\":2,\"room\":3,\"taken\":1000000,"
                        "\"draining\":false}",
                        packet.file_content.len);
    assert_true(want_parse(packet.file_content, &read, why));
    assert_int_equal(read.taken, 1000000);
    assert_false(want_parse(mux_span_text("{\"v\":1,\"slots\":-1}"), &read, why));
    assert_true(order_parse(mux_span_text("{\"v\":1,\"do\":\"stop\"}"), &order, why));
    assert_int_equal(order.verb, ORDER_STOP);
    assert_false(order_parse(mux_span_text("{\"v\":1,\"do\":\"dance\"}"), &order, why));
    assert_non_null(strstr(why, "drain, undrain or stop"));
    assert_false(order_parse(mux_span_text("{\"v\":9,\"do\":\"stop\"}"), &order, why));
}

/* The longest answer that there can be, all of it escaped. */
static void the_longest_answer(void **state) {
    char name[ANSWER_NAME_BYTES], reason[READ_WHY_BYTES];
    struct answer_message message;
    struct mux_packet packet;
    (void)state;
    memset(name, 1, sizeof name - 1);
    memset(reason, 1, sizeof reason - 1);
    name[sizeof name - 1] = reason[sizeof reason - 1] = '\0';
    const struct answer answer = {.state = ANSWER_ENDED,
                                  .run = name,
                                  .name = name,
                                  .slot = name,
                                  .status = -1,
                                  .signal = 9,
                                  .why = reason};
    answer_put(&message, &answer, &packet); /* it asserts that there is room */
    assert_true(packet.file_content.len > 6 * (3 * sizeof name - 3 + sizeof reason - 1));
}

/*
 * ---- parts ----
 */

#define TEXT_BYTES 300000
#define SECOND_NS UINT64_C(1000000000)

static struct parts parts;
static struct parts_result result;

static enum parts_outcome give(const char *name, size_t at, struct mux_span content, bool eof,
                               uint64_t now_ns) {
    char tag[32];
    uint8_t tags[40];
    struct mux_packet packet = {.eof = eof, .file_content = content};
    int len = snprintf(tag, sizeof tag, "at=%zu", at);
    tags[0] = (uint8_t)len;
    memcpy(tags + 1, tag, (size_t)len);
    if (name)
        packet.test_id = mux_span_text(name);
    if (at > 0) {
        packet.has_tags = true;
        packet.tag_count = 1;
        packet.tags = mux_span(tags, (size_t)len + 1);
    }
    parts_take(&parts, &packet, now_ns, &result);
    return result.outcome;
}

/* Two jobs side by side, in random parts, of which some come twice. */
static void two_in_parts(void **state) {
    static uint8_t text[2][TEXT_BYTES];
    static const char *const names[] = {"one", "two"};
    struct random random = {7};
    (void)state;
    for (size_t i = 0; i < TEXT_BYTES; i++)
        text[0][i] = (uint8_t)random_next(&random), text[1][i] = (uint8_t)~text[0][i];
    for (size_t at[2] = {0}, whole = 0; whole < 2;) {
        unsigned which = random_next(&random) % 2;
        size_t len = 1 + random_next(&random) % 20000, left = TEXT_BYTES - at[which];
        if (left == 0)
            continue;
        len = len < left ? len : left;
        struct mux_span content = mux_span(text[which] + at[which], len);
        if (len < left && at[which] > 0 && random_next(&random) % 4 == 0)
            assert_int_equal(give(names[which], at[which], content, false, 0), PARTS_MORE);
        enum parts_outcome outcome = give(names[which], at[which], content, len == left, 0);
        at[which] += len;
        assert_int_equal(outcome, len == left ? PARTS_WHOLE : PARTS_MORE);
        if (outcome != PARTS_WHOLE)
            continue;
        assert_int_equal(result.text.len, TEXT_BYTES);
        assert_memory_equal(result.text.data, text[which], TEXT_BYTES);
        whole++;
    }
    parts_free(&parts);
    assert_int_equal(parts.bytes, 0);
}

static void in_one_packet(void **state) {
    const struct mux_span text = mux_span_text("{}");
    (void)state;
    assert_int_equal(give(NULL, 0, text, true, 0), PARTS_WHOLE);
    assert_ptr_equal(result.text.data, text.data);
    assert_int_equal(give(NULL, 0, text, false, 0), PARTS_REFUSED);
    assert_int_equal(give("", 0, text, true, 0), PARTS_REFUSED);
    assert_int_equal(give("j", 0, text, true, 0), PARTS_WHOLE);
    parts_free(&parts);
}

/* One answer for each job that cannot become whole, and none for the rest of its parts. */
static void gaps(void **state) {
    const struct mux_span text = mux_span_text("0123456789");
    (void)state;
    assert_int_equal(give("j", 10, text, false, 0), PARTS_REFUSED);
    assert_non_null(strstr(result.why, "first part is missing"));
    assert_int_equal(give("j", 0, text, false, 0), PARTS_MORE);
    assert_int_equal(give("j", 20, text, false, 0), PARTS_REFUSED);
    assert_non_null(strstr(result.why, "10 bytes of it have come, and the next part begins at 20"));
    assert_string_equal(result.name, "j");
    assert_int_equal(give("j", 30, text, false, 0), PARTS_MORE);
    assert_int_equal(give("j", 40, text, true, 0), PARTS_MORE);
    assert_int_equal(give("j", 0, text, false, 0), PARTS_MORE);
    assert_int_equal(give("j", 10, text, true, 0), PARTS_WHOLE);
    assert_int_equal(result.text.len, 20);
    parts_free(&parts);
}

static void bounds(void **state) {
    static uint8_t much[1 << 20];
    char name[8];
    size_t at = 0;
    (void)state;
    while (give("j", at, mux_span(much, sizeof much), false, 0) == PARTS_MORE)
        at += sizeof much;
    assert_int_equal(at, JOB_MOST_BYTES);
    assert_non_null(strstr(result.why, "larger than"));
    assert_int_equal(parts.bytes, 0);
    parts_free(&parts);
    for (unsigned i = 0; i <= PARTS_JOBS_MAX; i++) {
        snprintf(name, sizeof name, "%u", i);
        assert_int_equal(give(name, 0, mux_span_text("{"), false, 0),
                         i < PARTS_JOBS_MAX ? PARTS_MORE : PARTS_REFUSED);
    }
    assert_non_null(strstr(result.why, "too many jobs"));
    parts_free(&parts);
}

static void one_that_never_ends(void **state) {
    (void)state;
    give("j", 0, mux_span_text("{"), false, SECOND_NS);
    assert_false(parts_give_up(&parts, SECOND_NS, &result));
    assert_int_equal(parts_deadline_ns(&parts), SECOND_NS + PARTS_WAIT_NS);
    assert_true(parts_give_up(&parts, SECOND_NS + PARTS_WAIT_NS, &result));
    assert_string_equal(result.name, "j");
    assert_false(parts_give_up(&parts, SECOND_NS + PARTS_WAIT_NS, &result));
    assert_true(parts_deadline_ns(&parts) == UINT64_MAX);
    parts_free(&parts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything),
        cmocka_unit_test(the_least),
        cmocka_unit_test(refused),
        cmocka_unit_test(wants_and_orders),
        cmocka_unit_test(the_longest_answer),
        cmocka_unit_test(two_in_parts),
        cmocka_unit_test(in_one_packet),
        cmocka_unit_test(gaps),
        cmocka_unit_test(bounds),
        cmocka_unit_test(one_that_never_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
