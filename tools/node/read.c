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

/* A key that stands twice would mean one thing here and another elsewhere. */
bool read_message(struct mux_span text, json_t **tree, char *why) {
    json_error_t error;
    *tree = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &error);
    if (!*tree)
        return read_wrong(why, "it is no JSON object: %s, at byte %d", error.text, error.position);
    return is_version(*tree, why);
}
