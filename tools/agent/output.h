/*
 * What a slot's command writes, on its way up: an editor of the mux (mux_editor). Secrets are
 * masked, output beyond a limit is left out but for its end, tags and timestamps are added where
 * they are missing. It remembers the last of the text, so that a test which fails with its command
 * has it.
 *
 * Output is the content of files: chatter and stderr, and attachments. What is said of tests always
 * goes up.
 */
#ifndef TOOLS_AGENT_OUTPUT_H
#define TOOLS_AGENT_OUTPUT_H

#include "mux/node/mux.h"
#include "tools/agent/mask.h"
#include "tools/agent/prompt.h"

/* Of the last output that goes with a failure: some screens of text. */
#define OUTPUT_LAST_BYTES 4096

/* Of each file that is cut, its end: 200 lines. */
#define OUTPUT_TAIL_BYTES 16384

/* stdout, stderr, and attachments that come at the same time. */
#define OUTPUT_FILES 6

/* Names by which a file is known; packets with longer ones are masked and cut each for itself. */
#define OUTPUT_NAMES_BYTES 1024

/* All --tag together, as on the wire, with those that a packet has. */
#define OUTPUT_TAGS_BYTES 4096

/* Longer test ids are cut when masks are in use. */
#define OUTPUT_ID_BYTES 4096

struct output_config {
    struct mask mask;
    uint64_t test_bytes; /* most output between two begins of tests; UINT64_MAX: any, as for the
                            next one */
    uint64_t job_bytes;  /* in all */
    uint8_t tags[OUTPUT_TAGS_BYTES];
    size_t tags_len;
    unsigned tag_count;
    bool adds_timestamps;
    struct prompt_pattern *prompt; /* NULL: prompts are not looked for */
};

/* A file whose content comes: what is held of it, and its end if it is being cut. */
struct output_file {
    bool is_used;
    bool is_cut;   /* what comes goes to the tail */
    uint64_t used; /* when, as a count */
    size_t test_id_len, file_name_len, mime_len, route_len;
    bool has_test_id, has_mime, has_route;
    uint8_t names[OUTPUT_NAMES_BYTES]; /* one behind the other */
    uint64_t tail_count;               /* bytes that went into the tail */
    uint8_t tail[OUTPUT_TAIL_BYTES];
    struct mask_stream masked;
};

/* One for a slot. Lies in its owner, zeroed; nothing is allocated. What is not used is untouched.
 */
struct output {
    struct mux_editor editor; /* for mux_config.editor */
    const struct output_config *config;
    struct mux_counters *counters; /* NULL: nothing is counted yet */
    const void *stderr_link;       /* as the editor is told it; NULL: there is none */
    struct prompt prompt;
    uint64_t test_left, job_left;
    uint64_t cut_bytes;  /* left out so far */
    uint64_t last_count; /* bytes of text that came */
    bool shows_tails;    /* before the next text */
    uint64_t uses;
    unsigned files_used;
    uint8_t last[OUTPUT_LAST_BYTES];
    struct output_file files[OUTPUT_FILES];
    /* Of the packet that is being given: its tags and test id. */
    uint8_t tags[OUTPUT_TAGS_BYTES], test_id[OUTPUT_ID_BYTES], file_name[OUTPUT_NAMES_BYTES];
};

/* The configuration outlives it. */
void output_init(struct output *output, const struct output_config *config);

/* False: there is no room for another tag, or it is none: OUTPUT_TAG_EXPECTED. */
#define OUTPUT_TAG_EXPECTED "expected a word in UTF-8; all of them have at most 2 KiB"
bool output_config_tag(struct output_config *config, const char *tag);

/* Masks a packet's names, adds tags and a timestamp; the packet refers to `output` then. */
void output_complete(struct output *output, struct mux_packet *packet);

/*
 * A person looks at what comes: beyond the limit of a test there is room for some screens more, and
 * what was cut shows its end first.
 */
void output_make_room(struct output *output);

/* This much was left out because there is too much. */
void output_count_cut(struct output *output, uint64_t bytes);

/*
 * Any bytes as UTF-8: what is none becomes U+FFFD. `out` has room for OUTPUT_GROWTH times as many.
 * Returns the length.
 */
#define OUTPUT_GROWTH 3
size_t output_readable(struct mux_span text, char *out);

/*
 * The last text as an attachment, file "last output", which refers to `room`. False: there was
 * none.
 */
#define OUTPUT_LAST_ROOM_BYTES (OUTPUT_GROWTH * OUTPUT_LAST_BYTES)
bool output_last(const struct output *output, struct mux_span test_id, struct mux_span route,
                 char room[OUTPUT_LAST_ROOM_BYTES], struct mux_packet *packet);

#endif
