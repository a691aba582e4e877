#include "tools/mux/ctl_words.h"

#include "tools/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KILO 1000.0

/* Text in a column: what could steer the terminal is replaced; of a long one the end is shown. */
#define COLUMN_MOST 48
#define TEXT_BYTES (COLUMN_MOST * TEXT_GROWTH + 8)

#define PEER_WIDTH 28
#define TEST_WIDTH 40

/* A clock that is wrong by this much is shown in the table of links. */
#define CLOCK_SHOWN_S 0.1

/* Places that drain and are no links, in the line about them. */
#define DRAINS_SHOWN 4

/* Segment and peer of a link. */
#define KEY_BYTES 1024

static const char *string_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static double number_of(const json_t *object, const char *key) {
    return json_number_value(json_object_get(object, key));
}

/* "12.4 MB" */
static void bytes_text(double bytes, char out[32]) {
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    unsigned unit = 0;
    for (; bytes >= 999.95 && unit < sizeof units / sizeof *units - 1; unit++)
        bytes /= KILO;
    snprintf(out, 32, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}

/* "1,234,567" */
static void count_text(double count, char out[32]) {
    char digits[32];
    size_t len = (size_t)snprintf(digits, sizeof digits, "%.0f", count), at = 0;
    for (size_t i = 0; i < len && at < 30; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
}

/* "0.3 s", "3:07", "1:12:30" */
static void age_text(double seconds, char out[32]) {
    unsigned long whole = (unsigned long)seconds;
    if (seconds < 60)
        snprintf(out, 32, "%.1f s", seconds);
    else if (whole < 3600)
        snprintf(out, 32, "%lu:%02lu", whole / 60, whole % 60);
    else
        snprintf(out, 32, "%lu:%02lu:%02lu", whole / 3600, whole / 60 % 60, whole % 60);
}

/* Fits into `width` columns of ASCII, cut on the left: the ends of names tell them apart. */
static void fit(const char *text, unsigned width, char out[TEXT_BYTES]) {
    char clean[4096];
    size_t len = text_clean(mux_span_text(text), false, clean, sizeof clean);
    const char *from = clean;
    if (len > width) {
        from = clean + len - (width - 3);
        while ((*from & 0xC0) == 0x80)
            from++;
    }
    snprintf(out, TEXT_BYTES, "%s%.*s", len > width ? "..." : "", COLUMN_MOST, from);
}

/*
 * ---- status ----
 */

static void print_upstream(const json_t *upstream) {
    char place[TEXT_BYTES], peer[TEXT_BYTES], age[32], pending[32];
    const char *state = string_of(upstream, "state");
    fit(string_of(upstream, "place"), COLUMN_MOST, place);
    if (strcmp(state, "none") == 0) {
        puts("upstream: none, the results are shown there");
        return;
    }
    fit(string_of(upstream, "peer"), COLUMN_MOST, peer);
    age_text(number_of(upstream, "since_s"), age);
    bytes_text(number_of(upstream, "pending_bytes"), pending);
    printf("upstream %s: %s", place, state);
    if (number_of(upstream, "since_s") > 0 && strcmp(peer, place) != 0)
        printf(" to %s", peer);
    if (number_of(upstream, "since_s") > 0)
        printf(" for %s", age);
    printf("; %s to be sent", pending);
    if (number_of(upstream, "losses") > 0)
        printf("; lost or not reached %.0f times", number_of(upstream, "losses"));
    putchar('\n');
    if (*string_of(upstream, "clock_basis"))
        printf("the upstream's clock: %+.6f s from this one's, within %.6f s\n",
               number_of(upstream, "clock_ahead_s"), number_of(upstream, "clock_error_s"));
}

static void print_links_in_short(const json_t *links) {
    char open[32], max[32], tests[32], age[32];
    count_text(number_of(links, "open"), open);
    count_text(number_of(links, "max"), max);
    count_text(number_of(links, "tests"), tests);
    age_text(number_of(links, "oldest_age_s"), age);
    printf("links: %s of %s, %.0f silent, %.0f away; %s %s in progress", open, max,
           number_of(links, "silent"), number_of(links, "away"), tests,
           number_of(links, "tests") == 1 ? "test" : "tests");
    if (number_of(links, "tests") > 0)
        printf(", the oldest for %s", age);
    putchar('\n');
}

static void print_holder(const json_t *by) {
    char who[TEXT_BYTES], links[32];
    double count = number_of(by, "links");
    fit(string_of(by, "who"), COLUMN_MOST, who);
    count_text(count, links);
    if (count == 0)
        printf("held up: the end by %s: %s\n", who, string_of(by, "why"));
    else
        printf("held up: %s %s by %s: %s\n", links, count == 1 ? "link" : "links", who,
               string_of(by, "why"));
}

static void print_held_up(const json_t *held_up) {
    size_t i;
    json_t *by;
    json_array_foreach(held_up, i, by) {
        print_holder(by);
    }
    if (json_array_size(held_up) == 0)
        puts("held up: nothing");
}

void ctl_print_status(const json_t *status) {
    char name[TEXT_BYTES], age[32], received[32], packets[32], sent[32];
    fit(string_of(status, "name"), COLUMN_MOST, name);
    age_text(number_of(status, "uptime_s"), age);
    bytes_text(number_of(status, "received_bytes"), received);
    count_text(number_of(status, "received_packets"), packets);
    bytes_text(number_of(status, "sent_bytes"), sent);
    printf("muxd %s on %s: %s, up for %s\n", string_of(status, "muxd"), name,
           string_of(status, "phase"), age);
    if (json_is_false(json_object_get(status, "takes_jobs")))
        puts("it drains: nodes and agents below take no new jobs");
    print_upstream(json_object_get(status, "upstream"));
    print_links_in_short(json_object_get(status, "links"));
    printf("received %s in %s packets, sent %s\n", received, packets, sent);
    print_held_up(json_object_get(status, "held_up_by"));
}

/*
 * ---- links ----
 */

/* 0: the worst. */
static int badness(const json_t *link) {
    const char *state = string_of(link, "state");
    if (strcmp(state, "away") == 0 || strcmp(state, "given up") == 0)
        return 0;
    if (strcmp(string_of(link, "waits_for"), "nothing") != 0)
        return 1;
    if (json_is_true(json_object_get(link, "has_slot")))
        return 2;
    return strcmp(state, "open") == 0 ? 4 : 3;
}

static int worse_first(const void *a, const void *b) {
    const json_t *one = *(json_t *const *)a, *other = *(json_t *const *)b;
    int by_badness = badness(one) - badness(other);
    double by_age = number_of(other, "oldest_age_s") - number_of(one, "oldest_age_s");
    if (by_badness)
        return by_badness;
    return by_age < 0 ? -1 : by_age > 0;
}

/* What tells links apart in two answers. */
static void key_of(const json_t *link, char out[KEY_BYTES]) {
    snprintf(out, KEY_BYTES, "%s %s", string_of(link, "segment"), string_of(link, "peer"));
}

/* The links of an answer by their keys. */
static json_t *index_of(const json_t *links) {
    json_t *index = json_object(), *link;
    size_t i;
    json_array_foreach(links, i, link) {
        char key[KEY_BYTES];
        key_of(link, key);
        json_object_set(index, key, link);
    }
    return index;
}

/* Its own rate when it was there before, else what it has sent in all. */
static void received_text(const json_t *link, const json_t *before, double seconds, char out[40]) {
    char bytes[32];
    char key[KEY_BYTES];
    key_of(link, key);
    const json_t *earlier = json_object_get(before, key);
    double now = number_of(link, "received_bytes");
    if (earlier && seconds > 0) {
        bytes_text((now - number_of(earlier, "received_bytes")) / seconds, bytes);
        snprintf(out, 40, "%s/s", bytes);
        return;
    }
    bytes_text(now, bytes);
    snprintf(out, 40, "%s", bytes);
}

static void state_text(const json_t *link, char out[96]) {
    const char *wait = string_of(link, "waits_for");
    bool waits = strcmp(wait, "nothing") != 0;
    bool has_slot = json_is_true(json_object_get(link, "has_slot"));
    double ahead_s = number_of(link, "clock_ahead_s");
    char clock[32] = "";
    if (ahead_s >= CLOCK_SHOWN_S || ahead_s <= -CLOCK_SHOWN_S)
        snprintf(clock, sizeof clock, ", clock %+.1f s", ahead_s);
    snprintf(out, 96, "%s%s%s%s%s%s", string_of(link, "state"),
             json_is_true(json_object_get(link, "draining")) ? ", drains" : "",
             waits ? ", waits: " : "", waits ? wait : "", has_slot ? ", has a slot" : "", clock);
}

static void print_link(const json_t *link, const json_t *before, double seconds) {
    char segment[TEXT_BYTES], peer[TEXT_BYTES], test[TEXT_BYTES], state[96], received[40],
        packets[32], age[32] = "";
    const char *node = string_of(link, "node");
    fit(string_of(link, "segment"), 16, segment);
    fit(*node ? node : string_of(link, "peer"), PEER_WIDTH, peer);
    fit(string_of(link, "oldest_test"), TEST_WIDTH, test);
    state_text(link, state);
    received_text(link, before, seconds, received);
    count_text(number_of(link, "received_packets"), packets);
    if (*test)
        age_text(number_of(link, "oldest_age_s"), age);
    printf("%-16s %-*s %-24s %12s %11s %6.0f  %8s %s\n", *segment ? segment : "-", PEER_WIDTH, peer,
           state, received, packets, number_of(link, "tests"), age, test);
}

/* Those below the links, which have no row of their own. */
static void print_drains(const json_t *routes) {
    size_t i, count = 0;
    json_t *route;
    json_array_foreach(routes, i, route) {
        char text[TEXT_BYTES];
        const char *whole = json_string_value(route);
        if (!whole || !strchr(whole, '/'))
            continue;
        fit(whole, COLUMN_MOST, text);
        if (count++ < DRAINS_SHOWN)
            printf("%s%s", count == 1 ? "drain: " : ", ", text);
    }
    if (count > DRAINS_SHOWN)
        printf(" and %zu more", count - DRAINS_SHOWN);
    if (count)
        putchar('\n');
}

/* Nothing of a node that keeps nothing. */
static void print_kept(const json_t *kept) {
    char window[32], most[32], unsafe[32], age[32], spool[32];
    const char *refusal = string_of(kept, "spool_refusal");
    double streams = number_of(kept, "earlier_streams");
    bytes_text(number_of(kept, "window_bytes"), window);
    bytes_text(number_of(kept, "window_max_bytes"), most);
    bytes_text(number_of(kept, "unacknowledged_bytes"), unsafe);
    age_text(number_of(kept, "oldest_age_s"), age);
    bytes_text(number_of(kept, "spool_bytes"), spool);
    if (number_of(kept, "unacknowledged_bytes") > 0)
        printf("kept: %s that the end has not acknowledged, for %s; window: %s of %s\n", unsafe,
               age, window, most);
    if (number_of(kept, "spool_bytes") > 0 || *refusal)
        printf("spool: %s, with %.0f %s of earlier lives%s%s\n", spool, streams,
               streams == 1 ? "stream" : "streams", *refusal ? "; it takes nothing: " : "",
               refusal);
}

void ctl_print_links(const json_t *answer, const json_t *before, double seconds, unsigned rows) {
    const json_t *links = json_object_get(answer, "links");
    size_t count = json_array_size(links);
    json_t **sorted = calloc(count + 1, sizeof *sorted);
    if (!sorted)
        abort(); /* out of memory */
    json_t *index = index_of(json_object_get(before, "links"));
    for (size_t i = 0; i < count; i++)
        sorted[i] = json_array_get(links, i);
    qsort(sorted, count, sizeof *sorted, worse_first);
    size_t shown = rows && count + 1 > rows ? (rows > 2 ? rows - 2 : 1) : count;
    printf("%-16s %-*s %-24s %12s %11s %6s  %8s %s\n", "segment", PEER_WIDTH, "peer or node",
           "state", "received", "packets", "tests", "oldest", "test");
    for (size_t i = 0; i < shown && i < count; i++)
        print_link(sorted[i], index, seconds);
    if (shown < count)
        printf("and %zu more\n", count - shown);
    print_kept(json_object_get(answer, "kept"));
    print_drains(json_object_get(answer, "draining"));
    json_decref(index);
    free(sorted);
}

/*
 * ---- orders ----
 */

void ctl_print_order(const json_t *answer) {
    static const char *const said[][2] = {{"drain", "takes no new jobs"},
                                          {"undrain", "takes jobs"},
                                          {"kick", "its link was closed"},
                                          {"stop", "is being ended"}};
    const char *order = string_of(answer, "order");
    char route[TEXT_BYTES];
    fit(string_of(answer, "route"), COLUMN_MOST, route);
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        if (strcmp(order, said[i][0]) == 0)
            printf("%s: %s\n", route, said[i][1]);
}

/*
 * ---- counters ----
 */

void ctl_print_counters(const json_t *counters) {
    const char *name;
    json_t *counter;
    json_object_foreach((json_t *)counters, name, counter) {
        char value[32], clean[TEXT_BYTES];
        if (number_of(counter, "value") == 0)
            continue;
        if (strcmp(string_of(counter, "unit"), "seconds") == 0)
            snprintf(value, sizeof value, "%.6f", number_of(counter, "value"));
        else
            count_text(number_of(counter, "value"), value);
        fit(name, COLUMN_MOST, clean);
        printf("%-44s %20s %s\n", clean, value, string_of(counter, "unit"));
    }
}
