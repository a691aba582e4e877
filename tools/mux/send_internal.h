/*
 * mux send, in four files: send.c is the command; send_conns.c has the three connections (input,
 * remote, output) and their events; send_dial.c connects; send_end.c decides when all is sent.
 * One thread and one loop: only send_wait_until() blocks.
 */
#ifndef TOOLS_MUX_SEND_INTERNAL_H
#define TOOLS_MUX_SEND_INTERNAL_H

#include "mux/packet/framer.h"
#include "tools/base/loop.h"
#include "tools/mux/pump.h"
#include "tools/node/dialer.h"
#include "tools/node/stacks.h"
#include "transport/endpoint.h"

/* After the end of the input: the interval at which mux looks whether the peer has everything. */
#define SEND_LOOK_NS UINT64_C(20000000)

struct sending {
    char place[ENDPOINT_TEXT_BYTES]; /* the peer, as messages name it */
    const char *path;                /* of the input */
    struct stacks stacks;
    struct loop loop;
    struct timer alarm; /* ends a wait */
    struct loop_handler from_input, from_remote, from_output, from_dialing;
    struct dialer dialer;
    struct transport_conn *input, *remote, *output;
    int socket;    /* the remote's, where the kernel has one; -1: another stack */
    unsigned open; /* connections that are not CLOSED */
    struct pump up, down;
    struct mux_framer answers; /* of the bytes that come back: a node says why it refuses */
    uint8_t answers_store[MUX_STORE_MAX_BYTES];
    bool input_over, remote_over;
    bool finished; /* the peer was told that no more comes */
    bool failed;
    bool to_terminal;    /* bytes that come back are only counted */
    int stdout_error;    /* errno; 0: stdout works. Bytes that come back are only counted */
    unsigned looks;      /* since the peer had everything and last sent something */
    uint64_t late_ns;    /* the time that the peer had everything and had not closed, ... */
    uint64_t late_bytes; /* ... and the bytes that it sent since the end */
};

/* ---- send_conns.c ---- */

/* False, after a message that names the peer. */
bool send_fail(struct sending *sending, const char *operation, int error);

/* Makes the stacks, the loop and the pumps. False after a message. */
bool send_start(struct sending *sending, const struct endpoint *endpoint);

/*
 * Attaches the input and stdout. The input is read from now on, with or without a connection to
 * send it on. False after a message.
 */
bool send_open_ends(struct sending *sending, int input);

/* Handles events until `at_ns` or the next ones, whichever comes first. */
void send_wait_until(struct sending *sending, uint64_t at_ns);

/* Closes all, waits for the last events, and releases what send_start() made. */
void send_stop(struct sending *sending);

/* ---- send_dial.c ---- */

/*
 * Looks the name up and connects; reads the input meanwhile. False after a message: no address
 * answers, or the input failed.
 */
bool send_connect(struct sending *sending, const struct endpoint *endpoint);

/* ---- send_end.c ---- */

/* Sends until the peer has everything and has closed, or is silent. False after a message. */
bool send_all(struct sending *sending);

#endif
