/* Words and numbers as people read them. */
#include "tools/farm/run_view_internal.h"

#include <inttypes.h>
#include <stdio.h>

#define SECOND_NS RUN_VIEW_SECOND_NS

void run_view_time_text(uint64_t ns, char out[RUN_VIEW_TIME_BYTES]) {
    uint64_t seconds = ns / SECOND_NS;
    if (seconds < 10)
        snprintf(out, RUN_VIEW_TIME_BYTES, "%.2f s", (double)ns / 1e9);
    else if (seconds < 60)
        snprintf(out, RUN_VIEW_TIME_BYTES, "%.1f s", (double)ns / 1e9);
    else
        run_view_clock_text(ns, out);
}

void run_view_clock_text(uint64_t ns, char out[RUN_VIEW_TIME_BYTES]) {
    uint64_t seconds = ns / SECOND_NS;
    if (seconds < 3600)
        snprintf(out, RUN_VIEW_TIME_BYTES, "%" PRIu64 ":%02u", seconds / 60,
                 (unsigned)(seconds % 60));
    else
        snprintf(out, RUN_VIEW_TIME_BYTES, "%" PRIu64 ":%02u:%02u", seconds / 3600,
                 (unsigned)(seconds / 60 % 60), (unsigned)(seconds % 60));
}

void run_view_count_text(uint64_t count, char out[RUN_VIEW_COUNT_BYTES]) {
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, count);
    size_t at = 0;
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
}

/* Cut on the left, since the ends of ids differ. */
void run_view_id_text(struct mux_span id, unsigned columns, char *out, size_t out_bytes) {
    char clean[RUN_VIEW_ID_BYTES];
    const char *cut = "";
    if (id.len > sizeof clean / 2)
        id = mux_span(id.data + id.len - sizeof clean / 2, sizeof clean / 2);
    text_clean(id, false, clean, sizeof clean);
    const char *text = clean;
    unsigned wide = screen_columns_of(clean);
    while (*text && wide > columns - (*cut ? 1 : 0)) {
        cut = "\u2026";
        for (text++; ((uint8_t)*text & 0xC0) == 0x80; text++)
            ; /* not inside a character */
        wide = screen_columns_of(text);
    }
    snprintf(out, out_bytes, "%s%s", cut, text);
}

void run_view_left_text(const struct run_view *view, uint64_t now_ns, char *out, size_t out_bytes) {
    char left[RUN_VIEW_TIME_BYTES];
    uint64_t left_ns = run_seen_left_ns(view->seen, now_ns);
    bool is_known = left_ns && left_ns != UINT64_MAX;
    run_view_clock_text(left_ns, left);
    snprintf(out, out_bytes, "about %s left", is_known ? left : "?");
}

static size_t add(char *out, size_t out_bytes, size_t len, const char *before, uint64_t count,
                  const char *behind) {
    char number[RUN_VIEW_COUNT_BYTES];
    run_view_count_text(count, number);
    if (len < out_bytes)
        len += (size_t)snprintf(out + len, out_bytes - len, "%s%s%s", before, number, behind);
    return len;
}

void run_view_counts_text(const struct run_view *view, uint64_t now_ns, char *out,
                          size_t out_bytes) {
    const struct run_seen *seen = view->seen;
    struct plan_totals plan = plan_totals(run_plan(view->run));
    uint64_t ended = seen->passed + seen->failed + seen->skipped;
    uint64_t age_ns = now_ns - seen->planned_ns;
    size_t len = add(out, out_bytes, 0, "", seen->failed, " failed");
    len = add(out, out_bytes, len, ", ", seen->passed, " passed");
    len = add(out, out_bytes, len, ", ", seen->skipped, " skipped");
    if (plan.retries)
        len =
            add(out, out_bytes, len, "; ", plan.retries, plan.retries == 1 ? " retry" : " retries");
    if (plan.losses)
        len = add(out, out_bytes, len, "; ", plan.losses, " lost");
    if (age_ns > SECOND_NS)
        add(out, out_bytes, len, "; ", ended * SECOND_NS / age_ns, "/s");
}

const char *run_view_outcome_word(enum run_outcome outcome) {
    static const char *const words[] = {
        [RUN_PASSED] = "passed",           [RUN_FAILED] = "failed",
        [RUN_INCOMPLETE] = "incomplete",   [RUN_NOTHING] = "nothing ran",
        [RUN_INTERRUPTED] = "interrupted", [RUN_INFRASTRUCTURE] = "could not be carried out",
    };
    return words[outcome];
}
