#include "tests/transport/world.h"
#include "tests/transport/carrier.h"
#include "tests/transport/host.h"
#include "tests/transport/stream.h"
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NS_PER_MS UINT64_C(1000000)

/* The longest wait for a condition; generous for sanitizers on busy machines. */
#define PATIENCE_MS 300000

#define EVENTS_MOST 64

#define PAGE_BYTES 4096

/* The number of ends that send from the arena, as the daemon does; others have their own memory. */
#define ARENA_SLABS 32

/* Memory that the transport may no longer use is overwritten with this. */
#define POISON 0xEE

uint64_t world_random(struct world *world, uint64_t below) {
    return stream_word(world->random++, 0) % below;
}

static size_t memory_bytes(const struct world_options *options) {
    return options->buffers * options->buffer_bytes + options->large_buffers * options->large_bytes;
}

/*
 * All faults that do not break connections, with delays so short that bytes arrive within the few
 * milliseconds that tests allow.
 */
static const struct sim_faults harmless_faults = {.delay_least_ns = 1000,
                                                  .delay_most_ns = 200000,
                                                  .clog = 20000,
                                                  .clog_most_ns = 2 * NS_PER_MS,
                                                  .shorten = 200000,
                                                  .early = 300000};

static void open_sim(struct world *world, uint64_t seed) {
    world->sim = sim_create(seed, seed ? &harmless_faults : &sim_faultless);
    sim_poll_waits(world->sim, true);
}

/* Receive buffers for every part, then slabs. */
static struct mux_room make_arena(struct engine *engine, size_t received_bytes) {
    size_t len = received_bytes + ARENA_SLABS * SEND_MOST_BYTES;
    engine->arena = aligned_alloc(PAGE_BYTES, len);
    assert_non_null(engine->arena);
    engine->slabs =
        (struct mux_room){engine->arena + received_bytes, ARENA_SLABS * SEND_MOST_BYTES};
    return (struct mux_room){engine->arena, len};
}

