#include "tools/mux/run_viewers.h"

#include "tools/node/view.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* What is read at a time: a person's keys, or a paste of them. */
#define READ_BYTES 1024

/* Of a terminal: more is a mistake. */
#define SIZE_MOST 10000

#define REFUSED_FULL "mux run: too many are attached to this run already\r\n"

/*
 * ---- one of them ----
 */

static void leave(struct run_viewer *viewer, uint64_t now_ns) {
    loop_unwatch(viewer->viewers->config.loop, viewer->watch);
    run_view_finish(viewer->view, now_ns);
    close(viewer->fd);
    viewer->fd = -1;
    viewer->watch = NULL;
    viewer->view = NULL;
}

struct window {
    unsigned rows, columns; /* 0: there is no terminal that can be drawn on */
    bool has_keys, is_wide;
};

static bool read_size(const json_t *object, const char *key, unsigned *size) {
    const json_t *number = json_object_get(object, key);
    json_int_t value = json_is_integer(number) ? json_integer_value(number) : -1;
    *size = value < 0 || value > SIZE_MOST ? 0 : (unsigned)value;
    return value >= 0 && value <= SIZE_MOST;
}

static bool read_window(struct mux_span json, struct window *window) {
    json_t *object = json_loadb((const char *)json.data, json.len, 0, NULL);
    bool is_fine = json_integer_value(json_object_get(object, "v")) == 1 &&
                   read_size(object, "rows", &window->rows) &&
                   read_size(object, "columns", &window->columns);
    window->has_keys = json_is_true(json_object_get(object, "keys"));
    window->is_wide = json_is_true(json_object_get(object, "utf8"));
    json_decref(object);
    return is_fine;
}

/* The first one begins the view. False: that is no window, or there is no memory. */
static bool take_window(struct run_viewer *viewer, struct mux_span json, uint64_t now_ns) {
    struct window window;
    struct run_view_config config = viewer->viewers->config.view;
    if (!read_window(json, &window))
        return false;
    if (viewer->view) {
        run_view_resize(viewer->view, window.rows, window.columns, now_ns);
        return true;
    }
    config.how = RUN_VIEW_AUTO;
    config.reader = RUN_VIEW_PERSON;
    config.has_keys = window.has_keys;
    config.remote = &(struct run_view_remote){
        .socket = viewer->fd,
        .rows = window.columns ? window.rows : 0,
        .columns = window.columns,
        .is_wide = window.is_wide,
    };
    viewer->view = run_view_open(&config, viewer->viewers->config.seen, now_ns);
    return viewer->view != NULL;
}

static void take_keys(struct run_viewer *viewer, struct mux_span keys, uint64_t now_ns) {
    const struct run_viewers_config *config = &viewer->viewers->config;
    for (size_t i = 0; viewer->view && i < keys.len; i++) {
        enum run_view_wish wish = run_view_key(viewer->view, (char)keys.data[i]);
        if (wish != RUN_VIEW_NOTHING)
            config->wish(config->user, wish, now_ns);
    }
}

/* False: nobody of ours sends such things. */
static bool take_frames(struct run_viewer *viewer, uint64_t now_ns) {
    struct mux_frame frame;
    for (;;) {
        mux_framer_next(&viewer->framer, &frame);
        if (frame.kind == MUX_FRAME_NONE)
            return mux_framer_chatter(&viewer->framer) == 0;
        if (frame.kind == MUX_FRAME_STORE && frame.store_bytes <= sizeof viewer->store) {
            mux_framer_move(&viewer->framer,
                            (struct mux_room){viewer->store, sizeof viewer->store});
            continue;
        }
        if (frame.kind != MUX_FRAME_PACKET)
            return false;
        struct mux_span file = frame.packet.file_name;
        if (mux_span_equal(file, mux_span_text("stdin")))
            take_keys(viewer, frame.packet.file_content, now_ns);
        else if (mux_span_equal(file, mux_span_text(VIEW_WINDOW_FILE)) &&
                 !take_window(viewer, frame.packet.file_content, now_ns))
            return false;
    }
}

