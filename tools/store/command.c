#include "tools/store/command.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VERSION 1

static bool put_path(const char *folder, const char *suffix, char path[PATH_MAX]) {
    int len = snprintf(path, PATH_MAX, "%s/last.json%s", folder, suffix);
    return len > 0 && len < PATH_MAX;
}

/* NULL: a text is not UTF-8, or out of memory. */
static json_t *object_of(const struct store_command *command) {
    json_t *words = json_array();
    for (size_t i = 0; i < command->words.count; i++)
        if (json_array_append_new(words, json_string(command->words.all[i])) != 0) {
            json_decref(words);
            return NULL;
        }
    return json_pack("{s:i, s:s, s:s?, s:o}", "v", VERSION, "directory", command->directory,
                     "runner", command->runner, "command", words);
}

/* It gets its name when it is whole. */
bool store_command_write(const char *folder, const struct store_command *command,
                         char why[STORE_WHY_BYTES]) {
    char path[PATH_MAX], early[PATH_MAX];
    if (!put_path(folder, "", path) || !put_path(folder, ".new", early))
        return true;
    json_t *object = object_of(command);
    bool is_fine =
        object ? json_dump_file(object, early, JSON_COMPACT) == 0 && rename(early, path) == 0
               : unlink(path) == 0 || errno == ENOENT;
    json_decref(object);
    if (!is_fine)
        snprintf(why, STORE_WHY_BYTES, "cannot write %.256s: %s", path, strerror(errno));
    return is_fine;
}

static char *copy_of(const json_t *text) {
    return json_is_string(text) ? strdup(json_string_value(text)) : NULL;
}

static bool take_words(const json_t *words, struct strings *out) {
    for (size_t i = 0; i < json_array_size(words); i++)
        if (!strings_take(out, copy_of(json_array_get(words, i))))
            return false;
    return json_is_array(words);
}

bool store_command_read(const char *folder, struct store_command *command) {
    char path[PATH_MAX];
    *command = (struct store_command){0};
    json_t *object = put_path(folder, "", path) ? json_load_file(path, 0, NULL) : NULL;
    const json_t *runner = json_object_get(object, "runner");
    command->directory = copy_of(json_object_get(object, "directory"));
    command->runner = copy_of(runner);
    bool is_fine = json_integer_value(json_object_get(object, "v")) == VERSION &&
                   command->directory && (command->runner || !json_is_string(runner)) &&
                   take_words(json_object_get(object, "command"), &command->words);
    json_decref(object);
    if (!is_fine)
        store_command_free(command);
    return is_fine;
}

void store_command_free(struct store_command *command) {
    free(command->directory);
    free(command->runner);
    strings_free(&command->words);
    *command = (struct store_command){0};
}
