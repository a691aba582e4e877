#include "tools/agent/group.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Where cgroups are mounted: v2 alone, or beside v1. */
static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};

#define NAME_PREFIX "mux-exec-"

/* A cgroup may take some milliseconds to notice that its last process was waited for. */
#define REMOVE_TRIES 100
#define REMOVE_WAIT_NS 1000000

/* Ours in the hierarchies of cgroups; NULL: there is none. */
struct places {
    char text[GROUP_PATH_BYTES]; /* of /proc/self/cgroup; a longer one is not understood */
    const char *unified;         /* v2: "0::PLACE" */
    const char *memory;          /* v1: "N:memory:PLACE" */
};

static void read_line(struct places *places, char *line) {
    char *controllers = strchr(line, ':'),
         *place = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!place)
        return;
    *place++ = '\0';
    if (strcmp(line, "0:") == 0)
        places->unified = place;
    if (strcmp(controllers, ":memory") == 0)
        places->memory = place;
}

static void find_places(struct places *places) {
    int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? 0 : read(fd, places->text, sizeof places->text - 1);
    places->text[len > 0 ? len : 0] = '\0';
    places->unified = places->memory = NULL;
    for (char *line = places->text, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        read_line(places, line);
    }
    if (fd >= 0)
        close(fd);
}

/* The line "oom_kill N". */
static bool read_kills(const char *path, uint64_t *count) {
    char line[128];
    bool found = false;
    FILE *file = fopen(path, "re");
    while (file && !found && fgets(line, sizeof line, file))
        found = sscanf(line, "oom_kill %" SCNu64, count) == 1;
    if (file)
        fclose(file);
    return found;
}

static bool counts_at(struct group *group, const char *path) {
    int len = snprintf(group->counter, sizeof group->counter, "%s", path);
    group->counts_kills =
        len < (int)sizeof group->counter && read_kills(group->counter, &group->kills_before);
    return group->counts_kills;
}

/* What a process that was killed has left: an empty cgroup, which is old enough to be no new one.
 */
#define LEFT_SECONDS 60

static void remove_left(int parent) {
    DIR *entries = fdopendir(openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct dirent *entry;
    struct stat st;
    while (entries && (entry = readdir(entries)))
        if (strncmp(entry->d_name, NAME_PREFIX, strlen(NAME_PREFIX)) == 0 &&
            fstatat(parent, entry->d_name, &st, 0) == 0 && st.st_ctime + LEFT_SECONDS < time(NULL))
            unlinkat(parent, entry->d_name, AT_REMOVEDIR); /* not one with a process in it */
    if (entries)
        closedir(entries);
}

/* True: it is made, and can be killed. */
static bool make_below(struct group *group, const char *folder) {
    group->parent = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (group->parent < 0)
        return false;
    remove_left(group->parent);
    if (mkdirat(group->parent, group->name, 0755) < 0)
        return false;
    group->folder = openat(group->parent, group->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (group->folder > 0 && faccessat(group->folder, "cgroup.kill", W_OK, 0) == 0)
        return true;
    unlinkat(group->parent, group->name, AT_REMOVEDIR);
    return false;
}

static void drop(struct group *group) {
    if (group->folder > 0)
        close(group->folder);
    if (group->parent > 0)
        close(group->parent);
    group->folder = group->parent = 0;
}

static bool open_at(struct group *group, const char *mount, const char *place) {
    char folder[GROUP_PATH_BYTES], path[GROUP_PATH_BYTES + 64];
    snprintf(folder, sizeof folder, "%s%s", mount, place);
    snprintf(path, sizeof path, "%s/cgroup.procs", folder);
    if (access(path, F_OK) < 0)
        return false;
    if (!make_below(group, folder))
        drop(group);
    snprintf(path, sizeof path, "%s/%s/memory.events", folder, group->name);
    if (group->folder && counts_at(group, path))
        return true;
    snprintf(path, sizeof path, "%s/memory.events", folder);
    counts_at(group, path);
    return true;
}

void group_open(struct group *group) {
    struct places places;
    char path[GROUP_PATH_BYTES + 64];
    *group = (struct group){0};
    snprintf(group->name, sizeof group->name, NAME_PREFIX "%d", (int)getpid());
    find_places(&places);
    bool opened = false;
    for (size_t i = 0; i < sizeof mounts / sizeof *mounts && places.unified && !opened; i++)
        opened = open_at(group, mounts[i], places.unified);
    if (group->counts_kills || !places.memory)
        return;
    snprintf(path, sizeof path, "/sys/fs/cgroup/memory%s/memory.oom_control", places.memory);
    counts_at(group, path);
}

void group_kill(const struct group *group) {
    int fd = group->folder ? openat(group->folder, "cgroup.kill", O_WRONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    ssize_t ignored = write(fd, "1", 1);
    (void)ignored;
    close(fd);
}

bool group_memory_kills(const struct group *group, uint64_t *count) {
    if (!group->counts_kills || !read_kills(group->counter, count))
        return false;
    *count -= group->kills_before;
    return true;
}

void group_close(struct group *group) {
    const struct timespec wait = {.tv_nsec = REMOVE_WAIT_NS};
    for (int i = 0; group->folder && i < REMOVE_TRIES; i++) {
        if (unlinkat(group->parent, group->name, AT_REMOVEDIR) == 0 || errno != EBUSY)
            break;
        nanosleep(&wait, NULL);
    }
    drop(group);
}
