/* testr's commands: texts for the shell, in which four variables are replaced in one pass. */
#include "tools/farm/runner_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* The variable that `at` begins with. NULL: none. */
static const struct runner_variable *variable_at(const char *at,
                                                 const struct runner_variable *variables) {
    while (variables->name && strncmp(variables->name, at, strlen(variables->name)) != 0)
        variables++;
    return variables->name ? variables : NULL;
}

/* What a value has of variables stays. */
char *runner_replace(const char *text, const struct runner_variable *variables) {
    char *out = NULL;
    size_t out_bytes;
    FILE *stream = open_memstream(&out, &out_bytes);
    if (!stream)
        return NULL;
    while (*text) {
        const struct runner_variable *variable = variable_at(text, variables);
        if (variable)
            fputs(variable->value ? variable->value : "", stream);
        else
            fputc(*text, stream);
        text += variable ? strlen(variable->name) : 1;
    }
    bool wrote = !ferror(stream);
    if (fclose(stream) == 0 && wrote)
        return out;
    free(out);
    return NULL;
}

bool runner_shell_text(const char *text, struct strings *arguments, char why[RUNNER_WHY_BYTES]) {
    const char *const words[] = {"/bin/sh", "-c", text, NULL};
    return strings_add_all(arguments, words) || runner_wrong(why, "out of memory");
}

/* What stands for a variable: NULL is nothing. */
struct values {
    const char *id_option, *id_file, *id_list, *list_option;
};

static char *replaced(const char *text, const struct values *values) {
    const struct runner_variable variables[] = {{"$IDOPTION", values->id_option},
                                                {"$IDFILE", values->id_file},
                                                {"$IDLIST", values->id_list},
                                                {"$LISTOPT", values->list_option},
                                                {NULL, NULL}};
    return runner_replace(text, variables);
}

static bool add_replaced(const char *text, const struct values *values, struct strings *arguments,
                         char why[RUNNER_WHY_BYTES]) {
    char *out = replaced(text, values);
    bool is_fine =
        out ? runner_shell_text(out, arguments, why) : runner_wrong(why, "out of memory");
    free(out);
    return is_fine;
}

bool runner_shell_list(const struct runner_shell *shell, struct strings *arguments,
                       char why[RUNNER_WHY_BYTES]) {
    struct values values = {.id_list = shell->id_list, .list_option = shell->list_text};
    return add_replaced(shell->command, &values, arguments, why);
}

/* $IDLIST goes through the shell as it is: what that takes apart would be another test. */
static bool is_safe(const char *id) {
    return *id && *id != '#' && *id != '~' && !strpbrk(id, " \t\r\n;&|<>()$`\\\"'*?");
}

/* The ids with a blank between them. NULL: why. */
static char *joined(const char *const *ids, size_t id_count, char why[RUNNER_WHY_BYTES]) {
    size_t bytes = 1;
    for (size_t i = 0; i < id_count; i++) {
        bytes += strlen(ids[i]) + 1;
        if (!is_safe(ids[i])) {
            runner_wrong(
                why,
                "the shell would take the test id \"%s\" apart: test_id_option has to give "
                "the ids by $IDFILE instead of $IDLIST",
                ids[i]);
            return NULL;
        }
    }
    if (bytes > RUNNER_IDS_WRITTEN_MOST_BYTES) {
        runner_wrong(why,
                     "the %zu test ids of a job are too long for one command ($IDLIST, %zu bytes): "
                     "give them by $IDFILE",
                     id_count, bytes);
        return NULL;
    }
    char *text = malloc(bytes), *at = text;
    if (!text)
        runner_wrong(why, "out of memory");
    for (size_t i = 0; i < id_count && text; i++) {
        at = stpcpy(at, ids[i]);
        *at++ = ' ';
    }
    if (text)
        *(at > text ? at - 1 : at) = '\0';
    return text;
}

bool runner_shell_uses(const struct runner_shell *shell, const char *variable) {
    bool uses_option = strstr(shell->command, "$IDOPTION") && shell->id_text;
    return strstr(shell->command, variable) || (uses_option && strstr(shell->id_text, variable));
}

static bool add_job(const struct runner_shell *shell, const char *id_list,
                    struct strings *arguments, char why[RUNNER_WHY_BYTES]) {
    struct values values = {.id_file = "$IDFILE", .id_list = id_list};
    char *option = shell->id_text ? replaced(shell->id_text, &values) : strdup("");
    values.id_option = option;
    bool is_fine = option ? add_replaced(shell->command, &values, arguments, why)
                          : runner_wrong(why, "out of memory");
    free(option);
    return is_fine;
}

bool runner_shell_job(const struct runner_shell *shell, const char *const *ids, size_t id_count,
                      struct strings *arguments, char why[RUNNER_WHY_BYTES]) {
    if (!ids)
        return add_replaced(shell->command, &(struct values){0}, arguments, why);
    if (!runner_shell_uses(shell, "$IDLIST"))
        return add_job(shell, NULL, arguments, why);
    char *list = joined(ids, id_count, why);
    bool is_fine = list && add_job(shell, list, arguments, why);
    free(list);
    return is_fine;
}

bool runner_on_instance(const struct runner *runner, const char *instance, enum runner_ids how,
                        struct strings *arguments, char why[RUNNER_WHY_BYTES]) {
    if (!runner->instance_execute)
        return true;
    const struct runner_variable variables[] = {
        {"$INSTANCE_ID", instance},
        {"$FILES", how == RUNNER_IDS_FILE ? "$IDFILE" : NULL},
        {"$COMMAND", arguments->all[arguments->count - 1]},
        {NULL, NULL}};
    char *text = runner_replace(runner->instance_execute, variables);
    strings_free(arguments);
    *arguments = (struct strings){0};
    bool is_fine =
        text ? runner_shell_text(text, arguments, why) : runner_wrong(why, "out of memory");
    free(text);
    return is_fine;
}
