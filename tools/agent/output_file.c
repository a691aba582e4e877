/* The content of files: masked, cut beyond the limit. */
#include "tools/agent/output_internal.h"

#include <inttypes.h>
#include <stdio.h>

uint64_t output_allowed_bytes(const struct output *output) {
    return output->test_left < output->job_left ? output->test_left : output->job_left;
}

static void spend(uint64_t *left, uint64_t bytes) {
    if (*left != UINT64_MAX)
        *left -= bytes < *left ? bytes : *left;
}

void output_spend(struct output *output, uint64_t bytes) {
    spend(&output->test_left, bytes);
    spend(&output->job_left, bytes);
}

void output_count_cut(struct output *output, uint64_t bytes) {
    output->cut_bytes += bytes;
    if (output->counters)
        MUX_COUNT(output->counters, cut_bytes, bytes);
}

bool output_is_text(const struct mux_packet *packet) {
    return !packet->test_id.data && !packet->route.data &&
           (mux_span_equal(packet->file_name, mux_span_text("stdout")) ||
            mux_span_equal(packet->file_name, mux_span_text("stderr")));
}

void output_remember(struct output *output, struct mux_span text) {
    if (text.len > OUTPUT_LAST_BYTES) {
        output->last_count += text.len - OUTPUT_LAST_BYTES;
        text = mux_span(text.data + text.len - OUTPUT_LAST_BYTES, OUTPUT_LAST_BYTES);
    }
    for (size_t i = 0; i < text.len; i++)
        output->last[output->last_count++ % OUTPUT_LAST_BYTES] = text.data[i];
}

/*
 * ---- which file ----
 */

static bool same_name(const struct output_file *file, size_t *at, struct mux_span name, bool has,
                      size_t len) {
    bool same =
        has == (name.data != NULL) && mux_span_equal(name, mux_span(file->names + *at, len));
    *at += len;
    return same;
}

/* A file's MIME type may stand in its first packet only. */
static bool is_of(const struct output_file *file, const struct mux_packet *packet) {
    size_t at = 0;
    return file->is_used &&
           same_name(file, &at, packet->test_id, file->has_test_id, file->test_id_len) &&
           same_name(file, &at, packet->file_name, true, file->file_name_len) &&
           same_name(file, &at, packet->route, file->has_route, file->route_len);
}

static size_t names_bytes(const struct mux_packet *packet) {
    return packet->test_id.len + packet->file_name.len + packet->route.len + packet->mime.len;
}

struct output_file *output_file_find(struct output *output, const struct mux_packet *packet) {
    for (unsigned i = 0; i < OUTPUT_FILES && output->files_used; i++)
        if (is_of(&output->files[i], packet))
            return &output->files[i];
    return NULL;
}

static void put_name(struct output_file *file, size_t *at, struct mux_span name, size_t *len) {
    if (name.len)
        memcpy(file->names + *at, name.data, name.len);
    *len = name.len;
    *at += name.len;
}

static unsigned place_of(const struct output *output, const struct mux_packet *packet) {
    unsigned oldest = OUTPUT_ATTACHMENTS;
    if (output_is_text(packet))
        return mux_span_equal(packet->file_name, mux_span_text("stderr")) ? OUTPUT_STDERR
                                                                          : OUTPUT_STDOUT;
    for (unsigned i = OUTPUT_ATTACHMENTS; i < OUTPUT_FILES; i++) {
        if (!output->files[i].is_used)
            return i;
        if (output->files[i].used < output->files[oldest].used)
            oldest = i;
    }
    return oldest;
}

struct output_file *output_file_take(struct output *output, const struct mux_packet *packet,
                                     struct output_file **evicted) {
    struct output_file *file = &output->files[place_of(output, packet)];
    size_t at = 0;
    *evicted = NULL;
    if (names_bytes(packet) > OUTPUT_NAMES_BYTES)
        return NULL;
    if (file->is_used) {
        *evicted = file;
        return NULL;
    }
    file->is_used = true;
    file->used = ++output->uses;
    output->files_used++;
    put_name(file, &at, packet->test_id, &file->test_id_len);
    put_name(file, &at, packet->file_name, &file->file_name_len);
    put_name(file, &at, packet->route, &file->route_len);
    put_name(file, &at, packet->mime, &file->mime_len);
    file->has_test_id = packet->test_id.data != NULL;
    file->has_route = packet->route.data != NULL;
    file->has_mime = packet->mime.data != NULL;
    return file;
}

