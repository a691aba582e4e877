#include "mux/progress.h"
#include "mux/bytes.h"
#include "mux/hash.h"

#include <stdlib.h>

/* Three cache lines: most names fit one cell. */
#define CELL_BYTES 192

/* A name's beginning is in its first cell, the rest in more of them. */
#define FIRST_BYTES (CELL_BYTES - sizeof(struct head))
#define MORE_BYTES (CELL_BYTES - sizeof(struct mux_progress_cell *))

struct head {
    struct mux_progress_cell *more; /* or the next free one */
    struct mux_list of_link;
    struct mux_progress_cell *next; /* in its bucket */
    struct mux_progress_list *list;
    uint32_t hash;
    uint16_t route_len, test_id_len;
    bool has_route;
    bool is_alone; /* in no bucket, not hashed: it began while its link had no other */
};

struct mux_progress_cell {
    union {
        struct {
            struct head head;
            uint8_t first[FIRST_BYTES];
        };
        struct {
            struct mux_progress_cell *more;
            uint8_t bytes[MORE_BYTES];
        };
    };
};

_Static_assert(sizeof(struct mux_progress_cell) == CELL_BYTES, "a cell is three cache lines");

bool mux_progress_init(struct mux_progress *progress, unsigned cells, uint64_t hash_key) {
    *progress = (struct mux_progress){.count = cells, .free_count = cells, .hash_key = hash_key};
    progress->cells = calloc(cells, sizeof *progress->cells);
    progress->buckets = calloc(cells, sizeof *progress->buckets);
    return progress->cells && progress->buckets;
}

void mux_progress_fini(struct mux_progress *progress) {
    free(progress->cells);
    free(progress->buckets);
}

void mux_progress_open(struct mux_progress_list *list, unsigned cells_max) {
    *list = (struct mux_progress_list){.cells_max = cells_max};
    mux_list_init(&list->tests);
}

static struct mux_progress_cell *take_cell(struct mux_progress *progress) {
    struct mux_progress_cell *cell = progress->free_cells;
    if (cell)
        progress->free_cells = cell->more;
    else if (progress->touched < progress->count)
        cell = &progress->cells[progress->touched++];
    if (cell) {
        progress->free_count--;
        cell->more = NULL;
    }
    return cell;
}

static void free_cell(struct mux_progress *progress, struct mux_progress_cell *cell) {
    cell->more = progress->free_cells;
    progress->free_cells = cell;
    progress->free_count++;
}

static unsigned cells_for(size_t len) {
    return 1 +
           (len > FIRST_BYTES ? (unsigned)((len - FIRST_BYTES + MORE_BYTES - 1) / MORE_BYTES) : 0);
}

/*
 * ---- names: route code, then test id, in a chain of cells ----
 */

struct cursor {
    struct mux_progress_cell *cell;
    uint8_t *at;
    size_t room;
};

static struct cursor begin_name(struct mux_progress_cell *cell) {
    return (struct cursor){cell, cell->first, FIRST_BYTES};
}

/* The next piece of memory, at most `len` bytes of it. */
static struct mux_room advance(struct cursor *cursor, size_t len) {
    if (cursor->room == 0) {
        cursor->cell = cursor->cell->more;
        cursor->at = cursor->cell->bytes;
        cursor->room = MORE_BYTES;
    }
    size_t some = len < cursor->room ? len : cursor->room;
    struct mux_room piece = {cursor->at, some};
    cursor->at += some;
    cursor->room -= some;
    return piece;
}

static void write_name(struct cursor *cursor, struct mux_span text) {
    while (text.len > 0) {
        struct mux_room piece = advance(cursor, text.len);
        memcpy(piece.data, text.data, piece.len);
        text = mux_span(text.data + piece.len, text.len - piece.len);
    }
}

static void read_name(struct cursor *cursor, uint8_t *out, size_t len) {
    while (len > 0) {
        struct mux_room piece = advance(cursor, len);
        memcpy(out, piece.data, piece.len);
        out += piece.len;
        len -= piece.len;
    }
}

