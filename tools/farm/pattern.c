#include "tools/farm/pattern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* Steps of one match: an id is short, and an expression that needs more would hold a run up. */
#define STEPS_MOST 1000000

struct pattern {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *context;
};

static bool make_room(struct pattern *pattern, char why[PATTERN_WHY_BYTES]) {
    pattern->data = pcre2_match_data_create_from_pattern(pattern->code, NULL);
    pattern->context = pcre2_match_context_create(NULL);
    if (!pattern->data || !pattern->context) {
        snprintf(why, PATTERN_WHY_BYTES, "out of memory");
        return false;
    }
    pcre2_set_match_limit(pattern->context, STEPS_MOST);
    return true;
}

static void explain(int error, size_t at, char why[PATTERN_WHY_BYTES]) {
    PCRE2_UCHAR text[PATTERN_WHY_BYTES - 32];
    if (pcre2_get_error_message(error, text, sizeof text) < 0)
        text[0] = '\0';
    snprintf(why, PATTERN_WHY_BYTES, "at character %zu: %s", at + 1, (const char *)text);
}

/* Python's \Z is the very end, which PCRE2 calls \z. NULL: out of memory. */
static char *as_pcre(const char *text) {
    char *copy = strdup(text);
    for (char *at = copy; at && (at = strchr(at, '\\')) && at[1]; at += 2)
        if (at[1] == 'Z')
            at[1] = 'z';
    return copy;
}

/* \w, \d and \b know all letters and digits, as in python. */
static pcre2_code *compile(const char *text, char why[PATTERN_WHY_BYTES]) {
    size_t at = 0;
    int error = 0;
    char *copy = as_pcre(text);
    if (!copy)
        return NULL;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)copy, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP,
                                     &error, &at, NULL);
    free(copy);
    if (!code)
        explain(error, at, why);
    return code;
}

struct pattern *pattern_compile(const char *text, char why[PATTERN_WHY_BYTES]) {
    struct pattern *pattern = calloc(1, sizeof *pattern);
    snprintf(why, PATTERN_WHY_BYTES, "out of memory");
    if (!pattern)
        return NULL;
    pattern->code = compile(text, why);
    if (pattern->code && make_room(pattern, why)) {
        pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE); /* without it, it is slower */
        return pattern;
    }
    pattern_free(pattern);
    return NULL;
}

void pattern_free(struct pattern *pattern) {
    if (!pattern)
        return;
    pcre2_match_context_free(pattern->context);
    pcre2_match_data_free(pattern->data);
    pcre2_code_free(pattern->code);
    free(pattern);
}

static enum pattern_result run(struct pattern *pattern, struct mux_span text, uint32_t options) {
    int count = pcre2_match(pattern->code, (PCRE2_SPTR)text.data, text.len, 0, options,
                            pattern->data, pattern->context);
    if (count == PCRE2_ERROR_NOMATCH)
        return PATTERN_NO;
    return count >= 0 ? PATTERN_YES : PATTERN_FAILED;
}

enum pattern_result pattern_search(struct pattern *pattern, struct mux_span text) {
    return run(pattern, text, 0);
}

enum pattern_result pattern_match(struct pattern *pattern, struct mux_span text,
                                  struct mux_span *found) {
    enum pattern_result result = run(pattern, text, PCRE2_ANCHORED);
    if (result == PATTERN_YES) {
        const size_t *ends = pcre2_get_ovector_pointer(pattern->data);
        size_t end = ends[1] >= ends[0] ? ends[1] : ends[0]; /* \K may move the start */
        *found = mux_span(text.data + ends[0], end - ends[0]);
    }
    return result;
}
