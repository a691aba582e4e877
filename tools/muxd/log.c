#include "tools/muxd/log.h"

#include "tools/common/text.h"

#include <inttypes.h>
#include <stdio.h>

/* Peers can provoke lines: a disk shall not fill with them, nor the loop wait for a slow stderr. */
#define LINES_PER_SECOND 20
#define LINES_BURST 100

#define LINE_BYTES 1024

void log_init(struct log *log) {
    *log = (struct log){.limiter = {LINES_PER_SECOND, LINES_BURST, LINES_BURST, 0}};
}

void log_finish(struct log *log) {
    if (log->suppressed)
        fprintf(stderr, "muxd: %" PRIu64 " lines left out here\n", log->suppressed);
    log->suppressed = 0;
}

void log_line(struct log *log, const char *line, uint64_t now_ns) {
    char clean[LINE_BYTES];
    if (!mux_limiter_allow(&log->limiter, now_ns)) {
        log->suppressed++;
        if (log->counters)
            MUX_COUNT(log->counters, log_lines_suppressed, 1);
        return;
    }
    log_finish(log);
    text_clean(mux_span_text(line), false, clean, sizeof clean);
    fprintf(stderr, "muxd: %s\n", clean);
}
