/* test_loop ENGINE: the loop over one engine, with several services on it. */
#include "tests/base/rig.h"

#include <errno.h>
#include <string.h>

#define NS_PER_MS UINT64_C(1000000)
#define HOUR_NS (3600 * 1000 * NS_PER_MS)

static const char *engine_name;
static struct rig rig;

static int setup(void **state) {
    (void)state;
    rig_open(&rig, engine_name);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    rig_close(&rig);
    return 0;
}

/*
 * ---- services: each answers a request with its name ----
 */

struct service {
    struct loop_handler listening, serving;
    const char *name;
    struct transport_listener *listener;
    struct transport_address address;
    struct transport_conn *conn;
    unsigned accepted, received, closed;
    struct mux_span answer;
    struct mux_gather gather;
};

static struct service *service_of(struct loop_handler *handler, size_t offset) {
    return (struct service *)(void *)((char *)handler - offset);
}

static void accepted(struct loop_handler *handler, const struct transport_event *event,
                     uint64_t now_ns) {
    struct service *service = service_of(handler, offsetof(struct service, listening));
    (void)now_ns;
    assert_int_equal(event->kind, TRANSPORT_ACCEPTED);
    assert_ptr_equal(event->listener, service->listener);
    service->accepted++;
    service->conn = event->conn;
    loop_own(event->conn, &service->serving);
    transport_receive(event->conn, true);
}

static void serve(struct loop_handler *handler, const struct transport_event *event,
                  uint64_t now_ns) {
    struct service *service = service_of(handler, offsetof(struct service, serving));
    (void)now_ns;
    assert_ptr_equal(event->conn, service->conn);
    if (event->kind == TRANSPORT_RECEIVED) {
        service->received++;
        mux_buffer_release(event->buffer);
        service->answer = mux_span_text(service->name);
        service->gather = (struct mux_gather){&service->answer, 1, service->answer.len};
        transport_send(event->conn, &service->gather);
    } else if (event->kind == TRANSPORT_ENDED) {
        transport_close(event->conn);
    }
    service->closed += event->kind == TRANSPORT_CLOSED;
}

static void service_start(struct service *service, const char *name) {
    struct transport_failure failure;
    struct transport_address address = rig_loopback();
    *service = (struct service){.listening = {accepted}, .serving = {serve}, .name = name};
    service->listener =
        loop_listen(&rig.loop, &address, &service->listening, &service->address, &failure);
    assert_non_null(service->listener);
}

struct client {
    struct loop_handler base;
    struct transport_conn *conn;
    struct mux_span asked;
    struct mux_gather gather;
    char answer[32];
    size_t answer_len;
    bool closed, lost, ended;
};

static void asks(struct loop_handler *handler, const struct transport_event *event,
                 uint64_t now_ns) {
    struct client *client = (struct client *)handler;
    (void)now_ns;
    switch (event->kind) {
    case TRANSPORT_CONNECTED:
        transport_receive(event->conn, true);
        transport_send(event->conn, &client->gather);
        break;
    case TRANSPORT_RECEIVED:
        memcpy(client->answer + client->answer_len, event->bytes.data, event->bytes.len);
        client->answer_len += event->bytes.len;
        mux_buffer_release(event->buffer);
        break;
    case TRANSPORT_CLOSED:
        client->closed = true;
        break;
    case TRANSPORT_LOST:
        client->lost = true;
        break;
    case TRANSPORT_ENDED:
        client->ended = true;
        break;
    default:
        assert_int_equal(event->kind, TRANSPORT_SENT);
    }
}

static void client_start(struct client *client, const struct service *service) {
    struct transport_failure failure;
    *client = (struct client){.base = {asks}, .asked = mux_span_text("?")};
    client->gather = (struct mux_gather){&client->asked, 1, 1};
    client->conn = loop_connect(&rig.loop, &service->address, &client->base, &failure);
    assert_non_null(client->conn);
}

static void services_have_their_own_events(void **state) {
    struct service services[2];
    struct client clients[2];
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        service_start(&services[i], i ? "the other" : "one");
        client_start(&clients[i], &services[i]);
    }
    for (unsigned i = 0; i < 2; i++) {
        STEP_UNTIL(&rig, clients[i].answer_len == strlen(services[i].name));
        assert_memory_equal(clients[i].answer, services[i].name, clients[i].answer_len);
        transport_close(clients[i].conn);
        STEP_UNTIL(&rig, clients[i].closed && services[i].closed);
        assert_int_equal(services[i].accepted, 1);
        assert_int_equal(services[i].received, 1);
        transport_unlisten(services[i].listener);
    }
}

