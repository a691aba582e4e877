#include "tools/muxd/stats.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static json_t *to_json(const struct mux_counters *counters) {
    json_t *object = json_object();
    for (unsigned i = 0; i < MUX_COUNTER_COUNT; i++) {
        const struct mux_counter_info *info = &mux_counter_infos[i];
        bool gauge = info->kind == MUX_GAUGE;
        char name[96];
        snprintf(name, sizeof name, "muxd_%s%s", info->name, gauge ? "" : "_total");
        json_object_set_new(
            object, name,
            json_pack("{s:I, s:s, s:s, s:s}", "value", (json_int_t)counters->value[i], "type",
                      gauge ? "gauge" : "counter", "unit", info->unit, "help", info->help));
    }
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

bool stats_write(const struct mux_counters *counters, const char *path) {
    json_t *object = to_json(counters);
    bool fine;
    if (strcmp(path, "-") == 0)
        fine = json_dumpf(object, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF &&
               fflush(stdout) == 0;
    else
        fine = write_file(object, path);
    json_decref(object);
    return fine;
}
