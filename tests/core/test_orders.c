/* Orders and their answers, read and written; and the table of places that drain. */
#include "tests/unit/check.h"

#include "tools/node/drains.h"
#include "tools/node/order.h"

#include <stdio.h>
#include <stdlib.h>

static char why[READ_WHY_BYTES];

static bool parse(const char *text, struct order *order) {
    size_t len = strlen(text);
    uint8_t *copy = exact_copy(text, len);
    *why = '\0';
    bool is_fine = order_parse(mux_span(copy, len), order, why);
    free(copy);
    return is_fine;
}

static void orders(void **state) {
    struct order order;
    struct order_message message;
    struct mux_packet packet;
    (void)state;
    assert_true(parse("{\"v\":1,\"do\":\"kick\",\"id\":\"5f\",\"what\":[]}", &order));
    assert_int_equal(order.verb, ORDER_KICK);
    assert_string_equal(order.id, "5f");
    assert_false(order.is_from_above);
    order_put(&message, &(struct order){.verb = ORDER_DRAIN, .is_from_above = true}, &packet);
    assert_true(order_parse(packet.file_content, &order, why));
    assert_int_equal(order.verb, ORDER_DRAIN);
    assert_true(order.is_from_above);
    assert_string_equal(order.id, "");
    assert_null(packet.route.data);
}

