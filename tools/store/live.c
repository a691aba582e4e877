#include "tools/store/live.h"

#include "tools/base/json.h"
#include "tools/base/output.h"
#include "tools/store/store_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define VERSION 1

#define CONTENT_BYTES (2 * JSON_GROWTH * STORE_LIVE_PLACE_BYTES + 128)

/* Who owns a run holds the lock of its stream. */
static bool is_owned(const char *folder, const struct store_run *run) {
    char path[PATH_MAX];
    store_files_path(folder, run, STORE_FILES_STREAM, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_owned = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (fd >= 0)
        close(fd);
    return is_owned;
}

/*
 * ---- who owns it ----
 */

static size_t put_content(const struct store_live *live, char out[CONTENT_BYTES]) {
    struct json json;
    json_put_start(&json, out, CONTENT_BYTES);
    json_put_open(&json, '{');
    json_put_member_number(&json, "v", VERSION);
    json_put_member_number(&json, "pid", (uint64_t)getpid());
    if (*live->control)
        json_put_member_text(&json, "control", live->control);
    if (*live->screen)
        json_put_member_text(&json, "screen", live->screen);
    json_put_close(&json, '}');
    json_put_line_end(&json);
    return json_len(&json);
}

static bool failed(const char *path, char why[STORE_WHY_BYTES]) {
    snprintf(why, STORE_WHY_BYTES, "cannot write %.256s: %s", path, strerror(errno));
    return false;
}

/* It gets its name when it is whole. */
bool store_live_write(const char *folder, const struct store_live *live,
                      char why[STORE_WHY_BYTES]) {
    char path[PATH_MAX], early[PATH_MAX], content[CONTENT_BYTES];
    store_files_path(folder, &live->run, STORE_FILES_LIVE, path);
    store_files_path(folder, &live->run, STORE_FILES_LIVE ".new", early);
    int fd = open(early, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool is_fine = fd >= 0 && output_write(fd, content, put_content(live, content)) &&
                   rename(early, path) == 0;
    if (!is_fine)
        failed(path, why);
    if (fd >= 0)
        close(fd);
    return is_fine;
}

void store_live_remove(const char *folder, const struct store_run *run) {
    char path[PATH_MAX];
    if (store_files_path(folder, run, STORE_FILES_LIVE, path))
        unlink(path);
}

/*
 * ---- readers ----
 */

static bool read_file(const char *folder, struct store_live *live) {
    char path[PATH_MAX];
    store_files_path(folder, &live->run, STORE_FILES_LIVE, path);
    json_t *content = json_load_file(path, 0, NULL);
    const char *control = json_string_value(json_object_get(content, "control"));
    const char *screen = json_string_value(json_object_get(content, "screen"));
    live->pid = (long)json_integer_value(json_object_get(content, "pid"));
    snprintf(live->control, sizeof live->control, "%s", control ? control : "");
    snprintf(live->screen, sizeof live->screen, "%s", screen ? screen : "");
    bool is_fine = json_integer_value(json_object_get(content, "v")) == VERSION;
    json_decref(content);
    return is_fine;
}

static int is_live_file(const struct dirent *entry) {
    struct store_run run;
    return store_files_read(entry->d_name, STORE_FILES_LIVE, &run);
}

/* Each run that goes on, the newest first; false from the function ends it. */
static void see_each(const char *folder, bool (*seen)(void *, const struct store_live *),
                     void *user) {
    char path[PATH_MAX];
    struct dirent **files = NULL;
    bool goes_on = true;
    if (snprintf(path, sizeof path, "%s/" STORE_FILES_FOLDER, folder) >= PATH_MAX)
        return;
    int count = scandir(path, &files, is_live_file, alphasort);
    while (count-- > 0) {
        struct store_live live;
        store_files_read(files[count]->d_name, STORE_FILES_LIVE, &live.run);
        if (goes_on && is_owned(folder, &live.run) && read_file(folder, &live))
            goes_on = seen(user, &live);
        free(files[count]);
    }
    free(files);
}

struct finding {
    const char *name;
    struct store_live *live;
    unsigned found;
};

static bool find(void *user, const struct store_live *live) {
    struct finding *finding = user;
    bool is_any = *finding->name == '\0' || strcmp(finding->name, "last") == 0;
    if (!is_any && strncmp(live->run.uuid, finding->name, strlen(finding->name)) != 0)
        return true;
    if (finding->found++ == 0)
        *finding->live = *live;
    return !is_any;
}

unsigned store_live_find(const char *folder, const char *name, struct store_live *live) {
    struct finding finding = {.name = name, .live = live};
    see_each(folder, find, &finding);
    return finding.found;
}
