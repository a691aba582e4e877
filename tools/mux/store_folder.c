#include "tools/mux/store_folder.h"
#include "tools/store/store.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Cuts the last part of an absolute path; false: it has none. */
static bool go_up(char *path) {
    char *slash = strrchr(path, '/');
    if (!slash || path[1] == '\0')
        return false;
    slash[slash == path ? 1 : 0] = '\0';
    return true;
}

bool store_folder_find(char *out, size_t out_bytes) {
    char here[PATH_MAX];
    struct stat about;
    if (!getcwd(here, sizeof here))
        return false;
    do {
        char path[PATH_MAX + sizeof STORE_FOLDER + 1];
        snprintf(path, sizeof path, "%s/%s", here[1] ? here : "", STORE_FOLDER);
        if (stat(path, &about) == 0 && S_ISDIR(about.st_mode)) {
            snprintf(out, out_bytes, "%s", path);
            return true;
        }
    } while (go_up(here));
    return false;
}
