#include "tools/mux/viewer.h"

#include "tools/base/output.h"
#include "tools/base/text.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* An answer is one short line. */
#define ANSWER_BYTES 1024

#define READ_BYTES 65536

/* "pid 4711 (uid 1000)" */
static void take_writer(struct viewer *viewer, const json_t *answer) {
    const json_t *writer = json_object_get(answer, "writer");
    viewer->writes = json_is_true(json_object_get(answer, "writes"));
    if (json_is_object(writer))
        snprintf(viewer->writer, sizeof viewer->writer, "pid %.0f (uid %.0f)",
                 json_number_value(json_object_get(writer, "pid")),
                 json_number_value(json_object_get(writer, "uid")));
    else
        snprintf(viewer->writer, sizeof viewer->writer, "somebody else");
}

static bool take_answer(struct viewer *viewer, const char *line) {
    json_t *answer = json_loads(line, 0, NULL);
    const char *refused = json_string_value(json_object_get(answer, "error"));
    bool is_fine = json_is_string(json_object_get(answer, "view"));
    if (!is_fine)
        text_complain("%s: %s: %s", viewer->place.program, viewer->place.text,
                      refused ? refused : "what answers there is no muxd, or an older one");
    else
        take_writer(viewer, answer);
    json_decref(answer);
    return is_fine;
}

static bool is_silent(int error) {
    return error == EAGAIN || error == EWOULDBLOCK;
}

/* Byte by byte: packets follow the line. */
static bool read_line(struct viewer *viewer, char line[ANSWER_BYTES]) {
    size_t len = 0;
    ssize_t got;
    while (len < ANSWER_BYTES - 1 && (got = read(viewer->place.fd, line + len, 1)) == 1) {
        line[len + 1] = '\0';
        if (line[len++] == '\n')
            return true;
    }
    if (got < 0 && is_silent(errno))
        text_complain("%s: %s: no answer for %d s", viewer->place.program, viewer->place.text,
                      CONTROL_ANSWER_MOST_S);
    else if (got < 0 && !control_place_is_closed(errno))
        control_place_failed(&viewer->place, "receive", errno);
    else
        text_complain("%s: %s: the connection was closed without an answer", viewer->place.program,
                      viewer->place.text);
    return false;
}

bool viewer_open(struct viewer *viewer, const char *program, const char *place, const char *request,
                 uint64_t last_bytes, const char *route) {
    static uint8_t store[MUX_STORE_MAX_BYTES];
    char line[ANSWER_BYTES];
    mux_framer_init(&viewer->framer, (struct mux_room){store, sizeof store});
    if (!control_place_connect(&viewer->place, program, place))
        return false;
    if (strchr(route, '\n')) {
        text_complain("%s: a route has no newline", program);
        return false;
    }
    bool is_sent = dprintf(viewer->place.fd, "%s %llu %s\n", request,
                           (unsigned long long)last_bytes, route) > 0;
    if (!is_sent && !control_place_is_closed(errno))
        return control_place_failed(&viewer->place, "send", errno);
    return read_line(viewer, line) && take_answer(viewer, line);
}

static void take_frames(struct viewer *viewer) {
    struct mux_frame frame;
    while (mux_framer_next(&viewer->framer, &frame), frame.kind != MUX_FRAME_NONE) {
        if (frame.kind == MUX_FRAME_STORE)
            mux_framer_move(&viewer->framer, viewer->framer.store);
        else if (frame.kind == MUX_FRAME_PACKET)
            viewer->packet(viewer->user, &frame.packet);
        else
            text_complain("%s: %s: %zu bytes that are no packet", viewer->place.program,
                          viewer->place.text, frame.bytes.len);
    }
}

bool viewer_read(struct viewer *viewer) {
    static uint8_t bytes[READ_BYTES];
    ssize_t got = recv(viewer->place.fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got > 0) {
        mux_framer_feed(&viewer->framer, mux_span(bytes, (size_t)got));
        take_frames(viewer);
        return true;
    }
    if (got < 0 && (is_silent(errno) || errno == EINTR))
        return true;
    if (got < 0 && !control_place_is_closed(errno))
        return control_place_failed(&viewer->place, "receive", errno);
    text_complain("%s: %s: muxd has ended this view", viewer->place.program, viewer->place.text);
    return false;
}

void viewer_close(struct viewer *viewer) {
    if (viewer->place.fd >= 0)
        close(viewer->place.fd);
    viewer->place.fd = -1;
}

void viewer_exit_words(struct mux_span json, char out[VIEWER_EXIT_BYTES]) {
    json_t *exit = json_loadb((const char *)json.data, json.len, 0, NULL);
    const char *signal = json_string_value(json_object_get(exit, "signal_name"));
    const char *not_started = json_string_value(json_object_get(exit, "not_started"));
    const char *stopped = json_string_value(json_object_get(exit, "stopped"));
    const json_t *status = json_object_get(exit, "status");
    int len = 0;
    if (not_started)
        len = snprintf(out, VIEWER_EXIT_BYTES, "the command did not start: %s", not_started);
    else if (signal)
        len = snprintf(out, VIEWER_EXIT_BYTES, "the command was ended by SIG%s", signal);
    else if (status)
        len = snprintf(out, VIEWER_EXIT_BYTES, "the command has returned %.0f",
                       json_number_value(status));
    else
        len = snprintf(out, VIEWER_EXIT_BYTES, "the command has ended");
    if (stopped && len < VIEWER_EXIT_BYTES)
        snprintf(out + len, VIEWER_EXIT_BYTES - (size_t)len, "; it was stopped: %s", stopped);
    json_decref(exit);
}
