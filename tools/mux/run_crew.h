/*
 * What mux run works with on this machine: a folder with the sockets, a node whose sink is the run,
 * and a mux agent below it. The run itself knows nothing of it: agents elsewhere would come by the
 * same socket.
 *
 * One thread. Starting blocks; nothing else does.
 */
#ifndef TOOLS_MUX_RUN_CREW_H
#define TOOLS_MUX_RUN_CREW_H

#include "tools/base/folder.h"
#include "tools/node/control.h"
#include "tools/node/orders.h"
#include "tools/node/station.h"

#define CREW_PATH_BYTES (FOLDER_PATH_BYTES + 32)

/* Of what the agent wrote, the last. */
#define CREW_WORDS_BYTES 2048

struct crew_config {
    unsigned slots;
    uint64_t lease_ns; /* how long the agent's jobs outlive us */
    /* See node_config; `user` is the crew's owner's. */
    bool (*sink)(void *user, const char *segment, const struct mux_packet *packet);
    void (*show_link)(void *user, const char *segment, const char *peer, bool came);
    void (*gone)(void *user, const char *segment, struct mux_span route);
    void (*came)(void *user, struct mux_span route);
    /* `words`: the last lines that it wrote. */
    void (*agent_ended)(void *user, const char *why, struct mux_span words);
    void *user;
};

struct crew {
    struct crew_config config;
    struct station station;
    struct folder folder;
    char node_path[CREW_PATH_BYTES], control_path[CREW_PATH_BYTES], screen_path[CREW_PATH_BYTES];
    uint64_t hash_key; /* random and secret */
    struct transport_listener *listener;
    struct orders orders;
    struct control *control;
    struct child agent;
    struct transport_watch *agent_words;
    struct loop_handler agent_says;
    int agent_pipe[2];
    size_t words_len;
    uint8_t words[CREW_WORDS_BYTES];
};

/* Signals can be caught from now on. False after a sentence on stderr. */
bool crew_open(struct crew *crew, const struct crew_config *config, const char *program);

/* The node, its sockets, the agent. False after a sentence on stderr. */
bool crew_start(struct crew *crew);

/* All that came to the sink is kept: agents forget it. */
void crew_keep(struct crew *crew);

/* The agent ends: when its jobs have ended, or `at_once`. */
void crew_dismiss(struct crew *crew, bool at_once);

/* The agent is stopped (SIGSTOP), or goes on. */
void crew_stop(struct crew *crew, bool stops);

/* The agent has ended: what is on the loop beside the node is closed, and the node ends. */
void crew_leave(struct crew *crew);

/* Also when one of the above has failed. */
void crew_close(struct crew *crew);

#endif
