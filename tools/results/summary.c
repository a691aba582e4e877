#include "mux/hash.h"
#include "mux/packet/report.h"
#include "mux/packet/route.h"
#include "tools/base/random.h"
#include "tools/base/text.h"
#include "tools/results/attachment.h"
#include "tools/results/summary_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* What is shown of a failing test's traceback. */
#define TAIL_LINES 12

#define NAME_BYTES 512

/* Longest route with a segment in front that tells tests from one another. */
#define LINK_ROUTE_BYTES 4096

struct summary *summary_create(uint64_t now_ns) {
    struct summary *summary = calloc(1, sizeof *summary);
    if (!summary)
        return NULL;
    random_fill(&summary->hash_key, sizeof summary->hash_key);
    mux_list_init(&summary->by_age);
    for (unsigned i = RUNNING_MAX; i-- > 0;) {
        mux_list_init(&summary->running[i].by_age);
        summary->running[i].next = summary->free_running;
        summary->free_running = &summary->running[i];
    }
    summary_view_open(summary, now_ns);
    return summary;
}

void summary_set_control(struct summary *summary, const char *endpoint) {
    summary->control = endpoint;
}

bool summary_finish(struct summary *summary, uint64_t now_ns) {
    if (!summary)
        return true;
    bool written = summary_view_close(summary, now_ns);
    int error = errno;
    free(summary);
    errno = error;
    return written;
}

enum summary_verdict summary_verdict(const struct summary *summary) {
    if (summary->damages > 0)
        return SUMMARY_DAMAGED;
    if (summary_failed(summary) > 0 || summary_running(summary) > 0)
        return SUMMARY_FAILED;
    return summary_ended(summary) > 0 ? SUMMARY_PASSED : SUMMARY_NOTHING;
}

uint64_t summary_failed(const struct summary *summary) {
    return summary->by_status[MUX_STATUS_FAIL] + summary->by_status[MUX_STATUS_UXSUCCESS];
}

uint64_t summary_running(const struct summary *summary) {
    return summary->running_count + summary->untracked;
}

uint64_t summary_ended(const struct summary *summary) {
    uint64_t ended = 0;
    for (unsigned status = MUX_STATUS_SUCCESS; status <= MUX_STATUS_XFAIL; status++)
        ended += summary->by_status[status];
    return ended;
}

/* A test by its route and id; never 0. */
static uint64_t hash_of(const struct summary *summary, const struct mux_packet *packet) {
    uint64_t key = summary->hash_key;
    return (mux_hash(~key, packet->route) ^ mux_hash(key, packet->test_id)) | 1;
}

/*
 * ---- tests that run ----
 */

static struct running **bucket_of(struct summary *summary, uint64_t hash) {
    return &summary->buckets[(hash >> 1) % RUNNING_BUCKETS]; /* the last bit is set */
}

static struct running **find_running(struct summary *summary, uint64_t hash) {
    struct running **at = bucket_of(summary, hash);
    while (*at && (*at)->hash != hash)
        at = &(*at)->next;
    return at;
}

static size_t keep(uint8_t *out, size_t most, struct mux_span name) {
    size_t len = name.len < most ? name.len : most;
    if (len)
        memcpy(out, name.data, len);
    return len;
}

static void begin_test(struct summary *summary, const struct mux_packet *packet, uint64_t now_ns) {
    uint64_t hash = hash_of(summary, packet);
    struct running *running = summary->free_running;
    if (*find_running(summary, hash))
        return;
    if (!running) {
        summary->untracked++;
        return;
    }
    summary->free_running = running->next;
    struct running **bucket = bucket_of(summary, hash);
    running->hash = hash;
    running->started_ns = now_ns;
    running->route_len = keep(running->route, ROUTE_BYTES, packet->route);
    running->test_id_len = keep(running->test_id, TEST_ID_BYTES, packet->test_id);
    running->next = *bucket;
    *bucket = running;
    mux_list_append(&summary->by_age, &running->by_age);
    summary->running_count++;
}

static void end_test(struct summary *summary, const struct mux_packet *packet) {
    struct running **at = find_running(summary, hash_of(summary, packet));
    struct running *running = *at;
    if (!running) {
        summary->untracked -= summary->untracked > 0; /* most likely one of those */
        return;
    }
    *at = running->next;
    mux_list_remove(&running->by_age);
    running->next = summary->free_running;
    summary->free_running = running;
    summary->running_count--;
}

/*
 * ---- what is shown of a test that has ended ----
 */

static void show_line(void *user, const char *line) {
    screen_line(&((struct summary *)user)->screen, "    %s", line);
}

