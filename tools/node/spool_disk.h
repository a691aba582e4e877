/*
 * The folder of a leaf's spool. A thread carries out what the node's core asks for (spooler.h), one
 * operation after the other, so that a disk may take its time and the node goes on. Where no thread
 * can be made (clone3 is forbidden) the node waits for each operation.
 *
 * One process has the folder at a time: it is locked. What cannot be read there is kept aside,
 * under its name and ".bad".
 */
#ifndef TOOLS_NODE_SPOOL_DISK_H
#define TOOLS_NODE_SPOOL_DISK_H

#include "mux/node/spooler.h"
#include "tools/base/loop.h"

struct spool_disk;

struct spool_disk_config {
    const char *path;
    void *user;
    void (*say)(void *user, const char *line); /* for the log */
    /* An operation is done: see mux_spooler_done(). In a step of the loop. */
    void (*done)(void *user, size_t bytes, const char *why);
};

/*
 * Makes the folder if it is not there, and locks it. NULL after a sentence in `why`. Blocks for
 * these file operations, as the next one does.
 */
struct spool_disk *spool_disk_open(const struct spool_disk_config *config, char *why,
                                   size_t why_bytes);

/*
 * Tells of each file of an earlier life, the oldest stream first. False: it could not be read,
 * after a sentence in `why`; or `found` has said so.
 */
bool spool_disk_find(struct spool_disk *disk,
                     bool (*found)(void *user, const struct mux_spool_head *head,
                                   uint64_t len_bytes),
                     char *why, size_t why_bytes);

/* From now on operations are taken. False with *failure. */
bool spool_disk_start(struct spool_disk *disk, struct loop *loop,
                      struct transport_failure *failure);

/* It is done by the thread: its result comes by config.done. One at a time. */
void spool_disk_do(struct spool_disk *disk, const struct mux_spool_op *op);

/* None is underway. The loop stays until the end of the step. */
void spool_disk_close(struct spool_disk *disk);

#endif
