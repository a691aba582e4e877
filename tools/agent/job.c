#include "tools/agent/job.h"
#include "tools/agent/hang.h"
#include "tools/agent/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDLIST "$IDLIST"

/*
 * ---- single values ----
 */

/* A name that is there and fits; its bytes are copied. */
static bool take_name(const json_t *tree, const char *key, bool is_needed, char *name, char *why) {
    const json_t *value = json_object_get(tree, key);
    if (!value && !is_needed)
        return true;
    size_t len = json_string_length(value);
    if (!json_is_string(value) || (is_needed && len == 0) || len >= ANSWER_NAME_BYTES)
        return read_wrong(why, "\"%s\": expected a string of %d to %d bytes", key, is_needed,
                          ANSWER_NAME_BYTES - 1);
    memcpy(name, json_string_value(value), len + 1);
    return true;
}

static bool take_text(const json_t *tree, const char *key, const char **text, char *why) {
    const json_t *value = json_object_get(tree, key);
    if (!value)
        return true;
    *text = json_string_value(value);
    return (*text && **text) || read_wrong(why, "\"%s\": expected a string that is not empty", key);
}

static bool take_bool(const json_t *tree, const char *key, bool *out, char *why) {
    const json_t *value = json_object_get(tree, key);
    *out = json_is_true(value);
    return !value || json_is_boolean(value) ||
           read_wrong(why, "\"%s\": expected true or false", key);
}

/*
 * ---- lists ----
 */

/* NULL at the end. False: out of memory, or something else than strings. */
static bool take_strings(const json_t *list, const char *key, const char ***out, size_t *count,
                         char *why) {
    if (!json_is_array(list))
        return read_wrong(why, "\"%s\": expected a list of strings", key);
    *count = json_array_size(list);
    *out = calloc(*count + 1, sizeof **out);
    if (!*out)
        return read_wrong(why, "\"%s\": out of memory", key);
    for (size_t i = 0; i < *count; i++) {
        (*out)[i] = json_string_value(json_array_get(list, i));
        if (!(*out)[i])
            return read_wrong(why, "\"%s\": entry %zu is no string", key, i);
    }
    return true;
}

static bool take_command(struct job *job, char *why) {
    size_t count;
    if (!take_strings(json_object_get(job->tree, "command"), "command", &job->command, &count, why))
        return false;
    return (count > 0 && *job->command[0]) ||
           read_wrong(why, "\"command\": expected at least the name of a program");
}

static bool take_variable(struct job_variable *variable, const char *name, const json_t *value,
                          char *why) {
    if (!*name || strchr(name, '='))
        return read_wrong(why, "\"environment\": a name is empty or has a =");
    if (!json_is_string(value) && !json_is_null(value))
        return read_wrong(why, "\"environment\": %.64s is neither a string nor null", name);
    *variable = (struct job_variable){.name = name, .value = json_string_value(value)};
    return true;
}

static bool take_environment(struct job *job, char *why) {
    json_t *object = json_object_get(job->tree, "environment"), *value;
    const char *name;
    if (!object)
        return true;
    if (!json_is_object(object))
        return read_wrong(why, "\"environment\": expected an object");
    job->environment = calloc(json_object_size(object) + 1, sizeof *job->environment);
    if (!job->environment)
        return read_wrong(why, "\"environment\": out of memory");
    json_object_foreach(object, name, value) {
        if (!take_variable(&job->environment[job->environment_count++], name, value, why))
            return false;
    }
    return true;
}

/*
 * ---- ids ----
 */

static bool take_ids_as(struct job *job, char *why) {
    static const char *const names[] = {
        [JOB_IDS_FILE] = "file", [JOB_IDS_LIST] = "list", [JOB_IDS_STDIN] = "stdin"};
    const char *name = "file";
    if (!take_text(job->tree, "ids_as", &name, why))
        return false;
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) {
            job->ids_as = (enum job_ids_as)i;
            return true;
        }
    return read_wrong(why, "\"ids_as\": expected file, list or stdin");
}

/* One that is no line, or not used, would let other tests run than are wanted. */
static bool check_lines(const struct job *job, char *why) {
    for (size_t i = 0; i < job->id_count; i++)
        if (!*job->ids[i] || strpbrk(job->ids[i], "\r\n"))
            return read_wrong(why,
                              "\"ids\": entry %zu is empty or has a line's end: only \"ids_as\": "
                              "\"list\" can carry it",
                              i);
    return true;
}

static bool check_list(const struct job *job, char *why) {
    for (const char *const *at = job->command; *at; at++)
        if (strcmp(*at, IDLIST) == 0)
            return true;
    return read_wrong(why, "\"ids_as\" is \"list\", and no argument is " IDLIST);
}

static bool take_ids(struct job *job, char *why) {
    const json_t *list = json_object_get(job->tree, "ids");
    job->has_ids = list != NULL;
    if (!take_ids_as(job, why))
        return false;
    if (!list)
        return true;
    if (!take_strings(list, "ids", &job->ids, &job->id_count, why))
        return false;
    return job->ids_as == JOB_IDS_LIST ? check_list(job, why) : check_lines(job, why);
}

/*
 * ---- limits ----
 */

