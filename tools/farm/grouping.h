/*
 * Which tests stay together: tests of one group run in one slot, one after the other. A group's
 * name is a part of its tests' ids, or stands in a tag of theirs. Pure.
 */
#ifndef TOOLS_FARM_GROUPING_H
#define TOOLS_FARM_GROUPING_H

#include "mux/packet/packet.h"
#include "tools/farm/pattern.h"

enum grouping_by {
    GROUPING_NONE,
    GROUPING_REGEX, /* python's re.match: what it matches, from the id's beginning */
    GROUPING_CLASS, /* selection_class(); a test without one is alone */
    GROUPING_FILE,  /* what is in front of the first "::"; of a dotted name its module */
    GROUPING_TAG,   /* what the list's tag "mux.group:NAME" says: not in the id */
    GROUPING_SCOPE, /* what is in front of the last "::" or dot: class, else module */
};

/* Lies in its owner; {0} is GROUPING_NONE. */
struct grouping {
    enum grouping_by by;
    struct pattern *pattern; /* GROUPING_REGEX */
};

/* "none", "class", "file", "scope". False: it is none of these. */
bool grouping_parse(const char *word, enum grouping_by *by);

/* False: why. */
bool grouping_by_regex(struct grouping *grouping, const char *regex, char why[PATTERN_WHY_BYTES]);

void grouping_free(struct grouping *grouping);

/* GROUPING_TAG: the group that a test's tags name. False: none. */
bool grouping_of_tags(const struct mux_packet *packet, struct mux_span *group);

/*
 * The group of a test by its id (PATTERN_NO by GROUPING_TAG): its own id if it has none, as when an
 * expression does not match, or matches nothing. PATTERN_FAILED: the expression gave up on this id,
 * which is alone. Else PATTERN_YES: it has a group, or PATTERN_NO.
 */
enum pattern_result grouping_of(const struct grouping *grouping, struct mux_span id,
                                struct mux_span *group);

#endif
