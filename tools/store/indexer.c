#include "tools/store/indexer.h"
#include "mux/packet/framer.h"
#include "tools/store/marks.h"
#include "tools/store/open_tests.h"
#include "tools/store/query.h"
#include "tools/store/result_rows.h"
#include "tools/store/store_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES (1 << 20)

enum {
    SQL_COUNT,
    SQL_ATTACHMENT,
    SQL_RUN,
    SQL_TRY,
    SQL_COUNT_OF,
};

static const char *const sql[SQL_COUNT_OF] = {
    [SQL_COUNT] = "INSERT INTO run_counts(run, status, n) VALUES(?1, ?2, ?3)"
                  " ON CONFLICT(run, status) DO UPDATE SET n=n+excluded.n",
    [SQL_ATTACHMENT] = "INSERT INTO attachments(run, result, seq, name, mime, at, len)"
                       " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [SQL_TRY] = "INSERT INTO tries(run, test, n) VALUES(?1, ?2, 1)"
                " ON CONFLICT(run, test) DO UPDATE SET n=n+1",
    [SQL_RUN] = "UPDATE runs SET raw_done=?2, raw_open=?3, damages=damages+?4, ended_us=?5,"
                " verdict=coalesce(?6, verdict), source=iif(source='', ?7, source),"
                " exit_status=coalesce(?8, exit_status) WHERE id=?1",
};

struct store_indexer {
    struct store *store;
    struct store_run run;
    int fd;
    sqlite3_stmt *statements[SQL_COUNT_OF];
    struct names tests, routes;
    struct result_rows results;
    struct open_tests open;
    struct mux_framer framer;
    int64_t fed, at; /* offsets in the file: read, and framed */
    int64_t known;   /* what is before is in the index already: only `open` is to be filled */
    bool in_batch;   /* a transaction is open */
    bool is_over;
    bool is_marked; /* who runs it says so in the stream: its results say, too, what is a try */
    unsigned rows;  /* of the batch */
    uint64_t counts[STORE_STATUSES], damages; /* of the batch */
    int64_t said_end_us;                      /* by a mark; 0: none */
    struct store_mark mark;                   /* of the batch; uuid "": none */
    uint8_t *store_bytes, *read_bytes;
};

static bool failed(const struct store_indexer *indexer, const char *operation,
                   char why[STORE_WHY_BYTES]) {
    return store_failed(indexer->store, operation, why);
}

/* Where the index ends. */
static bool take_place(struct store_indexer *indexer, char why[STORE_WHY_BYTES]) {
    sqlite3_stmt *statement = NULL;
    sqlite3_prepare_v2(indexer->store->database,
                       "SELECT raw_done, raw_open, verdict FROM runs WHERE id=?1", -1, &statement,
                       NULL);
    sqlite3_bind_int64(statement, 1, indexer->run.id);
    bool is_there = sqlite3_step(statement) == SQLITE_ROW;
    if (is_there) {
        indexer->known = sqlite3_column_int64(statement, 0);
        indexer->at = indexer->fed = sqlite3_column_int64(statement, 1);
        indexer->is_marked = sqlite3_column_int(statement, 2) != STORE_VERDICT_NONE;
    } else {
        failed(indexer, "find the run", why);
    }
    sqlite3_finalize(statement);
    return is_there;
}

static bool prepare(struct store_indexer *indexer, char why[STORE_WHY_BYTES]) {
    sqlite3 *database = indexer->store->database;
    for (unsigned i = 0; i < SQL_COUNT_OF; i++)
        if (sqlite3_prepare_v3(database, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &indexer->statements[i], NULL) != SQLITE_OK)
            return failed(indexer, "prepare", why);
    return (names_init(&indexer->tests, database, "tests") &&
            names_init(&indexer->routes, database, "routes") &&
            result_rows_init(&indexer->results, database, indexer->run.id)) ||
           failed(indexer, "prepare", why);
}

static bool take_memory(struct store_indexer *indexer, char why[STORE_WHY_BYTES]) {
    indexer->store_bytes = malloc(MUX_STORE_MAX_BYTES);
    indexer->read_bytes = malloc(READ_BYTES);
    if (!indexer->store_bytes || !indexer->read_bytes || !open_tests_init(&indexer->open))
        return store_say(why, "the run", indexer->run.uuid, "out of memory");
    mux_framer_init(&indexer->framer, (struct mux_room){indexer->store_bytes, MUX_STORE_MAX_BYTES});
    return true;
}

