/*
 * What tools/base/ini makes of files: a line of JSON for each, for test_ini.py.
 *
 * usage: ini_probe FILE...
 *
 * {"line": LINE, "error": SENTENCE}, or
 * {"sections": [[SECTION, [[OPTION, VALUE, EXPANDED or null], ...]], ...]}, [DEFAULT] first
 */
#include "tools/base/ini.h"
#include "tools/base/json.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_MOST_BYTES (2u << 20)

static char room[16u << 20];

static void put_option(struct json *json, const struct ini *ini, const char *section,
                       const struct ini_entry *entry) {
    struct ini_error error;
    char *expanded = ini_expand(ini, section, entry, &error);
    json_put_open(json, '[');
    json_put_text(json, mux_span_text(entry->name));
    json_put_text(json, mux_span_text(entry->value));
    if (expanded)
        json_put_text(json, mux_span_text(expanded));
    else
        json_put_null(json);
    assert(expanded || *error.why);
    json_put_close(json, ']');
    free(expanded);
}

/* Options that it has by itself, and those of [DEFAULT] that it does not set. */
static void put_section(struct json *json, const struct ini *ini, const char *section) {
    json_put_open(json, '[');
    json_put_text(json, mux_span_text(section));
    json_put_open(json, '[');
    for (size_t i = 0; i < ini_count(ini); i++) {
        const struct ini_entry *entry = ini_at(ini, i);
        if (entry->name && ini_find(ini, section, entry->name) == entry)
            put_option(json, ini, section, entry);
    }
    json_put_close(json, ']');
    json_put_close(json, ']');
}

static void put_ini(struct json *json, const struct ini *ini) {
    json_put_key(json, "sections");
    json_put_open(json, '[');
    put_section(json, ini, INI_DEFAULT);
    for (size_t i = 0; i < ini_count(ini); i++) {
        const struct ini_entry *entry = ini_at(ini, i);
        if (!entry->name && strcmp(entry->section, INI_DEFAULT) != 0)
            put_section(json, ini, entry->section);
    }
    json_put_close(json, ']');
}

static void show(struct mux_span bytes) {
    struct json json;
    struct ini_error error = {0};
    struct ini *ini = ini_read(bytes, &error);
    json_put_start(&json, room, sizeof room);
    json_put_open(&json, '{');
    if (ini)
        put_ini(&json, ini);
    else {
        json_put_member_number(&json, "line", error.line);
        json_put_member_text(&json, "error", error.why);
    }
    json_put_close(&json, '}');
    json_put_line_end(&json);
    assert(!json.full);
    fwrite(room, 1, json_len(&json), stdout);
    ini_free(ini);
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        uint8_t *bytes = malloc(FILE_MOST_BYTES);
        assert(file && bytes);
        size_t len = fread(bytes, 1, FILE_MOST_BYTES, file);
        uint8_t *exact = realloc(bytes, len ? len : 1);
        show(mux_span(exact, len));
        free(exact);
        fclose(file);
    }
    return 0;
}
