#include "tools/base/white.h"

#include "mux/packet/packet.h"

/* U+0080 and above: the characters of str.isspace(), in UTF-8. U+2000 to U+200A apart. */
static const char *const wide_blanks[] = {
    "\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80", "\xE2\x80\xA8",
    "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80",
};

static bool is_wide_blank(struct mux_span character) {
    const uint8_t *data = character.data;
    for (size_t i = 0; i < sizeof wide_blanks / sizeof *wide_blanks; i++)
        if (mux_span_equal(character, mux_span_text(wide_blanks[i])))
            return true;
    return character.len == 3 && data[0] == 0xE2 && data[1] == 0x80 && data[2] >= 0x80 &&
           data[2] <= 0x8A;
}

static bool is_blank(struct mux_span character) {
    uint8_t byte = character.data[0];
    return byte < 0x80
               ? byte == ' ' || (byte >= '\t' && byte <= '\r') || (byte >= 0x1C && byte <= 0x1F)
               : is_wide_blank(character);
}

static struct mux_span character_at(struct mux_span text, size_t at) {
    size_t width = mux_utf8_character(mux_span(text.data + at, text.len - at));
    return mux_span(text.data + at, width ? width : 1);
}

struct mux_span white_trim(struct mux_span text) {
    size_t begin = text.len, end = text.len;
    for (size_t at = 0; at < text.len;) {
        struct mux_span character = character_at(text, at);
        if (!is_blank(character)) {
            begin = begin == text.len ? at : begin;
            end = at + character.len;
        }
        at += character.len;
    }
    return mux_span(text.data + begin, end - begin);
}

size_t white_before(struct mux_span text) {
    size_t count = 0;
    for (size_t at = 0; at < text.len; count++) {
        struct mux_span character = character_at(text, at);
        if (!is_blank(character))
            break;
        at += character.len;
    }
    return count;
}

size_t white_word(struct mux_span text) {
    size_t at = 0;
    while (at < text.len && !is_blank(character_at(text, at)))
        at += character_at(text, at).len;
    return at;
}
