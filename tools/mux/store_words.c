#include "tools/mux/store_words.h"
#include "tools/base/text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROOMS 8
#define ROOM_BYTES 48

static char *next_room(void) {
    static char rooms[ROOMS][ROOM_BYTES];
    static unsigned next;
    return rooms[next++ % ROOMS];
}

const char *store_words_took(int64_t us) {
    char *out = next_room();
    *out = '\0';
    if (us == STORE_NO_TIME)
        return out;
    double s = (double)us / 1e6;
    long whole = (long)s;
    if (s < 0.1)
        snprintf(out, ROOM_BYTES, s < 0.01 ? "%.1f ms" : "%.0f ms", s * 1e3);
    else if (s < 10)
        snprintf(out, ROOM_BYTES, "%.2f s", s);
    else if (s < 60)
        snprintf(out, ROOM_BYTES, "%.1f s", s);
    else if (s < 3600)
        snprintf(out, ROOM_BYTES, "%ld:%02ld", whole / 60, whole % 60);
    else
        snprintf(out, ROOM_BYTES, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
    return out;
}

const char *store_words_age(int64_t then_us) {
    char *out = next_room();
    long s = (long)(time(NULL) - then_us / 1000000);
    s = s < 0 ? 0 : s;
    if (s < 60)
        snprintf(out, ROOM_BYTES, "%ld s ago", s);
    else if (s < 3600)
        snprintf(out, ROOM_BYTES, "%ld min ago", s / 60);
    else if (s < 2 * 86400)
        snprintf(out, ROOM_BYTES, "%ld h ago", s / 3600);
    else
        snprintf(out, ROOM_BYTES, "%ld days ago", s / 86400);
    return out;
}

const char *store_words_status(unsigned status) {
    static const char *const words[STORE_STATUSES] = {[MUX_STATUS_NONE] = "-",
                                                      [MUX_STATUS_EXISTS] = "exists",
                                                      [MUX_STATUS_INPROGRESS] = "no end",
                                                      [MUX_STATUS_SUCCESS] = "ok",
                                                      [MUX_STATUS_UXSUCCESS] = "UXPASS",
                                                      [MUX_STATUS_SKIP] = "skip",
                                                      [MUX_STATUS_FAIL] = "FAIL",
                                                      [MUX_STATUS_XFAIL] = "xfail",
                                                      [STORE_STATUS_FLAKY] = "flaky",
                                                      [STORE_STATUS_RETRIED] = "again"};
    return words[status];
}

/* "1,204" */
static const char *number_of(uint64_t number) {
    char digits[24], *out = next_room();
    size_t len = (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)number),
           at = 0;
    for (size_t i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

static size_t add_count(char *out, size_t out_bytes, size_t len, uint64_t count,
                        const char *words) {
    if (count == 0 || len >= out_bytes)
        return len;
    return len + (size_t)snprintf(out + len, out_bytes - len, "%s%s %s", len ? ", " : "",
                                  number_of(count), words);
}

static size_t add_bad(const struct store_run_row *row, char *out, size_t out_bytes) {
    size_t len = 0;
    len = add_count(out, out_bytes, len, row->counts[MUX_STATUS_FAIL], "failed");
    len = add_count(out, out_bytes, len, row->counts[MUX_STATUS_UXSUCCESS],
                    "passed against expectation");
    len = add_count(out, out_bytes, len, row->counts[MUX_STATUS_INPROGRESS], "did not end");
    if (row->new_bad > 0 && len < out_bytes)
        len += (size_t)snprintf(out + len, out_bytes - len, " (%s new)",
                                number_of((uint64_t)row->new_bad));
    return add_count(out, out_bytes, len, row->counts[STORE_STATUS_FLAKY], "flaky");
}

void store_words_counts(const struct store_run_row *row, char *out, size_t out_bytes) {
    size_t len = add_bad(row, out, out_bytes);
    len = add_count(out, out_bytes, len, row->counts[MUX_STATUS_SUCCESS], "passed");
    len = add_count(out, out_bytes, len, row->counts[MUX_STATUS_XFAIL], "failed as expected");
    len = add_count(out, out_bytes, len, row->counts[MUX_STATUS_SKIP], "skipped");
    len = add_count(out, out_bytes, len, row->damages, "pieces of damage");
    if (len == 0)
        snprintf(out, out_bytes, "no test has ended");
}

void store_words_result_text(const struct store_run_row *row, char *out, size_t out_bytes) {
    char bad[192] = "";
    const char *outcome = store_words_outcome(row);
    add_bad(row, bad, sizeof bad);
    bool is_plain = strcmp(outcome, "failed") == 0 && *bad;
    if (strcmp(outcome, "passed") == 0 && !*bad)
        snprintf(out, out_bytes, "passed, %s", number_of(store_run_tests(row)));
    else
        snprintf(out, out_bytes, "%s%s%s", is_plain ? "" : outcome, *bad && !is_plain ? ", " : "",
                 bad);
}

const char *store_words_outcome(const struct store_run_row *row) {
    static const char *const said[STORE_VERDICTS] = {
        [STORE_VERDICT_UNSAID] = "cut off",          [STORE_VERDICT_PASSED] = "passed",
        [STORE_VERDICT_FAILED] = "failed",           [STORE_VERDICT_INCOMPLETE] = "incomplete",
        [STORE_VERDICT_NOTHING] = "nothing ran",     [STORE_VERDICT_INFRASTRUCTURE] = "broken",
        [STORE_VERDICT_INTERRUPTED] = "interrupted",
    };
    if (row->ended_us == STORE_NO_TIME)
        return "open";
    if (said[row->verdict])
        return said[row->verdict];
    if (store_run_bad(row) || row->damages)
        return "failed";
    return store_run_tests(row) ? "passed" : "empty";
}

void store_words_text(const char *text) {
    size_t len = strlen(text), room = TEXT_GROWTH * len + 1;
    char *clean = malloc(room);
    if (!clean)
        return;
    text_clean(mux_span(text, len), false, clean, room);
    fputs(clean, stdout);
    free(clean);
}

void store_words_result(const struct store_result_row *row, const char *past) {
    printf("%-6s  ", store_words_status(row->status));
    store_words_text(row->test);
    const char *took = store_words_took(row->took_us);
    printf("%s%s", *took ? "  " : "", took);
    if (*row->route) {
        fputs("  ", stdout);
        store_words_text(row->route);
    }
    printf("%s%s\n", *past ? "  " : "", past);
}

static json_t *time_json(int64_t us) {
    return us == STORE_NO_TIME ? json_null() : json_real((double)us / 1e6);
}

/* Of a number that is below 0 when it is not known. */
static json_t *number_json(int64_t number) {
    return number < 0 ? json_null() : json_integer(number);
}

/* NULL, when there is no memory, prints nothing. */
static void print_json(json_t *object) {
    if (object)
        json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(16));
    putchar('\n');
    json_decref(object);
}

const char *store_words_status_key(unsigned status) {
    if (status > MUX_STATUS_XFAIL)
        return status == STORE_STATUS_FLAKY ? "flaky" : "retried";
    const char *text = mux_status_text((enum mux_status)status);
    return text ? text : "none";
}

void store_words_result_json(const struct store_result_row *row) {
    print_json(json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:s?}", "run", row->run.uuid, "test_id",
                         row->test, "route_code", row->route, "status",
                         store_words_status_key(row->status), "begun", time_json(row->begun_us),
                         "took_s", time_json(row->took_us), "since",
                         *row->since.uuid ? row->since.uuid : NULL));
}

void store_words_run_json(const struct store_run_row *row) {
    json_t *counts = json_object();
    for (unsigned status = MUX_STATUS_INPROGRESS; status < STORE_STATUSES; status++)
        json_object_set_new(counts, store_words_status_key(status),
                            json_integer((json_int_t)row->counts[status]));
    print_json(json_pack("{s:s, s:I, s:s, s:o, s:o, s:s?, s:o, s:o, s:o, s:I}", "run",
                         row->run.uuid, "number", (json_int_t)row->run.id, "source", row->source,
                         "begun", time_json(row->run.begun_us), "ended", time_json(row->ended_us),
                         "verdict", store_verdict_word(row->verdict), "exit",
                         number_json(row->exit_status), "new", number_json(row->new_bad), "counts",
                         counts, "damages", (json_int_t)row->damages));
}
