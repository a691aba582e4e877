#include "tools/store/names.h"
#include "mux/hash.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

/* The hash in the index is of this key, and must stay. */
#define KEY_STORED 0
#define KEY_OTHER 1

#define CAPACITY_FIRST 1024

/* After so many questions it pays to read all names at once, as a run of known tests will ask. */
#define ASKED_MOST 1000

/* 32 MiB; then the table is begun anew, and the index asked again. */
#define CAPACITY_MOST (1U << 21)

struct names_key names_key_of(struct mux_span text) {
    return (struct names_key){mux_hash(KEY_STORED, text), mux_hash(KEY_OTHER, text)};
}

static bool prepare(struct sqlite3 *database, const char *sql, struct sqlite3_stmt **statement) {
    return sqlite3_prepare_v3(database, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL) ==
           SQLITE_OK;
}

bool names_init(struct names *names, struct sqlite3 *database, const char *table) {
    char find[128], add[128], all[128], last[128];
    snprintf(find, sizeof find, "SELECT id FROM %s WHERE hash=?1 AND name=?2", table);
    snprintf(add, sizeof add, "INSERT INTO %s(hash, name) VALUES(?1, ?2)", table);
    snprintf(all, sizeof all, "SELECT id, hash, name FROM %s LIMIT %u", table, CAPACITY_MOST / 2);
    snprintf(last, sizeof last, "SELECT max(id) FROM %s", table);
    *names = (struct names){.capacity = CAPACITY_FIRST};
    names->entries = calloc(names->capacity, sizeof *names->entries);
    return names->entries && prepare(database, find, &names->find) &&
           prepare(database, add, &names->add) && prepare(database, all, &names->all) &&
           prepare(database, last, &names->last);
}

void names_fini(struct names *names) {
    sqlite3_finalize(names->find);
    sqlite3_finalize(names->add);
    sqlite3_finalize(names->all);
    sqlite3_finalize(names->last);
    free(names->entries);
    *names = (struct names){0};
}

static void forget(struct names *names) {
    memset(names->entries, 0, names->capacity * sizeof *names->entries);
    names->count = 0;
}

static bool is_at(const struct names_entry *entry, uint64_t a, uint32_t b) {
    return entry->a == a && entry->b == b;
}

/* Where the key is, or would be: 96 bits of it tell. */
static struct names_entry *place_at(const struct names *names, uint64_t a, uint32_t b) {
    unsigned mask = names->capacity - 1;
    unsigned i = b & mask;
    while (names->entries[i].id && !is_at(&names->entries[i], a, b))
        i = (i + 1) & mask;
    return &names->entries[i];
}

static struct names_entry *place_of(const struct names *names, struct names_key key) {
    return place_at(names, key.a, (uint32_t)key.b);
}

/* Room for twice as many as there are, or for `count`. */
static bool grow(struct names *names, uint64_t count) {
    struct names larger = {.capacity = 2 * names->capacity};
    if (names->capacity == CAPACITY_MOST) {
        forget(names);
        return true;
    }
    while (larger.capacity / 2 < count && larger.capacity < CAPACITY_MOST)
        larger.capacity *= 2;
    larger.entries = calloc(larger.capacity, sizeof *larger.entries);
    if (!larger.entries)
        return false;
    for (unsigned i = 0; i < names->capacity; i++)
        if (names->entries[i].id)
            *place_at(&larger, names->entries[i].a, names->entries[i].b) = names->entries[i];
    free(names->entries);
    names->entries = larger.entries;
    names->capacity = larger.capacity;
    return true;
}

static int step(struct sqlite3_stmt *statement, struct names_key key, struct mux_span text) {
    sqlite3_bind_int64(statement, 1, (int64_t)key.a);
    sqlite3_bind_text(statement, 2, (const char *)text.data, (int)text.len, SQLITE_STATIC);
    return sqlite3_step(statement);
}

/* From the index. */
static int64_t ask(struct names *names, struct names_key key, struct mux_span text) {
    int64_t id = 0;
    int found = step(names->find, key, text);
    if (found == SQLITE_ROW)
        id = sqlite3_column_int64(names->find, 0);
    sqlite3_reset(names->find);
    if (found == SQLITE_DONE && step(names->add, key, text) == SQLITE_DONE)
        id = sqlite3_last_insert_rowid(sqlite3_db_handle(names->add));
    sqlite3_reset(names->add);
    return id;
}

/* A number that an entry cannot hold is asked for again. */
static bool keep(struct names *names, struct names_key key, int64_t id) {
    if (id > UINT32_MAX)
        return true;
    if (names->count >= names->capacity / 2 && !grow(names, 0))
        return false;
    struct names_entry *entry = place_of(names, key);
    names->count += entry->id == 0;
    *entry = (struct names_entry){key.a, (uint32_t)key.b, (uint32_t)id};
    return true;
}

/* At once: to grow step by step costs as much as to read them. */
static void make_room(struct names *names) {
    uint64_t count = 0;
    if (sqlite3_step(names->last) == SQLITE_ROW)
        count = (uint64_t)sqlite3_column_int64(names->last, 0);
    sqlite3_reset(names->last);
    if (count > names->capacity / 2)
        grow(names, count);
}

/* What cannot be kept is asked for again. */
static void read_all(struct names *names) {
    make_room(names);
    while (sqlite3_step(names->all) == SQLITE_ROW) {
        const void *text = sqlite3_column_text(names->all, 2);
        struct mux_span name = mux_span(text, (size_t)sqlite3_column_bytes(names->all, 2));
        struct names_key key = {(uint64_t)sqlite3_column_int64(names->all, 1),
                                mux_hash(KEY_OTHER, name)};
        if (!keep(names, key, sqlite3_column_int64(names->all, 0)))
            break;
    }
    sqlite3_reset(names->all);
}

int64_t names_id(struct names *names, struct names_key key, struct mux_span text) {
    struct names_entry *entry = place_of(names, key);
    if (!entry->id && ++names->asked == ASKED_MOST)
        read_all(names);
    entry = place_of(names, key);
    if (entry->id)
        return entry->id;
    int64_t id = ask(names, key, text);
    if (id)
        keep(names, key, id);
    return id;
}
