/* Runners of INI files: tools/runners/, and those that users write. docs/runners.md has the keys.
 */
#include "tools/farm/runner_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define SECTION "runner"
#define OTHER_SECTION "other command"
#define BLANKS " \t\r\n\v\f"

static const char *const section_keys[] = {
    "words", "command", "list", "lists", "run", "serve", "debug", "group", "group_regex", NULL,
};
static const char *const other_section_keys[] = {"list", "run", "serve", NULL};

/* A table that becomes a runner. */
struct reading {
    struct runner *runner;
    const struct ini *ini;
    const char *section; /* where the commands are */
    char *why;
};

/*
 * ---- which commands it is for ----
 */

/* A line of `words`: one command's beginning. */
struct line {
    const char *at;
    size_t len;
};

static bool next_word(struct line *line, struct mux_span *word) {
    while (line->len && strchr(BLANKS, *line->at)) {
        line->at++;
        line->len--;
    }
    *word = mux_span(line->at, 0);
    while (line->len && !strchr(BLANKS, *line->at)) {
        line->at++;
        line->len--;
        word->len++;
    }
    return word->len > 0;
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* What comes in front of a program: env, and its variables. */
static size_t program_at(const char *const *command) {
    size_t at = 0;
    if (command[0] && strcmp(base_name(command[0]), "env") == 0)
        at = 1;
    while (command[at] && (isalpha((unsigned char)*command[at]) || *command[at] == '_') &&
           strchr(command[at], '='))
        at++;
    return at;
}

/* Do the line's words stand at `at`? Returns how many they are. */
static size_t words_at(struct line line, const char *const *command, size_t at, bool is_program) {
    struct mux_span word;
    size_t count = 0;
    while (next_word(&line, &word)) {
        const char *theirs = command[at + count];
        if (!theirs ||
            !mux_span_equal(word,
                            mux_span_text(is_program && count == 0 ? base_name(theirs) : theirs)))
            return 0;
        count++;
    }
    return count;
}

/* A program is the command's first word; options may stand anywhere. */
static bool line_matches(struct line line, const char *const *command, struct runner_match *match) {
    struct mux_span first;
    struct line copy = line;
    if (!next_word(&copy, &first))
        return false;
    bool is_program = first.data[0] != '-';
    size_t at = is_program ? program_at(command) : 0, count = 0;
    for (; command[at] && !(count = words_at(line, command, at, is_program)) && !is_program; at++)
        ;
    *match = (struct runner_match){at, at + count, is_program};
    return count > 0;
}

static bool is_better(const struct runner_match *match, const struct runner_match *than) {
    return match->begin != than->begin ? match->begin < than->begin : match->end > than->end;
}

bool runner_ini_matches(const struct ini *ini, const char *const *command,
                        struct runner_match *match) {
    const struct ini_entry *words = ini_find(ini, SECTION, "words");
    bool found = false;
    if (!words)
        return false;
    for (const char *at = words->value; *at;) {
        struct line line = {at, strcspn(at, "\n")};
        struct runner_match here;
        at += line.len + (at[line.len] == '\n');
        if (line_matches(line, command, &here) && (!found || is_better(&here, match))) {
            *match = here;
            found = true;
        }
    }
    return found;
}

/*
 * ---- its keys ----
 */

static bool wrong(const struct reading *reading, const struct ini_entry *entry,
                  const char *reason) {
    return runner_wrong_at(reading->why, reading->runner->path, entry->line, "\"%s\": %s",
                           entry->name, reason);
}

static bool is_among(const char *word, const char *const *words) {
    while (*words && strcmp(*words, word) != 0)
        words++;
    return *words;
}

static bool check_key(const struct reading *reading, const struct ini_entry *entry) {
    bool is_other = strcmp(entry->section, OTHER_SECTION) == 0;
    if (!is_other && strcmp(entry->section, SECTION) != 0)
        return runner_wrong_at(
            reading->why, reading->runner->path, entry->line,
            "the sections are [" SECTION "] and [" OTHER_SECTION "], and not [%s]", entry->section);
    if (!entry->name || is_among(entry->name, is_other ? other_section_keys : section_keys))
        return true;
    return wrong(reading, entry,
                 is_other ? "[" OTHER_SECTION "] has only list, run and serve"
                          : "the keys are words, command, list, lists, run, serve, debug, "
                            "group and group_regex");
}

static bool check_keys(const struct reading *reading) {
    for (size_t i = 0; i < ini_count(reading->ini); i++)
        if (!check_key(reading, ini_at(reading->ini, i)))
            return false;
    return true;
}

static const struct ini_entry *find(const struct reading *reading, const char *name) {
    return ini_find(reading->ini, SECTION, name);
}

/* A word of these, whose number is set; not there: nothing is changed. */
static bool choose(const struct reading *reading, const char *name, const char *const *words,
                   const char *choices, unsigned *number) {
    const struct ini_entry *entry = find(reading, name);
    if (!entry)
        return true;
    for (unsigned i = 0; words[i]; i++)
        if (strcmp(entry->value, words[i]) == 0) {
            *number = i;
            return true;
        }
    return runner_wrong_at(reading->why, reading->runner->path, entry->line,
                           "\"%s\" is %s, not \"%s\"", name, choices, entry->value);
}

static bool read_lists(struct reading *reading) {
    static const char *const words[] = {"nothing", "subunit", "lines", "arguments", NULL};
    unsigned number = ini_find(reading->ini, reading->section, "list") ? RUNNER_LISTS_SUBUNIT
                                                                       : RUNNER_LISTS_NOTHING;
    if (!choose(reading, "lists", words, "subunit, lines, arguments or nothing", &number))
        return false;
    reading->runner->lists = (enum runner_lists)number;
    return true;
}

static bool read_group(struct reading *reading) {
    const struct ini_entry *by = find(reading, "group"), *regex = find(reading, "group_regex");
    struct grouping *grouping = &reading->runner->grouping;
    char reason[PATTERN_WHY_BYTES];
    if (by && regex)
        return wrong(reading, regex, "there is a \"group\", too; one of them is enough");
    if (by && !grouping_parse(by->value, &grouping->by))
        return wrong(reading, by, "it is class, file, scope or none");
    return !regex || grouping_by_regex(grouping, regex->value, reason) ||
           wrong(reading, regex, reason);
}

/* A command's text. It is checked, and kept. */
static bool read_command(const struct reading *reading, const char *name, bool for_job,
                         char **text) {
    const struct ini_entry *entry = ini_find(reading->ini, reading->section, name);
    char reason[RUNNER_WHY_BYTES];
    if (!entry)
        return true;
    if (!runner_words_check(entry->value, for_job, reading->runner, reason))
        return wrong(reading, entry, reason);
    return runner_keep(text, entry->value, reading->why);
}

/* Before `run`, which says how ids come to jobs. */
static bool read_debug(const struct reading *reading) {
    struct runner *runner = reading->runner;
    const struct ini_entry *entry = ini_find(reading->ini, reading->section, "debug");
    if (!read_command(reading, "debug", true, &runner->template->words.debug))
        return false;
    runner->can_debug = entry != NULL;
    return !entry || runner->ids == RUNNER_IDS_FILE ||
           wrong(reading, entry, "it has to get the ids by $IDFILE: its stdin is a terminal");
}

static bool check_commands(const struct reading *reading) {
    const struct runner_words *words = &reading->runner->template->words;
    struct runner *runner = reading->runner;
    bool by_command =
        runner->lists != RUNNER_LISTS_NOTHING && runner->lists != RUNNER_LISTS_ARGUMENTS;
    if (!words->run)
        return runner_wrong_at(reading->why, runner->path, 0,
                               "[%s] has no \"run\": the command that runs some tests",
                               reading->section);
    if (by_command != (words->list != NULL))
        return runner_wrong_at(reading->why, runner->path, 0,
                               "\"lists\" and \"list\" in [%s] do not agree: it says %s",
                               reading->section,
                               by_command ? "what the output is, and there is no command"
                                          : "that there is no command, and there is one");
    if (runner->lists == RUNNER_LISTS_NOTHING && runner->ids == RUNNER_IDS_STDIN)
        runner->ids = RUNNER_IDS_ALL;
    runner->can_serve = words->serve != NULL;
    return true;
}

static bool read_all(struct reading *reading) {
    struct runner_words *words = &reading->runner->template->words;
    return check_keys(reading) && read_lists(reading) && read_group(reading) &&
           read_command(reading, "list", false, &words->list) &&
           read_command(reading, "serve", false, &words->serve) && read_debug(reading) &&
           read_command(reading, "run", true, &words->run) && check_commands(reading);
}

/*
 * ---- the user's command ----
 */

/* The command that the file has for a user who gives none. */
static bool default_command(const struct reading *reading, struct strings *command) {
    const struct ini_entry *entry = find(reading, "command");
    if (!entry)
        return true;
    for (const char *at = entry->value; *(at += strspn(at, BLANKS)); at += strcspn(at, BLANKS))
        if (!strings_take(command, strndup(at, strcspn(at, BLANKS))))
            return runner_wrong(reading->why, "out of memory");
    return true;
}

static bool keep_range(struct strings *to, const struct strings *from, size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++)
        if (!strings_add(to, from->all[i]))
            return false;
    return true;
}

