/* Programs that belong to mux and are not part of it, for their libraries would cost each start. */
#include "tools/mux/mux.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static void run_from(const char *folder, size_t len, const char *program, char *const *arguments) {
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%.*s/%s", (int)len, folder, program);
    execv(path, arguments);
}

void program_run_beside(const char *program, char *const *arguments) {
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    if (len > 0) {
        path[len] = '\0';
        run_from(path, (size_t)(strrchr(path, '/') - path), program, arguments);
    }
    run_from(MUX_PROGRAMS_DIR, strlen(MUX_PROGRAMS_DIR), program, arguments);
}
