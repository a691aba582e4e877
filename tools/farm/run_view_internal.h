/* What the files of the view share. */
#ifndef TOOLS_FARM_RUN_VIEW_INTERNAL_H
#define TOOLS_FARM_RUN_VIEW_INTERNAL_H

#include "tools/base/text.h"
#include "tools/farm/run_view.h"

#define RUN_VIEW_SECOND_NS UINT64_C(1000000000)

#define RUN_VIEW_TIME_BYTES 32
#define RUN_VIEW_COUNT_BYTES 32
#define RUN_VIEW_ID_BYTES 1024

/* Slots that are looked at together; more than any terminal has rows for. */
#define RUN_VIEW_SLOTS_MAX 128

struct run_view {
    struct run_view_config config;
    const struct run *run;
    struct screen screen;
    bool has_utf8;
    unsigned past_runs;
    uint64_t begun_ns, planned_ns;
    uint64_t busy_ns;                 /* of all tests */
    uint64_t passed, failed, skipped; /* results, as they come */
    uint64_t *took_ns;                /* by test; 0: not known. NULL: no memory for it */
};

/* "0.31 s", "12.4 s", "3:07", "1:12:30" */
void run_view_time_text(uint64_t ns, char out[RUN_VIEW_TIME_BYTES]);

/* "2,013" */
void run_view_count_text(uint64_t count, char out[RUN_VIEW_COUNT_BYTES]);

/* At most so many characters of it, its end. */
void run_view_id_text(struct mux_span id, size_t most, char *out, size_t out_bytes);

/* run_view_end.c */
void run_view_show_end(struct run_view *view, uint64_t now_ns);

#endif
