#include "tools/muxd/screen.h"

#include "mux/framer.h"
#include "mux/hash.h"
#include "tools/common/text.h"

#include <stdio.h>
#include <stdlib.h>

/* What is shown of a failing test's traceback. */
#define TAIL_LINES 12
#define TAIL_BYTES 2048

/*
 * Texts that wait for their test's outcome (a traceback comes before the failure it belongs to).
 * Few tests fail at the same time; the oldest text gives way.
 */
#define TEXTS_MAX 64

#define NAME_BYTES 512

struct text {
    uint32_t hash; /* of route and test id; 0: free */
    size_t len;
    char bytes[TAIL_BYTES];
};

struct screen {
    struct mux_framer framer;
    uint8_t *store;
    struct text texts[TEXTS_MAX];
    unsigned oldest;
    unsigned workers;
    uint64_t by_status[MUX_STATUS_XFAIL + 1];
    uint64_t damages;
};

struct screen *screen_create(void) {
    struct screen *screen = calloc(1, sizeof *screen);
    if (!screen)
        return NULL;
    screen->store = malloc(MUX_STORE_MAX_BYTES);
    if (!screen->store) {
        free(screen);
        return NULL;
    }
    mux_framer_init(&screen->framer, (struct mux_room){screen->store, MUX_STORE_MAX_BYTES});
    return screen;
}

void screen_destroy(struct screen *screen) {
    if (!screen)
        return;
    free(screen->store);
    free(screen);
}

static uint32_t hash_of(const struct mux_packet *packet) {
    return (mux_hash(packet->route) * 31 + mux_hash(packet->test_id)) | 1;
}

static struct text *find_text(struct screen *screen, uint32_t hash) {
    for (unsigned i = 0; i < TEXTS_MAX; i++)
        if (screen->texts[i].hash == hash)
            return &screen->texts[i];
    return NULL;
}

static bool is_text(const struct mux_packet *packet) {
    static const char prefix[] = "text/";
    size_t len = sizeof prefix - 1;
    if (!packet->mime.data)
        return mux_span_equal(packet->file_name, mux_span_text("traceback"));
    return packet->mime.len >= len && memcmp(packet->mime.data, prefix, len) == 0;
}

/* Keeps the tail of a test's text file: the last bytes that fit. */
static void keep_text(struct screen *screen, const struct mux_packet *packet) {
    struct mux_span content = packet->file_content;
    uint32_t hash = hash_of(packet);
    struct text *text = find_text(screen, hash);
    if (!text) {
        text = &screen->texts[screen->oldest++ % TEXTS_MAX];
        *text = (struct text){.hash = hash};
    }
    if (content.len >= TAIL_BYTES) {
        content = mux_span(content.data + content.len - TAIL_BYTES, TAIL_BYTES);
        text->len = 0;
    }
    size_t surplus =
        text->len + content.len > TAIL_BYTES ? text->len + content.len - TAIL_BYTES : 0;
    memmove(text->bytes, text->bytes + surplus, text->len - surplus);
    text->len -= surplus;
    if (content.len)
        memcpy(text->bytes + text->len, content.data, content.len);
    text->len += content.len;
}

static void print_outcome(struct screen *screen, const struct mux_packet *packet) {
    char route[NAME_BYTES], test_id[NAME_BYTES];
    text_clean(packet->route, false, route, sizeof route);
    text_clean(packet->test_id, false, test_id, sizeof test_id);
    printf("%s  %s  worker %s\n", packet->status == MUX_STATUS_FAIL ? "FAIL" : "UNEXPECTED SUCCESS",
           *test_id ? test_id : "(no test)", *route ? route : "-");
    struct text *text = find_text(screen, hash_of(packet));
    if (text)
        text_print_tail(mux_span(text->bytes, text->len), TAIL_LINES, "    ");
}

static bool is_final(enum mux_status status) {
    return status != MUX_STATUS_NONE && status != MUX_STATUS_EXISTS &&
           status != MUX_STATUS_INPROGRESS;
}

static void show_packet(struct screen *screen, const struct mux_packet *packet) {
    bool with_text = packet->file_name.data && is_text(packet);
    if (with_text)
        keep_text(screen, packet);
    screen->by_status[packet->status]++;
    if (packet->status == MUX_STATUS_FAIL || packet->status == MUX_STATUS_UXSUCCESS)
        print_outcome(screen, packet);
    if (is_final(packet->status)) {
        struct text *text = find_text(screen, hash_of(packet));
        if (text)
            text->hash = 0;
    }
}

static void take_frames(struct screen *screen) {
    struct mux_frame frame;
    do {
        mux_framer_next(&screen->framer, &frame);
        if (frame.kind == MUX_FRAME_PACKET)
            show_packet(screen, &frame.packet);
        else if (frame.kind == MUX_FRAME_STORE)
            mux_framer_move(&screen->framer, (struct mux_room){screen->store, MUX_STORE_MAX_BYTES});
    } while (frame.kind != MUX_FRAME_NONE);
}

void screen_packets(struct screen *screen, const struct mux_gather *packets) {
    for (size_t i = 0; i < packets->count; i++) {
        mux_framer_feed(&screen->framer, packets->spans[i]);
        take_frames(screen);
    }
    fflush(stdout);
}

void screen_totals(struct screen *screen) {
    const uint64_t *by = screen->by_status;
    printf("%u workers, tests: %llu passed, %llu failed, %llu skipped\n", screen->workers,
           (unsigned long long)(by[MUX_STATUS_SUCCESS] + by[MUX_STATUS_XFAIL]),
           (unsigned long long)(by[MUX_STATUS_FAIL] + by[MUX_STATUS_UXSUCCESS]),
           (unsigned long long)by[MUX_STATUS_SKIP]);
    fflush(stdout);
}

void screen_link(struct screen *screen, const char *segment, const char *peer, bool came) {
    char clean[NAME_BYTES];
    text_clean(mux_span_text(peer), false, clean, sizeof clean);
    printf("worker %s %s%s%s\n", segment, came ? "came" : "left", *clean ? ": " : "", clean);
    screen->workers += came ? 1u : 0u;
    screen->workers -= came ? 0u : 1u;
    if (!came)
        screen_totals(screen);
    fflush(stdout);
}
