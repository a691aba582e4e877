/*
 * Bytes from peers, shown to people: what could steer a terminal never reaches it.
 */
#ifndef TOOLS_TEXT_H
#define TOOLS_TEXT_H

#include "mux/packet.h"

/*
 * Writes `bytes` as text to out[0..capacity), NUL-terminated; returns its length. Printable ASCII
 * and UTF-8 stay; escape sequences (CSI, OSC and the like) are left out; a tab becomes a space;
 * other control characters, C1 ones too, and bytes that are not UTF-8 become '?'. Newlines stay if
 * `newlines`, else they become spaces. What does not fit is cut at a character.
 */
size_t text_clean(struct mux_span bytes, bool newlines, char *out, size_t capacity);

/* Is a packet's file something to show to people as it is? */
bool text_is_text(const struct mux_packet *packet);

/*
 * Gives the last `lines` lines of `bytes`, at most TEXT_TAIL_BYTES of them, to `show` one by one,
 * each cleaned; a first line says how many bytes were left out, if any.
 */
#define TEXT_TAIL_BYTES 16384
void text_show_tail(struct mux_span bytes, unsigned lines,
                    void (*show)(void *user, const char *line), void *user);

/* The last `lines` lines of `bytes`, at most `most` bytes of them. */
struct mux_span text_tail(struct mux_span bytes, unsigned lines, size_t most);

#endif
