/*
 * The packets of the load, made without libmux, so that the sink finds its mistakes. Every test is
 * two packets, inprogress and its outcome. Every packet has one tag with its place in its worker's
 * stream: "s" and eight hexadecimal digits, or, in the last one, "e" and the count of packets
 * before it.
 *
 * All workers send from one cycle of packets, each from its own place on: worker w starts at 2w. So
 * a packet under another worker's route is out of sequence there.
 */
#ifndef BENCH_PACKET_H
#define BENCH_PACKET_H

#include <stddef.h>
#include <stdint.h>

/* In place of a size: the mix of a real run (outcomes, 10 % with output, 4 % with a traceback). */
#define PACKET_MIX 0
#define PACKET_LEAST_BYTES 100u
#define PACKET_MOST_BYTES (2u << 20)
/* The cycle is at least this long, so that sending needs few wraps. */
#define CYCLE_LEAST_BYTES 65536u

/* The wrapping of packets, for peers that do not know subunit. */
enum framing {
    FRAMING_SUBUNIT, /* packets back to back; the sink finds a worker by its route code */
    FRAMING_STREAM,  /* packets back to back, one worker a connection: the peer does not merge */
    FRAMING_BYTES,   /* the peer merges bytes, not packets: only the number of bytes is checked */
    FRAMING_NATS,    /* messages on subject "w.NNNNN" */
    FRAMING_SYSLOG,  /* octet-counted text records with the same tag: no packets, no CRC */
};

/* -1: no such name. */
int framing_parse(const char *name);

/* The number of packets in the cycle: even, with a place to start for each worker. */
uint32_t cycle_packets(uint32_t packet_bytes, uint32_t workers);

/*
 * Writes the packet at place `number` (last: the one after `number` packets) as worker `worker`
 * sends it; returns its length. `out` has packet_room(bytes) bytes.
 */
size_t packet_build(uint8_t *out, enum framing framing, uint32_t packet_bytes, uint32_t worker,
                    uint32_t number, int last);
size_t packet_room(uint32_t packet_bytes);

/* Writes the time into an unwrapped packet of packet_build(); the sink measures latency with it. */
void packet_stamp(uint8_t *packet, size_t len, uint64_t realtime_ns);

#endif
