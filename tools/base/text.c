#include "tools/base/text.h"

#include "mux/packet/packet.h"
#include "tools/base/unicode.h"

#include <stdarg.h>
#include <stdio.h>

#define ESCAPE 0x1B

/* A sentence with a path or an argument in it; of longer ones the end is left out. */
#define COMPLAINT_BYTES 8192

/* The length of an escape sequence at the head of `bytes` (ECMA-48); at least 1. */
static size_t escape_length(struct mux_span bytes) {
    if (bytes.len < 2)
        return bytes.len;
    size_t i = 2;
    switch (bytes.data[1]) {
    case '[': /* CSI: parameters, then one final byte */
        while (i < bytes.len && bytes.data[i] >= 0x20 && bytes.data[i] < 0x40)
            i++;
        return i < bytes.len ? i + 1 : i;
    case ']': /* OSC, DCS, SOS, PM, APC: up to BEL or ST */
    case 'P':
    case 'X':
    case '^':
    case '_':
        while (i < bytes.len && bytes.data[i] != 0x07 && bytes.data[i] != '\n' &&
               bytes.data[i] != ESCAPE)
            i++;
        if (i < bytes.len && bytes.data[i] == 0x07)
            return i + 1;
        return i + 1 < bytes.len && bytes.data[i] == ESCAPE && bytes.data[i + 1] == '\\' ? i + 2
                                                                                         : i;
    default: /* intermediates, then one final byte */
        i = 1;
        while (i < bytes.len && bytes.data[i] >= 0x20 && bytes.data[i] < 0x30)
            i++;
        return i < bytes.len && bytes.data[i] >= 0x30 && bytes.data[i] < 0x7F ? i + 1 : i;
    }
}

/* So many marks of a character are drawn; no word of any language has more. */
#define MARKS_MAX 8

/* One character of the input, and how it is shown. */
struct shown {
    size_t used;
    size_t len;
    char text[sizeof "\\U0010ffff"];
};

__attribute__((format(printf, 2, 3))) static void write_shown(struct shown *shown,
                                                              const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    shown->len = (size_t)vsnprintf(shown->text, sizeof shown->text, format, arguments);
    va_end(arguments);
}

static uint32_t code_point(struct mux_span character) {
    static const uint8_t lead_bits[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t value = character.data[0] & lead_bits[character.len];
    for (size_t i = 1; i < character.len; i++)
        value = value << 6 | (character.data[i] & 0x3F);
    return value;
}

/* A character of UTF-8 beyond ASCII. *marks: how many the last character has got. */
static void show_wide(struct mux_span character, unsigned *marks, struct shown *shown) {
    uint32_t value = code_point(character);
    enum unicode_kind kind = unicode_kind(value);
    *marks = kind == UNICODE_MARK ? *marks + 1 : kind == UNICODE_SHOWN ? 0 : *marks;
    shown->used = character.len;
    if (kind == UNICODE_HIDDEN || *marks > MARKS_MAX) {
        write_shown(shown, value > 0xFFFF ? "\\U%08x" : "\\u%04x", (unsigned)value);
        return;
    }
    shown->len = character.len;
    memcpy(shown->text, character.data, character.len);
}

static void show_byte(uint8_t byte, struct shown *shown) {
    shown->used = shown->len = 1;
    shown->text[0] = (char)byte;
    if (byte < 0x20 || byte >= 0x7F)
        write_shown(shown, "\\x%02x", byte);
}

/* In a text of lines these have a meaning that is no danger. */
static bool show_layout(struct mux_span bytes, struct shown *shown) {
    uint8_t byte = bytes.data[0];
    if (byte != '\n' && byte != '\t' && byte != '\r' && byte != ESCAPE)
        return false;
    shown->used = byte == ESCAPE ? escape_length(bytes) : 1;
    shown->len = byte == '\n' || byte == '\t';
    shown->text[0] = byte == '\t' ? ' ' : '\n';
    return true;
}

static void show_next(struct mux_span bytes, bool lines, unsigned *marks, struct shown *shown) {
    size_t width = mux_utf8_character(bytes);
    if (width > 1) {
        show_wide(mux_span(bytes.data, width), marks, shown);
        return;
    }
    *marks = bytes.data[0] == '\n' ? MARKS_MAX : 0;
    if (!lines || !show_layout(bytes, shown))
        show_byte(bytes.data[0], shown);
}

size_t text_clean(struct mux_span bytes, bool lines, char *out, size_t capacity) {
    size_t len = 0;
    unsigned marks = MARKS_MAX; /* at the beginning they would sit on what is not theirs */
    assert(capacity > 0);
    while (bytes.len > 0) {
        struct shown shown;
        show_next(bytes, lines, &marks, &shown);
        if (len + shown.len >= capacity)
            break;
        memcpy(out + len, shown.text, shown.len);
        len += shown.len;
        bytes = mux_span(bytes.data + shown.used, bytes.len - shown.used);
    }
    out[len] = '\0';
    return len;
}

void text_complain(const char *format, ...) {
    static char raw[COMPLAINT_BYTES], clean[COMPLAINT_BYTES * TEXT_GROWTH];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(raw, sizeof raw, format, arguments);
    va_end(arguments);
    text_clean(mux_span_text(raw), false, clean, sizeof clean);
    fprintf(stderr, "%s\n", clean);
}

struct mux_span text_tail(struct mux_span bytes, unsigned lines, size_t most) {
    while (bytes.len > 0 && bytes.data[bytes.len - 1] == '\n')
        bytes.len--;
    size_t start = bytes.len;
    for (; start > 0 && bytes.len - start < most; start--)
        if (bytes.data[start - 1] == '\n' && --lines == 0)
            break;
    return mux_span(bytes.data + start, bytes.len - start);
}

void text_show_tail(struct mux_span bytes, unsigned lines,
                    void (*show)(void *user, const char *line), void *user) {
    static char clean[TEXT_TAIL_BYTES * TEXT_GROWTH + 1];
    struct mux_span tail = text_tail(bytes, lines, TEXT_TAIL_BYTES);
    if (tail.data > bytes.data) {
        char before[64];
        snprintf(before, sizeof before, "... %zu bytes before", (size_t)(tail.data - bytes.data));
        show(user, before);
    }
    text_clean(tail, true, clean, sizeof clean);
    for (char *line = clean; line && *line;) {
        char *newline = strchr(line, '\n');
        if (newline)
            *newline = '\0';
        show(user, line);
        line = newline ? newline + 1 : NULL;
    }
}

void text_keep_tail(struct mux_room room, size_t *len, struct mux_span bytes) {
    if (bytes.len >= room.len) {
        bytes = mux_span(bytes.data + bytes.len - room.len, room.len);
        *len = 0;
    }
    size_t surplus = *len + bytes.len > room.len ? *len + bytes.len - room.len : 0;
    memmove(room.data, room.data + surplus, *len - surplus);
    *len -= surplus;
    if (bytes.len)
        memcpy(room.data + *len, bytes.data, bytes.len);
    *len += bytes.len;
}
