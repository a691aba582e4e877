/*
 * The dialer on a transport that the test controls: which address is tried when, which connection
 * is taken, what is reported, and that every connection is closed once.
 */
#include "tests/unit/check.h"

#include "tools/node/dialer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CONNS 128
#define SECOND_NS UINT64_C(1000000000)
#define START_NS SECOND_NS

/* A connection of the fake transport. */
struct fake_conn {
    struct transport_conn head; /* first */
    struct transport_address address;
    bool closing, closed;
};

struct bench {
    struct dialer dialer;
    struct fake_conn conns[CONNS]; /* in the order of connect() */
    unsigned count, open;
    int refuse_at_once; /* the errno of connect(); 0: it begins */
    char trying[512];
    unsigned trying_count;
    char failed[256]; /* the last reported failure */
    unsigned failed_count, told_count;
};

static struct bench bench;
static int the_user, dialing_user;

static void fake_close(struct transport_conn *handle) {
    struct fake_conn *conn = (struct fake_conn *)handle;
    assert_false(conn->closing);
    conn->closing = true;
}

static const struct transport_conn_ops fake_ops = {.close = fake_close};

static struct transport_conn *fake_connect(void *user, const struct transport_address *address,
                                           void *conn_user, struct transport_failure *failure) {
    struct bench *b = user;
    assert_ptr_equal(conn_user, &dialing_user);
    if (b->refuse_at_once) {
        *failure = (struct transport_failure){b->refuse_at_once, "socket"};
        return NULL;
    }
    assert_true(b->count < CONNS);
    struct fake_conn *conn = &b->conns[b->count++];
    *conn = (struct fake_conn){.head = {.ops = &fake_ops, .user = conn_user}, .address = *address};
    b->open++;
    return &conn->head;
}

static void note_trying(void *user, const char *addresses) {
    struct bench *b = user;
    b->trying_count++;
    snprintf(b->trying, sizeof b->trying, "%s", addresses);
}

static void note_failed(void *user, const char *address, const struct transport_failure *failure,
                        unsigned told) {
    struct bench *b = user;
    b->failed_count++;
    b->told_count += told;
    if (told)
        snprintf(b->failed, sizeof b->failed, "%s %s %d x%u", address, failure->operation,
                 failure->error, told);
}

static void bench_open(void) {
    const struct dialer_config config = {
        .conn_user = &dialing_user,
        .attempt_most_ns = DIALER_ATTEMPT_MOST_NS,
        .user = &bench,
        .connect = fake_connect,
        .trying = note_trying,
        .failed = note_failed,
    };
    memset(&bench, 0, sizeof bench);
    dialer_init(&bench.dialer, &config);
}

/* The address of "4.1" is 10.0.0.1, that of "6.1" is fd00::1. */
static struct transport_address place(const char *text) {
    struct transport_address address = {0};
    if (text[0] == '6') {
        address.len = sizeof address.in6;
        address.in6.sin6_family = AF_INET6;
        address.in6.sin6_port = htons(7533);
        inet_pton(AF_INET6, "fd00::", &address.in6.sin6_addr);
        address.in6.sin6_addr.s6_addr[15] = (uint8_t)(text[2] - '0');
    } else {
        address.len = sizeof address.in4;
        address.in4.sin_family = AF_INET;
        address.in4.sin_port = htons(7533);
        address.in4.sin_addr.s_addr = htonl(0x0a000000u + (unsigned)(text[2] - '0'));
    }
    return address;
}

/* Begins a round with addresses such as "4.1 6.1"; those behind a "|" have the next rank. */
static void start(const char *text, uint64_t now_ns) {
    struct transport_address addresses[DIALER_ADDRESSES_MAX];
    unsigned count = 0;
    unsigned rank = 0;
    for (; *text; text += text[3] ? 4 : 3) {
        addresses[count] = place(text);
        addresses[count++].rank = rank;
        rank += text[3] == '|';
    }
    dialer_start(&bench.dialer, addresses, count, now_ns);
}

/* The addresses tried, in the same form. */
static const char *tried(void) {
    static char text[512];
    size_t len = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < bench.count; i++) {
        const struct transport_address *address = &bench.conns[i].address;
        bool is6 = address->any.sa_family == AF_INET6;
        unsigned last =
            is6 ? address->in6.sin6_addr.s6_addr[15] : ntohl(address->in4.sin_addr.s_addr) & 0xff;
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%c.%u", i ? " " : "",
                                is6 ? '6' : '4', last);
    }
    return text;
}