static bool name_equal(struct cursor *cursor, struct mux_span text) {
    while (text.len > 0) {
        struct mux_room piece = advance(cursor, text.len);
        if (memcmp(piece.data, text.data, piece.len) != 0)
            return false;
        text = mux_span(text.data + piece.len, text.len - piece.len);
    }
    return true;
}

/*
 * ---- tests ----
 */

static bool is_test(struct mux_progress_cell *cell, const struct mux_packet *packet) {
    const struct head *head = &cell->head;
    if (head->route_len != packet->route.len || head->test_id_len != packet->test_id.len ||
        head->has_route != !!packet->route.data)
        return false;
    struct cursor cursor = begin_name(cell);
    return name_equal(&cursor, packet->route) && name_equal(&cursor, packet->test_id);
}

static struct mux_progress_cell *first_of(const struct mux_progress_list *list) {
    return mux_list_empty(&list->tests) ? NULL
                                        : (struct mux_progress_cell *)(void *)MUX_LIST_ITEM(
                                              list->tests.next, struct head, of_link);
}

/* The same names on many links are in different buckets. */
static uint32_t salt_of(const struct mux_progress_list *list) {
    return (uint32_t)((uintptr_t)list >> 4) * 2654435761u;
}

static uint32_t hash_of(const struct mux_progress *progress, const struct mux_progress_list *list,
                        struct mux_span route, struct mux_span test_id) {
    return (uint32_t)(mux_hash(progress->hash_key, test_id) ^
                      mux_hash(~progress->hash_key, route)) ^
           salt_of(list);
}

static struct mux_progress_cell **bucket_of(struct mux_progress *progress, uint32_t hash) {
    return &progress->buckets[(uint64_t)hash * progress->count >> 32];
}

static struct mux_progress_cell *find(struct mux_progress *progress,
                                      const struct mux_progress_list *list, uint32_t hash,
                                      const struct mux_packet *packet) {
    struct mux_progress_cell *cell = *bucket_of(progress, hash);
    while (cell && !(cell->head.hash == hash && cell->head.list == list && is_test(cell, packet)))
        cell = cell->head.next;
    return cell;
}

static void enter_bucket(struct mux_progress *progress, struct mux_progress_cell *cell,
                         uint32_t hash) {
    struct mux_progress_cell **bucket = bucket_of(progress, hash);
    cell->head.hash = hash;
    cell->head.next = *bucket;
    *bucket = cell;
}

static void leave_bucket(struct mux_progress *progress, struct mux_progress_cell *cell) {
    struct mux_progress_cell **at = bucket_of(progress, cell->head.hash);
    while (*at != cell)
        at = &(*at)->head.next;
    *at = cell->head.next;
}

static void read_whole_name(struct mux_progress_cell *cell, struct mux_progress_name *name) {
    const struct head *head = &cell->head;
    struct cursor cursor = begin_name(cell);
    read_name(&cursor, name->bytes, (size_t)head->route_len + head->test_id_len);
    name->route = mux_span(head->has_route ? name->bytes : NULL, head->route_len);
    name->test_id = mux_span(name->bytes + head->route_len, head->test_id_len);
}

/* Another one begins. */
MUX_RARE void no_longer_alone(struct mux_progress *progress, struct mux_progress_cell *cell) {
    struct mux_progress_name name;
    read_whole_name(cell, &name);
    cell->head.is_alone = false;
    enter_bucket(progress, cell, hash_of(progress, cell->head.list, name.route, name.test_id));
}

static void forget(struct mux_progress *progress, struct mux_progress_cell *cell) {
    if (!cell->head.is_alone)
        leave_bucket(progress, cell);
    mux_list_remove(&cell->head.of_link);
    cell->head.list->cells -= cells_for((size_t)cell->head.route_len + cell->head.test_id_len);
    while (cell) {
        struct mux_progress_cell *more = cell->more;
        free_cell(progress, cell);
        cell = more;
    }
}

