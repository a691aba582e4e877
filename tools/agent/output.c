#include "mux/packet/report.h"
#include "tools/agent/output_internal.h"

#include <time.h>

/* For each byte that is not UTF-8. */
static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */

/* A test's end: of each file what was held, the mark and the tail; then a file of the packet's own.
 */
_Static_assert(3 * OUTPUT_FILES + 2 <= MUX_EDIT_PACKETS, "one packet may end all files");
_Static_assert(OUTPUT_GROWTH == sizeof replacement - 1, "each byte may be replaced");

/* Oldest first. */
static size_t copy_last(const struct output *output, uint8_t out[OUTPUT_LAST_BYTES]) {
    uint64_t count = output->last_count;
    size_t len = count < OUTPUT_LAST_BYTES ? (size_t)count : OUTPUT_LAST_BYTES;
    for (size_t i = 0; i < len; i++)
        out[i] = output->last[(count - len + i) % OUTPUT_LAST_BYTES];
    return len;
}

/* The oldest character may be cut: the bytes that continue it are left out. */
static struct mux_span whole_characters(struct mux_span text) {
    while (text.len && (*text.data & 0xC0) == 0x80)
        text = mux_span(text.data + 1, text.len - 1);
    return text;
}

size_t output_readable(struct mux_span text, char *out) {
    size_t len = 0;
    while (text.len) {
        size_t width = mux_utf8_character(text);
        const void *from = width ? (const void *)text.data : replacement;
        size_t bytes = width ? width : sizeof replacement - 1;
        memcpy(out + len, from, bytes);
        len += bytes;
        width += !width;
        text = mux_span(text.data + width, text.len - width);
    }
    return len;
}

bool output_last(const struct output *output, struct mux_span test_id, struct mux_span route,
                 char room[OUTPUT_LAST_ROOM_BYTES], struct mux_packet *packet) {
    uint8_t bytes[OUTPUT_LAST_BYTES];
    struct mux_span text = mux_span(bytes, copy_last(output, bytes));
    if (text.len == OUTPUT_LAST_BYTES)
        text = whole_characters(text);
    *packet = (struct mux_packet){
        .eof = true,
        .test_id = test_id,
        .mime = mux_span_text("text/plain;charset=utf8"),
        .file_name = mux_span_text("last output"),
        .file_content = mux_span(room, output_readable(text, room)),
        .route = route,
    };
    return text.len > 0;
}

/*
 * ---- what a packet is given beside its content ----
 */

static struct mux_span masked_name(const struct mask *mask, struct mux_span name, uint8_t *out,
                                   size_t most) {
    if (!name.data)
        return name;
    size_t len = name.len < most ? name.len : most;
    while (len < name.len && len > 0 && (name.data[len] & 0xC0) == 0x80)
        len--; /* not inside a character */
    memcpy(out, name.data, len);
    mask_text(mask, out, len);
    return mux_span(out, len);
}

/* Those of a packet that has more than there is room for stay, unless they must be masked. */
static void complete_tags(struct output *output, struct mux_packet *packet) {
    const struct output_config *config = output->config;
    const bool is_masked = !mask_is_empty(&config->mask);
    struct mux_span tags = packet->tags, tag;
    size_t len = 0;
    unsigned count = 0;
    bool fits = packet->tags.len <= OUTPUT_TAGS_BYTES / 2;
    if (!fits && !is_masked)
        return;
    while (fits && packet->has_tags && mux_tag_next(&tags, &tag)) {
        count += !mux_tag_append(output->tags, sizeof output->tags, &len, tag);
        mask_text(&config->mask, output->tags + len - tag.len, tag.len);
    }
    memcpy(output->tags + len, config->tags, config->tags_len);
    for (tags = mux_span(output->tags + len, config->tags_len); mux_tag_next(&tags, &tag);)
        mask_text(&config->mask, output->tags + (tag.data - output->tags), tag.len);
    packet->tags = mux_span(output->tags, len + config->tags_len);
    packet->tag_count = count + config->tag_count;
    packet->has_tags = packet->has_tags || config->tag_count;
}

static void complete_time(struct mux_packet *packet) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    packet->has_timestamp = true;
    packet->seconds = (uint32_t)now.tv_sec;
    packet->nanoseconds = (uint32_t)now.tv_nsec;
}

