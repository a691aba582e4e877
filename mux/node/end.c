#include "mux/node/end.h"
#include "mux/hash.h"

#include <stdio.h>
#include <stdlib.h>

static void stream_sane(const struct mux_end_stream *stream) {
    const struct mux_known *known = &stream->known;
    assert(known->safe <= known->at && stream->said <= known->safe);
    assert(stream->life != MUX_END_LIVE || (stream->path.data && mux_list_empty(&stream->of_life)));
    assert(stream->life == MUX_END_LIVE || !mux_progress_any(&stream->tests) ||
           !mux_list_empty(&stream->of_life));
    assert(mux_list_empty(&stream->of_idle) || stream->life != MUX_END_LIVE);
}

/*
 * ---- the table ----
 */

static struct mux_end_stream **bucket_of(const struct mux_end *end, struct mux_end_stream **table,
                                         struct mux_span name) {
    return &table[mux_hash(end->config.hash_key, name) % end->config.streams_max];
}

static struct mux_span id_of(const struct mux_end_stream *stream) {
    return mux_span(stream->known.stream, MUX_STREAM_ID_BYTES);
}

static struct mux_end_stream *find(const struct mux_end *end,
                                   const uint8_t id[MUX_STREAM_ID_BYTES]) {
    struct mux_span name = mux_span(id, MUX_STREAM_ID_BYTES);
    struct mux_end_stream *at = *bucket_of(end, end->by_id, name);
    while (at && !mux_span_equal(id_of(at), name))
        at = at->next_of_id;
    return at;
}

static struct mux_end_stream *find_pin(const struct mux_end *end, struct mux_span pin) {
    struct mux_end_stream *at = *bucket_of(end, end->by_pin, pin);
    while (at && !mux_span_equal(at->pin, pin))
        at = at->next_of_pin;
    return at;
}

bool mux_end_init(struct mux_end *end, const struct mux_end_config *config, uint64_t now_ns) {
    assert(config->streams_max > 0 && config->streams_max <= MUX_END_STREAMS);
    *end = (struct mux_end){.config = *config, .ticked_ns = now_ns};
    mux_list_init(&end->streams);
    mux_list_init(&end->soon);
    mux_list_init(&end->late);
    mux_list_init(&end->lost);
    mux_list_init(&end->judged);
    mux_list_init(&end->idle);
    end->by_id = calloc(config->streams_max, sizeof *end->by_id);
    end->by_pin = calloc(config->streams_max, sizeof *end->by_pin);
    return end->by_id && end->by_pin;
}

static void free_stream(struct mux_end_stream *stream) {
    free(stream->path.data);
    free(stream);
}

void mux_end_fini(struct mux_end *end) {
    struct mux_list *entry;
    while ((entry = mux_list_pop(&end->streams))) {
        struct mux_end_stream *stream = MUX_LIST_ITEM(entry, struct mux_end_stream, entry);
        mux_progress_close(end->config.tests, &stream->tests);
        free_stream(stream);
    }
    free(end->by_id);
    free(end->by_pin);
}

static void forget(struct mux_end *end, struct mux_end_stream *stream) {
    struct mux_end_stream **at = bucket_of(end, end->by_id, id_of(stream));
    while (*at != stream)
        at = &(*at)->next_of_id;
    *at = stream->next_of_id;
    at = bucket_of(end, end->by_pin, stream->pin);
    while (*at != stream)
        at = &(*at)->next_of_pin;
    *at = stream->next_of_pin;
    mux_list_remove(&stream->entry);
    mux_list_remove(&stream->of_due);
    mux_list_remove(&stream->of_life);
    mux_list_remove(&stream->of_idle);
    mux_progress_close(end->config.tests, &stream->tests);
    free_stream(stream);
    end->count--;
}

/* Forgets who was idle first, if that was so long ago. False: nobody was. */
static bool forget_idle(struct mux_end *end, uint64_t for_ns, uint64_t now_ns) {
    if (mux_list_empty(&end->idle))
        return false;
    struct mux_end_stream *stream = MUX_LIST_ITEM(end->idle.next, struct mux_end_stream, of_idle);
    if (now_ns - stream->idle_ns < for_ns)
        return false;
    forget(end, stream);
    end->forgotten++;
    return true;
}

