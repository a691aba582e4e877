/*
 * A keeper: the mux exec that runs one job, beside the agent, on a socket pair. It is a worker of
 * the agent's node, under its slot's segment. What it leaves behind when it is killed comes to the
 * agent: strays.
 *
 * One thread. Starting blocks until exec(), see children.h; nothing else blocks.
 */
#ifndef TOOLS_AGENT_KEEPER_H
#define TOOLS_AGENT_KEEPER_H

#include "tools/base/children.h"
#include "tools/node/node.h"

struct keeper_config {
    struct node *node;
    struct loop *loop;
    struct children *children;
    const char *segment; /* the slot's; copied */
    const char *const *arguments;
    const char *const *environment;
};

enum keeper_state {
    KEEPER_NONE,
    KEEPER_RUNNING,
    KEEPER_SILENT, /* nothing more comes of it; it has not ended */
    KEEPER_DEAD,   /* it has ended; perhaps more comes */
    KEEPER_ENDING, /* both: what has come is going up */
    KEEPER_DONE,   /* all of it has. To be looked at by the owner, outside of the node's calls */
};

struct keeper {
    struct loop *loop;
    enum keeper_state state;
    struct child child;
    struct child_end end; /* from DEAD on */
    struct node_link *link;
    struct timer linger;
    unsigned stops; /* signals that have stopped it: SIGSTOP of its own command */
};

/* False with *failure: nothing runs. */
bool keeper_start(struct keeper *keeper, const struct keeper_config *config,
                  struct transport_failure *failure);

/* It was killed, since something has stopped it again and again. */
bool keeper_was_held_up(const struct keeper *keeper);
#define KEEPER_HELD_UP "it was stopped (SIGSTOP) again and again"

/* Why a job is stopped. Its mux exec is told by the value of a TERM, for the failures of its tests.
 */
enum keeper_why {
    KEEPER_NOT_SAID,
    KEEPER_ORDERED,
    KEEPER_LEASE_OVER,
    KEEPER_AGENT_ENDS,
    KEEPER_WHYS,
};

/* A clause for people; NULL: this value is none, or NOT_SAID. */
const char *keeper_why_text(int value);

/* Ends its job as the option --timeout would; a second one kills it at once. */
void keeper_stop(struct keeper *keeper, enum keeper_why why);

/* Ends the keeper itself, whose command becomes a stray. */
void keeper_kill(struct keeper *keeper);

/*
 * Kills the children of this process that it did not start itself: what dead keepers have left, and
 * what comes to it by that. True: there are some that have not ended yet. Does not wait for them.
 */
bool keeper_kill_strays(const struct children *children);

#endif
