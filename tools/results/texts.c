#include "tools/results/texts.h"

#include <string.h>

static struct texts_entry *find(struct texts *texts, uint64_t hash) {
    for (unsigned i = 0; i < TEXTS_MAX; i++)
        if (texts->entries[i].hash == hash)
            return &texts->entries[i];
    return NULL;
}

/* A free one, or the one that was written to the longest ago. */
static struct texts_entry *make(struct texts *texts, uint64_t hash) {
    struct texts_entry *entry = find(texts, 0);
    for (unsigned i = 0; !entry || (entry->hash && i < TEXTS_MAX); i++)
        if (!entry || texts->entries[i].used < entry->used)
            entry = &texts->entries[i];
    *entry = (struct texts_entry){.hash = hash};
    return entry;
}

void texts_add(struct texts *texts, uint64_t hash, struct mux_span bytes) {
    struct texts_entry *entry = find(texts, hash);
    if (!entry)
        entry = make(texts, hash);
    entry->used = ++texts->uses;
    if (bytes.len >= TEXTS_TAIL_BYTES) {
        bytes = mux_span(bytes.data + bytes.len - TEXTS_TAIL_BYTES, TEXTS_TAIL_BYTES);
        entry->len = 0;
    }
    size_t surplus =
        entry->len + bytes.len > TEXTS_TAIL_BYTES ? entry->len + bytes.len - TEXTS_TAIL_BYTES : 0;
    memmove(entry->bytes, entry->bytes + surplus, entry->len - surplus);
    entry->len -= surplus;
    if (bytes.len)
        memcpy(entry->bytes + entry->len, bytes.data, bytes.len);
    entry->len += bytes.len;
}

struct mux_span texts_take(struct texts *texts, uint64_t hash) {
    struct texts_entry *entry = find(texts, hash);
    if (!entry)
        return mux_span(NULL, 0);
    entry->hash = 0;
    return mux_span(entry->bytes, entry->len);
}