/* With its pin behind it. NULL: there is no memory, or the pin is not valid. */
static struct mux_end_stream *new_stream(struct mux_end *end, struct mux_span pin) {
    struct mux_end_stream *stream = calloc(1, sizeof *stream + pin.len);
    if (!stream)
        return NULL;
    memcpy(stream + 1, pin.data, pin.len);
    stream->pin = mux_span(stream + 1, pin.len);
    if (mux_prefix_init_path(&stream->prefix, stream->pin)) {
        free(stream);
        return NULL;
    }
    mux_progress_open(end->config.tests, &stream->tests, MUX_PROGRESS_NODE);
    return stream;
}

/* Its id is known by now. */
static void enter(struct mux_end *end, struct mux_end_stream *stream) {
    struct mux_end_stream **by_id = bucket_of(end, end->by_id, id_of(stream));
    struct mux_end_stream **by_pin = bucket_of(end, end->by_pin, stream->pin);
    stream->next_of_id = *by_id;
    *by_id = stream;
    stream->next_of_pin = *by_pin;
    *by_pin = stream;
    mux_list_append(&end->streams, &stream->entry);
    end->count++;
}

/*
 * ---- who lives ----
 */

/* May it be forgotten, in time? */
static void see_idle(struct mux_end *end, struct mux_end_stream *stream, uint64_t now_ns) {
    const struct mux_known *known = &stream->known;
    bool is_idle = stream->life != MUX_END_LIVE && !mux_progress_any(&stream->tests) &&
                   known->at == known->safe;
    if (!is_idle) {
        mux_list_remove(&stream->of_idle);
    } else if (mux_list_empty(&stream->of_idle)) {
        stream->idle_ns = now_ns;
        mux_list_append(&end->idle, &stream->of_idle);
    }
    stream_sane(stream);
}

/* Every change of life. */
static void set_life(struct mux_end *end, struct mux_end_stream *stream, enum mux_end_life life,
                     uint64_t now_ns) {
    stream->life = life;
    mux_list_remove(&stream->of_life);
    if (life == MUX_END_LOST) {
        stream->lost_at_ns = end->listened_ns;
        mux_list_append(&end->lost, &stream->of_life);
    } else if (life == MUX_END_JUDGED) {
        stream->is_final_judged = mux_known_is_done(&stream->known);
        mux_list_append(&end->judged, &stream->of_life);
    }
    see_idle(end, stream, now_ns);
}

/* All of a stream that has ended is there: nobody else knows of its tests (rule 36). */
static void judge_if_done(struct mux_end *end, struct mux_end_stream *stream, uint64_t now_ns) {
    if (mux_known_is_done(&stream->known))
        set_life(end, stream, MUX_END_JUDGED, now_ns);
}

struct mux_end_stream *mux_end_restore(struct mux_end *end, const uint8_t id[MUX_STREAM_ID_BYTES],
                                       struct mux_span pin, uint64_t at, uint32_t crc) {
    if (end->count == end->config.streams_max || find(end, id) || find_pin(end, pin))
        return NULL;
    struct mux_end_stream *stream = new_stream(end, pin);
    if (!stream)
        return NULL;
    memcpy(stream->known.stream, id, MUX_STREAM_ID_BYTES);
    stream->known.at = stream->known.safe = stream->said = at;
    stream->known.crc = stream->safe_crc = crc;
    enter(end, stream);
    set_life(end, stream, MUX_END_LOST, end->ticked_ns);
    return stream;
}

void mux_end_tick(struct mux_end *end, bool listens, uint64_t now_ns) {
    uint64_t elapsed_ns = now_ns - end->ticked_ns;
    if (elapsed_ns > MUX_END_TICK_NS)
        elapsed_ns = MUX_END_TICK_NS;
    if (listens && end->has_listened)
        end->listened_ns += elapsed_ns;
    end->has_listened = listens;
    end->ticked_ns = now_ns;
    while (!mux_list_empty(&end->lost)) {
        struct mux_end_stream *stream =
            MUX_LIST_ITEM(end->lost.next, struct mux_end_stream, of_life);
        if (end->listened_ns - stream->lost_at_ns < end->config.grace_ns)
            break;
        set_life(end, stream, MUX_END_JUDGED, now_ns);
    }
    while (forget_idle(end, MUX_END_REMEMBERED_MOST_NS, now_ns))
        ;
}

