/*
 * Compares what each node wrote with what it read. Nothing here uses the framer or the routing of
 * mux/: packets are read one by one, and written again with another route.
 *
 * Up (check_up.c): the packets on all its connections to its upstream, one after the other. A
 * packet of which a connection took only the beginning comes again, whole, on the next. Every
 * byte that the node's process read from a link must be in them, once, in order: as the same packet
 * with another route, as chatter, or as damage. Damage, and chatter that the
 * worker did not write as such, may be there only where bytes were corrupted, a packet was never
 * ended or the stream was cut off. Tests in progress at the end of a link are reported failed, once
 * each.
 *
 * A node below that says hello has one link for all its connections, in their order, unless it was
 * given up in between; the packet in which one was cut off is not in the output. Only if it was
 * given up are its tests reported failed.
 *
 * Down (check_down.c): the packets that it wrote to each link are those that came for that link, in
 * order; missing ones are counted.
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
    uint64_t run_from; /* of bytes that were not written as they are reported */
    bool in_run;
    bool error_expected;     /* the second event of a damage comes next */
    struct mux_packet *open; /* tests in progress: test id and route */
    unsigned open_count;
    unsigned reported; /* as failed */

    /* of a node's connection */
    bool is_node;   /* it has said hello */
    bool is_begun;  /* packets of it, or of a later one of this node, went up */
    bool was_taken; /* it continues the segment of an earlier connection */
};

struct check {
    struct farm *farm;
    struct place *place;
    struct input *inputs; /* by segment, as each connection got it at its first byte */
    unsigned *current;    /* by segment: the input that the segment continues with */
    uint64_t own_messages;
    uint64_t packets;
    uint64_t bytes;
};

/* check_input.c */
void input_open(struct input *input, const struct farm *farm, unsigned id);
/* Checks that all of the input went up. */
void input_end(struct input *input, bool all_tracked);
/*
 * Takes `sent` if it is the next packet of the input, with the right route. `segment_len`: of the
 * route's first segment.
 */
bool input_take_packet(struct input *input, struct mux_span sent, struct mux_span route,
                       size_t segment_len);
/* A packet that the node made itself; `rest`: its route without the segment. */
void input_take_report(struct input *input, const struct mux_packet *packet, struct mux_span rest);
/* `packet` reports the next bytes of this input as chatter or damage. */
bool input_has_reported(const struct input *input, const struct mux_packet *packet);
/* No worker starves: the packet just taken did not wait for too many other bytes. */
void input_check_wait(struct input *input, uint64_t sent_up);
/* At most the beginning of a packet is left. */
bool input_is_used_up(const struct input *input);

/* There is a good packet at the beginning of these bytes. */
bool packet_at(struct mux_span bytes, struct mux_span *whole, struct mux_packet *packet);
/* The packet with another route; valid until the next call. */
struct mux_span packet_with_route(const struct farm *farm, struct mux_packet packet,
                                  struct mux_span route);
bool is_text(struct mux_span span, const char *text);
/* The first segment of a route as a number, and the rest of the route. False: it is no number. */
bool split_route(struct mux_span route, unsigned long *segment, size_t *segment_len,
                 struct mux_span *rest);
/* The bytes as written, before the network corrupted them. The caller frees them. */
uint8_t *bytes_as_written(const struct sim_stream *stream);
void expect_count(const struct check *check, enum mux_counter counter, uint64_t value);

/* check_up.c, check_down.c */
void check_up(struct check *check);
void check_down(struct check *check);

#endif
