/* Making and ending a mux, its messages, and mux_run(). */
#include "mux/node/mux_internal.h"
#include "mux/packet/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define LINE_BYTES 512

#define NS_PER_MS 1000000u

/* A peer can provoke messages: this many a second, and a burst. */
#define MESSAGES_PER_SECOND 10
#define MESSAGES_BURST 20

/* The same for log lines about damage; the owner may write fewer. */
#define DAMAGE_LINES_PER_SECOND 20
#define DAMAGE_LINES_BURST 100

void mux_log(struct mux *mux, const char *format, ...) {
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    mux->config.log(mux->config.user, line);
}

/* False: there is no room for it. */
static bool send_message(struct mux *mux, enum mux_status status, const char *reason) {
    struct mux_span none = mux_span(NULL, 0);
    struct mux_pieces pieces;
    struct mux_packet packet;
    mux_report_message_event(status, mux_span_text(reason), none, none, &packet);
    mux_clock_change_own(mux, &packet);
    if (mux->config.sink) {
        if (!mux_up_has_room(mux) || !mux_sink_offer(mux, NULL, &packet))
            return false;
        mux_count_forwarded(mux, 1, 0, 0);
        return true;
    }
    /* a batch that has no room for another frame mostly has room for some messages */
    if (!mux_up_has_room_for(mux, 2 * LINE_BYTES))
        return false;
    enum mux_error error = mux_packet_gather(&packet, &pieces);
    assert(!error);
    (void)error;
    mux_up_add(mux, &pieces);
    return true;
}

