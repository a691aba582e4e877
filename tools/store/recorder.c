#include "tools/store/recorder.h"

#include "tools/base/output.h"
#include "tools/store/follower.h"
#include "tools/store/marks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A write takes so much at most, or what came in one step of the loop. */
#define BUFFER_BYTES ((size_t)1 << 20)
_Static_assert(BUFFER_BYTES < MUX_PACKET_MAX_BYTES, "a large packet has a buffer of its own");

#define ROUTE_BYTES 4096

struct recorder {
    struct store *store;
    struct store_run run;
    int fd;
    int error;     /* errno of the first write that failed; 0: all went well */
    off_t written; /* whole packets in the file */
    size_t len;
    uint8_t *large;            /* room for the largest packet; NULL: none was so large yet */
    struct follower *follower; /* has the store, but at the beginning and the end */
    uint8_t buffer[BUFFER_BYTES];
};

/*
 * ---- bytes ----
 */

/* Half a packet of a full disk is taken back. */
static bool write_bytes(struct recorder *recorder, const uint8_t *bytes, size_t len) {
    if (!recorder->error && !output_write(recorder->fd, bytes, len)) {
        recorder->error = errno;
        if (ftruncate(recorder->fd, recorder->written) < 0)
            recorder->written = -1; /* the reader finds damage there */
    }
    if (!recorder->error)
        recorder->written += (off_t)len;
    errno = recorder->error;
    return !recorder->error;
}

static bool write_mark(struct recorder *recorder, struct store_mark *mark) {
    uint8_t bytes[STORE_MARK_BYTES];
    memcpy(mark->uuid, recorder->run.uuid, sizeof mark->uuid);
    return write_bytes(recorder, bytes, store_mark_encode(mark, bytes));
}

static bool write_first_mark(struct recorder *recorder, const char *source) {
    struct store_mark mark = {.verdict = STORE_VERDICT_UNSAID,
                              .exit_status = STORE_NO_EXIT,
                              .at_us = recorder->run.begun_us};
    store_mark_set_source(&mark, source);
    return write_mark(recorder, &mark);
}

/*
 * ---- its life ----
 */

static bool fill(struct recorder *recorder, const char *folder, const char *source,
                 char why[STORE_WHY_BYTES]) {
    recorder->fd = -1;
    recorder->store = store_open(folder, STORE_WRITE, why);
    if (!recorder->store || !store_recover(recorder->store, why))
        return false;
    recorder->fd = store_begin(recorder->store, source, &recorder->run, why);
    if (recorder->fd < 0)
        return false;
    write_first_mark(recorder, source); /* an error is told by the first flush */
    recorder->follower = follower_start(recorder->store, &recorder->run, why);
    return recorder->follower != NULL;
}

static void free_recorder(struct recorder *recorder) {
    if (recorder->fd >= 0)
        close(recorder->fd);
    store_close(recorder->store);
    free(recorder->large);
    free(recorder);
}

struct recorder *recorder_open(const char *folder, const char *source, char why[STORE_WHY_BYTES]) {
    struct recorder *recorder = calloc(1, sizeof *recorder);
    if (!recorder) {
        snprintf(why, STORE_WHY_BYTES, "out of memory");
        return NULL;
    }
    if (fill(recorder, folder, source, why))
        return recorder;
    free_recorder(recorder);
    return NULL;
}

const struct store_run *recorder_run(const struct recorder *recorder) {
    return &recorder->run;
}

bool recorder_finish(struct recorder *recorder, char why[STORE_WHY_BYTES]) {
    bool is_written = recorder_flush(recorder);
    bool is_fine = follower_finish(recorder->follower, why) && is_written;
    if (!is_written)
        snprintf(why, STORE_WHY_BYTES, "the run's file: %s", strerror(recorder->error));
    free_recorder(recorder);
    return is_fine;
}

/*
 * ---- packets ----
 */

bool recorder_flush(struct recorder *recorder) {
    size_t len = recorder->len;
    recorder->len = 0;
    return write_bytes(recorder, recorder->buffer, len);
}

static int64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

bool recorder_verdict(struct recorder *recorder, enum store_verdict verdict, int exit_status) {
    struct store_mark mark = {.verdict = verdict, .exit_status = exit_status, .at_us = now_us()};
    return recorder_flush(recorder) && write_mark(recorder, &mark);
}

/* One that is larger than the buffer. */
static bool put_large(struct recorder *recorder, const struct mux_packet *packet) {
    size_t len;
    if (!recorder->large)
        recorder->large = malloc(MUX_PACKET_MAX_BYTES);
    if (!recorder->large && !recorder->error)
        recorder->error = ENOMEM;
    if (recorder->error ||
        mux_packet_encode(packet, recorder->large, MUX_PACKET_MAX_BYTES, &len) != MUX_OK)
        return !recorder->error;
    return write_bytes(recorder, recorder->large, len);
}

static bool put(struct recorder *recorder, const struct mux_packet *packet) {
    size_t len;
    for (int i = 0; i < 2; i++) {
        if (mux_packet_encode(packet, recorder->buffer + recorder->len,
                              BUFFER_BYTES - recorder->len, &len) == MUX_OK) {
            recorder->len += len;
            return true;
        }
        if (!recorder_flush(recorder))
            return false;
    }
    return put_large(recorder, packet);
}

bool recorder_put(struct recorder *recorder, const char *segment, const struct mux_packet *packet) {
    char route[ROUTE_BYTES];
    struct mux_packet routed = *packet;
    if (*segment) {
        int len = snprintf(route, sizeof route, "%s%s%.*s", segment, packet->route.len ? "/" : "",
                           (int)packet->route.len,
                           packet->route.len ? (const char *)packet->route.data : "");
        routed.route = len < ROUTE_BYTES ? mux_span(route, (size_t)len) : mux_span_text(segment);
    }
    return put(recorder, &routed);
}
