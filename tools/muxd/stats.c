#include "tools/muxd/stats.h"

#include "tools/common/outlet.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
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

/* A reader that does not read costs a moment, never more. */
static bool write_stdout(const json_t *object) {
    static struct outlet outlet;
    char *text = json_dumps(object, JSON_INDENT(2));
    outlet_open(&outlet, STDOUT_FILENO);
    errno = ENOMEM;
    bool fine = text && outlet_write(&outlet, text, strlen(text)) && outlet_write(&outlet, "\n", 1);
    fine = outlet_close(&outlet) && fine;
    free(text);
    return fine;
}

bool stats_write(const struct mux_counters *counters, const char *path) {
    json_t *object = to_json(counters);
    bool fine = strcmp(path, "-") == 0 ? write_stdout(object) : write_file(object, path);
    json_decref(object);
    return fine;
}
