/* How a command ended, as a packet: file "muxd.exit", a JSON object (muxd-protocol(7)). */
#ifndef TOOLS_AGENT_EXIT_EVENT_H
#define TOOLS_AGENT_EXIT_EVENT_H

#include "tools/agent/slot.h"

/* Arguments beyond it are left out; "truncated" says so. */
#define EXIT_EVENT_COMMAND_BYTES 1024

/* Reason, command with every byte escaped, and the numbers. */
#define EXIT_EVENT_BYTES (6 * EXIT_EVENT_COMMAND_BYTES + 6 * 256 + 1024)

struct exit_event {
    char content[EXIT_EVENT_BYTES];
};

/* The packet refers to the event. */
void exit_event_make(struct exit_event *event, const struct slot *slot, struct mux_packet *packet);

#endif
