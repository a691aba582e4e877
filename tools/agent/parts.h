/*
 * Jobs that are too long for one packet come in parts, in order, each a packet with the job's name
 * as its test id. Here they are put together. Pure: no I/O, no clock. Bounded, whatever comes.
 */
#ifndef TOOLS_AGENT_PARTS_H
#define TOOLS_AGENT_PARTS_H

#include "mux/packet/packet.h"
#include "tools/agent/job.h"

/* Jobs of which parts are missing, at a time. */
#define PARTS_JOBS_MAX 16

/* Of all of these. */
#define PARTS_MOST_BYTES (4 * JOB_MOST_BYTES)

/* A job whose next part does not come within this time is given up. */
#define PARTS_WAIT_NS UINT64_C(60000000000)

struct parts_job {
    char name[ANSWER_NAME_BYTES]; /* "": this entry is free */
    uint8_t *bytes;
    size_t len, capacity;
    bool is_refused; /* what comes of it is dropped, up to its last part */
    uint64_t until_ns;
};

struct parts {
    struct parts_job jobs[PARTS_JOBS_MAX];
    size_t bytes;   /* of all of them */
    uint8_t *whole; /* lent to the user until the next call */
};

enum parts_outcome {
    PARTS_MORE,    /* nothing to do: more is to come, or it was refused before */
    PARTS_WHOLE,   /* a job is whole */
    PARTS_REFUSED, /* it will not be */
};

struct parts_result {
    enum parts_outcome outcome;
    char name[ANSWER_NAME_BYTES]; /* of the packet; "": it has none */
    struct mux_span text;         /* WHOLE: valid until the next call, or the packet's */
    char why[READ_WHY_BYTES];     /* REFUSED: a sentence */
};

/*
 * Where a packet with a job's name belongs: so much of the same came before; 0 without the tag.
 * False: the tag is no number.
 */
bool parts_at(const struct mux_packet *packet, uint64_t *at);

/* A packet with the file "muxd.job". */
void parts_take(struct parts *parts, const struct mux_packet *packet, uint64_t now_ns,
                struct parts_result *result);

/* True: a job was given up, and *result says so. To be called until it returns false. */
bool parts_give_up(struct parts *parts, uint64_t now_ns, struct parts_result *result);

/* When that is to be called at the latest; UINT64_MAX: never. */
uint64_t parts_deadline_ns(const struct parts *parts);

void parts_free(struct parts *parts);

#endif
