#include "tools/store/query.h"
#include "tools/store/names.h"
#include "tools/store/store_internal.h"

#include <stdio.h>
#include <string.h>

uint64_t store_run_tests(const struct store_run_row *row) {
    uint64_t sum = 0;
    for (unsigned status = 0; status < STORE_STATUSES; status++)
        sum += status == STORE_STATUS_RETRIED ? 0 : row->counts[status];
    return sum;
}

bool store_is_bad(unsigned status) {
    return status == MUX_STATUS_FAIL || status == MUX_STATUS_UXSUCCESS ||
           status == MUX_STATUS_INPROGRESS;
}

uint64_t store_run_bad(const struct store_run_row *row) {
    uint64_t sum = 0;
    for (unsigned status = 0; status < STORE_STATUSES; status++)
        sum += store_is_bad(status) ? row->counts[status] : 0;
    return sum;
}

static sqlite3_stmt *prepared(struct store *store, const char *sql, char why[STORE_WHY_BYTES]) {
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(store->database, sql, -1, &statement, NULL) != SQLITE_OK)
        store_failed(store, "ask", why);
    return statement;
}

/* Gives the rows to `row`, and ends the statement. */
static bool each(struct store *store, sqlite3_stmt *statement,
                 bool (*row)(void *asked, sqlite3_stmt *statement), void *asked,
                 char why[STORE_WHY_BYTES]) {
    int found;
    while ((found = sqlite3_step(statement)) == SQLITE_ROW && row(asked, statement))
        ;
    bool is_fine = found == SQLITE_DONE || found == SQLITE_ROW || store_failed(store, "read", why);
    sqlite3_finalize(statement);
    return is_fine;
}

static const char *text_at(sqlite3_stmt *statement, int column) {
    return (const char *)sqlite3_column_text(statement, column);
}

static int64_t time_at(sqlite3_stmt *statement, int column) {
    return sqlite3_column_type(statement, column) == SQLITE_NULL
               ? STORE_NO_TIME
               : sqlite3_column_int64(statement, column);
}

static void take_run(sqlite3_stmt *statement, int column, struct store_run *run) {
    run->id = sqlite3_column_int64(statement, column);
    snprintf(run->uuid, sizeof run->uuid, "%s", text_at(statement, column + 1));
    run->begun_us = sqlite3_column_int64(statement, column + 2);
}

/* ---- runs ---- */

struct runs_asked {
    sqlite3_stmt *counts;
    store_run_seen *seen;
    void *user;
};

/* One that is not known would be of a newer version, which is refused. */
static enum store_verdict verdict_at(sqlite3_stmt *statement, int column) {
    int verdict = sqlite3_column_int(statement, column);
    return verdict > 0 && verdict < STORE_VERDICTS ? (enum store_verdict)verdict
                                                   : STORE_VERDICT_NONE;
}

static void take_counts(sqlite3_stmt *counts, struct store_run_row *row) {
    sqlite3_bind_int64(counts, 1, row->run.id);
    while (sqlite3_step(counts) == SQLITE_ROW) {
        int status = sqlite3_column_int(counts, 0);
        if (status >= 0 && status < STORE_STATUSES)
            row->counts[status] = (uint64_t)sqlite3_column_int64(counts, 1);
    }
    sqlite3_reset(counts);
}

static bool run_row(void *user, sqlite3_stmt *statement) {
    struct runs_asked *asked = user;
    struct store_run_row row = {.source = text_at(statement, 3),
                                .ended_us = time_at(statement, 4),
                                .damages = (uint64_t)sqlite3_column_int64(statement, 5),
                                .verdict = verdict_at(statement, 6),
                                .new_bad = sqlite3_column_int64(statement, 7),
                                .exit_status = sqlite3_column_int(statement, 8)};
    take_run(statement, 0, &row.run);
    take_counts(asked->counts, &row);
    return asked->seen(asked->user, &row);
}

bool store_runs(struct store *store, int64_t run, unsigned most, store_run_seen *seen, void *user,
                char why[STORE_WHY_BYTES]) {
    sqlite3_stmt *statement =
        prepared(store,
                 "SELECT id, uuid, begun_us, source, ended_us, damages, verdict, coalesce(new_bad, "
                 "-1), coalesce(exit_status, -1) FROM runs"
                 " WHERE ?1=0 OR id=?1 ORDER BY begun_us DESC, id DESC LIMIT ?2",
                 why);
    if (!statement)
        return false;
    sqlite3_bind_int64(statement, 1, run);
    sqlite3_bind_int64(statement, 2, most);
    struct runs_asked asked = {
        prepared(store, "SELECT status, n FROM run_counts WHERE run=?1", why), seen, user};
    bool is_fine = each(store, statement, run_row, &asked, why) && asked.counts;
    sqlite3_finalize(asked.counts);
    return is_fine;
}

/* ---- results ---- */

#define RESULT_COLUMNS \
    "r.run, u.uuid, u.begun_us, r.id, t.name, o.name, r.status, r.begun_us, r.took_us"

