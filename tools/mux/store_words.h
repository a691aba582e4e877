/* Rows of the store as lines for people, or as an object a line. */
#ifndef TOOLS_MUX_STORE_WORDS_H
#define TOOLS_MUX_STORE_WORDS_H

#include "tools/store/query.h"

/* The digits of a run's name that are shown. */
#define STORE_WORDS_RUN_DIGITS 8

/*
 * "0.3 ms", "31 ms", "0.31 s", "12.4 s", "3:07", "1:12:30"; "" of STORE_NO_TIME. Good until the
 * next call but three.
 */
const char *store_words_took(int64_t us);

/* "12 s ago", "2 min ago", "3 days ago". */
const char *store_words_age(int64_t then_us);

/* Of a status: "FAIL", "ok", ... in one width. */
const char *store_words_status(unsigned status);

/* The same as a word of --json. */
const char *store_words_status_key(unsigned status);

/* "2 failed (1 new), 1 flaky"; "passed, 2,010"; "incomplete, 1 failed" */
void store_words_result_text(const struct store_run_row *row, char *out, size_t out_bytes);

/* "1 failed, 12 passed, 2 skipped" */
void store_words_counts(const struct store_run_row *row, char *out, size_t out_bytes);

/*
 * "passed", "failed", ... as who ran it said, else as its results are; "empty"; "open": it has not
 * ended, or nobody saw it; "cut off": who ran it was killed.
 */
const char *store_words_outcome(const struct store_run_row *row);

/*
 * To stdout. Tests' names and what they sent never steer a terminal. `past`: what runs before say
 * of it; "".
 */
void store_words_result(const struct store_result_row *row, const char *past);
void store_words_result_json(const struct store_result_row *row);
void store_words_run_json(const struct store_run_row *row);

/* A text of the wire in a line of its own, or in the middle of one. */
void store_words_text(const char *text);

#endif
