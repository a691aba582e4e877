/*
 * Expressions become positions (Glushkov's construction): each part knows with which of them it may
 * begin and end, and which may follow each other.
 */
#include "tools/agent/mask.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 32
#define REPEAT_MAX 255

struct part {
    struct mask_set first, last;
    bool may_be_empty;
};

struct parser {
    struct mask *mask;
    const char *at;
    unsigned depth;
    const char *wrong; /* NULL: nothing is */
};

static const struct part empty = {.may_be_empty = true};

static struct part alternatives(struct parser *parser);

static struct part fail(struct parser *parser, const char *wrong) {
    if (!parser->wrong)
        parser->wrong = wrong;
    return empty;
}

static void add(struct mask_set *set, unsigned position) {
    set->words[position / 64] |= UINT64_C(1) << position % 64;
}

static void unite(struct mask_set *set, const struct mask_set *other) {
    for (unsigned i = 0; i < MASK_WORDS; i++)
        set->words[i] |= other->words[i];
}

static void follow(struct mask *mask, const struct mask_set *before, const struct mask_set *after) {
    for (unsigned position = 0; position < mask->positions; position++)
        if (before->words[position / 64] >> position % 64 & 1)
            unite(&mask->follow[position], after);
}

static struct part chain(struct parser *parser, struct part a, struct part b) {
    follow(parser->mask, &a.last, &b.first);
    if (a.may_be_empty)
        unite(&a.first, &b.first);
    if (b.may_be_empty)
        unite(&b.last, &a.last);
    a.last = b.last;
    a.may_be_empty = a.may_be_empty && b.may_be_empty;
    return a;
}

static struct part loop(struct parser *parser, struct part part) {
    follow(parser->mask, &part.last, &part.first);
    return part;
}

static struct part optional(struct part part) {
    part.may_be_empty = true;
    return part;
}

/* A position of its own. `takes` NULL: it takes no byte. */
static struct part position(struct parser *parser, const bool takes[256]) {
    struct mask *mask = parser->mask;
    struct part part = {0};
    if (mask->positions == MASK_POSITIONS)
        return fail(parser, "too long");
    unsigned number = mask->positions++;
    add(&part.first, number);
    part.last = part.first;
    for (unsigned byte = 0; takes && byte < 256; byte++)
        if (takes[byte])
            add(&mask->of_byte[byte], number);
    return part;
}

static struct part one_byte(struct parser *parser, char byte) {
    bool takes[256] = {false};
    takes[(uint8_t)byte] = true;
    return position(parser, takes);
}

/* A character of several bytes is one part, so that it is repeated as a whole. */
static struct part character(struct parser *parser) {
    struct part part = one_byte(parser, *parser->at++);
    while ((*parser->at & 0xC0) == 0x80)
        part = chain(parser, part, one_byte(parser, *parser->at++));
    return part;
}

static struct part line_edge(struct parser *parser, struct mask_set *edges) {
    struct part part = position(parser, NULL);
    parser->at++;
    parser->mask->has_lines = true;
    unite(edges, &part.first);
    return part;
}

static struct part any_byte(struct parser *parser) {
    bool takes[256];
    memset(takes, true, sizeof takes);
    takes['\n'] = false;
    parser->at++;
    return position(parser, takes);
}

/*
 * ---- brackets ----
 */

static bool add_class(const char *name, size_t len, bool takes[256]) {
    static const struct {
        const char *name;
        int (*has)(int byte);
    } classes[] = {
        {"alnum", isalnum}, {"alpha", isalpha}, {"blank", isblank}, {"cntrl", iscntrl},
        {"digit", isdigit}, {"graph", isgraph}, {"lower", islower}, {"print", isprint},
        {"punct", ispunct}, {"space", isspace}, {"upper", isupper}, {"xdigit", isxdigit},
    };
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strlen(classes[i].name) != len || memcmp(classes[i].name, name, len) != 0)
            continue;
        for (int byte = 0; byte < 128; byte++)
            takes[byte] |= classes[i].has(byte) != 0;
        return true;
    }
    return false;
}

/* "[:alpha:]" within brackets. */
static void named_class(struct parser *parser, bool takes[256]) {
    const char *name = parser->at + 2, *end = strstr(name, ":]");
    if (!end || !add_class(name, (size_t)(end - name), takes)) {
        fail(parser, "an unknown [:class:]");
        return;
    }
    parser->at = end + 2;
}

static void range(struct parser *parser, bool takes[256]) {
    const char *at = parser->at;
    bool is_range = at[1] == '-' && at[2] && at[2] != ']';
    uint8_t from = (uint8_t)at[0], to = (uint8_t)at[is_range ? 2 : 0];
    if (from >= 0x80 || to >= 0x80)
        fail(parser, "only ASCII stands in brackets");
    else if (from > to)
        fail(parser, "a range that ends before it begins");
    for (unsigned byte = from; byte <= to; byte++)
        takes[byte] = true;
    parser->at += is_range ? 3 : 1;
}

static struct part brackets(struct parser *parser) {
    bool takes[256] = {false};
    parser->at++;
    bool is_negated = *parser->at == '^';
    parser->at += is_negated;
    const char *first = parser->at;
    while (*parser->at && !parser->wrong && (*parser->at != ']' || parser->at == first)) {
        if (parser->at[0] == '[' && parser->at[1] == ':')
            named_class(parser, takes);
        else if (parser->at[0] == '[' && (parser->at[1] == '.' || parser->at[1] == '='))
            return fail(parser, "[. and [= are not known");
        else
            range(parser, takes);
    }
    if (*parser->at != ']')
        return fail(parser, "a [ without its ]");
    parser->at++;
    for (unsigned byte = 0; is_negated && byte < 256; byte++)
        takes[byte] = !takes[byte] && byte != '\n';
    return position(parser, takes);
}

