/* What summary.c (what is known) and summary_view.c (what is seen) share. */
#ifndef TOOLS_RESULTS_SUMMARY_INTERNAL_H
#define TOOLS_RESULTS_SUMMARY_INTERNAL_H

#include "mux/list.h"
#include "tools/base/text.h"
#include "tools/results/screen.h"
#include "tools/results/summary.h"
#include "tools/results/texts.h"

/* Tests that run at the same time and are shown by name; more are only counted. */
#define RUNNING_MAX 4096
#define RUNNING_BUCKETS 8192

/* What is kept of a name. */
#define ROUTE_BYTES 64
#define TEST_ID_BYTES 192

/* Workers that are told apart by their route code. */
#define ROUTES_MAX 16384

/*
 * Tests and workers are told apart by 64 bits of a keyed hash: with 32 one of a hundred runs with
 * thousands of tests would take two for one.
 */
struct running {
    uint64_t hash;
    struct mux_list by_age; /* the oldest first */
    struct running *next;   /* in its bucket, or the next free one */
    uint64_t started_ns;
    size_t route_len, test_id_len;
    uint8_t route[ROUTE_BYTES];
    uint8_t test_id[TEST_ID_BYTES];
};

/* Slots that wait at a prompt; more are not shown. */
#define WAITING_MAX 64
#define PROMPT_BYTES 64

struct waiting {
    uint64_t hash; /* of its route; 0: free */
    uint64_t since_ns;
    char route[TEXT_GROWTH * ROUTE_BYTES], prompt[PROMPT_BYTES], test[TEST_ID_BYTES];
};

/* A slot, its prompt and test, the control socket. */
#define WAITING_LINE_BYTES 1024

struct summary {
    /* summary.c */
    uint64_t hash_key;
    struct running running[RUNNING_MAX];
    struct running *buckets[RUNNING_BUCKETS];
    struct running *free_running;
    struct mux_list by_age;
    unsigned running_count;
    uint64_t untracked; /* began while the table was full */
    struct texts texts;
    uint64_t routes[ROUTES_MAX]; /* hashes; 0: free */
    unsigned route_count;
    unsigned workers;
    unsigned workers_seen; /* in all, when workers_told */
    bool workers_told;
    struct waiting waiting[WAITING_MAX];
    const char *control; /* NULL: none is known */
    uint64_t by_status[MUX_STATUS_XFAIL + 1];
    uint64_t packets, damages;

    /* summary_view.c */
    struct screen screen;
    uint64_t begun_ns, rated_ns;
    uint64_t rated_packets, rated_tests;
    uint64_t packets_per_second, tests_per_second;
};

/* Tests that have ended; those of them that failed; those that have begun and not ended. */
uint64_t summary_ended(const struct summary *summary);
uint64_t summary_failed(const struct summary *summary);
uint64_t summary_running(const struct summary *summary);

/* summary_prompts.c */
/* Of a packet without a test id: it may say that a slot waits, or waits no more. */
void summary_prompts_packet(struct summary *summary, const struct mux_packet *packet,
                            uint64_t now_ns);
/* A link is gone, and all slots behind it. */
void summary_prompts_left(struct summary *summary, const char *segment);
/* "3/0 waits at (Pdb) in pkg.test_x for 12 s: mux attach unix:/run/muxd 3/0" */
void summary_waiting_text(const struct summary *summary, const struct waiting *waiting,
                          uint64_t now_ns, char *out, size_t out_bytes);

void summary_view_open(struct summary *summary, uint64_t now_ns);
/* As summary_finish(). */
bool summary_view_close(struct summary *summary, uint64_t now_ns);

#endif
