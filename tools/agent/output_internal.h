/* What output.c (packets) and output_file.c (the content of files) share. */
#ifndef TOOLS_AGENT_OUTPUT_INTERNAL_H
#define TOOLS_AGENT_OUTPUT_INTERNAL_H

#include "tools/agent/output.h"

/* Of the files: those of the command itself. */
enum { OUTPUT_STDOUT, OUTPUT_STDERR, OUTPUT_ATTACHMENTS };

/* The line that says what was left out. It is a packet by itself: who is shown the end of a long
   packet must not miss it. */
#define OUTPUT_MARK_BYTES 128

/* What of a file goes up now, in this order. */
struct output_pieces {
    unsigned count;
    struct mux_span piece[5];
    uint8_t front[MASK_HELD_BYTES]; /* what was held */
    uint8_t rest[MASK_HELD_BYTES];  /* what is held no longer at the end */
    char mark[OUTPUT_MARK_BYTES];
    uint8_t tail[OUTPUT_TAIL_BYTES];
};

/* The file that the packet is of. NULL: it is not known, or its names are too long for that. */
struct output_file *output_file_find(struct output *output, const struct mux_packet *packet);

/* Begins one. NULL: its names are too long. *evicted: one that was given up for it, or NULL. */
struct output_file *output_file_take(struct output *output, const struct mux_packet *packet,
                                     struct output_file **evicted);

/* Its packet, without content. */
void output_file_packet(const struct output_file *file, struct mux_packet *packet);

/* Content came, which may be masked where it lies. `is_over`: nothing more comes. */
void output_file_add(struct output *output, struct output_file *file, struct mux_span content,
                     bool is_over, struct output_pieces *pieces);

/* The tail of a file that is cut; from now on content goes up again, if there is room. */
void output_file_show_tail(struct output *output, struct output_file *file,
                           struct output_pieces *pieces);

/* Is it text of the command itself: chatter, or as if it were? */
bool output_is_text(const struct mux_packet *packet);

/* Text came, as it goes up: see output_last(). */
void output_remember(struct output *output, struct mux_span text);

/* As much of it as may still go up. */
uint64_t output_allowed_bytes(const struct output *output);
void output_spend(struct output *output, uint64_t bytes);

#endif
