#include "tools/farm/toml.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define PATH_BYTES 1024
#define DOT_IN_KEY '\x1F'

struct toml {
    const char *at, *end;
    unsigned line, depth;
    char path[PATH_BYTES]; /* of the table, then of the value that is read */
    char *text;            /* the last string; as large as the file */
    size_t text_len;
    void (*tell)(void *user, const struct toml_value *value);
    void *user;
    struct toml_error *error;
};

static bool wrong(struct toml *toml, const char *reason) {
    toml->error->line = toml->line;
    snprintf(toml->error->why, sizeof toml->error->why, "%s", reason);
    return false;
}

static size_t left(const struct toml *toml) {
    return (size_t)(toml->end - toml->at);
}

static bool is_at(const struct toml *toml, const char *text) {
    size_t len = strlen(text);
    return left(toml) >= len && memcmp(toml->at, text, len) == 0;
}

static bool skip(struct toml *toml, const char *text) {
    if (!is_at(toml, text))
        return false;
    toml->at += strlen(text);
    return true;
}

static void skip_blanks(struct toml *toml) {
    while (left(toml) && (*toml->at == ' ' || *toml->at == '\t'))
        toml->at++;
}

static void skip_comment(struct toml *toml) {
    if (is_at(toml, "#"))
        while (left(toml) && *toml->at != '\n')
            toml->at++;
}

static bool skip_line_end(struct toml *toml) {
    if (!skip(toml, "\n") && !skip(toml, "\r\n"))
        return false;
    toml->line++;
    return true;
}

/* Blanks, comments and line ends. */
static void skip_space(struct toml *toml) {
    do {
        skip_blanks(toml);
        skip_comment(toml);
    } while (skip_line_end(toml));
}

/*
 * ---- strings ----
 */

static void put(struct toml *toml, char byte) {
    toml->text[toml->text_len++] = byte;
}

/* The character as UTF-8, which is never longer than its escape. */
static void put_character(struct toml *toml, unsigned long character) {
    if (character < 0x80) {
        put(toml, (char)character);
        return;
    }
    unsigned more = character < 0x800 ? 1 : character < 0x10000 ? 2 : 3;
    static const unsigned char leads[] = {0, 0xC0, 0xE0, 0xF0};
    put(toml, (char)(leads[more] | character >> 6 * more));
    while (more-- > 0)
        put(toml, (char)(0x80 | (character >> 6 * more & 0x3F)));
}

static bool read_hexadecimal(struct toml *toml, unsigned digits) {
    char text[16] = "";
    for (unsigned i = 0; i < digits; i++) {
        if (!left(toml) || !isxdigit((unsigned char)*toml->at))
            return wrong(toml, "\\u has four digits behind it, and \\U eight");
        text[i] = *toml->at++;
    }
    unsigned long character = strtoul(text, NULL, 16);
    if (character == 0 || character > 0x10FFFF || (character >= 0xD800 && character < 0xE000))
        return wrong(toml, "there is no such character");
    put_character(toml, character);
    return true;
}

/* A backslash at the end of a line takes all blanks up to the next word away. */
static bool skip_to_next_word(struct toml *toml) {
    const char *begin = toml->at;
    skip_blanks(toml);
    if (!skip_line_end(toml)) {
        toml->at = begin;
        return false;
    }
    do
        skip_blanks(toml);
    while (skip_line_end(toml));
    return true;
}

/* Behind a backslash. */
static bool read_escape(struct toml *toml, bool many_lines) {
    static const char letters[] = "btnfr\"\\", meant[] = "\b\t\n\f\r\"\\";
    if (many_lines && skip_to_next_word(toml))
        return true;
    const char *letter = left(toml) && *toml->at ? strchr(letters, *toml->at) : NULL;
    if (letter) {
        put(toml, meant[letter - letters]);
        toml->at++;
        return true;
    }
    if (is_at(toml, "u") || is_at(toml, "U"))
        return read_hexadecimal(toml, *toml->at++ == 'u' ? 4 : 8);
    return wrong(toml, "a backslash in a string with double quotes begins an escape: write two");
}

