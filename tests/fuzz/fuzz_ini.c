/*
 * INI files: any bytes are refused with a sentence, or give a table in which each entry is found
 * under its name, has a name and values without blanks around them, and expands or says why not.
 *
 * Input: the file.
 */
#include "tests/fuzz/fuzz.h"

#include "tools/base/ini.h"
#include "tools/base/white.h"

#include <stdlib.h>

/* A value may begin with a newline: it then has nothing in its first line. */
static void check_trimmed(const char *text) {
    const char *first = text + strspn(text, "\n");
    assert(*first || first == text);
    assert(white_trim(mux_span_text(first)).len == strlen(first));
}

static void check_option(const struct ini *ini, const struct ini_entry *entry) {
    struct ini_error error = {0};
    assert(*entry->name && !strchr(entry->name, '=') && !strchr(entry->name, ':'));
    check_trimmed(entry->name);
    check_trimmed(entry->value);
    assert(ini_find(ini, entry->section, entry->name) == entry);
    char *expanded = ini_expand(ini, entry->section, entry, &error);
    assert(expanded || (*error.why && error.line > 0));
    assert(!expanded || strchr(entry->value, '%') || strcmp(expanded, entry->value) == 0);
    free(expanded);
}

static void check(const struct ini *ini) {
    unsigned line = 0;
    for (size_t i = 0; i < ini_count(ini); i++) {
        const struct ini_entry *entry = ini_at(ini, i);
        assert(entry->line > line && *entry->section);
        assert(ini_has_section(ini, entry->section));
        line = entry->line;
        if (entry->name)
            check_option(ini, entry);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct ini_error error = {0};
    uint8_t *copy = copy_of(mux_span(data, size));
    struct ini *ini = ini_read(mux_span(copy, size), &error);
    free(copy); /* the table keeps no pointer into it */
    if (ini)
        check(ini);
    else
        assert(*error.why && error.line > 0);
    ini_free(ini);
    return 0;
}
