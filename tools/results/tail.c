#include "tools/results/tail.h"

#include "mux/packet/framer.h"
#include "mux/packet/resync.h"
#include "tools/base/output.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/*
 * Half a packet, and in front of it a whole one with the end of one before: where packets begin is
 * known by the whole one. With room to spare for what was damaged.
 */
#define TAIL_LOOK_BYTES ((size_t)4 * MUX_PACKET_MAX_BYTES)
static_assert(TAIL_LOOK_BYTES > (size_t)3 * MUX_PACKET_MAX_BYTES, "as the comment says");

/* Another writer who is at work has written more after so long. */
#define PAUSE_NS 50000000
#define LOOKS_MAX 10

/* Who holds the lock looks at 16 MiB, waits for a pause and writes 4 MiB at most. */
#define LOCK_TRIES_MAX 40

#define ZEROS_BYTES 65536

/* What half a header becomes at least: a packet without fields, whose CRC is wrong. */
#define SHORT_PACKET_BYTES 16

/* What a look found. */
struct half {
    size_t have_bytes;  /* 0: all is whole */
    size_t whole_bytes; /* that it claims to have; 0: its header is not whole either */
    uint8_t head[MUX_HEADER_MAX_BYTES]; /* its first bytes */
    bool packets;                       /* whole ones were seen */
};

/* Where the next write goes; -1: errno. */
static off_t write_position(int fd, const struct stat *status) {
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 ? -1 : flags & O_APPEND ? status->st_size : lseek(fd, 0, SEEK_CUR);
}

/* The same file, to be read. */
static int open_to_read(int fd) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

