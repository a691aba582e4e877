#include "tools/agent/invocation.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDFILE "$IDFILE"
#define IDLIST "$IDLIST"

/* The agent outlives its node's absences: a keeper that is done waits for it as long as it may. */
#define DRAIN_TIMEOUT "604800"

/*
 * ---- lists ----
 */

static bool grow(struct invocation_list *list) {
    size_t capacity = list->capacity ? 2 * list->capacity : 64;
    char **strings = realloc(list->strings, capacity * sizeof *strings);
    if (!strings)
        return false;
    list->strings = strings;
    list->capacity = capacity;
    return true;
}

/* Takes the string; NULL: there was no memory for it. */
static bool append(struct invocation_list *list, char *string) {
    bool has_room = list->count + 1 < list->capacity || grow(list);
    if (!string || !has_room) {
        free(string);
        return false;
    }
    list->strings[list->count++] = string;
    list->strings[list->count] = NULL;
    return true;
}

static bool add(struct invocation_list *list, const char *string) {
    return append(list, strdup(string));
}

static void free_list(struct invocation_list *list) {
    for (size_t i = 0; i < list->count; i++)
        free(list->strings[i]);
    free(list->strings);
    *list = (struct invocation_list){0};
}

/*
 * ---- arguments ----
 */

static bool add_option(struct invocation_list *list, const char *name, const char *value) {
    return !value || (add(list, name) && add(list, value));
}

/* Bytes, or milliseconds: `unit` "" or "ms". */
static bool add_number(struct invocation_list *list, const char *name, uint64_t limit,
                       const char *unit) {
    char text[32];
    if (limit == JOB_NO_LIMIT)
        return true;
    snprintf(text, sizeof text, "%" PRIu64 "%s", limit, unit);
    return add_option(list, name, text);
}

static bool add_limits(struct invocation_list *list, const struct job_limits *limits) {
    return add_number(list, "--timeout", limits->timeout_ms, "ms") &&
           add_number(list, "--idle-timeout", limits->idle_timeout_ms, "ms") &&
           add_number(list, "--test-timeout", limits->test_timeout_ms, "ms") &&
           add_number(list, "--grace", limits->grace_ms, "ms") &&
           add_number(list, "--max-output", limits->max_output_bytes, "") &&
           add_number(list, "--max-job-output", limits->max_job_output_bytes, "") &&
           add_option(list, "--on-hang", limits->on_hang);
}

static bool add_each(struct invocation_list *list, const char *name, const char *const *values) {
    for (; values && *values; values++)
        if (!add_option(list, name, *values))
            return false;
    return true;
}

static bool add_options(struct invocation_list *list, const struct job *job, const char *ids_path) {
    bool by_stdin = job->has_ids && job->ids_as == JOB_IDS_STDIN;
    return add(list, "exec") && add_option(list, "--to", "-") &&
           add_option(list, "--drain-timeout", DRAIN_TIMEOUT) &&
           add_option(list, "--chdir", job->directory) &&
           add_option(list, "--as-test", job->as_test) &&
           add_option(list, "--stdin", by_stdin ? ids_path : NULL) &&
           (!job->allow_empty || add(list, "--allow-empty")) && (!job->pty || add(list, "--pty")) &&
           add_each(list, "--tag", job->tags) && add_each(list, "--mask", job->masks) &&
           add_limits(list, &job->limits) && add(list, "--");
}

static size_t count_of(const char *text, const char *word) {
    size_t count = 0;
    while ((text = strstr(text, word))) {
        count++;
        text += strlen(word);
    }
    return count;
}

/* The argument with every $IDFILE replaced. NULL: out of memory. */
static char *with_path(const char *argument, const char *path) {
    size_t bytes = strlen(argument) + count_of(argument, IDFILE) * strlen(path) + 1;
    char *out = malloc(bytes), *at = out;
    const char *next;
    if (!out)
        return NULL;
    while ((next = strstr(argument, IDFILE))) {
        at = mempcpy(at, argument, (size_t)(next - argument));
        at = stpcpy(at, path);
        argument = next + strlen(IDFILE);
    }
    strcpy(at, argument);
    return out;
}

static bool add_ids(struct invocation_list *list, const struct job *job) {
    for (size_t i = 0; i < job->id_count; i++)
        if (!add(list, job->ids[i]))
            return false;
    return true;
}

static bool add_argument(struct invocation_list *list, const struct job *job, const char *argument,
                         const char *ids_path) {
    if (job->has_ids && job->ids_as == JOB_IDS_LIST && strcmp(argument, IDLIST) == 0)
        return add_ids(list, job);
    bool by_file = job->has_ids && job->ids_as == JOB_IDS_FILE;
    return append(list, by_file ? with_path(argument, ids_path) : strdup(argument));
}

static bool add_command(struct invocation_list *list, const struct job *job, const char *ids_path) {
    for (const char *const *at = job->command; *at; at++)
        if (!add_argument(list, job, *at, ids_path))
            return false;
    return true;
}

/*
 * ---- the environment ----
 */

/* "NAME=VALUE" and "NAME": the same variable? */
static bool is_variable(const char *entry, const char *name) {
    size_t len = strlen(name);
    return strncmp(entry, name, len) == 0 && entry[len] == '=';
}

static bool is_changed(const struct job *job, const char *entry, bool by_file) {
    bool is_ours = by_file && is_variable(entry, "IDFILE");
    for (size_t i = 0; i < job->environment_count && !is_ours; i++)
        is_ours = is_variable(entry, job->environment[i].name);
    return is_ours;
}

static bool add_variable(struct invocation_list *list, const char *name, const char *value) {
    char *entry = NULL;
    if (!value)
        return true;
    return asprintf(&entry, "%s=%s", name, value) >= 0 && append(list, entry);
}

static bool add_environment(struct invocation_list *list, const struct job *job,
                            const char *const *base, const char *ids_path) {
    bool by_file = job->has_ids && job->ids_as == JOB_IDS_FILE, is_fine = true;
    for (; *base && is_fine; base++)
        is_fine = is_changed(job, *base, by_file) || add(list, *base);
    for (size_t i = 0; i < job->environment_count && is_fine; i++)
        is_fine = add_variable(list, job->environment[i].name, job->environment[i].value);
    return is_fine && (!by_file || add_variable(list, "IDFILE", ids_path));
}

bool invocation_make(struct invocation *invocation, const struct job *job, const char *program,
                     const char *const *base, const char *ids_path) {
    *invocation = (struct invocation){0};
    return grow(&invocation->environment) && add(&invocation->arguments, program) &&
           add_options(&invocation->arguments, job, ids_path) &&
           add_command(&invocation->arguments, job, ids_path) &&
           add_environment(&invocation->environment, job, base, ids_path);
}

void invocation_free(struct invocation *invocation) {
    free_list(&invocation->arguments);
    free_list(&invocation->environment);
}