static void event(unsigned conn, enum transport_kind kind, int error, uint64_t now_ns) {
    const struct transport_event it = {
        .kind = kind, .conn = &bench.conns[conn].head, .error = error, .operation = "connect"};
    dialer_handle(&bench.dialer, &it, now_ns);
    dialer_run(&bench.dialer, now_ns);
}

/* The transport's answer to every close(). */
static void settle(uint64_t now_ns) {
    for (unsigned i = 0; i < bench.count; i++) {
        struct fake_conn *conn = &bench.conns[i];
        if (!conn->closing || conn->closed || conn->head.user != &dialing_user)
            continue;
        conn->closed = true;
        bench.open--;
        event(i, TRANSPORT_CLOSED, 0, now_ns);
    }
}

/* Runs the dialer at each deadline, as its owner does, while the transport is silent. */
static uint64_t run_until(uint64_t now_ns, uint64_t end_ns) {
    uint64_t next_ns;
    while ((next_ns = dialer_deadline_ns(&bench.dialer)) <= end_ns) {
        assert_true(next_ns >= now_ns);
        now_ns = next_ns;
        dialer_run(&bench.dialer, now_ns);
        assert_true(dialer_deadline_ns(&bench.dialer) > now_ns);
        settle(now_ns);
    }
    return end_ns;
}

static void one_answers_at_once(void **state) {
    (void)state;
    bench_open();
    start("4.1", START_NS);
    assert_string_equal(tried(), "4.1");
    event(0, TRANSPORT_CONNECTED, 0, START_NS + 1);
    assert_int_equal(bench.dialer.state, DIALER_CONNECTED);
    assert_ptr_equal(dialer_take(&bench.dialer, &the_user), &bench.conns[0].head);
    assert_ptr_equal(bench.conns[0].head.user, &the_user);
    assert_int_equal(bench.trying_count + bench.failed_count, 0);
    assert_true(dialer_is_quiet(&bench.dialer));
    assert_int_equal(dialer_deadline_ns(&bench.dialer), UINT64_MAX);
}

/* An address that never answers costs one stagger, and the dialer reports what it tries. */
static void a_silent_address_costs_a_stagger(void **state) {
    (void)state;
    bench_open();
    start("6.1 4.1", START_NS);
    assert_string_equal(tried(), "6.1");
    assert_int_equal(dialer_deadline_ns(&bench.dialer), START_NS + DIALER_STAGGER_NS);
    run_until(START_NS, START_NS + DIALER_STAGGER_NS);
    assert_string_equal(tried(), "6.1 4.1");
    assert_string_equal(bench.trying, "[fd00::1]:7533, 10.0.0.1:7533");
    event(1, TRANSPORT_CONNECTED, 0, START_NS + DIALER_STAGGER_NS + 1);
    assert_int_equal(bench.dialer.state, DIALER_CONNECTED);
    assert_true(bench.conns[0].closing && !bench.conns[1].closing);
    settle(START_NS + DIALER_STAGGER_NS + 1);
    dialer_take(&bench.dialer, &the_user);
    assert_true(dialer_is_quiet(&bench.dialer));
    assert_int_equal(bench.open, 1);
}

static void families_take_turns(void **state) {
    (void)state;
    bench_open();
    start("6.1 6.2 6.3 4.1 4.2", START_NS);
    run_until(START_NS, START_NS + 2 * SECOND_NS);
    assert_string_equal(tried(), "6.1 4.1 6.2 4.2 6.3");
    dialer_stop(&bench.dialer);
    settle(START_NS + 2 * SECOND_NS);
    assert_true(dialer_is_quiet(&bench.dialer));
}

/* A refusal starts the next address at once; each is reported with its reason. */
static void refusal_starts_the_next(void **state) {
    (void)state;
    bench_open();
    start("4.1 4.2", START_NS);
    event(0, TRANSPORT_LOST, ECONNREFUSED, START_NS + 5);
    assert_string_equal(tried(), "4.1 4.2");
    assert_string_equal(bench.failed, "10.0.0.1:7533 connect 111 x1");
    event(1, TRANSPORT_LOST, EHOSTUNREACH, START_NS + 6);
    assert_string_equal(bench.failed, "10.0.0.2:7533 connect 113 x1");
    assert_int_equal(bench.dialer.state, DIALER_FAILED);
    settle(START_NS + 6);
    assert_true(dialer_is_quiet(&bench.dialer));
    assert_int_equal(bench.trying_count, 0);
}