static void read_viewer(struct loop_handler *handler, const struct transport_event *event,
                        uint64_t now_ns) {
    struct run_viewer *viewer = LOOP_OWNER(handler, struct run_viewer, readable);
    uint8_t bytes[READ_BYTES];
    (void)event;
    ssize_t got = recv(viewer->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (got > 0)
        mux_framer_feed(&viewer->framer, mux_span(bytes, (size_t)got));
    if (got <= 0 || !take_frames(viewer, now_ns))
        leave(viewer, now_ns);
}

/*
 * ---- who comes ----
 */

static bool is_this_user(int fd) {
    struct ucred who;
    socklen_t len = sizeof who;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && who.uid == geteuid();
}

static struct run_viewer *free_place(struct run_viewers *viewers) {
    for (unsigned i = 0; i < RUN_VIEWERS_MAX; i++)
        if (viewers->of[i].fd < 0)
            return &viewers->of[i];
    return NULL;
}

/* Takes the descriptor, or closes it. */
static void begin(struct run_viewers *viewers, int fd) {
    struct transport_failure failure;
    struct run_viewer *viewer = is_this_user(fd) ? free_place(viewers) : NULL;
    if (!viewer && is_this_user(fd))
        send(fd, REFUSED_FULL, sizeof REFUSED_FULL - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (viewer) {
        viewer->viewers = viewers;
        viewer->readable.handle = read_viewer;
        viewer->watch = loop_watch(viewers->config.loop, fd, &viewer->readable, &failure);
    }
    if (!viewer || !viewer->watch) {
        close(fd);
        return;
    }
    viewer->fd = fd;
    mux_framer_init(&viewer->framer, (struct mux_room){viewer->store, sizeof viewer->store});
}

static void accept_one(struct loop_handler *handler, const struct transport_event *event,
                       uint64_t now_ns) {
    struct run_viewers *viewers = LOOP_OWNER(handler, struct run_viewers, readable);
    (void)event, (void)now_ns;
    int fd = accept4(viewers->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        begin(viewers, fd);
}

/* The folder lets nobody else in; the mode says it once more. */
static const char *listen_at(int fd, const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    errno = ENAMETOOLONG;
    if (strlen(path) >= sizeof address.sun_path)
        return "bind";
    strcpy(address.sun_path, path);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return "bind";
    return chmod(path, 0600) < 0 ? "chmod" : listen(fd, RUN_VIEWERS_MAX) < 0 ? "listen" : NULL;
}

/*
 * ---- all of them ----
 */

void run_viewers_init(struct run_viewers *viewers) {
    viewers->fd = -1;
    viewers->watch = NULL;
    for (unsigned i = 0; i < RUN_VIEWERS_MAX; i++)
        viewers->of[i].fd = -1;
}

static void stop_listening(struct run_viewers *viewers) {
    if (viewers->watch)
        loop_unwatch(viewers->config.loop, viewers->watch);
    if (viewers->fd >= 0)
        close(viewers->fd);
    viewers->watch = NULL;
    viewers->fd = -1;
}

bool run_viewers_open(struct run_viewers *viewers, const struct run_viewers_config *config,
                      const char **operation) {
    struct transport_failure failure = {.operation = "socket"};
    viewers->config = *config;
    viewers->readable.handle = accept_one;
    viewers->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    *operation = viewers->fd < 0 ? "socket" : listen_at(viewers->fd, config->path);
    if (!*operation) {
        viewers->watch = loop_watch(config->loop, viewers->fd, &viewers->readable, &failure);
        errno = failure.error;
        *operation = viewers->watch ? NULL : failure.operation;
    }
    int error = errno;
    if (*operation)
        stop_listening(viewers);
    errno = error;
    return !*operation;
}

void run_viewers_close(struct run_viewers *viewers, uint64_t now_ns) {
    stop_listening(viewers);
    for (unsigned i = 0; i < RUN_VIEWERS_MAX; i++)
        if (viewers->of[i].fd >= 0)
            leave(&viewers->of[i], now_ns);
}

struct run_view *run_viewers_next(const struct run_viewers *viewers, int *place) {
    while (++*place < RUN_VIEWERS_MAX)
        if (viewers->of[*place].fd >= 0 && viewers->of[*place].view)
            return viewers->of[*place].view;
    return NULL;
}

uint64_t run_viewers_tick(struct run_viewers *viewers, uint64_t now_ns) {
    uint64_t next_ns = UINT64_MAX;
    struct run_view *view;
    for (int place = -1; (view = run_viewers_next(viewers, &place));) {
        uint64_t at_ns = run_view_tick(view, now_ns);
        next_ns = at_ns < next_ns ? at_ns : next_ns;
    }
    return next_ns;
}
