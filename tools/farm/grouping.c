#include "tools/farm/grouping.h"

#include "tools/farm/selection.h"

#include <string.h>

#define TAG_PREFIX "mux.group:"

static const char *const words[] = {
    [GROUPING_NONE] = "none",
    [GROUPING_CLASS] = "class",
    [GROUPING_FILE] = "file",
    [GROUPING_SCOPE] = "scope",
};

bool grouping_parse(const char *word, enum grouping_by *by) {
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i] && strcmp(word, words[i]) == 0) {
            *by = (enum grouping_by)i;
            return true;
        }
    return false;
}

bool grouping_by_regex(struct grouping *grouping, const char *regex, char why[PATTERN_WHY_BYTES]) {
    struct pattern *pattern = pattern_compile(regex, why);
    if (!pattern)
        return false;
    grouping_free(grouping);
    *grouping = (struct grouping){GROUPING_REGEX, pattern};
    return true;
}

void grouping_free(struct grouping *grouping) {
    pattern_free(grouping->pattern);
    *grouping = (struct grouping){0};
}

/* Parameters are in brackets (pytest) or parentheses (scenarios), and may hold anything. */
static struct mux_span without_parameters(struct mux_span id) {
    size_t len = 0;
    while (len < id.len && id.data[len] != '[' && id.data[len] != '(')
        len++;
    return mux_span(id.data, len);
}

/* Where the first or the last "::" of the text begins. Its length: there is none. */
static size_t colons(struct mux_span text, bool last) {
    size_t found = text.len;
    for (size_t i = 0; i + 1 < text.len && (last || found == text.len); i++)
        if (text.data[i] == ':' && text.data[i + 1] == ':')
            found = i;
    return found;
}

static struct mux_span before_last_dot(struct mux_span text) {
    size_t len = text.len;
    while (len > 0 && text.data[len - 1] != '.')
        len--;
    return mux_span(text.data, len ? len - 1 : 0);
}

static struct mux_span by_file(struct mux_span name) {
    size_t end = colons(name, false);
    if (end < name.len)
        return mux_span(name.data, end);
    struct mux_span class = selection_class(name);
    return before_last_dot(class.data ? class : name);
}

static struct mux_span by_scope(struct mux_span name) {
    size_t end = colons(name, true);
    return end < name.len ? mux_span(name.data, end) : before_last_dot(name);
}

bool grouping_of_tags(const struct mux_packet *packet, struct mux_span *group) {
    struct mux_span tags = packet->tags, tag;
    size_t prefix = strlen(TAG_PREFIX);
    while (packet->has_tags && mux_tag_next(&tags, &tag))
        if (tag.len > prefix && memcmp(tag.data, TAG_PREFIX, prefix) == 0) {
            *group = mux_span(tag.data + prefix, tag.len - prefix);
            return true;
        }
    return false;
}

enum pattern_result grouping_of(const struct grouping *grouping, struct mux_span id,
                                struct mux_span *group) {
    struct mux_span name = without_parameters(id), found = {NULL, 0};
    enum pattern_result result = PATTERN_YES;
    switch (grouping->by) {
    case GROUPING_NONE:
    case GROUPING_TAG:
        break;
    case GROUPING_REGEX:
        result = pattern_match(grouping->pattern, id, &found);
        break;
    case GROUPING_CLASS:
        found = selection_class(name);
        break;
    case GROUPING_FILE:
        found = by_file(name);
        break;
    case GROUPING_SCOPE:
        found = by_scope(name);
        break;
    }
    bool has_one = result == PATTERN_YES && found.data && found.len > 0;
    *group = has_one ? found : id;
    return result == PATTERN_YES && !has_one ? PATTERN_NO : result;
}
