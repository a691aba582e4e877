/*
 * The store's index of any bytes: it is sound, and it is the same whether it is made in pieces, by
 * indexers that end after each, or in one go.
 *
 * Input: a number of pieces, for each but the last its length (two bytes); the run's bytes.
 */
#include "tests/fuzz/fuzz.h"

#include "tools/store/check.h"
#include "tools/store/indexer.h"
#include "tools/store/query.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PIECES_MOST 4

/* A run that its bytes can name. */
#define UUID "0b5f6f0e-5a1c-4c9e-8f3e-2f6a1f0c7d21"

static char folder[64];

static void remove_folder(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (*folder && system(command) != 0)
        abort();
}

/* In memory if there is such a file system: an input a millisecond. */
static void make_folder(void) {
    const char *place = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, sizeof folder, "%s/muxd-fuzz-store-XXXXXX", place);
    assert(mkdtemp(folder));
    atexit(remove_folder);
}

/* Of the input before. */
static void empty_folder(const struct store_run *run) {
    static const char *const names[] = {"index.sqlite", "index.sqlite.old", "index.sqlite-wal",
                                        "index.sqlite-shm"};
    char path[192];
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/runs/%014llx-%s.subunit", folder,
             (unsigned long long)run->begun_us, run->uuid);
    assert(unlink(path) == 0);
}

static struct store *open_store(void) {
    char why[STORE_WHY_BYTES];
    struct store *store = store_open(folder, STORE_WRITE, why);
    assert(store);
    return store;
}

/* ---- what a store says of its run ---- */

static void add_text(struct bytes *out, const char *text) {
    bytes_append(out, mux_span_text(text));
}

static bool add_run(void *user, const struct store_run_row *row) {
    char line[1536];
    size_t len = (size_t)snprintf(line, sizeof line, "%s %d %llu %s", row->run.uuid, row->verdict,
                                  (unsigned long long)row->damages, row->source);
    for (int i = 0; i < STORE_STATUSES; i++)
        len += (size_t)snprintf(line + len, sizeof line - len, " %llu",
                                (unsigned long long)row->counts[i]);
    add_text(user, line);
    return true;
}

static bool add_result(void *user, const struct store_result_row *row) {
    char line[128];
    snprintf(line, sizeof line, "\n%lld %u %lld %lld ", (long long)row->id, row->status,
             (long long)row->begun_us, (long long)row->took_us);
    add_text(user, line);
    add_text(user, row->test);
    add_text(user, row->route);
    return true;
}

static bool add_slot(void *user, const struct store_slot_row *row) {
    add_text(user, row->route);
    return row->span_us != STORE_NO_TIME;
}

static struct bytes all_of(struct store *store, const struct store_run *run) {
    char why[STORE_WHY_BYTES];
    struct bytes out = {0};
    assert(store_runs(store, run->id, 1, add_run, &out, why));
    for (int which = STORE_FAILURES; which <= STORE_BY_SLOT; which++)
        assert(
            store_results(store, run, (enum store_which)which, INT32_MAX, add_result, &out, why));
    assert(store_slots(store, run, add_slot, &out, why));
    return out;
}

static void print_fault(void *user, const char *sentence) {
    (void)user;
    printf("%s\n", sentence);
}

/* ---- an input ---- */

static void index_piece(struct store *store, const struct store_run *run, bool is_last) {
    char why[STORE_WHY_BYTES];
    struct store_indexer *indexer = store_indexer_create(store, run, why);
    assert(indexer);
    assert(is_last ? store_indexer_finish(indexer, why) : store_indexer_read(indexer, why));
    store_indexer_free(indexer);
}

static void index_pieces(struct store *store, struct store_run *run, struct script *script) {
    char why[STORE_WHY_BYTES];
    size_t lens[PIECES_MOST], count = script_byte(script) % PIECES_MOST;
    for (size_t i = 0; i < count; i++)
        lens[i] = script_number(script, 2048);
    struct script rest = {mux_span(copy_of(script->rest), script->rest.len)};
    uint8_t *bytes = (uint8_t *)rest.rest.data;
    repair_packets(bytes, rest.rest.len);
    int fd = store_begin_named(store, "", run, why);
    assert(fd >= 0);
    for (size_t i = 0; i <= count; i++) {
        struct mux_span piece = script_take(&rest, i < count ? lens[i] : SIZE_MAX);
        assert(write(fd, piece.data, piece.len) == (ssize_t)piece.len);
        index_piece(store, run, i == count);
    }
    close(fd);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char why[STORE_WHY_BYTES];
    struct script script = {mux_span(data, size)};
    struct store_run run = {.uuid = UUID}, again;
    if (!*folder)
        make_folder();
    struct store *store = open_store();
    index_pieces(store, &run, &script);
    struct bytes first = all_of(store, &run);
    assert(store_check(store, print_fault, NULL) == 0);
    store_close(store);
    assert(store_rebuild(folder, why));
    store = open_store();
    assert(store_find(store, UUID, &again, why));
    struct bytes second = all_of(store, &again);
    assert(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    assert(store_check(store, print_fault, NULL) == 0);
    store_close(store);
    empty_folder(&run);
    free(first.data);
    free(second.data);
    return 0;
}
