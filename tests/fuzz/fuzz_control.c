/*
 * The control socket: any bytes from its clients (questions, views, orders, input of who is
 * attached) beside any packets from workers. Each line of an answer is JSON; behind the answer to a
 * view come packets; every client is served to its end; nothing is lent or open afterwards.
 *
 * Input: a script. Each step is a byte, whose low bits say who acts and what it does, and what it
 * sends.
 */
#include "tests/fuzz/fuzz.h"

#include "mux/packet/framer.h"
#include "tools/node/control.h"
#include "transport/sim/sim.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdlib.h>

#define BUFFER_BYTES 16384u
#define BUFFERS 24u
#define RECEIVE_BYTES ((size_t)BUFFERS * BUFFER_BYTES)
#define PAGE_BYTES 4096u
#define CLIENTS 6u
#define WORKERS 2u
#define STEPS_MOST 100u
#define STEP_NS UINT64_C(1000000)

enum act { ACT_SEND, ACT_FINISH, ACT_CLOSE, ACT_READ, ACT_WAIT, ACT_WORKER, ACT_LINE, ACT_PACKET };

/* What a client has been told so far. */
struct client {
    struct sim_end *end; /* NULL: it is not connected */
    uint8_t *bytes;
    size_t len, room;
};

struct place {
    struct sim *sim;
    struct transport *transport;
    struct loop loop;
    struct node *node;
    struct orders orders;
    struct control *control;
    struct transport_address workers_at, clients_at;
    struct transport_listener *listener;
    struct client clients[CLIENTS];
    struct sim_end *workers[WORKERS];
};

/*
 * ---- the node ----
 */

static void say(void *user, const char *line) {
    (void)user, (void)line;
}

static bool allowed(void *user, const struct transport_peer *peer) {
    (void)user, (void)peer;
    return true;
}

static bool drop(void *user, const char *segment, const struct mux_packet *packet) {
    (void)user, (void)segment, (void)packet;
    return true;
}

static void stop_listening(void *user) {
    struct place *place = user;
    if (place->listener)
        transport_unlisten(place->listener);
    place->listener = NULL;
}

