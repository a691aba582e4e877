/* --analyze-isolation: plan after plan of probes, until it is known which tests make others fail.
 */
#include "tools/base/text.h"
#include "tools/farm/plan/culprits.h"
#include "tools/farm/run_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* Of a line: so many names of culprits, as far as they have room. */
#define NAME_BYTES 512
#define LINE_BYTES 8192

/* A test that failed, and what ran before it in its slot. */
struct target {
    uint32_t test;    /* a number of the ids, and of the plan */
    uint32_t *priors; /* the same, in the order of then */
    uint32_t count;
    struct culprits *search;
    uint32_t probes;
    bool is_out;  /* a probe of it is in the plan */
    bool is_lost; /* a probe of it said nothing */
};

/* What a test is in the plan that is made: one that is judged is in no other probe. */
enum mark { MARK_NONE, MARK_PRIOR, MARK_TARGET };

struct run_isolate {
    struct target *targets;
    uint32_t count;
    uint8_t *marks; /* enum mark, by id */
};

/* ---- what is searched for ---- */

static uint32_t id_of(const struct run *run, const struct past_begin *begin) {
    return ids_find(&run->ids, ids_text(&run->config.isolate->tests, begin->test));
}

/* Those before place `at` in its slot; each once. */
static bool find_priors(const struct run *run, struct target *target, uint32_t at, uint8_t *seen) {
    const struct past_begin *begins = run->config.isolate->begins;
    uint32_t from = at;
    while (from > 0 && begins[from - 1].slot == begins[at].slot)
        from--;
    target->priors = malloc((size_t)(at - from + 1) * sizeof *target->priors);
    for (uint32_t i = from; target->priors && i < at; i++) {
        uint32_t test = id_of(run, &begins[i]);
        if (test == IDS_NONE || test == target->test || seen[test])
            continue;
        seen[test] = true;
        target->priors[target->count++] = test;
    }
    for (uint32_t i = 0; i < target->count; i++)
        seen[target->priors[i]] = false;
    target->search = target->priors ? culprits_new(target->count) : NULL;
    return target->search != NULL;
}

/* Where a test was begun for the first time is where it failed, or failed first. */
static bool find_targets(struct run *run, struct run_isolate *isolate) {
    const struct past_jobs *past = run->config.isolate;
    bool is_fine = true;
    for (uint32_t i = 0; is_fine && i < past->count; i++) {
        uint32_t test = id_of(run, &past->begins[i]);
        if (test == IDS_NONE || run->places[test] == PLAN_NONE || isolate->marks[test])
            continue;
        struct target *target = &isolate->targets[isolate->count++];
        *target = (struct target){.test = test};
        isolate->marks[test] = MARK_TARGET;
        is_fine = find_priors(run, target, i, isolate->marks + run->ids.count);
    }
    return is_fine;
}

/* All tests of the list are in the plans. */
static void take_all(struct run *run) {
    for (uint32_t i = 0; i < run->ids.count; i++)
        run->selected[i] = run->places[i] = i;
    run->selected_count = run->ids.count;
}

bool run_isolate_begin(struct run *run) {
    struct run_isolate *isolate = calloc(1, sizeof *isolate);
    run->isolate = isolate;
    if (!isolate)
        return false;
    isolate->targets = calloc(run->selected_count + 1, sizeof *isolate->targets);
    isolate->marks = calloc(run->ids.count + 1, 2);
    if (!isolate->targets || !isolate->marks || !find_targets(run, isolate))
        return false;
    take_all(run);
    return true;
}

void run_isolate_free(struct run_isolate *isolate) {
    if (!isolate)
        return;
    for (uint32_t i = 0; isolate->targets && i < isolate->count; i++) {
        free(isolate->targets[i].priors);
        culprits_free(isolate->targets[i].search);
    }
    free(isolate->targets);
    free(isolate->marks);
    free(isolate);
}

/* ---- plans ---- */

static bool is_searched(const struct target *target) {
    return !target->is_lost && culprits_state(target->search) == CULPRITS_SEARCHED;
}

static bool has_place(const struct run_isolate *isolate, const struct target *target) {
    if (!is_searched(target) || isolate->marks[target->test] != MARK_NONE)
        return false;
    for (uint32_t i = 0; i < target->count; i++)
        if (culprits_next(target->search, i) && isolate->marks[target->priors[i]] == MARK_TARGET)
            return false;
    return true;
}

/* A share, a job and a runner of its own. */
static void add_probe(struct run_isolate *isolate, struct target *target, uint32_t *tests,
                      struct plan_replay *jobs, struct plan_config *config) {
    struct plan_replay *job = &jobs[config->replay_count];
    uint32_t at = config->replay_count ? job[-1].first + job[-1].count : 0;
    *job = (struct plan_replay){
        .slot = (unsigned)config->replay_count++, .first = at, .is_fresh = true};
    for (uint32_t i = 0; i < target->count; i++) {
        if (!culprits_next(target->search, i))
            continue;
        isolate->marks[target->priors[i]] = MARK_PRIOR;
        tests[at + job->count++] = target->priors[i];
    }
    isolate->marks[target->test] = MARK_TARGET;
    tests[at + job->count++] = target->test;
    target->is_out = true;
}

