#include "tools/results/tail.h"

#include "mux/packet/framer.h"
#include "mux/packet/resync.h"
#include "tools/base/output.h"
#include "tools/results/python_reader.h"

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

/* A writer that is at work has written more after this pause. */
#define PAUSE_NS 50000000
#define LOOKS_MAX 10

/* The holder of the lock looks at 16 MiB, waits for a pause and writes 4 MiB at most. */
#define LOCK_TRIES_MAX 40

/*
 * Padding is zeros, but where a header is open it begins with these bytes. As a length each is
 * large enough for every reader: a length of zero ends python's. None is a signature, and none is
 * part of a character.
 */
static const uint8_t header_padding[] = {0x10, 0x10, 0x10, 0x10, 0x10};
static_assert(sizeof header_padding == MUX_HEADER_MAX_BYTES - 1, "behind a lone signature");

/*
 * No packet that begins in front of the padding is longer, so this much ends any. What ends first
 * is chatter then.
 */
#define PADDING_MOST_BYTES MUX_PACKET_MAX_BYTES

#define ZEROS_BYTES 65536

/* What a look found. */
struct ending {
    bool is_unclear;      /* nothing else is known */
    bool packets;         /* whole ones were seen */
    bool is_deadly;       /* to a reader: */
    size_t deadly_at;     /* this is the offset in what was looked at */
    size_t half_bytes;    /* of a packet that is not whole */
    bool in_header;       /* the padding begins with header_padding */
    size_t padding_bytes; /* 0: a packet that is appended is seen */
};

/* The two ways in which python reads, and libmux. */
enum { PYTHON_FILE, PYTHON_SINGLE_BYTES, PYTHONS };

