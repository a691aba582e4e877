#include "tools/mux/run_past.h"

#include "tools/base/random.h"
#include "tools/base/text.h"
#include "tools/mux/store_words.h"
#include "tools/store/past.h"
#include "tools/store/query.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLANKS " \t\r\n"

/* So many of the newest runs say since when tests fail, with so many failures of each: nobody reads
 * more. */
#define RUNS_DATED 5
#define DATED_MOST 1000

/*
 * ---- times and failures ----
 */

static struct run_past past_of(const struct store_past *stored) {
    bool is_bad = stored->last == MUX_STATUS_FAIL || stored->last == MUX_STATUS_UXSUCCESS ||
                  stored->last == MUX_STATUS_INPROGRESS;
    return (struct run_past){
        .usual_ns = stored->median_us > 0 ? (uint64_t)stored->median_us * 1000 : 0,
        .runs = stored->runs,
        .has_failed = stored->runs && is_bad,
    };
}

static unsigned take(struct store *store, const struct ids *ids, struct mux_span *spans,
                     struct store_past *stored, struct run_past *past) {
    char why[STORE_WHY_BYTES];
    unsigned runs = 0;
    for (uint32_t i = 0; i < ids->count; i++)
        spans[i] = ids_text(ids, i);
    if (!store_past_read(store, spans, ids->count, stored, why)) {
        text_complain("mux run: the store: %s: the order is made without earlier runs", why);
        return 0;
    }
    for (uint32_t i = 0; i < ids->count; i++) {
        past[i] = past_of(&stored[i]);
        runs = past[i].runs > runs ? past[i].runs : runs;
    }
    return runs;
}

/* Since when tests fail, by the failures of the newest runs. */
struct dating {
    struct store *store;
    const struct ids *ids;
    struct run_past *past;
    struct strings *words;
    uint32_t left; /* tests that have failed, and of which it is not known */
};

static bool date(void *user, const struct store_result_row *row) {
    struct dating *dating = user;
    uint32_t test = ids_find(dating->ids, mux_span_text(row->test));
    struct run_past *past = test == IDS_NONE ? NULL : &dating->past[test];
    const struct store_run *since = row->since.id ? &row->since : &row->run;
    char text[64];
    if (!past || !past->has_failed || past->since || !*since->uuid)
        return true;
    snprintf(text, sizeof text, "since run %.*s, %s", STORE_WORDS_RUN_DIGITS, since->uuid,
             store_words_age(since->begun_us));
    if (!strings_add(dating->words, text))
        return false;
    past->since = dating->words->all[dating->words->count - 1];
    return --dating->left > 0;
}

static bool date_by_run(void *user, const struct store_run_row *row) {
    char why[STORE_WHY_BYTES];
    struct dating *dating = user;
    return store_results(dating->store, &row->run, STORE_FAILURES, DATED_MOST, date, dating, why) &&
           dating->left > 0;
}

/* For people: what cannot be read is left out. */
static void date_failures(struct store *store, const struct ids *ids, struct run_past *past,
                          struct strings *words) {
    char why[STORE_WHY_BYTES];
    struct dating dating = {.store = store, .ids = ids, .past = past, .words = words};
    for (uint32_t i = 0; i < ids->count; i++)
        dating.left += past[i].has_failed;
    if (dating.left)
        store_runs(store, 0, RUNS_DATED, date_by_run, &dating, why);
}

unsigned run_past_recall(const struct run_options *options, const struct ids *ids,
                         struct run_past *past, struct strings *words) {
    char folder[STORE_PATH_BYTES], why[STORE_WHY_BYTES];
    unsigned runs = 0;
    store_place_folder(&options->place, folder, sizeof folder);
    struct store *store = store_open(folder, STORE_READ, why);
    struct mux_span *spans = calloc(ids->count + 1, sizeof *spans);
    struct store_past *stored = calloc(ids->count + 1, sizeof *stored);
    if (store && spans && stored)
        runs = take(store, ids, spans, stored, past);
    if (runs)
        date_failures(store, ids, past, words);
    free(spans);
    free(stored);
    store_close(store);
    return runs;
}

/*
 * ---- ids from elsewhere ----
 */

static bool add_failure(void *user, const struct store_result_row *row) {
    return ids_add(user, mux_span_text(row->test)) != IDS_NONE;
}

bool run_past_failing(const struct run_options *options, const char *name, struct ids *ids) {
    char why[STORE_WHY_BYTES];
    struct store_run run;
    struct store *store = store_place_find(&options->place, "mux run", name, &run);
    bool is_fine =
        store && store_results(store, &run, STORE_FAILURES, UINT32_MAX, add_failure, ids, why);
    if (store && !is_fine)
        store_place_failed("mux run", why);
    store_close(store);
    return is_fine;
}

bool run_past_jobs(const struct run_options *options, const char *name, struct past_jobs *jobs) {
    char why[STORE_WHY_BYTES];
    struct store_run run;
    uint64_t key;
    random_fill(&key, sizeof key);
    struct store *store = store_place_find(&options->place, "mux run", name, &run);
    int fd = store ? store_open_stream(store, &run, why) : -1;
    store_close(store);
    if (fd < 0) {
        if (store)
            store_place_failed("mux run", why);
        return false;
    }
    int error = past_jobs_read(jobs, fd, key);
    close(fd);
    if (error)
        text_complain("mux run: the file of run %s: %s", run.uuid, strerror(error));
    else if (jobs->count == 0)
        text_complain("mux run: no test ran in run %s", run.uuid);
    return !error && jobs->count > 0;
}

static bool read_lines(FILE *file, struct ids *ids) {
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    bool is_fine = true;
    while (is_fine && (len = getline(&line, &room, file)) >= 0) {
        while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
            len--;
        is_fine = len == 0 || ids_add(ids, mux_span((uint8_t *)line, (size_t)len)) != IDS_NONE;
    }
    free(line);
    return is_fine && !ferror(file);
}

bool run_past_load_list(const char *path, struct ids *ids) {
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *file = is_stdin ? fdopen(dup(STDIN_FILENO), "r") : fopen(path, "re");
    bool is_fine = file && read_lines(file, ids);
    if (!is_fine)
        text_complain("mux run: --load-list %s: %s", path, strerror(errno));
    if (file)
        fclose(file);
    return is_fine;
}

/* As stestr: what is behind a # is a comment, and blanks around an expression are none of it. */
static char *expression_of(char *line) {
    line[strcspn(line, "#")] = '\0';
    char *begin = line + strspn(line, BLANKS), *end = begin + strlen(begin);
    while (end > begin && strchr(BLANKS, end[-1]))
        *--end = '\0';
    return begin;
}

bool run_past_patterns(const char *path, struct selection *selection,
                       bool (*add)(struct selection *selection, const char *regex, char *why),
                       char why[SELECTION_WHY_BYTES]) {
    char *line = NULL, cause[SELECTION_WHY_BYTES];
    size_t room = 0;
    unsigned number = 0;
    FILE *file = fopen(path, "re");
    bool is_fine = file != NULL;
    while (is_fine && getline(&line, &room, file) >= 0) {
        const char *expression = expression_of(line);
        number++;
        is_fine = !*expression || add(selection, expression, cause);
    }
    if (!file || ferror(file))
        snprintf(why, SELECTION_WHY_BYTES, "%.256s: %s", path, strerror(errno));
    else if (!is_fine)
        snprintf(why, SELECTION_WHY_BYTES, "%.128s:%u: %.320s", path, number, cause);
    is_fine = is_fine && !ferror(file);
    free(line);
    if (file)
        fclose(file);
    return is_fine;
}
