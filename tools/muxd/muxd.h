/* What the files of muxd share: one object with all that it has. */
#ifndef TOOLS_MUXD_MUXD_H
#define TOOLS_MUXD_MUXD_H

#include "tools/base/log.h"
#include "tools/base/loop.h"
#include "tools/base/signals.h"
#include "tools/muxd/journal.h"
#include "tools/muxd/options.h"
#include "tools/node/control.h"
#include "tools/node/listeners.h"
#include "tools/node/node.h"
#include "tools/node/orders.h"
#include "tools/node/resolver.h"
#include "tools/node/spool_disk.h"
#include "tools/node/stacks.h"
#include "tools/results/summary.h"

struct muxd {
    struct options options;
    struct log log;
    struct signals signals;
    struct stacks stacks;
    struct loop loop;
    struct node *node;
    struct orders orders;
    struct listeners *listeners;
    struct spool_disk *spool;        /* NULL: there is none */
    struct control *control;         /* NULL: it was not asked for */
    struct loop_client screen_draws; /* with a screen */
    uint64_t screen_draws_at_ns;
    struct summary *summary;   /* drawn on a terminal; NULL: there is none */
    struct resolver *resolver; /* of the upstream's name; NULL: it has none */
    char upstream_text[PLACE_TEXT_BYTES];
    int upstream_file;         /* the file that is written to; -1: there is none */
    struct timer removed_look; /* at it */
    struct journal journal;    /* of it, if has_journal */
    bool has_journal;
    bool serves;       /* something is listened on, or will be: the upstream is opened */
    bool deaf;         /* nothing could be listened on */
    bool stdin_taken;  /* by --listen - */
    bool has_terminal; /* a controlling one, when it was started */
};

/* One line for the log. `user` is the muxd. */
void muxd_say(void *user, const char *line);

/* resources.c */

/* Raises it to what --max-links needs, if the hard limit allows. False after a sentence: too low.
 */
bool muxd_raise_descriptor_limit(struct muxd *muxd);

/* Starts them, and the loop over them. False after a sentence in the log. */
bool muxd_start_stacks(struct muxd *muxd);

/* upstream.c: what struct node_config asks for; `user` is the muxd. */

/* Is the upstream one that is connected to, by its addresses? */
bool muxd_upstream_is_place(const struct options *options);

/*
 * A file that cannot be written is known before workers have come. False after a sentence in the
 * log.
 */
bool muxd_check_upstream(struct muxd *muxd);

/* The node is made: as an end that writes a file it goes on as its journal says. As above. */
bool muxd_follow_journal(struct muxd *muxd);

/* What struct node_config asks for. */
bool muxd_record(void *user, char *why, size_t why_bytes);
bool muxd_sent(void *user, char *why, size_t why_bytes);
bool muxd_rest(void *user, char *why, size_t why_bytes);

/* When the node has ended. */
void muxd_stop_upstream(struct muxd *muxd);

/* Begins to look its name up. */
void muxd_resolve_upstream(struct muxd *muxd);

unsigned muxd_upstream_addresses(void *user, struct transport_address *addresses, char *why,
                                 size_t why_bytes);
struct transport_conn *muxd_connect_upstream(void *user, const struct transport_address *address,
                                             void *conn_user, struct transport_failure *failure);
struct transport_conn *muxd_open_upstream(void *user, struct loop_handler *handler, char *why,
                                          size_t why_bytes);

/* loop_attach(); NULL after a sentence in `why`. */
struct transport_conn *muxd_attach(struct muxd *muxd, const struct loop_descriptors *descriptors,
                                   struct loop_handler *handler, char *why, size_t why_bytes);

#endif
