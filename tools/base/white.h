/* Blanks, as python's str.strip() and its \s know them: what Unicode calls white space. */
#ifndef TOOLS_BASE_WHITE_H
#define TOOLS_BASE_WHITE_H

#include "mux/buffer.h"

/* The text without the blanks around it. It is UTF-8. */
struct mux_span white_trim(struct mux_span text);

/* How many characters of the text come before its first that is no blank. */
size_t white_before(struct mux_span text);

/* How many bytes come before the text's first blank. */
size_t white_word(struct mux_span text);

#endif