/* A new test, in no bucket yet. NULL: there is no room for it. */
static struct mux_progress_cell *begin(struct mux_progress *progress,
                                       struct mux_progress_list *list,
                                       const struct mux_packet *packet) {
    size_t len = packet->route.len + packet->test_id.len;
    unsigned cells = cells_for(len);
    if (len > MUX_PROGRESS_NAME_BYTES || list->cells + cells > list->cells_max ||
        cells > progress->free_count)
        return NULL;
    struct mux_progress_cell *first = take_cell(progress), **last = &first->more;
    for (unsigned i = 1; i < cells; i++, last = &(*last)->more)
        *last = take_cell(progress);
    struct head *head = &first->head; /* `more` is set */
    head->next = NULL;
    head->list = list;
    head->hash = 0;
    head->route_len = (uint16_t)packet->route.len;
    head->test_id_len = (uint16_t)packet->test_id.len;
    head->has_route = packet->route.data != NULL;
    head->is_alone = true;
    mux_list_init(&head->of_link);
    mux_list_append(&list->tests, &head->of_link);
    list->cells += cells;
    struct cursor cursor = begin_name(first);
    write_name(&cursor, packet->route);
    write_name(&cursor, packet->test_id);
    return first;
}

/* The usual case: the link runs one test at a time. A comparison, no hash. */
static bool see_alone(struct mux_progress *progress, struct mux_progress_list *list, bool begins,
                      const struct mux_packet *packet) {
    struct mux_progress_cell *alone = first_of(list);
    if (!alone)
        return !begins || begin(progress, list, packet);
    if (!begins && is_test(alone, packet))
        forget(progress, alone);
    return true;
}

/* Not inlined: the usual case would save registers for it. */
__attribute__((noinline)) static bool see_many(struct mux_progress *progress,
                                               struct mux_progress_list *list, bool begins,
                                               const struct mux_packet *packet) {
    uint32_t hash = hash_of(progress, list, packet->route, packet->test_id);
    struct mux_progress_cell *cell = find(progress, list, hash, packet);
    if (!begins && cell)
        forget(progress, cell);
    if (!begins || cell)
        return true;
    cell = begin(progress, list, packet);
    if (!cell)
        return false;
    cell->head.is_alone = false;
    enter_bucket(progress, cell, hash);
    return true;
}

bool mux_progress_see(struct mux_progress *progress, struct mux_progress_list *list,
                      const struct mux_packet *packet) {
    bool begins = packet->status == MUX_STATUS_INPROGRESS;
    bool says_nothing = packet->status == MUX_STATUS_NONE || packet->status == MUX_STATUS_EXISTS;
    if (!packet->test_id.data || says_nothing)
        return true;
    struct mux_progress_cell *first = first_of(list);
    if (!first || (first->head.is_alone && (!begins || is_test(first, packet))))
        return see_alone(progress, list, begins, packet);
    if (first->head.is_alone)
        no_longer_alone(progress, first);
    return see_many(progress, list, begins, packet);
}

bool mux_progress_take(struct mux_progress *progress, struct mux_progress_list *list,
                       struct mux_progress_name *name) {
    struct mux_progress_cell *cell = first_of(list);
    if (!cell)
        return false;
    read_whole_name(cell, name);
    forget(progress, cell);
    return true;
}

void mux_progress_move(struct mux_progress *progress, struct mux_progress_list *from,
                       struct mux_progress_list *to) {
    struct mux_progress_cell *cell;
    assert(mux_list_empty(&to->tests));
    while ((cell = first_of(from))) {
        if (!cell->head.is_alone) {
            leave_bucket(progress, cell);
            enter_bucket(progress, cell, cell->head.hash ^ salt_of(from) ^ salt_of(to));
        }
        cell->head.list = to;
        mux_list_append(&to->tests, &cell->head.of_link);
    }
    to->cells = from->cells;
    from->cells = 0;
}

void mux_progress_close(struct mux_progress *progress, struct mux_progress_list *list) {
    struct mux_progress_cell *cell;
    while ((cell = first_of(list)))
        forget(progress, cell);
}