/* Each is refused with these words. */
static void refused_orders(void **state) {
    static const char *const cases[][2] = {
        {"", "no JSON object"},
        {"[]", "no JSON object"},
        {"{\"do\":\"stop\"}", "the version"},
        {"{\"v\":2,\"do\":\"stop\"}", "version 2"},
        {"{\"v\":1}", "expected kick, drain, undrain or stop"},
        {"{\"v\":1,\"do\":\"Stop\"}", "expected kick, drain, undrain or stop"},
        {"{\"v\":1,\"do\":\"sto\"}", "expected kick, drain, undrain or stop"},
        {"{\"v\":1,\"do\":\"stop\\u0000\"}", "no JSON object"},
        {"{\"v\":1,\"do\":[\"stop\"]}", "expected kick, drain, undrain or stop"},
        {"{\"v\":1,\"do\":\"stop\",\"do\":\"drain\"}", "a key stands twice"},
        {"{\"v\":1,\"do\":\"stop\",\"id\":7}", "\"id\""},
        {"{\"v\":1,\"do\":\"stop\",\"id\":\"0123456789012345678901234567890123\"}", "at most 32"},
        {"{\"v\":1,\"do\":\"stop\",\"above\":1}", "\"above\""},
        {"{\"v\":1,\"do\":\"stop\",\"above\":true}", "drain and undrain only"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct order order;
        assert_false(parse(cases[i][0], &order));
        if (!strstr(why, cases[i][1]))
            fail_msg("%s: %s", cases[i][0], why);
    }
}

/* An unknown order, or one of an unknown version, is answered by its id, and no other is named. */
static void unknown_orders(void **state) {
    static const char *const cases[][2] = {
        {"{\"v\":1,\"do\":\"dance\",\"id\":\"5f\"}", "\"dance\" is not known here"},
        {"{\"v\":7,\"do\":\"stop\",\"id\":\"5f\"}", "version 7 is not known here"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct order order;
        struct order_answer answer, read;
        struct order_message message;
        struct mux_packet packet;
        assert_false(parse(cases[i][0], &order));
        order_answer_make(&answer, &order, false, why);
        order_answer_put(&message, &answer, &packet);
        assert_true(order_answer_parse(packet.file_content, &read, why));
        assert_int_equal(read.state, ORDER_REFUSED);
        assert_int_equal(read.verb, ORDER_VERBS);
        assert_string_equal(read.id, "5f");
        if (!strstr(read.why, cases[i][1]))
            fail_msg("%s: %s", cases[i][0], read.why);
    }
}

static void answers(void **state) {
    const struct order order = {.verb = ORDER_STOP, .id = "5f"};
    struct order_answer answer, read;
    struct order_message message;
    struct mux_packet packet;
    (void)state;
    order_answer_make(&answer, &order, true, "it \"cannot\"");
    order_answer_put(&message, &answer, &packet);
    assert_true(order_answer_parse(packet.file_content, &read, why));
    assert_int_equal(read.state, ORDER_REFUSED);
    assert_int_equal(read.verb, ORDER_STOP);
    assert_true(read.draining);
    assert_string_equal(read.id, "5f");
    assert_string_equal(read.why, "it \"cannot\"");
    order_answer_make(&answer, &order, false, NULL);
    assert_int_equal(answer.state, ORDER_DONE);
    /* an order is no answer */
    order_put(&message, &order, &packet);
    assert_false(order_answer_parse(packet.file_content, &read, why));
    assert_non_null(strstr(why, "done, refused or news"));
    assert_true(order_answer_parse(mux_span_text("{\"v\":1,\"state\":\"news\"}"), &read, why));
    assert_false(read.draining);
}

/* The longest that can be made of any bytes fits. */
static void the_longest_answer(void **state) {
    struct order_answer answer = {.state = ORDER_REFUSED, .verb = ORDER_UNDRAIN, .draining = true};
    struct order_message message;
    struct mux_packet packet;
    (void)state;
    memset(answer.id, 1, sizeof answer.id - 1);
    memset(answer.why, 1, sizeof answer.why - 1);
    order_answer_put(&message, &answer, &packet);
    assert_true(packet.file_content.len > JSON_GROWTH * (sizeof answer.why - 1));
}

static struct drains drains;

static bool note(const char *route, bool is_draining) {
    return drains_note(&drains, mux_span_text(route), is_draining);
}

static bool has(const char *route) {
    return drains_has(&drains, mux_span_text(route));
}

static bool is_seven(const void *user, struct mux_span segment) {
    (void)user;
    return mux_span_equal(segment, mux_span_text("7"));
}

static void places(void **state) {
    (void)state;
    drains.count = 0;
    assert_true(note("7", true) && note("7/3", true) && note("7/3/0", true) && note("77", true));
    assert_true(note("7/3", true));
    assert_int_equal(drains.count, 4);
    drains_forget_below(&drains, mux_span_text("7/3"));
    assert_true(has("7") && has("7/3") && has("77") && !has("7/3/0"));
    assert_true(note("7/3", false) && note("7/3", false));
    assert_false(has("7/3"));
    drains_sweep(&drains, is_seven, NULL);
    assert_true(has("7") && !has("77"));
    assert_int_equal(drains.count, 1);
}

/* One link cannot fill the table; nor does a longer route harm it. */
static void full_table(void **state) {
    char route[2 * DRAINS_ROUTE_BYTES];
    (void)state;
    drains.count = 0;
    for (unsigned i = 0; i < DRAINS_LINK_MAX; i++) {
        snprintf(route, sizeof route, "0/%u", i);
        assert_true(note(route, true));
    }
    assert_false(note("0/x", true));
    for (unsigned i = DRAINS_LINK_MAX; i < DRAINS_MAX; i++) {
        snprintf(route, sizeof route, "%u", i);
        assert_true(note(route, true));
    }
    assert_false(note("y", true));
    assert_true(note("0/0", false) && note("y", true));
    /* an answer to an order finds room, of its own link's if it has some */
    drains_note_first(&drains, mux_span_text("0/first"));
    assert_true(has("0/first") && has("y") && drains.count == DRAINS_MAX);
    drains_note_first(&drains, mux_span_text("q/first"));
    assert_true(has("q/first") && has("0/first") && drains.count == DRAINS_MAX);
    assert_true(note("q/first", false) && note("y", true));
    memset(route, 'z', sizeof route);
    drains_note_first(&drains, mux_span(route, DRAINS_ROUTE_BYTES));
    assert_true(has("y") && drains.count <= DRAINS_MAX);
    assert_true(note("y", false));
    assert_false(drains_note(&drains, mux_span(route, DRAINS_ROUTE_BYTES), true));
    assert_true(drains_note(&drains, mux_span(route, DRAINS_ROUTE_BYTES - 1), true));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders),
        cmocka_unit_test(refused_orders),
        cmocka_unit_test(unknown_orders),
        cmocka_unit_test(answers),
        cmocka_unit_test(the_longest_answer),
        cmocka_unit_test(places),
        cmocka_unit_test(full_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