static void open_engine(struct world *world, struct engine *engine, const struct engine_kind *kind,
                        const struct world_options *options) {
    size_t received = (memory_bytes(options) + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    struct mux_room arena = make_arena(engine, received * (kind->parts_count + 1));
    struct transport_config config = {.memory = {arena.data, memory_bytes(options)},
                                      .buffer_bytes = options->buffer_bytes,
                                      .reserve_buffers = options->reserve_buffers,
                                      .large_bytes = options->large_bytes,
                                      .large_buffers = options->large_buffers,
                                      .conns_max = options->conns_max,
                                      .arena = arena,
                                      .engine_config = world->sim};
    struct transport_part parts[KIND_PARTS_MAX];
    for (unsigned i = 0; i < kind->parts_count; i++) {
        parts[i] = (struct transport_part){kind->parts[i].via, kind->parts[i].ops, config};
        parts[i].config.memory.data += (i + 1) * received;
    }
    config.parts = parts;
    config.parts_count = kind->parts_count;
    struct transport_failure failure = {0};
    engine->ops = kind->ops;
    engine->transport = kind->ops->init(&config, &failure);
    if (!engine->transport)
        fail_msg("init: %s: %s", failure.operation, strerror(failure.error));
}

struct world *world_open(void **state, struct world_options options) {
    const struct setup *setup = *state;
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    if (!options.buffers && !options.large_buffers) {
        options.large_buffers = 4;
        options.large_bytes = 65536;
    }
    options.buffers = options.buffers ? options.buffers : 64;
    options.reserve_buffers = options.reserve_buffers ? options.reserve_buffers : 32;
    options.buffer_bytes = options.buffer_bytes ? options.buffer_bytes : 16384;
    options.conns_max = options.conns_max ? options.conns_max : 64;
    world->carrier = setup->carrier;
    world->host = setup->host;
    world->random = 1 + setup->seed;
    world->events_most = EVENTS_MOST;
    world->near = &world->engines[0];
    world->far = options.one_engine ? world->near : &world->engines[1];
    if (!world->host->is_kernel)
        open_sim(world, setup->seed);
    open_engine(world, world->near, setup->kind, &options);
    if (!options.one_engine)
        open_engine(world, world->far, setup->kind->far ? setup->kind->far : setup->kind, &options);
    strcpy(world->directory, "/tmp/transport-test-XXXXXX");
    assert_non_null(mkdtemp(world->directory));
    return world;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where) {
    (void)st, (void)type, (void)where;
    return remove(path);
}

static void free_end(struct end *end) {
    free(end->spans);
    if (end->own_slab)
        free(end->slab);
    free(end->room);
    free(end);
}

static void close_engine(struct engine *engine) {
    if (!engine->transport)
        return;
    struct transport_event event;
    engine->ops->stop(engine->transport);
    assert_int_equal(engine->ops->poll(engine->transport, 0, &event, 1), 0);
    engine->ops->fini(engine->transport);
    free(engine->arena);
}

static bool all_closed(const struct world *world) {
    for (unsigned i = 0; i < world->ends_count; i++)
        if (!world->ends[i]->closed)
            return false;
    return true;
}

void world_close(struct world *world) {
    if (world->listener)
        transport_unlisten(world->listener);
    for (unsigned i = 0; i < world->ends_count; i++) {
        end_release_all(world->ends[i]);
        if (!world->ends[i]->closing)
            end_close(world->ends[i]);
    }
    WAIT(world, all_closed(world));
    world_run(world, 5); /* no event comes after CLOSED */
    close_engine(&world->engines[0]);
    close_engine(&world->engines[1]);
    if (world->sim)
        sim_destroy(world->sim);
    for (unsigned i = 0; i < world->ends_count; i++)
        free_end(world->ends[i]);
    nftw(world->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(world);
}

struct end *end_new(struct world *world, struct engine *engine, struct transport_conn *conn) {
    assert_true(world->ends_count < WORLD_ENDS_MAX);
    struct end *end = calloc(1, sizeof *end);
    assert_non_null(end);
    end->world = world;
    end->engine = engine;
    end->conn = conn;
    end->in_digest = DIGEST_START;
    end->out_seed = 1000 + world->ends_count;
    world->ends[world->ends_count++] = end;
    conn->user = end;
    return end;
}

static void make_memory(struct end *end) {
    if (end->slab)
        return;
    struct mux_room *slabs = &end->engine->slabs;
    end->own_slab = slabs->len == 0;
    end->slab = end->own_slab ? malloc(SEND_MOST_BYTES) : slabs->data;
    if (!end->own_slab)
        *slabs = (struct mux_room){slabs->data + SEND_MOST_BYTES, slabs->len - SEND_MOST_BYTES};
    end->spans = malloc(SPANS_MOST * sizeof *end->spans);
    assert_true(end->slab && end->spans);
}

/* Hands over the first `len` bytes of the slab, cut into spans; one in eight is empty. */
static void hand_over(struct end *end, size_t len, size_t span_most) {
    size_t most = end->engine->ops->caps(end->engine->transport)->gather_max;
    size_t count = 0, at = 0;
    while (at < len && count < most && count < SPANS_MOST) {
        size_t span = world_random(end->world, 8) ? 1 + world_random(end->world, span_most) : 0;
        if (span > len - at)
            span = len - at;
        end->spans[count++] = mux_span(end->slab + at, span);
        at += span;
    }
    end->gather = (struct mux_gather){end->spans, count, at};
    end->out_handed += at;
    end->sending = true;
    transport_send(end->conn, &end->gather);
}

static void send_next(struct end *end) {
    uint64_t left = end->out_total - end->out_handed;
    if (left == 0) {
        if (end->finish_at_end && !end->closing)
            end_finish(end);
        return;
    }
    size_t len = 1 + world_random(end->world, end->send_most);
    len = len < left ? len : (size_t)left;
    stream_fill(end->out_seed, end->out_handed, end->slab, len);
    hand_over(end, len, end->span_most);
}

void end_send(struct end *end, uint64_t total_bytes, size_t send_most, size_t span_most) {
    assert_true(send_most <= SEND_MOST_BYTES && !end->sending);
    make_memory(end);
    end->out_total = end->out_handed + total_bytes;
    end->send_most = send_most;
    end->span_most = span_most;
    send_next(end);
}

void end_send_spans(struct end *end, size_t count, size_t span_bytes) {
    assert_true(count <= SPANS_MOST && count * span_bytes <= SEND_MOST_BYTES && !end->sending);
    make_memory(end);
    stream_fill(end->out_seed, end->out_handed, end->slab, count * span_bytes);
    for (size_t i = 0; i < count; i++)
        end->spans[i] = mux_span(end->slab + i * span_bytes, span_bytes);
    end->gather = (struct mux_gather){end->spans, count, count * span_bytes};
    end->out_handed += end->gather.len_bytes;
    end->out_total = end->out_handed;
    end->sending = true;
    transport_send(end->conn, &end->gather);
}

void end_receive(struct end *end, bool on) {
    transport_receive(end->conn, on);
}

void end_offer(struct end *end, size_t len) {
    free(end->room);
    end->room = malloc(len);
    assert_non_null(end->room);
    end->room_len = len;
    end->room_filled = 0;
    transport_receive_into(end->conn, (struct mux_room){end->room, len});
}

void end_release(struct end *end) {
    assert_true(end->held_count > 0);
    struct mux_buffer *buffer = end->held[0];
    memmove(end->held, end->held + 1, --end->held_count * sizeof *end->held);
    memset(buffer->data, POISON, buffer->size_bytes);
    mux_buffer_release(buffer);
}

void end_release_all(struct end *end) {
    while (end->held_count > 0)
        end_release(end);
}

void end_finish(struct end *end) {
    transport_finish(end->conn);
}

void end_close(struct end *end) {
    assert_false(end->closing);
    end->closing = true;
    transport_close(end->conn);
}

/* The memory of the send is free: a late reader gets wrong bytes. */
static void forget_send(struct end *end) {
    assert_true(end->sending);
    end->sending = false;
    memset(end->slab, POISON, end->gather.len_bytes);
    memset(end->spans, POISON, end->gather.count * sizeof *end->spans);
}

static void on_received(struct end *end, const struct transport_event *event) {
    assert_false(end->ended);
    assert_true(event->bytes.len > 0);
    end->in_events++;
    end->in_bytes += event->bytes.len;
    end->in_digest = digest(end->in_digest, event->bytes.data, event->bytes.len);
    if (!event->buffer) {
        assert_non_null(end->room);
        assert_ptr_equal(event->bytes.data, end->room);
        assert_int_equal(end->room_filled, 0); /* filled only once */
        end->room_filled = event->bytes.len;
        assert_true(end->room_filled <= end->room_len);
        return;
    }
    const struct mux_buffer *buffer = event->buffer;
    end->in_buffer_bytes = buffer->size_bytes;
    if (event->bytes.len > end->in_most_bytes)
        end->in_most_bytes = event->bytes.len;
    assert_true(event->bytes.data >= buffer->data &&
                event->bytes.data + event->bytes.len <= buffer->data + buffer->size_bytes);
    assert_int_equal(buffer->holders, 1);
    if (end->room && end->room_filled == 0) {
        end->lapsed++;
        free(end->room);
        end->room = NULL;
    }
    assert_true(end->held_count < END_HELD_MAX);
    end->held[end->held_count++] = event->buffer;
    if (!end->hold || end->closing)
        end_release_all(end);
}

static void on_sent(struct end *end) {
    forget_send(end);
    end->out_sent = end->out_handed;
    if (!end->closing)
        send_next(end);
}

static void on_lost(struct end *end, const struct transport_event *event) {
    assert_false(end->lost);
    assert_true(event->error > 0);
    assert_non_null(event->operation);
    end->lost = true;
    end->error = event->error;
    end->operation = event->operation;
}

static void on_closed(struct end *end, const struct transport_event *event) {
    assert_true(end->closing);
    end->closed = true;
    end->closed_sent_bytes = event->sent_bytes;
    end->in_doubt_bytes = event->in_doubt_bytes;
    if (!end->sending) {
        assert_true(event->sent_bytes == 0);
        return;
    }
    assert_true(event->sent_bytes <= end->gather.len_bytes);
    forget_send(end);
}

static void handle_conn(struct end *end, const struct transport_event *event) {
    assert_non_null(end);
    assert_false(end->closed);
    assert_ptr_equal(end->conn, event->conn);
    assert_true(!end->lost || event->kind == TRANSPORT_CLOSED);
    switch (event->kind) {
    case TRANSPORT_CONNECTED:
        assert_false(end->connected);
        end->connected = true;
        break;
    case TRANSPORT_RECEIVED:
        on_received(end, event);
        break;
    case TRANSPORT_STARVED:
        end->starved_count++;
        break;
    case TRANSPORT_ENDED:
        assert_false(end->ended);
        end->ended = true;
        break;
    case TRANSPORT_SENT:
        on_sent(end);
        break;
    case TRANSPORT_LOST:
        on_lost(end, event);
        break;
    case TRANSPORT_CLOSED:
        on_closed(end, event);
        break;
    default:
        fail_msg("unexpected event %d", event->kind);
    }
}

void watch_start(struct watched *watched, struct world *world, int fd,
                 void (*readable)(struct watched *watched)) {
    struct engine *engine = world->near;
    struct transport_failure failure = {0};
    *watched = (struct watched){.world = world, .engine = engine, .fd = fd, .readable = readable};
    watched->watch = engine->ops->watch(engine->transport, fd, watched, &failure);
    if (!watched->watch)
        fail_msg("watch: %s: %s", failure.operation, strerror(failure.error));
    assert_ptr_equal(watched->watch->user, watched);
}

void watch_stop(struct watched *watched) {
    watched->engine->ops->unwatch(watched->engine->transport, watched->watch);
    assert_null(watched->watch->user); /* until the next poll() */
    watched->watch = NULL;
}

static void handle_readable(struct engine *engine, const struct transport_event *event) {
    struct watched *watched = event->watch->user;
    if (!watched)
        return; /* the handler of an earlier event ended it */
    assert_ptr_equal(watched->watch, event->watch);
    assert_ptr_equal(watched->engine, engine);
    watched->events++;
    if (watched->readable)
        watched->readable(watched);
}

static void handle(struct world *world, struct engine *engine,
                   const struct transport_event *event) {
    if (event->kind == TRANSPORT_ACCEPTED) {
        assert_ptr_equal(event->listener, world->listener);
        assert_ptr_equal(event->listener->user, world);
        assert_null(event->conn->user);
        struct end *end = end_new(world, engine, event->conn);
        end->connected = true;
        engine->accepted[engine->accepted_count++] = end;
    } else if (event->kind == TRANSPORT_REFUSED) {
        assert_ptr_equal(event->listener, world->listener);
        engine->refused_count++;
        engine->refused_error = event->error;
    } else if (event->kind == TRANSPORT_READABLE) {
        handle_readable(engine, event);
    } else {
        handle_conn(event->conn->user, event);
    }
}

static unsigned step_engine(struct world *world, struct engine *engine, uint64_t deadline_ns) {
    struct transport_event events[EVENTS_MOST];
    if (!engine->transport)
        return 0;
    unsigned count = engine->ops->poll(engine->transport, deadline_ns, events, world->events_most);
    assert_true(count <= world->events_most);
    for (unsigned i = 0; i < count; i++)
        handle(world, engine, &events[i]);
    return count;
}

void world_step(struct world *world) {
    unsigned count =
        step_engine(world, &world->engines[0], 0) + step_engine(world, &world->engines[1], 0);
    if (count == 0)
        step_engine(world, world->near,
                    world->near->ops->now_ns(world->near->transport) + NS_PER_MS);
}

static uint64_t after_ms(const struct world *world, unsigned ms) {
    return world->near->ops->now_ns(world->near->transport) + ms * NS_PER_MS;
}

uint64_t world_deadline_ns(const struct world *world) {
    return after_ms(world, PATIENCE_MS);
}

void world_step_before(struct world *world, uint64_t deadline_ns, const char *condition,
                       const char *file, int line) {
    if (after_ms(world, 0) > deadline_ns) {
        print_error("no longer waiting for: %s\n", condition);
        _fail(file, line);
    }
    world_step(world);
}

void world_run(struct world *world, unsigned ms) {
    uint64_t until_ns = after_ms(world, ms);
    while (after_ms(world, 0) < until_ns)
        world_step(world);
}

/* The digest of the first `len` bytes of a stream. */
static uint64_t stream_digest(uint64_t seed, uint64_t len) {
    uint8_t part[4096];
    uint64_t state = DIGEST_START;
    for (uint64_t at = 0; at < len; at += sizeof part) {
        size_t now = len - at < sizeof part ? (size_t)(len - at) : sizeof part;
        stream_fill(seed, at, part, now);
        state = digest(state, part, now);
    }
    return state;
}

void assert_received_prefix(const struct end *end, const struct end *from) {
    assert_true(end->in_bytes <= from->out_handed);
    assert_true(end->in_digest == stream_digest(from->out_seed, end->in_bytes));
}

void assert_received_all(const struct end *end, const struct end *from) {
    assert_int_equal(end->in_bytes, from->out_total);
    assert_received_prefix(end, from);
}
