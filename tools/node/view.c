#include "tools/node/view.h"

#include "mux/packet/report.h"
#include "tools/node/route_glob.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct view *view_create(struct mux_span route, bool is_exact) {
    struct view *view = calloc(1, sizeof *view);
    if (!view || !(view->queue = malloc(VIEW_QUEUE_BYTES))) {
        free(view);
        return NULL;
    }
    assert(route.len <= VIEW_ROUTE_BYTES);
    memcpy(view->route, route.data, route.len);
    view->is_exact = is_exact;
    return view;
}

void view_destroy(struct view *view) {
    if (view)
        free(view->queue);
    free(view);
}

bool view_wants(const struct view *view, struct mux_span route) {
    struct mux_span own = mux_span_text(view->route);
    return view->is_exact ? mux_span_equal(own, route) : route_glob_matches(own, route);
}

/* A message of a node on the way to the route: that it does not exist, that a node is away. */
static bool is_message_about(const struct view *view, const struct mux_packet *packet) {
    return view->is_exact &&
           mux_span_equal(packet->file_name, mux_span_text(MUX_REPORT_MESSAGE_FILE)) &&
           route_leads_to(packet->route, mux_span_text(view->route));
}

static void append(struct view *view, struct mux_span bytes) {
    while (bytes.len) {
        size_t at = (view->head + view->len) % VIEW_QUEUE_BYTES, len = VIEW_QUEUE_BYTES - at;
        if (len > bytes.len)
            len = bytes.len;
        memcpy(view->queue + at, bytes.data, len);
        view->len += len;
        bytes = mux_span(bytes.data + len, bytes.len - len);
    }
}

static bool add(struct view *view, const struct mux_packet *packet) {
    struct mux_pieces pieces;
    if (mux_packet_gather(packet, &pieces) || pieces.len_bytes > VIEW_QUEUE_BYTES - view->len)
        return false;
    for (size_t i = 0; i < pieces.count; i++)
        append(view, pieces.piece[i]);
    return true;
}

static bool add_message(struct view *view, enum mux_status status, const char *text) {
    struct mux_packet packet;
    const struct mux_span none = mux_span(NULL, 0);
    mux_report_message_event(status, mux_span_text(text), none, none, &packet);
    return add(view, &packet);
}

/* When half of the queue is free again. True: nothing was left out, or the viewer was told. */
static bool has_caught_up(struct view *view) {
    char text[96];
    if (!view->missed_bytes)
        return true;
    snprintf(text, sizeof text,
             "%" PRIu64 " bytes of output were left out: this view reads too slowly",
             view->missed_bytes);
    if (view->len > VIEW_QUEUE_BYTES / 2 || !add_message(view, MUX_STATUS_NONE, text))
        return false;
    view->missed_bytes = 0;
    return true;
}

static void miss(struct view *view, size_t bytes) {
    view->missed_bytes += bytes + !bytes;
    view->missed_total_bytes += bytes + !bytes;
}

/* In pieces: status and end go with the last one. */
void view_add(struct view *view, const struct mux_packet *packet) {
    struct mux_packet piece = *packet;
    struct mux_span rest = packet->file_content;
    if (!view_wants(view, packet->route) && !is_message_about(view, packet))
        return;
    piece.has_tags = false;
    piece.tags = mux_span(NULL, 0);
    bool may_add = has_caught_up(view);
    do {
        size_t len = rest.len < VIEW_CONTENT_BYTES ? rest.len : VIEW_CONTENT_BYTES;
        bool is_last = len == rest.len;
        piece.file_content = mux_span(rest.data, len);
        piece.eof = is_last && packet->eof;
        piece.status = is_last ? packet->status : MUX_STATUS_NONE;
        may_add = may_add && add(view, &piece);
        if (!may_add) {
            miss(view, rest.len);
            return;
        }
        rest = mux_span(rest.data + len, rest.len - len);
    } while (rest.len);
}

void view_add_bytes(struct view *view, struct mux_span packet) {
    if (packet.len <= VIEW_QUEUE_BYTES - view->len)
        append(view, packet);
    else
        miss(view, packet.len);
}

void view_say(struct view *view, enum mux_status status, const char *text) {
    if (!has_caught_up(view) || !add_message(view, status, text))
        miss(view, strlen(text));
}

bool view_has_more(const struct view *view) {
    return view->len > view->gather.len_bytes;
}

const struct mux_gather *view_take(struct view *view, size_t most) {
    if (view->gather.len_bytes)
        return NULL;
    has_caught_up(view);
    if (!view->len)
        return NULL;
    size_t len = view->len < most ? view->len : most, first = VIEW_QUEUE_BYTES - view->head;
    if (first > len)
        first = len;
    view->spans[0] = mux_span(view->queue + view->head, first);
    view->spans[1] = mux_span(view->queue, len - first);
    view->gather = (struct mux_gather){view->spans, 1 + (first < len), len};
    return &view->gather;
}

void view_sent(struct view *view) {
    view->head = (view->head + view->gather.len_bytes) % VIEW_QUEUE_BYTES;
    view->len -= view->gather.len_bytes;
    view->gather.len_bytes = 0;
}

bool view_is_output(struct mux_span file) {
    return !mux_report_is_own_file(file) && !mux_span_equal(file, mux_span_text("runner.batch"));
}
