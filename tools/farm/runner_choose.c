/* Which runner: files are looked for and read. */
#include "tools/farm/runner_internal.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define INI_SUFFIX ".ini"

/* Nobody writes a longer first line of a script: the kernel reads 256 bytes. */
#define SHEBANG_BYTES 256

/*
 * ---- files ----
 */

static bool cannot_read(char *why, const char *path, const char *reason) {
    return runner_wrong(why, "%s cannot be read: %s", path, reason);
}

/* As far as a byte more than is taken. */
static bool read_all(FILE *file, const char *path, char **text, size_t *len, char *why) {
    *text = malloc(INI_MOST_BYTES + 2);
    if (!*text)
        return runner_wrong(why, "out of memory");
    *len = fread(*text, 1, INI_MOST_BYTES + 1, file);
    (*text)[*len] = '\0';
    if (ferror(file))
        return cannot_read(why, path, strerror(errno));
    return *len <= INI_MOST_BYTES || cannot_read(why, path, "it is too large");
}

char *runner_read_file(const char *path, size_t *len, char why[RUNNER_WHY_BYTES]) {
    char *text = NULL;
    *why = '\0';
    FILE *file = fopen(path, "re");
    if (!file) {
        if (errno != ENOENT && errno != ENOTDIR)
            cannot_read(why, path, strerror(errno));
        return NULL;
    }
    bool is_fine = read_all(file, path, &text, len, why);
    fclose(file);
    if (is_fine)
        return text;
    free(text);
    return NULL;
}

struct ini *runner_ini(const char *path, char why[RUNNER_WHY_BYTES]) {
    struct ini_error error;
    size_t len;
    char *text = runner_read_file(path, &len, why);
    if (!text) {
        if (!*why)
            cannot_read(why, path, "it is not there");
        return NULL;
    }
    struct ini *ini = ini_read(mux_span(text, len), &error);
    free(text);
    if (!ini)
        runner_wrong_at(why, path, error.line, "%s", error.why);
    return ini;
}

/* The path of a file in a folder. NULL: out of memory. */
static char *path_of(const char *folder, const char *name, const char *suffix) {
    char *path;
    return asprintf(&path, "%s/%s%s", folder, name, suffix) < 0 ? NULL : path;
}

/* The program's path, by $PATH if it is a bare name. False: it is not found. */
static bool find_program(const char *program, char path[PATH_MAX]) {
    const char *folders = getenv("PATH");
    if (strchr(program, '/'))
        return snprintf(path, PATH_MAX, "%s", program) < PATH_MAX;
    for (const char *at = folders ? folders : ""; *at;) {
        size_t len = strcspn(at, ":");
        if (snprintf(path, PATH_MAX, "%.*s/%s", (int)len, at, program) < PATH_MAX &&
            access(path, X_OK) == 0)
            return true;
        at += len + (at[len] == ':');
    }
    return false;
}

bool runner_shebang(const char *program, struct strings *words) {
    char path[PATH_MAX], line[SHEBANG_BYTES] = "";
    FILE *file = find_program(program, path) ? fopen(path, "re") : NULL;
    bool is_script = file && fgets(line, sizeof line, file) && strncmp(line, "#!", 2) == 0;
    if (file)
        fclose(file);
    if (!is_script)
        return strings_add(words, "python3");
    char *rest = line + 2;
    for (char *word; (word = strsep(&rest, " \t\r\n")) != NULL;)
        if (*word && !strings_add(words, word))
            return false;
    return true;
}

/*
 * ---- the folder of runners ----
 */