bool mux_end_verdict_next(struct mux_end *end, uint64_t now_ns, struct mux_end_verdict *verdict) {
    *verdict = (struct mux_end_verdict){0};
    if (!mux_list_empty(&end->judged)) {
        struct mux_end_stream *stream =
            MUX_LIST_ITEM(end->judged.next, struct mux_end_stream, of_life);
        verdict->stream = stream;
        verdict->is_final = stream->is_final_judged;
        if (mux_progress_take(end->config.tests, &stream->tests, &verdict->test))
            return true;
        verdict->unnamed = mux_progress_take_unnamed(&stream->tests);
        if (verdict->unnamed > 0)
            return true;
        mux_list_remove(&stream->of_life);
        see_idle(end, stream, now_ns);
        verdict->is_over = true;
        return true;
    }
    return false;
}

/*
 * ---- paths and pins ----
 */

/* Does `path` begin with these segments? */
static bool begins_with(struct mux_span path, struct mux_span segments) {
    return path.len >= segments.len && memcmp(path.data, segments.data, segments.len) == 0 &&
           (path.len == segments.len || path.data[segments.len] == '/');
}

static struct mux_span path_of(const struct mux_end_stream *stream) {
    return stream->path.data ? mux_span(stream->path.data, stream->path.len) : stream->pin;
}

/* False: there is no memory, and the path is the one before. */
static bool set_path(struct mux_end_stream *stream, struct mux_span path) {
    if (stream->path.data && mux_span_equal(path_of(stream), path))
        return true;
    uint8_t *data = realloc(stream->path.data, path.len);
    if (!data)
        return false;
    memcpy(data, path.data, path.len);
    stream->path = (struct mux_room){data, path.len};
    return true;
}

/* Is there a place for one more by this path? Looked up only when half of them are taken. */
static bool has_place(struct mux_end *end, struct mux_span path, uint64_t now_ns) {
    unsigned half = (end->config.streams_max + 1) / 2, count = 0;
    struct mux_span segment = mux_route_first(path);
    if (end->count == end->config.streams_max && !forget_idle(end, MUX_END_REMEMBERED_NS, now_ns))
        return false;
    if (end->count < half)
        return true;
    for (struct mux_list *at = end->streams.next; at != &end->streams; at = at->next)
        count += begins_with(path_of(MUX_LIST_ITEM(at, struct mux_end_stream, entry)), segment);
    return count < half;
}

/* The path, or with "~2" and so on when that is another's. Length 0: that is too long. */
static size_t make_pin(const struct mux_end *end, struct mux_span path,
                       char pin[MUX_ROUTE_PATH_MAX_BYTES + 1]) {
    size_t len = path.len;
    memcpy(pin, path.data, path.len);
    for (unsigned n = 2; find_pin(end, mux_span(pin, len)); n++) {
        size_t room = MUX_ROUTE_PATH_MAX_BYTES + 1 - path.len;
        size_t more = (size_t)snprintf(pin + path.len, room, "~%u", n);
        if (more >= room)
            return 0;
        len = path.len + more;
    }
    return len;
}

/*
 * ---- what comes up ----
 */

static struct mux_end_stream *open_stream(struct mux_end *end, struct mux_span path,
                                          const struct mux_where *where, uint64_t now_ns,
                                          enum mux_end_where *found) {
    char pin[MUX_ROUTE_PATH_MAX_BYTES + 1];
    *found = MUX_END_WHERE_FULL;
    if (!has_place(end, path, now_ns))
        return NULL;
    *found = MUX_END_WHERE_BAD;
    size_t len = make_pin(end, path, pin);
    struct mux_end_stream *stream = len > 0 ? new_stream(end, mux_span(pin, len)) : NULL;
    if (!stream)
        return NULL;
    if (!set_path(stream, path)) {
        free_stream(stream);
        return NULL;
    }
    *found = MUX_END_WHERE_OPENED;
    mux_known_open(&stream->known, where);
    stream->safe_crc = where->crc;
    stream->said = where->base;
    enter(end, stream);
    return stream;
}