/* One or two quotes more than three at the end are part of the text. */
static bool ends(struct toml *toml, const char *quotes) {
    if (!is_at(toml, quotes))
        return false;
    for (unsigned i = 0; i < 2 && quotes[1] && left(toml) > 3 && toml->at[3] == quotes[0]; i++)
        put(toml, *toml->at++);
    toml->at += strlen(quotes);
    return true;
}

/* Behind the quotes that begin it: ", ', """ or '''. */
static bool read_string(struct toml *toml, const char *quotes) {
    bool many_lines = quotes[1] != '\0';
    toml->text_len = 0;
    if (many_lines)
        skip_line_end(toml);
    while (!ends(toml, quotes)) {
        if (!left(toml) || (!many_lines && *toml->at == '\n'))
            return wrong(toml, "a string has no end");
        if (*toml->at == '\0')
            return wrong(toml, "there is a NUL byte");
        if (quotes[0] == '"' && skip(toml, "\\")) {
            if (!read_escape(toml, many_lines))
                return false;
            continue;
        }
        if (many_lines && skip_line_end(toml))
            put(toml, '\n');
        else
            put(toml, *toml->at++);
    }
    put(toml, '\0');
    return true;
}

/* *is_string: there is one. False: it is wrong. */
static bool read_any_string(struct toml *toml, bool many_lines, bool *is_string) {
    static const char *const kinds[] = {"\"\"\"", "'''", "\"", "'"};
    *is_string = true;
    for (size_t i = many_lines ? 0 : 2; i < 4; i++)
        if (skip(toml, kinds[i]))
            return read_string(toml, kinds[i]);
    *is_string = false;
    return true;
}

/*
 * ---- keys ----
 */

static bool is_bare(char c) {
    return isalnum((unsigned char)c) || c == '_' || c == '-';
}

static bool read_bare(struct toml *toml) {
    toml->text_len = 0;
    while (left(toml) && is_bare(*toml->at))
        put(toml, *toml->at++);
    if (toml->text_len == 0)
        return wrong(toml, "a key is expected here");
    put(toml, '\0');
    return true;
}

/* Adds the last string to the path. */
static bool add_key(struct toml *toml) {
    size_t len = strlen(toml->path);
    for (char *at = toml->text; *at; at++)
        if (*at == '.')
            *at = DOT_IN_KEY;
    int added =
        snprintf(toml->path + len, sizeof toml->path - len, "%s%s", len ? "." : "", toml->text);
    return (added >= 0 && (size_t)added < sizeof toml->path - len) ||
           wrong(toml, "a key is too long");
}

/* "a.b.'c d'" */
static bool read_key(struct toml *toml) {
    bool is_string;
    do {
        skip_blanks(toml);
        if (!read_any_string(toml, false, &is_string) || (!is_string && !read_bare(toml)) ||
            !add_key(toml))
            return false;
        skip_blanks(toml);
    } while (skip(toml, "."));
    return true;
}

/*
 * ---- values ----
 */

static bool read_value(struct toml *toml, bool is_told);

static void tell(struct toml *toml, enum toml_kind kind, bool is_told) {
    struct toml_value value = {toml->path, kind, toml->text, toml->line};
    if (is_told)
        toml->tell(toml->user, &value);
}

static bool read_pair(struct toml *toml, bool is_told) {
    if (!read_key(toml))
        return false;
    if (!skip(toml, "="))
        return wrong(toml, "= is expected behind the key");
    skip_blanks(toml);
    return read_value(toml, is_told);
}

