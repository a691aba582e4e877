#include "tools/farm/plan/culprits.h"

#include <assert.h>
#include <stdlib.h>

/* What the next probe is for. */
enum stage {
    STAGE_ALONE,  /* nothing in front */
    STAGE_ALL,    /* everything */
    STAGE_FIRST,  /* the first half of the range */
    STAGE_SECOND, /* the second half */
    STAGE_CHECK,  /* those that were found */
    STAGE_OVER,
};

struct range {
    uint32_t from, to;
};

/* A range is halved at most so often, and each time at most one half waits. */
enum { RANGES_MOST = 32 };

struct culprits {
    enum culprits_state state;
    enum stage stage;
    uint32_t count;
    struct range range; /* some of these are needed, with those that are fixed */
    struct range waiting[RANGES_MOST];
    unsigned waits;
    bool *found; /* is needed, for sure */
};

struct culprits *culprits_new(uint32_t count) {
    struct culprits *search = calloc(1, sizeof *search);
    if (search != NULL)
        search->found = calloc((size_t)count + 1, sizeof *search->found);
    if (search == NULL || search->found == NULL) {
        free(search);
        return NULL;
    }
    search->count = count;
    search->range = (struct range){0, count};
    return search;
}

void culprits_free(struct culprits *search) {
    if (search == NULL)
        return;
    free(search->found);
    free(search);
}

enum culprits_state culprits_state(const struct culprits *search) {
    return search->state;
}

static void end(struct culprits *search, enum culprits_state state) {
    search->state = state;
    search->stage = STAGE_OVER;
}

static bool is_within(struct range range, uint32_t i) {
    return i >= range.from && i < range.to;
}

static uint32_t middle(struct range range) {
    return range.from + (range.to - range.from) / 2;
}

/* Ranges that wait stay whole meanwhile. */
static bool is_fixed(const struct culprits *search, uint32_t i) {
    bool fixed = search->found[i];
    for (unsigned at = 0; at < search->waits; at++)
        fixed = fixed || is_within(search->waiting[at], i);
    return fixed;
}

bool culprits_next(const struct culprits *search, uint32_t i) {
    struct range range = search->range;
    assert(search->state == CULPRITS_SEARCHED && i < search->count);
    switch (search->stage) {
    case STAGE_ALL:
        return true;
    case STAGE_FIRST:
        return is_fixed(search, i) || (is_within(range, i) && i < middle(range));
    case STAGE_SECOND:
        return is_fixed(search, i) || (is_within(range, i) && i >= middle(range));
    case STAGE_CHECK:
        return search->found[i];
    default:
        return false;
    }
}

/* The range has one that is needed: which? One alone is it. */
static void look_into(struct culprits *search, struct range range) {
    search->range = range;
    search->stage = STAGE_FIRST;
    while (search->range.to - search->range.from == 1) {
        search->found[search->range.from] = true;
        if (search->waits == 0) {
            search->stage = STAGE_CHECK;
            return;
        }
        search->range = search->waiting[--search->waits];
    }
}

/* Neither half is enough: the first is searched beside all of the second, which waits. */
static void look_into_both(struct culprits *search) {
    struct range range = search->range;
    assert(search->waits < RANGES_MOST);
    search->waiting[search->waits++] = (struct range){middle(range), range.to};
    look_into(search, (struct range){range.from, middle(range)});
}

void culprits_tell(struct culprits *search, bool failed) {
    struct range range = search->range;
    assert(search->state == CULPRITS_SEARCHED);
    switch (search->stage) {
    case STAGE_ALONE:
        search->stage = STAGE_ALL;
        if (failed || search->count == 0)
            end(search, failed ? CULPRITS_ALONE : CULPRITS_NONE);
        break;
    case STAGE_ALL:
        if (failed)
            look_into(search, range);
        else
            end(search, CULPRITS_NONE);
        break;
    case STAGE_FIRST:
        search->stage = STAGE_SECOND;
        if (failed)
            look_into(search, (struct range){range.from, middle(range)});
        break;
    case STAGE_SECOND:
        if (failed)
            look_into(search, (struct range){middle(range), range.to});
        else
            look_into_both(search);
        break;
    default:
        end(search, failed ? CULPRITS_FOUND : CULPRITS_UNSURE);
    }
}

bool culprits_has(const struct culprits *search, uint32_t i) {
    assert(i < search->count);
    return search->found[i];
}
