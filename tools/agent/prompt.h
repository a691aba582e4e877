/*
 * Prompts: text that ends like one, without a newline, and then silence. A person is waited for.
 */
#ifndef TOOLS_AGENT_PROMPT_H
#define TOOLS_AGENT_PROMPT_H

#include "mux/packet/packet.h"

#include <regex.h>

/* pdb, gdb, ipdb, lldb, and python itself. */
#define PROMPT_USUAL "(\\((Pdb|gdb|lldb)\\)|ipdb>|>>>) "

/* After this silence a prompt is one: less than a person wonders, more than a program thinks. */
#define PROMPT_SILENCE_NS UINT64_C(500000000)

/* Of the last line, its end. */
#define PROMPT_LINE_BYTES 256

enum prompt_state {
    PROMPT_NONE,
    PROMPT_COMES, /* it waits for room on the way up */
    PROMPT_WAITS, /* it was told */
    PROMPT_GOES,  /* it is over, which waits for room */
};

/* How prompts end. Compiled when one may stand there first: most commands never show any. */
struct prompt_pattern {
    const char *text; /* the caller keeps it */
    bool is_compiled;
    regex_t compiled;
};

struct prompt {
    struct prompt_pattern *pattern; /* NULL: prompts are not looked for */
    enum prompt_state state;
    bool is_fresh;          /* text came since this was last cleared */
    bool goes_on;           /* a sign of life came, likewise */
    struct mux_span stream; /* the name of the file that the line is of */
    size_t line_len;
    uint8_t line[PROMPT_LINE_BYTES]; /* the last line so far */
    uint64_t since_ns; /* the prompt stands there since then, by the clock of the wall */
    size_t shown_len;
    char shown[PROMPT_LINE_BYTES]; /* what of the line is the prompt */
};

/* A pattern of a user's, compiled now. False: it is none, see `why`. */
bool prompt_pattern_compile(struct prompt_pattern *pattern, char *why, size_t why_bytes);

void prompt_pattern_free(struct prompt_pattern *pattern);

/* Text came, of this file: a static string. */
void prompt_text(struct prompt *prompt, struct mux_span text, struct mux_span stream);

/* What stood there is no prompt any more, if it was one. */
void prompt_goes_on(struct prompt *prompt);

/* Does the last line end like a prompt? Then it is `shown`, without what colours it. */
bool prompt_look(struct prompt *prompt);

#endif