static struct mux_span take_name(const struct output_file *file, size_t *at, bool has, size_t len) {
    struct mux_span name = mux_span(has ? file->names + *at : NULL, len);
    *at += len;
    return name;
}

void output_file_packet(const struct output_file *file, struct mux_packet *packet) {
    size_t at = 0;
    *packet = (struct mux_packet){.runnable = !file->has_test_id};
    packet->test_id = take_name(file, &at, file->has_test_id, file->test_id_len);
    packet->file_name = take_name(file, &at, true, file->file_name_len);
    packet->route = take_name(file, &at, file->has_route, file->route_len);
    packet->mime = take_name(file, &at, file->has_mime, file->mime_len);
}

/*
 * ---- its content ----
 */

static void put_in_tail(struct output_file *file, struct mux_span content) {
    file->is_cut = true;
    if (content.len > OUTPUT_TAIL_BYTES) {
        file->tail_count += content.len - OUTPUT_TAIL_BYTES;
        content = mux_span(content.data + content.len - OUTPUT_TAIL_BYTES, OUTPUT_TAIL_BYTES);
    }
    while (content.len) {
        size_t at = file->tail_count % OUTPUT_TAIL_BYTES, room = OUTPUT_TAIL_BYTES - at;
        size_t some = content.len < room ? content.len : room;
        memcpy(file->tail + at, content.data, some);
        file->tail_count += some;
        content = mux_span(content.data + some, content.len - some);
    }
}

/* As much as may go up does, the rest goes to the tail: in order, so once that has begun, all. */
static void add_piece(struct output *output, struct output_file *file, struct mux_span content,
                      struct output_pieces *pieces) {
    uint64_t allowed = file->is_cut ? 0 : output_allowed_bytes(output);
    size_t some = content.len < allowed ? content.len : (size_t)allowed;
    if (file - output->files < OUTPUT_ATTACHMENTS)
        output_remember(output, content);
    output_spend(output, some);
    if (some)
        pieces->piece[pieces->count++] = mux_span(content.data, some);
    if (some < content.len)
        put_in_tail(file, mux_span(content.data + some, content.len - some));
}

/* Says what was left out, if anything was. */
static void put_mark(struct output *output, uint64_t left_out, struct output_pieces *pieces) {
    if (!left_out)
        return;
    output_count_cut(output, left_out);
    snprintf(pieces->mark, sizeof pieces->mark,
             "\n[mux exec left out %" PRIu64 " bytes here: --max-%soutput]\n", left_out,
             output->job_left ? "" : "job-");
    pieces->piece[pieces->count++] = mux_span_text(pieces->mark);
}

void output_file_show_tail(struct output *output, struct output_file *file,
                           struct output_pieces *pieces) {
    if (!file->is_cut)
        return;
    /* beyond the job's limit only the command's own text has an end */
    bool is_shown = output->job_left || file - output->files < OUTPUT_ATTACHMENTS;
    uint64_t count = file->tail_count, most = is_shown ? OUTPUT_TAIL_BYTES : 0;
    size_t len = (size_t)(count < most ? count : most);
    size_t at = (size_t)((count - len) % OUTPUT_TAIL_BYTES);
    size_t to_end = len < OUTPUT_TAIL_BYTES - at ? len : OUTPUT_TAIL_BYTES - at;
    put_mark(output, count - len, pieces);
    memcpy(pieces->tail, file->tail + at, to_end);
    memcpy(pieces->tail + to_end, file->tail, len - to_end);
    if (len)
        pieces->piece[pieces->count++] = mux_span(pieces->tail, len);
    file->tail_count = 0;
    file->is_cut = false;
}

void output_file_add(struct output *output, struct output_file *file, struct mux_span content,
                     bool is_over, struct output_pieces *pieces) {
    const struct mask *mask = &output->config->mask;
    size_t held;
    pieces->count = 0;
    file->used = ++output->uses;
    if (mask_is_empty(mask)) {
        add_piece(output, file, content, pieces);
    } else {
        uint8_t *bytes = (uint8_t *)(uintptr_t)content.data;
        size_t done = mask_run(mask, &file->masked, bytes, content.len, pieces->front, &held);
        add_piece(output, file, mux_span(pieces->front, held), pieces);
        add_piece(output, file, mux_span(bytes, done), pieces);
    }
    if (!is_over)
        return;
    if (!mask_is_empty(mask)) {
        held = mask_end(mask, &file->masked, pieces->rest);
        add_piece(output, file, mux_span(pieces->rest, held), pieces);
    }
    output_file_show_tail(output, file, pieces);
    file->is_used = false;
    output->files_used--;
}
