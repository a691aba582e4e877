#include "tools/farm/selection.h"

#include "tools/farm/plan/ring.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Far more than a file of them has; each is tried on each id. */
#define PATTERNS_MAX 100000
#define LISTS_MAX 4

/* What distributed-nose hashes of a class: python's str() of it. */
#define CLASS_BEGIN "<class '"
#define CLASS_END "'>"

struct patterns {
    struct pattern **patterns;
    unsigned count, room;
};

struct selection {
    struct patterns include, exclude;
    const struct ids *lists[LISTS_MAX];
    unsigned list_count;
    struct ring *ring; /* NULL: not divided */
    unsigned number;
    bool by_class;
    char *key; /* room for a class's key; grows with the longest */
    size_t key_room;
};

struct selection *selection_open(void) {
    return calloc(1, sizeof(struct selection));
}

static void free_patterns(struct patterns *patterns) {
    for (unsigned i = 0; i < patterns->count; i++)
        pattern_free(patterns->patterns[i]);
    free(patterns->patterns);
}

static bool make_room(struct patterns *patterns) {
    if (patterns->count < patterns->room)
        return true;
    unsigned room = 2 * patterns->room + 16;
    struct pattern **more = realloc(patterns->patterns, room * sizeof *more);
    if (!more)
        return false;
    patterns->patterns = more;
    patterns->room = room;
    return true;
}

void selection_close(struct selection *selection) {
    if (!selection)
        return;
    free_patterns(&selection->include);
    free_patterns(&selection->exclude);
    ring_free(selection->ring);
    free(selection->key);
    free(selection);
}

static bool add(struct patterns *patterns, const char *regex, char why[SELECTION_WHY_BYTES]) {
    char cause[PATTERN_WHY_BYTES];
    struct pattern *pattern = NULL;
    if (patterns->count == PATTERNS_MAX)
        snprintf(cause, sizeof cause, "there are %d already", PATTERNS_MAX);
    else if (!make_room(patterns))
        snprintf(cause, sizeof cause, "out of memory");
    else
        pattern = pattern_compile(regex, cause);
    if (!pattern) {
        snprintf(why, SELECTION_WHY_BYTES, "'%.200s': %s", regex, cause);
        return false;
    }
    patterns->patterns[patterns->count++] = pattern;
    return true;
}

bool selection_include(struct selection *selection, const char *regex,
                       char why[SELECTION_WHY_BYTES]) {
    return add(&selection->include, regex, why);
}

bool selection_exclude(struct selection *selection, const char *regex,
                       char why[SELECTION_WHY_BYTES]) {
    return add(&selection->exclude, regex, why);
}

bool selection_among(struct selection *selection, const struct ids *ids) {
    if (selection->list_count == LISTS_MAX)
        return false;
    selection->lists[selection->list_count++] = ids;
    return true;
}

const struct ids *selection_list(const struct selection *selection) {
    return selection->list_count ? selection->lists[0] : NULL;
}

bool selection_divide(struct selection *selection, unsigned nodes, unsigned number, bool by_class,
                      char why[SELECTION_WHY_BYTES]) {
    if (nodes > RING_MOST_NODES) {
        snprintf(why, SELECTION_WHY_BYTES, "%u nodes: at most %d are possible", nodes,
                 RING_MOST_NODES);
        return false;
    }
    selection->ring = ring_new(nodes);
    selection->number = number;
    selection->by_class = by_class;
    snprintf(why, SELECTION_WHY_BYTES, "out of memory");
    return selection->ring != NULL;
}

/*
 * ---- the class of a test ----
 */

static size_t last_of(struct mux_span text, char c) {
    size_t at = text.len;
    while (at > 0 && text.data[at - 1] != (uint8_t)c)
        at--;
    return at; /* behind it; 0: it is not there */
}

static struct mux_span before_colons(struct mux_span id) {
    size_t at = last_of(id, ':');
    if (at < 2 || id.data[at - 2] != ':')
        return mux_span(NULL, 0);
    return mux_span(id.data, at - 2);
}

static struct mux_span class_of_path(struct mux_span id) {
    struct mux_span owner = before_colons(id);
    return owner.data && before_colons(owner).data ? owner : mux_span(NULL, 0);
}

/* Parameters may have dots and colons: "test[a.b]". */
static struct mux_span without_parameters(struct mux_span id) {
    const uint8_t *bracket = id.len ? memchr(id.data, '[', id.len) : NULL;
    return bracket ? mux_span(id.data, (size_t)(bracket - id.data)) : id;
}

struct mux_span selection_class(struct mux_span id) {
    id = without_parameters(id);
    if (before_colons(id).data)
        return class_of_path(id);
    size_t at = last_of(id, '.');
    if (at == 0)
        return mux_span(NULL, 0);
    struct mux_span owner = mux_span(id.data, at - 1);
    size_t name = last_of(owner, '.');
    while (name < owner.len && owner.data[name] == '_')
        name++;
    return name < owner.len && isupper(owner.data[name]) ? owner : mux_span(NULL, 0);
}

/*
 * ---- is it taken? ----
 */

static enum selection_result find(const struct patterns *patterns, struct mux_span id) {
    for (unsigned i = 0; i < patterns->count; i++) {
        enum pattern_result result = pattern_search(patterns->patterns[i], id);
        if (result != PATTERN_NO)
            return result == PATTERN_YES ? SELECTION_YES : SELECTION_FAILED;
    }
    return SELECTION_NO;
}

static enum selection_result takes_by_patterns(struct selection *selection, struct mux_span id) {
    enum selection_result included =
        selection->include.count ? find(&selection->include, id) : SELECTION_YES;
    if (included != SELECTION_YES)
        return included;
    enum selection_result excluded = find(&selection->exclude, id);
    return excluded == SELECTION_FAILED ? SELECTION_FAILED
           : excluded == SELECTION_YES  ? SELECTION_NO
                                        : SELECTION_YES;
}

/* False: out of memory. */
static bool make_class_key(struct selection *selection, struct mux_span name, size_t *len) {
    *len = sizeof CLASS_BEGIN - 1 + name.len + sizeof CLASS_END - 1;
    if (*len > selection->key_room) {
        char *key = realloc(selection->key, 2 * *len);
        if (!key)
            return false;
        selection->key = key;
        selection->key_room = 2 * *len;
    }
    char *end = mempcpy(selection->key, CLASS_BEGIN, sizeof CLASS_BEGIN - 1);
    end = mempcpy(end, name.data, name.len);
    memcpy(end, CLASS_END, sizeof CLASS_END - 1);
    return true;
}

static enum selection_result takes_by_ring(struct selection *selection, struct mux_span id) {
    struct mux_span name = selection->by_class ? selection_class(id) : mux_span(NULL, 0);
    const char *key = (const char *)id.data;
    size_t len = id.len;
    if (name.data) {
        if (!make_class_key(selection, name, &len))
            return SELECTION_FAILED;
        key = selection->key;
    }
    return ring_node(selection->ring, key, len) == selection->number ? SELECTION_YES : SELECTION_NO;
}

enum selection_result selection_takes(struct selection *selection, struct mux_span id) {
    for (unsigned i = 0; i < selection->list_count; i++)
        if (ids_find(selection->lists[i], id) == IDS_NONE)
            return SELECTION_NO;
    enum selection_result result = takes_by_patterns(selection, id);
    return result == SELECTION_YES && selection->ring ? takes_by_ring(selection, id) : result;
}
