/*
 * What becomes of a job: packets with file "muxd.job" on their way up, whose content is a JSON
 * object (docs/protocol.md). An agent says it, or a node that does not pass the job on. Pure: no
 * I/O.
 */
#ifndef TOOLS_NODE_ANSWER_H
#define TOOLS_NODE_ANSWER_H

#include "mux/packet/packet.h"
#include "tools/base/json.h"
#include "tools/node/read.h"

/* Of a job's name and its run's, with the 0 at the end. */
#define ANSWER_NAME_BYTES 256

/* The longest that is written: two names, a segment, a reason, each byte escaped. */
#define ANSWER_MESSAGE_BYTES (JSON_GROWTH * (3 * ANSWER_NAME_BYTES + READ_WHY_BYTES) + 512)

struct answer_message {
    char content[ANSWER_MESSAGE_BYTES];
};

struct answer_names {
    char run[ANSWER_NAME_BYTES], job[ANSWER_NAME_BYTES];
};

enum answer_state {
    ANSWER_BEGUN,
    ANSWER_ENDED,
    ANSWER_REFUSED,  /* it was not begun, and will not be here */
    ANSWER_REPEATED, /* the agent has or had it already: nothing was done */
};

struct answer {
    enum answer_state state;
    const char *run, *name;
    const char *slot; /* its segment; NULL: none */
    int status;       /* ENDED: the exit status of mux exec; -1: `signal` ended that */
    int signal;
    const char *why; /* a clause for people; NULL: none */
};

/*
 * The names that a refusal of this job gives, cut to their room; "" where the job has none. A job
 * in parts has its own name beside, as the test id. False: it is not its last part, and only that
 * one is answered.
 */
bool answer_names_of(const struct mux_packet *job, struct answer_names *names);

/* The refusal of a job with these names, by whom takes none: `why` is a clause. */
void answer_put_refusal(struct answer_message *message, const struct answer_names *names,
                        const char *why, struct mux_packet *packet);

/* Of one that ended: "ended with exit status 3", "was ended by signal 9 (SIGKILL)". */
#define ANSWER_FATE_BYTES 64
void answer_fate(const struct answer *answer, char fate[ANSWER_FATE_BYTES]);

/* The packet refers to the message; its route is the slot. */
void answer_put(struct answer_message *message, const struct answer *answer,
                struct mux_packet *packet);

/*
 * Strings lie in *tree, which the caller frees in both cases. False, and a sentence in `why`
 * (READ_WHY_BYTES).
 */
bool answer_parse(struct mux_span text, struct answer *answer, json_t **tree, char *why);

#endif