static bool keep_match(struct runner_words *words, const struct runner_match *match) {
    bool is_fine = keep_range(&words->interpreter, &words->command, 0, match->begin) &&
                   keep_range(&words->program, &words->command, 0, match->end) &&
                   keep_range(&words->after, &words->command, match->end, words->command.count);
    return is_fine && (!match->is_program ||
                       runner_shebang(words->command.all[match->begin], &words->interpreter));
}

/* Words are not in the command, and nothing says what to do with another one. */
static bool no_words(const struct reading *reading) {
    const struct ini_entry *words = find(reading, "words");
    char line[128] = "", *out = line;
    for (const char *at = words->value; *at && out < line + sizeof line - 8; at++)
        out = *at == '\n' ? stpcpy(out, "\", \"") : (*out = *at, out + 1);
    *out = '\0';
    return runner_wrong(reading->why,
                        "the runner %s needs a command with one of \"%s\" in it, behind \"--\"",
                        reading->runner->name, line);
}

static bool take_command(struct reading *reading, const char *const *command) {
    struct runner_words *words = &reading->runner->template->words;
    struct runner_match match;
    bool is_fine = *command ? strings_add_all(&words->command, command)
                            : default_command(reading, &words->command);
    if (!is_fine)
        return runner_wrong(reading->why, "out of memory");
    if (!find(reading, "words"))
        return true;
    if (runner_ini_matches(reading->ini, strings_list(&words->command), &match))
        return keep_match(words, &match) || runner_wrong(reading->why, "out of memory");
    reading->section = OTHER_SECTION;
    return (words->command.count && ini_has_section(reading->ini, OTHER_SECTION)) ||
           no_words(reading);
}

