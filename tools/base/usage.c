#include "tools/base/usage.h"

#include "tools/base/option.h"
#include "tools/base/text.h"

#include <getopt.h>
#include <stdio.h>

/* Longer words are not compared. */
#define WORD_BYTES 32

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Edit distance with swaps of neighbours (optimal string alignment). */
static size_t slips(const char *a, const char *b) {
    size_t row[3][WORD_BYTES + 1];
    size_t a_len = strlen(a), b_len = strlen(b);
    for (size_t j = 0; j <= b_len; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *now = row[i % 3], *before = row[(i + 2) % 3], *two_before = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            now[j] = least(before[j], now[j - 1]) + 1;
            now[j] = least(now[j], before[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], two_before[j - 2] + 1);
        }
    }
    return row[a_len % 3][b_len];
}

const char *usage_nearest(const char *word, const char *const *names, size_t count) {
    const char *nearest = NULL;
    size_t len = strlen(word);
    size_t fewest = len < 5 ? 1 : 2; /* two slips make any short word of another */
    if (len == 0 || len > WORD_BYTES)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        if (strncmp(word, names[i], len) == 0)
            return names[i];
        size_t count_slips = strlen(names[i]) <= WORD_BYTES ? slips(word, names[i]) : WORD_BYTES;
        if (count_slips < fewest || (count_slips == fewest && !nearest)) {
            nearest = names[i];
            fewest = count_slips;
        }
    }
    return nearest;
}

static void complain_unknown(const char *program, const char *word, const struct option *options) {
    const char *names[OPTION_ROWS_MAX];
    char name[WORD_BYTES + 2];
    size_t count = 0;
    for (; options[count].name && count < OPTION_ROWS_MAX; count++)
        names[count] = options[count].name;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word + 2, "="), word + 2);
    const char *nearest = usage_nearest(name, names, count);
    text_complain("%s: there is no option '%.*s'%s%s%s (%s --help lists them)", program,
                  (int)strcspn(word, "="), word, nearest ? "; did you mean --" : "",
                  nearest ? nearest : "", nearest ? "?" : "", program);
}

/* The option that was given a value and takes none; NULL: the error is another one. */
static const struct option *given_a_value(const char *word, const struct option *options) {
    if (strncmp(word, "--", 2) != 0 || !strchr(word, '='))
        return NULL;
    while (options->name && options->val != optopt)
        options++;
    return options->name ? options : NULL;
}

/* The word that was read as options of one letter. */
static const char *word_of_letters(char **argv) {
    const char *word = argv[optind - 1];
    return word[0] == '-' && word[1] != '-' && strchr(word, optopt) ? word : argv[optind];
}

/* "-listen" for "--listen". */
static void complain_letters(const char *program, const char *word, const struct option *options) {
    size_t len = word ? strcspn(word + 1, "=") : 0;
    for (; options->name && len > 1; options++)
        if (strlen(options->name) == len && strncmp(options->name, word + 1, len) == 0) {
            text_complain("%s: there is no option '%.*s'; did you mean --%s?", program,
                          (int)len + 1, word, options->name);
            return;
        }
    text_complain("%s: there is no option '-%c' (%s --help lists them)", program, optopt, program);
}

static void complain(const char *program, int id, char **argv, const struct option *options) {
    const char *word = argv[optind - 1];
    const struct option *option = optopt ? given_a_value(word, options) : NULL;
    if (id == ':')
        text_complain("%s: option '%s' needs a value (%s --help explains it)", program, word,
                      program);
    else if (option)
        text_complain("%s: option '--%s' takes no value", program, option->name);
    else if (optopt)
        complain_letters(program, word_of_letters(argv), options);
    else
        complain_unknown(program, word, options);
}

int usage_next_option(const char *program, int argc, char **argv, const char *letters,
                      const struct option *options) {
    opterr = 0;
    int id = getopt_long(argc, argv, letters, options, NULL);
    if (id != ':' && id != '?')
        return id;
    complain(program, id, argv, options);
    return '?';
}
