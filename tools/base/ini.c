#include "tools/base/ini.h"

#include "mux/packet/packet.h"
#include "tools/base/white.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct ini {
    char *text; /* a copy of the file, in which strings end where they stood */
    struct ini_entry *entries;
    const struct ini_entry **sorted; /* by section and name, a section's beginning first */
    size_t count, capacity;
};

struct reading {
    struct ini *ini;
    struct ini_error *error;
    const char *section; /* NULL: no section has begun */
    unsigned line;
    size_t indent;   /* of the last line that was no continuation, in characters */
    char *value_end; /* of the last option, which may go on; NULL: there is none in this section */
};

__attribute__((format(printf, 3, 4))) static bool refuse(struct ini_error *error, unsigned line,
                                                         const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    error->line = line;
    vsnprintf(error->why, sizeof error->why, format, arguments);
    va_end(arguments);
    return false;
}

/* An option's value may be followed by others until its end is marked. */
static void end_value(struct reading *reading) {
    if (!reading->value_end)
        return;
    /* blank lines behind the value are none of it; before it, they are */
    char *value = (char *)reading->ini->entries[reading->ini->count - 1].value;
    struct mux_span trimmed = white_trim(mux_span(value, (size_t)(reading->value_end - value)));
    reading->value_end = trimmed.len ? (char *)trimmed.data + trimmed.len : value;
    *reading->value_end = '\0';
    reading->value_end = NULL;
}

/*
 * A line more of the value. There is room: what was read so far is one byte longer for each of its
 * lines than what was kept of it.
 */
static void continue_value(struct reading *reading, struct mux_span piece) {
    *reading->value_end++ = '\n';
    memmove(reading->value_end, piece.data, piece.len);
    reading->value_end += piece.len;
}

static bool add_entry(struct reading *reading, struct ini_entry entry) {
    struct ini *ini = reading->ini;
    if (ini->count == ini->capacity) {
        size_t capacity = ini->capacity ? 2 * ini->capacity : 16;
        struct ini_entry *entries = realloc(ini->entries, capacity * sizeof *entries);
        if (!entries)
            return refuse(reading->error, 0, "out of memory");
        ini->entries = entries;
        ini->capacity = capacity;
    }
    ini->entries[ini->count++] = entry;
    return true;
}

/* The text of a span within the copy, which may be overwritten behind it. */
static const char *terminated(struct mux_span span) {
    char *text = (char *)span.data;
    text[span.len] = '\0';
    return text;
}

static bool begin_section(struct reading *reading, struct mux_span name) {
    reading->section = terminated(name);
    return add_entry(reading, (struct ini_entry){reading->section, .line = reading->line});
}

static void lower(char *text) {
    for (; *text; text++)
        if (*text >= 'A' && *text <= 'Z')
            *text += 'a' - 'A';
}

static bool begin_option(struct reading *reading, struct mux_span line) {
    size_t delimiter = 0;
    while (delimiter < line.len && line.data[delimiter] != '=' && line.data[delimiter] != ':')
        delimiter++;
    if (delimiter == line.len)
        return refuse(reading->error, reading->line,
                      "this is neither \"[section]\" nor \"option = value\"; a line that continues "
                      "a value is indented more than its option");
    struct mux_span name = white_trim(mux_span(line.data, delimiter));
    struct mux_span value =
        white_trim(mux_span(line.data + delimiter + 1, line.len - delimiter - 1));
    if (name.len == 0)
        return refuse(reading->error, reading->line, "there is no name before the \"%c\"",
                      line.data[delimiter]);
    char *text = (char *)terminated(name);
    lower(text);
    struct ini_entry entry = {reading->section, text, (const char *)value.data, reading->line};
    if (!add_entry(reading, entry))
        return false;
    reading->value_end = (char *)value.data + value.len;
    return true;
}

/* The name within the brackets of a section's line; absent: it is none. */
static struct mux_span section_name(struct mux_span line) {
    size_t end = line.len;
    while (end > 0 && line.data[end - 1] != ']')
        end--;
    return line.data[0] == '[' && end > 2 ? mux_span(line.data + 1, end - 2)
                                          : (struct mux_span){NULL, 0};
}

static bool read_content(struct reading *reading, struct mux_span content, size_t indent) {
    if (reading->value_end && indent > reading->indent) {
        continue_value(reading, content);
        return true;
    }
    struct mux_span section = section_name(content);
    end_value(reading);
    reading->indent = indent;
    if (section.data)
        return begin_section(reading, section);
    if (!reading->section)
        return refuse(reading->error, reading->line,
                      "options come after a section's line, such as [" INI_DEFAULT "]");
    return begin_option(reading, content);
}

