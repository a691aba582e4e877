/*
 * What tools/farm/runner makes of a folder and a command: JSON, for test_runner.py.
 *
 * usage: runner_probe DIRECTORY NAME|- IDS|- [COMMAND...]
 *
 * IDS is a file with a line for each id of a job. The runners are those of $MUX_RUNNERS.
 */
#include "tools/base/json.h"
#include "tools/farm/runner.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

static char room[8u << 20];

static void put_text(struct json *json, const char *key, const char *text) {
    if (text)
        json_put_member_text(json, key, text);
}

static void put_list(struct json *json, const char *key, const struct strings *list) {
    json_put_key(json, key);
    json_put_open(json, '[');
    for (const char *const *at = strings_list(list); *at; at++)
        json_put_text(json, mux_span_text(*at));
    json_put_close(json, ']');
}

/* The arguments; or the sentence under KEY_error. */
static void put_command(struct json *json, const char *key, bool is_fine, struct strings *arguments,
                        const char *why) {
    char name[64];
    snprintf(name, sizeof name, "%s_error", key);
    if (is_fine)
        put_list(json, key, arguments);
    else
        json_put_member_text(json, name, why);
    assert(is_fine || *why);
    strings_free(arguments);
}

static void put_groups(struct json *json, const struct runner *runner, const struct strings *ids) {
    json_put_key(json, "groups");
    json_put_open(json, '[');
    for (const char *const *id = strings_list(ids); *id; id++) {
        struct mux_span group;
        assert(grouping_of(&runner->grouping, mux_span_text(*id), &group) != PATTERN_FAILED);
        json_put_text(json, group);
    }
    json_put_close(json, ']');
}

static void put_fields(struct json *json, const struct runner *runner) {
    json_put_member_text(json, "name", runner->name);
    json_put_member_text(json, "path", runner->path);
    json_put_member_number(json, "lists", runner->lists);
    json_put_member_number(json, "ids", runner->ids);
    json_put_member_number(json, "grouping", runner->grouping.by);
    put_list(json, "arguments", &runner->arguments);
    put_list(json, "filter_tags", &runner->filter_tags);
    put_list(json, "default_ids", &runner->default_ids);
    put_text(json, "concurrency", runner->concurrency);
    put_text(json, "instance_provision", runner->instance_provision);
    put_text(json, "instance_execute", runner->instance_execute);
    put_text(json, "instance_dispose", runner->instance_dispose);
}

static void put_runner(struct json *json, const struct runner *runner, const struct strings *ids) {
    char why[RUNNER_WHY_BYTES] = "";
    struct strings arguments;
    enum runner_ids how;
    put_fields(json, runner);
    put_command(json, "list", runner_list_command(runner, &arguments, why), &arguments, why);
    put_command(json, "all", runner_job_command(runner, NULL, 0, &arguments, &how, why), &arguments,
                why);
    put_command(json, "job",
                runner_job_command(runner, strings_list(ids), ids->count, &arguments, &how, why),
                &arguments, why);
    json_put_member_number(json, "how", how);
    put_command(json, "serve", runner_serve_command(runner, &arguments, why), &arguments, why);
    put_groups(json, runner, ids);
}

static void read_ids(const char *path, struct strings *ids) {
    char *line = NULL;
    size_t line_bytes = 0;
    FILE *file = fopen(path, "r");
    assert(file);
    for (ssize_t len; (len = getline(&line, &line_bytes, file)) > 0;)
        assert(strings_take(ids, strndup(line, (size_t)len - 1)));
    free(line);
    fclose(file);
}

int main(int argc, char **argv) {
    char why[RUNNER_WHY_BYTES] = "", folder[PATH_MAX];
    struct strings ids = {0};
    struct json json;
    assert(argc >= 4 && runner_folder(folder, sizeof folder));
    if (strcmp(argv[3], "-") != 0)
        read_ids(argv[3], &ids);
    struct runner_request request = {.command = (const char *const *)argv + 4,
                                     .name = strcmp(argv[2], "-") ? argv[2] : NULL,
                                     .directory = argv[1],
                                     .folder = folder};
    struct runner *runner = runner_choose(&request, why);
    json_put_start(&json, room, sizeof room);
    json_put_open(&json, '{');
    if (runner)
        put_runner(&json, runner, &ids);
    else
        json_put_member_text(&json, "error", why);
    json_put_close(&json, '}');
    json_put_line_end(&json);
    assert(!json.full && (runner || *why));
    fwrite(room, 1, json_len(&json), stdout);
    runner_free(runner);
    strings_free(&ids);
    return 0;
}