/* Rule 22: tests may have ended in the hole; who has ended ends them all the same. */
static void pass_hole(struct mux_end *end, struct mux_end_stream *stream) {
    if (!stream->known.is_final)
        mux_progress_close(end->config.tests, &stream->tests);
}

static void answer(struct mux_end *end, struct mux_end_answer *answer) {
    struct mux_end_stream *stream = answer->stream;
    answer->ack = mux_known_ack(&stream->known, end->config.id);
    if (answer->found == MUX_END_WHERE_LATE)
        return;
    stream->said = stream->known.safe;
    mux_list_remove(&stream->of_due);
}

struct mux_end_answer mux_end_where(struct mux_end *end, struct mux_span path,
                                    const struct mux_where *where, uint64_t now_ns) {
    struct mux_end_answer got = {.stream = find(end, where->stream), .found = MUX_END_WHERE_TAKEN};
    if (path.len == 0 || path.len > MUX_ROUTE_PATH_MAX_BYTES)
        return (struct mux_end_answer){.found = MUX_END_WHERE_BAD};
    if (!got.stream) {
        got.stream = open_stream(end, path, where, now_ns, &got.found);
        if (!got.stream)
            return got;
    } else if (!mux_known_where(&got.stream->known, where, &got.hole)) {
        got.found = MUX_END_WHERE_LATE;
    } else if (!set_path(got.stream, path)) {
        return (struct mux_end_answer){.found = MUX_END_WHERE_BAD};
    }
    answer(end, &got);
    if (got.found == MUX_END_WHERE_LATE)
        return got;
    if (got.hole.to > got.hole.from)
        pass_hole(end, got.stream);
    set_life(end, got.stream, MUX_END_LIVE, now_ns);
    judge_if_done(end, got.stream, now_ns);
    return got;
}

enum mux_known_verdict mux_end_bundle(struct mux_end *end, const struct mux_bundle *bundle,
                                      const struct mux_bundle_run *content,
                                      struct mux_end_stream **stream, uint64_t now_ns) {
    *stream = find(end, bundle->stream);
    if (!*stream)
        return MUX_KNOWN_DROPPED_ASK;
    enum mux_known_verdict verdict = mux_known_bundle(&(*stream)->known, bundle, content);
    see_idle(end, *stream, now_ns);
    return verdict;
}

void mux_end_follow(struct mux_end *end, struct mux_end_stream *stream,
                    const struct mux_packet *packet) {
    mux_progress_update(end->config.tests, &stream->tests, packet, true);
}

/* One that was judged and goes on, by a way that is not known: its grace begins again. */
void mux_end_bundle_done(struct mux_end *end, struct mux_end_stream *stream, uint64_t now_ns) {
    if (mux_known_is_done(&stream->known))
        judge_if_done(end, stream, now_ns);
    else if (stream->life == MUX_END_JUDGED)
        set_life(end, stream, MUX_END_LOST, now_ns);
    see_idle(end, stream, now_ns);
}

void mux_end_lost(struct mux_end *end, struct mux_span path, uint64_t now_ns) {
    for (struct mux_list *at = end->streams.next; at != &end->streams; at = at->next) {
        struct mux_end_stream *stream = MUX_LIST_ITEM(at, struct mux_end_stream, entry);
        if (stream->life == MUX_END_LIVE && begins_with(path_of(stream), path))
            set_life(end, stream, MUX_END_LOST, now_ns);
    }
}

/*
 * ---- acknowledgements ----
 */

static void make_due(struct mux_end *end, struct mux_end_stream *stream, uint64_t now_ns) {
    bool is_soon =
        stream->known.is_final || stream->known.safe - stream->said >= MUX_END_SOON_BYTES;
    bool is_due = !mux_list_empty(&stream->of_due);
    if (is_due && (stream->is_soon || !is_soon))
        return;
    stream->is_soon = is_soon;
    stream->due_ns = now_ns + (is_soon ? MUX_END_SOON_NS : end->config.late_ns);
    mux_list_append(is_soon ? &end->soon : &end->late, &stream->of_due);
}

