/* A journal that is there is followed, at the start of muxd. */
#ifndef MUXD_JOURNAL_FOLLOW_H
#define MUXD_JOURNAL_FOLLOW_H

#include "mux/node/mux.h"

#include <sys/types.h>

struct journal_followed {
    int fd;                /* the journal, read from its beginning */
    bool is_usable;        /* else it was put aside */
    uint64_t bytes;        /* of the journal, whole records */
    uint64_t output_bytes; /* the output's length now */
    dev_t device;          /* of the output that it names */
    ino_t inode;
};

/*
 * Opens the output with the device and inode of this head to append to it: it has the name, or
 * another one beside it. -1: there is none.
 */
struct mux_journal_head;
int journal_open_named(const char *output_path, const struct mux_journal_head *head);

/*
 * Restores the streams and the tests in progress, and cuts off half a bundle at the output's end.
 * False after a sentence in `why`, which may also say something after true.
 */
bool journal_follow_file(struct mux *mux, const char *output_path, const char *path,
                         struct journal_followed *followed, char *why, size_t why_bytes);

#endif
