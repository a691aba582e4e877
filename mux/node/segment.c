#include "mux/node/segment.h"
#include "mux/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Twice the number of hosts, so that probing stays short; a power of two. */
#define TABLE_COUNT (2 * MUX_SEGMENT_HOSTS)

#define HOST_TEXT_BYTES 64

struct mux_segment_host {
    char name[HOST_TEXT_BYTES];
    uint64_t links;
};

bool mux_segments_init(struct mux_segments *segments, enum mux_segment_by by, uint64_t hash_key) {
    *segments = (struct mux_segments){.by = by, .hash_key = hash_key};
    if (by != MUX_SEGMENT_BY_HOST)
        return true;
    segments->hosts = calloc(TABLE_COUNT, sizeof *segments->hosts);
    return segments->hosts != NULL;
}

void mux_segments_fini(struct mux_segments *segments) {
    free(segments->hosts);
}

/* The host's entry, which is made if there is none; NULL: the table is full. */
static struct mux_segment_host *find_or_add_host(struct mux_segments *segments, const char *name) {
    uint32_t at = (uint32_t)(mux_hash(segments->hash_key, mux_span_text(name)) % TABLE_COUNT);
    while (segments->hosts[at].links && strcmp(segments->hosts[at].name, name) != 0)
        at = (at + 1) % TABLE_COUNT;
    struct mux_segment_host *host = &segments->hosts[at];
    if (host->links == 0) {
        if (segments->host_count == MUX_SEGMENT_HOSTS)
            return NULL;
        segments->host_count++;
        snprintf(host->name, sizeof host->name, "%s", name);
    }
    return host;
}

/*
 * A host as a segment: an address without the characters that have a meaning in route codes. A '.'
 * in a scope (eth0.1) would look like the second link of another host.
 */
static void clean(const char *host, char out[HOST_TEXT_BYTES]) {
    const char *scope = strchr(host, '%');
    size_t len = 0;
    for (; host[len] && len < HOST_TEXT_BYTES - 1; len++) {
        unsigned char c = (unsigned char)host[len];
        bool in_scope = scope && host + len > scope;
        out[len] = (char)(c == '/' || c <= ' ' || c > '~' || (c == '.' && in_scope) ? '_' : c);
    }
    out[len] = '\0';
}

void mux_segments_next(struct mux_segments *segments, const char *host,
                       char out[MUX_SEGMENT_TEXT_BYTES]) {
    uint64_t serial = segments->next++;
    if (segments->by == MUX_SEGMENT_BY_NUMBER) {
        snprintf(out, MUX_SEGMENT_TEXT_BYTES, "%" PRIu64, serial);
        return;
    }
    char name[HOST_TEXT_BYTES];
    clean(*host ? host : "local", name);
    struct mux_segment_host *entry = find_or_add_host(segments, name);
    if (!entry)
        snprintf(out, MUX_SEGMENT_TEXT_BYTES, "%s.n%" PRIu64, name, serial);
    else if (entry->links++ == 0)
        snprintf(out, MUX_SEGMENT_TEXT_BYTES, "%s", name);
    else
        snprintf(out, MUX_SEGMENT_TEXT_BYTES, "%s.%" PRIu64, name, entry->links - 1);
}