struct store_indexer *store_indexer_create(struct store *store, const struct store_run *run,
                                           char why[STORE_WHY_BYTES]) {
    struct store_indexer *indexer = calloc(1, sizeof *indexer);
    if (!indexer) {
        store_say(why, "the run", run->uuid, "out of memory");
        return NULL;
    }
    indexer->store = store;
    indexer->run = *run;
    indexer->fd = store_open_stream(store, run, why);
    if (indexer->fd >= 0 && take_memory(indexer, why) && prepare(indexer, why) &&
        take_place(indexer, why))
        return indexer;
    store_indexer_free(indexer);
    return NULL;
}

void store_indexer_free(struct store_indexer *indexer) {
    if (!indexer)
        return;
    if (indexer->in_batch)
        sqlite3_exec(indexer->store->database, "ROLLBACK", NULL, NULL, NULL);
    for (unsigned i = 0; i < SQL_COUNT_OF; i++)
        sqlite3_finalize(indexer->statements[i]);
    names_fini(&indexer->tests);
    names_fini(&indexer->routes);
    result_rows_fini(&indexer->results);
    open_tests_fini(&indexer->open);
    free(indexer->store_bytes);
    free(indexer->read_bytes);
    if (indexer->fd >= 0)
        close(indexer->fd);
    free(indexer);
}

static bool run_sql(struct store_indexer *indexer, const char *text, char why[STORE_WHY_BYTES]) {
    return store_run_sql(indexer->store, text, text, why);
}

/* IMMEDIATE: of two writers one waits here, and neither fails later. */
static bool begin_batch(struct store_indexer *indexer, char why[STORE_WHY_BYTES]) {
    if (!indexer->in_batch && !run_sql(indexer, "BEGIN IMMEDIATE", why))
        return false;
    indexer->in_batch = true;
    return true;
}

static bool step(struct store_indexer *indexer, unsigned which, const char *operation,
                 char why[STORE_WHY_BYTES]) {
    sqlite3_stmt *statement = indexer->statements[which];
    bool is_done = sqlite3_step(statement) == SQLITE_DONE;
    if (!is_done)
        failed(indexer, operation, why);
    sqlite3_reset(statement);
    return is_done;
}

/* All of the batch is in the index, and counted. */
static bool settle_batch(struct store_indexer *indexer, char why[STORE_WHY_BYTES]) {
    sqlite3_stmt *statement = indexer->statements[SQL_COUNT];
    if (!result_rows_flush(&indexer->results))
        return failed(indexer, "add a result", why);
    for (int status = 0; status < STORE_STATUSES; status++) {
        if (indexer->counts[status] == 0)
            continue;
        sqlite3_bind_int64(statement, 1, indexer->run.id);
        sqlite3_bind_int(statement, 2, status);
        sqlite3_bind_int64(statement, 3, (int64_t)indexer->counts[status]);
        if (!step(indexer, SQL_COUNT, "count", why))
            return false;
        indexer->counts[status] = 0;
    }
    return true;
}

static void bind_time(sqlite3_stmt *statement, int column, int64_t us) {
    if (us == OPEN_TEST_NO_TIME)
        sqlite3_bind_null(statement, column);
    else
        sqlite3_bind_int64(statement, column, us);
}

/* When it was last written to: that is when it ended, whoever reads it and whenever; if nobody says
 * it. Not before it began: the file system's clock is behind. */
static int64_t ended_us(const struct store_indexer *indexer) {
    struct stat about;
    if (!indexer->is_over || fstat(indexer->fd, &about) != 0)
        return OPEN_TEST_NO_TIME;
    int64_t us = (int64_t)about.st_mtim.tv_sec * 1000000 + about.st_mtim.tv_nsec / 1000;
    us = indexer->said_end_us ? indexer->said_end_us : us;
    return us > indexer->run.begun_us ? us : indexer->run.begun_us;
}

/* A verdict stays until there is another one, and a source for good. */
static void bind_mark(const struct store_indexer *indexer, sqlite3_stmt *statement) {
    const struct store_mark *mark = &indexer->mark;
    sqlite3_bind_null(statement, 6);
    if (*mark->uuid)
        sqlite3_bind_int(statement, 6, (int)mark->verdict);
    sqlite3_bind_text(statement, 7, *mark->uuid ? mark->source : "", -1, SQLITE_STATIC);
    sqlite3_bind_null(statement, 8);
    if (*mark->uuid && mark->exit_status != STORE_NO_EXIT)
        sqlite3_bind_int(statement, 8, mark->exit_status);
}

