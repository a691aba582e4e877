#include "bench/check.h"

#include <isa-l/crc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SIGNATURE 0xB3
#define TAG_BYTES 9
#define CRC_BYTES 4
/* Histogram: this many steps per power of two, so that a step is 3 %. */
#define STEPS 32u
#define STEPS_SHIFT 5
#define HISTOGRAM_SIZE (64 * STEPS)

struct check_worker {
    bool begun, ended;
    uint32_t place; /* of the next packet, in the cycle */
    uint64_t packets;
};

/* A packet's statement of its place. */
struct seen {
    uint32_t worker;
    uint32_t number;
    bool last;
    uint64_t sent_ns;
    uint64_t bytes; /* without the wrapping */
};

static int64_t fail(struct check *check, const char *why, uint32_t worker) {
    snprintf(check->error, sizeof check->error, "%s (worker %u, after %llu packets)", why, worker,
             (unsigned long long)check->packets);
    return -1;
}

/* Shows a wrong packet: text as it is, other bytes as dots. */
static void show(struct check *check, const uint8_t *packet, size_t len) {
    size_t at = strlen(check->error);
    at += (size_t)snprintf(check->error + at, sizeof check->error - at, ": ");
    for (size_t i = 0; i < len && at + 1 < sizeof check->error; i++)
        check->error[at++] = packet[i] >= ' ' && packet[i] < 127 ? (char)packet[i] : '.';
    check->error[at] = 0;
}

static void *zeroed(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (!memory) {
        perror("bench-sink: calloc");
        exit(1);
    }
    return memory;
}

void check_init(struct check *check, enum framing framing, uint32_t packet_bytes, uint32_t workers,
                const char *prefix, bool timed) {
    *check =
        (struct check){.framing = framing, .workers = workers, .prefix = prefix, .timed = timed};
    check->cycle = cycle_packets(packet_bytes, workers);
    check->worker = zeroed(workers, sizeof *check->worker);
    check->place_taken = zeroed(workers, sizeof *check->place_taken);
    check->latency = zeroed(HISTOGRAM_SIZE, sizeof *check->latency);
}

/* A place in the packet; `end` when something does not fit. */
struct cursor {
    const uint8_t *at, *end;
    bool bad;
};

static const uint8_t *take(struct cursor *cursor, size_t len) {
    const uint8_t *at = cursor->at;
    if ((size_t)(cursor->end - at) < len) {
        cursor->bad = true;
        return NULL;
    }
    cursor->at += len;
    return at;
}

static uint32_t take_varint(struct cursor *cursor) {
    const uint8_t *first = take(cursor, 1);
    if (!first)
        return 0;
    unsigned more = *first >> 6;
    uint32_t value = *first & 0x3F;
    const uint8_t *rest = take(cursor, more);
    for (unsigned i = 0; rest && i < more; i++)
        value = value << 8 | rest[i];
    return value;
}

static const uint8_t *take_string(struct cursor *cursor, uint32_t *len) {
    *len = take_varint(cursor);
    return take(cursor, *len);
}

