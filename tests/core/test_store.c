/* The index of a run's file: read at once, or in pieces by indexers that are killed, it is the
 * same. */
#include "tests/unit/check.h"
#include "tests/unit/random.h"

#include "mux/packet/packet.h"
#include "tools/store/check.h"
#include "tools/store/indexer.h"
#include "tools/store/query.h"
#include "tools/store/store_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define SEEDS 30
#define PACKETS 400
#define TESTS 30
#define STREAM_MOST_BYTES 400000

struct stream {
    uint8_t bytes[STREAM_MOST_BYTES];
    size_t len;
};

static void add(struct stream *stream, const struct mux_packet *packet) {
    size_t written;
    assert_int_equal(mux_packet_encode(packet, stream->bytes + stream->len,
                                       sizeof stream->bytes - stream->len, &written),
                     MUX_OK);
    stream->len += written;
}

/* Tests that begin, have files, end, end twice, never end, on some routes; chatter and damage. */
static void make(struct stream *stream, struct random *random) {
    static const char *const routes[] = {NULL, "0", "0/1"};
    stream->len = 0;
    for (unsigned i = 0; i < PACKETS; i++) {
        char id[32], content[64];
        const char *route = routes[random_below(random, COUNT(routes))];
        struct mux_packet packet = {.runnable = true};
        snprintf(id, sizeof id, "pkg.test_%zu", random_below(random, TESTS));
        snprintf(content, sizeof content, "content %u", i);
        packet.test_id = mux_span_text(id);
        packet.route = route ? mux_span_text(route) : mux_span(NULL, 0);
        packet.status = random_below(random, 2) ? MUX_STATUS_INPROGRESS
                                                : (enum mux_status)random_below(random, 8);
        if (random_below(random, 3))
            mux_packet_set_time_ns(&packet, 1700000000000000000 + (int64_t)i * 700000000);
        if (random_below(random, 3) == 0) {
            packet.file_name = mux_span_text("traceback");
            packet.file_content = mux_span_text(content);
        }
        add(stream, &packet);
        if (random_below(random, 20) == 0)
            memcpy(stream->bytes + (stream->len += 5) - 5, "text\n", 5);
        if (random_below(random, 40) == 0)
            stream->bytes[stream->len - 1] ^= 1;
    }
}

static struct store *open_store(const char *folder) {
    char why[STORE_WHY_BYTES] = "";
    struct store *store = store_open(folder, STORE_WRITE, why);
    assert_string_equal(why, "");
    assert_non_null(store);
    return store;
}

static struct store_indexer *create(struct store *store, const struct store_run *run) {
    char why[STORE_WHY_BYTES] = "";
    struct store_indexer *indexer = store_indexer_create(store, run, why);
    assert_string_equal(why, "");
    return indexer;
}

static void read_on(struct store_indexer *indexer) {
    char why[STORE_WHY_BYTES] = "";
    store_indexer_read(indexer, why);
    assert_string_equal(why, "");
}

static void finish(struct store_indexer *indexer) {
    char why[STORE_WHY_BYTES] = "";
    store_indexer_finish(indexer, why);
    assert_string_equal(why, "");
    store_indexer_free(indexer);
}

static int begin(struct store *store, struct store_run *run) {
    char why[STORE_WHY_BYTES] = "";
    int fd = store_begin(store, "a test", run, why);
    assert_string_equal(why, "");
    return fd;
}

static void append(int fd, const struct stream *stream, size_t from, size_t to) {
    assert_int_equal(write(fd, stream->bytes + from, to - from), (ssize_t)(to - from));
}

/* In pieces that end anywhere; now and then another indexer goes on, perhaps of another process. */
static void index_in_pieces(struct store *store, const struct store_run *run, int fd,
                            const struct stream *stream, struct random *random) {
    struct store_indexer *indexer = create(store, run);
    for (size_t at = 0; at < stream->len;) {
        size_t next = at + 1 + random_below(random, 3000);
        next = next < stream->len ? next : stream->len;
        append(fd, stream, at, next);
        at = next;
        read_on(indexer);
        if (random_below(random, 3) == 0) {
            store_indexer_free(indexer);
            indexer = create(store, run);
        }
    }
    finish(indexer);
}

/* Rows of the second run that the first has not; and the other way round. */
static void assert_same_rows(struct store *store, const char *columns, const char *table) {
    for (int first = 1; first <= 2; first++) {
        char sql[512];
        sqlite3_stmt *statement;
        snprintf(sql, sizeof sql,
                 "SELECT count(*) FROM (SELECT %s FROM %s WHERE run=%d EXCEPT SELECT %s FROM %s "
                 "WHERE run=%d)",
                 columns, table, first, columns, table, 3 - first);
        assert_int_equal(sqlite3_prepare_v2(store->database, sql, -1, &statement, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        assert_int_equal(sqlite3_column_int(statement, 0), 0);
        sqlite3_finalize(statement);
    }
}

static void no_fault(void *user, const char *sentence) {
    (void)user;
    fail_msg("%s", sentence);
}

static void remove_store(const char *folder) {
    char command[256];
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

static void pieces_are_the_whole(void **state) {
    (void)state;
    static struct stream stream;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct random random = {seed};
        struct store_run whole, pieces;
        char folder[] = "/tmp/muxd-store-XXXXXX";
        assert_non_null(mkdtemp(folder));
        struct store *store = open_store(folder);
        make(&stream, &random);
        int fd = begin(store, &whole);
        append(fd, &stream, 0, stream.len);
        struct store_indexer *indexer = create(store, &whole);
        read_on(indexer);
        finish(indexer);
        close(fd);
        fd = begin(store, &pieces);
        index_in_pieces(store, &pieces, fd, &stream, &random);
        close(fd);
        assert_same_rows(store, "test, id, status, route, begun_us, took_us", "results");
        assert_same_rows(store, "result, seq, name, at, len", "attachments");
        assert_same_rows(store, "status, n", "run_counts");
        assert_int_equal(store_check(store, no_fault, NULL), 0);
        store_close(store);
        remove_store(folder);
    }
}

static bool count_rows(void *user, const struct store_result_row *row) {
    (void)row;
    ++*(unsigned *)user;
    return true;
}

/* A new index has what the old one had. */
static void rebuilt(void **state) {
    (void)state;
    static struct stream stream;
    struct random random = {5};
    struct store_run run, again;
    char folder[] = "/tmp/muxd-store-XXXXXX", why[STORE_WHY_BYTES] = "";
    unsigned before = 0, after = 0;
    assert_non_null(mkdtemp(folder));
    struct store *store = open_store(folder);
    make(&stream, &random);
    int fd = begin(store, &run);
    append(fd, &stream, 0, stream.len);
    close(fd);
    struct store_indexer *indexer = create(store, &run);
    read_on(indexer);
    finish(indexer);
    assert_true(store_results(store, &run, STORE_ALL, 100000, count_rows, &before, why));
    store_close(store);
    assert_true(store_rebuild(folder, why));
    store = open_store(folder);
    assert_true(store_find(store, "last", &again, why));
    assert_string_equal(again.uuid, run.uuid);
    assert_true(store_results(store, &again, STORE_ALL, 100000, count_rows, &after, why));
    assert_true(before > 100 && before == after);
    store_close(store);
    remove_store(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_the_whole),
        cmocka_unit_test(rebuilt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
