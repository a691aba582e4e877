#include "tools/store/past.h"
#include "tools/store/names.h"
#include "tools/store/store_internal.h"

#include <stdlib.h>

/* So many rows between two that are wanted cost as much as to look for the next one. */
#define STRIDE_ROWS 32

/* A key of the index's order (a name's hash, then a test's number), and what it stands for. */
struct wanted {
    int64_t key;
    int64_t number; /* of the test in the index; 0: no run has it */
    size_t test;    /* its place in the caller's array */
};

/* A test's results in one run, as they come. */
struct outcome {
    int64_t key;
    enum mux_status last; /* MUX_STATUS_NONE: none has come */
    bool was_retried;     /* one was tried again */
    bool is_bad;          /* one that counts is bad */
    int64_t took_us;
};

struct reading {
    struct store *store;
    struct wanted *wanted; /* by key */
    size_t count;
    struct store_past *past;
    int64_t *took; /* STORE_PAST_RUNS for each test, of which tooks[test] are known */
    uint8_t *tooks;
    size_t at; /* the first wanted one that may come yet */
    struct outcome outcome;
};

typedef void row_seen(struct reading *reading, sqlite3_stmt *statement);

static int by_key(const void *x, const void *y) {
    const struct wanted *a = x, *b = y;
    return a->key < b->key ? -1 : a->key > b->key;
}

/*
 * Gives the rows with wanted keys. The statement gives rows from its key ?1 on, in order, the key
 * first. Where wanted keys are far from one another it is asked anew instead of read through.
 */
static int walk(struct reading *reading, sqlite3_stmt *statement, row_seen *row) {
    int step = SQLITE_ROW;
    unsigned passed = STRIDE_ROWS;
    reading->at = 0;
    while (reading->at < reading->count && step == SQLITE_ROW) {
        if (passed++ >= STRIDE_ROWS) {
            sqlite3_reset(statement);
            sqlite3_bind_int64(statement, 1, reading->wanted[reading->at].key);
            passed = 0;
        }
        step = sqlite3_step(statement);
        int64_t key = sqlite3_column_int64(statement, 0);
        while (step == SQLITE_ROW && reading->at < reading->count &&
               reading->wanted[reading->at].key < key)
            reading->at++;
        if (step == SQLITE_ROW && reading->at < reading->count &&
            reading->wanted[reading->at].key == key) {
            row(reading, statement);
            passed = 0;
        }
    }
    sqlite3_reset(statement);
    return step == SQLITE_ROW ? SQLITE_DONE : step;
}

static sqlite3_stmt *prepared(struct reading *reading, const char *sql, char why[STORE_WHY_BYTES]) {
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(reading->store->database, sql, -1, &statement, NULL) != SQLITE_OK)
        store_failed(reading->store, "ask", why);
    return statement;
}

static bool walked(struct reading *reading, int step, char why[STORE_WHY_BYTES]) {
    return step == SQLITE_DONE || store_failed(reading->store, "read", why);
}

/* ---- from names to numbers ---- */

static void take_number(struct reading *reading, sqlite3_stmt *statement) {
    struct wanted *wanted = reading->wanted;
    for (size_t i = reading->at; i < reading->count && wanted[i].key == wanted[reading->at].key;
         i++)
        wanted[i].number = sqlite3_column_int64(statement, 1);
}

/* Those that no run has are wanted no more. */
static void order_by_number(struct reading *reading) {
    size_t kept = 0;
    for (size_t i = 0; i < reading->count; i++)
        if (reading->wanted[i].number) {
            reading->wanted[kept] = reading->wanted[i];
            reading->wanted[kept].key = reading->wanted[kept].number;
            kept++;
        }
    reading->count = kept;
    qsort(reading->wanted, kept, sizeof *reading->wanted, by_key);
}

/* The index of hashes has all that is asked for: the names themselves are not read. */
static bool find_numbers(struct reading *reading, const struct mux_span *tests,
                         char why[STORE_WHY_BYTES]) {
    sqlite3_stmt *statement =
        prepared(reading, "SELECT hash, id FROM tests WHERE hash>=?1 ORDER BY hash", why);
    if (!statement)
        return false;
    for (size_t i = 0; i < reading->count; i++)
        reading->wanted[i] =
            (struct wanted){(int64_t)names_key_of(tests[i]).a, .number = 0, .test = i};
    qsort(reading->wanted, reading->count, sizeof *reading->wanted, by_key);
    bool is_fine = walked(reading, walk(reading, statement, take_number), why);
    sqlite3_finalize(statement);
    order_by_number(reading);
    return is_fine;
}

/* ---- results ---- */

static void add_outcome(const struct reading *reading, size_t test) {
    const struct outcome *outcome = &reading->outcome;
    struct store_past *past = &reading->past[test];
    bool is_bad = outcome->is_bad, is_flaky = outcome->was_retried && !is_bad;
    if (past->runs++ == 0) {
        past->last = outcome->last;
        past->was_flaky = is_flaky;
        past->last_us = outcome->took_us;
    }
    past->bad_runs += is_bad;
    past->flaky_runs += is_flaky;
    if (outcome->took_us != STORE_NO_TIME)
        reading->took[test * STORE_PAST_RUNS + reading->tooks[test]++] = outcome->took_us;
}

