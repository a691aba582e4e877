/*
 * The files of testr and stestr, as those understand them: .testr.conf, .stestr.conf, and
 * pyproject.toml's [tool.stestr]. Options that are not known are skipped, as there.
 */
#include "tools/farm/runner_internal.h"

#include "tools/base/white.h"
#include "tools/farm/toml.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* What stestr takes for `parallel_class`: everything up to the last dot. */
#define BY_CLASS_REGEX "([^\\.]*\\.)*"

/* A file that becomes a runner. */
struct reading {
    struct runner *runner;
    const struct ini *ini;
    char *why;
};

/*
 * The option with what %(name)s and %% stand for in it. *value is NULL without it. The caller frees
 * it.
 */
static bool value_of(const struct reading *reading, const char *name, char **value,
                     unsigned *line) {
    const struct ini_entry *entry = ini_find(reading->ini, INI_DEFAULT, name);
    struct ini_error error;
    *value = NULL;
    *line = entry ? entry->line : 0;
    if (!entry || (*value = ini_expand(reading->ini, INI_DEFAULT, entry, &error)) != NULL)
        return true;
    return runner_wrong_at(reading->why, reading->runner->path, error.line, "%s", error.why);
}

static bool keep(const struct reading *reading, const char *name, char **value) {
    unsigned line;
    return value_of(reading, name, value, &line);
}

static bool group_by_regex(struct runner *runner, const char *regex, unsigned line, char *why) {
    char reason[PATTERN_WHY_BYTES];
    return grouping_by_regex(&runner->grouping, regex, reason) ||
           runner_wrong_at(why, runner->path, line, "\"group_regex\" is \"%s\": %s", regex, reason);
}

static bool keep_group(const struct reading *reading) {
    char *regex;
    unsigned line;
    if (!value_of(reading, "group_regex", &regex, &line))
        return false;
    bool is_fine = !regex || !*regex || group_by_regex(reading->runner, regex, line, reading->why);
    free(regex);
    return is_fine;
}

/*
 * ---- .testr.conf ----
 */

/* The words of a value, by blanks. */
static bool keep_words(const struct reading *reading, const char *name, struct strings *words) {
    char *value;
    if (!keep(reading, name, &value))
        return false;
    bool is_fine = true;
    struct mux_span rest = mux_span_text(value ? value : "");
    while (is_fine && (rest = white_trim(rest)).len) {
        size_t len = white_word(rest);
        is_fine = strings_take(words, strndup((const char *)rest.data, len));
        rest = mux_span(rest.data + len, rest.len - len);
    }
    free(value);
    return is_fine || runner_wrong(reading->why, "out of memory");
}

/* The user's arguments, each behind a blank. Takes the text. NULL: out of memory. */
static char *with_arguments(char *text, const char *const *arguments) {
    for (; text && *arguments; arguments++) {
        char *longer = NULL;
        if (asprintf(&longer, "%s %s", text, *arguments) < 0)
            longer = NULL;
        free(text);
        text = longer;
    }
    return text;
}

/* Is the option there that the command has a variable for? */
static bool check_option(const struct reading *reading, const char *variable, const char *name,
                         const char *value) {
    return value || !strstr(reading->runner->template->shell.command, variable) ||
           runner_wrong_at(reading->why, reading->runner->path, 0,
                           "test_command has %s, and there is no %s to put in its place", variable,
                           name);
}

static bool keep_command(const struct reading *reading, const char *const *arguments) {
    struct runner_shell *shell = &reading->runner->template->shell;
    if (!keep(reading, "test_command", &shell->command))
        return false;
    if (!shell->command || !*shell->command)
        return runner_wrong_at(reading->why, reading->runner->path, 0,
                               "[DEFAULT] has no test_command, the command that runs the tests");
    if (!keep(reading, "test_id_option", &shell->id_text) ||
        !keep(reading, "test_list_option", &shell->list_text) ||
        !keep(reading, "test_id_list_default", &shell->id_list) ||
        !check_option(reading, "$IDOPTION", "test_id_option", shell->id_text) ||
        !check_option(reading, "$LISTOPT", "test_list_option", shell->list_text))
        return false;
    reading->runner->lists =
        strstr(shell->command, "$LISTOPT") ? RUNNER_LISTS_SUBUNIT : RUNNER_LISTS_NOTHING;
    shell->command = with_arguments(shell->command, arguments);
    return shell->command || runner_wrong(reading->why, "out of memory");
}

