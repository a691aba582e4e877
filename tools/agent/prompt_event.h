/* That a slot waits at a prompt, as a packet: file "muxd.prompt", JSON (muxd-protocol(7)). */
#ifndef TOOLS_AGENT_PROMPT_EVENT_H
#define TOOLS_AGENT_PROMPT_EVENT_H

#include "tools/agent/mask.h"
#include "tools/agent/prompt.h"

#define PROMPT_EVENT_TEST_BYTES 1024

/* Every byte may be escaped. */
#define PROMPT_EVENT_BYTES (6 * (PROMPT_LINE_BYTES + PROMPT_EVENT_TEST_BYTES) + 256)

struct prompt_event {
    char content[PROMPT_EVENT_BYTES];
};

/* The packet refers to the event. `test`: that is in progress, or none. */
void prompt_event_make(struct prompt_event *event, const struct prompt *prompt, bool is_over,
                       struct mux_span test, const struct mask *mask, struct mux_packet *packet);

#endif
