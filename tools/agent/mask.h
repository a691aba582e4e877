/*
 * Masks: what a regular expression matches becomes asterisks, as many bytes as it had, in a stream
 * of bytes that comes in pieces of any length. The result does not depend on where the pieces end.
 *
 * Expressions are POSIX extended ones (regex(7)) over bytes, without back references: they become
 * one automaton without memory of its own, so that any input takes linear time. Every byte that is
 * part of any match is masked. A match does not go on over the end of a line, unless the expression
 * names the newline.
 */
#ifndef TOOLS_AGENT_MASK_H
#define TOOLS_AGENT_MASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Characters of all expressions together, repeated ones as often as they are repeated. */
#define MASK_POSITIONS 512
#define MASK_WORDS (MASK_POSITIONS / 64)

/*
 * What may be the beginning of a match is held back up to this length. Beyond it the bytes are
 * masked, as if it were one.
 */
#define MASK_HELD_BYTES 4096

struct mask_set {
    uint64_t words[MASK_WORDS];
};

/*
 * A position stands for one character of an expression. It is active when the bytes so far match up
 * to it. 52 KiB, of which short expressions touch little.
 */
struct mask {
    unsigned positions;
    unsigned words; /* of the sets that are in use */
    bool has_lines; /* some expression has ^ or $ */
    struct mask_set first, last;
    struct mask_set line_begins, line_ends; /* positions that are ^ and $ */
    struct mask_set of_byte[256];           /* the positions that take this byte */
    struct mask_set follow[MASK_POSITIONS];
    bool begins[256]; /* a match may begin with this byte */
};

/* One stream. All zero at its beginning, and after mask_end(). */
struct mask_stream {
    uint64_t position; /* bytes that came */
    bool in_line;      /* the next byte begins no line */
    bool is_active;    /* a position is active */
    struct mask_set active;
    uint64_t masked_from, masked_to; /* the last bytes that were masked */
    size_t held_len;
    uint8_t held[MASK_HELD_BYTES];
    uint64_t starts[MASK_POSITIONS]; /* where the longest match up to an active position begins */
};

/* Adds an expression. False, and a sentence in `why`: it is none, or there is no room for it. */
#define MASK_WHY_BYTES 96
bool mask_add(struct mask *mask, const char *expression, char why[MASK_WHY_BYTES]);

static inline bool mask_is_empty(const struct mask *mask) {
    return mask->positions == 0;
}

/*
 * The next bytes, which are masked where they lie. What was held before and is decided now is
 * copied to `front`, *front_len bytes: it comes first. Returns how many of `bytes` are decided; the
 * others are held.
 */
size_t mask_run(const struct mask *mask, struct mask_stream *stream, uint8_t *bytes, size_t len,
                uint8_t front[MASK_HELD_BYTES], size_t *front_len);

/* The stream ends: gives what is held to `front`, and returns its length. */
size_t mask_end(const struct mask *mask, struct mask_stream *stream,
                uint8_t front[MASK_HELD_BYTES]);

/* A piece of a stream whose other pieces are not seen; what may be a beginning is masked, too. */
void mask_piece(const struct mask *mask, uint8_t *bytes, size_t len);

/* A whole text, masked where it lies. UTF-8 stays UTF-8. */
void mask_text(const struct mask *mask, uint8_t *text, size_t len);

#endif
