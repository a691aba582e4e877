/* What a terminal makes of a character. */
#ifndef TOOLS_BASE_UNICODE_H
#define TOOLS_BASE_UNICODE_H

#include <stdint.h>

enum unicode_kind {
    UNICODE_SHOWN,  /* takes a place of its own */
    UNICODE_MARK,   /* is drawn over or joined to the one before it */
    UNICODE_HIDDEN, /* is not seen, or turns around what is: two names could look the same */
};

/* `character` is one that UTF-8 can say. */
enum unicode_kind unicode_kind(uint32_t character);

#endif