static bool read_at(int fd, uint8_t *bytes, size_t len, off_t at) {
    while (len > 0) {
        ssize_t got = pread(fd, bytes, len, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            errno = EIO; /* it became shorter meanwhile */
        if (got <= 0)
            return false;
        bytes += got;
        at += got;
        len -= (size_t)got;
    }
    return true;
}

static void take_frames(struct mux_framer *framer, struct half *half) {
    struct mux_frame frame;
    do {
        mux_framer_next(framer, &frame);
        half->packets |= frame.kind == MUX_FRAME_PACKET;
        if (frame.kind == MUX_FRAME_STORE)
            mux_framer_move(framer, framer->store);
    } while (frame.kind != MUX_FRAME_NONE);
}

/* As a reader does; what then still waits, and is no chatter, is half a packet. */
static void read_as_reader(struct mux_span bytes, struct mux_room store, struct half *half) {
    struct mux_framer framer;
    mux_framer_init(&framer, store);
    mux_framer_feed(&framer, bytes);
    take_frames(&framer, half);
    mux_framer_flush(&framer);
    take_frames(&framer, half);
    size_t stored = mux_framer_stored(&framer);
    const uint8_t *head = bytes.data + bytes.len - stored;
    if (stored == 0 || *head != MUX_SIGNATURE)
        return;
    half->have_bytes = stored;
    half->whole_bytes = framer.candidate;
    memcpy(half->head, head, stored < sizeof half->head ? stored : sizeof half->head);
}

/* Of a file that is longer than what is looked at, packets are followed from where they begin. */
static size_t first_packet(struct mux_span bytes, bool from_start) {
    return from_start ? 0 : mux_resync_find(bytes);
}

static bool look(int fd, off_t end, size_t len, struct half *half) {
    uint8_t *memory = malloc(len + MUX_STORE_MAX_BYTES);
    *half = (struct half){0};
    if (!memory)
        return false;
    bool fine = read_at(fd, memory, len, end - (off_t)len);
    if (fine) {
        size_t start = first_packet(mux_span(memory, len), end == (off_t)len);
        read_as_reader(mux_span(memory + start, len - start),
                       (struct mux_room){memory + len, MUX_STORE_MAX_BYTES}, half);
    }
    int error = errno;
    free(memory);
    errno = error;
    return fine;
}

/*
 * Looks until two looks in a row find the same end: a packet that somebody else is writing is half
 * for a moment, too. Returns that end; -1: errno.
 */
static off_t look_until_still(int fd, int reading, struct tail *tail, struct half *half) {
    const struct timespec pause = {0, PAUSE_NS};
    struct stat status;
    off_t before = -1;
    for (unsigned looks = 0; looks < LOOKS_MAX; looks++) {
        off_t end = fstat(fd, &status) < 0 ? -1 : write_position(fd, &status);
        if (end < 0 || end == before)
            return end;
        tail->looked_bytes = (uint64_t)end < TAIL_LOOK_BYTES ? (uint64_t)end : TAIL_LOOK_BYTES;
        if (!look(reading, end, tail->looked_bytes, half))
            return -1;
        if (half->have_bytes == 0)
            return end;
        before = end;
        nanosleep(&pause, NULL);
    }
    tail->state = TAIL_BUSY;
    return before;
}

/* The bytes that complete a header of which only the beginning is there: of a short packet. */
static size_t complete_header(const struct half *half, uint8_t *out, uint64_t *whole_bytes) {
    uint8_t header[MUX_HEADER_MAX_BYTES] = {MUX_SIGNATURE, MUX_FLAG_VERSION_2 >> 8};
    memcpy(header, half->head, half->have_bytes);
    unsigned number_at = 3, width = (header[number_at] >> 6) + 1u;
    uint64_t length = header[number_at] & 0x3F;
    for (unsigned i = 1; i < width; i++)
        length = length << 8 | header[number_at + i];
    if (length < SHORT_PACKET_BYTES) {
        header[number_at + width - 1] |= SHORT_PACKET_BYTES;
        length |= SHORT_PACKET_BYTES;
    }
    size_t missing = number_at + width - half->have_bytes;
    memcpy(out, header + half->have_bytes, missing);
    *whole_bytes = length;
    return missing;
}

static bool write_zeros(int fd, uint64_t len) {
    static const uint8_t zeros[ZEROS_BYTES];
    for (; len > ZEROS_BYTES; len -= ZEROS_BYTES)
        if (!output_write(fd, zeros, ZEROS_BYTES))
            return false;
    return output_write(fd, zeros, len);
}

static bool end_half(int fd, const struct half *half, struct tail *tail) {
    uint8_t missing[MUX_HEADER_MAX_BYTES];
    uint64_t whole_bytes = half->whole_bytes, have_bytes = half->have_bytes;
    tail->half_bytes = have_bytes;
    if (whole_bytes == 0) {
        size_t len = complete_header(half, missing, &whole_bytes);
        if (!output_write(fd, missing, len))
            return false;
        have_bytes += len;
    }
    tail->zero_bytes = whole_bytes - have_bytes;
    return write_zeros(fd, tail->zero_bytes);
}

/*
 * Of several that start at the same time and append to the same file one ends it, the others wait.
 * Where there are no such locks it goes without.
 */
static void lock(int reading) {
    const struct timespec pause = {0, PAUSE_NS};
    for (unsigned tries = 0; tries < LOCK_TRIES_MAX; tries++) {
        if (flock(reading, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
            return;
        nanosleep(&pause, NULL);
    }
}

static enum tail_state mend(int fd, int reading, struct tail *tail) {
    struct half half;
    lock(reading); /* until it is closed */
    if (look_until_still(fd, reading, tail, &half) < 0)
        return TAIL_UNKNOWN;
    if (tail->state == TAIL_BUSY)
        return TAIL_BUSY;
    if (half.have_bytes)
        return end_half(fd, &half, tail) ? TAIL_ENDED : TAIL_FAILED;
    return half.packets || tail->looked_bytes == 0 ? TAIL_FINE : TAIL_FOREIGN;
}

void tail_mend(int fd, struct tail *tail) {
    struct stat status;
    *tail = (struct tail){.state = TAIL_FINE};
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || write_position(fd, &status) == 0)
        return;
    int reading = open_to_read(fd);
    tail->state = reading < 0 ? TAIL_UNKNOWN : mend(fd, reading, tail);
    tail->error = errno;
    if (reading >= 0)
        close(reading);
}

void tail_text(const struct tail *tail, char *out, size_t out_bytes) {
    *out = '\0';
    switch (tail->state) {
    case TAIL_FINE:
        break;
    case TAIL_FOREIGN:
        snprintf(out, out_bytes,
                 "its last %" PRIu64 " bytes hold no packet: appending all the same",
                 tail->looked_bytes);
        break;
    case TAIL_ENDED:
        snprintf(out, out_bytes,
                 "it ended inside a packet, after %" PRIu64
                 " bytes of it: ended as damage, with %" PRIu64 " bytes of zeros",
                 tail->half_bytes, tail->zero_bytes);
        break;
    case TAIL_BUSY:
        snprintf(out, out_bytes,
                 "it ends inside a packet that somebody else is writing: left alone");
        break;
    case TAIL_UNKNOWN:
        snprintf(out, out_bytes,
                 "its end cannot be looked at (%s): if that is half a packet, it takes what is "
                 "appended with it",
                 strerror(tail->error));
        break;
    case TAIL_FAILED:
        snprintf(out, out_bytes, "it ends inside a packet, and that cannot be ended: %s",
                 strerror(tail->error));
        break;
    }
}