/* Names that mux exec gives by itself: no secret is in them, and readers know the files by them. */
static bool is_own_name(struct mux_span file) {
    static const char *const names[] = {"stdout", "stderr", "last output", "on-hang"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (mux_span_equal(file, mux_span_text(names[i])))
            return true;
    return mux_report_is_own_file(file);
}

void output_complete(struct output *output, struct mux_packet *packet) {
    const struct output_config *config = output->config;
    const struct mask *mask = &config->mask;
    if (!mask_is_empty(mask)) {
        packet->test_id =
            masked_name(mask, packet->test_id, output->test_id, sizeof output->test_id);
        if (!is_own_name(packet->file_name))
            packet->file_name =
                masked_name(mask, packet->file_name, output->file_name, sizeof output->file_name);
    }
    if (config->tag_count || (packet->has_tags && !mask_is_empty(mask)))
        complete_tags(output, packet);
    if (config->adds_timestamps && !packet->has_timestamp)
        complete_time(packet);
}

static bool completes(const struct output_config *config) {
    return config->tag_count || config->adds_timestamps || !mask_is_empty(&config->mask);
}

static void give(struct output *output, const struct mux_packet *packet, struct mux_edit *edit) {
    struct mux_packet complete = *packet;
    output_complete(output, &complete);
    mux_edit_give(edit, &complete);
}

/* It is as it came, but for what is missing. */
static void pass(struct output *output, const struct mux_packet *packet, struct mux_edit *edit) {
    if (completes(output->config))
        give(output, packet, edit);
    else
        mux_edit_pass(edit);
}

/*
 * ---- files ----
 */

/* Status and end of file come with the last piece. */
static void give_pieces(struct output *output, const struct mux_packet *packet,
                        const struct output_pieces *pieces, struct mux_edit *edit) {
    struct mux_packet part = *packet;
    bool says_more = packet->status != MUX_STATUS_NONE || packet->eof;
    part.status = MUX_STATUS_NONE;
    part.eof = false;
    for (unsigned i = 0; i + 1 < pieces->count; i++) {
        part.file_content = pieces->piece[i];
        give(output, &part, edit);
    }
    part = *packet;
    part.file_content =
        pieces->count ? pieces->piece[pieces->count - 1] : mux_span(packet->file_content.data, 0);
    if (pieces->count || says_more)
        give(output, &part, edit);
}

static void end_file(struct output *output, struct output_file *file, struct mux_edit *edit) {
    struct output_pieces pieces;
    struct mux_packet packet;
    output_file_packet(file, &packet);
    output_file_add(output, file, mux_span("", 0), true, &pieces);
    packet.file_content = mux_span("", 0);
    give_pieces(output, &packet, &pieces, edit);
}

/* A packet whose names are too long to remember: what is not decided at its end is masked. */
static void edit_alone(struct output *output, struct mux_packet *packet, struct mux_edit *edit) {
    uint8_t *bytes = (uint8_t *)(uintptr_t)packet->file_content.data;
    uint64_t allowed = output_allowed_bytes(output);
    size_t len = packet->file_content.len;
    mask_piece(&output->config->mask, bytes, len);
    if (len > allowed) {
        output_count_cut(output, len - allowed);
        packet->file_content.len = (size_t)allowed;
    }
    output_spend(output, packet->file_content.len);
    give(output, packet, edit);
}

static struct output_file *begin_file(struct output *output, const struct mux_packet *packet,
                                      struct mux_edit *edit) {
    struct output_file *evicted;
    struct output_file *file = output_file_take(output, packet, &evicted);
    if (!evicted)
        return file;
    end_file(output, evicted, edit);
    return output_file_take(output, packet, &evicted);
}

static bool has_long_names(const struct mux_packet *packet) {
    return packet->test_id.len + packet->file_name.len + packet->route.len + packet->mime.len >
               OUTPUT_NAMES_BYTES ||
           packet->tags.len > OUTPUT_TAGS_BYTES / 2;
}

static void edit_file(struct output *output, struct mux_packet *packet, struct mux_edit *edit) {
    struct output_pieces pieces;
    bool is_text = output_is_text(packet);
    struct output_file *file = output_file_find(output, packet);
    bool passes = !file && mask_is_empty(&output->config->mask) &&
                  packet->file_content.len <= output_allowed_bytes(output);
    if (passes) {
        output_spend(output, packet->file_content.len);
        if (is_text)
            output_remember(output, packet->file_content);
        pass(output, packet, edit);
        return;
    }
    if (!file && !has_long_names(packet))
        file = begin_file(output, packet, edit);
    if (!file || has_long_names(packet)) {
        edit_alone(output, packet, edit);
        return;
    }
    bool is_over = !is_text && (packet->eof || packet->status > MUX_STATUS_INPROGRESS);
    output_file_add(output, file, packet->file_content, is_over, &pieces);
    give_pieces(output, packet, &pieces, edit);
}

static void show_tail(struct output *output, struct output_file *file, struct mux_edit *edit) {
    struct output_pieces pieces = {.count = 0};
    struct mux_packet packet;
    if (!file->is_cut || !output->job_left)
        return;
    output_file_packet(file, &packet);
    output_file_show_tail(output, file, &pieces);
    packet.file_content = mux_span("", 0);
    give_pieces(output, &packet, &pieces, edit);
}

static bool is_same_test(const struct output_file *file, const struct mux_packet *packet) {
    struct mux_packet of_file;
    output_file_packet(file, &of_file);
    return mux_span_equal(of_file.test_id, packet->test_id) &&
           mux_span_equal(of_file.route, packet->route);
}

static void show_tails(struct output *output, struct mux_edit *edit) {
    show_tail(output, &output->files[OUTPUT_STDOUT], edit);
    show_tail(output, &output->files[OUTPUT_STDERR], edit);
    output->shows_tails = false;
}

/* A test begins, or ends: what was written until then comes first. */
static void turn_page(struct output *output, const struct mux_packet *packet,
                      struct mux_edit *edit) {
    const struct output_file *own =
        packet->file_name.data ? output_file_find(output, packet) : NULL;
    show_tails(output, edit);
    for (unsigned i = OUTPUT_ATTACHMENTS; i < OUTPUT_FILES && output->files_used; i++) {
        struct output_file *file = &output->files[i];
        if (file->is_used && file != own && packet->status > MUX_STATUS_INPROGRESS &&
            is_same_test(file, packet))
            end_file(output, file, edit);
    }
    if (packet->status == MUX_STATUS_INPROGRESS)
        output->test_left = output->config->test_bytes;
}

/* What a person at a prompt gets to see beyond the limit, each time that there is one. */
#define ROOM_BYTES 65536

void output_make_room(struct output *output) {
    if (output->test_left < ROOM_BYTES)
        output->test_left = ROOM_BYTES;
    output->shows_tails = true;
}

/* As the command wrote it: a prompt must not be held back. */
static void note_prompt(struct output *output, const struct mux_packet *packet) {
    bool is_stderr = mux_span_equal(packet->file_name, mux_span_text("stderr"));
    static const char names[2][7] = {"stdout", "stderr"};
    prompt_text(&output->prompt, packet->file_content, mux_span_text(names[is_stderr]));
}

static void edit_packet(void *user, void *link_user, struct mux_packet *packet,
                        struct mux_edit *edit) {
    struct output *output = user;
    (void)link_user;
    bool is_text = packet->file_name.data && output_is_text(packet);
    if (is_text)
        note_prompt(output, packet);
    if (is_text && output->shows_tails)
        show_tails(output, edit);
    if (packet->test_id.data && packet->status >= MUX_STATUS_INPROGRESS) {
        prompt_goes_on(&output->prompt);
        turn_page(output, packet, edit);
    }
    if (packet->file_name.data)
        edit_file(output, packet, edit);
    else
        pass(output, packet, edit);
}

static void edit_end(void *user, void *link_user, struct mux_edit *edit) {
    struct output *output = user;
    for (unsigned i = 0; i < OUTPUT_FILES; i++) {
        bool is_stderr = link_user == output->stderr_link;
        if (output->files[i].is_used && (!is_stderr || i == OUTPUT_STDERR))
            end_file(output, &output->files[i], edit);
    }
}

static void edit_failure(void *user, void *link_user, struct mux_packet *packet,
                         struct mux_edit *edit) {
    struct output *output = user;
    struct mux_packet last;
    char room[OUTPUT_LAST_ROOM_BYTES];
    (void)link_user;
    if (packet->test_id.data && output_last(output, packet->test_id, packet->route, room, &last))
        give(output, &last, edit);
    mask_text(&output->config->mask, (uint8_t *)(uintptr_t)packet->file_content.data,
              packet->file_content.len);
    give(output, packet, edit);
}

void output_init(struct output *output, const struct output_config *config) {
    output->editor = (struct mux_editor){
        .user = output, .packet = edit_packet, .ended = edit_end, .failed = edit_failure};
    output->config = config;
    output->prompt.pattern = config->prompt;
    output->test_left = config->test_bytes;
    output->job_left = config->job_bytes;
}

bool output_config_tag(struct output_config *config, const char *tag) {
    const struct mux_span text = mux_span_text(tag);
    if (!text.len || mux_string_check(text) ||
        mux_tag_append(config->tags, sizeof config->tags / 2, &config->tags_len, text))
        return false;
    config->tag_count++;
    return true;
}
