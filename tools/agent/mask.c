#include "tools/agent/mask.h"
#include "mux/packet/packet.h"

/* Where the bytes of a stream lie that are not decided: those that are held, then the new ones. */
struct place {
    const struct mask *mask;
    struct mask_stream *stream;
    uint8_t *bytes;
    uint64_t held_at, bytes_at; /* positions of their first bytes */
};

static uint8_t *byte_at(const struct place *place, uint64_t position) {
    return position >= place->bytes_at ? place->bytes + (position - place->bytes_at)
                                       : place->stream->held + (position - place->held_at);
}

static void overwrite(const struct place *place, uint64_t from, uint64_t to) {
    for (uint64_t at = from; at < to; at++)
        *byte_at(place, at) = '*';
}

/*
 * Each byte is overwritten once: matches end further and further on. What is decided was masked, or
 * is gone.
 */
static void match(const struct place *place, uint64_t from, uint64_t to) {
    struct mask_stream *stream = place->stream;
    from = from > place->held_at ? from : place->held_at;
    if (from >= to)
        return;
    if (from > stream->masked_to || stream->masked_to == 0)
        stream->masked_from = stream->masked_to = from;
    if (from < stream->masked_from) {
        overwrite(place, from, stream->masked_from);
        stream->masked_from = from;
    }
    overwrite(place, stream->masked_to, to);
    stream->masked_to = to;
}

/* One step of the automaton. */
struct step {
    struct mask_set active;
    bool is_active;
    uint64_t starts[MASK_POSITIONS];
};

static bool has(const struct mask_set *set, unsigned position) {
    return set->words[position / 64] >> position % 64 & 1;
}

/* A match that began at `start` may go on with any of these positions. */
static void enter(struct step *step, unsigned word, uint64_t positions, uint64_t start) {
    for (; positions; positions &= positions - 1) {
        unsigned position = word * 64 + (unsigned)__builtin_ctzll(positions);
        bool is_new = !has(&step->active, position);
        if (is_new || start < step->starts[position])
            step->starts[position] = start;
        step->active.words[word] |= positions & -positions;
        step->is_active = true;
    }
}

/* All positions among `which` that may come now. */
static void advance(const struct place *place, const struct mask_set *which, uint64_t begin,
                    struct step *step) {
    const struct mask *mask = place->mask;
    const struct mask_stream *stream = place->stream;
    for (unsigned word = 0; word < mask->words; word++)
        enter(step, word, mask->first.words[word] & which->words[word], begin);
    for (unsigned from = 0; stream->is_active && from < mask->words; from++)
        for (uint64_t left = stream->active.words[from]; left; left &= left - 1) {
            unsigned position = from * 64 + (unsigned)__builtin_ctzll(left);
            for (unsigned word = 0; word < mask->words; word++)
                enter(step, word, mask->follow[position].words[word] & which->words[word],
                      stream->starts[position]);
        }
}

static void find_matches(const struct place *place, const struct step *step, uint64_t end) {
    const struct mask *mask = place->mask;
    for (unsigned word = 0; word < mask->words; word++)
        for (uint64_t left = step->active.words[word] & mask->last.words[word]; left;
             left &= left - 1)
            match(place, step->starts[word * 64 + (unsigned)__builtin_ctzll(left)], end);
}

static void keep(struct mask_stream *stream, const struct step *step, unsigned words) {
    stream->is_active = step->is_active;
    for (unsigned word = 0; word < words; word++) {
        stream->active.words[word] = step->active.words[word];
        for (uint64_t left = step->active.words[word]; left; left &= left - 1) {
            unsigned position = word * 64 + (unsigned)__builtin_ctzll(left);
            stream->starts[position] = step->starts[position];
        }
    }
}

/* A line begins or ends here: ^ or $ match, and nothing that was active goes. */
static void take_edge(const struct place *place, const struct mask_set *edges, uint64_t at) {
    struct mask_stream *stream = place->stream;
    struct step step;
    step.active = stream->active;
    step.is_active = stream->is_active;
    memcpy(step.starts, stream->starts, sizeof step.starts);
    advance(place, edges, at, &step);
    find_matches(place, &step, at);
    keep(stream, &step, place->mask->words);
}