static bool read_line(struct reading *reading, struct mux_span line) {
    size_t at = 0;
    for (size_t width; at < line.len; at += width) {
        width = mux_utf8_character(mux_span(line.data + at, line.len - at));
        if (width == 0)
            return refuse(reading->error, reading->line, "this is not UTF-8");
        if (line.data[at] == '\0')
            return refuse(reading->error, reading->line, "there is a NUL byte");
    }
    struct mux_span content = white_trim(line);
    if (content.len && (content.data[0] == '#' || content.data[0] == ';'))
        return true;
    if (content.len)
        return read_content(reading, content, white_before(line));
    if (reading->value_end)
        continue_value(reading, content);
    return true;
}

/* How many bytes end the line here: \n, \r\n or \r. 0: it goes on. */
static size_t line_end(const char *at, const char *end) {
    if (*at == '\r')
        return at + 1 < end && at[1] == '\n' ? 2 : 1;
    return *at == '\n' ? 1 : 0;
}

static bool read_lines(struct reading *reading, size_t len) {
    char *at = reading->ini->text, *end = at + len;
    while (at < end) {
        char *begin = at;
        size_t width = 0;
        while (at < end && (width = line_end(at, end)) == 0)
            at++;
        reading->line++;
        if (!read_line(reading, mux_span(begin, (size_t)(at - begin))))
            return false;
        at += width;
    }
    return true;
}

/* Sections apart, their beginnings first, then by name. */
static int order(const struct ini_entry *a, const struct ini_entry *b) {
    int sections = strcmp(a->section, b->section);
    if (sections)
        return sections;
    return a->name && b->name ? strcmp(a->name, b->name) : !!a->name - !!b->name;
}

static int order_with_line(const void *a, const void *b) {
    const struct ini_entry *one = *(const struct ini_entry *const *)a;
    const struct ini_entry *other = *(const struct ini_entry *const *)b;
    int names = order(one, other);
    return names ? names : (one->line > other->line) - (one->line < other->line);
}

static bool sort(struct ini *ini) {
    ini->sorted = malloc((ini->count + 1) * sizeof *ini->sorted);
    if (!ini->sorted)
        return false;
    for (size_t i = 0; i < ini->count; i++)
        ini->sorted[i] = &ini->entries[i];
    qsort(ini->sorted, ini->count, sizeof *ini->sorted, order_with_line);
    return true;
}

/* [DEFAULT] alone may come in pieces. */
static bool is_twice(const struct ini_entry *first, const struct ini_entry *second) {
    return order(first, second) == 0 && (first->name || strcmp(first->section, INI_DEFAULT) != 0);
}

/* Refuses what was there before, if it comes before the error that is known already. */
static bool no_duplicates(const struct ini *ini, struct ini_error *error) {
    const struct ini_entry *first = NULL, *second = NULL;
    for (size_t i = 1; i < ini->count; i++)
        if (is_twice(ini->sorted[i - 1], ini->sorted[i]) &&
            (!second || ini->sorted[i]->line < second->line)) {
            first = ini->sorted[i - 1];
            second = ini->sorted[i];
        }
    if (!second)
        return true;
    if (!second->name)
        return refuse(error, second->line, "[%s] was there before, in line %u", second->section,
                      first->line);
    return refuse(error, second->line, "\"%s\" has a value already, in line %u", second->name,
                  first->line);
}

struct ini *ini_read(struct mux_span bytes, struct ini_error *error) {
    if (bytes.len > INI_MOST_BYTES) {
        refuse(error, 0, "it is larger than %d bytes", INI_MOST_BYTES);
        return NULL;
    }
    struct ini *ini = calloc(1, sizeof *ini);
    if (!ini || !(ini->text = malloc(bytes.len + 1))) {
        refuse(error, 0, "out of memory");
        ini_free(ini);
        return NULL;
    }
    if (bytes.len)
        memcpy(ini->text, bytes.data, bytes.len);
    struct reading reading = {.ini = ini, .error = error};
    bool read = read_lines(&reading, bytes.len);
    end_value(&reading);
    bool fine = sort(ini) ? no_duplicates(ini, error) && read : refuse(error, 0, "out of memory");
    if (fine)
        return ini;
    ini_free(ini);
    return NULL;
}

void ini_free(struct ini *ini) {
    if (!ini)
        return;
    free(ini->text);
    free(ini->entries);
    free(ini->sorted);
    free(ini);
}

size_t ini_count(const struct ini *ini) {
    return ini->count;
}