/* The rows and the offset that they reach to, at once. */
static bool commit(struct store_indexer *indexer, char why[STORE_WHY_BYTES]) {
    sqlite3_stmt *statement = indexer->statements[SQL_RUN];
    int64_t first = open_tests_first(&indexer->open, indexer->at + 1);
    if (!begin_batch(indexer, why) || !settle_batch(indexer, why))
        return false;
    sqlite3_bind_int64(statement, 1, indexer->run.id);
    sqlite3_bind_int64(statement, 2, indexer->at);
    sqlite3_bind_int64(statement, 3, first - 1);
    sqlite3_bind_int64(statement, 4, (int64_t)indexer->damages);
    bind_time(statement, 5, ended_us(indexer));
    bind_mark(indexer, statement);
    if (!step(indexer, SQL_RUN, "note how far it is", why))
        return false;
    if (indexer->is_over && !store_note_since(indexer->store, &indexer->run, why))
        return false;
    if (!run_sql(indexer, "COMMIT", why))
        return false;
    indexer->in_batch = false;
    indexer->known = indexer->at;
    indexer->rows = 0;
    indexer->damages = 0;
    *indexer->mark.uuid = '\0';
    return true;
}

static int64_t time_of(const struct mux_packet *packet) {
    return packet->has_timestamp ? mux_packet_time_ns(packet) / 1000 : OPEN_TEST_NO_TIME;
}

/* A test is one by its route and its id. */
static struct names_key key_of(struct names_key route, struct names_key test) {
    return (struct names_key){test.a ^ (route.a << 1 | route.a >> 63),
                              test.b ^ (route.b << 1 | route.b >> 63)};
}

/* The test of the packet that begins at `at`; its first one makes it. NULL: why. */
static struct open_test *test_of(struct store_indexer *indexer, const struct mux_packet *packet,
                                 int64_t at, char why[STORE_WHY_BYTES]) {
    struct mux_span route = packet->route.data ? packet->route : mux_span_text("");
    struct names_key route_key = names_key_of(route), test_key = names_key_of(packet->test_id);
    struct names_key key = key_of(route_key, test_key);
    struct open_test *test = open_tests_find(&indexer->open, key);
    if (test)
        return test;
    int64_t route_id = names_id(&indexer->routes, route_key, route);
    int64_t test_id = names_id(&indexer->tests, test_key, packet->test_id);
    test = route_id && test_id ? open_tests_add(&indexer->open, key, at + 1) : NULL;
    if (!test) {
        failed(indexer, "add a name", why);
        return NULL;
    }
    test->route = route_id;
    test->test = test_id;
    return test;
}

static bool add_result(struct store_indexer *indexer, const struct open_test *test,
                       enum mux_status status, int64_t ended_us, char why[STORE_WHY_BYTES]) {
    bool has_times = ended_us != OPEN_TEST_NO_TIME && test->begun_us != OPEN_TEST_NO_TIME;
    const struct result_row row = {
        test->test,  test->id,       (int64_t)status,
        test->route, test->begun_us, has_times ? ended_us - test->begun_us : OPEN_TEST_NO_TIME};
    indexer->counts[status]++;
    indexer->rows++;
    return result_rows_add(&indexer->results, &row) || failed(indexer, "add a result", why);
}

static bool add_try(struct store_indexer *indexer, const struct open_test *test,
                    char why[STORE_WHY_BYTES]) {
    sqlite3_bind_int64(indexer->statements[SQL_TRY], 1, indexer->run.id);
    sqlite3_bind_int64(indexer->statements[SQL_TRY], 2, test->test);
    return step(indexer, SQL_TRY, "note another try", why);
}

/* `at`: where its content stands in the file. */
static bool add_attachment(struct store_indexer *indexer, struct open_test *test,
                           const struct mux_packet *packet, int64_t at, char why[STORE_WHY_BYTES]) {
    sqlite3_stmt *statement = indexer->statements[SQL_ATTACHMENT];
    struct mux_span name = packet->file_name, mime = packet->mime;
    sqlite3_bind_int64(statement, 1, indexer->run.id);
    sqlite3_bind_int64(statement, 2, test->id);
    sqlite3_bind_int64(statement, 3, test->attachments);
    sqlite3_bind_text(statement, 4, (const char *)name.data, (int)name.len, SQLITE_STATIC);
    sqlite3_bind_text(statement, 5, (const char *)mime.data, (int)mime.len, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 6, at);
    sqlite3_bind_int64(statement, 7, (int64_t)packet->file_content.len);
    indexer->rows++;
    return step(indexer, SQL_ATTACHMENT, "add an attachment", why);
}

static bool take_file(struct store_indexer *indexer, struct open_test *test,
                      const struct mux_frame *frame, bool is_known, char why[STORE_WHY_BYTES]) {
    const struct mux_packet *packet = &frame->packet;
    int64_t at = indexer->at + (packet->file_content.data - frame->bytes.data);
    if (!packet->file_name.data || packet->file_content.len == 0)
        return true;
    bool is_fine = is_known || add_attachment(indexer, test, packet, at, why);
    test->attachments++;
    return is_fine;
}

