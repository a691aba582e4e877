#include "mux/node/progress.h"
#include "mux/hash.h"
#include "mux/packet/bytes.h"

#include <stdlib.h>

/* Three cache lines: most names fit one cell. */
#define CELL_BYTES 192

#define NS_PER_MS 1000000u

/* The beginning of a name is in its first cell, the rest in further ones. */
#define FIRST_BYTES (CELL_BYTES - sizeof(struct head))
#define MORE_BYTES (CELL_BYTES - sizeof(struct mux_progress_cell *))

struct head {
    struct mux_progress_cell *more; /* or the next free one */
    struct mux_list of_link;
    struct mux_progress_cell *next; /* in its bucket */
    struct mux_progress_list *list;
    uint32_t hash;
    uint32_t test_id_len;
    uint32_t began_ms; /* good for ages up to 49 days */
    uint16_t route_len;
    bool has_route;
    bool is_alone; /* in no bucket and not hashed: it began while its link had no other test */
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

bool mux_progress_init(struct mux_progress *progress, unsigned lists_max,
                       const unsigned common_cells[MUX_PROGRESS_KINDS], uint64_t hash_key,
                       uint64_t *unnamed) {
    *progress = (struct mux_progress){.hash_key = hash_key, .unnamed = unnamed};
    progress->count = lists_max * MUX_PROGRESS_OWN_CELLS;
    for (unsigned kind = 0; kind < MUX_PROGRESS_KINDS; kind++) {
        struct mux_progress_pool *pool = &progress->pools[kind];
        pool->count = pool->free_count = common_cells[kind];
        for (unsigned i = 0; i < MUX_PROGRESS_CLASSES; i++)
            mux_list_init(&pool->classes[i]);
        progress->count += pool->count;
    }
    progress->free_count = progress->count;
    progress->cells = calloc(progress->count, sizeof *progress->cells);
    progress->buckets = calloc(progress->count, sizeof *progress->buckets);
    progress->name = malloc(MUX_PROGRESS_NAME_BYTES);
    return progress->cells && progress->buckets && progress->name;
}

void mux_progress_fini(struct mux_progress *progress) {
    free(progress->cells);
    free(progress->buckets);
    free(progress->name);
}

void mux_progress_open(struct mux_progress *progress, struct mux_progress_list *list,
                       enum mux_progress_kind kind) {
    *list = (struct mux_progress_list){.pool = &progress->pools[kind]};
    mux_list_init(&list->tests);
    mux_list_init(&list->of_class);
}

/* There is always a free cell: what each list may have is counted. */
static struct mux_progress_cell *take_cell(struct mux_progress *progress) {
    struct mux_progress_cell *cell = progress->free_cells;
    if (cell) {
        progress->free_cells = cell->more;
    } else {
        assert(progress->touched < progress->count);
        cell = &progress->cells[progress->touched++];
    }
    progress->free_count--;
    cell->more = NULL;
    return cell;
}

static void free_cell(struct mux_progress *progress, struct mux_progress_cell *cell) {
    cell->more = progress->free_cells;
    progress->free_cells = cell;
    progress->free_count++;
}

/*
 * ---- shares ----
 */

/* How many of a list's cells are common ones. */
static unsigned common_of(unsigned cells) {
    return cells > MUX_PROGRESS_OWN_CELLS ? cells - MUX_PROGRESS_OWN_CELLS : 0;
}

/* Sizes in one class differ by less than an eighth. Size 0 is class 0. */
static unsigned class_of(unsigned size) {
    if (size < 8)
        return size;
    unsigned octave = 31 - (unsigned)__builtin_clz(size);
    return 8 * (octave - 2) + (size >> (octave - 3) & 7);
}

/* The list's cells have changed from `before`; it has, or had, common ones. */
MUX_RARE void share_changed(struct mux_progress_list *list, unsigned before) {
    struct mux_progress_pool *pool = list->pool;
    pool->free_count += common_of(before);
    pool->free_count -= common_of(list->cells);
    unsigned now = class_of(common_of(list->cells));
    if (now == list->size_class)
        return;
    list->size_class = now;
    mux_list_remove(&list->of_class);
    if (now)
        mux_list_append(&pool->classes[now], &list->of_class);
    if (now > pool->top)
        pool->top = now;
}

/* Most lists never have more than their own. */
static void add_cells(struct mux_progress_list *list, unsigned cells) {
    list->cells += cells;
    if (list->cells > MUX_PROGRESS_OWN_CELLS)
        share_changed(list, list->cells - cells);
}

static void remove_cells(struct mux_progress_list *list, unsigned cells) {
    list->cells -= cells;
    if (list->cells + cells > MUX_PROGRESS_OWN_CELLS)
        share_changed(list, list->cells + cells);
}

/* The list that has most common cells. NULL: no list has any. */
static struct mux_progress_list *largest(struct mux_progress_pool *pool) {
    while (pool->top > 0 && mux_list_empty(&pool->classes[pool->top]))
        pool->top--;
    return pool->top == 0
               ? NULL
               : MUX_LIST_ITEM(pool->classes[pool->top].next, struct mux_progress_list, of_class);
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

/* The next piece of memory, at most `len` bytes. */
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

static struct mux_progress_cell *cell_at(struct mux_list *of_link) {
    return (struct mux_progress_cell *)(void *)MUX_LIST_ITEM(of_link, struct head, of_link);
}

static struct mux_progress_cell *first_of(const struct mux_progress_list *list) {
    return mux_list_empty(&list->tests) ? NULL : cell_at(list->tests.next);
}

/* Puts the same names on many links into different buckets. */
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

static struct mux_progress_name read_whole_name(struct mux_progress *progress,
                                                struct mux_progress_cell *cell) {
    const struct head *head = &cell->head;
    struct cursor cursor = begin_name(cell);
    read_name(&cursor, progress->name, (size_t)head->route_len + head->test_id_len);
    return (struct mux_progress_name){
        .route = mux_span(head->has_route ? progress->name : NULL, head->route_len),
        .test_id = mux_span(progress->name + head->route_len, head->test_id_len),
    };
}

/* Another test begins: this one needs a bucket. */
MUX_RARE void no_longer_alone(struct mux_progress *progress, struct mux_progress_cell *cell) {
    struct mux_progress_name name = read_whole_name(progress, cell);
    cell->head.is_alone = false;
    enter_bucket(progress, cell, hash_of(progress, cell->head.list, name.route, name.test_id));
}

MUX_RARE void leave_walk(struct mux_progress_list *list, const struct mux_list *test) {
    if (list->walk == test)
        list->walk = list->walk_last == test ? NULL : test->next;
    else if (list->walk_last == test)
        list->walk_last = test->prev;
}

static void forget(struct mux_progress *progress, struct mux_progress_cell *cell) {
    struct head *head = &cell->head;
    struct mux_progress_list *list = head->list;
    if (!head->is_alone)
        leave_bucket(progress, cell);
    if (list->walk)
        leave_walk(list, &head->of_link);
    mux_list_remove(&head->of_link);
    list->count--;
    remove_cells(list, cells_for((size_t)head->route_len + head->test_id_len));
    while (cell) {
        struct mux_progress_cell *more = cell->more;
        free_cell(progress, cell);
        cell = more;
    }
}

MUX_RARE void count_unnamed(struct mux_progress *progress, struct mux_progress_list *list) {
    list->unnamed++;
    ++*progress->unnamed;
}

/*
 * A list needs more than its own cells: takes them from lists that have more than this one will
 * have. False: there is no such list and too few cells are free. The test that began last loses its
 * name: that list asked for too much.
 */
MUX_RARE bool make_room(struct mux_progress *progress, struct mux_progress_list *list,
                        const struct mux_packet *packet, unsigned cells) {
    struct mux_progress_pool *pool = list->pool;
    unsigned has = common_of(list->cells), wants = common_of(list->cells + cells);
    if (packet->test_id.len > MUX_PROGRESS_TEST_ID_BYTES ||
        packet->route.len > MUX_PROGRESS_ROUTE_BYTES)
        return false;
    while (pool->free_count < wants - has) {
        struct mux_progress_list *most = largest(pool);
        if (!most || most->size_class <= class_of(wants))
            return false;
        forget(progress, cell_at(most->tests.prev));
        count_unnamed(progress, most);
    }
    return true;
}

/* A new test, in no bucket yet. NULL: there is no room for it; it is counted. */
static struct mux_progress_cell *begin(struct mux_progress *progress,
                                       struct mux_progress_list *list,
                                       const struct mux_packet *packet) {
    size_t len = packet->route.len + packet->test_id.len;
    unsigned cells = cells_for(len);
    bool is_usual = list->cells + cells <= MUX_PROGRESS_OWN_CELLS && len <= FIRST_BYTES;
    if (!is_usual && !make_room(progress, list, packet, cells)) {
        count_unnamed(progress, list);
        return NULL;
    }
    struct mux_progress_cell *first = take_cell(progress), **last = &first->more;
    for (unsigned i = 1; i < cells; i++, last = &(*last)->more)
        *last = take_cell(progress);
    struct head *head = &first->head; /* `more` is set */
    head->next = NULL;
    head->list = list;
    head->hash = 0;
    head->route_len = (uint16_t)packet->route.len;
    head->test_id_len = (uint32_t)packet->test_id.len;
    head->has_route = packet->route.data != NULL;
    head->is_alone = true;
    head->began_ms = progress->now_ms;
    mux_list_init(&head->of_link);
    mux_list_append(&list->tests, &head->of_link);
    list->count++;
    add_cells(list, cells);
    struct cursor cursor = begin_name(first);
    write_name(&cursor, packet->route);
    write_name(&cursor, packet->test_id);
    return first;
}

/* A test that is not known has ended. */
static void ended(struct mux_progress_list *list) {
    if (list->unnamed > 0)
        list->unnamed--;
}

/* The usual case: the link runs one test at a time. One comparison, no hash. */
static void see_alone(struct mux_progress *progress, struct mux_progress_list *list, bool begins,
                      const struct mux_packet *packet) {
    struct mux_progress_cell *alone = first_of(list);
    if (begins && !alone)
        begin(progress, list, packet);
    else if (!begins && alone && is_test(alone, packet))
        forget(progress, alone);
    else if (!begins)
        ended(list);
}

/* Not inlined, so that the usual case does not save registers for it. */
__attribute__((noinline)) static void see_many(struct mux_progress *progress,
                                               struct mux_progress_list *list, bool begins,
                                               const struct mux_packet *packet) {
    uint32_t hash = hash_of(progress, list, packet->route, packet->test_id);
    struct mux_progress_cell *cell = find(progress, list, hash, packet);
    if (!begins && cell)
        forget(progress, cell);
    else if (!begins)
        ended(list);
    else if (!cell && (cell = begin(progress, list, packet))) {
        cell->head.is_alone = false;
        enter_bucket(progress, cell, hash);
    }
}

void mux_progress_update(struct mux_progress *progress, struct mux_progress_list *list,
                         const struct mux_packet *packet, bool is_readable) {
    bool begins = packet->status == MUX_STATUS_INPROGRESS;
    bool says_nothing = packet->status == MUX_STATUS_NONE || packet->status == MUX_STATUS_EXISTS;
    if (!packet->test_id.data || says_nothing)
        return;
    struct mux_progress_cell *first = first_of(list);
    if (begins && !is_readable) {
        count_unnamed(progress, list);
    } else if (!first || (first->head.is_alone && (!begins || is_test(first, packet)))) {
        see_alone(progress, list, begins, packet);
    } else {
        if (first->head.is_alone)
            no_longer_alone(progress, first);
        see_many(progress, list, begins, packet);
    }
}

void mux_progress_settle(struct mux_progress *progress, struct mux_progress_list *list,
                         const struct mux_packet *packet) {
    struct mux_progress_cell *cell = first_of(list);
    if (!cell || !packet->test_id.data)
        return;
    if (cell->head.is_alone)
        cell = is_test(cell, packet) ? cell : NULL;
    else
        cell =
            find(progress, list, hash_of(progress, list, packet->route, packet->test_id), packet);
    if (cell)
        forget(progress, cell);
}

bool mux_progress_take(struct mux_progress *progress, struct mux_progress_list *list,
                       struct mux_progress_name *name) {
    struct mux_progress_cell *cell = first_of(list);
    if (!cell)
        return false;
    *name = read_whole_name(progress, cell);
    forget(progress, cell);
    return true;
}

bool mux_progress_oldest(struct mux_progress *progress, const struct mux_progress_list *list,
                         struct mux_progress_name *name, uint64_t *age_ns) {
    struct mux_progress_cell *cell = first_of(list);
    if (!cell)
        return false;
    *name = read_whole_name(progress, cell);
    *age_ns = (uint64_t)(progress->now_ms - cell->head.began_ms) * NS_PER_MS;
    return true;
}

uint64_t mux_progress_take_unnamed(struct mux_progress_list *list) {
    uint64_t unnamed = list->unnamed;
    list->unnamed = 0;
    return unnamed;
}

/*
 * ---- many at once ----
 */

static bool is_below(struct mux_progress_cell *cell, struct mux_span prefix) {
    const struct head *head = &cell->head;
    if (!head->has_route || head->route_len < prefix.len)
        return false;
    struct cursor cursor = begin_name(cell);
    return name_equal(&cursor, prefix) &&
           (head->route_len == prefix.len || name_equal(&cursor, mux_span_text("/")));
}

unsigned mux_progress_forget_route(struct mux_progress *progress, struct mux_progress_list *list,
                                   struct mux_span prefix) {
    struct mux_list *next;
    unsigned count = 0;
    for (struct mux_list *at = list->tests.next; at != &list->tests; at = next) {
        next = at->next;
        if (!is_below(cell_at(at), prefix))
            continue;
        forget(progress, cell_at(at));
        count++;
    }
    return count;
}

void mux_progress_walk(struct mux_progress_list *list) {
    bool is_empty = mux_list_empty(&list->tests);
    list->walk = is_empty ? NULL : list->tests.next;
    list->walk_last = is_empty ? NULL : list->tests.prev;
}

bool mux_progress_walk_next(struct mux_progress *progress, struct mux_progress_list *list,
                            struct mux_progress_name *name) {
    struct mux_list *at = list->walk;
    if (!at)
        return false;
    *name = read_whole_name(progress, cell_at(at));
    list->walk = at == list->walk_last ? NULL : at->next;
    return true;
}

void mux_progress_move(struct mux_progress *progress, struct mux_progress_list *from,
                       struct mux_progress_list *to) {
    struct mux_progress_cell *cell;
    unsigned cells = from->cells;
    assert(to->pool == from->pool && mux_list_empty(&to->tests) && !to->unnamed);
    while ((cell = first_of(from))) {
        if (!cell->head.is_alone) {
            leave_bucket(progress, cell);
            enter_bucket(progress, cell, cell->head.hash ^ salt_of(from) ^ salt_of(to));
        }
        cell->head.list = to;
        mux_list_append(&to->tests, &cell->head.of_link);
    }
    remove_cells(from, cells);
    add_cells(to, cells);
    to->walk = from->walk;
    to->walk_last = from->walk_last;
    from->walk = NULL;
    to->count = from->count;
    from->count = 0;
    to->unnamed = mux_progress_take_unnamed(from);
}

void mux_progress_close(struct mux_progress *progress, struct mux_progress_list *list) {
    struct mux_progress_cell *cell;
    while ((cell = first_of(list)))
        forget(progress, cell);
    list->unnamed = 0;
}
