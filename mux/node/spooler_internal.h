/* What spooler.c and spooler_read.c share. Not for others. */
#ifndef MUX_SPOOLER_INTERNAL_H
#define MUX_SPOOLER_INTERNAL_H

#include "mux/node/spooler.h"

static inline bool mux_spool_is_of(const struct mux_spool_file *file,
                                   const uint8_t id[MUX_STREAM_ID_BYTES]) {
    return !file->goes && memcmp(file->head.stream, id, MUX_STREAM_ID_BYTES) == 0;
}

/* spooler.c */
__attribute__((format(printf, 2, 3))) void mux_spooler_say(struct mux_spooler *spooler,
                                                           const char *format, ...);
/* The operation is this one, on this file. */
void mux_spooler_start(struct mux_spooler *spooler, enum mux_spool_work work, size_t file);
/* The file ends there. */
void mux_spooler_shorten(struct mux_spooler *spooler, struct mux_spool_file *file,
                         uint64_t len_bytes);

/* spooler_read.c */
/* A tap wants to read, and can. */
bool mux_spooler_choose_read(struct mux_spooler *spooler);
void mux_spooler_done_read(struct mux_spooler *spooler, size_t bytes, const char *why);

#endif