bool run_isolate_fill(struct run *run, struct plan_config *config) {
    struct run_isolate *isolate = run->isolate;
    size_t room = 0;
    for (uint32_t i = 0; i < isolate->count; i++)
        room += isolate->targets[i].count + 1;
    struct plan_replay *jobs = calloc(isolate->count + 1, sizeof *jobs);
    uint32_t *tests = malloc((room + 1) * sizeof *tests);
    config->dist = PLAN_REPLAY;
    config->replay = jobs;
    config->replay_tests = tests;
    memset(isolate->marks, MARK_NONE, run->ids.count);
    for (uint32_t i = 0; jobs && tests && i < isolate->count; i++)
        if (has_place(isolate, &isolate->targets[i]))
            add_probe(isolate, &isolate->targets[i], tests, jobs, config);
    return jobs && tests;
}

static void say_alone(struct run *run, const struct target *target) {
    if (target->count && culprits_state(target->search) == CULPRITS_SEARCHED)
        run_say(run, "%s passes alone: it is searched among %u tests that ran before it",
                (const char *)ids_text(&run->ids, target->test).data, target->count);
}

static void take_probe(struct run *run, struct target *target) {
    struct plan_record record = plan_record(run->plan, target->test);
    bool is_first = target->probes++ == 0;
    target->is_out = false;
    target->is_lost = record.passes + record.skips + record.fails == 0;
    if (target->is_lost)
        return;
    culprits_tell(target->search, record.fails > 0);
    if (is_first)
        say_alone(run, target);
}

bool run_isolate_take(struct run *run) {
    struct run_isolate *isolate = run->isolate;
    bool goes_on = false;
    for (uint32_t i = 0; i < isolate->count; i++) {
        struct target *target = &isolate->targets[i];
        if (target->is_out)
            take_probe(run, target);
        goes_on = goes_on || is_searched(target);
    }
    return goes_on && plan_why(run->plan) == PLAN_WHY_DONE;
}

/* ---- words ---- */

static void put_name(const struct run *run, FILE *out, uint32_t test) {
    char name[NAME_BYTES];
    text_clean(ids_text(&run->ids, test), false, name, sizeof name);
    fputs(name, out);
}

static void put_culprits(const struct run *run, FILE *out, const struct target *target) {
    uint32_t put = 0;
    for (uint32_t i = 0; i < target->count; i++)
        if (culprits_has(target->search, i)) {
            fputs(put++ ? " and " : "", out);
            put_name(run, out, target->priors[i]);
        }
    fputs(put > 1 ? " together" : "", out);
}

static void put_verdict(const struct run *run, FILE *out, const struct target *target) {
    put_name(run, out, target->test);
    if (target->is_lost) {
        fputs(" did not run: nothing is known of it", out);
        return;
    }
    switch (culprits_state(target->search)) {
    case CULPRITS_ALONE:
        fputs(" fails alone, too: no other test is to blame", out);
        break;
    case CULPRITS_NONE:
        if (target->count)
            fprintf(out,
                    " passes alone, and behind all %u tests that ran before it in its slot, too",
                    target->count);
        else
            fputs(" passes alone, and nothing ran before it in its slot", out);
        break;
    case CULPRITS_FOUND:
    case CULPRITS_UNSURE:
        fputs(" fails after ", out);
        put_culprits(run, out, target);
        fputs(culprits_state(target->search) == CULPRITS_FOUND
                  ? ", passes alone"
                  : ", passes alone; but not each time, so this is not sure",
              out);
        break;
    case CULPRITS_SEARCHED:
        fputs(" passes alone; the search did not come to its end", out);
    }
}

void run_isolate_tell(const struct run *run, void (*line)(void *user, const char *line),
                      void *user) {
    char text[LINE_BYTES];
    for (uint32_t i = 0; run->isolate && i < run->isolate->count; i++) {
        FILE *out = fmemopen(text, sizeof text - 1, "w");
        if (!out)
            return;
        memset(text, 0, sizeof text);
        put_verdict(run, out, &run->isolate->targets[i]);
        fclose(out);
        line(user, text);
    }
}

enum run_outcome run_isolate_outcome(const struct run_isolate *isolate) {
    bool is_lost = false, is_bad = false;
    for (uint32_t i = 0; i < isolate->count; i++) {
        const struct target *target = &isolate->targets[i];
        is_lost = is_lost || target->is_lost;
        is_bad = is_bad || culprits_state(target->search) != CULPRITS_NONE;
    }
    return is_bad ? RUN_FAILED : is_lost ? RUN_INCOMPLETE : RUN_PASSED;
}