static void connect_that_fails_at_once(void **state) {
    (void)state;
    bench_open();
    bench.refuse_at_once = EMFILE;
    start("4.1 4.2 4.3", START_NS);
    assert_int_equal(bench.dialer.state, DIALER_FAILED);
    assert_int_equal(bench.failed_count, 3);
    assert_string_equal(bench.failed, "10.0.0.3:7533 socket 24 x1");
}

/* An attempt lasts for a bounded time, and the round ends. */
static void attempts_are_bounded(void **state) {
    (void)state;
    bench_open();
    start("4.1 4.2", START_NS);
    run_until(START_NS, START_NS + DIALER_ATTEMPT_MOST_NS);
    assert_true(bench.conns[0].closing && !bench.conns[1].closing);
    assert_string_equal(bench.failed, "10.0.0.1:7533 connect 110 x1");
    run_until(START_NS, START_NS + DIALER_ATTEMPT_MOST_NS + DIALER_STAGGER_NS);
    assert_int_equal(bench.dialer.state, DIALER_FAILED);
    assert_true(dialer_is_quiet(&bench.dialer));
    assert_int_equal(bench.open, 0);
}

/* More addresses than simultaneous attempts: all are tried in the end. */
static void many_addresses(void **state) {
    struct transport_address addresses[DIALER_ADDRESSES_MAX];
    (void)state;
    bench_open();
    for (unsigned i = 0; i < DIALER_ADDRESSES_MAX; i++) {
        addresses[i] = place("4.0");
        addresses[i].in4.sin_addr.s_addr = htonl(0x0a000100u + i);
    }
    dialer_start(&bench.dialer, addresses, DIALER_ADDRESSES_MAX, START_NS);
    run_until(START_NS, START_NS + 5 * SECOND_NS);
    assert_int_equal(bench.count, DIALER_ATTEMPTS_MAX);
    run_until(START_NS + 5 * SECOND_NS, START_NS + 100 * SECOND_NS);
    assert_int_equal(bench.count, DIALER_ADDRESSES_MAX);
    assert_int_equal(bench.dialer.state, DIALER_FAILED);
    assert_int_equal(bench.open, 0);
}

/* The addresses of a lower rank come first, though all are of one family. */
static void ranks_come_in_order(void **state) {
    (void)state;
    bench_open();
    start("4.1 4.2|6.1 4.3 6.2", START_NS);
    run_until(START_NS, START_NS + 5 * SECOND_NS);
    assert_string_equal(tried(), "4.1 4.2 6.1 4.3 6.2");
    dialer_stop(&bench.dialer);
    settle(START_NS + 5 * SECOND_NS);
}

/* The address that worked last comes first; the dialer tells whether it refused. */
static void home_comes_first(void **state) {
    (void)state;
    bench_open();
    start("6.1 4.1 4.2", START_NS);
    run_until(START_NS, START_NS + SECOND_NS);
    event(2, TRANSPORT_CONNECTED, 0, START_NS + SECOND_NS);
    settle(START_NS + SECOND_NS);
    dialer_take(&bench.dialer, &the_user);
    assert_false(dialer_is_home(&bench.dialer));
    dialer_worked(&bench.dialer);
    assert_true(dialer_is_home(&bench.dialer));

    bench.count = 0;
    start("6.1 4.1 4.2", 10 * SECOND_NS); /* the order was 6.1, 4.1, 4.2 before */
    event(0, TRANSPORT_LOST, ECONNREFUSED, 10 * SECOND_NS);
    assert_true(dialer_home_refused(&bench.dialer));
    assert_string_equal(tried(), "4.2 6.1");
    event(1, TRANSPORT_CONNECTED, 0, 10 * SECOND_NS);
    settle(10 * SECOND_NS);
    dialer_take(&bench.dialer, &the_user);
    assert_false(dialer_is_home(&bench.dialer));
    assert_true(dialer_home_refused(&bench.dialer));

    dialer_reject(&bench.dialer, 10 * SECOND_NS); /* another node answers there */
    assert_string_equal(tried(), "4.2 6.1 4.1");
    event(2, TRANSPORT_LOST, ETIMEDOUT, 11 * SECOND_NS);
    settle(11 * SECOND_NS);
    assert_int_equal(bench.dialer.state, DIALER_FAILED);

    bench.count = 0;
    start("4.1 4.2", 12 * SECOND_NS);
    assert_string_equal(tried(), "4.2");
    assert_false(dialer_home_refused(&bench.dialer)); /* it is being tried */
    event(0, TRANSPORT_CONNECTED, 0, 12 * SECOND_NS);
    settle(12 * SECOND_NS);
    dialer_take(&bench.dialer, &the_user);
    assert_true(dialer_is_home(&bench.dialer));
}