#define SINCE_COLUMN 9

/* CROSS JOIN: in this order. Without statistics the planner would look at every result there is. */
#define RESULT_NAMES                                                     \
    " CROSS JOIN runs u ON u.id=r.run CROSS JOIN tests t ON t.id=r.test" \
    " CROSS JOIN routes o ON o.id=r.route"

static const char *const results_sql[] = {
    [STORE_FAILURES] =
        "SELECT " RESULT_COLUMNS
        ", coalesce(s.since, 0), coalesce(b.uuid, ''), coalesce(b.begun_us, 0)"
        " FROM results r" RESULT_NAMES " LEFT JOIN bad_since s ON s.run=r.run AND s.test=r.test"
        " LEFT JOIN runs b ON b.id=s.since"
        " WHERE r.run=?1 AND r.status IN (2,4,6) ORDER BY r.id LIMIT ?2",
    [STORE_SLOWEST] = "SELECT " RESULT_COLUMNS " FROM results r" RESULT_NAMES
                      " WHERE r.run=?1 AND r.took_us>=1000000 ORDER BY r.took_us DESC LIMIT ?2",
    [STORE_ALL] = "SELECT " RESULT_COLUMNS " FROM results r" RESULT_NAMES
                  " WHERE r.run=?1 ORDER BY t.name, r.id LIMIT ?2",
    /* Without a time the order of the stream counts, in which a route's packets keep theirs. */
    [STORE_BY_SLOT] = "SELECT " RESULT_COLUMNS " FROM results r" RESULT_NAMES
                      " WHERE r.run=?1 ORDER BY o.name, r.begun_us, r.id LIMIT ?2",
};

/* What the index of slow results does not have: all results of the run are looked at. */
static const char fast_sql[] =
    "SELECT " RESULT_COLUMNS " FROM (SELECT * FROM results WHERE run=?1 AND took_us>0"
    " AND took_us<1000000 ORDER BY took_us DESC LIMIT ?2) r" RESULT_NAMES
    " ORDER BY r.took_us DESC";

struct results_asked {
    store_result_seen *seen;
    void *user;
    unsigned count;
};

static unsigned status_at(sqlite3_stmt *statement, int column) {
    unsigned status = (unsigned)sqlite3_column_int(statement, column);
    return status < STORE_STATUSES ? status : MUX_STATUS_NONE;
}

static bool result_row(void *user, sqlite3_stmt *statement) {
    struct results_asked *asked = user;
    struct store_result_row row = {
        .id = sqlite3_column_int64(statement, 3),
        .test = text_at(statement, 4),
        .route = text_at(statement, 5),
        .status = status_at(statement, 6),
        .begun_us = time_at(statement, 7),
        .took_us = time_at(statement, 8),
    };
    asked->count++;
    take_run(statement, 0, &row.run);
    if (sqlite3_column_count(statement) > SINCE_COLUMN)
        take_run(statement, SINCE_COLUMN, &row.since);
    return asked->seen(asked->user, &row);
}

static bool ask_results(struct store *store, const char *sql, const struct store_run *run,
                        unsigned most, struct results_asked *asked, char why[STORE_WHY_BYTES]) {
    sqlite3_stmt *statement = prepared(store, sql, why);
    if (!statement)
        return false;
    sqlite3_bind_int64(statement, 1, run->id);
    sqlite3_bind_int64(statement, 2, most);
    return each(store, statement, result_row, asked, why);
}

bool store_results(struct store *store, const struct store_run *run, enum store_which which,
                   unsigned most, store_result_seen *seen, void *user, char why[STORE_WHY_BYTES]) {
    struct results_asked asked = {seen, user, 0};
    if (!ask_results(store, results_sql[which], run, most, &asked, why))
        return false;
    return which != STORE_SLOWEST || asked.count >= most ||
           ask_results(store, fast_sql, run, most - asked.count, &asked, why);
}

struct tests_asked {
    store_test_seen *seen;
    void *user;
};

static bool test_row(void *user, sqlite3_stmt *statement) {
    struct tests_asked *asked = user;
    return asked->seen(asked->user, text_at(statement, 0));
}

bool store_tests(struct store *store, store_test_seen *seen, void *user,
                 char why[STORE_WHY_BYTES]) {
    sqlite3_stmt *statement = prepared(store, "SELECT name FROM tests", why);
    struct tests_asked asked = {seen, user};
    return statement && each(store, statement, test_row, &asked, why);
}

