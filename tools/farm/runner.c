#include "tools/farm/runner_internal.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* More slots than anybody has. */
#define SLOTS_MOST 1000000

bool runner_wrong(char why[RUNNER_WHY_BYTES], const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, RUNNER_WHY_BYTES, format, arguments);
    va_end(arguments);
    return false;
}

bool runner_wrong_at(char why[RUNNER_WHY_BYTES], const char *path, unsigned line,
                     const char *format, ...) {
    va_list arguments;
    int len = line ? snprintf(why, RUNNER_WHY_BYTES, "%s, line %u: ", path, line)
                   : snprintf(why, RUNNER_WHY_BYTES, "%s: ", path);
    if (len < 0 || len >= RUNNER_WHY_BYTES)
        return false;
    va_start(arguments, format);
    vsnprintf(why + len, RUNNER_WHY_BYTES - (size_t)len, format, arguments);
    va_end(arguments);
    return false;
}

bool runner_keep(char **to, const char *value, char why[RUNNER_WHY_BYTES]) {
    free(*to);
    *to = strdup(value);
    return *to || runner_wrong(why, "out of memory");
}

struct runner *runner_new(const char *name, const char *path, char why[RUNNER_WHY_BYTES]) {
    struct runner *runner = calloc(1, sizeof *runner);
    if (runner)
        runner->template = calloc(1, sizeof *runner->template);
    if (runner && runner->template && runner_keep(&runner->name, name, why) &&
        runner_keep(&runner->path, path, why))
        return runner;
    runner_wrong(why, "out of memory");
    runner_free(runner);
    return NULL;
}

static void free_template(struct runner_template *template) {
    struct runner_words *words = &template->words;
    struct runner_shell *shell = &template->shell;
    char *const texts[] = {words->list,    words->run,       words->serve,   words->runners,
                           shell->command, shell->list_text, shell->id_text, shell->id_list,
                           shell->serve,   words->debug,     shell->debug};
    struct strings *const lists[] = {&words->interpreter, &words->program, &words->after,
                                     &words->command};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        strings_free(lists[i]);
    free(template);
}

void runner_free(struct runner *runner) {
    if (!runner)
        return;
    char *const texts[] = {runner->name,
                           runner->path,
                           runner->concurrency,
                           runner->instance_provision,
                           runner->instance_execute,
                           runner->instance_dispose};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    strings_free(&runner->arguments);
    strings_free(&runner->filter_tags);
    strings_free(&runner->default_ids);
    grouping_free(&runner->grouping);
    if (runner->template)
        free_template(runner->template);
    free(runner);
}

/*
 * ---- commands ----
 */

bool runner_list_command(const struct runner *runner, struct strings *arguments,
                         char why[RUNNER_WHY_BYTES]) {
    const struct runner_template *template = runner->template;
    *arguments = (struct strings){0};
    if (runner->lists == RUNNER_LISTS_NOTHING || runner->lists == RUNNER_LISTS_ARGUMENTS)
        return runner_wrong(why, "the runner %s has no command that lists tests", runner->name);
    return template->is_shell ? runner_shell_list(&template->shell, arguments, why)
                              : runner_words_command(runner, template->words.list, arguments, why);
}

/* The ids of a job for which none were chosen, if the file has them. */
static const char *const *ids_or_default(const struct runner *runner, const char *const *ids,
                                         size_t *id_count) {
    if (ids || runner->default_ids.count == 0)
        return ids;
    *id_count = runner->default_ids.count;
    return strings_list(&runner->default_ids);
}

bool runner_job_command(const struct runner *runner, const char *const *ids, size_t id_count,
                        struct strings *arguments, enum runner_ids *how,
                        char why[RUNNER_WHY_BYTES]) {
    const struct runner_template *template = runner->template;
    *arguments = (struct strings){0};
    ids = ids_or_default(runner, ids, &id_count);
    *how = ids ? runner->ids : RUNNER_IDS_ALL;
    if (template->is_shell)
        return runner_shell_job(&template->shell, ids, id_count, arguments, why);
    if (!ids && runner->ids != RUNNER_IDS_ALL)
        return runner_wrong(why, "the runner %s runs only tests that it is given", runner->name);
    return runner_words_command(runner, template->words.run, arguments, why);
}

bool runner_serve_command(const struct runner *runner, struct strings *arguments,
                          char why[RUNNER_WHY_BYTES]) {
    const struct runner_template *template = runner->template;
    *arguments = (struct strings){0};
    if (!runner->can_serve)
        return runner_wrong(why, "the runner %s has no command that stays alive", runner->name);
    return template->is_shell ? runner_shell_text(template->shell.serve, arguments, why)
                              : runner_words_command(runner, template->words.serve, arguments, why);
}

bool runner_debug_command(const struct runner *runner, struct strings *arguments,
                          char why[RUNNER_WHY_BYTES]) {
    const struct runner_template *template = runner->template;
    *arguments = (struct strings){0};
    if (!runner->can_debug)
        return runner_wrong(why, "the runner %s has no command that debugs", runner->name);
    return template->is_shell ? runner_shell_text(template->shell.debug, arguments, why)
                              : runner_words_command(runner, template->words.debug, arguments, why);
}

bool runner_concurrency(struct mux_span output, unsigned *slots, char why[RUNNER_WHY_BYTES]) {
    char text[32];
    size_t begin = 0, end = output.len;
    while (begin < end && isspace(output.data[begin]))
        begin++;
    while (end > begin && isspace(output.data[end - 1]))
        end--;
    size_t len = end - begin;
    bool is_number = len > 0 && len < sizeof text;
    for (size_t i = begin; i < end && is_number; i++)
        is_number = isdigit(output.data[i]);
    if (is_number) {
        memcpy(text, output.data + begin, len);
        text[len] = '\0';
    }
    unsigned long number = is_number ? strtoul(text, NULL, 10) : 0;
    *slots = (unsigned)number;
    if (is_number && number <= SLOTS_MOST)
        return true;
    return runner_wrong(why,
                        "test_run_concurrency is to print how many slots run tests, a number up to "
                        "%d, and printed \"%.*s\"",
                        SLOTS_MOST, (int)(len < 100 ? len : 100),
                        (const char *)output.data + begin);
}
