/* mux send: looks the endpoint's name up and connects to one of its addresses. */
#include "tools/base/text.h"
#include "tools/mux/send_internal.h"
#include "tools/node/resolver.h"

static struct transport_conn *begin_connect(void *user, const struct transport_address *address,
                                            void *conn_user, struct transport_failure *failure) {
    struct sending *sending = user;
    struct transport_conn *conn = loop_connect(&sending->loop, address, conn_user, failure);
    sending->open += conn != NULL;
    return conn;
}

static void say_trying(void *user, const char *addresses) {
    (void)user;
    text_complain("mux send: trying %s", addresses);
}

static void say_failed(void *user, const char *address, const struct transport_failure *failure,
                       unsigned told) {
    (void)user;
    if (told)
        text_complain("mux send: %s: %s: %s", address, failure->operation,
                      strerror(failure->error));
}

/* The name's addresses; the look-up may take long. 0: none (after a message), or the input failed.
 */
static unsigned look_up(struct sending *sending, const struct endpoint *endpoint,
                        struct transport_address *addresses) {
    char why[256];
    unsigned count = 0;
    struct resolver *resolver = resolver_start(&(struct place){.endpoint = *endpoint});
    if (resolver_is_waiting(resolver))
        text_complain("mux send: %s: looking up the name", endpoint->text);
    while (resolver_is_waiting(resolver) && !sending->failed)
        send_wait_until(sending, loop_now_ns(&sending->loop) + SEND_LOOK_NS);
    if (!sending->failed)
        count = resolver_addresses(resolver, addresses, DIALER_ADDRESSES_MAX, why, sizeof why);
    if (count == 0 && !sending->failed)
        text_complain("mux send: %s: %s", endpoint->text, why);
    return count;
}

/* Tries the addresses, and reads the input meanwhile. False: none answers, or the input failed. */
static bool dial(struct sending *sending, const struct transport_address *addresses,
                 unsigned count) {
    struct dialer *dialer = &sending->dialer;
    const struct dialer_config config = {
        .conn_user = &sending->from_dialing,
        .attempt_most_ns = DIALER_ATTEMPT_MOST_NS,
        .user = sending,
        .connect = begin_connect,
        .trying = say_trying,
        .failed = say_failed,
    };
    dialer_init(dialer, &config);
    dialer_start(dialer, addresses, count, loop_now_ns(&sending->loop));
    while (dialer->state == DIALER_TRYING && !sending->failed) {
        send_wait_until(sending, dialer_deadline_ns(dialer));
        dialer_run(dialer, loop_now_ns(&sending->loop));
    }
    if (sending->failed || dialer->state == DIALER_FAILED) {
        dialer_stop(dialer);
        return false;
    }
    sending->remote = dialer_take(dialer, &sending->from_remote);
    address_text(dialer_taken(dialer), sending->place, sizeof sending->place);
    return true;
}

bool send_connect(struct sending *sending, const struct endpoint *endpoint) {
    struct transport_address addresses[DIALER_ADDRESSES_MAX];
    unsigned count = look_up(sending, endpoint, addresses);
    if (count == 0 || !dial(sending, addresses, count))
        return false;
    sending->socket = transport_descriptor(sending->remote);
    transport_receive(sending->remote, true);
    pump_start(&sending->up, sending->remote);
    return true;
}
