/*
 * What who runs a run says of it in its stream (docs/protocol.md, "A run"), so that it goes where
 * the stream goes: marks, packets of file "muxd.run" with the run's id as a tag. The first one
 * begins the stream and says what is run; the last one says how it went.
 */
#ifndef TOOLS_STORE_MARKS_H
#define TOOLS_STORE_MARKS_H

#include "mux/packet/packet.h"
#include "tools/store/store.h"

/* In front of the UUID, in the tag. */
#define STORE_MARK_TAG "run-"

/* Of a source, with NUL: what is longer is cut. */
#define STORE_MARK_SOURCE_BYTES 1024

/* What the longest mark takes. */
#define STORE_MARK_BYTES 8192

struct store_mark {
    char uuid[STORE_UUID_BYTES];
    char source[STORE_MARK_SOURCE_BYTES]; /* ""; it does not say what is run */
    int64_t at_us;              /* since 1970: when it began or ended; 0: it does not say */
    enum store_verdict verdict; /* STORE_VERDICT_UNSAID: the run goes on */
    int exit_status;            /* of who ran it; STORE_NO_EXIT: it does not say */
};

/* For people: what was run. Cut between characters where it is too long. */
void store_mark_set_source(struct store_mark *mark, const char *source);

/* The packet. Returns its length. */
size_t store_mark_encode(const struct store_mark *mark, uint8_t out[STORE_MARK_BYTES]);

/* False: it is no mark. */
bool store_mark_read(const struct mux_packet *packet, struct store_mark *mark);

/*
 * A result that is a test's second, third... in its run, because it failed before: it has a tag
 * "try-2". Without it several results of a test are as many runs of it, and each counts.
 */
#define STORE_TRY_TAG "try-"

/* Of a packet's tags, with one more. */
#define STORE_TRY_TAGS_BYTES 4096

/* Adds the tag; `tags` has them then. Where they have no room the packet stays as it is. */
void store_mark_set_try(struct mux_packet *packet, unsigned try_number,
                        uint8_t tags[STORE_TRY_TAGS_BYTES]);

bool store_mark_is_try(const struct mux_packet *packet);

/* The run's id among the packet's tags: any packet may have it. */
bool store_mark_uuid(const struct mux_packet *packet, char uuid[STORE_UUID_BYTES]);

#endif