/* Where the user has to name tests, or a command. */
static bool check_given(const struct reading *reading) {
    const struct runner *runner = reading->runner;
    const struct strings *command = &runner->template->words.command;
    if (runner->lists == RUNNER_LISTS_ARGUMENTS)
        return strings_add_all(&reading->runner->arguments, strings_list(command)) ||
               runner_wrong(reading->why, "out of memory");
    return true;
}

static bool keep_folder(struct runner *runner, char *why) {
    const char *slash = strrchr(runner->path, '/');
    char *folder = slash ? strndup(runner->path, (size_t)(slash - runner->path)) : strdup(".");
    runner->template->words.runners = folder;
    return folder || runner_wrong(why, "out of memory");
}

struct runner *runner_from_ini(const char *name, const char *path, const struct ini *ini,
                               const char *const *command, char why[RUNNER_WHY_BYTES]) {
    struct reading reading = {runner_new(name, path, why), ini, SECTION, why};
    if (!reading.runner)
        return NULL;
    bool is_fine = ini_has_section(ini, SECTION) ||
                   runner_wrong_at(why, path, 0, "there is no section [" SECTION "]");
    if (is_fine && keep_folder(reading.runner, why) && take_command(&reading, command) &&
        read_all(&reading) && check_given(&reading))
        return reading.runner;
    runner_free(reading.runner);
    return NULL;
}
