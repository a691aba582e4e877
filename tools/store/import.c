#include "tools/store/import.h"
#include "tools/base/output.h"
#include "tools/store/dumb.h"
#include "tools/store/indexer.h"
#include "tools/store/names.h"
#include "tools/store/past.h"
#include "tools/store/store_internal.h"
#include "tools/store/subunit1.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Packets of version 1's files are of 64 KiB and a test's id; longer ones are left out. */
#define PACKET_BYTES (1 << 20)
#define BUFFER_BYTES (PACKET_BYTES + (1 << 18))

/* A duration in times.dbm: a number of seconds. */
#define SECONDS_DIGITS 32
#define SECONDS_MOST 1e9

struct import {
    struct store *store;
    void (*note)(void *user, const char *sentence);
    void *user;
    struct store_imported *imported;
    char *why;
    const struct times *times; /* those of write_times() */
    /* Of the run that is being written: */
    int fd;
    size_t len;
    uint8_t *buffer;
};

struct content {
    uint8_t *bytes;
    size_t len;
    struct timespec written;
};

/* ---- files ---- */

static bool read_all(int fd, struct content *content) {
    struct stat about;
    if (fstat(fd, &about) != 0)
        return false;
    content->written = about.st_mtim;
    content->bytes = malloc((size_t)about.st_size + 1);
    if (!content->bytes)
        return false;
    while (content->len < (size_t)about.st_size) {
        ssize_t len = read(fd, content->bytes + content->len, (size_t)about.st_size - content->len);
        if (len < 0 && errno == EINTR)
            continue;
        if (len <= 0)
            return len == 0; /* it became shorter */
        content->len += (size_t)len;
    }
    return true;
}

