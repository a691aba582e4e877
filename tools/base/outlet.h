/*
 * Text for people on a descriptor that may have no reader: a stopped terminal, a full pipe.
 * Never blocks, unless told to be patient (see output.h); what waits is bounded, and what does not
 * fit is refused. O_NONBLOCK is not set on the descriptor itself, which others may share.
 */
#ifndef TOOLS_BASE_OUTLET_H
#define TOOLS_BASE_OUTLET_H

#include <stdbool.h>
#include <stddef.h>

/* What may wait: more than a full redraw of a large terminal. */
#define OUTLET_BYTES 131072

struct outlet {
    int fd; /* the descriptor, or the same file opened anew with O_NONBLOCK */
    bool is_anew;
    size_t asked_bytes; /* it could not be opened anew: asked before each so small write; or 0 */
    bool patient; /* the user has nothing better to do: nothing waits, all is written at once */
    bool failed;  /* it has no reader any more: everything is left out */
    int error;    /* why */
    size_t start, end;
    char bytes[OUTLET_BYTES];
};

void outlet_open(struct outlet *outlet, int fd);

/*
 * Writes what it can. For the rest it waits until nothing is read for a fifth of a second, two
 * seconds in all at most. True: nothing is left.
 */
bool outlet_drain(struct outlet *outlet);

/* Drains it and drops what is left: then it returns false, with errno. */
bool outlet_close(struct outlet *outlet);

/*
 * All of the text or, when there is no room for it, nothing of it: false. A patient one blocks
 * until it is read; false: it has failed.
 */
bool outlet_write(struct outlet *outlet, const char *text, size_t len);

/* Does nothing wait to be written? */
static inline bool outlet_is_empty(const struct outlet *outlet) {
    return outlet->start == outlet->end;
}

/* Writes what waits, as far as it can; true when nothing waits any more. */
bool outlet_flush(struct outlet *outlet);

#endif
