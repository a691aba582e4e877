#include "tools/farm/ids.h"

#include "mux/hash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_LEAST 1024u
#define TEXT_LEAST_BYTES ((size_t)64 << 10)

void ids_open(struct ids *ids, uint64_t hash_key) {
    *ids = (struct ids){.hash_key = hash_key};
}

void ids_close(struct ids *ids) {
    free(ids->text);
    free(ids->places);
    free(ids->buckets);
    *ids = (struct ids){0};
}

struct mux_span ids_text(const struct ids *ids, uint32_t number) {
    assert(number < ids->count);
    return mux_span((const uint8_t *)ids->text + ids->places[number].at, ids->places[number].len);
}

/* The bucket of this id, or the free one where it belongs. */
static uint32_t bucket_of(const struct ids *ids, struct mux_span id, uint64_t hash) {
    uint32_t at = (uint32_t)hash & (ids->bucket_count - 1);
    for (; ids->buckets[at]; at = (at + 1) & (ids->bucket_count - 1)) {
        uint32_t number = ids->buckets[at] - 1;
        if (ids->places[number].hash == (uint32_t)(hash >> 32) &&
            mux_span_equal(ids_text(ids, number), id))
            break;
    }
    return at;
}

uint32_t ids_find(const struct ids *ids, struct mux_span id) {
    if (ids->bucket_count == 0)
        return IDS_NONE;
    uint32_t number = ids->buckets[bucket_of(ids, id, mux_hash(ids->hash_key, id))];
    return number ? number - 1 : IDS_NONE;
}

/* Never more than half full. */
static bool grow_buckets(struct ids *ids) {
    if (ids->count < ids->bucket_count / 2)
        return true;
    uint32_t count = ids->bucket_count ? 2 * ids->bucket_count : BUCKETS_LEAST;
    uint32_t *buckets = calloc(count, sizeof *buckets);
    if (!buckets)
        return false;
    free(ids->buckets);
    ids->buckets = buckets;
    ids->bucket_count = count;
    for (uint32_t i = 0; i < ids->count; i++) {
        struct mux_span id = ids_text(ids, i);
        buckets[bucket_of(ids, id, mux_hash(ids->hash_key, id))] = i + 1;
    }
    return true;
}

static bool grow_places(struct ids *ids) {
    if (ids->count < ids->room)
        return true;
    uint32_t room = ids->room ? 2 * ids->room : BUCKETS_LEAST;
    struct ids_place *places = realloc(ids->places, room * sizeof *places);
    if (!places)
        return false;
    ids->places = places;
    ids->room = room;
    return true;
}

static bool grow_text(struct ids *ids, size_t more) {
    size_t room = ids->text_room ? ids->text_room : TEXT_LEAST_BYTES;
    while (room - ids->text_len < more)
        room *= 2;
    if (room == ids->text_room)
        return true;
    char *text = realloc(ids->text, room);
    if (!text)
        return false;
    ids->text = text;
    ids->text_room = room;
    return true;
}

static uint32_t append(struct ids *ids, struct mux_span id, uint32_t bucket, uint64_t hash) {
    struct ids_place *place = &ids->places[ids->count];
    *place = (struct ids_place){ids->text_len, (uint32_t)id.len, (uint32_t)(hash >> 32)};
    if (id.len)
        memcpy(ids->text + ids->text_len, id.data, id.len);
    ids->text[ids->text_len + id.len] = '\0';
    ids->text_len += id.len + 1;
    ids->buckets[bucket] = ++ids->count;
    return ids->count - 1;
}

uint32_t ids_add(struct ids *ids, struct mux_span id) {
    if (ids->count >= IDS_MOST || id.len >= UINT32_MAX || !grow_buckets(ids) || !grow_places(ids) ||
        !grow_text(ids, id.len + 1))
        return IDS_NONE;
    uint64_t hash = mux_hash(ids->hash_key, id);
    uint32_t bucket = bucket_of(ids, id, hash);
    return ids->buckets[bucket] ? ids->buckets[bucket] - 1 : append(ids, id, bucket, hash);
}
