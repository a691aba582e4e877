/*
 * A runner: how the tests of a suite are listed, how some of them are run, and what comes out. It
 * is read from an INI file (tools/runners/, docs/runners.md), or from .stestr.conf, .testr.conf, or
 * pyproject.toml's [tool.stestr]. `mux run` makes its jobs of it.
 *
 * runner_choose() reads files, and blocks for that. The rest is pure. One thread.
 */
#ifndef TOOLS_FARM_RUNNER_H
#define TOOLS_FARM_RUNNER_H

#include "tools/base/strings.h"
#include "tools/farm/grouping.h"

/* Names of all runners are in some messages. */
#define RUNNER_WHY_BYTES 1024

/* Of ids that are written into one argument: the kernel takes less than 128 KiB of each. */
#define RUNNER_IDS_WRITTEN_MOST_BYTES ((size_t)100 * 1024)

/* What the output of the list command is. */
enum runner_lists {
    RUNNER_LISTS_NOTHING,   /* there is no command: somebody else has to say which tests run */
    RUNNER_LISTS_SUBUNIT,   /* subunit v2: ids are those of `exists` events */
    RUNNER_LISTS_LINES,     /* an id a line */
    RUNNER_LISTS_ARGUMENTS, /* there is no command: the words of the user's are the ids */
};

/* How a command gets the ids of its job. The first three are those of an agent's job. */
enum runner_ids {
    RUNNER_IDS_FILE,    /* in a file, a line each: $IDFILE in the arguments stands for its path */
    RUNNER_IDS_LIST,    /* as arguments: the argument $IDLIST stands for all of them */
    RUNNER_IDS_STDIN,   /* on stdin, a line each */
    RUNNER_IDS_WRITTEN, /* they are in the arguments already */
    RUNNER_IDS_ALL,     /* there are none: everything runs */
    /*
     * The command stays alive. On stdin comes a line {"batch": 3, "ids": ["a", "b"]} for each job;
     * behind its results the command writes an event without test id, with file `runner.batch` and
     * content 3. The end of stdin ends it.
     */
    RUNNER_IDS_BATCHES,
};

struct runner_template;

/* All of it is the runner's. */
struct runner {
    char *name; /* "pytest", "stestr", "testr" */
    char *path; /* the file that it was read from, for messages */
    enum runner_lists lists;
    enum runner_ids ids;      /* of a job with a process of its own */
    bool can_serve;           /* there is a command that stays alive: RUNNER_IDS_BATCHES */
    bool can_debug;           /* there is one whose failing tests wait in a debugger */
    struct grouping grouping; /* what the file says of it */
    struct strings arguments; /* RUNNER_LISTS_ARGUMENTS: the ids */

    /* Of .testr.conf alone. Texts are for /bin/sh -c; NULL: not there. */
    struct strings filter_tags; /* passed tests with such a tag are not shown and not counted */
    struct strings default_ids; /* the ids of a job for which none were chosen */
    char *concurrency;          /* prints how many slots: runner_concurrency() */
    char *instance_provision, *instance_execute, *instance_dispose;

    struct runner_template *template; /* the commands */
};

struct runner_request {
    const char *const *command; /* the user's, behind "--"; NULL at the end, and may be empty */
    const char *name;           /* --runner: a name, or the path of an INI file; NULL: not given */
    const char *directory;      /* where .stestr.conf and its like are looked for */
    const char *folder;         /* of the runners' INI files: runner_folder() */
    bool *is_unsaid;            /* set if neither command, name nor a file says it; NULL is fine */
};

/*
 * The runner that was named; else the one whose words the command has; without a command that of
 * .stestr.conf, .testr.conf, or pyproject.toml. NULL: a sentence that says what to do.
 */
struct runner *runner_choose(const struct runner_request *request, char why[RUNNER_WHY_BYTES]);

/* NULL is fine. */
void runner_free(struct runner *runner);

/*
 * Where the INI files are: $MUX_RUNNERS; else beside a program that was built and not installed;
 * else where they were installed. False: the path is too long.
 */
bool runner_folder(char *path, size_t path_bytes);

/*
 * A command's arguments, to be executed without another shell. strings_free() frees them, after an
 * error, too. False: a sentence why.
 */
bool runner_list_command(const struct runner *runner, struct strings *arguments,
                         char why[RUNNER_WHY_BYTES]);

/*
 * For a job with these ids, whose process is its own. `ids` NULL: all there are. *how: as
 * runner->ids, or RUNNER_IDS_ALL. Refused, for example, when the ids are too long to be written
 * into an argument.
 */
bool runner_job_command(const struct runner *runner, const char *const *ids, size_t id_count,
                        struct strings *arguments, enum runner_ids *how,
                        char why[RUNNER_WHY_BYTES]);

/* The command that stays alive, if the runner can_serve. */
bool runner_serve_command(const struct runner *runner, struct strings *arguments,
                          char why[RUNNER_WHY_BYTES]);

/* The command that debugs, on a terminal, with RUNNER_IDS_FILE, if the runner can_debug. */
bool runner_debug_command(const struct runner *runner, struct strings *arguments,
                          char why[RUNNER_WHY_BYTES]);

/*
 * Of .testr.conf's hooks: the text with what stands for its variables, in one pass and without
 * quotes, as testr has it. NULL: out of memory. The caller frees it.
 */
struct runner_variable {
    const char *name;  /* with its dollar sign; NULL behind the last */
    const char *value; /* NULL is nothing */
};
char *runner_replace(const char *text, const struct runner_variable *variables);

/*
 * The command as instance_execute wants it on this instance; `how`: of the job. It stays as it is
 * if the runner has no such hook.
 */
bool runner_on_instance(const struct runner *runner, const char *instance, enum runner_ids how,
                        struct strings *arguments, char why[RUNNER_WHY_BYTES]);

/* What the concurrency command printed: 0 stands for "not said". False: why. */
bool runner_concurrency(struct mux_span output, unsigned *slots, char why[RUNNER_WHY_BYTES]);

#endif
