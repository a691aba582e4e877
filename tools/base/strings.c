#include "tools/base/strings.h"

#include <stdlib.h>
#include <string.h>

static bool grow(struct strings *list) {
    size_t capacity = list->capacity ? 2 * list->capacity : 16;
    char **all = realloc(list->all, capacity * sizeof *all);
    if (!all)
        return false;
    list->all = all;
    list->capacity = capacity;
    return true;
}

bool strings_take(struct strings *list, char *string) {
    bool has_room = list->count + 1 < list->capacity || grow(list);
    if (!string || !has_room) {
        free(string);
        return false;
    }
    list->all[list->count++] = string;
    list->all[list->count] = NULL;
    return true;
}

bool strings_add(struct strings *list, const char *text) {
    return strings_take(list, strdup(text));
}

bool strings_add_all(struct strings *list, const char *const *texts) {
    for (; *texts; texts++)
        if (!strings_add(list, *texts))
            return false;
    return true;
}

const char *const *strings_list(const struct strings *list) {
    static const char *const none[] = {NULL};
    return list->all ? (const char *const *)list->all : none;
}

void strings_free(struct strings *list) {
    for (size_t i = 0; i < list->count; i++)
        free(list->all[i]);
    free(list->all);
    *list = (struct strings){0};
}
