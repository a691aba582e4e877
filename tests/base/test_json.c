/* The JSON writer: jansson reads back what was written, for any bytes. */
#include "tests/unit/check.h"
#include "tests/unit/random.h"

#include "tools/base/json.h"

#include <jansson.h>

#define TEXTS 20000
#define TEXT_MOST 40

static char room[4096];

static struct mux_span written(const struct json *json) {
    return mux_span(json->begin, json_len(json));
}

static void document(void **state) {
    static const char expected[] =
        "{\"a\":1,\"b\":[true,null,\"x\",0.000,12.345],\"c\":{},\"d\":[]}\n";
    struct json json;
    (void)state;
    json_put_start(&json, room, sizeof room);
    json_put_open(&json, '{');
    json_put_key(&json, "a");
    json_put_number(&json, 1);
    json_put_key(&json, "b");
    json_put_open(&json, '[');
    json_put_bool(&json, true);
    json_put_null(&json);
    json_put_text(&json, mux_span_text("x"));
    json_put_seconds(&json, 999999);
    json_put_seconds(&json, UINT64_C(12345678901));
    json_put_close(&json, ']');
    json_put_key(&json, "c");
    json_put_open(&json, '{');
    json_put_close(&json, '}');
    json_put_key(&json, "d");
    json_put_open(&json, '[');
    json_put_close(&json, ']');
    json_put_close(&json, '}');
    json_put_line_end(&json);
    assert_false(json.full);
    assert_int_equal(json_len(&json), sizeof expected - 1);
    assert_memory_equal(room, expected, sizeof expected - 1);
}

/* A document in two parts: the second part writes the comma between them. */
static void parts(void **state) {
    struct json first, second;
    (void)state;
    json_put_start(&first, room, sizeof room);
    json_put_open(&first, '[');
    json_put_number(&first, 1);
    json_put_start(&second, first.at, json_room(&first));
    second.needs_comma = first.needs_comma;
    json_put_number(&second, 2);
    json_put_close(&second, ']');
    assert_int_equal(second.at - room, 5);
    assert_memory_equal(room, "[1,2]", 5);
}

/* Random bytes, mostly those that matter to escapes and UTF-8. */
static size_t random_text(struct random *random, uint8_t *text) {
    static const uint8_t likely[] = {'"',  '\\', '/',  0,    0x1F, 0x7F, 0xC3, 0xA9, 0xE2, 0x82,
                                     0xAC, 0xF0, 0x9F, 0x98, 0x80, 0xED, 0xA0, 0xFF, 'a',  '\n'};
    size_t len = random_below(random, TEXT_MOST);
    for (size_t i = 0; i < len; i++)
        text[i] = likely[random_below(random, sizeof likely)];
    return len;
}

static void any_bytes(void **state) {
    struct random random = {7};
    uint8_t text[TEXT_MOST];
    (void)state;
    for (unsigned i = 0; i < TEXTS; i++) {
        struct json json;
        json_error_t error;
        size_t len = random_text(&random, text);
        uint8_t *exact = exact_copy(text, len);
        json_put_start(&json, room, sizeof room);
        json_put_open(&json, '[');
        json_put_text(&json, mux_span(exact, len));
        json_put_close(&json, ']');
        assert_false(json.full);
        assert_true(json_len(&json) <= len * JSON_GROWTH + 4);
        struct mux_span all = written(&json);
        json_t *read = json_loadb((const char *)all.data, all.len, JSON_ALLOW_NUL, &error);
        if (!read)
            fail_msg("%s: %.*s", error.text, (int)all.len, (const char *)all.data);
        json_decref(read);
        free(exact);
    }
}

static void valid_text_is_unchanged(void **state) {
    static const char text[] = "gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80 \"\\\x01\x7F";
    struct json json;
    json_error_t error;
    (void)state;
    json_put_start(&json, room, sizeof room);
    json_put_open(&json, '[');
    json_put_text(&json, mux_span_text(text));
    json_put_close(&json, ']');
    json_t *read = json_loadb(room, json_len(&json), 0, &error);
    assert_string_equal(json_string_value(json_array_get(read, 0)), text);
    json_decref(read);
}

/* With any room, nothing is written past it, and the writer reports that it was too small. */
static void too_little_room(void **state) {
    (void)state;
    for (size_t most = 0; most < 20; most++) {
        struct json json;
        char *exact = malloc(most + 1);
        json_put_start(&json, exact, most);
        json_put_open(&json, '[');
        json_put_text(&json, mux_span_text("a\"b\x02"));
        json_put_number(&json, 1234567);
        json_put_close(&json, ']');
        assert_true(json_len(&json) <= most);
        assert_true(json.full);
        free(exact);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(document),        cmocka_unit_test(parts),
        cmocka_unit_test(any_bytes),       cmocka_unit_test(valid_text_is_unchanged),
        cmocka_unit_test(too_little_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
