#include "tools/store/store_files.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Hexadecimal digits of TIME. */
#define TIME_DIGITS 14

bool store_files_path(const char *folder, const struct store_run *run, const char *suffix,
                      char *out) {
    uint64_t time = (uint64_t)run->begun_us & ((UINT64_C(1) << 4 * TIME_DIGITS) - 1);
    int len = snprintf(out, PATH_MAX, "%s/" STORE_FILES_FOLDER "/%0*" PRIx64 "-%s%s", folder,
                       TIME_DIGITS, time, run->uuid, suffix);
    if (len >= PATH_MAX)
        *out = '\0';
    return len < PATH_MAX;
}

bool store_files_read(const char *name, const char *suffix, struct store_run *run) {
    const char *uuid = name + TIME_DIGITS + 1;
    if (strlen(name) != TIME_DIGITS + 1 + STORE_UUID_BYTES - 1 + strlen(suffix) ||
        uuid[-1] != '-' || strcmp(uuid + STORE_UUID_BYTES - 1, suffix) != 0)
        return false;
    *run = (struct store_run){.begun_us = (int64_t)strtoull(name, NULL, 16)};
    snprintf(run->uuid, sizeof run->uuid, "%s", uuid);
    return true;
}