/* A listener is closed while its ACCEPTED event for a connection is still to be handled. */
static void close_both(struct loop_handler *handler, const struct transport_event *event,
                       uint64_t now_ns) {
    struct service *service = service_of(handler, offsetof(struct service, listening));
    accepted(handler, event, now_ns);
    transport_unlisten(service->listener);
    service->listener = NULL;
}

static void orphaned_connections_are_closed(void **state) {
    struct service service;
    struct client clients[4];
    unsigned answered = 0;
    (void)state;
    service_start(&service, "one");
    service.listening.handle = close_both;
    for (unsigned i = 0; i < 4; i++)
        client_start(&clients[i], &service);
    STEP_UNTIL(&rig, !service.listener);
    assert_int_equal(service.accepted, 1);
    for (unsigned i = 0; i < 4; i++) {
        struct client *client = &clients[i];
        STEP_UNTIL(&rig, client->answer_len == 3 || client->lost || client->ended);
        answered += client->answer_len == 3;
        transport_close(client->conn);
        STEP_UNTIL(&rig, client->closed);
    }
    assert_int_equal(answered, 1);
    STEP_UNTIL(&rig, service.closed && rig.loop.orphans == 0);
}

/*
 * ---- timers ----
 */

struct alarm {
    struct timer timer;
    unsigned rings;
    uint64_t rung_ns;
    uint64_t every_ns; /* 0: once */
};

static void ring(struct timer *timer, uint64_t now_ns) {
    struct alarm *alarm = (struct alarm *)timer;
    assert_true(now_ns >= timer->at_ns);
    alarm->rings++;
    alarm->rung_ns = now_ns;
    if (alarm->every_ns)
        loop_at(&rig.loop, timer, now_ns + alarm->every_ns);
}

static void timers_wake_the_loop(void **state) {
    struct alarm late = {.timer = {ring}}, soon = {.timer = {ring}}, never = {.timer = {ring}};
    struct alarm often = {.timer = {ring}, .every_ns = NS_PER_MS};
    uint64_t now_ns = loop_now_ns(&rig.loop);
    (void)state;
    loop_at(&rig.loop, &late.timer, now_ns + 30 * NS_PER_MS);
    loop_at(&rig.loop, &never.timer, now_ns + 10 * NS_PER_MS);
    loop_at(&rig.loop, &soon.timer, now_ns + 20 * NS_PER_MS);
    loop_at(&rig.loop, &often.timer, now_ns);
    loop_cancel(&rig.loop, &never.timer);
    STEP_UNTIL(&rig, late.rings);
    assert_int_equal(late.rings, 1);
    assert_int_equal(soon.rings, 1);
    assert_true(soon.rung_ns <= late.rung_ns);
    assert_int_equal(never.rings, 0);
    assert_true(often.rings >= 2);
    loop_cancel(&rig.loop, &often.timer);
}

/* In the simulator an hour passes at once. */
static void timers_follow_the_clock(void **state) {
    struct alarm alarm = {.timer = {ring}};
    uint64_t now_ns = loop_now_ns(&rig.loop);
    uint64_t wait_ns = rig.sim ? HOUR_NS : NS_PER_MS;
    (void)state;
    loop_at(&rig.loop, &alarm.timer, now_ns + wait_ns);
    STEP_UNTIL(&rig, alarm.rings);
    assert_true(alarm.rung_ns >= now_ns + wait_ns);
    assert_true(loop_now_ns(&rig.loop) >= alarm.rung_ns);
}

/*
 * ---- watched descriptors ----
 */

struct watched {
    struct loop_handler base;
    struct transport_watch *watch;
    int fds[2];
    unsigned events;
    size_t read_bytes;
    struct watched *stops; /* the watch that the handler ends; NULL: it reads */
};

static void readable(struct loop_handler *handler, const struct transport_event *event,
                     uint64_t now_ns) {
    struct watched *watched = (struct watched *)handler;
    char bytes[16];
    (void)now_ns;
    assert_int_equal(event->kind, TRANSPORT_READABLE);
    assert_ptr_equal(event->watch, watched->watch);
    watched->events++;
    watched->read_bytes += rig_read(&rig, watched->fds[0], bytes, sizeof bytes);
    if (watched->stops && watched->stops->watch) {
        loop_unwatch(&rig.loop, watched->stops->watch);
        watched->stops->watch = NULL;
    }
}