static void show_outcome(struct summary *summary, const struct mux_packet *packet,
                         const char *what) {
    char route[NAME_BYTES], test_id[NAME_BYTES];
    text_clean(packet->route, false, route, sizeof route);
    text_clean(packet->test_id, false, test_id, sizeof test_id);
    screen_line(&summary->screen, "%s  %s%sworker %s", what, test_id, *test_id ? "  " : "",
                *route ? route : "-");
}

static void forget_text(struct summary *summary, const struct mux_packet *packet, bool show) {
    struct mux_span text = texts_take(&summary->texts, hash_of(summary, packet));
    if (text.data && show)
        text_show_tail(text, TAIL_LINES, show_line, summary);
}

/*
 * ---- packets ----
 */

static void end_with(struct summary *summary, const struct mux_packet *packet) {
    bool failed = packet->status == MUX_STATUS_FAIL || packet->status == MUX_STATUS_UXSUCCESS;
    summary->by_status[packet->status]++;
    end_test(summary, packet);
    if (failed)
        show_outcome(summary, packet,
                     packet->status == MUX_STATUS_FAIL ? "FAIL" : "UNEXPECTED SUCCESS");
    forget_text(summary, packet, failed);
}

static void take_test(struct summary *summary, const struct mux_packet *packet, uint64_t now_ns) {
    if (packet->file_name.data && attachment_is_text(packet))
        texts_add(&summary->texts, hash_of(summary, packet), packet->file_content);
    switch (packet->status) {
    case MUX_STATUS_NONE:
    case MUX_STATUS_EXISTS:
        break;
    case MUX_STATUS_INPROGRESS:
        begin_test(summary, packet, now_ns);
        break;
    default:
        end_with(summary, packet);
        break;
    }
}

/* What a node or a reader has to say: damage, packets for nobody. No test has failed by it. */
static void take_notice(struct summary *summary, const struct mux_packet *packet,
                        const char *what) {
    show_outcome(summary, packet, what);
    if (packet->file_name.data && attachment_is_text(packet))
        text_show_tail(packet->file_content, TAIL_LINES, show_line, summary);
}

static void count_worker(struct summary *summary, struct mux_span route) {
    uint64_t hash = mux_hash(summary->hash_key, route) | 1;
    if (summary->workers_told || summary->route_count == ROUTES_MAX / 2)
        return;
    size_t at = (hash >> 1) % ROUTES_MAX;
    while (summary->routes[at] && summary->routes[at] != hash)
        at = (at + 1) % ROUTES_MAX;
    if (summary->routes[at])
        return;
    summary->routes[at] = hash;
    summary->route_count++;
    summary->workers++;
}

/* What a node says for itself; a lost node is told without a status. */
static bool is_message(const struct mux_packet *packet) {
    return packet->status == MUX_STATUS_FAIL ||
           mux_span_equal(packet->file_name, mux_span_text("muxd"));
}

void summary_packet(struct summary *summary, const struct mux_packet *packet, uint64_t now_ns) {
    summary->packets++;
    screen_change(&summary->screen);
    count_worker(summary, packet->route);
    if (mux_span_equal(packet->test_id, mux_span_text(MUX_REPORT_PARSER_ID))) {
        if (packet->status == MUX_STATUS_FAIL) {
            summary->damages++;
            take_notice(summary, packet, "DAMAGE");
        }
    } else if (packet->test_id.data) {
        take_test(summary, packet, now_ns);
    } else if (is_message(packet)) {
        take_notice(summary, packet, "NOTICE");
    } else {
        summary_prompts_packet(summary, packet, now_ns);
    }
}

void summary_link_packet(struct summary *summary, const char *segment,
                         const struct mux_packet *packet, uint64_t now_ns) {
    uint8_t route[LINK_ROUTE_BYTES];
    struct mux_packet routed = *packet;
    routed.route = mux_route_join(mux_span_text(segment), packet->route,
                                  (struct mux_room){route, sizeof route});
    summary_packet(summary, &routed, now_ns);
}

void summary_worker(struct summary *summary, const char *segment, const char *peer, bool came) {
    char clean[NAME_BYTES];
    text_clean(mux_span_text(peer), false, clean, sizeof clean);
    summary->workers_told = true;
    screen_change(&summary->screen);
    summary->workers += came ? 1u : 0u;
    summary->workers_seen += came ? 1u : 0u;
    summary->workers -= came ? 0u : 1u;
    if (!came)
        summary_prompts_left(summary, segment);
    if (!summary->screen.live)
        screen_line(&summary->screen, "worker %s %s%s%s", segment, came ? "came" : "left",
                    *clean ? ": " : "", clean);
}