/* When the first connection is rejected, the addresses that lost to it are tried again. */
static void losers_are_tried_again(void **state) {
    (void)state;
    bench_open();
    start("4.1 4.2", START_NS);
    run_until(START_NS, START_NS + SECOND_NS);
    event(1, TRANSPORT_CONNECTED, 0, START_NS + SECOND_NS);
    settle(START_NS + SECOND_NS);
    dialer_take(&bench.dialer, &the_user);
    dialer_reject(&bench.dialer, START_NS + SECOND_NS);
    assert_string_equal(tried(), "4.1 4.2 4.1");
    event(2, TRANSPORT_CONNECTED, 0, START_NS + 2 * SECOND_NS);
    settle(START_NS + 2 * SECOND_NS);
    dialer_take(&bench.dialer, &the_user);
    dialer_reject(&bench.dialer, START_NS + 2 * SECOND_NS);
    assert_int_equal(bench.dialer.state, DIALER_FAILED);
}

static void an_address_that_ends_at_once_comes_last(void **state) {
    (void)state;
    bench_open();
    start("4.1 4.2", START_NS);
    event(0, TRANSPORT_CONNECTED, 0, START_NS);
    dialer_take(&bench.dialer, &the_user);
    dialer_worked(&bench.dialer);
    dialer_shun(&bench.dialer);
    bench.count = 0;
    start("4.1 4.2", 2 * SECOND_NS);
    run_until(2 * SECOND_NS, 3 * SECOND_NS);
    assert_string_equal(tried(), "4.2 4.1");
    dialer_stop(&bench.dialer);
    settle(3 * SECOND_NS);
    bench.count = 0;
    start("4.1", 4 * SECOND_NS);
    assert_string_equal(tried(), "4.1");
}

/* The connection that won is lost before the owner takes it. */
static void winner_is_lost(void **state) {
    (void)state;
    bench_open();
    start("4.1 4.2", START_NS);
    event(0, TRANSPORT_CONNECTED, 0, START_NS);
    event(0, TRANSPORT_LOST, ECONNRESET, START_NS + 1);
    assert_string_equal(tried(), "4.1 4.2");
    assert_true(bench.conns[0].closing);
    settle(START_NS + 1);
    event(1, TRANSPORT_CONNECTED, 0, START_NS + 2);
    dialer_stop(&bench.dialer);
    assert_true(bench.conns[1].closing);
    settle(START_NS + 2);
    assert_true(dialer_is_quiet(&bench.dialer));
    assert_int_equal(bench.open, 0);
}

/* A repeated reason is reported once, then once a minute with the number of times. */
static void repeats_are_reported_once_a_minute(void **state) {
    (void)state;
    bench_open();
    for (unsigned i = 0; i < 121; i++) {
        bench.count = 0;
        start("4.1", START_NS + i * SECOND_NS);
        event(0, TRANSPORT_LOST, ECONNREFUSED, START_NS + i * SECOND_NS);
        settle(START_NS + i * SECOND_NS);
    }
    assert_int_equal(bench.failed_count, 121);
    assert_string_equal(bench.failed, "10.0.0.1:7533 connect 111 x60");
    assert_int_equal(bench.told_count, 121); /* every failure is counted */
    bench.count = 0;
    start("4.1", START_NS + 122 * SECOND_NS);
    event(0, TRANSPORT_LOST, EHOSTUNREACH, START_NS + 122 * SECOND_NS);
    /* another reason is reported at once */
    assert_string_equal(bench.failed, "10.0.0.1:7533 connect 113 x1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_answers_at_once),
        cmocka_unit_test(a_silent_address_costs_a_stagger),
        cmocka_unit_test(families_take_turns),
        cmocka_unit_test(refusal_starts_the_next),
        cmocka_unit_test(connect_that_fails_at_once),
        cmocka_unit_test(attempts_are_bounded),
        cmocka_unit_test(many_addresses),
        cmocka_unit_test(ranks_come_in_order),
        cmocka_unit_test(home_comes_first),
        cmocka_unit_test(losers_are_tried_again),
        cmocka_unit_test(an_address_that_ends_at_once_comes_last),
        cmocka_unit_test(winner_is_lost),
        cmocka_unit_test(repeats_are_reported_once_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