/* How the command gets ids. Without any way it runs all that there is. */
static void find_ids(struct runner *runner) {
    const struct runner_shell *shell = &runner->template->shell;
    runner->ids = runner_shell_uses(shell, "$IDFILE")   ? RUNNER_IDS_FILE
                  : runner_shell_uses(shell, "$IDLIST") ? RUNNER_IDS_WRITTEN
                                                        : RUNNER_IDS_ALL;
    if (runner->ids == RUNNER_IDS_ALL)
        runner->lists = RUNNER_LISTS_NOTHING;
}

static bool keep_hooks(const struct reading *reading) {
    struct runner *runner = reading->runner;
    return keep(reading, "test_run_concurrency", &runner->concurrency) &&
           keep(reading, "instance_provision", &runner->instance_provision) &&
           keep(reading, "instance_execute", &runner->instance_execute) &&
           keep(reading, "instance_dispose", &runner->instance_dispose);
}

struct runner *runner_from_testr(const char *path, const char *const *arguments,
                                 char why[RUNNER_WHY_BYTES]) {
    struct reading reading = {runner_new("testr", path, why), runner_ini(path, why), why};
    bool is_fine = reading.runner && reading.ini;
    if (is_fine) {
        reading.runner->template->is_shell = true;
        is_fine = keep_command(&reading, arguments) && keep_group(&reading) &&
                  keep_words(&reading, "filter_tags", &reading.runner->filter_tags) &&
                  keep_words(&reading, "test_id_list_default", &reading.runner->default_ids) &&
                  keep_hooks(&reading);
    }
    if (is_fine)
        find_ids(reading.runner);
    ini_free((struct ini *)reading.ini);
    if (is_fine)
        return reading.runner;
    runner_free(reading.runner);
    return NULL;
}

/*
 * ---- stestr ----
 */

/* The commands of stestr are always these. */
static bool set_stestr(struct runner *runner, const char *runners, const char *test_path,
                       const char *top_dir, char *why) {
    struct runner_shell *shell = &runner->template->shell;
    if (!test_path || !*test_path)
        return runner_wrong_at(why, runner->path, 0,
                               "there is no test_path, the folder in which the tests are");
    top_dir = top_dir && *top_dir ? top_dir : "./";
    runner->template->is_shell = true;
    runner->lists = RUNNER_LISTS_SUBUNIT;
    runner->ids = RUNNER_IDS_FILE;
    runner->can_serve = runner->can_debug = true;
    if (asprintf(&shell->command,
                 "${PYTHON:-python3} -m stestr.subunit_runner.run discover -t \"%s\" \"%s\" "
                 "$LISTOPT $IDOPTION",
                 top_dir, test_path) < 0 ||
        asprintf(&shell->serve,
                 "exec ${PYTHON:-python3} \"%s/mux_unittest.py\" --serve -- discover -t \"%s\" "
                 "\"%s\"",
                 runners, top_dir, test_path) < 0 ||
        asprintf(&shell->debug,
                 "exec ${PYTHON:-python3} \"%s/mux_unittest.py\" --pdb $IDFILE -- discover -t "
                 "\"%s\" \"%s\"",
                 runners, top_dir, test_path) < 0)
        return runner_wrong(why, "out of memory");
    return runner_keep(&shell->list_text, "--list", why) &&
           runner_keep(&shell->id_text, "--load-list $IDFILE", why);
}

/* As configparser's getboolean(). -1: it is none. */
static int truth_of(const char *value) {
    static const char *const words[] = {"1", "yes", "true", "on", "0", "no", "false", "off"};
    for (int i = 0; i < 8; i++)
        if (strcasecmp(value, words[i]) == 0)
            return i < 4;
    return -1;
}