/* Beside the folder of the program that runs, as a build has it. */
static bool built_folder(char *path, size_t path_bytes) {
    char program[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    if (len <= 0)
        return false;
    program[len] = '\0';
    *strrchr(program, '/') = '\0';
    int written = snprintf(path, path_bytes, "%s/../runners/unittest" INI_SUFFIX, program);
    if (written <= 0 || (size_t)written >= path_bytes || access(path, R_OK) != 0)
        return false;
    *strrchr(path, '/') = '\0';
    return true;
}

bool runner_folder(char *path, size_t path_bytes) {
    const char *given = getenv("MUX_RUNNERS");
    if (!(given && *given) && built_folder(path, path_bytes))
        return true;
    int len = snprintf(path, path_bytes, "%s", given && *given ? given : MUX_RUNNERS_DIR);
    return len > 0 && (size_t)len < path_bytes;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of the INI files in the folder, in order. False: why. */
static bool list_names(const char *folder, struct strings *names, char why[RUNNER_WHY_BYTES]) {
    DIR *open = opendir(folder);
    const struct dirent *entry;
    bool is_fine = true;
    if (!open)
        return runner_wrong(why,
                            "the folder of the runners, %s, cannot be read (%s): $MUX_RUNNERS can "
                            "name another one",
                            folder, strerror(errno));
    while (is_fine && (entry = readdir(open)) != NULL) {
        size_t len = strlen(entry->d_name);
        bool is_ini = entry->d_name[0] != '.' && len > sizeof INI_SUFFIX - 1 &&
                      strcmp(entry->d_name + len - (sizeof INI_SUFFIX - 1), INI_SUFFIX) == 0;
        if (is_ini)
            is_fine = strings_take(names, strndup(entry->d_name, len - (sizeof INI_SUFFIX - 1)));
    }
    closedir(open);
    if (names->count)
        qsort(names->all, names->count, sizeof *names->all, by_text);
    if (is_fine && !names->count)
        return runner_wrong(why, "there are no runners in %s: $MUX_RUNNERS can name another folder",
                            folder);
    return is_fine || runner_wrong(why, "out of memory");
}

/* "ctest, exec, pytest": as much as there is room for. */
static void put_joined(const char *const *texts, const char *between, char *out, size_t out_bytes) {
    size_t len = 0;
    *out = '\0';
    for (size_t i = 0; texts[i] && len < out_bytes; i++)
        len += (size_t)snprintf(out + len, out_bytes - len, "%s%s", i ? between : "", texts[i]);
}

static void put_names(const struct strings *names, char *text, size_t text_bytes) {
    put_joined(strings_list(names), ", ", text, text_bytes);
}

/*
 * ---- which one ----
 */

/* A place for messages about choices. */
#define NAMES_BYTES 256
#define COMMAND_BYTES 128

static struct runner *no_such(const struct runner_request *request, const struct strings *names,
                              char *why) {
    char all[NAMES_BYTES];
    put_names(names, all, sizeof all);
    runner_wrong(
        why,
        "there is no runner \"%s\": --runner takes %s, stestr, testr, or the path of an INI "
        "file",
        request->name, all);
    return NULL;
}

static struct runner *not_recognised(const struct runner_request *request,
                                     const struct strings *names, char *why) {
    char all[NAMES_BYTES], command[COMMAND_BYTES];
    put_names(names, all, sizeof all);
    put_joined(request->command, " ", command, sizeof command);
    runner_wrong(why,
                 "nothing tells what kind of tests \"%s\" runs: say --runner with %s, stestr, "
                 "testr, or the path of an INI file",
                 command, all);
    return NULL;
}

static struct runner *no_configuration(const struct runner_request *request,
                                       const struct strings *names, char *why) {
    char all[NAMES_BYTES];
    put_names(names, all, sizeof all);
    if (request->is_unsaid)
        *request->is_unsaid = true;
    runner_wrong(why,
                 "there is no command behind \"--\", and neither .stestr.conf, .testr.conf nor "
                 "[tool.stestr] of pyproject.toml in %s: give a command, such as -- python3 -m "
                 "unittest discover, or --runner with %s",
                 request->directory, all);
    return NULL;
}

static struct runner *from_file(const char *name, const char *path, const char *const *command,
                                char *why) {
    struct ini *ini = runner_ini(path, why);
    struct runner *runner = ini ? runner_from_ini(name, path, ini, command, why) : NULL;
    ini_free(ini);
    return runner;
}

/* The name of a runner whose file the user has given: "x" of "../x.ini". */
static struct runner *from_path(const struct runner_request *request, char *why) {
    const char *slash = strrchr(request->name, '/');
    char *name = strdup(slash ? slash + 1 : request->name);
    char *dot = name ? strrchr(name, '.') : NULL;
    struct runner *runner = NULL;
    if (dot && dot > name)
        *dot = '\0';
    if (name)
        runner = from_file(name, request->name, request->command, why);
    else
        runner_wrong(why, "out of memory");
    free(name);
    return runner;
}

static bool is_path(const char *name) {
    size_t len = strlen(name);
    return strchr(name, '/') || (len > 4 && strcmp(name + len - 4, INI_SUFFIX) == 0);
}

/* Files of other tools, in the order in which they are looked for. */
enum other_file { OTHER_STESTR, OTHER_TESTR, OTHER_PYPROJECT, OTHER_FILES };

static const char *const other_names[OTHER_FILES] = {".stestr.conf", ".testr.conf",
                                                     "pyproject.toml"};

/* NULL: `why` is empty if the file is not there, or does not speak of tests. */
static struct runner *from_other(const struct runner_request *request, enum other_file file,
                                 char *why) {
    char *path = path_of(request->directory, other_names[file], "");
    struct runner *runner = NULL;
    *why = '\0';
    if (!path)
        runner_wrong(why, "out of memory");
    else if (access(path, F_OK) != 0)
        ;
    else if (file == OTHER_STESTR)
        runner = runner_from_stestr(path, request->folder, why);
    else if (file == OTHER_TESTR)
        runner = runner_from_testr(path, request->command, why);
    else
        runner = runner_from_pyproject(path, request->folder, why);
    free(path);
    return runner;
}

/* stestr takes no arguments: its file says everything. */
static struct runner *from_stestr_files(const struct runner_request *request, char *why) {
    if (request->command[0]) {
        runner_wrong(why, "the runner stestr takes no command: its file names the tests");
        return NULL;
    }
    struct runner *runner = from_other(request, OTHER_STESTR, why);
    if (!runner && !*why)
        runner = from_other(request, OTHER_PYPROJECT, why);
    if (!runner && !*why)
        runner_wrong(why, "there is neither .stestr.conf nor [tool.stestr] of pyproject.toml in %s",
                     request->directory);
    return runner;
}

static struct runner *from_testr_file(const struct runner_request *request, char *why) {
    struct runner *runner = from_other(request, OTHER_TESTR, why);
    if (!runner && !*why)
        runner_wrong(why, "there is no .testr.conf in %s", request->directory);
    return runner;
}

static struct runner *by_name(const struct runner_request *request, const struct strings *names,
                              char *why) {
    if (is_path(request->name))
        return from_path(request, why);
    if (strcmp(request->name, "stestr") == 0)
        return from_stestr_files(request, why);
    if (strcmp(request->name, "testr") == 0)
        return from_testr_file(request, why);
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->all[i], request->name) == 0) {
            char *path = path_of(request->folder, request->name, INI_SUFFIX);
            struct runner *runner =
                path ? from_file(request->name, path, request->command, why) : NULL;
            free(path);
            return runner;
        }
    return no_such(request, names, why);
}

