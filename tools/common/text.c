#include "tools/common/text.h"

#include "mux/packet.h"

#include <stdio.h>

#define ESCAPE 0x1B

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

/* Length of a printable UTF-8 character of 2 to 4 bytes at the head, or 0. */
static size_t wide_character(struct mux_span bytes) {
    size_t width = mux_utf8_character(bytes);
    if (width < 2)
        return 0;
    uint8_t lead = bytes.data[0], second = bytes.data[1];
    bool c1 = lead == 0xC2 && second < 0xA0;
    uint8_t third = width > 2 ? bytes.data[2] : 0;
    /* U+2028..202E and U+2060..206F: separators and marks that turn text around or join it */
    bool turns = lead == 0xE2 && ((second == 0x80 && third >= 0xA8 && third <= 0xAE) ||
                                  (second == 0x81 && third >= 0xA0 && third <= 0xAF));
    /* U+200B..200F, U+FEFF, U+E0000..E0FFF: not to be seen, so that two names look the same */
    bool hidden = (lead == 0xE2 && second == 0x80 && third >= 0x8B && third <= 0x8F) ||
                  (lead == 0xEF && second == 0xBB && third == 0xBF) ||
                  (lead == 0xF3 && second == 0xA0);
    return c1 || turns || hidden ? 0 : width;
}

static char shown_as(uint8_t byte, bool newlines) {
    if (byte == '\n')
        return newlines ? '\n' : ' ';
    if (byte == '\t')
        return ' ';
    return byte >= 0x20 && byte < 0x7F ? (char)byte : '?';
}

size_t text_clean(struct mux_span bytes, bool newlines, char *out, size_t capacity) {
    size_t len = 0;
    assert(capacity > 0);
    while (bytes.len > 0) {
        size_t used = 1, width = 1;
        if (bytes.data[0] == ESCAPE) {
            used = escape_length(bytes);
            width = 0;
        } else if (bytes.data[0] == '\r') {
            width = 0;
        } else if (bytes.data[0] >= 0x80 && wide_character(bytes)) {
            used = width = wide_character(bytes);
        }
        if (len + width >= capacity)
            break;
        if (used > 1 && width)
            memcpy(out + len, bytes.data, width);
        else if (width)
            out[len] = shown_as(bytes.data[0], newlines);
        len += width;
        bytes = mux_span(bytes.data + used, bytes.len - used);
    }
    out[len] = '\0';
    return len;
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
    static char clean[TEXT_TAIL_BYTES + 1];
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

static bool is_one_of(struct mux_span name, const char *const names[], size_t count) {
    for (size_t i = 0; i < count; i++)
        if (mux_span_equal(name, mux_span_text(names[i])))
            return true;
    return false;
}

bool text_is_text(const struct mux_packet *packet) {
    static const char prefix[] = "text/";
    static const char *const names[] = {"stdout", "stderr", "stdin", "traceback"};
    const size_t len = sizeof prefix - 1;
    if (packet->mime.len == 0)
        return is_one_of(packet->file_name, names, sizeof names / sizeof *names);
    return packet->mime.len >= len && memcmp(packet->mime.data, prefix, len) == 0;
}