static bool take_time(const json_t *limits, const char *key, uint64_t *out_ms, char *why) {
    const json_t *value = json_object_get(limits, key);
    double time_s = json_number_value(value);
    *out_ms = JOB_NO_LIMIT;
    if (!value)
        return true;
    if (!json_is_number(value) || !(time_s >= 0 && time_s <= JOB_TIME_MOST_S))
        return read_wrong(why, "\"%s\": expected 0 to %d", key, JOB_TIME_MOST_S);
    *out_ms = (uint64_t)(time_s * 1000 + 0.5);
    return true;
}

static bool take_bytes(const json_t *limits, const char *key, uint64_t *out_bytes, char *why) {
    const json_t *value = json_object_get(limits, key);
    *out_bytes = value ? (uint64_t)json_integer_value(value) : JOB_NO_LIMIT;
    return !value || (json_is_integer(value) && *out_bytes <= JOB_BYTES_MOST) ||
           read_wrong(why, "\"%s\": expected a number of bytes", key);
}

static bool take_on_hang(const json_t *limits, const char **text, char *why) {
    const char *command;
    int signal;
    if (!take_text(limits, "on_hang", text, why))
        return false;
    return !*text || hang_parse(*text, &signal, &command) ||
           read_wrong(why, "\"on_hang\": " HANG_EXPECTED);
}

static bool take_limits(struct job *job, char *why) {
    const json_t *limits = json_object_get(job->tree, "limits");
    if (limits && !json_is_object(limits))
        return read_wrong(why, "\"limits\": expected an object");
    return take_time(limits, "timeout_s", &job->limits.timeout_ms, why) &&
           take_time(limits, "idle_timeout_s", &job->limits.idle_timeout_ms, why) &&
           take_time(limits, "test_timeout_s", &job->limits.test_timeout_ms, why) &&
           take_time(limits, "grace_s", &job->limits.grace_ms, why) &&
           take_bytes(limits, "max_output_bytes", &job->limits.max_output_bytes, why) &&
           take_bytes(limits, "max_job_output_bytes", &job->limits.max_job_output_bytes, why) &&
           take_on_hang(limits, &job->limits.on_hang, why);
}

/*
 * ---- all of it ----
 */

static bool take_list(const struct job *job, const char *key, const char ***out, char *why) {
    const json_t *list = json_object_get(job->tree, key);
    size_t count;
    return !list || take_strings(list, key, out, &count, why);
}

static bool check_tags(const struct job *job, struct output_config *config, char *why) {
    for (const char **tag = job->tags; tag && *tag; tag++)
        if (!output_config_tag(config, *tag))
            return read_wrong(why, "\"tags\": entry %zu: " OUTPUT_TAG_EXPECTED,
                              (size_t)(tag - job->tags));
    return true;
}

static bool check_masks(const struct job *job, struct output_config *config, char *why) {
    char fault[MASK_WHY_BYTES];
    for (const char **mask = job->masks; mask && *mask; mask++)
        if (!mask_add(&config->mask, *mask, fault))
            return read_wrong(why, "\"masks\": entry %zu: %s", (size_t)(mask - job->masks), fault);
    return true;
}

/* As mux exec will: one that it refused would end without a word of its own. */
static bool check_output(const struct job *job, char *why) {
    if (!job->tags && !job->masks)
        return true;
    struct output_config *config = calloc(1, sizeof *config);
    bool is_fine = config ? check_tags(job, config, why) && check_masks(job, config, why)
                          : read_wrong(why, "out of memory");
    free(config);
    return is_fine;
}

/* A terminal is stdin itself. */
static bool take_pty(struct job *job, char *why) {
    if (!take_bool(job->tree, "pty", &job->pty, why))
        return false;
    return !job->pty || !job->has_ids || job->ids_as != JOB_IDS_STDIN ||
           read_wrong(why, "\"pty\" and \"ids_as\": \"stdin\" exclude each other");
}

static bool take_all(struct job *job, char *why) {
    return take_command(job, why) && take_environment(job, why) && take_ids(job, why) &&
           take_text(job->tree, "directory", &job->directory, why) &&
           take_text(job->tree, "as_test", &job->as_test, why) &&
           take_bool(job->tree, "allow_empty", &job->allow_empty, why) && take_pty(job, why) &&
           take_list(job, "tags", &job->tags, why) && take_list(job, "masks", &job->masks, why) &&
           check_output(job, why) && take_limits(job, why);
}

bool job_parse(struct mux_span text, struct job *job, char *why) {
    char ignored[READ_WHY_BYTES];
    *job = (struct job){0};
    bool is_read = read_message(text, &job->tree, why);
    char *name_why = is_read ? why : ignored;
    bool is_named = take_name(job->tree, "run", false, job->run, name_why);
    is_named = take_name(job->tree, "job", true, job->name, name_why) && is_named;
    if (is_read && is_named && take_all(job, why))
        return true;
    job_free(job);
    return false;
}

void job_free(struct job *job) {
    free(job->command);
    free(job->environment);
    free(job->ids);
    free(job->tags);
    free(job->masks);
    json_decref(job->tree);
    job->command = job->ids = job->tags = job->masks = NULL;
    job->environment = NULL;
    job->tree = NULL;
}
