/* What the parts of a runner share. */
#ifndef TOOLS_FARM_RUNNER_INTERNAL_H
#define TOOLS_FARM_RUNNER_INTERNAL_H

#include "tools/base/ini.h"
#include "tools/farm/runner.h"

/* Commands of words: runner_words.c. */
struct runner_words {
    char *list, *run, *serve, *debug; /* NULL: there is none */
    char *runners;                    /* $RUNNERS: the folder of the INI file */
    struct strings interpreter, program, after, command;
};

/* Texts for /bin/sh -c with the four variables of testr: runner_shell.c. */
struct runner_shell {
    char *command;   /* with everything behind "--" */
    char *list_text; /* for $LISTOPT */
    char *id_text;   /* for $IDOPTION */
    char *id_list;   /* for $IDLIST in a list; NULL: empty */
    char *serve;     /* the whole text; NULL: there is none */
    char *debug;     /* likewise */
};

struct runner_template {
    bool is_shell;
    struct runner_words words;
    struct runner_shell shell;
};

/* Always false. */
__attribute__((format(printf, 2, 3))) bool runner_wrong(char why[RUNNER_WHY_BYTES],
                                                        const char *format, ...);

/* The same, of the runner's file and a line of it; 0: of all of it. */
__attribute__((format(printf, 4, 5))) bool runner_wrong_at(char why[RUNNER_WHY_BYTES],
                                                           const char *path, unsigned line,
                                                           const char *format, ...);

/*
 * A whole file, with NUL behind it. NULL: it is not there (`why` is empty), or it cannot be read or
 * is too large. The caller frees it.
 */
char *runner_read_file(const char *path, size_t *len, char why[RUNNER_WHY_BYTES]);

/* The words behind #! of a program that is found by $PATH. Empty: it has none. */
bool runner_shebang(const char *program, struct strings *words);

/* An empty runner of that name and file. NULL: out of memory, which `why` says. */
struct runner *runner_new(const char *name, const char *path, char why[RUNNER_WHY_BYTES]);

/*
 * Of INI files: the table; what is said of errors; a value that is kept or not there. runner_keep()
 * gives false when it is out of memory.
 */
struct ini *runner_ini(const char *path, char why[RUNNER_WHY_BYTES]);
bool runner_keep(char **to, const char *value, char why[RUNNER_WHY_BYTES]);

/* tools/runners/NAME.ini and its like: runner_ini.c. */

/*
 * Do the words stand in the command? Then *begin and *end are where. `program`: they are one word,
 * which is a program's name.
 */
struct runner_match {
    size_t begin, end;
    bool is_program;
};

/* -1: the command has none of the words of the runner's file. */
bool runner_ini_matches(const struct ini *ini, const char *const *command,
                        struct runner_match *match);

/* The runner of this table for the command, which may be empty. NULL: why. */
struct runner *runner_from_ini(const char *name, const char *path, const struct ini *ini,
                               const char *const *command, char why[RUNNER_WHY_BYTES]);

/* .stestr.conf, .testr.conf and pyproject.toml: runner_testr.c. `runners`: the adaptors' folder. */
struct runner *runner_from_stestr(const char *path, const char *runners,
                                  char why[RUNNER_WHY_BYTES]);
struct runner *runner_from_testr(const char *path, const char *const *arguments,
                                 char why[RUNNER_WHY_BYTES]);
struct runner *runner_from_pyproject(const char *path, const char *runners,
                                     char why[RUNNER_WHY_BYTES]);

/* Splits a command of words. Is every variable known, and each id there once? runner->ids says how.
 */
bool runner_words_check(const char *text, bool for_job, struct runner *runner,
                        char why[RUNNER_WHY_BYTES]);

bool runner_words_command(const struct runner *runner, const char *text, struct strings *arguments,
                          char why[RUNNER_WHY_BYTES]);

/* Do the texts have the variable? */
bool runner_shell_uses(const struct runner_shell *shell, const char *variable);

bool runner_shell_list(const struct runner_shell *shell, struct strings *arguments,
                       char why[RUNNER_WHY_BYTES]);
bool runner_shell_job(const struct runner_shell *shell, const char *const *ids, size_t id_count,
                      struct strings *arguments, char why[RUNNER_WHY_BYTES]);
bool runner_shell_text(const char *text, struct strings *arguments, char why[RUNNER_WHY_BYTES]);

#endif