static uint32_t read_u32(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* "s" or "e" and eight hexadecimal digits. */
static bool read_tag(const uint8_t *tag, struct seen *seen) {
    uint32_t number = 0;
    for (int i = 1; i < TAG_BYTES; i++) {
        unsigned digit = (unsigned)(tag[i] <= '9' ? tag[i] - '0' : tag[i] - 'a' + 10);
        if (digit > 15)
            return false;
        number = number << 4 | digit;
    }
    seen->number = number;
    seen->last = tag[0] == 'e';
    return seen->last || tag[0] == 's';
}

static bool read_decimal(const uint8_t *at, size_t len, uint32_t *value) {
    *value = 0;
    for (size_t i = 0; i < len; i++) {
        if (at[i] < '0' || at[i] > '9')
            return false;
        *value = *value * 10 + (at[i] - '0');
    }
    return len > 0 && len < 9;
}

/* The common beginning of all route codes, then the worker's own segment. */
static bool read_route(const uint8_t *route, size_t len, const char *prefix, uint32_t *worker) {
    size_t prefix_len = strlen(prefix);
    return len > prefix_len && memcmp(route, prefix, prefix_len) == 0 &&
           read_decimal(route + prefix_len, len - prefix_len, worker);
}

/* `prefix`: NULL without route codes. */
static const char *read_fields(struct cursor *cursor, unsigned flags, const char *prefix,
                               struct seen *seen) {
    uint32_t len;
    if ((flags & 0xFA88) != 0x2A80 || !!(flags & 0x0400) != !!prefix)
        return prefix ? "flags (no route code?)" : "flags";
    const uint8_t *seconds = take(cursor, 4);
    uint32_t nanoseconds = take_varint(cursor);
    seen->sent_ns = seconds ? read_u32(seconds) * UINT64_C(1000000000) + nanoseconds : 0;
    take_string(cursor, &len);
    if (take_varint(cursor) != 1)
        return "not one tag";
    const uint8_t *tag = take_string(cursor, &len);
    if (!tag || len != TAG_BYTES || !read_tag(tag, seen))
        return "its tag";
    if (flags & 0x0020)
        take_string(cursor, &len);
    if (flags & 0x0040) {
        take_string(cursor, &len);
        take_string(cursor, &len);
    }
    if (prefix) {
        const uint8_t *route = take_string(cursor, &len);
        if (!route || !read_route(route, len, prefix, &seen->worker))
            return "its route code";
    }
    return cursor->bad || cursor->at != cursor->end ? "its fields' lengths" : NULL;
}

/* The length of the first packet; 0: it is not whole yet; -1: *why is set. */
static int64_t read_packet(const uint8_t *data, size_t len, const char *prefix, struct seen *seen,
                           const char **why) {
    if (len < 6)
        return 0;
    struct cursor cursor = {data + 3, data + len, false};
    uint32_t total = take_varint(&cursor);
    *why = "its signature or length";
    if (data[0] != SIGNATURE || total < 8 || total > 4194303)
        return -1;
    if (total > len)
        return 0;
    cursor.end = data + total - CRC_BYTES;
    *why = "a wrong CRC";
    if (crc32_gzip_refl(0, data, total - CRC_BYTES) != read_u32(cursor.end))
        return -1;
    seen->bytes = total;
    *why = read_fields(&cursor, (unsigned)data[1] << 8 | data[2], prefix, seen);
    return *why ? -1 : (int64_t)total;
}

static const uint8_t *line_end(const uint8_t *data, size_t len) {
    const uint8_t *end = memchr(data, '\n', len < 256 ? len : 256);
    return end ? end + 1 : NULL;
}

/* "MSG w.NNNNN 1 LEN\r\n" PACKET "\r\n", or a line from the server itself. */
static int64_t read_nats(const uint8_t *data, size_t len, struct seen *seen, const char **why,
                         bool *is_packet) {
    const uint8_t *body = line_end(data, len);
    *is_packet = len >= 4 && memcmp(data, "MSG ", 4) == 0;
    *why = "a line of the server's";
    if (!body)
        return len > 4096 ? -1 : 0;
    if (!*is_packet)
        return data[0] == '-' ? -1 : body - data;
    if (body - data < 11 || !read_decimal(data + 6, 5, &seen->worker))
        return -1;
    int64_t packet = read_packet(body, (size_t)(data + len - body), NULL, seen, why);
    if (packet <= 0)
        return packet;
    int64_t total = body - data + packet + 2;
    return total > (int64_t)len ? 0 : total;
}

/* "LEN <14>1 - wNNNNN bench - - - sNNNNNNNN xxx": all places are fixed but the end. */
static int64_t read_syslog(const uint8_t *data, size_t len, struct seen *seen, const char **why) {
    const uint8_t *space = memchr(data, ' ', len < 8 ? len : 8);
    uint32_t record;
    *why = "its octet count";
    if (!space)
        return len < 8 ? 0 : -1;
    if (!read_decimal(data, (size_t)(space - data), &record) || record < 40)
        return -1;
    if ((size_t)(data + len - space - 1) < record)
        return 0;
    *why = "its record";
    const uint8_t *text = space + 1;
    seen->bytes = record;
    if (text[8] != 'w' || !read_decimal(text + 9, 5, &seen->worker) || !read_tag(text + 27, seen))
        return -1;
    return space + 1 - data + record;
}

static void note_latency(struct check *check, uint64_t sent_ns) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    uint64_t ns = now_ns > sent_ns ? now_ns - sent_ns : 1;
    unsigned power = ns < STEPS ? 0 : 63 - (unsigned)__builtin_clzll(ns) - STEPS_SHIFT;
    check->latency[power * STEPS + (ns >> power)]++;
}