static struct transport_address address(void) {
    struct transport_address address = {.len = sizeof(struct sockaddr_in)};
    address.in4.sin_family = AF_INET;
    address.in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* The same for each input: to take it anew would cost more than all else. */
static _Alignas(PAGE_BYTES) uint8_t memory[RECEIVE_BYTES + MUX_MEMORY_MIN_BYTES];

static void make_transport(struct place *place) {
    struct transport_failure failure;
    const struct transport_config config = {.memory = {memory, RECEIVE_BYTES},
                                            .buffer_bytes = BUFFER_BYTES,
                                            .reserve_buffers = 4,
                                            .conns_max = 2 * CONTROL_CONNS_MAX,
                                            .engine_config = place->sim};
    place->transport = transport_sim.init(&config, &failure);
    assert(place->transport);
    loop_init(&place->loop, &transport_sim, place->transport);
}

static void make_node(struct place *place) {
    struct transport_failure failure;
    const struct transport_address any = address();
    struct node_config config = {
        .loop = &place->loop,
        .mux = {.memory = {memory + RECEIVE_BYTES, MUX_MEMORY_MIN_BYTES},
                .links_max = 8,
                .hash_key = 1},
        .upstream_text = "nobody",
        .user = place,
        .log = say,
        .sink = drop,
        .stop_listening = stop_listening,
        .allowed = allowed,
    };
    mux_hello_init(&config.mux.hello, "1", "node");
    orders_init(&place->orders, &(struct orders_config){.loop = &place->loop});
    place->node = node_create(&config);
    assert(place->node);
    orders_open(&place->orders, place->node);
    place->listener =
        loop_listen(&place->loop, &any, node_listening(place->node), &place->workers_at, &failure);
    assert(place->listener);
    place->clients_at = any;
    place->clients_at.in4.sin_port = htons(77);
    const struct control_config control = {.loop = &place->loop,
                                           .node = place->node,
                                           .orders = &place->orders,
                                           .version = "1",
                                           .address = &place->clients_at};
    place->control = control_open(&control, &failure);
    assert(place->control);
}

/* At first a step: what was called since the last one may have made work. */
static void run(struct place *place, uint64_t ns) {
    uint64_t until_ns = sim_now_ns(place->sim) + ns;
    loop_step(&place->loop);
    for (unsigned i = 0; i < STEPS_MOST && sim_now_ns(place->sim) < until_ns; i++)
        if (sim_due(place->transport))
            loop_step(&place->loop);
        else
            sim_advance(place->sim, until_ns);
}

/*
 * ---- clients ----
 */

static void keep(struct client *client, const uint8_t *bytes, size_t len) {
    if (client->len + len > client->room) {
        client->room = 2 * (client->len + len);
        client->bytes = realloc(client->bytes, client->room);
        assert(client->bytes);
    }
    memcpy(client->bytes + client->len, bytes, len);
    client->len += len;
}

static void read_all(struct client *client) {
    uint8_t bytes[4096];
    ssize_t got;
    while (client->end && (got = sim_read(client->end, bytes, sizeof bytes)) > 0)
        keep(client, bytes, (size_t)got);
}

/* Whole packets, and the beginning of one. */
static void check_packets(const uint8_t *bytes, size_t len) {
    static uint8_t store[MUX_STORE_MAX_BYTES];
    struct mux_framer framer;
    struct mux_frame frame;
    mux_framer_init(&framer, (struct mux_room){store, sizeof store});
    mux_framer_feed(&framer, mux_span(bytes, len));
    while (mux_framer_next(&framer, &frame), frame.kind != MUX_FRAME_NONE) {
        assert(frame.kind == MUX_FRAME_PACKET || frame.kind == MUX_FRAME_STORE);
        if (frame.kind == MUX_FRAME_STORE)
            mux_framer_move(&framer, framer.store);
    }
}

static void check_client(const struct client *client) {
    size_t at = 0;
    const uint8_t *end;
    bool is_view = false;
    while (!is_view && at < client->len &&
           (end = memchr(client->bytes + at, '\n', client->len - at))) {
        size_t len = (size_t)(end - client->bytes) - at;
        json_t *line =
            json_loadb((const char *)client->bytes + at, len, JSON_REJECT_DUPLICATES, NULL);
        assert(json_is_object(line));
        is_view = json_object_get(line, "view") != NULL;
        json_decref(line);
        at += len + 1;
    }
    if (is_view)
        check_packets(client->bytes + at, client->len - at);
}

static void leave(struct client *client) {
    read_all(client);
    if (client->end)
        sim_close(client->end);
    client->end = NULL;
    if (client->len)
        check_client(client);
    free(client->bytes);
    client->bytes = NULL;
    client->len = client->room = 0;
}

/*
 * ---- the script ----
 */

static void write_to(struct sim_end *end, struct mux_span bytes) {
    ssize_t ignored = sim_write(end, bytes.data, bytes.len);
    (void)ignored;
}

/* A request that gets past the first look. */
static void write_line(struct client *client, struct script *script) {
    static const char *const words[] = {"status",     "links",      "counters",     "tail 9 ",
                                        "attach 99 ", "drain ",     "undrain ",     "kick ",
                                        "stop ",      "attach 0 0", "drain 0/",     "tail 9 *",
                                        "kick 0",     "stop .",     "attach 1 0/1", "drain ."};
    const char *word = words[script_byte(script) % 16];
    write_to(client->end, mux_span_text(word));
    write_to(client->end, script_take(script, script_byte(script) % 8));
    write_to(client->end, mux_span_text("\n"));
}

/* Whole, so that it gets past the framer. */
static void write_packet(struct sim_end *end, struct script *script) {
    static const char *const files[] = {"stdin",       "muxd.window", "muxd.control", "muxd.want",
                                        "muxd.writer", "stdout",      "muxd",         "muxd.exit"};
    static const char *const texts[] = {
        "{\"v\":1,\"state\":\"done\",\"do\":\"drain\",\"id\":\"5f\",\"draining\":true}",
        "{\"v\":1,\"do\":\"stop\"}", "{\"v\":1,\"state\":\"news\",\"draining\":true}",
        "{\"v\":1,\"draining\":true,\"slots_draining\":[\"0\",\"x\",7]}"};
    uint8_t bytes[1024], choice = script_byte(script);
    size_t written;
    struct mux_packet packet = {.runnable = choice & 1,
                                .eof = choice & 2,
                                .file_name = mux_span_text(files[(choice >> 2) % 8]),
                                .file_content = script_take(script, script_byte(script))};
    if (choice & 32)
        packet.route = mux_span_text("1");
    if (choice & 64)
        packet.file_content = mux_span_text(texts[choice >> 7 | (choice & 2)]);
    if (!mux_packet_encode(&packet, bytes, sizeof bytes, &written))
        write_to(end, mux_span(bytes, written));
}

static void connect_to(struct place *place, struct sim_end **end,
                       const struct transport_address *to) {
    if (!*end)
        *end = sim_connect(place->sim, to);
    run(place, STEP_NS);
}

static void act(struct place *place, struct script *script) {
    uint8_t what = script_byte(script);
    struct client *client = &place->clients[(what >> 3) % CLIENTS];
    struct sim_end **worker = &place->workers[(what >> 3) % WORKERS];
    enum act kind = (enum act)(what & 7);
    if (kind == ACT_WORKER)
        connect_to(place, worker, &place->workers_at);
    else
        connect_to(place, &client->end, &place->clients_at);
    switch (kind) {
    case ACT_SEND:
        write_to(client->end, script_take(script, script_byte(script)));
        break;
    case ACT_FINISH:
        sim_finish(client->end);
        break;
    case ACT_CLOSE:
        leave(client);
        break;
    case ACT_READ:
        read_all(client);
        break;
    case ACT_WAIT:
        run(place, STEP_NS << (script_byte(script) % 14));
        break;
    case ACT_WORKER:
        write_packet(*worker, script);
        break;
    case ACT_LINE:
        write_line(client, script);
        break;
    case ACT_PACKET:
        write_packet(client->end, script);
        break;
    }
    run(place, STEP_NS);
}

/*
 * ---- the end ----
 */

static void end_all(struct place *place) {
    for (unsigned i = 0; i < CLIENTS; i++)
        leave(&place->clients[i]);
    for (unsigned i = 0; i < WORKERS; i++)
        if (place->workers[i])
            sim_close(place->workers[i]);
    node_terminate(place->node, true);
    control_close(place->control);
    for (unsigned i = 0; i < 100 && (!node_has_ended(place->node) || place->loop.orphans ||
                                     !control_is_closed(place->control));
         i++)
        run(place, STEP_NS);
    assert(node_has_ended(place->node) && control_is_closed(place->control));
    control_destroy(place->control);
    node_destroy(place->node);
    assert(sim_lent(place->transport) == 0);
    transport_sim.stop(place->transport);
    transport_sim.fini(place->transport);
    sim_destroy(place->sim);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct script script = {mux_span(data, size)};
    static struct place place;
    place = (struct place){.sim = sim_create(1, &sim_faultless)};
    make_transport(&place);
    make_node(&place);
    while (script.rest.len > 0)
        act(&place, &script);
    end_all(&place);
    return 0;
}
