/* The editor: its owner's changes of what goes up, and their limits. */
#include "tests/core/rig.h"

#include <stdio.h>

/* What the editor does with a packet. */
static enum { PASSES, DROPS, MASKS, DOUBLES, ENLARGES } mode;
static unsigned shown, ended, failed;

static uint8_t tail[MUX_EDIT_BYTES - 4096];
static uint8_t tags[4096];

static void give_much(struct mux_packet *packet, struct mux_edit *edit) {
    struct mux_packet more = {.file_name = mux_span_text("more"),
                              .file_content = mux_span(tail, sizeof tail / MUX_EDIT_PACKETS)};
    for (unsigned i = 0; i + 1 < MUX_EDIT_PACKETS; i++)
        mux_edit_give(edit, &more);
    mux_edit_give(edit, packet);
}

static void mask(struct mux_packet *packet, struct mux_edit *edit) {
    uint8_t *bytes = (uint8_t *)(uintptr_t)packet->file_content.data;
    memset(bytes, '*', packet->file_content.len);
    mux_edit_give(edit, packet);
}

static void enlarge(struct mux_packet *packet, struct mux_edit *edit) {
    size_t len = 0;
    while (!mux_tag_append(tags, sizeof tags, &len, mux_span_text("a tag")))
        packet->tag_count++;
    packet->has_tags = true;
    packet->tags = mux_span(tags, len);
    mux_edit_give(edit, packet);
}

static void edit_packet(void *user, void *link_user, struct mux_packet *packet,
                        struct mux_edit *edit) {
    (void)link_user;
    assert_ptr_equal(user, &shown);
    shown++;
    if (mode == PASSES)
        mux_edit_pass(edit);
    else if (mode == MASKS)
        mask(packet, edit);
    else if (mode == DOUBLES)
        give_much(packet, edit);
    else if (mode == ENLARGES)
        enlarge(packet, edit);
}

static void edit_end(void *user, void *link_user, struct mux_edit *edit) {
    const struct mux_packet last = {.file_name = mux_span_text("end"),
                                    .file_content = mux_span_text("")};
    (void)user, (void)link_user;
    ended++;
    mux_edit_give(edit, &last);
}

static void edit_failure(void *user, void *link_user, struct mux_packet *packet,
                         struct mux_edit *edit) {
    (void)user, (void)link_user;
    assert_int_equal(packet->status, MUX_STATUS_FAIL);
    failed++;
    mux_edit_pass(edit);
}

static const struct mux_editor editor = {&shown, edit_packet, edit_end, edit_failure};

static int open_edited(void **state) {
    rig_editor = &editor;
    shown = ended = failed = 0;
    return rig_open(state);
}

static int close_edited(void **state) {
    rig_editor = NULL;
    return rig_close(state);
}

static void assert_span(struct mux_span span, const char *text) {
    assert_int_equal(span.len, strlen(text));
    assert_memory_equal(span.data, text, span.len);
}

static void give_file(struct mux_link *link, const char *name, const char *content) {
    const struct mux_packet packet = {.file_name = mux_span_text(name),
                                      .file_content = mux_span_text(content)};
    rig_give_packet(link, &packet);
}

/* The next packet that went up. */
static struct mux_packet next_up(size_t *at) {
    struct mux_packet packet;
    assert_true(rig_next_up(at, &packet));
    return packet;
}

static void assert_nothing_more(size_t at) {
    struct mux_packet packet;
    assert_false(rig_next_up(&at, &packet));
}

static void packets_pass_change_or_stay_away(void **state) {
    struct mux_link *link = rig_connect();
    size_t at = 0;
    (void)state;
    mode = PASSES;
    give_file(link, "f", "content");
    mode = DROPS;
    give_file(link, "f", "left out");
    mode = MASKS;
    give_file(link, "f", "secret");
    rig_give(link, (const uint8_t *)"chatter\n", 8);
    rig_send_up();
    assert_int_equal(shown, 4);
    struct mux_packet packet = next_up(&at);
    assert_span(packet.file_content, "content");
    assert_span(packet.route, "0");
    packet = next_up(&at);
    assert_span(packet.file_content, "******");
    assert_span(packet.route, "0");
    packet = next_up(&at);
    assert_span(packet.file_name, "stdout");
    assert_span(packet.file_content, "********");
    assert_nothing_more(at);
}