static void take_byte(const struct place *place, uint8_t byte, uint64_t at) {
    struct mask_stream *stream = place->stream;
    const struct mask *mask = place->mask;
    struct step step; /* starts[] is read only where active */
    memset(&step.active, 0, sizeof step.active);
    step.is_active = false;
    if (mask->has_lines && !stream->in_line)
        take_edge(place, &mask->line_begins, at);
    if (mask->has_lines && byte == '\n')
        take_edge(place, &mask->line_ends, at);
    stream->in_line = byte != '\n';
    if (!stream->is_active && !mask->begins[byte])
        return;
    advance(place, &mask->of_byte[byte], at, &step);
    find_matches(place, &step, at + 1);
    keep(stream, &step, mask->words);
}

/* The first byte that may still become part of a match. */
static uint64_t decided(const struct place *place) {
    const struct mask *mask = place->mask;
    const struct mask_stream *stream = place->stream;
    uint64_t least = stream->position;
    for (unsigned word = 0; stream->is_active && word < mask->words; word++)
        for (uint64_t left = stream->active.words[word]; left; left &= left - 1) {
            uint64_t start = stream->starts[word * 64 + (unsigned)__builtin_ctzll(left)];
            least = start < least ? start : least;
        }
    least = least > place->held_at ? least : place->held_at; /* before it a match was masked */
    bool is_masked = stream->masked_from <= least && least < stream->masked_to;
    return is_masked ? stream->masked_to : least;
}

static void scan(const struct place *place, size_t len) {
    for (size_t i = 0; i < len; i++)
        take_byte(place, place->bytes[i], place->bytes_at + i);
    place->stream->position += len;
}

static struct place place_of(const struct mask *mask, struct mask_stream *stream, uint8_t *bytes) {
    return (struct place){.mask = mask,
                          .stream = stream,
                          .bytes = bytes,
                          .held_at = stream->position - stream->held_len,
                          .bytes_at = stream->position};
}

size_t mask_run(const struct mask *mask, struct mask_stream *stream, uint8_t *bytes, size_t len,
                uint8_t front[MASK_HELD_BYTES], size_t *front_len) {
    const struct place place = place_of(mask, stream, bytes);
    scan(&place, len);
    uint64_t least = decided(&place);
    if (stream->position - least > MASK_HELD_BYTES) {
        match(&place, least, stream->position - MASK_HELD_BYTES);
        least = stream->position - MASK_HELD_BYTES;
    }
    uint64_t in_held = (least < place.bytes_at ? least : place.bytes_at) - place.held_at;
    *front_len = (size_t)in_held;
    memcpy(front, stream->held, *front_len);
    memmove(stream->held, stream->held + *front_len, stream->held_len - *front_len);
    stream->held_len -= *front_len;
    size_t done = least > place.bytes_at ? (size_t)(least - place.bytes_at) : 0;
    if (len > done)
        memcpy(stream->held + stream->held_len, bytes + done, len - done);
    stream->held_len += len - done;
    return done;
}

static void begin_anew(struct mask_stream *stream) {
    stream->position = 0;
    stream->in_line = stream->is_active = false;
    stream->active = (struct mask_set){0};
    stream->masked_from = stream->masked_to = 0;
    stream->held_len = 0;
}

size_t mask_end(const struct mask *mask, struct mask_stream *stream,
                uint8_t front[MASK_HELD_BYTES]) {
    const struct place place = place_of(mask, stream, NULL);
    if (mask->has_lines)
        take_edge(&place, &mask->line_ends, stream->position);
    size_t len = stream->held_len;
    memcpy(front, stream->held, len);
    begin_anew(stream);
    return len;
}

void mask_piece(const struct mask *mask, uint8_t *bytes, size_t len) {
    struct mask_stream stream; /* large: only what must be is set */
    const struct place place = {.mask = mask, .stream = &stream, .bytes = bytes};
    if (mask_is_empty(mask))
        return;
    begin_anew(&stream);
    scan(&place, len);
    overwrite(&place, decided(&place), len);
}

/* Half a character that was masked takes its other half with it. */
static void mend(uint8_t *text, size_t len) {
    for (size_t at = 0; at < len;) {
        size_t width = mux_utf8_character(mux_span(text + at, len - at));
        if (!width)
            text[at] = '*';
        at += width ? width : 1;
    }
}

void mask_text(const struct mask *mask, uint8_t *text, size_t len) {
    struct mask_stream stream; /* large: only what must be is set */
    const struct place place = {.mask = mask, .stream = &stream, .bytes = text};
    if (mask_is_empty(mask))
        return;
    begin_anew(&stream);
    scan(&place, len);
    if (mask->has_lines)
        take_edge(&place, &mask->line_ends, len);
    mend(text, len);
}
