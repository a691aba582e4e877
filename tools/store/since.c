/* Since when tests fail: noted when a run ends, since to look it up costs a seek for each run. */
#include "tools/store/query.h"
#include "tools/store/store_internal.h"

/* Of a test's runs the newest before is asked. It may have been left out of some. */
#define RUNS_LOOKED 10

/* When more tests fail nobody asks of one since when it does. */
#define TESTS_MOST 10000

struct noting {
    const struct store *store;
    const struct store_run *run;
    sqlite3_stmt *tests, *last, *since, *add;
    int64_t before[RUNS_LOOKED]; /* runs, the newest first */
    unsigned before_count;
};

static const char runs_sql[] =
    "SELECT p.id FROM runs u CROSS JOIN runs p WHERE u.id=?1 AND p.ended_us IS NOT NULL"
    " AND (p.begun_us, p.id)<(u.begun_us, u.id) ORDER BY p.begun_us DESC, p.id DESC LIMIT ?2";
static const char tests_sql[] = "SELECT DISTINCT test FROM results INDEXED BY results_bad"
                                " WHERE run=?1 AND status IN (2,4,6) LIMIT ?2";
static const char last_sql[] =
    "SELECT status FROM results WHERE run=?1 AND test=?2 ORDER BY id DESC LIMIT 1";
static const char since_sql[] = "SELECT since FROM bad_since WHERE run=?1 AND test=?2";
static const char add_sql[] = "INSERT INTO bad_since(run, test, since) VALUES(?1, ?2, ?3)";

/* New is what no run has seen, too, but only where there is a run before of the same source. */
static const char count_sql[] =
    "UPDATE runs SET new_bad=(SELECT count(*) FROM bad_since WHERE run=?1 AND since=?1)"
    " WHERE id=?1 AND EXISTS (SELECT 1 FROM runs p WHERE p.source=runs.source"
    " AND (p.begun_us, p.id)<(runs.begun_us, runs.id))";

static sqlite3_stmt *prepared(const struct store *store, const char *sql, int64_t first,
                              int64_t second) {
    sqlite3_stmt *statement = NULL;
    sqlite3_prepare_v2(store->database, sql, -1, &statement, NULL);
    sqlite3_bind_int64(statement, 1, first);
    if (sqlite3_bind_parameter_count(statement) > 1)
        sqlite3_bind_int64(statement, 2, second);
    return statement;
}

static bool is_done(const struct noting *noting, int step, char why[STORE_WHY_BYTES]) {
    return step == SQLITE_DONE || store_failed(noting->store, "note since when tests fail", why);
}

/* The first column of the first row; -1: there is none. */
static int64_t number_of(sqlite3_stmt *statement, int64_t run, int64_t test) {
    sqlite3_bind_int64(statement, 1, run);
    sqlite3_bind_int64(statement, 2, test);
    int64_t number =
        sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : -1;
    sqlite3_reset(statement);
    return number;
}

/* This run, if the test was well before or was not there; else since that before. */
static int64_t since_of(const struct noting *noting, int64_t test) {
    for (unsigned i = 0; i < noting->before_count; i++) {
        int64_t status = number_of(noting->last, noting->before[i], test);
        if (status <= MUX_STATUS_NONE)
            continue;
        if (!store_is_bad((unsigned)status))
            return noting->run->id;
        int64_t since = number_of(noting->since, noting->before[i], test);
        return since > 0 ? since : noting->before[i];
    }
    return noting->run->id;
}

static bool find_runs(struct noting *noting, char why[STORE_WHY_BYTES]) {
    sqlite3_stmt *runs = prepared(noting->store, runs_sql, noting->run->id, RUNS_LOOKED);
    int step;
    while ((step = sqlite3_step(runs)) == SQLITE_ROW)
        noting->before[noting->before_count++] = sqlite3_column_int64(runs, 0);
    bool is_fine = is_done(noting, step, why);
    sqlite3_finalize(runs);
    return is_fine;
}

static bool note_tests(struct noting *noting, char why[STORE_WHY_BYTES]) {
    int step;
    bool is_fine = true;
    while (is_fine && (step = sqlite3_step(noting->tests)) == SQLITE_ROW) {
        int64_t test = sqlite3_column_int64(noting->tests, 0);
        sqlite3_bind_int64(noting->add, 2, test);
        sqlite3_bind_int64(noting->add, 3, since_of(noting, test));
        is_fine = is_done(noting, sqlite3_step(noting->add), why);
        sqlite3_reset(noting->add);
    }
    return is_fine && is_done(noting, step, why);
}

static bool count_new(const struct noting *noting, char why[STORE_WHY_BYTES]) {
    sqlite3_stmt *count = prepared(noting->store, count_sql, noting->run->id, 0);
    bool is_fine = is_done(noting, sqlite3_step(count), why);
    sqlite3_finalize(count);
    return is_fine;
}

bool store_note_since(const struct store *store, const struct store_run *run,
                      char why[STORE_WHY_BYTES]) {
    struct noting noting = {
        .store = store,
        .run = run,
        .tests = prepared(store, tests_sql, run->id, TESTS_MOST),
        .last = prepared(store, last_sql, 0, 0),
        .since = prepared(store, since_sql, 0, 0),
        .add = prepared(store, add_sql, run->id, 0),
    };
    bool is_fine = find_runs(&noting, why) &&
                   (noting.before_count == 0 || note_tests(&noting, why)) &&
                   count_new(&noting, why);
    sqlite3_finalize(noting.tests);
    sqlite3_finalize(noting.last);
    sqlite3_finalize(noting.since);
    sqlite3_finalize(noting.add);
    return is_fine;
}