static bool read_file(const char *path, struct content *content, char why[STORE_WHY_BYTES]) {
    *content = (struct content){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_fine =
        (fd >= 0 && read_all(fd, content)) || store_say(why, "cannot read", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    if (!is_fine)
        free(content->bytes);
    return is_fine;
}

/* ---- a run ---- */

/* RFC 9562, version 8: the same bytes have the same name, so that nothing is imported twice. */
static void name_by_bytes(struct mux_span bytes, char out[STORE_UUID_BYTES]) {
    struct names_key key = names_key_of(bytes);
    snprintf(out, STORE_UUID_BYTES, "%08x-%04x-8%03x-%04x-%012llx", (unsigned)(key.a >> 32),
             (unsigned)(key.a >> 16) & 0xffff, (unsigned)key.a & 0xfff,
             (unsigned)(0x8000 | (key.b >> 50)), (unsigned long long)(key.b & 0xffffffffffff));
}

static bool flush(struct import *import) {
    size_t len = import->len;
    import->len = 0;
    return output_write(import->fd, import->buffer, len);
}

static bool put_packet(void *user, const struct mux_packet *packet) {
    struct import *import = user;
    size_t len = 0;
    if (BUFFER_BYTES - import->len < PACKET_BYTES && !flush(import))
        return false;
    if (mux_packet_encode(packet, import->buffer + import->len, PACKET_BYTES, &len) != MUX_OK) {
        import->imported->left_out++;
        return true;
    }
    import->len += len;
    return true;
}

static bool take_begin(void *user, const struct mux_packet *packet) {
    int64_t *begun_us = user;
    if (packet->has_timestamp)
        *begun_us = mux_packet_time_ns(packet) / 1000;
    return !packet->has_timestamp;
}

static bool is_version_2(struct mux_span bytes) {
    return bytes.len && *bytes.data == MUX_SIGNATURE;
}

static int64_t begun_us_of(const struct content *content) {
    struct mux_span bytes = mux_span(content->bytes, content->len);
    int64_t begun_us = (int64_t)content->written.tv_sec * 1000000 + content->written.tv_nsec / 1000;
    if (!is_version_2(bytes))
        subunit1_read(bytes, take_begin, &begun_us);
    return begun_us > 0 ? begun_us : 1;
}

/* Writes the run's file by `write`, and indexes it. It has ended when `content` was written. */
static bool add_run(struct import *import, const char *source, const struct content *content,
                    bool (*write)(struct import *import, const struct content *content)) {
    struct store_run run = {.begun_us = begun_us_of(content)}, there;
    const struct timespec times[] = {content->written, content->written};
    name_by_bytes(mux_span(content->bytes, content->len), run.uuid);
    if (store_find(import->store, run.uuid, &there, import->why)) {
        import->imported->known++;
        return true;
    }
    import->fd = store_begin_named(import->store, source, &run, import->why);
    if (import->fd < 0)
        return false;
    import->len = 0;
    bool is_fine = (write(import, content) && flush(import) && futimens(import->fd, times) == 0) ||
                   store_say(import->why, "the run of", source, strerror(errno));
    struct store_indexer *indexer =
        is_fine ? store_indexer_create(import->store, &run, import->why) : NULL;
    is_fine = indexer && store_indexer_finish(indexer, import->why);
    store_indexer_free(indexer);
    close(import->fd);
    import->imported->runs += is_fine;
    return is_fine;
}

static bool write_stream(struct import *import, const struct content *content) {
    struct mux_span bytes = mux_span(content->bytes, content->len);
    return is_version_2(bytes) ? output_write(import->fd, bytes.data, bytes.len)
                               : subunit1_read(bytes, put_packet, import);
}

static bool import_stream(struct import *import, const char *path, const char *source) {
    struct content content;
    if (!read_file(path, &content, import->why))
        return false;
    bool is_fine = add_run(import, source, &content, write_stream);
    free(content.bytes);
    return is_fine;
}

/* ---- times.dbm ---- */

struct times {
    struct import *import;
    size_t count, capacity;
    struct mux_span *tests; /* each of its own memory */
    double *seconds;
    struct store_past *past;
};

static bool grow(struct times *times) {
    size_t capacity = times->capacity ? 2 * times->capacity : 256;
    struct mux_span *tests = realloc(times->tests, capacity * sizeof *tests);
    if (tests)
        times->tests = tests;
    double *seconds = realloc(times->seconds, capacity * sizeof *seconds);
    if (seconds)
        times->seconds = seconds;
    if (tests && seconds)
        times->capacity = capacity;
    return tests && seconds;
}

/* What is no number of seconds is passed over. */
static bool take_time(void *user, struct mux_span test, struct mux_span value) {
    struct times *times = user;
    char text[SECONDS_DIGITS], *end;
    if (value.len >= sizeof text)
        return true;
    memcpy(text, value.data, value.len);
    text[value.len] = '\0';
    double seconds = strtod(text, &end);
    if (end == text || !(seconds >= 0 && seconds < SECONDS_MOST))
        return true;
    uint8_t *own = malloc(test.len + 1);
    if (!own || (times->count == times->capacity && !grow(times))) {
        free(own);
        return false;
    }
    memcpy(own, test.data, test.len);
    times->tests[times->count] = mux_span(own, test.len);
    times->seconds[times->count++] = seconds;
    return true;
}

static bool put_time(struct import *import, const struct content *content, struct mux_span test,
                     double seconds) {
    struct mux_packet begun = {.test_id = test, .status = MUX_STATUS_INPROGRESS, .runnable = true};
    struct mux_packet reason = {.test_id = test,
                                .file_name = mux_span_text("reason"),
                                .mime = mux_span_text("text/plain;charset=utf8"),
                                .file_content = mux_span_text("only its time is known"),
                                .eof = true};
    struct mux_packet ended = {.test_id = test, .status = MUX_STATUS_SKIP, .runnable = true};
    int64_t at_ns = (int64_t)content->written.tv_sec * 1000000000;
    mux_packet_set_time_ns(&begun, at_ns);
    mux_packet_set_time_ns(&ended, at_ns + (int64_t)(seconds * 1e9));
    return put_packet(import, &begun) && put_packet(import, &reason) && put_packet(import, &ended);
}

static bool write_times(struct import *import, const struct content *content) {
    const struct times *times = import->times;
    bool is_fine = true;
    for (size_t i = 0; i < times->count && is_fine; i++)
        if (times->past[i].runs == 0) {
            is_fine = put_time(import, content, times->tests[i], times->seconds[i]);
            import->imported->times++;
        }
    return is_fine;
}

/* Tests that some run has have their times from there. */
static bool add_times(struct import *import, const char *source, const struct content *content,
                      struct times *times) {
    size_t unknown = 0;
    times->past = calloc(times->count + 1, sizeof *times->past);
    if (!times->past)
        return store_say(import->why, "cannot read", source, "out of memory");
    if (!store_past_read(import->store, times->tests, times->count, times->past, import->why))
        return false;
    for (size_t i = 0; i < times->count; i++)
        unknown += times->past[i].runs == 0;
    import->times = times;
    return unknown == 0 || add_run(import, source, content, write_times);
}

static bool import_dumb(struct import *import, const char *folder) {
    char path[PATH_MAX], sentence[STORE_WHY_BYTES];
    struct content directory = {0}, data = {0};
    struct times times = {0};
    store_path(folder, "times.dbm.dir", path);
    if (!read_file(path, &directory, import->why))
        return false;
    store_path(folder, "times.dbm.dat", path);
    bool is_fine = read_file(path, &data, import->why);
    if (is_fine && dumb_read(mux_span(directory.bytes, directory.len),
                             mux_span(data.bytes, data.len), take_time, &times)) {
        is_fine = add_times(import, path, &directory, &times);
    } else if (is_fine) {
        store_say(sentence, "the times in", path, "they are damaged, and were left out");
        import->note(import->user, sentence);
    }
    for (size_t i = 0; i < times.count; i++)
        free((void *)times.tests[i].data);
    free(times.tests);
    free(times.seconds);
    free(times.past);
    free(directory.bytes);
    free(data.bytes);
    return is_fine;
}

/* Of python's other databases none is read: what they say, the runs say, too. */
static const struct {
    const char *name, *sentence;
} others[] = {
    {"times.dbm", "it is a gdbm database, which is not read: times come from the runs alone"},
    {"times.dbm.db",
     "it is a Berkeley database, which is not read: times come from the runs alone"},
    {"times.dbm.pag", "it is an ndbm database, which is not read: times come from the runs alone"},
};

static bool is_there(const char *folder, const char *name, char path[PATH_MAX]) {
    store_path(folder, name, path);
    return access(path, F_OK) == 0;
}

static bool import_times(struct import *import, const char *folder) {
    char path[PATH_MAX], sentence[STORE_WHY_BYTES];
    for (unsigned i = 0; i < sizeof others / sizeof *others; i++)
        if (is_there(folder, others[i].name, path)) {
            store_say(sentence, "the times in", path, others[i].sentence);
            import->note(import->user, sentence);
            return true;
        }
    return !is_there(folder, "times.dbm.dat", path) || !is_there(folder, "times.dbm.dir", path) ||
           import_dumb(import, folder);
}

/* ---- repositories ---- */

/* A run's file has a number for a name. */
static int is_run(const struct dirent *entry) {
    size_t len = strspn(entry->d_name, "0123456789");
    return len > 0 && len < 10 && entry->d_name[len] == '\0';
}

static int by_number(const struct dirent **a, const struct dirent **b) {
    long x = atol((*a)->d_name), y = atol((*b)->d_name);
    return x < y ? -1 : x > y;
}

static bool check_format(const char *folder, char why[STORE_WHY_BYTES]) {
    char path[PATH_MAX];
    struct content format;
    store_path(folder, "format", path);
    if (access(path, F_OK) != 0)
        return store_say(why, "no repository of stestr or testrepository in", folder,
                         "it has no file 'format'");
    if (!read_file(path, &format, why))
        return false;
    bool is_known =
        format.len >= 1 && format.bytes[0] == '1' && (format.len == 1 || isspace(format.bytes[1]));
    free(format.bytes);
    return is_known || store_say(why, "the repository in", folder, "its format is not 1");
}

static bool import_repository(struct import *import, const char *folder) {
    struct dirent **runs;
    char path[PATH_MAX];
    if (!check_format(folder, import->why))
        return false;
    int count = scandir(folder, &runs, is_run, by_number);
    bool is_fine =
        count >= 0 || store_say(import->why, "cannot read the folder", folder, strerror(errno));
    for (int i = 0; i < count; i++) {
        store_path(folder, runs[i]->d_name, path);
        is_fine = is_fine && import_stream(import, path, folder);
        free(runs[i]);
    }
    if (count >= 0)
        free(runs);
    return is_fine && import_times(import, folder);
}

bool store_import(struct store *store, const char *path,
                  void (*note)(void *user, const char *sentence), void *user,
                  struct store_imported *imported, char why[STORE_WHY_BYTES]) {
    struct stat about;
    struct import import = {store, note, user, imported, why, .fd = -1};
    *imported = (struct store_imported){0};
    if (stat(path, &about) != 0)
        return store_say(why, "cannot read", path, strerror(errno));
    import.buffer = malloc(BUFFER_BYTES);
    if (!import.buffer)
        return store_say(why, "cannot read", path, "out of memory");
    bool is_fine = S_ISDIR(about.st_mode) ? import_repository(&import, path)
                                          : import_stream(&import, path, path);
    free(import.buffer);
    return is_fine;
}
