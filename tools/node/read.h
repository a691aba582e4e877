/* What the readers of JSON messages share (jobs, answers, wants, orders). Writers: write.h. */
#ifndef TOOLS_NODE_READ_H
#define TOOLS_NODE_READ_H

#include "mux/buffer.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* The version of the messages that are written and taken here. */
#define READ_VERSION 1

/* The files that carry jobs down and answers to them up; and what an agent wants. */
#define MESSAGE_JOB_FILE "muxd.job"
#define MESSAGE_WANT_FILE "muxd.want"

/* Slots of an agent at most. */
#define MESSAGE_SLOTS_MAX 512

/* A sentence for people: why a message is refused. */
#define READ_WHY_BYTES 256

/*
 * Is the text an object of the right version? Else false, and a sentence in `why`. *tree is what it
 * is in both cases, as far as it can be read, or NULL; the caller frees it.
 */
bool read_message(struct mux_span text, json_t **tree, char *why);

/* False after a sentence in `why`. */
__attribute__((format(printf, 2, 3))) bool read_wrong(char *why, const char *format, ...);

#endif