/* Behind the bracket. */
static bool read_array(struct toml *toml) {
    for (skip_space(toml); !skip(toml, "]"); skip_space(toml)) {
        if (!read_value(toml, false))
            return false;
        skip_space(toml);
        if (!skip(toml, ",") && !is_at(toml, "]"))
            return wrong(toml, "\",\" or \"]\" is expected in an array");
    }
    return true;
}

static bool read_inline_table(struct toml *toml, bool is_told) {
    size_t path_len = strlen(toml->path);
    for (skip_space(toml); !skip(toml, "}"); skip_space(toml)) {
        if (!read_pair(toml, is_told))
            return false;
        toml->path[path_len] = '\0';
        skip_space(toml);
        if (!skip(toml, ",") && !is_at(toml, "}"))
            return wrong(toml, "\",\" or \"}\" is expected in a table");
    }
    return true;
}

/* A number, a date, true or false. */
static bool read_word(struct toml *toml, bool is_told) {
    const char *begin = toml->at;
    while (left(toml) && !strchr(",]}#\r\n", *toml->at))
        toml->at++;
    size_t len = (size_t)(toml->at - begin);
    while (len && (begin[len - 1] == ' ' || begin[len - 1] == '\t'))
        len--;
    if (len == 0)
        return wrong(toml, "a value is expected here");
    bool is_true = len == 4 && memcmp(begin, "true", 4) == 0;
    bool is_false = len == 5 && memcmp(begin, "false", 5) == 0;
    tell(toml, is_true ? TOML_TRUE : is_false ? TOML_FALSE : TOML_OTHER, is_told);
    return true;
}

static bool read_nested(struct toml *toml, bool is_told) {
    if (toml->depth == TOML_DEPTH_MOST)
        return wrong(toml, "arrays and tables nest too deep");
    toml->depth++;
    bool is_array = *toml->at++ == '[';
    if (is_array)
        tell(toml, TOML_OTHER, is_told);
    bool is_fine = is_array ? read_array(toml) : read_inline_table(toml, is_told);
    toml->depth--;
    return is_fine;
}

static bool read_value(struct toml *toml, bool is_told) {
    bool is_string;
    if (is_at(toml, "[") || is_at(toml, "{"))
        return read_nested(toml, is_told);
    if (!read_any_string(toml, true, &is_string))
        return false;
    if (!is_string)
        return read_word(toml, is_told);
    tell(toml, TOML_STRING, is_told);
    return true;
}

/*
 * ---- lines ----
 */

/* Behind the bracket. What is in an array of tables has a path that nobody asks for. */
static bool read_header(struct toml *toml) {
    bool is_array = skip(toml, "[");
    snprintf(toml->path, sizeof toml->path, "%s", is_array ? "[]" : "");
    if (!read_key(toml))
        return false;
    return skip(toml, is_array ? "]]" : "]") || wrong(toml, "the name of a table ends with \"]\"");
}

static bool read_statement(struct toml *toml) {
    if (skip(toml, "["))
        return read_header(toml);
    size_t path_len = strlen(toml->path);
    bool is_fine = read_pair(toml, true);
    toml->path[path_len] = '\0';
    return is_fine;
}

static bool read_line_end(struct toml *toml) {
    skip_blanks(toml);
    skip_comment(toml);
    return !left(toml) || skip_line_end(toml) || wrong(toml, "the line does not end here");
}

bool toml_read(struct mux_span bytes, void (*tell_of)(void *user, const struct toml_value *value),
               void *user, struct toml_error *error) {
    const char *begin = (const char *)bytes.data;
    struct toml toml = {.at = begin,
                        .end = begin + bytes.len,
                        .line = 1,
                        .tell = tell_of,
                        .user = user,
                        .error = error};
    toml.text = malloc(bytes.len + 1);
    bool is_fine = toml.text || wrong(&toml, "out of memory");
    while (is_fine && (skip_space(&toml), left(&toml)))
        is_fine = read_statement(&toml) && read_line_end(&toml);
    free(toml.text);
    return is_fine;
}
