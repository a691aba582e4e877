/*
 * Which of the tests that were listed run here: expressions, a list, distributed-nose's division.
 * Pure, but for the ids that a caller reads from files.
 */
#ifndef TOOLS_FARM_SELECTION_H
#define TOOLS_FARM_SELECTION_H

#include "tools/farm/ids.h"
#include "tools/farm/pattern.h"

#define SELECTION_WHY_BYTES 512

struct selection;

/* Takes all. NULL: out of memory. */
struct selection *selection_open(void);

/* NULL is fine. */
void selection_close(struct selection *selection);

/* With one or more of these an id must be found by one of them. False: why. */
bool selection_include(struct selection *selection, const char *regex,
                       char why[SELECTION_WHY_BYTES]);

/* An id that is found by one of these is not taken. False: why. */
bool selection_exclude(struct selection *selection, const char *regex,
                       char why[SELECTION_WHY_BYTES]);

/* Only these ids, if it is called; more than once: those that are in each of the lists. The ids
 * outlive the selection. False: too many lists. */
bool selection_among(struct selection *selection, const struct ids *ids);

/* The first of these. NULL: there is none. */
const struct ids *selection_list(const struct selection *selection);

/*
 * Only those that fall to this one of so many nodes: 1 <= number <= nodes. `by_class`: methods go
 * with their class. Same division as distributed-nose's. False: why.
 */
bool selection_divide(struct selection *selection, unsigned nodes, unsigned number, bool by_class,
                      char why[SELECTION_WHY_BYTES]);

enum selection_result {
    SELECTION_NO,
    SELECTION_YES,
    SELECTION_FAILED, /* an expression gave up on this id: see pattern.h */
};
enum selection_result selection_takes(struct selection *selection, struct mux_span id);

/*
 * The class of a test, as far as its id tells: "pkg.mod.Class" of "pkg.mod.Class.test_x", where the
 * name in front of the last one begins with a capital letter; "f.py::Class" of "f.py::Class::test".
 * data NULL: it has none.
 */
struct mux_span selection_class(struct mux_span id);

#endif
