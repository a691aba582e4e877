#include "tools/node/read.h"

#include <stdarg.h>
#include <stdio.h>

bool read_wrong(char *why, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, READ_WHY_BYTES, format, arguments);
    va_end(arguments);
    return false;
}

static bool is_version(const json_t *tree, char *why) {
    const json_t *version = json_object_get(tree, "v");
    if (!json_is_object(tree))
        return read_wrong(why, "it is no JSON object");
    if (!json_is_integer(version))
        return read_wrong(why, "\"v\", the version, is missing or no whole number");
    if (json_integer_value(version) != READ_VERSION)
        return read_wrong(why,
                          "version %" JSON_INTEGER_FORMAT " is not known here: expected \"v\": %d",
                          json_integer_value(version), READ_VERSION);
    return true;
}

static const char *fault(const json_error_t *error) {
    switch (json_error_code(error)) {
    case json_error_out_of_memory:
        return "there is no memory for it";
    case json_error_stack_overflow:
        return "it is nested too deeply";
    case json_error_invalid_utf8:
        return "a byte that is no UTF-8";
    case json_error_premature_end_of_input:
        return "it ends too early";
    case json_error_end_of_input_expected:
        return "more comes behind its end";
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return "a character 0";
    case json_error_duplicate_key:
        return "a key stands twice";
    case json_error_numeric_overflow:
        return "a number is too large";
    default:
        return "a character that cannot stand there";
    }
}

/* Whose it is may be read nevertheless, where it is clear enough. */
static json_t *read_leniently(struct mux_span text) {
    return json_loadb((const char *)text.data, text.len, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL,
                      NULL);
}

/* A key that stands twice would mean one thing here and another elsewhere. */
bool read_message(struct mux_span text, json_t **tree, char *why) {
    json_error_t error;
    *tree = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &error);
    if (*tree)
        return is_version(*tree, why);
    *tree = read_leniently(text);
    return read_wrong(why, "it is no JSON object: %s, at byte %d", fault(&error), error.position);
}
