#include "tools/base/option.h"

#include "tools/base/usage.h"

#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

/* getopt's values of the rows: above all characters, which it returns for errors. */
#define FIRST_ID 256

/* Where the explanations of --help begin and end. */
#define HELP_COLUMN 27
#define HELP_WIDTH 96

static int argument_of(const struct option_row *row) {
    if (!row->argument)
        return no_argument;
    return *row->argument == '[' ? optional_argument : required_argument;
}

static void make_list(const struct option_table *table, struct option list[OPTION_ROWS_MAX + 1]) {
    assert(table->count <= OPTION_ROWS_MAX);
    for (size_t i = 0; i < table->count; i++) {
        const struct option_row *row = &table->rows[i];
        assert(!row->set != !row->end && (!row->end || !row->argument));
        list[i] = (struct option){row->name, argument_of(row), NULL, FIRST_ID + (int)i};
    }
    list[table->count] = (struct option){0};
}

/* As getopt() has them; ':' makes it tell a missing value from an unknown option. */
#define LETTERS_BYTES (2 * OPTION_ROWS_MAX + 2)
static void make_letters(const struct option_table *table, char letters[LETTERS_BYTES]) {
    size_t len = 0;
    letters[len++] = ':';
    for (size_t i = 0; i < table->count; i++) {
        if (!table->rows[i].letter)
            continue;
        letters[len++] = table->rows[i].letter;
        if (table->rows[i].argument)
            letters[len++] = ':';
    }
    letters[len] = '\0';
}

/* `id`: getopt's value. */
static const struct option_row *row_of(const struct option_table *table, int id) {
    size_t i = 0;
    if (id >= FIRST_ID)
        return &table->rows[id - FIRST_ID];
    while (table->rows[i].letter != id)
        i++;
    return &table->rows[i];
}

static void set_presets(const struct option_table *table, void *target) {
    for (size_t i = 0; i < table->count; i++) {
        const struct option_row *row = &table->rows[i];
        bool fine = !row->preset || row->set(row, target, row->preset);
        assert(fine);
        (void)fine;
    }
}

int option_parse(const struct option_table *table, int argc, char **argv, void *target) {
    struct option list[OPTION_ROWS_MAX + 1];
    char letters[LETTERS_BYTES];
    int id;
    make_list(table, list);
    make_letters(table, letters);
    set_presets(table, target);
    while ((id = usage_next_option(table->program, argc, argv, letters, list)) != -1) {
        if (id == '?')
            return OPTION_EXIT_USAGE;
        const struct option_row *row = row_of(table, id);
        if (row->end)
            return row->end(table);
        if (!row->set(row, target, optarg))
            return OPTION_EXIT_USAGE;
    }
    return OPTION_GO_ON;
}

/* Prints words, broken into lines, the first of which goes on at `column`. */
static void print_words(const char *text, size_t *column) {
    while (*text) {
        size_t len = strcspn(text, " ");
        if (*column > HELP_COLUMN && *column + 1 + len > HELP_WIDTH) {
            printf("\n%*s", HELP_COLUMN, "");
            *column = HELP_COLUMN;
        }
        *column += (size_t)printf("%s%.*s", *column > HELP_COLUMN ? " " : "", (int)len, text);
        text += len + (text[len] == ' ');
    }
}

static void print_row(const struct option_row *row) {
    char preset[64] = "", letter[8] = "";
    bool has_value = row->argument && *row->argument != '[';
    if (row->letter)
        snprintf(letter, sizeof letter, "-%c, ", row->letter);
    int len = printf("  %s--%s%s%s", letter, row->name, has_value ? " " : "",
                     row->argument ? row->argument : "");
    if (len < HELP_COLUMN)
        printf("%*s", HELP_COLUMN - len, "");
    else
        printf("\n%*s", HELP_COLUMN, "");
    size_t column = HELP_COLUMN;
    if (row->preset)
        snprintf(preset, sizeof preset, "(default %s)", row->preset);
    print_words(row->help, &column);
    print_words(preset, &column);
    putchar('\n');
}

int option_help(const struct option_table *table) {
    fputs(table->intro, stdout);
    for (size_t i = 0; i < table->count; i++) {
        if (i == 0 || table->rows[i].group)
            printf("\n%s:\n", table->rows[i].group ? table->rows[i].group : "Options");
        print_row(&table->rows[i]);
    }
    printf("\n%s", table->outro);
    return 0;
}

int option_version(const struct option_table *table) {
    printf("%s %s\n", table->program, table->version);
    return 0;
}