void mux_message(struct mux *mux, enum mux_status status, uint64_t now_ns, const char *format,
                 ...) {
    char reason[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    mux_log(mux, "%s", reason);
    mux_output_message(mux, status, reason);
    if (mux_limiter_allow(&mux->messages, now_ns) && send_message(mux, status, reason))
        MUX_COUNT(&mux->counters, messages, 1);
    else
        MUX_COUNT(&mux->counters, messages_suppressed, 1);
}

void mux_input_append(struct mux *mux, struct mux_inputs *inputs, struct mux_buffer *buffer,
                      struct mux_span bytes) {
    struct mux_input *input = mux->free_inputs;
    assert(input && bytes.len <= mux->config.input_bytes_max);
    mux->free_inputs = input->next;
    mux->inputs_used++;
    *input = (struct mux_input){buffer, bytes, NULL};
    if (inputs->last)
        inputs->last->next = input;
    else
        inputs->first = input;
    inputs->last = input;
    inputs->count++;
}

static void drop_first(struct mux *mux, struct mux_inputs *inputs) {
    struct mux_input *input = inputs->first;
    inputs->first = input->next;
    if (!inputs->first)
        inputs->last = NULL;
    inputs->count--;
    inputs->feeding = false;
    mux_buffer_release(input->buffer);
    input->next = mux->free_inputs;
    mux->free_inputs = input;
    mux->inputs_used--;
}

bool mux_input_next(struct mux *mux, struct mux_inputs *inputs, struct mux_framer *framer) {
    if (inputs->feeding)
        drop_first(mux, inputs);
    if (!inputs->first)
        return false;
    mux_framer_feed(framer, inputs->first->bytes);
    inputs->feeding = true;
    return true;
}

uint64_t mux_inputs_bytes(const struct mux_inputs *inputs) {
    const struct mux_input *input = inputs->first;
    uint64_t bytes = 0;
    if (input && inputs->feeding)
        input = input->next;
    for (; input; input = input->next)
        bytes += input->bytes.len;
    return bytes;
}

void mux_inputs_drop(struct mux *mux, struct mux_inputs *inputs) {
    while (inputs->first)
        drop_first(mux, inputs);
}

/*
 * How config.memory is divided. The way down's store and one large slot are always there. A twelfth
 * of the rest is for the way down: with 96 MiB or more the largest packet fits into what it may use
 * of that. A third is for middle slots, or less if no large slot would be left; the others are
 * large.
 */
#define SHARES 12
#define MIDDLE_SHARES 4
#define FIXED_BYTES (2 * BATCH_BYTES + MUX_STORE_MAX_BYTES)
#define LEAST_REST_BYTES (MUX_MEMORY_MIN_BYTES - FIXED_BYTES)
_Static_assert(FIXED_BYTES < MUX_MEMORY_MIN_BYTES, "the least memory has a rest to be shared");
_Static_assert(LEAST_REST_BYTES / SHARES >= 3 * DOWN_BLOCK_BYTES, "a third of the blocks is one");
_Static_assert(LEAST_REST_BYTES - LEAST_REST_BYTES / SHARES - MUX_STORE_MAX_BYTES >=
                   MIDDLE_SLOT_BYTES,
               "there is a slot of each size");

/* Of the rest, beside the way down's blocks. */
static size_t middle_bytes_of(size_t rest_bytes, size_t blocks_bytes) {
    size_t wanted = rest_bytes / SHARES * MIDDLE_SHARES;
    size_t most = rest_bytes - blocks_bytes - MUX_STORE_MAX_BYTES;
    size_t bytes = wanted < most ? wanted : most;
    return bytes - bytes % MIDDLE_SLOT_BYTES;
}

static size_t spool_memory_bytes(const struct mux_config *config) {
    return config->spool.most_bytes ? MUX_SPOOL_MEMORY_BYTES : 0;
}

static bool share_memory(struct mux *mux) {
    struct mux_room rest = mux->config.memory;
    struct mux_room ring = {rest.data, MUX_WINDOW_MEMORY_BYTES(mux->config.window_bytes)};
    struct mux_room taps = {rest.data + ring.len, spool_memory_bytes(&mux->config)};
    rest = (struct mux_room){taps.data + taps.len, rest.len - ring.len - taps.len};
    for (int i = 0; i < 2; i++) {
        if (!mux_batch_init(&mux->batches[i], (struct mux_room){rest.data, BATCH_BYTES},
                            mux->config.gather_max))
            return false;
        rest = (struct mux_room){rest.data + BATCH_BYTES, rest.len - BATCH_BYTES};
    }
    struct mux_room store = {rest.data, MUX_STORE_MAX_BYTES};
    rest = (struct mux_room){rest.data + store.len, rest.len - store.len};
    const size_t twelfth = rest.len / SHARES;
    struct mux_room blocks = {rest.data, twelfth - twelfth % DOWN_BLOCK_BYTES};
    struct mux_room middle = {rest.data + blocks.len, middle_bytes_of(rest.len, blocks.len)};
    struct mux_room large = {middle.data + middle.len, rest.len - blocks.len - middle.len};
    return mux_leaf_init_spool(mux, taps) && mux_leaf_init(mux, ring) &&
           mux_down_init(mux, store, blocks) &&
           mux_slots_init(&mux->middle_slots, middle, MIDDLE_SLOT_BYTES) &&
           mux_slots_init(&mux->large_slots, large, MUX_STORE_MAX_BYTES) &&
           mux->large_slots.count > 0;
}

static unsigned common_cells_of(size_t wanted) {
    return wanted < TESTS_COMMON_CELLS_MAX ? (unsigned)wanted : TESTS_COMMON_CELLS_MAX;
}

unsigned mux_nodes_common_cells(const struct mux *mux) {
    return common_cells_of(mux->config.memory.len / NODES_TESTS_SHARE_BYTES);
}

static bool make_tests(struct mux *mux) {
    const struct mux_config *config = &mux->config;
    const unsigned common_cells[MUX_PROGRESS_KINDS] = {
        [MUX_PROGRESS_WORKER] = common_cells_of(config->memory.len / WORKERS_TESTS_SHARE_BYTES),
        [MUX_PROGRESS_NODE] = mux_nodes_common_cells(mux),
    };
    if (!mux_progress_init(&mux->tests, mux->links_count + 1, common_cells, config->hash_key,
                           &mux->counters.value[MUX_COUNT_tests_untracked]))
        return false;
    mux_progress_open(&mux->tests, &mux->own_tests, MUX_PROGRESS_WORKER);
    return true;
}

static bool make_tables(struct mux *mux) {
    const struct mux_config *config = &mux->config;
    mux->links_count = mux_connections_max(config->links_max);
    mux->away_max = config->links_max;
    mux->directory_count = 2 * (size_t)mux->links_count;
    mux->links = calloc(mux->links_count, sizeof *mux->links);
    mux->small_stores = malloc((size_t)mux->links_count * SMALL_STORE_BYTES);
    mux->directory = calloc(mux->directory_count, sizeof *mux->directory);
    mux->inputs = calloc(config->inputs_max, sizeof *mux->inputs);
    if (!mux->links || !mux->small_stores || !mux->directory || !mux->inputs)
        return false;
    for (unsigned i = 0; i < config->inputs_max; i++) {
        mux->inputs[i].next = mux->free_inputs;
        mux->free_inputs = &mux->inputs[i];
    }
    return make_tests(mux) && mux_below_init(mux, mux->links_count, config->links_max) &&
           mux_segments_init(&mux->segments, config->segment_by, config->hash_key);
}

static void free_all(struct mux *mux) {
    for (unsigned i = 0; i < mux->links_touched; i++)
        mux_inputs_drop(mux, &mux->links[i].inputs);
    if (mux->sink.buffer)
        mux_buffer_release(mux->sink.buffer);
    mux_down_fini(mux);
    mux_leaf_fini(mux);
    mux_unbundle_fini(mux);
    mux_batch_fini(&mux->batches[0]);
    mux_batch_fini(&mux->batches[1]);
    mux_leaf_fini_spool(mux); /* batches have held its buffers */
    mux_slots_fini(&mux->middle_slots);
    mux_slots_fini(&mux->large_slots);
    mux_progress_fini(&mux->tests);
    mux_below_fini(mux);
    mux_segments_fini(&mux->segments);
    free(mux->links);
    free(mux->small_stores);
    free(mux->directory);
    free(mux->inputs);
    free(mux);
}

struct mux *mux_create(const struct mux_config *config) {
    assert(config->gather_max >= MUX_GATHER_MIN && config->links_max > 0);
    assert(config->input_bytes_max <= MUX_INPUT_MAX_BYTES);
    assert(!config->sink || (!config->upstream_is_node && !config->editor));
    assert(!config->editor || config->gather_max >= MUX_EDIT_GATHER_MIN);
    assert(!config->editor || !(config->clock_correct || config->clock_stamp));
    assert(!config->spool.most_bytes || (config->window_bytes && config->upstream_is_node));
    size_t window_bytes = config->upstream_is_node ? config->window_bytes : 0;
    if (config->memory.len <
        MUX_MEMORY_MIN_BYTES + MUX_WINDOW_MEMORY_BYTES(window_bytes) + spool_memory_bytes(config))
        return NULL;
    struct mux *mux = calloc(1, sizeof *mux);
    if (!mux)
        return NULL;
    mux->config = *config;
    if (mux->config.reference_least_bytes > REFERENCE_LEAST_MAX_BYTES)
        mux->config.reference_least_bytes = REFERENCE_LEAST_MAX_BYTES;
    mux_role_init(mux);
    mux->config.window_bytes = window_bytes;
    mux_handshake_init(mux);
    mux_clock_init(mux);
    mux_beat_init(mux);
    mux->promised_ns = UINT64_MAX;
    mux->messages = mux_limiter_init(MESSAGES_PER_SECOND, MESSAGES_BURST);
    mux->damage_lines = mux_limiter_init(DAMAGE_LINES_PER_SECOND, DAMAGE_LINES_BURST);
    mux->fill = &mux->batches[0];
    mux->flight = &mux->batches[1];
    mux_list_init(&mux->active);
    mux_list_init(&mux->pinned);
    mux_list_init(&mux->attention);
    mux_list_init(&mux->spares);
    mux_list_init(&mux->silent);
    mux_list_init(&mux->nodes);
    mux_list_init(&mux->away);
    mux_list_init(&mux->superseded);
    mux_list_init(&mux->given_up);
    mux_list_init(&mux->chatter);
    mux_list_init(&mux->resyncs);
    mux_list_init(&mux->starved);
    mux_list_init(&mux->fresh);
    if (make_tables(mux) && share_memory(mux) && mux_unbundle_init(mux))
        return mux;
    free_all(mux);
    return NULL;
}

/* When no link is left and nothing waits, all memory must be back. */
static void assert_all_back(const struct mux *mux) {
    unsigned links = 0, inputs = 0;
    for (const struct mux_link *link = mux->free_links; link; link = link->next)
        links++;
    for (const struct mux_input *input = mux->free_inputs; input; input = input->next)
        inputs++;
    if (links < mux->links_touched || mux_upstream_pending_bytes(mux) || mux->down.inputs.count)
        return;
    assert(inputs == mux->config.inputs_max);
    assert(mux->middle_slots.free_count == mux->middle_slots.count);
    assert(mux->large_slots.free_count == mux->large_slots.count);
    assert(mux->down.free_count == mux->down.block_count);
    assert(mux->tests.free_count == mux->tests.count);
    assert(mux->below.count == 0 && mux->connection_count == 0 && mux->places_taken == 0);
}

void mux_destroy(struct mux *mux) {
    mux_progress_close(&mux->tests, &mux->own_tests);
    assert_all_back(mux);
    free_all(mux);
}

struct mux_counters *mux_counters_of(struct mux *mux) {
    return &mux->counters;
}

/* Was this node called later than it asked for? Then it was stopped, or had no CPU time. */
static void look_how_late(struct mux *mux, uint64_t now_ns) {
    uint64_t due_ns = mux->promised_ns > mux->ran_ns ? mux->promised_ns : mux->ran_ns;
    if (mux->promised_ns != UINT64_MAX && now_ns > due_ns && now_ns - due_ns >= LATE_NS)
        mux_nodes_slept(mux, now_ns - due_ns, now_ns);
    mux->promised_ns = UINT64_MAX;
}

void mux_sane(const struct mux *mux) {
    assert(mux->places_taken <= mux->config.links_max);
    assert(mux->connection_count <= mux->links_touched && mux->away_count <= mux->links_touched);
    assert(mux->inputs_used <= mux->config.inputs_max);
    assert(mux->fill != mux->flight);
    assert(mux->in_flight != MUX_IN_FLIGHT_BATCH || mux->flight->gather.len_bytes > 0);
    /* a link is pinned only while a batch refers to its slot */
    assert(mux_list_empty(&mux->pinned) || mux->fill->held_count || mux->flight->held_count);
    assert(mux->sink.next <= mux->sink.count && (mux->sink.count == 0) == !mux->sink.link);
    assert(mux->config.sink || (mux->sink.state == MUX_SINK_TAKES && mux->sink.count == 0));
    assert(mux->down.free_count <= mux->down.block_count);
    assert(mux_down_waits(&mux->down) == false || mux->down.frame.kind == MUX_FRAME_PACKET);
    assert(mux->handshake.state != MUX_HANDSHAKE_AWAY || mux->config.upstream_is_node);
    assert(mux->clock.ask == MUX_ASK_NOBODY ||
           (mux->clock.has_wall && mux->clock.upstream.is_known));
}

void mux_run(struct mux *mux, uint64_t now_ns) {
    assert(now_ns >= mux->ran_ns);
    look_how_late(mux, now_ns);
    mux->ran_ns = now_ns;
    mux->tests.now_ms = (uint32_t)(now_ns / NS_PER_MS);
    mux_links_run(mux, now_ns);
    mux_nodes_run(mux, now_ns);
    mux_down_run(mux, now_ns);
    mux_clock_run(mux);
    mux_beat_run(mux);
    mux_leaf_run(mux);
    do
        mux_up_run(mux);
    while (mux_grant_slots(mux));
    mux_judge_slot_owners(mux, now_ns);
    mux_nodes_forget_given_up(mux);
    mux->is_due = false;
    mux_links_feed_starved(mux);
    mux_sane(mux);
}

static void begin_to_leave(struct mux *mux) {
    if (mux_is_leaving(mux))
        return;
    mux->nodes_left = mux->below.count;
    mux->life = MUX_LIFE_LEAVING;
}

void mux_send_off(struct mux *mux) {
    uint8_t out[MUX_HELLO_PACKET_BYTES];
    begin_to_leave(mux);
    mux_nodes_tell(mux, mux_span(out, mux_goodbye_write(0, out)));
}

void mux_end(struct mux *mux) {
    begin_to_leave(mux);
    mux->life = MUX_LIFE_ENDING;
}

static uint64_t earlier(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t deadline_ns_of(const struct mux *mux) {
    if (mux->is_due)
        return mux->ran_ns;
    uint64_t deadline_ns = earlier(mux->middle_slots.judge_at_ns, mux->large_slots.judge_at_ns);
    deadline_ns = earlier(deadline_ns, mux_links_deadline_ns(mux));
    deadline_ns = earlier(deadline_ns, mux_nodes_deadline_ns(mux));
    deadline_ns = earlier(deadline_ns, mux_handshake_deadline_ns(mux));
    deadline_ns = earlier(deadline_ns, mux_clock_deadline_ns(mux));
    deadline_ns = earlier(deadline_ns, mux_leaf_deadline_ns(mux));
    deadline_ns = earlier(deadline_ns, mux_unbundle_deadline_ns(mux));
    deadline_ns = earlier(deadline_ns, mux_beat_deadline_ns(mux));
    if (mux_down_waits(&mux->down))
        deadline_ns = earlier(deadline_ns, mux->down.wait_until_ns);
    return deadline_ns;
}

uint64_t mux_deadline_ns(struct mux *mux) {
    mux->promised_ns = deadline_ns_of(mux);
    return mux->promised_ns;
}

bool mux_busy(const struct mux *mux) {
    return !mux_list_empty(&mux->active) || !mux_list_empty(&mux->pinned) ||
           !mux_list_empty(&mux->middle_slots.waiting) ||
           !mux_list_empty(&mux->large_slots.waiting) || mux->down.inputs.count > 0;
}

uint64_t mux_unframed_bytes(const struct mux *mux) {
    uint64_t bytes = 0;
    for (unsigned i = 0; i < mux->links_touched; i++) {
        const struct mux_link *link = &mux->links[i];
        bytes += mux_framer_stored(&link->framer) + link->framer.fed.len +
                 mux_inputs_bytes(&link->inputs);
    }
    return bytes;
}