static int64_t take_last(struct check *check, struct check_worker *worker,
                         const struct seen *seen) {
    if (seen->number != (uint32_t)worker->packets)
        return fail(check, "a packet is missing or doubled", seen->worker);
    worker->ended = true;
    check->ended++;
    return 0;
}

/* Compares a packet with its worker's stream. */
static int64_t take_packet(struct check *check, const struct seen *seen) {
    if (seen->worker >= check->workers)
        return fail(check, "a route of no worker", seen->worker);
    struct check_worker *worker = &check->worker[seen->worker];
    if (worker->ended)
        return fail(check, "a packet after the worker's last one", seen->worker);
    if (seen->last)
        return take_last(check, worker, seen);
    if (!worker->begun) {
        uint32_t sender = seen->number / 2;
        if (seen->number % 2 || sender >= check->workers || check->place_taken[sender])
            return fail(check, "its stream does not begin where a worker's does", seen->worker);
        check->place_taken[sender] = true;
        worker->begun = true;
        worker->place = seen->number;
    }
    if (seen->number != worker->place)
        return fail(check, "out of sequence: missing, doubled, reordered or of another worker",
                    seen->worker);
    worker->place = worker->place + 1 == check->cycle ? 0 : worker->place + 1;
    worker->packets++;
    check->packets++;
    if (check->timed)
        note_latency(check, seen->sent_ns);
    return 0;
}

static int64_t take_one(struct check *check, const uint8_t *data, size_t len, uint32_t connection) {
    struct seen seen = {.worker = connection};
    const char *why = NULL;
    bool is_packet = true;
    int64_t bytes;
    if (check->framing == FRAMING_NATS)
        bytes = read_nats(data, len, &seen, &why, &is_packet);
    else if (check->framing == FRAMING_SYSLOG)
        bytes = read_syslog(data, len, &seen, &why);
    else
        bytes = read_packet(data, len, check->framing == FRAMING_SUBUNIT ? check->prefix : NULL,
                            &seen, &why);
    if (bytes < 0)
        bytes = fail(check, why, seen.worker);
    if (bytes > 0 && is_packet && take_packet(check, &seen) < 0)
        bytes = -1;
    if (bytes < 0) {
        show(check, data, len);
        return -1;
    }
    check->bytes += bytes > 0 ? seen.bytes : 0;
    return bytes;
}

int64_t check_take(struct check *check, const uint8_t *data, size_t len, uint32_t connection) {
    size_t done = 0;
    if (check->framing == FRAMING_BYTES) {
        /* the same work without the result, so that this peer's sink is not faster */
        volatile uint32_t crc = crc32_gzip_refl(0, data, len);
        (void)crc;
        done = len;
        check->bytes += len;
    }
    while (done < len) {
        int64_t bytes = take_one(check, data + done, len - done, connection);
        if (bytes < 0)
            return -1;
        if (bytes == 0)
            break;
        done += (size_t)bytes;
    }
    return (int64_t)done;
}

uint64_t check_latency(const struct check *check, double share) {
    uint64_t total = 0, seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_SIZE; i++)
        total += check->latency[i];
    for (unsigned i = 0; i < HISTOGRAM_SIZE; i++) {
        seen += check->latency[i];
        unsigned power = i < 2 * STEPS ? 0 : i / STEPS - 1;
        if (total && (double)seen >= share * (double)total)
            return (uint64_t)(i - power * STEPS) << power;
    }
    return 0;
}