static bool keep_class_or_group(const struct reading *reading) {
    char *value;
    unsigned line;
    if (!value_of(reading, "parallel_class", &value, &line))
        return false;
    int truth = value ? truth_of(value) : 0;
    free(value);
    if (truth < 0)
        return runner_wrong_at(reading->why, reading->runner->path, line,
                               "\"parallel_class\" is true or false");
    return truth ? group_by_regex(reading->runner, BY_CLASS_REGEX, line, reading->why)
                 : keep_group(reading);
}

struct runner *runner_from_stestr(const char *path, const char *runners,
                                  char why[RUNNER_WHY_BYTES]) {
    struct reading reading = {runner_new("stestr", path, why), runner_ini(path, why), why};
    char *test_path = NULL, *top_dir = NULL;
    bool is_fine = reading.runner && reading.ini && keep(&reading, "test_path", &test_path) &&
                   keep(&reading, "top_dir", &top_dir) &&
                   set_stestr(reading.runner, runners, test_path, top_dir, why) &&
                   keep_class_or_group(&reading);
    free(test_path);
    free(top_dir);
    ini_free((struct ini *)reading.ini);
    if (is_fine)
        return reading.runner;
    runner_free(reading.runner);
    return NULL;
}

/*
 * ---- pyproject.toml ----
 */

#define TABLE "tool.stestr."

/* What [tool.stestr] says. */
struct table {
    bool is_there;
    char *test_path, *top_dir, *group_regex;
    unsigned group_line;
    bool by_class;
    const char *expected; /* of a value of the wrong kind; NULL: all are fine */
    unsigned wrong_line;
};

static void expect(struct table *table, const struct toml_value *value, const char *expected) {
    table->expected = expected;
    table->wrong_line = value->line;
}

static void take_string(struct table *table, const struct toml_value *value, char **to) {
    free(*to);
    *to = value->kind == TOML_STRING ? strdup(value->text) : NULL;
    if (value->kind != TOML_STRING)
        expect(table, value, "a string");
}

static void take_value(void *user, const struct toml_value *value) {
    struct table *table = user;
    if (strncmp(value->path, TABLE, sizeof TABLE - 1) != 0)
        return;
    const char *name = value->path + sizeof TABLE - 1;
    table->is_there = true;
    if (strcmp(name, "test_path") == 0)
        take_string(table, value, &table->test_path);
    else if (strcmp(name, "top_dir") == 0)
        take_string(table, value, &table->top_dir);
    else if (strcmp(name, "group_regex") == 0) {
        take_string(table, value, &table->group_regex);
        table->group_line = value->line;
    } else if (strcmp(name, "parallel_class") == 0) {
        table->by_class = value->kind == TOML_TRUE;
        if (value->kind != TOML_TRUE && value->kind != TOML_FALSE)
            expect(table, value, "true or false");
    }
}

static bool read_table(const char *path, struct table *table, char *why) {
    struct toml_error error;
    size_t len;
    char *text = runner_read_file(path, &len, why);
    if (!text)
        return false;
    bool is_fine = toml_read(mux_span(text, len), take_value, table, &error);
    free(text);
    if (!is_fine)
        return runner_wrong_at(why, path, error.line, "%s", error.why);
    return !table->expected ||
           runner_wrong_at(why, path, table->wrong_line, "this is to be %s", table->expected);
}

static bool set_table(struct runner *runner, const struct table *table, const char *runners,
                      char *why) {
    const char *regex = table->by_class ? BY_CLASS_REGEX : table->group_regex;
    return set_stestr(runner, runners, table->test_path, table->top_dir, why) &&
           (!regex || !*regex || group_by_regex(runner, regex, table->group_line, why));
}

struct runner *runner_from_pyproject(const char *path, const char *runners,
                                     char why[RUNNER_WHY_BYTES]) {
    struct table table = {0};
    struct runner *runner = NULL;
    if (read_table(path, &table, why) && table.is_there) {
        runner = runner_new("stestr", path, why);
        if (runner && !set_table(runner, &table, runners, why)) {
            runner_free(runner);
            runner = NULL;
        }
    }
    free(table.test_path);
    free(table.top_dir);
    free(table.group_regex);
    return runner;
}