/* Of this run, from who ran it: what comes from a worker has a route code. */
static void take_mark(struct store_indexer *indexer, const struct mux_packet *packet) {
    struct store_mark mark;
    if (packet->route.data || !store_mark_read(packet, &mark) ||
        strcmp(mark.uuid, indexer->run.uuid) != 0)
        return;
    if (*mark.source == '\0' && *indexer->mark.uuid)
        store_mark_set_source(&mark, indexer->mark.source);
    indexer->mark = mark;
    indexer->is_marked = true;
    if (store_verdict_word(mark.verdict))
        indexer->said_end_us = mark.at_us;
}

/* What a packet says of a test. */
static bool take_packet(struct store_indexer *indexer, const struct mux_frame *frame,
                        char why[STORE_WHY_BYTES]) {
    const struct mux_packet *packet = &frame->packet;
    bool is_known = indexer->at < indexer->known;
    if (!packet->test_id.data && !is_known)
        take_mark(indexer, packet);
    if (!packet->test_id.data || packet->status == MUX_STATUS_EXISTS)
        return true;
    if (!is_known && !begin_batch(indexer, why))
        return false;
    struct open_test *test = test_of(indexer, packet, indexer->at, why);
    if (!test || !take_file(indexer, test, frame, is_known, why))
        return false;
    if (packet->status == MUX_STATUS_INPROGRESS) {
        test->has_begun = true;
        test->begun_us = time_of(packet);
        return true;
    }
    if (packet->status == MUX_STATUS_NONE)
        return true;
    bool is_fine = is_known || add_result(indexer, test, packet->status, time_of(packet), why);
    if (is_fine && !is_known && store_mark_is_try(packet))
        is_fine = add_try(indexer, test, why);
    open_tests_remove(&indexer->open, test);
    return is_fine;
}

static bool take_frame(struct store_indexer *indexer, const struct mux_frame *frame,
                       char why[STORE_WHY_BYTES]) {
    bool is_fine = true;
    if (frame->kind == MUX_FRAME_PACKET)
        is_fine = take_packet(indexer, frame, why);
    else if (frame->kind == MUX_FRAME_DAMAGE && indexer->at >= indexer->known)
        indexer->damages++;
    indexer->at += (int64_t)frame->bytes.len;
    return is_fine && (indexer->rows < STORE_BATCH_ROWS || commit(indexer, why));
}

static bool take_frames(struct store_indexer *indexer, char why[STORE_WHY_BYTES]) {
    struct mux_framer *framer = &indexer->framer;
    struct mux_frame frame;
    for (;;) {
        mux_framer_next(framer, &frame);
        if (frame.kind == MUX_FRAME_NONE)
            return true;
        if (frame.kind == MUX_FRAME_STORE)
            mux_framer_move(framer, framer->store);
        else if (!take_frame(indexer, &frame, why))
            return false;
    }
}

bool store_indexer_read(struct store_indexer *indexer, char why[STORE_WHY_BYTES]) {
    for (;;) {
        ssize_t len = pread(indexer->fd, indexer->read_bytes, READ_BYTES, indexer->fed);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            return store_say(why, "the file of run", indexer->run.uuid, strerror(errno));
        if (len == 0)
            break;
        indexer->fed += len;
        mux_framer_feed(&indexer->framer, mux_span(indexer->read_bytes, (size_t)len));
        if (!take_frames(indexer, why))
            return false;
    }
    return indexer->at <= indexer->known || commit(indexer, why);
}

/* Their ids are in no order, which the index does not mind. */
static bool add_unended(struct store_indexer *indexer, char why[STORE_WHY_BYTES]) {
    for (unsigned i = 0; i < indexer->open.capacity; i++) {
        const struct open_test *test = &indexer->open.places[i];
        if (test->id && test->has_begun &&
            !add_result(indexer, test, MUX_STATUS_INPROGRESS, OPEN_TEST_NO_TIME, why))
            return false;
    }
    open_tests_fini(&indexer->open);
    return open_tests_init(&indexer->open) ||
           store_say(why, "the run", indexer->run.uuid, "out of memory");
}

bool store_indexer_finish(struct store_indexer *indexer, char why[STORE_WHY_BYTES]) {
    if (!store_indexer_read(indexer, why))
        return false;
    mux_framer_end(&indexer->framer);
    indexer->is_over = true;
    return take_frames(indexer, why) && begin_batch(indexer, why) && add_unended(indexer, why) &&
           settle_batch(indexer, why) &&
           store_settle(indexer->store, &indexer->run, indexer->is_marked, why) &&
           commit(indexer, why);
}
