/* What muxd takes at its start: descriptors, memory, the stacks of its endpoints. */
#include "tools/muxd/muxd.h"
#include "tools/node/dialer.h"

#include <assert.h>
#include <sys/resource.h>

/* Connections besides links: the upstream, control clients, some on their way to be closed. */
#define OTHER_CONNS (64 + CONTROL_CONNS_MAX)

/* Of them, and of the descriptors, kept from strangers: the upstream's attempts, look-ups, files.
 */
#define KEPT 24
static_assert(KEPT >= DIALER_ATTEMPTS_MAX && KEPT < OTHER_CONNS,
              "the upstream can be connected to");

/* Descriptors besides connections: listeners, the stacks', files. */
#define OTHER_DESCRIPTORS (LISTENERS_MAX + CONTROL_CONNS_MAX + 256)
/* Standard ones, signals, the stacks', a listener, the upstream, a look-up, a file, few links. */
#define DESCRIPTORS_LEAST 24

/* As many descriptors as --max-links needs, if the hard limit has them. */
bool muxd_raise_descriptor_limit(struct muxd *muxd) {
    struct rlimit limit;
    rlim_t wanted = muxd->options.links_max + OTHER_DESCRIPTORS;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
        return true;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < wanted)
        log_text(&muxd->log, "muxd: the limit of open files (%llu) allows fewer than %u links\n",
                 (unsigned long long)limit.rlim_cur, muxd->options.links_max);
    if (limit.rlim_cur >= DESCRIPTORS_LEAST)
        return true;
    log_text(&muxd->log, "muxd: it needs at least %d: ulimit -n %d\n", DESCRIPTORS_LEAST,
             DESCRIPTORS_LEAST);
    return false;
}

/* What is not acknowledged is sent from the arena, wherever it lies. */
static size_t window_memory_bytes(const struct options *options) {
    size_t spool_bytes = options->spool ? MUX_SPOOL_MEMORY_BYTES : 0;
    return options->upstream.is_node ? MUX_WINDOW_MEMORY_BYTES(options->window_bytes) + spool_bytes
                                     : 0;
}

bool muxd_start_stacks(struct muxd *muxd) {
    const struct options *options = &muxd->options;
    const struct stacks_config config = {
        .listen = options->listen,
        .listen_count = options->listen_count,
        .upstream = options->upstream_given ? &options->upstream : NULL,
        .io = options->io,
        .busy_poll_us = options->busy_poll_us,
        .memory_bytes = options->memory_bytes,
        .owner_bytes = window_memory_bytes(options),
        .conns_max = mux_connections_max(options->links_max) + OTHER_CONNS,
        .kept = KEPT,
        .allow = &options->allow,
    };
    char said[2 * ENDPOINT_TEXT_BYTES];
    bool started = stacks_start(&muxd->stacks, &config, said, sizeof said);
    if (*said)
        log_text(&muxd->log, "muxd: %s\n", said);
    if (!started)
        return false;
    loop_init(&muxd->loop, muxd->stacks.ops, muxd->stacks.transport);
    log_join(&muxd->log, &muxd->loop);
    return true;
}