static void watch_start(struct watched *watched) {
    struct transport_failure failure;
    *watched = (struct watched){.base = {readable}};
    rig_pipe(&rig, watched->fds);
    watched->watch = loop_watch(&rig.loop, watched->fds[0], &watched->base, &failure);
    assert_non_null(watched->watch);
}

static void watch_end(struct watched *watched) {
    if (watched->watch)
        loop_unwatch(&rig.loop, watched->watch);
    rig_close_fd(&rig, watched->fds[0]);
    rig_close_fd(&rig, watched->fds[1]);
}

/* The handler of either event ends the other's watch: that event is then skipped. */
static void watches_reach_their_handlers(void **state) {
    struct watched watched[2];
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        watch_start(&watched[i]);
        rig_write(&rig, watched[i].fds[1], i ? "second" : "first");
    }
    STEP_UNTIL(&rig, watched[0].read_bytes == 5 && watched[1].read_bytes == 6);
    unsigned events[2] = {watched[0].events, watched[1].events};
    for (unsigned i = 0; i < 2; i++) {
        watched[i].stops = &watched[!i];
        rig_write(&rig, watched[i].fds[1], "x");
    }
    STEP_UNTIL(&rig, !watched[0].watch || !watched[1].watch);
    struct alarm alarm = {.timer = {ring}};
    loop_at(&rig.loop, &alarm.timer, loop_now_ns(&rig.loop) + 5 * NS_PER_MS);
    STEP_UNTIL(&rig, alarm.rings);
    unsigned gone = watched[0].watch ? 1 : 0;
    assert_int_equal(watched[gone].events, events[gone]);
    assert_true(watched[!gone].events > events[!gone]);
    watch_end(&watched[0]);
    watch_end(&watched[1]);
}

/*
 * ---- clients ----
 */

struct worker {
    struct loop_client base;
    uint64_t deadline_ns;
    unsigned works;
    uint64_t worked_ns;
    unsigned leaves_at; /* removes itself at this call of work(); 0: never */
};

static uint64_t worker_deadline_ns(const struct loop_client *client) {
    return ((const struct worker *)client)->deadline_ns;
}

static void worker_work(struct loop_client *client, uint64_t now_ns) {
    struct worker *worker = (struct worker *)client;
    worker->works++;
    worker->worked_ns = now_ns;
    if (worker->works == worker->leaves_at)
        loop_leave(client);
}

static void clients_work_after_each_poll(void **state) {
    struct worker workers[2];
    uint64_t begin_ns = loop_now_ns(&rig.loop);
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        workers[i] =
            (struct worker){.base = {.deadline_ns = worker_deadline_ns, .work = worker_work},
                            .deadline_ns = UINT64_MAX};
        loop_join(&rig.loop, &workers[i].base);
    }
    workers[1].deadline_ns = begin_ns + 10 * NS_PER_MS;
    STEP_UNTIL(&rig, workers[1].worked_ns >= workers[1].deadline_ns);
    assert_int_equal(workers[0].works, workers[1].works);
    workers[1].deadline_ns = 0; /* due at once */
    workers[0].leaves_at = workers[0].works + 1;
    loop_step(&rig.loop);
    loop_step(&rig.loop);
    assert_int_equal(workers[0].works, workers[0].leaves_at);
    assert_int_equal(workers[1].works, workers[0].works + 1);
    loop_leave(&workers[1].base);
    assert_true(mux_list_empty(&rig.loop.clients));
}

/* A timer that a handler sets to the current time runs in the same step. */
static void set_to_now(struct loop_handler *handler, const struct transport_event *event,
                       uint64_t now_ns) {
    static struct alarm alarm;
    readable(handler, event, now_ns);
    alarm = (struct alarm){.timer = {ring}};
    loop_at(&rig.loop, &alarm.timer, now_ns);
}

static void timers_run_after_the_events(void **state) {
    struct watched watched;
    (void)state;
    watch_start(&watched);
    watched.base.handle = set_to_now;
    rig_write(&rig, watched.fds[1], "x");
    STEP_UNTIL(&rig, watched.events);
    assert_int_equal(timers_next_ns(&rig.loop.timers), UINT64_MAX);
    watch_end(&watched);
}

#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        LOOP_TEST(services_have_their_own_events), LOOP_TEST(orphaned_connections_are_closed),
        LOOP_TEST(timers_wake_the_loop),           LOOP_TEST(timers_follow_the_clock),
        LOOP_TEST(watches_reach_their_handlers),   LOOP_TEST(clients_work_after_each_poll),
        LOOP_TEST(timers_run_after_the_events),
    };
    if (argc != 2)
        return 2;
    engine_name = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