void mux_end_safe(struct mux_end *end, struct mux_end_stream *stream, uint64_t at, uint32_t crc,
                  uint64_t now_ns) {
    if (at <= stream->known.safe)
        return;
    mux_known_safe(&stream->known, at);
    stream->safe_crc = crc;
    make_due(end, stream, now_ns);
    see_idle(end, stream, now_ns);
}

void mux_end_sink_lost(struct mux_end *end) {
    for (struct mux_list *at = end->streams.next; at != &end->streams; at = at->next) {
        struct mux_end_stream *stream = MUX_LIST_ITEM(at, struct mux_end_stream, entry);
        stream->known.at = stream->known.safe;
        stream->known.crc = stream->safe_crc;
        stream->known.has_asked = false;
        see_idle(end, stream, end->ticked_ns);
    }
}

static bool take_due(struct mux_end *end, struct mux_list *list, uint64_t now_ns,
                     struct mux_ack *ack, struct mux_span *path) {
    while (!mux_list_empty(list)) {
        struct mux_end_stream *stream = MUX_LIST_ITEM(list->next, struct mux_end_stream, of_due);
        if (stream->due_ns > now_ns)
            return false;
        mux_list_remove(&stream->of_due);
        if (!stream->path.data)
            continue;
        stream->said = stream->known.safe;
        *ack = mux_known_ack(&stream->known, end->config.id);
        *path = path_of(stream);
        return true;
    }
    return false;
}

bool mux_end_ack_next(struct mux_end *end, uint64_t now_ns, struct mux_ack *ack,
                      struct mux_span *path) {
    return take_due(end, &end->soon, now_ns, ack, path) ||
           take_due(end, &end->late, now_ns, ack, path);
}

static uint64_t due_of(const struct mux_list *list) {
    return mux_list_empty(list) ? UINT64_MAX
                                : MUX_LIST_ITEM(list->next, struct mux_end_stream, of_due)->due_ns;
}

uint64_t mux_end_deadline(const struct mux_end *end) {
    uint64_t soon = due_of(&end->soon), late = due_of(&end->late), least = UINT64_MAX;
    if (!mux_list_empty(&end->lost))
        least = end->ticked_ns + MUX_END_TICK_NS;
    else if (!mux_list_empty(&end->idle))
        least = MUX_LIST_ITEM(end->idle.next, struct mux_end_stream, of_idle)->idle_ns +
                MUX_END_REMEMBERED_MOST_NS;
    least = soon < least ? soon : least;
    return late < least ? late : least;
}

/*
 * ---- the way down ----
 */

/* The route without its last segment; length 0: it had one. */
static struct mux_span parent_of(struct mux_span route) {
    while (route.len > 0 && route.data[route.len - 1] != '/')
        route.len--;
    return mux_span(route.data, route.len > 0 ? route.len - 1 : 0);
}

struct mux_end_stream *mux_end_find(const struct mux_end *end, struct mux_span route) {
    struct mux_span pin = route;
    if (pin.len > MUX_ROUTE_PATH_MAX_BYTES)
        pin.len = MUX_ROUTE_PATH_MAX_BYTES;
    for (; pin.len > 0; pin = parent_of(pin)) {
        struct mux_end_stream *stream = begins_with(route, pin) ? find_pin(end, pin) : NULL;
        if (stream)
            return stream;
    }
    return NULL;
}

bool mux_end_has_pin(const struct mux_end *end, struct mux_span pin) {
    return find_pin(end, pin) != NULL;
}

enum mux_end_way mux_end_way_down(const struct mux_end *end, struct mux_span route,
                                  struct mux_span *path, struct mux_span *rest) {
    const struct mux_end_stream *stream = mux_end_find(end, route);
    if (!stream)
        return MUX_END_WAY_OTHER;
    if (stream->life != MUX_END_LIVE || stream->known.is_final)
        return MUX_END_WAY_NONE;
    size_t behind = stream->pin.len + (route.len > stream->pin.len);
    *path = path_of(stream);
    *rest = mux_span(route.data + behind, route.len - behind);
    return MUX_END_WAY_DOWN;
}
