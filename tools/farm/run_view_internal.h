/* What the files of the view share. */
#ifndef TOOLS_FARM_RUN_VIEW_INTERNAL_H
#define TOOLS_FARM_RUN_VIEW_INTERNAL_H

#include "tools/base/text.h"
#include "tools/farm/run_view.h"

#define RUN_VIEW_SECOND_NS UINT64_C(1000000000)

#define RUN_VIEW_TIME_BYTES 32
#define RUN_VIEW_COUNT_BYTES 32
#define RUN_VIEW_ID_BYTES 1024

/* Below the progress. */
enum run_view_part {
    RUN_VIEW_BUSIEST,  /* slots that somebody may want to see */
    RUN_VIEW_SLOTS,    /* all of them, page by page */
    RUN_VIEW_FAILURES, /* the last ones, page by page */
    RUN_VIEW_ONE_LINE, /* nothing; failures come without their text */
};

/* With NUL; of those that GitHub's log is to ignore commands until it sees one of. */
#define RUN_VIEW_TOKEN_BYTES 37

struct run_view {
    struct run_view_config config;
    const struct run *run;
    const struct run_seen *seen;
    struct screen screen;
    bool has_utf8;
    bool is_remote; /* config.remote was used up */
    bool is_held;   /* somebody else has the terminal */
    bool is_stale;  /* a key was pressed: the next tick draws */
    enum run_view_part part;
    unsigned page;
    unsigned id_columns; /* of ids in the picture: it only grows */
    bool has_escape;     /* a key that sends more than one character has begun */
    uint64_t told_ns;    /* JSON: when it last said how it stands */
    uint64_t told_done;
    char token[RUN_VIEW_TOKEN_BYTES];
};

/* run_view_words.c */

/* "0.31 s", "12.4 s", "3:07", "1:12:30" */
void run_view_time_text(uint64_t ns, char out[RUN_VIEW_TIME_BYTES]);
/* "0:08", of what goes on */
void run_view_clock_text(uint64_t ns, char out[RUN_VIEW_TIME_BYTES]);
/* "2,013" */
void run_view_count_text(uint64_t count, char out[RUN_VIEW_COUNT_BYTES]);
/* At most so many columns of it, its end. */
void run_view_id_text(struct mux_span id, unsigned columns, char *out, size_t out_bytes);
/* "about 0:06 left"; "?": nobody knows, or it takes longer than was thought */
void run_view_left_text(const struct run_view *view, uint64_t now_ns, char *out, size_t out_bytes);
/* "1 failed, 7 passed, 0 skipped; 12/s" */
void run_view_counts_text(const struct run_view *view, uint64_t now_ns, char *out,
                          size_t out_bytes);
/* Of the results; "passed", ... for programs. */
const char *run_view_outcome_word(enum run_outcome outcome);

/* run_view_picture.c: a screen_config's draw. `user` is the view. */
void run_view_draw(void *user, struct screen_frame *frame, uint64_t now_ns);

/* run_view_end.c: also of a run that is not over: nothing then. */
void run_view_show_end(struct run_view *view, uint64_t now_ns);

/* run_view_json.c: the same events. */
void run_view_json_planned(struct run_view *view, uint64_t now_ns);
void run_view_json_ended(struct run_view *view, const struct run_ended *ended);
void run_view_json_waits(struct run_view *view, unsigned slot);
void run_view_json_say(struct run_view *view, const char *line);
uint64_t run_view_json_tick(struct run_view *view, uint64_t now_ns);
void run_view_json_end(struct run_view *view, uint64_t now_ns);

/* run_view_ci.c: around what stays, for those who read a log. */
void run_view_ci_begin(struct run_view *view);
void run_view_ci_end(struct run_view *view);
/* True: it has shown the head. */
bool run_view_ci_failure_begin(struct run_view *view, const char *head);
void run_view_ci_failure_end(struct run_view *view, const struct run_ended *ended);

#endif