const struct ini_entry *ini_at(const struct ini *ini, size_t i) {
    return &ini->entries[i];
}

static int order_of_pointers(const void *key, const void *member) {
    return order(key, *(const struct ini_entry *const *)member);
}

static const struct ini_entry *look_up(const struct ini *ini, const char *section,
                                       const char *name) {
    struct ini_entry key = {section, name};
    const struct ini_entry **found =
        bsearch(&key, ini->sorted, ini->count, sizeof *ini->sorted, order_of_pointers);
    return found ? *found : NULL;
}

bool ini_has_section(const struct ini *ini, const char *section) {
    return strcmp(section, INI_DEFAULT) == 0 || look_up(ini, section, NULL);
}

const struct ini_entry *ini_find(const struct ini *ini, const char *section, const char *name) {
    if (!ini_has_section(ini, section))
        return NULL;
    const struct ini_entry *found = look_up(ini, section, name);
    return found ? found : look_up(ini, INI_DEFAULT, name);
}

/* A value that is expanded, or the one that it refers to. */
struct expansion {
    const struct ini *ini;
    const char *section;
    struct ini_error *error;
    FILE *out;
    unsigned references; /* so far */
};

static bool expand(struct expansion *expansion, const struct ini_entry *entry, unsigned depth);

/* `name` is that of %(name)s, `len` its length. */
static bool expand_reference(struct expansion *expansion, const struct ini_entry *from,
                             const char *name, size_t len, unsigned depth) {
    struct ini_error *error = expansion->error;
    char *copy = strndup(name, len);
    if (!copy)
        return refuse(error, 0, "out of memory");
    lower(copy);
    const struct ini_entry *to = ini_find(expansion->ini, expansion->section, copy);
    free(copy);
    if (!to)
        return refuse(error, from->line, "\"%s\" refers to %%(%.*s)s, and there is no such option",
                      from->name, (int)(len < 64 ? len : 64), name);
    if (!strchr(to->value, '%')) {
        fputs(to->value, expansion->out);
        return true;
    }
    if (depth == INI_EXPAND_DEPTH)
        return refuse(error, from->line,
                      "\"%s\" refers to itself, or by more than %d options to the last", from->name,
                      INI_EXPAND_DEPTH);
    return expand(expansion, to, depth + 1);
}

/* At a percent sign. Moves behind what it begins. */
static bool expand_sign(struct expansion *expansion, const struct ini_entry *entry, const char **at,
                        unsigned depth) {
    const char *name = *at + 2, *end;
    if ((*at)[1] == '%') {
        *at += 2;
        fputc('%', expansion->out);
        return true;
    }
    if ((*at)[1] == '(' && (end = strchr(name, ')')) != NULL && end > name && end[1] == 's') {
        *at = end + 2;
        return expand_reference(expansion, entry, name, (size_t)(end - name), depth);
    }
    return refuse(expansion->error, entry->line,
                  "\"%s\" has a %% that begins neither %%%% nor %%(option)s: write %%%% for a "
                  "percent sign",
                  entry->name);
}

/* What refers to what refers ... grows like a power: neither its text nor its steps are endless. */
static bool is_in_bounds(struct expansion *expansion) {
    return ++expansion->references <= INI_EXPAND_MOST_REFERENCES &&
           ftell(expansion->out) <= INI_EXPAND_MOST_BYTES;
}

static bool expand(struct expansion *expansion, const struct ini_entry *entry, unsigned depth) {
    for (const char *at = entry->value; *at;) {
        size_t plain = strcspn(at, "%");
        fwrite(at, 1, plain, expansion->out);
        at += plain;
        if (!is_in_bounds(expansion))
            return refuse(expansion->error, entry->line,
                          "with all that it refers to, \"%s\" is longer than %d bytes or %d "
                          "references",
                          entry->name, INI_EXPAND_MOST_BYTES, INI_EXPAND_MOST_REFERENCES);
        if (*at && !expand_sign(expansion, entry, &at, depth))
            return false;
    }
    return true;
}

char *ini_expand(const struct ini *ini, const char *section, const struct ini_entry *entry,
                 struct ini_error *error) {
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    bool fine = out != NULL, wrote = fine;
    if (out) {
        struct expansion expansion = {.ini = ini, .section = section, .error = error, .out = out};
        fine = expand(&expansion, entry, 1);
        wrote = !ferror(out);
        wrote = fclose(out) == 0 && wrote;
    }
    if (fine && wrote)
        return text;
    if (!wrote)
        refuse(error, 0, "out of memory");
    free(text);
    return NULL;
}
