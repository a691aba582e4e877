#include "tools/mux/run_again.h"

#include "tools/base/text.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The last command, if it ran here and has words. */
static bool recall(struct run_again *again, const struct run_options *options) {
    char folder[STORE_PATH_BYTES], here[PATH_MAX];
    struct store_command *last = &again->last;
    store_place_folder(&options->place, folder, sizeof folder);
    if (!getcwd(here, sizeof here) || !store_command_read(folder, last))
        return false;
    if (strcmp(last->directory, here) == 0 && (last->words.count || last->runner))
        return true;
    store_command_free(last);
    return false;
}

static bool take_last(struct run_again *again, struct run_options *options) {
    char words[512];
    size_t len = 0;
    if (options->command[0] || options->runner || !recall(again, options))
        return false;
    options->command = (char *const *)strings_list(&again->last.words);
    options->runner = again->last.runner;
    *words = '\0';
    for (char *const *word = options->command; *word && len < sizeof words; word++)
        len += (size_t)snprintf(words + len, sizeof words - len, " %s", *word);
    text_complain("mux run: the command of the last run:%s%s%s",
                  options->runner ? " --runner " : "", options->runner ? options->runner : "",
                  words);
    return true;
}

static struct runner *choose(const struct run_options *options, bool *is_unsaid,
                             char why[RUNNER_WHY_BYTES]) {
    char folder[PATH_MAX];
    const struct runner_request request = {
        .command = (const char *const *)options->command,
        .name = options->runner,
        .directory = ".",
        .folder = folder,
        .is_unsaid = is_unsaid,
    };
    snprintf(why, RUNNER_WHY_BYTES, "the path to the runners is too long");
    return runner_folder(folder, sizeof folder) ? runner_choose(&request, why) : NULL;
}

struct runner *run_again_choose(struct run_again *again, struct run_options *options) {
    char why[RUNNER_WHY_BYTES];
    bool is_unsaid = false;
    if (options->only_failing || options->isolate || options->replay)
        take_last(again, options);
    struct runner *runner = choose(options, &is_unsaid, why);
    if (!runner && is_unsaid && take_last(again, options))
        runner = choose(options, &is_unsaid, why);
    if (!runner)
        text_complain("mux run: %s", why);
    return runner;
}

void run_again_keep(const struct run_options *options, const char *folder) {
    char here[PATH_MAX], why[STORE_WHY_BYTES];
    struct store_command command = {
        .directory = here,
        .runner = (char *)options->runner,
        .words = {.all = (char **)options->command},
    };
    while (options->command[command.words.count])
        command.words.count++;
    if (getcwd(here, sizeof here) && !store_command_write(folder, &command, why))
        text_complain("mux run: the store: %s: mux run --failing needs the command again", why);
}

void run_again_free(struct run_again *again) {
    store_command_free(&again->last);
}
