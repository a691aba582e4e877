/*
 * Runners of INI files: any bytes are refused with a sentence, or give a runner whose every command
 * is made, or is refused with a sentence, and has a program in it and no name of a variable that
 * the runner itself stands for.
 *
 * Input: two bytes that say for which command of a user; the file.
 */
#include "tests/fuzz/fuzz.h"

#include "tools/farm/runner_internal.h"

#include <stdlib.h>

/* None of these programs is there: what is behind their #! is asked of no file. */
static const char *const none[] = {NULL};
static const char *const program[] = {"/no/such/prove", "-j", "a b", "$IDFILE", NULL};
static const char *const module[] = {"env", "A=b", "/no/such/python", "-m", "x", "tests", NULL};
static const char *const *const commands[] = {none, program, module};

static const char *const ids[] = {"a", "with space", "with\nline", "$IDLIST", NULL};

static void check(bool is_made, struct strings *arguments, const char *why) {
    assert(is_made || *why);
    const char *const *all = strings_list(arguments);
    assert(!is_made || (all && all[0]));
    strings_free(arguments);
}

static void check_commands(const struct runner *runner) {
    char why[RUNNER_WHY_BYTES] = "";
    struct strings arguments = {0};
    enum runner_ids how;
    check(runner_list_command(runner, &arguments, why), &arguments, why);
    for (size_t count = 0; count <= 4; count++) {
        arguments = (struct strings){0};
        bool is_made = runner_job_command(runner, count ? ids : NULL, count, &arguments, &how, why);
        assert(!is_made || how <= RUNNER_IDS_ALL);
        check(is_made, &arguments, why);
    }
    arguments = (struct strings){0};
    if (runner->can_serve)
        check(runner_serve_command(runner, &arguments, why), &arguments, why);
    arguments = (struct strings){0};
    if (runner->can_debug)
        check(runner_debug_command(runner, &arguments, why), &arguments, why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct script script = {mux_span(data, size)};
    struct ini_error error = {0};
    char why[RUNNER_WHY_BYTES] = "";
    struct runner_match match;
    const char *const *command =
        commands[script_number(&script, sizeof commands / sizeof *commands - 1)];
    struct ini *ini = ini_read(script.rest, &error);
    if (!ini)
        return 0; /* fuzz_ini.c is about these */
    size_t words = 0;
    while (command[words])
        words++;
    if (runner_ini_matches(ini, command, &match))
        assert(match.begin < match.end && match.end <= words);
    struct runner *runner = runner_from_ini("it", "/no/such/it.ini", ini, command, why);
    assert(runner || *why);
    ini_free(ini); /* the runner keeps nothing of it */
    if (runner)
        check_commands(runner);
    runner_free(runner);
    return 0;
}
