/* muxd's command line. */
#ifndef MUXD_OPTIONS_H
#define MUXD_OPTIONS_H

#include "mux/node/mux.h"
#include "tools/node/allow.h"
#include "tools/node/listeners.h"
#include "tools/node/place.h"
#include <sys/types.h>

struct options {
    struct endpoint listen[LISTENERS_ENDPOINTS_MAX];
    unsigned listen_count;
    bool listen_mode_given, listen_group_given; /* of unix sockets */
    mode_t listen_mode;
    gid_t listen_group;
    bool upstream_given;
    struct place upstream;
    bool control_given;
    struct endpoint control; /* unix:PATH */
    bool control_group_given;
    gid_t control_group;
    enum io_choice io;
    unsigned busy_poll_us;
    enum mux_segment_by segment_by;
    uint64_t memory_bytes;
    uint64_t window_bytes; /* 0: no bundles */
    bool syncs;            /* a file and its journal */
    const char *spool;     /* its folder; NULL: none */
    uint64_t spool_most_bytes;
    enum mux_spool_sync spool_sync;
    unsigned links_max;
    struct allow allow;
    const char *stats_file; /* NULL: none; "-": stdout */
    uint64_t drain_timeout_ns;
    uint64_t node_grace_ns;
    bool clock_correct, clock_stamp;
    bool trusts_network; /* orders and jobs from an upstream over a network are taken */
    uint64_t exit_after_links;
};

/*
 * Reads the command line. Returns -1 to go on, else the status to exit with (--help, --version, or
 * an error, which has been told on stderr).
 */
int options_parse(struct options *options, int argc, char **argv);

#endif