bool store_history(struct store *store, const char *test, unsigned most, store_result_seen *seen,
                   void *user, char why[STORE_WHY_BYTES]) {
    sqlite3_stmt *statement =
        prepared(store,
                 "SELECT " RESULT_COLUMNS " FROM tests t CROSS JOIN runs u CROSS JOIN results r"
                 " CROSS JOIN routes o ON o.id=r.route"
                 " WHERE t.hash=?1 AND t.name=?2 AND r.run=u.id AND r.test=t.id"
                 " ORDER BY u.begun_us DESC, u.id DESC, r.id DESC LIMIT ?3",
                 why);
    struct results_asked asked = {seen, user, 0};
    if (!statement)
        return false;
    sqlite3_bind_int64(statement, 1, (int64_t)names_key_of(mux_span_text(test)).a);
    sqlite3_bind_text(statement, 2, test, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 3, most);
    return each(store, statement, result_row, &asked, why);
}

/* ---- attachments ---- */

struct attachments_asked {
    store_attachment_seen *seen;
    void *user;
};

static bool attachment_row(void *user, sqlite3_stmt *statement) {
    struct attachments_asked *asked = user;
    struct store_attachment_row row = {text_at(statement, 0), text_at(statement, 1),
                                       sqlite3_column_int64(statement, 2),
                                       sqlite3_column_int64(statement, 3)};
    return asked->seen(asked->user, &row);
}

bool store_attachments(struct store *store, const struct store_run *run, int64_t result,
                       store_attachment_seen *seen, void *user, char why[STORE_WHY_BYTES]) {
    sqlite3_stmt *statement = prepared(
        store,
        "SELECT name, mime, at, len FROM attachments WHERE run=?1 AND result=?2 ORDER BY seq", why);
    struct attachments_asked asked = {seen, user};
    if (!statement)
        return false;
    sqlite3_bind_int64(statement, 1, run->id);
    sqlite3_bind_int64(statement, 2, result);
    return each(store, statement, attachment_row, &asked, why);
}

/* ---- slots ---- */

struct slots_asked {
    store_slot_seen *seen;
    void *user;
};

static bool slot_row(void *user, sqlite3_stmt *statement) {
    struct slots_asked *asked = user;
    struct store_slot_row row = {
        text_at(statement, 0), (uint64_t)sqlite3_column_int64(statement, 1),
        sqlite3_column_int64(statement, 2), sqlite3_column_int64(statement, 3)};
    return asked->seen(asked->user, &row);
}

bool store_slots(struct store *store, const struct store_run *run, store_slot_seen *seen,
                 void *user, char why[STORE_WHY_BYTES]) {
    sqlite3_stmt *statement = prepared(
        store,
        "SELECT o.name, count(*), coalesce(sum(r.took_us), 0), coalesce(s.span_us, 0)"
        " FROM results r CROSS JOIN routes o ON o.id=r.route CROSS JOIN"
        " (SELECT max(begun_us + took_us) - min(begun_us) AS span_us FROM results WHERE run=?1) s"
        " WHERE r.run=?1 GROUP BY r.route ORDER BY length(o.name), o.name",
        why);
    struct slots_asked asked = {seen, user};
    if (!statement)
        return false;
    sqlite3_bind_int64(statement, 1, run->id);
    return each(store, statement, slot_row, &asked, why);
}

/* ---- two runs ---- */

/* The worst of a test's results: its rank, and behind that its status. */
#define WORST                                                                                   \
    "(SELECT test, max(CASE status WHEN 6 THEN 70 WHEN 4 THEN 60 WHEN 2 THEN 50 WHEN 8 THEN 40" \
    " WHEN 3 THEN 30 WHEN 7 THEN 20 WHEN 9 THEN 0 ELSE 10 END * 10 + status) AS worst,"         \
    " max(took_us) AS took_us FROM results WHERE run="

struct changes_asked {
    store_change_seen *seen;
    void *user;
};

static unsigned worst_at(sqlite3_stmt *statement, int column) {
    return (unsigned)sqlite3_column_int(statement, column) % 10;
}

static bool change_row(void *user, sqlite3_stmt *statement) {
    struct changes_asked *asked = user;
    struct store_change_row row = {text_at(statement, 0), worst_at(statement, 1),
                                   worst_at(statement, 2), time_at(statement, 3),
                                   time_at(statement, 4)};
    return asked->seen(asked->user, &row);
}

bool store_changes(struct store *store, const struct store_run *before,
                   const struct store_run *after, store_change_seen *seen, void *user,
                   char why[STORE_WHY_BYTES]) {
    sqlite3_stmt *statement = prepared(
        store,
        "SELECT t.name, max(c.before), max(c.after), max(c.took_before), max(c.took_after) FROM"
        " (SELECT test, worst AS before, 0 AS after, took_us AS took_before, NULL AS took_after"
        " FROM " WORST "?1 GROUP BY test)"
        " UNION ALL SELECT test, 0, worst, NULL, took_us FROM " WORST "?2 GROUP BY test)) c"
        " CROSS JOIN tests t ON t.id=c.test GROUP BY c.test ORDER BY t.name",
        why);
    struct changes_asked asked = {seen, user};
    if (!statement)
        return false;
    sqlite3_bind_int64(statement, 1, before->id);
    sqlite3_bind_int64(statement, 2, after->id);
    return each(store, statement, change_row, &asked, why);
}
