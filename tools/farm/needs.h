/*
 * What tests need beside a slot: tokens, of which there are a few, or everything for themselves. It
 * is said in .mux.ini (docs/runners.md, "What tests need"). Pure, but for needs_open(), which reads
 * that file.
 */
#ifndef TOOLS_FARM_NEEDS_H
#define TOOLS_FARM_NEEDS_H

#include "mux/packet/packet.h"

#include <stdbool.h>
#include <stdint.h>

#define NEEDS_FILE ".mux.ini"
#define NEEDS_WHY_BYTES 1024

/* Of each token, and then nobody has to wait for one. */
#define NEEDS_MOST_TOKENS 1000000u

/* A test's: `exclusive` means that nothing else runs meanwhile. */
struct need {
    uint32_t tokens; /* bits: by needs_tokens() */
    bool exclusive;
};

struct needs;

/*
 * `path` may be a file that is not there: then no test needs anything. NULL: why, with the line.
 */
struct needs *needs_open(const char *path, char why[NEEDS_WHY_BYTES]);

/* The same of a file's bytes; `path` is for messages. */
struct needs *needs_read(struct mux_span bytes, const char *path, char why[NEEDS_WHY_BYTES]);

/* NULL is fine. */
void needs_free(struct needs *needs);

/*
 * Adds what a test of this id needs. False: an expression gave up on the id; what the others say is
 * added.
 */
bool needs_of_id(struct needs *needs, struct mux_span id, struct need *need);

/*
 * Adds what the tags say that the list has for a test. "mux.exclusive" and "mux.lock:NAME", of
 * which there is one, need no rule.
 */
void needs_of_tags(struct needs *needs, const struct mux_packet *packet, struct need *need);

/* How many there are of each kind, for plan_config. */
const uint32_t *needs_tokens(const struct needs *needs, unsigned *kinds);

const char *needs_token_name(const struct needs *needs, unsigned token);

/* For messages: what no test needed so far; NULL: there is nothing behind number `i`. */
const char *needs_unused(const struct needs *needs, unsigned *i);

#endif
