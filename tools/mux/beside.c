/* Programs that belong to mux and are not part of it, for their libraries would cost each start. */
#include "tools/mux/mux.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

/* The same name in the folder that this program is in. False: that is not known. */
static bool put_neighbour(const char *program, char path[PROGRAM_PATH_BYTES]) {
    char own[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", own, sizeof own - 1);
    if (len <= 0)
        return false;
    own[len] = '\0';
    snprintf(path, PROGRAM_PATH_BYTES, "%.*s/%s", (int)(strrchr(own, '/') - own), own, program);
    return true;
}

void program_run_beside(const char *program, char *const *arguments) {
    char path[PROGRAM_PATH_BYTES];
    if (put_neighbour(program, path))
        execv(path, arguments);
    snprintf(path, sizeof path, MUX_PROGRAMS_DIR "/%s", program);
    execv(path, arguments);
}

void program_path_of_mux(char path[PROGRAM_PATH_BYTES]) {
    if (!put_neighbour("mux", path) || access(path, X_OK) < 0)
        snprintf(path, PROGRAM_PATH_BYTES, "%s", MUX_PROGRAM);
}
