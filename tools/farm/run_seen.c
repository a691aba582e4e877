#include "tools/farm/run_seen.h"

#include "mux/hash.h"
#include "tools/base/text.h"

#include <stdlib.h>
#include <string.h>

struct run_seen *run_seen_open(const struct run *run, uint64_t now_ns) {
    struct run_seen *seen = calloc(1, sizeof *seen);
    if (!seen)
        return NULL;
    seen->run = run;
    seen->begun_ns = seen->planned_ns = now_ns;
    return seen;
}

void run_seen_close(struct run_seen *seen) {
    if (seen)
        free(seen->took_ns);
    free(seen);
}

void run_seen_planned(struct run_seen *seen, unsigned past_runs, uint64_t now_ns) {
    struct run_totals totals;
    run_totals(seen->run, &totals);
    seen->is_planned = true;
    seen->planned_ns = now_ns;
    seen->past_runs = past_runs;
    seen->known = 0;
    for (uint32_t i = 0; i < totals.selected; i++)
        seen->known += run_past_of(seen->run, run_selected(seen->run, i))->usual_ns > 0;
    free(seen->took_ns);
    seen->took_ns = calloc(totals.listed + 1, sizeof *seen->took_ns);
}

static void note_time(struct run_seen *seen, const struct run_ended *ended) {
    if (ended->took_ns == UINT64_MAX)
        return;
    if (seen->took_ns && ended->test != RUN_STRANGER)
        seen->took_ns[ended->test] = ended->took_ns;
    seen->busy_ns += ended->took_ns;
}

/* Its end says which test it is. */
static void note_failure(struct run_seen *seen, const struct run_ended *ended) {
    struct run_seen_failure *failure = &seen->failure[seen->failures++ % RUN_SEEN_FAILURES_MAX];
    size_t most = sizeof failure->id - 1;
    struct mux_span id = ended->id;
    if (id.len > most)
        id = mux_span(id.data + id.len - most, most);
    *failure = (struct run_seen_failure){.status = ended->status,
                                         .took_ns = ended->took_ns,
                                         .slot = ended->slot,
                                         .is_stranger = ended->test == RUN_STRANGER};
    text_clean(id, false, failure->id, sizeof failure->id);
}

static unsigned note_text(struct run_seen *seen, struct mux_span text) {
    uint64_t hash = mux_hash(1, text) | 1;
    for (unsigned i = 0, at = (unsigned)(hash >> 32); i < RUN_SEEN_TEXTS_MAX; i++, at++) {
        struct run_seen_text *place = &seen->texts[at % RUN_SEEN_TEXTS_MAX];
        if (place->hash && place->hash != hash)
            continue;
        place->hash = hash;
        return place->count++;
    }
    return 0;
}

unsigned run_seen_ended(struct run_seen *seen, const struct run_ended *ended) {
    note_time(seen, ended);
    seen->skipped += ended->status == MUX_STATUS_SKIP;
    seen->passed += ended->status == MUX_STATUS_SUCCESS || ended->status == MUX_STATUS_XFAIL;
    if (!run_is_bad(ended->status))
        return 0;
    seen->failed++;
    note_failure(seen, ended);
    return ended->text.len ? note_text(seen, ended->text) : 0;
}

const struct run_seen_failure *run_seen_failure(const struct run_seen *seen, uint64_t index) {
    uint64_t kept = seen->failures < RUN_SEEN_FAILURES_MAX ? seen->failures : RUN_SEEN_FAILURES_MAX;
    return index < kept ? &seen->failure[(seen->failures - kept + index) % RUN_SEEN_FAILURES_MAX]
                        : NULL;
}

/* Half of the tests are known from earlier runs, or a quarter of this one is over. */
uint64_t run_seen_left_ns(const struct run_seen *seen, uint64_t now_ns) {
    struct run_totals totals;
    run_totals(seen->run, &totals);
    bool is_known = seen->known >= totals.selected - seen->known ||
                    3 * (uint64_t)totals.done >= totals.due - totals.done;
    return is_known ? plan_left_ns(run_plan(seen->run), now_ns) : UINT64_MAX;
}

bool run_seen_is_new(const struct run *run, uint32_t test) {
    const struct run_past *past = test == RUN_STRANGER ? NULL : run_past_of(run, test);
    return past && past->runs && !past->has_failed;
}
