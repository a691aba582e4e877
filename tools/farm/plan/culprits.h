/*
 * Which of the tests that ran before it make a test fail that passes alone: a search by probes. A
 * probe runs some of them, in their order, and the test behind them, in a new runner. Pure.
 *
 *     while (culprits_state(search) == CULPRITS_SEARCHED)
 *         run what culprits_next() says, then culprits_tell()
 *
 * It halves: one culprit among n takes about 2 x log2(n) probes, which together run 2 x n tests.
 * Where neither half is enough both have a part in it, and each is searched beside the other. So
 * pairs and larger sets are found, without a test that is not needed.
 */
#ifndef TOOLS_FARM_PLAN_CULPRITS_H
#define TOOLS_FARM_PLAN_CULPRITS_H

#include <stdbool.h>
#include <stdint.h>

enum culprits_state {
    CULPRITS_SEARCHED,
    CULPRITS_ALONE,  /* it fails alone, too */
    CULPRITS_NONE,   /* it passes behind all of them, too */
    CULPRITS_FOUND,  /* culprits_has() says which */
    CULPRITS_UNSURE, /* they were found, and then it passed behind them */
};

struct culprits;

/* `count`: tests that ran before it. NULL: out of memory. */
struct culprits *culprits_new(uint32_t count);

/* NULL is fine. */
void culprits_free(struct culprits *search);

enum culprits_state culprits_state(const struct culprits *search);

/* While it searches: is number `i` in the probe that is to be made? The same until it is told. */
bool culprits_next(const struct culprits *search, uint32_t i);

/* How the test ended in that probe. */
void culprits_tell(struct culprits *search, bool failed);

/* When they are found: is it one of them? */
bool culprits_has(const struct culprits *search, uint32_t i);

#endif
