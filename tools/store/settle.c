/* A test that failed and ran again in the same run: what counts is how it went in the end. */
#include "tools/store/store_internal.h"

#include <stddef.h>

/* STORE_STATUS_RETRIED. But a test that was skipped in the end has failed. */
static const char retried[] =
    "UPDATE results INDEXED BY results_bad SET status=9 WHERE run=?1 AND status IN (2,4,6)"
    " AND (SELECT g.id>results.id AND g.status<>5 FROM results g"
    " WHERE g.run=results.run AND g.test=results.test ORDER BY g.id DESC LIMIT 1)";

/* Each further try takes one failure back, the first ones first. */
static const char said[] =
    "UPDATE results INDEXED BY results_bad SET status=9 WHERE run=?1 AND status IN (2,4,6)"
    " AND (SELECT count(*) FROM results b WHERE b.run=results.run AND b.test=results.test"
    " AND b.status IN (2,4,6) AND b.id<=results.id)"
    " <=(SELECT n FROM tries t WHERE t.run=results.run AND t.test=results.test)"
    " AND (SELECT g.id>results.id AND g.status<>5 FROM results g"
    " WHERE g.run=results.run AND g.test=results.test ORDER BY g.id DESC LIMIT 1)";

/* STORE_STATUS_FLAKY: the last one, when it passed, and no failure counts. */
static const char flaky[] =
    "UPDATE results SET status=8 WHERE run=?1 AND status IN (3,7)"
    " AND test IN (SELECT test FROM results WHERE run=?1 AND status=9)"
    " AND test NOT IN (SELECT test FROM results INDEXED BY results_bad"
    " WHERE run=?1 AND status IN (2,4,6))"
    " AND id=(SELECT max(g.id) FROM results g WHERE g.run=results.run AND g.test=results.test)";

static const char forget[] = "DELETE FROM run_counts WHERE run=?1";
static const char count[] = "INSERT INTO run_counts(run, status, n)"
                            " SELECT run, status, count(*) FROM results WHERE run=?1"
                            " GROUP BY run, status";

static bool run_of(const struct store *store, const char *sql, int64_t run,
                   char why[STORE_WHY_BYTES]) {
    sqlite3_stmt *statement = NULL;
    sqlite3_prepare_v2(store->database, sql, -1, &statement, NULL);
    sqlite3_bind_int64(statement, 1, run);
    bool is_done = sqlite3_step(statement) == SQLITE_DONE ||
                   store_failed(store, "settle what was tried again", why);
    sqlite3_finalize(statement);
    return is_done;
}

bool store_settle(const struct store *store, const struct store_run *run, bool is_said,
                  char why[STORE_WHY_BYTES]) {
    if (!run_of(store, is_said ? said : retried, run->id, why))
        return false;
    return sqlite3_changes(store->database) == 0 ||
           (run_of(store, flaky, run->id, why) && run_of(store, forget, run->id, why) &&
            run_of(store, count, run->id, why));
}
