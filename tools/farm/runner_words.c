/*
 * The commands of a runner's INI file: words, without a shell. Blanks and line ends separate words;
 * what stands in '...' or "..." belongs to one word, blanks included; nothing else is special but
 * variables.
 */
#include "tools/farm/runner_internal.h"

#include <stdio.h>
#include <stdlib.h>

#define BLANKS " \t\r\n\v\f"
#define CAPITALS "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"

/* What a variable stands for. */
enum variable_kind {
    VARIABLE_WORDS,   /* for words: it is a word by itself */
    VARIABLE_IDS,     /* for ids as arguments: the same, and stays */
    VARIABLE_ID_FILE, /* for a path that is not known yet: it stays */
    VARIABLE_FOLDER,  /* for the folder of the file */
};

struct variable {
    const char *name;
    enum variable_kind kind;
    size_t words; /* VARIABLE_WORDS: which of them: offset in struct runner_words */
};

static const struct variable variables[] = {
    {"INTERPRETER", VARIABLE_WORDS, offsetof(struct runner_words, interpreter)},
    {"PROGRAM", VARIABLE_WORDS, offsetof(struct runner_words, program)},
    {"AFTER", VARIABLE_WORDS, offsetof(struct runner_words, after)},
    {"COMMAND", VARIABLE_WORDS, offsetof(struct runner_words, command)},
    {"IDLIST", VARIABLE_IDS, 0},
    {"IDFILE", VARIABLE_ID_FILE, 0},
    {"RUNNERS", VARIABLE_FOLDER, 0},
};
#define VARIABLE_NAMES "$INTERPRETER, $PROGRAM, $AFTER, $COMMAND, $IDLIST, $IDFILE, $RUNNERS"

/*
 * The variable at a dollar sign, and its length with that. NULL: it is a dollar sign of its own
 * (*len is 1), or the name is not known (*len is more).
 */
static const struct variable *variable_at(const char *at, size_t *len) {
    *len = 1 + strspn(at + 1, CAPITALS);
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        if (strlen(variables[i].name) == *len - 1 &&
            strncmp(variables[i].name, at + 1, *len - 1) == 0)
            return &variables[i];
    return NULL;
}

/*
 * ---- words ----
 */

/* The next word, without its quotes. False, why empty: there is none. The caller frees it. */
static bool next_word(const char **text, char **word, char why[RUNNER_WHY_BYTES]) {
    const char *at = *text + strspn(*text, BLANKS);
    char *out;
    *why = '\0';
    *word = out = *at ? malloc(strlen(at) + 1) : NULL;
    if (!*at)
        return false;
    if (!out)
        return runner_wrong(why, "out of memory");
    for (char quote = '\0'; *at && (quote || !strchr(BLANKS, *at)); at++) {
        if (quote ? *at == quote : *at == '"' || *at == '\'')
            quote = quote ? '\0' : *at;
        else
            *out++ = *at;
        if (quote && !at[1]) {
            free(*word);
            return runner_wrong(why, "a quote (%c) has no end", quote);
        }
    }
    *out = '\0';
    *text = at;
    return true;
}

/*
 * ---- what a file says ----
 */

/* What was seen of ids in a command. */
struct uses {
    bool file, list;
};

static bool check_variable(const char *word, const struct variable *variable, size_t len,
                           struct uses *uses, char why[RUNNER_WHY_BYTES]) {
    if (variable->kind <= VARIABLE_IDS && strlen(word) != len)
        return runner_wrong(why,
                            "$%s stands for words, so it is a word by itself, and not in \"%s\"",
                            variable->name, word);
    uses->list |= variable->kind == VARIABLE_IDS;
    uses->file |= variable->kind == VARIABLE_ID_FILE;
    return true;
}

static bool check_word(const char *word, struct uses *uses, char why[RUNNER_WHY_BYTES]) {
    size_t len;
    for (const char *at = word; (at = strchr(at, '$')) != NULL; at += len) {
        const struct variable *variable = variable_at(at, &len);
        if (variable ? !check_variable(word, variable, len, uses, why) : len > 1)
            return variable
                       ? false
                       : runner_wrong(why, "\"%.*s\" is none of " VARIABLE_NAMES, (int)len, at);
    }
    return true;
}

static bool check_words(const char *text, struct uses *uses, char why[RUNNER_WHY_BYTES]) {
    char *word;
    size_t count = 0;
    while (next_word(&text, &word, why)) {
        bool is_fine = check_word(word, uses, why);
        free(word);
        if (!is_fine)
            return false;
        count++;
    }
    if (*why)
        return false;
    return count > 0 || runner_wrong(why, "there is no command");
}

bool runner_words_check(const char *text, bool for_job, struct runner *runner,
                        char why[RUNNER_WHY_BYTES]) {
    struct uses uses = {0};
    if (!check_words(text, &uses, why))
        return false;
    if (!for_job)
        return (!uses.file && !uses.list) ||
               runner_wrong(why, "it has no ids: only \"run\" has $IDFILE and its like");
    if (uses.file && uses.list)
        return runner_wrong(why, "it is to have one of $IDFILE and $IDLIST");
    runner->ids = uses.file ? RUNNER_IDS_FILE : uses.list ? RUNNER_IDS_LIST : RUNNER_IDS_STDIN;
    return true;
}

/*
 * ---- commands ----
 */

/* Where words go that are made of a file's. */
struct making {
    const struct runner_words *words;
    struct strings *arguments;
};

static bool is_kept(const struct variable *variable) {
    return !variable || variable->kind == VARIABLE_ID_FILE || variable->kind == VARIABLE_IDS;
}

/* NULL: out of memory. */
static char *replaced(const struct making *making, const char *word) {
    char *text = NULL;
    size_t text_bytes;
    FILE *out = open_memstream(&text, &text_bytes);
    if (!out)
        return NULL;
    for (size_t len; *word; word += len) {
        const struct variable *variable = *word == '$' ? variable_at(word, &len) : NULL;
        if (*word != '$')
            len = strcspn(word, "$");
        if (is_kept(variable))
            fwrite(word, 1, len, out);
        else
            fputs(making->words->runners, out);
    }
    bool wrote = !ferror(out);
    if (fclose(out) == 0 && wrote)
        return text;
    free(text);
    return NULL;
}

static bool add_word(const struct making *making, const char *word) {
    size_t len = 0;
    const struct variable *variable = *word == '$' ? variable_at(word, &len) : NULL;
    if (!variable || variable->kind != VARIABLE_WORDS)
        return strings_take(making->arguments, replaced(making, word));
    const struct strings *words =
        (const struct strings *)((const char *)making->words + variable->words);
    return strings_add_all(making->arguments, strings_list(words));
}

bool runner_words_command(const struct runner *runner, const char *text, struct strings *arguments,
                          char why[RUNNER_WHY_BYTES]) {
    struct making making = {&runner->template->words, arguments};
    const char *command = text;
    char *word;
    while (next_word(&text, &word, why)) {
        bool is_fine = add_word(&making, word);
        free(word);
        if (!is_fine)
            return runner_wrong(why, "out of memory");
    }
    if (!*why && arguments->count == 0)
        return runner_wrong(why,
                            "%s: the command \"%.100s\" is empty: what it stands for is not in the "
                            "command behind --",
                            runner->path, command);
    return !*why;
}
