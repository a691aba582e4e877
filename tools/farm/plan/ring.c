#include "tools/farm/plan/ring.h"

#include "tools/farm/plan/md5.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* distributed-nose's: 40 digests a node, of which three words each are points. */
enum { DIGESTS = 40, POINTS_A_DIGEST = 3, POINTS = DIGESTS * POINTS_A_DIGEST };

struct point {
    uint32_t hash;
    uint32_t node;
};

struct ring {
    size_t count;
    struct point points[];
};

/* By hash; of equal ones the later node last. */
static int compare(const void *left, const void *right) {
    const struct point *a = left, *b = right;
    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    return (a->node > b->node) - (a->node < b->node);
}

static void add_node(struct ring *ring, unsigned node) {
    for (unsigned j = 0; j < DIGESTS; j++) {
        char name[32];
        uint32_t words[MD5_WORDS];
        int len = snprintf(name, sizeof name, "%u-%u", node, j);
        md5_digest(name, (size_t)len, words);
        for (unsigned i = 0; i < POINTS_A_DIGEST; i++)
            ring->points[ring->count++] = (struct point){words[i], node};
    }
}

/* Of equal points the node that was added last has it. */
static void drop_equal(struct ring *ring) {
    size_t kept = 0;
    for (size_t i = 0; i < ring->count; i++)
        if (i + 1 == ring->count || ring->points[i].hash != ring->points[i + 1].hash)
            ring->points[kept++] = ring->points[i];
    ring->count = kept;
}

struct ring *ring_new(unsigned nodes) {
    assert(nodes >= 1 && nodes <= RING_MOST_NODES);
    struct ring *ring = malloc(sizeof *ring + (size_t)nodes * POINTS * sizeof ring->points[0]);
    if (ring == NULL)
        return NULL;
    ring->count = 0;
    for (unsigned node = 1; node <= nodes; node++)
        add_node(ring, node);
    qsort(ring->points, ring->count, sizeof ring->points[0], compare);
    drop_equal(ring);
    return ring;
}

void ring_free(struct ring *ring) {
    free(ring);
}

/* The first point behind the key's hash; behind the last comes the first. */
unsigned ring_node(const struct ring *ring, const char *key, size_t len) {
    uint32_t words[MD5_WORDS];
    size_t low = 0, high = ring->count;
    md5_digest(key, len, words);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ring->points[middle].hash > words[0])
            high = middle;
        else
            low = middle + 1;
    }
    return ring->points[low == ring->count ? 0 : low].node;
}