/*
 * ---- structure ----
 */

static struct part group(struct parser *parser) {
    if (++parser->depth > DEPTH_MAX)
        return fail(parser, "too many parentheses in each other");
    parser->at++;
    struct part part = alternatives(parser);
    parser->depth--;
    if (*parser->at != ')')
        return fail(parser, "a ( without its )");
    parser->at++;
    return part;
}

static struct part escaped(struct parser *parser) {
    parser->at++;
    if (!*parser->at || isalnum((unsigned char)*parser->at))
        return fail(parser, "\\ in front of a letter, a digit or nothing is not known");
    return character(parser);
}

static struct part atom(struct parser *parser) {
    switch (*parser->at) {
    case '(':
        return group(parser);
    case '[':
        return brackets(parser);
    case '.':
        return any_byte(parser);
    case '^':
        return line_edge(parser, &parser->mask->line_begins);
    case '$':
        return line_edge(parser, &parser->mask->line_ends);
    case '\\':
        return escaped(parser);
    case '*':
    case '+':
    case '?':
    case '{':
        return fail(parser, "a repetition of nothing");
    default:
        return character(parser);
    }
}

/* "{2}", "{2,}", "{2,5}". */
static bool read_count(struct parser *parser, unsigned *least, unsigned *most) {
    int taken = 0, more = 0;
    const char *at = parser->at;
    if (!isdigit((unsigned char)at[1]) || sscanf(at, "{%3u%n", least, &taken) != 1)
        return false;
    at += taken;
    *most = *least;
    if (*at == ',' && at[1] == '}') {
        *most = UINT32_MAX;
        at++;
    } else if (*at == ',') {
        if (!isdigit((unsigned char)at[1]) || sscanf(at, ",%3u%n", most, &more) != 1)
            return false;
        at += more;
    }
    parser->at = at + (*at == '}');
    return *at == '}' && *least <= REPEAT_MAX && *least <= *most &&
           (*most <= REPEAT_MAX || *most == UINT32_MAX);
}

/* Another copy of the atom whose text begins at `text`: positions of its own. */
static struct part again(struct parser *parser, const char *text) {
    const char *at = parser->at;
    parser->at = text;
    struct part part = atom(parser);
    parser->at = at;
    return part;
}

static struct part counted(struct parser *parser, const char *text, struct part once) {
    unsigned least, most;
    struct part part = empty;
    if (!read_count(parser, &least, &most))
        return fail(parser, "a repetition is {N}, {N,} or {N,M} up to 255");
    bool is_open = most == UINT32_MAX;
    unsigned copies = is_open ? (least ? least : 1) : most;
    for (unsigned i = 0; i < copies && !parser->wrong; i++) {
        struct part copy = i ? again(parser, text) : once;
        if (is_open && i + 1 == copies)
            copy = loop(parser, copy);
        part = chain(parser, part, i < least ? copy : optional(copy));
    }
    return part;
}

static struct part repeated(struct parser *parser) {
    const char *text = parser->at;
    struct part part = atom(parser);
    char how = *parser->at;
    if (parser->wrong || !how || !strchr("*+?{", how))
        return part;
    if (how == '{') {
        part = counted(parser, text, part);
    } else {
        parser->at++;
        part = how == '?' ? part : loop(parser, part);
        part = how == '+' ? part : optional(part);
    }
    if (*parser->at && strchr("*+?{", *parser->at))
        return fail(parser, "a repetition of a repetition");
    return part;
}

static struct part sequence(struct parser *parser) {
    struct part part = empty;
    while (!parser->wrong && *parser->at && *parser->at != '|' && *parser->at != ')')
        part = chain(parser, part, repeated(parser));
    return part;
}

static struct part alternatives(struct parser *parser) {
    struct part part = sequence(parser);
    while (!parser->wrong && *parser->at == '|') {
        parser->at++;
        struct part other = sequence(parser);
        unite(&part.first, &other.first);
        unite(&part.last, &other.last);
        part.may_be_empty = part.may_be_empty || other.may_be_empty;
    }
    return part;
}

static void note_beginnings(struct mask *mask) {
    mask->words = (mask->positions + 63) / 64;
    for (unsigned byte = 0; byte < 256; byte++)
        for (unsigned i = 0; i < mask->words; i++)
            mask->begins[byte] |= (mask->of_byte[byte].words[i] & mask->first.words[i]) != 0;
}

bool mask_add(struct mask *mask, const char *expression, char why[MASK_WHY_BYTES]) {
    struct parser parser = {.mask = mask, .at = expression};
    unsigned before = mask->positions;
    struct part part = alternatives(&parser);
    if (!parser.wrong && *parser.at)
        parser.wrong = "a ) without its (";
    if (!parser.wrong && mask->positions == before)
        parser.wrong = "it matches nothing";
    if (parser.wrong) {
        snprintf(why, MASK_WHY_BYTES, "%s (at \"%.16s\")", parser.wrong, parser.at);
        return false;
    }
    unite(&mask->first, &part.first);
    unite(&mask->last, &part.last);
    note_beginnings(mask);
    return true;
}
