/*
 * How python-subunit's reader (ByteStreamToStreamResult of subunit.v2, versions 1.4.0 to 1.4.6)
 * divides a stream into packets and chatter. libmux's framer divides some streams differently:
 * python checks neither a packet's version nor whether its fields fit its length, it waits for a
 * packet as long as the length says, and a few packets end it with an exception.
 */
#ifndef TOOLS_RESULTS_PYTHON_READER_H
#define TOOLS_RESULTS_PYTHON_READER_H

#include "mux/packet/packet.h"

struct python_reader {
    /*
     * Chatter is read byte by byte, as from a BytesIO object or from a pipe that is drained. Python
     * then looks at the last byte of each piece again and takes it for a signature if it has that
     * value, in the middle of a text, too. Of a file, pieces are long.
     */
    bool single_bytes;
    size_t at;          /* the first byte that is not used up; in a packet: its signature */
    bool in_packet;     /* more bytes are needed, missing_bytes of them */
    bool in_character;  /* the last byte of the chatter leaves a character unfinished */
    bool dead;          /* the packet at `at` ended the reader with an exception */
    size_t piece_bytes; /* of the piece of chatter that is being read */
    size_t missing_bytes;
    uint8_t character[4]; /* what the decoder of the chatter keeps */
    size_t character_bytes;
};

/* Reads on. `stream`: all of it from its beginning, more each time. */
void python_read(struct python_reader *reader, struct mux_span stream);

/* Is it behind a signature, and has not seen all of the header? */
bool python_in_header(const struct python_reader *reader, struct mux_span stream);

/*
 * It sees a packet that begins when this many bytes have come that are ASCII; then it may need
 * more. 0: it sees one now.
 */
size_t python_missing(const struct python_reader *reader);

#endif