static bool is_earlier(const struct runner_match *match, const struct runner_match *than) {
    return match->begin != than->begin ? match->begin < than->begin : match->end > than->end;
}

/* The name of the runner whose words come first in the command. -1: none; or why. */
static int recognised(const struct runner_request *request, const struct strings *names,
                      char *why) {
    struct runner_match best;
    int found = -1;
    *why = '\0';
    for (size_t i = 0; i < names->count; i++) {
        char *path = path_of(request->folder, names->all[i], INI_SUFFIX);
        struct ini *ini = path ? runner_ini(path, why) : NULL;
        struct runner_match match;
        free(path);
        if (!ini)
            return -1;
        if (runner_ini_matches(ini, request->command, &match) &&
            (found < 0 || is_earlier(&match, &best))) {
            best = match;
            found = (int)i;
        }
        ini_free(ini);
    }
    return found;
}

static struct runner *by_command(const struct runner_request *request, const struct strings *names,
                                 char *why) {
    int found = recognised(request, names, why);
    if (found < 0)
        return *why ? NULL : not_recognised(request, names, why);
    struct runner_request named = *request;
    named.name = names->all[found];
    return by_name(&named, names, why);
}

static struct runner *by_directory(const struct runner_request *request,
                                   const struct strings *names, char *why) {
    for (enum other_file file = 0; file < OTHER_FILES; file++) {
        struct runner *runner = from_other(request, file, why);
        if (runner || *why)
            return runner;
    }
    return no_configuration(request, names, why);
}

struct runner *runner_choose(const struct runner_request *request, char why[RUNNER_WHY_BYTES]) {
    struct strings names = {0};
    struct runner *runner = NULL;
    if (list_names(request->folder, &names, why))
        runner = request->name         ? by_name(request, &names, why)
                 : request->command[0] ? by_command(request, &names, why)
                                       : by_directory(request, &names, why);
    strings_free(&names);
    return runner;
}
