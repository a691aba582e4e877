#include "tools/results/texts.h"

#include "tools/base/text.h"

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
    text_keep_tail((struct mux_room){entry->bytes, TEXTS_TAIL_BYTES}, &entry->len, bytes);
}

struct mux_span texts_take(struct texts *texts, uint64_t hash) {
    struct texts_entry *entry = find(texts, hash);
    if (!entry)
        return mux_span(NULL, 0);
    entry->hash = 0;
    return mux_span(entry->bytes, entry->len);
}
