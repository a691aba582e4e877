/*
 * Holds what each node wrote against what it read. Nothing here uses the framer or the routing of
 * mux/: packets are read one by one, and written anew with another route.
 *
 * Up (check_up.c): the packets on all its connections to its upstream, one behind the other, but
 * for a packet that a connection took only the beginning of: that one comes again, whole. Every
 * byte that the node's process read from a link must be in them, once, in order: as a packet that
 * is the one it read but for its route, as chatter, or as damage. Damage, and chatter that the
 * worker did not write as such, must be there only where bytes were corrupted, a packet was never
 * ended or the stream was cut off. Tests in progress at the end of a link are reported failed, once
 * each.
 *
 * A node below that says hello has one link for all its connections, in their order, unless it was
 * given up in between; the packet in which one was cut off is not in the output. Only if it was
 * given up are its tests reported failed.
 *
 * Down (check_down.c): what it wrote to each link is what came for that link, in order; what is
 * missing is counted.
 */
#ifndef TESTS_SIM_CHECK_H
#define TESTS_SIM_CHECK_H

#include "tests/sim/farm.h"

/* What a node read from one connection, and how far the node's output has gone through it. */
struct input {
    const struct farm *farm;
    unsigned id;
    struct sim_stream stream;
    const struct range *chatter;
    unsigned chatter_count;
    const uint64_t *abandoned;
    unsigned abandoned_count;
    const struct mark *marks;
    unsigned mark_count;
    uint64_t at;
    uint64_t run_from; /* of bytes that nobody wrote as they are reported */
    bool in_run;
    bool error_expected;     /* the second event of a damage */
    struct mux_packet *open; /* tests in progress: test id and route */
    unsigned open_count;
    unsigned reported; /* as failed */

    /* a node's connection */
    bool is_node;   /* it has said hello */
    bool is_begun;  /* something of it went up, or of one after it */
    bool was_taken; /* it went on under the segment of one before it */
};

struct check {
    struct farm *farm;
    struct place *place;
    struct input *inputs; /* by the segment that each connection got at its first byte */
    unsigned *current;    /* by segment: the input which that goes on with */
    uint64_t own_messages;
    uint64_t packets;
    uint64_t bytes;
};

/* check_input.c */
void input_open(struct input *input, const struct farm *farm, unsigned id);
/* All of it must have come up. */
void input_end(struct input *input, bool all_tracked);
/*
 * Is `sent` the next packet of the input, with the route that it should have? Then it is taken.
 * `segment_len`: of the segment in front.
 */
bool input_take_packet(struct input *input, struct mux_span sent, struct mux_span route,
                       size_t segment_len);
/* Something that the node made itself; `rest`: its route without the segment. */
void input_take_report(struct input *input, const struct mux_packet *packet, struct mux_span rest);
/* Does `packet` report the next bytes of this input as chatter or damage? */
bool input_has_reported(const struct input *input, const struct mux_packet *packet);
/* Nobody starves: the packet just taken has not waited for too much else. */
void input_check_wait(struct input *input, uint64_t sent_up);
/* Nothing is left but, at most, the beginning of a packet. */
bool input_is_used_up(const struct input *input);

/* A good packet at the head of these bytes? */
bool packet_at(struct mux_span bytes, struct mux_span *whole, struct mux_packet *packet);
/* The packet with another route; good until the next call. */
struct mux_span packet_with_route(const struct farm *farm, struct mux_packet packet,
                                  struct mux_span route);
bool is_text(struct mux_span span, const char *text);
/* The first segment of a route as a number, and what is behind it. False: it is none. */
bool split_route(struct mux_span route, unsigned long *segment, size_t *segment_len,
                 struct mux_span *rest);
/* What was written, before the network corrupted it: to be freed. */
uint8_t *bytes_as_written(const struct sim_stream *stream);
void expect_count(const struct check *check, enum mux_counter counter, uint64_t value);

/* check_up.c, check_down.c */
void check_up(struct check *check);
void check_down(struct check *check);

#endif
