/* mux send: its main loop, and when everything is sent. */
#include "tools/base/text.h"
#include "tools/mux/send_internal.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* The number of looks without an answer after which mux leaves a peer that does not close. */
#define LOOKS_MAX 100

/*
 * A peer that goes on sending after the end is left after LATE_MOST_NS, and a second more for every
 * LATE_BYTES_PER_SECOND that it has sent: mux does not wait without end for a peer that drips.
 */
#define LATE_MOST_NS UINT64_C(10000000000)
#define LATE_BYTES_PER_SECOND 65536
#define NS_PER_SECOND UINT64_C(1000000000)

/* Tells the peer, once, that no more comes. */
static void finish(struct sending *sending) {
    if (!sending->input_over || !pump_is_empty(&sending->up) || sending->finished)
        return;
    sending->finished = true;
    transport_finish(sending->remote);
}

/*
 * The peer closed before the end of the stream: it has not read everything. (TCP does not tell a
 * peer that has finished from one that has closed.)
 */
static bool closed_early(struct sending *sending) {
    if (sending->finished || !sending->remote_over)
        return false;
    text_complain("mux send: %s: receive: the other side closed before the stream's end",
                  sending->place);
    return true;
}

/* The socket's pending error, which this call clears; 0: none. */
static int socket_error(const struct sending *sending) {
    int error = 0;
    socklen_t len = sizeof error;
    if (sending->socket < 0)
        return 0;
    return getsockopt(sending->socket, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : errno;
}

/* Bytes that the peer (TCP: its kernel) has not acknowledged. */
static uint64_t unacknowledged(const struct sending *sending) {
    int unsent = 0;
    if (sending->socket < 0)
        return transport_unacknowledged(sending->remote);
    return ioctl(sending->socket, SIOCOUTQ, &unsent) < 0 ? 1 : (uint64_t)unsent;
}

/* The peer has everything, and everything that it sent is written. */
static bool all_through(const struct sending *sending) {
    return sending->finished && pump_is_empty(&sending->down) && unacknowledged(sending) == 0;
}

/* The peer has everything, and goes on sending, but too little to wait for. */
static bool drips(const struct sending *sending) {
    uint64_t allowed_ns =
        LATE_MOST_NS + sending->late_bytes * NS_PER_SECOND / LATE_BYTES_PER_SECOND;
    if (sending->late_ns < allowed_ns)
        return false;
    text_complain("mux send: %s: has all, but goes on sending a little: left", sending->place);
    return true;
}

/* Nothing is left to wait for. */
static bool done(struct sending *sending) {
    if (!all_through(sending))
        return false;
    return sending->remote_over || ++sending->looks > LOOKS_MAX || drips(sending);
}

bool send_all(struct sending *sending) {
    bool all = false;
    while (!all) {
        uint64_t now_ns = loop_now_ns(&sending->loop);
        finish(sending);
        bool is_late = all_through(sending);
        send_wait_until(sending, sending->finished ? now_ns + SEND_LOOK_NS : UINT64_MAX);
        if (is_late)
            sending->late_ns += loop_now_ns(&sending->loop) - now_ns;
        if (sending->failed || closed_early(sending))
            return false;
        all = done(sending);
        int error = sending->finished ? socket_error(sending) : 0;
        if (error)
            return send_fail(sending, "send", error);
    }
    return true;
}