struct readers {
    const uint8_t *bytes;
    size_t len; /* has been read */
    struct mux_framer framer;
    struct python_reader python[PYTHONS];
    size_t packets_end; /* behind the last whole packet; 0: there was none */
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

static void take_frames(struct readers *readers) {
    struct mux_framer *framer = &readers->framer;
    struct mux_frame frame;
    do {
        mux_framer_next(framer, &frame);
        size_t used = (size_t)(framer->fed.data - readers->bytes) - mux_framer_stored(framer);
        if (frame.kind == MUX_FRAME_PACKET)
            readers->packets_end = used;
        if (frame.kind == MUX_FRAME_STORE)
            mux_framer_move(framer, framer->store);
    } while (frame.kind != MUX_FRAME_NONE);
}

static void read_on(struct readers *readers, size_t len) {
    mux_framer_feed(&readers->framer, mux_span(readers->bytes + readers->len, len - readers->len));
    readers->len = len;
    take_frames(readers);
    mux_framer_flush(&readers->framer);
    take_frames(readers);
    for (unsigned i = 0; i < PYTHONS; i++)
        python_read(&readers->python[i], mux_span(readers->bytes, len));
}

static bool framer_in_packet(const struct readers *readers) {
    size_t stored = mux_framer_stored(&readers->framer);
    return stored > 0 && readers->bytes[readers->len - stored] == MUX_SIGNATURE;
}

/* What waits is a packet, a header or half a character. */
static size_t framer_missing(const struct readers *readers) {
    size_t stored = mux_framer_stored(&readers->framer);
    if (framer_in_packet(readers) && readers->framer.candidate)
        return readers->framer.candidate - stored;
    return stored > 0;
}

static size_t most_missing(const struct readers *readers) {
    size_t most = framer_missing(readers);
    for (unsigned i = 0; i < PYTHONS; i++) {
        size_t missing = python_missing(&readers->python[i]);
        most = missing > most ? missing : most;
    }
    return most;
}

static size_t most_half_bytes(const struct readers *readers) {
    if (framer_in_packet(readers))
        return mux_framer_stored(&readers->framer);
    size_t most = 0;
    for (unsigned i = 0; i < PYTHONS; i++) {
        const struct python_reader *python = &readers->python[i];
        size_t half = python->in_packet ? readers->len - python->at : 0;
        most = half > most ? half : most;
    }
    return most;
}

static bool in_header(const struct readers *readers) {
    const struct mux_span bytes = mux_span(readers->bytes, readers->len);
    return python_in_header(&readers->python[PYTHON_FILE], bytes) ||
           python_in_header(&readers->python[PYTHON_SINGLE_BYTES], bytes);
}

/*
 * The reader that is the first to end. One that reads single bytes may have been misled by a text
 * between packets: python reads that as a file.
 */
static const struct python_reader *find_dead(const struct readers *readers) {
    const struct python_reader *file = &readers->python[PYTHON_FILE];
    const struct python_reader *single = &readers->python[PYTHON_SINGLE_BYTES];
    if (file->dead)
        return file;
    return single->dead && single->at >= readers->packets_end ? single : NULL;
}

/* Lets all readers read `len` bytes, behind which there is room for padding, all zeros. */
static void read_as_readers(uint8_t *bytes, size_t len, struct mux_room store,
                            struct ending *ending) {
    struct readers readers = {.bytes = bytes, .python[PYTHON_SINGLE_BYTES].single_bytes = true};
    const struct python_reader *dead;
    size_t missing;
    mux_framer_init(&readers.framer, store);
    read_on(&readers, len);
    ending->half_bytes = most_half_bytes(&readers);
    ending->in_header = in_header(&readers);
    if (ending->in_header)
        memcpy(bytes + len, header_padding, sizeof header_padding);
    while (dead = find_dead(&readers), !dead && (missing = most_missing(&readers)) > 0) {
        ending->padding_bytes += missing;
        assert(ending->padding_bytes <= PADDING_MOST_BYTES);
        read_on(&readers, len + ending->padding_bytes);
    }
    ending->packets = readers.packets_end > 0;
    ending->is_deadly = dead != NULL;
    ending->deadly_at = dead ? dead->at : 0;
}

/*
 * Of a file that is longer than what is looked at: where a reader is inside no packet. SIZE_MAX:
 * there is no such place.
 */
static size_t find_start(struct mux_span bytes) {
    const uint8_t *last = memrchr(bytes.data, MUX_SIGNATURE, bytes.len);
    size_t ends_at = (last ? (size_t)(last - bytes.data) : 0) + MUX_PACKET_MAX_BYTES;
    if (ends_at < bytes.len)
        return ends_at;
    size_t found = mux_resync_find(bytes);
    return found > 0 ? found : SIZE_MAX;
}

/* Reads the last `len` bytes in front of `end`. False: errno. */
static bool look(int fd, off_t end, size_t len, struct ending *ending) {
    uint8_t *memory = calloc(1, len + PADDING_MOST_BYTES + MUX_STORE_MAX_BYTES);
    *ending = (struct ending){0};
    if (!memory)
        return false;
    bool fine = read_at(fd, memory, len, end - (off_t)len);
    size_t start = end == (off_t)len ? 0 : find_start(mux_span(memory, len));
    ending->is_unclear = start == SIZE_MAX;
    if (fine && !ending->is_unclear) {
        uint8_t *store = memory + len + PADDING_MOST_BYTES;
        read_as_readers(memory + start, len - start, (struct mux_room){store, MUX_STORE_MAX_BYTES},
                        ending);
        ending->deadly_at += start;
    }
    int error = errno;
    free(memory);
    errno = error;
    return fine;
}

static bool is_fine(const struct ending *ending) {
    return !ending->is_unclear && !ending->is_deadly && ending->padding_bytes == 0;
}

/*
 * Looks until two looks in a row find the same end: a packet that somebody else is writing is half
 * for a moment, too. Returns that end; -1: errno.
 */
static off_t look_until_still(int fd, int reading, struct tail *tail, struct ending *ending) {
    const struct timespec pause = {0, PAUSE_NS};
    struct stat status;
    off_t before = -1;
    for (unsigned looks = 0; looks < LOOKS_MAX; looks++) {
        off_t end = fstat(fd, &status) < 0 ? -1 : write_position(fd, &status);
        if (end < 0 || end == before)
            return end;
        tail->looked_bytes = (uint64_t)end < TAIL_LOOK_BYTES ? (uint64_t)end : TAIL_LOOK_BYTES;
        if (!look(reading, end, tail->looked_bytes, ending))
            return -1;
        if (is_fine(ending))
            return end;
        before = end;
        nanosleep(&pause, NULL);
    }
    tail->state = TAIL_BUSY;
    return before;
}

static bool write_zeros(int fd, uint64_t len) {
    static const uint8_t zeros[ZEROS_BYTES];
    for (; len > ZEROS_BYTES; len -= ZEROS_BYTES)
        if (!output_write(fd, zeros, ZEROS_BYTES))
            return false;
    return output_write(fd, zeros, len);
}

static void write_padding(int fd, struct tail *tail) {
    size_t len = tail->padding_bytes, head = tail->in_header ? sizeof header_padding : 0;
    head = head < len ? head : len;
    if (output_write(fd, header_padding, head) && write_zeros(fd, len - head))
        return;
    tail->state = TAIL_FAILED;
    tail->error = errno;
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

/* Where nothing is known, what ends anything is due. */
static void end_anything(struct tail *tail, enum tail_state state) {
    tail->state = state;
    tail->error = errno;
    tail->padding_bytes = PADDING_MOST_BYTES;
    tail->in_header = true;
}

static enum tail_state judge(const struct ending *ending, const struct tail *tail) {
    if (ending->is_deadly)
        return TAIL_DEADLY;
    if (ending->padding_bytes)
        return TAIL_ENDED;
    return ending->packets || tail->looked_bytes == 0 ? TAIL_FINE : TAIL_FOREIGN;
}

static void examine(int fd, int reading, struct tail *tail) {
    struct ending ending = {0};
    off_t end = look_until_still(fd, reading, tail, &ending);
    if (end < 0) {
        end_anything(tail, TAIL_UNKNOWN);
        return;
    }
    if (tail->state == TAIL_BUSY)
        return;
    if (ending.is_unclear) {
        end_anything(tail, TAIL_UNCLEAR);
        return;
    }
    tail->state = judge(&ending, tail);
    tail->half_bytes = ending.half_bytes;
    tail->padding_bytes = ending.padding_bytes;
    tail->in_header = ending.in_header;
    tail->deadly_at = (uint64_t)end - tail->looked_bytes + ending.deadly_at;
}

static bool handle(int fd, bool mends, struct tail *tail) {
    struct stat status;
    *tail = (struct tail){.state = TAIL_FINE};
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || write_position(fd, &status) == 0)
        return true;
    int reading = open_to_read(fd);
    if (reading < 0) {
        end_anything(tail, TAIL_UNKNOWN);
    } else {
        lock(reading); /* until it is closed */
        examine(fd, reading, tail);
    }
    if (mends && tail_may_append(tail))
        write_padding(fd, tail);
    if (reading >= 0)
        close(reading);
    return tail_may_append(tail);
}

bool tail_look(int fd, struct tail *tail) {
    return handle(fd, false, tail);
}

bool tail_mend(int fd, struct tail *tail) {
    return handle(fd, true, tail);
}

static void text_of_padding(const struct tail *tail, char *out, size_t out_bytes) {
    if (tail->half_bytes)
        snprintf(out, out_bytes,
                 "it ended inside a packet, after %" PRIu64 " bytes of it: ended as damage, with "
                 "%" PRIu64 " bytes of padding",
                 tail->half_bytes, tail->padding_bytes);
    else
        snprintf(out, out_bytes,
                 "it ended inside a character: ended with %" PRIu64 " bytes of padding",
                 tail->padding_bytes);
}

void tail_text(const struct tail *tail, char *out, size_t out_bytes) {
    *out = '\0';
    switch (tail->state) {
    case TAIL_FINE:
        break;
    case TAIL_FOREIGN:
        snprintf(out, out_bytes,
                 "its last %" PRIu64 " bytes hold no packet: packets are appended to them",
                 tail->looked_bytes);
        break;
    case TAIL_ENDED:
        text_of_padding(tail, out, out_bytes);
        break;
    case TAIL_UNKNOWN:
        snprintf(out, out_bytes,
                 "its end cannot be looked at (%s): %" PRIu64 " bytes of padding end a packet that "
                 "may be half there",
                 strerror(tail->error), tail->padding_bytes);
        break;
    case TAIL_UNCLEAR:
        snprintf(out, out_bytes,
                 "where packets begin is not clear from its last %" PRIu64 " bytes: %" PRIu64
                 " bytes of padding end one that may be half there",
                 tail->looked_bytes, tail->padding_bytes);
        break;
    case TAIL_BUSY:
        snprintf(out, out_bytes,
                 "it ends inside a packet that somebody else is writing: nothing is appended, for "
                 "it would be lost inside that packet");
        break;
    case TAIL_DEADLY:
        snprintf(out, out_bytes,
                 "the bytes at offset %" PRIu64 " end python-subunit's reader, which would see "
                 "nothing behind them: nothing is appended; rename that file",
                 tail->deadly_at);
        break;
    case TAIL_FAILED:
        snprintf(out, out_bytes, "it ends inside a packet, and that cannot be ended: %s",
                 strerror(tail->error));
        break;
    }
}
