/*
 * FILE.journal beside the output of --upstream file:FILE, of a muxd that is the end of bundles: the
 * file's side of mux/node/journal.h. The record of each batch is written before the batch. After a
 * crash muxd goes on where its output stops. One muxd at a time: the journal is locked.
 *
 * Calls block while the disk does. After false there is one sentence in `why`.
 */
#ifndef MUXD_JOURNAL_H
#define MUXD_JOURNAL_H

#include "mux/node/mux.h"

#include <limits.h>
#include <sys/types.h>

struct journal {
    struct mux *mux;
    const char *output_path;
    char path[PATH_MAX], new_path[PATH_MAX];
    bool syncs;
    int fd;                      /* -1: there is none yet */
    uint64_t bytes, first_bytes; /* of the journal, and of its first record */
    uint64_t begun_bytes;        /* the output's length at its first record */
    uint64_t output_bytes;       /* behind the last record, by the records */
    dev_t device;                /* of the output */
    ino_t inode;
    bool moves;    /* what is written to has another name by now: see journal_unfinished() */
    uint8_t *room; /* for records */
    size_t room_bytes;
};

/* Can there be one beside that output? Its folder may be read-only, or its name too long. */
bool journal_is_possible(const char *output_path, char *why, size_t why_bytes);

/* Nothing is taken until an output is opened. `syncs`: nothing counts before the disk has it. */
bool journal_init(struct journal *journal, struct mux *mux, const char *output_path, bool syncs,
                  char *why, size_t why_bytes);
void journal_close(struct journal *journal);

/* At the start: follows what is there, and cuts off the output's last, half bundle. `why` may say
   something also after true. */
bool journal_follow(struct journal *journal, char *why, size_t why_bytes);

/*
 * The output is to be opened again, and there may be another file by its name: then a batch that
 * was written in part is finished where it was begun (rule 39b). Returns a descriptor of that file,
 * which is the caller's, or -1: open the output by its name. When all is written journal_moves() is
 * true once, and the output is to be opened once more.
 */
int journal_unfinished(struct journal *journal);
bool journal_moves(struct journal *journal);

/* The output was opened (again), and is not mended: cuts off a packet that was written in part. */
bool journal_trim(struct journal *journal, int output, char *why, size_t why_bytes);

/* It can be written to: begins anew, or goes on if it is the same one. */
bool journal_begin(struct journal *journal, int output, char *why, size_t why_bytes);

/* Keeps the record of the batch that is to be written. */
bool journal_record(struct journal *journal, char *why, size_t why_bytes);

/* All that was taken is written, as was asked for when the journal had become long. */
bool journal_rest(struct journal *journal, int output, char *why, size_t why_bytes);

#endif