/* The results of a test lie together; `from` is the first of its places in `wanted`. */
static void end_outcome(struct reading *reading, size_t from) {
    while (from > 0 && reading->wanted[from - 1].key >= reading->outcome.key)
        from--;
    for (; from < reading->count && reading->wanted[from].key == reading->outcome.key; from++)
        add_outcome(reading, reading->wanted[from].test);
    reading->outcome = (struct outcome){.last = MUX_STATUS_NONE};
}

/* The last one that is bad and was not tried again, or else the last one. */
static void take_status(struct outcome *outcome, int status) {
    bool is_bad = status < STORE_STATUS_FLAKY && store_is_bad((unsigned)status);
    outcome->was_retried |= status >= STORE_STATUS_FLAKY;
    if (outcome->is_bad && !is_bad)
        return;
    outcome->is_bad |= is_bad;
    if (status == STORE_STATUS_RETRIED)
        status = MUX_STATUS_FAIL;
    outcome->last = status == STORE_STATUS_FLAKY ? MUX_STATUS_SUCCESS : (enum mux_status)status;
}

static void take_result(struct reading *reading, sqlite3_stmt *statement) {
    struct outcome *outcome = &reading->outcome;
    int64_t key = sqlite3_column_int64(statement, 0);
    if (outcome->last != MUX_STATUS_NONE && outcome->key != key)
        end_outcome(reading, reading->at);
    outcome->key = key;
    take_status(outcome, sqlite3_column_int(statement, 1));
    outcome->took_us = sqlite3_column_type(statement, 2) == SQLITE_NULL
                           ? STORE_NO_TIME
                           : sqlite3_column_int64(statement, 2);
}

static void drop_full(struct reading *reading) {
    size_t kept = 0;
    for (size_t i = 0; i < reading->count; i++)
        if (reading->past[reading->wanted[i].test].runs < STORE_PAST_RUNS)
            reading->wanted[kept++] = reading->wanted[i];
    reading->count = kept;
}

static bool read_run(struct reading *reading, sqlite3_stmt *results, int64_t run,
                     char why[STORE_WHY_BYTES]) {
    sqlite3_bind_int64(results, 2, run);
    int step = walk(reading, results, take_result);
    if (reading->outcome.last != MUX_STATUS_NONE)
        end_outcome(reading, reading->at);
    drop_full(reading);
    return walked(reading, step, why);
}

static bool read_runs(struct reading *reading, char why[STORE_WHY_BYTES]) {
    sqlite3_stmt *runs =
        prepared(reading, "SELECT id FROM runs ORDER BY begun_us DESC, id DESC LIMIT ?1", why);
    sqlite3_stmt *results = runs ? prepared(reading,
                                            "SELECT test, status, took_us FROM results"
                                            " WHERE test>=?1 AND run=?2 ORDER BY test, id",
                                            why)
                                 : NULL;
    int step = SQLITE_DONE;
    bool is_fine = results != NULL;
    sqlite3_bind_int64(runs, 1, STORE_PAST_LOOKED);
    while (is_fine && reading->count && (step = sqlite3_step(runs)) == SQLITE_ROW)
        is_fine = read_run(reading, results, sqlite3_column_int64(runs, 0), why);
    if (is_fine && step != SQLITE_ROW)
        is_fine = walked(reading, step, why);
    sqlite3_finalize(results);
    sqlite3_finalize(runs);
    return is_fine;
}

/* ---- all of it ---- */

static int by_time(const void *x, const void *y) {
    const int64_t *a = x, *b = y;
    return *a < *b ? -1 : *a > *b;
}

/* Of an even number the larger of the two in the middle: a plan errs on the side of caution. */
static int64_t median(int64_t *took, unsigned count) {
    if (count == 0)
        return STORE_NO_TIME;
    qsort(took, count, sizeof *took, by_time);
    return took[count / 2];
}

static bool take_memory(struct reading *reading, size_t count, char why[STORE_WHY_BYTES]) {
    reading->wanted = calloc(count, sizeof *reading->wanted);
    reading->took = calloc(count * STORE_PAST_RUNS, sizeof *reading->took);
    reading->tooks = calloc(count, sizeof *reading->tooks);
    return (reading->wanted && reading->took && reading->tooks) ||
           store_say(why, "the store in", reading->store->folder, "out of memory");
}

bool store_past_read(struct store *store, const struct mux_span *tests, size_t count,
                     struct store_past *past, char why[STORE_WHY_BYTES]) {
    struct reading reading = {.store = store, .count = count, .past = past};
    for (size_t i = 0; i < count; i++)
        past[i] = (struct store_past){
            .last = MUX_STATUS_NONE, .median_us = STORE_NO_TIME, .last_us = STORE_NO_TIME};
    if (count == 0)
        return true;
    bool is_fine = take_memory(&reading, count, why) && find_numbers(&reading, tests, why) &&
                   read_runs(&reading, why);
    for (size_t i = 0; i < count && is_fine; i++)
        past[i].median_us = median(&reading.took[i * STORE_PAST_RUNS], reading.tooks[i]);
    free(reading.wanted);
    free(reading.took);
    free(reading.tooks);
    return is_fine;
}