/* Damage is shown as the packets that it becomes. */
static void damage_is_shown(void **state) {
    struct mux_link *link = rig_connect();
    size_t at = 0, len = rig_packet(100, NULL);
    (void)state;
    mode = MASKS;
    packet_bytes[len - 1] ^= 1;
    rig_give(link, packet_bytes, len);
    rig_lose(link);
    rig_send_up();
    struct mux_packet packet = next_up(&at);
    assert_span(packet.test_id, "subunit.parser");
    assert_int_equal(packet.file_content.len, len);
    assert_int_equal(packet.file_content.data[0], '*');
}

/* As much as a call may give, beside frames that are copied, and never more than a batch has. */
static void much_is_given(void **state) {
    struct mux_link *link = rig_connect();
    unsigned frames = 300, more = 0;
    (void)state;
    mode = DOUBLES;
    for (unsigned i = 0; i < frames; i++) {
        rig_give(link, packet_bytes, rig_packet(30000, NULL));
        rig_send_up();
    }
    size_t at = 0;
    struct mux_packet packet;
    while (rig_next_up(&at, &packet))
        more += mux_span_equal(packet.file_name, mux_span_text("more"));
    assert_int_equal(shown, frames);
    assert_int_equal(more, frames * (MUX_EDIT_PACKETS - 1));
}

/* A packet that its tags make too large goes as two: nothing of it is lost. */
static void too_large_goes_as_two(void **state) {
    struct mux_link *link = rig_connect();
    static uint8_t large[MUX_PACKET_MAX_BYTES];
    const struct mux_packet packet = {.file_name = mux_span_text("f"),
                                      .file_content = mux_span(large, MUX_PACKET_MAX_BYTES - 100)};
    size_t len, at = 0, content = 0;
    (void)state;
    mode = ENLARGES;
    static uint8_t bytes[MUX_PACKET_MAX_BYTES];
    assert_false(mux_packet_encode(&packet, bytes, sizeof bytes, &len));
    for (size_t from = 0; from < len; from += 60000) {
        rig_give(link, bytes + from, len - from < 60000 ? len - from : 60000);
        rig_send_up();
    }
    struct mux_packet up;
    unsigned count = 0;
    for (; rig_next_up(&at, &up); count++)
        content += up.file_content.len;
    assert_int_equal(count, 2);
    assert_int_equal(content, packet.file_content.len);
    assert_int_equal(rig_counter(MUX_COUNT_split_packets), 1);
}

/* What is held back comes before the failures of the link's tests. */
static void the_end_comes_before_the_failures(void **state) {
    struct mux_link *link = rig_connect();
    size_t at = 0;
    (void)state;
    mode = PASSES;
    rig_give_status(link, "a", NULL, MUX_STATUS_INPROGRESS);
    rig_give_status(link, "b", NULL, MUX_STATUS_INPROGRESS);
    rig_lose(link);
    rig_send_up();
    assert_int_equal(ended, 1);
    assert_int_equal(failed, 2);
    next_up(&at);
    next_up(&at);
    assert_span(next_up(&at).file_name, "end");
    struct mux_packet packet = next_up(&at);
    assert_span(packet.test_id, "a");
    assert_span(packet.route, "0");
    assert_span(next_up(&at).test_id, "b");
    assert_nothing_more(at);
}

#define EDIT_TEST(name) cmocka_unit_test_setup_teardown(name, open_edited, close_edited)

int main(void) {
    const struct CMUnitTest tests[] = {
        EDIT_TEST(packets_pass_change_or_stay_away),
        EDIT_TEST(damage_is_shown),
        EDIT_TEST(much_is_given),
        EDIT_TEST(too_large_goes_as_two),
        EDIT_TEST(the_end_comes_before_the_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
