/* What who runs a run says of it: written and read. */
#include "tools/store/marks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char uuid[] = "0b5f6f0e-5a1c-4c9e-8f3e-2f6a1f0c7d21";

static void round_trip(const char *source, enum store_verdict verdict, const char *read_back) {
    uint8_t bytes[STORE_MARK_BYTES];
    struct store_mark mark = {.verdict = verdict,
                              .exit_status = verdict ? (int)verdict : STORE_NO_EXIT,
                              .at_us = 1700000000123456},
                      found;
    struct mux_packet packet;
    memcpy(mark.uuid, uuid, sizeof uuid);
    store_mark_set_source(&mark, source);
    size_t len = store_mark_encode(&mark, bytes);
    assert_true(mux_packet_verify(mux_span(bytes, len)));
    assert_int_equal(mux_packet_parse(mux_span(bytes, len), &packet, NULL), MUX_OK);
    assert_true(store_mark_read(&packet, &found));
    assert_string_equal(found.uuid, uuid);
    assert_string_equal(found.source, read_back);
    assert_int_equal(found.verdict, verdict);
    assert_int_equal(found.exit_status, mark.exit_status);
    assert_int_equal(found.at_us, mark.at_us);
}

static void test_round_trip(void **state) {
    (void)state;
    for (int verdict = STORE_VERDICT_UNSAID; verdict < STORE_VERDICTS; verdict++)
        round_trip("", (enum store_verdict)verdict, "");
    round_trip("make \"check\"\n\x01", STORE_VERDICT_UNSAID, "make \"check\"\n\x01");
}

/* Of two bytes each, at an odd place: none is cut in half. Then control characters, the longest in
 * JSON. */
static void test_long_source(void **state) {
    char source[2 * STORE_MARK_SOURCE_BYTES], expected[STORE_MARK_SOURCE_BYTES] = "x";
    (void)state;
    source[0] = 'x';
    for (size_t i = 1; i + 1 < sizeof source; i += 2)
        memcpy(source + i, "\xc3\xa4", 2);
    source[sizeof source - 1] = '\0';
    memcpy(expected + 1, source + 1, STORE_MARK_SOURCE_BYTES - 2);
    expected[STORE_MARK_SOURCE_BYTES - 1] = '\0';
    round_trip(source, STORE_VERDICT_FAILED, expected);
    memset(source, 1, sizeof source - 1);
    memset(expected, 1, sizeof expected - 1);
    round_trip(source, STORE_VERDICT_FAILED, expected);
    round_trip("ab\xff"
               "cd",
               STORE_VERDICT_FAILED, "ab"); /* no UTF-8 */
}

static bool reads(const char *tag, const char *content) {
    uint8_t tags[128];
    size_t tags_len = 0;
    struct store_mark mark;
    struct mux_packet packet = {.has_tags = true,
                                .tag_count = 2,
                                .file_name = mux_span_text("muxd.run"),
                                .file_content = mux_span_text(content)};
    assert_int_equal(mux_tag_append(tags, sizeof tags, &tags_len, mux_span_text("other")), MUX_OK);
    assert_int_equal(mux_tag_append(tags, sizeof tags, &tags_len, mux_span_text(tag)), MUX_OK);
    packet.tags = mux_span(tags, tags_len);
    return store_mark_read(&packet, &mark);
}

static void test_no_mark(void **state) {
    static const char tag[] = STORE_MARK_TAG "0b5f6f0e-5a1c-4c9e-8f3e-2f6a1f0c7d21";
    struct store_mark mark;
    (void)state;
    assert_true(reads(tag, "{\"v\":2,\"verdict\":\"new\",\"source\":7}"));
    assert_false(reads(tag, ""));
    assert_false(reads(tag, "[]"));
    assert_false(reads(tag, "{\"v\":1"));
    assert_false(reads("run-0B5F6F0E-5a1c-4c9e-8f3e-2f6a1f0c7d21", "{}"));
    assert_false(reads("run-0b5f6f0e-5a1c-4c9e-8f3e-2f6a1f0c7d2", "{}"));
    assert_false(reads("run-/b5f6f0e-5a1c-4c9e-8f3e-2f6a1f0c7d21", "{}"));
    assert_false(reads("run-", "{}"));
    assert_false(store_mark_read(&(struct mux_packet){0}, &mark));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_long_source),
        cmocka_unit_test(test_no_mark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
