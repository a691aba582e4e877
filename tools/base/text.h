/*
 * Bytes from peers, shown to people: what could steer a terminal never reaches it.
 */
#ifndef TOOLS_BASE_TEXT_H
#define TOOLS_BASE_TEXT_H

#include "mux/buffer.h"

/*
 * Writes `bytes` as text to out[0..capacity), NUL-terminated; returns its length. What is printable
 * stays. Control characters and bytes that are not UTF-8 are shown as \x1b, characters that cannot
 * be seen or that turn text around as \u202e or \U000e0041, and so are marks beyond the eighth on
 * one character. In a text of `lines` newlines stay, a tab is a space, carriage returns and escape
 * sequences (CSI, OSC and the like: colours) are left out; a name shows them, too. What does not
 * fit is cut at a character.
 */
size_t text_clean(struct mux_span bytes, bool lines, char *out, size_t capacity);

/* Most bytes of clean text for one byte of the input. */
#define TEXT_GROWTH 4

/*
 * One line on stderr, whatever is in it (arguments, paths, reasons): as a name. The newline is
 * added. Every message of a program at its user goes through here, muxd's log through log.h.
 */
__attribute__((format(printf, 1, 2))) void text_complain(const char *format, ...);

/*
 * Gives the last `lines` lines of `bytes`, at most TEXT_TAIL_BYTES of them, to `show` one by one,
 * each cleaned; a first line says how many bytes were left out, if any.
 */
#define TEXT_TAIL_BYTES 16384
void text_show_tail(struct mux_span bytes, unsigned lines,
                    void (*show)(void *user, const char *line), void *user);

/* Adds bytes to a text of which the last that fit are kept; *len is its length. */
void text_keep_tail(struct mux_room room, size_t *len, struct mux_span bytes);

/* The last `lines` lines of `bytes`, at most `most` bytes of them. */
struct mux_span text_tail(struct mux_span bytes, unsigned lines, size_t most);

#endif
