#include "tools/muxd/stats.h"

#include "tools/common/outlet.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void add(json_t *object, const char *name, bool gauge, uint64_t value, const char *unit,
                const char *help) {
    char full[96];
    snprintf(full, sizeof full, "muxd_%s%s", name, gauge ? "" : "_total");
    json_object_set_new(object, full,
                        json_pack("{s:I, s:s, s:s, s:s}", "value", (json_int_t)value, "type",
                                  gauge ? "gauge" : "counter", "unit", unit, "help", help));
}

static json_t *to_json(const struct mux_counters *counters, const struct transport_count *counts,
                       unsigned counts_count) {
    json_t *object = json_object();
    for (unsigned i = 0; i < MUX_COUNTER_COUNT; i++) {
        const struct mux_counter_info *info = &mux_counter_infos[i];
        add(object, info->name, info->kind == MUX_GAUGE, counters->value[i], info->unit,
            info->help);
    }
    for (unsigned i = 0; i < counts_count; i++)
        add(object, counts[i].name, false, counts[i].value, counts[i].unit, counts[i].help);
    return object;
}

static bool write_file(const json_t *object, const char *path) {
    char fresh[PATH_MAX];
    if ((size_t)snprintf(fresh, sizeof fresh, "%s.new", path) >= sizeof fresh) {
        errno = ENAMETOOLONG;
        return false;
    }
    if (json_dump_file(object, fresh, JSON_INDENT(2)) == 0 && rename(fresh, path) == 0)
        return true;
    int error = errno;
    unlink(fresh);
    errno = error;
    return false;
}

/* A reader that does not read costs a moment, never more. */
static bool write_to(const json_t *object, int fd) {
    static struct outlet outlet;
    char *text = json_dumps(object, JSON_INDENT(2));
    outlet_open(&outlet, fd);
    errno = ENOMEM;
    bool fine = text && outlet_write(&outlet, text, strlen(text)) && outlet_write(&outlet, "\n", 1);
    fine = outlet_close(&outlet) && fine;
    free(text);
    return fine;
}

/* A pipe, a terminal, /dev/null: these are written to; only a regular file may be replaced. */
static bool write_special(const json_t *object, const char *path) {
    int fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool fine = write_to(object, fd);
    int error = errno;
    close(fd);
    errno = error;
    return fine;
}

static bool write_path(const json_t *object, const char *path) {
    char target[PATH_MAX];
    struct stat status;
    if (!realpath(path, target)) /* behind a symbolic link, which stays */
        return errno == ENOENT && write_file(object, path);
    if (stat(target, &status) == 0 && !S_ISREG(status.st_mode))
        return write_special(object, target);
    return write_file(object, target);
}

bool stats_write(const struct mux_counters *counters, const struct transport_count *counts,
                 unsigned counts_count, const char *path) {
    json_t *object = to_json(counters, counts, counts_count);
    bool fine = strcmp(path, "-") == 0 ? write_to(object, STDOUT_FILENO) : write_path(object, path);
    json_decref(object);
    return fine;
}
