/*
 * Time. What the upstream's clock says, asked for by words of nodes; what workers' clocks say,
 * estimated from the arrival of their timestamps; and the timestamps that are changed by it.
 *
 * All clocks are kept as distances to the clock of mux_run(), which nobody sets: so a node whose
 * own time of day is set to another one goes on without a new estimate of anybody.
 */
#include "mux/node/mux_internal.h"

#include <inttypes.h>
#include <stdio.h>

#define NS_PER_S INT64_C(1000000000)

/* The upstream is asked this often, by so many questions, of which the quickest answer counts. */
#define ROUND_NS UINT64_C(60000000000)
#define ROUND_ASKS 4

/* An upstream that has not answered after this time is not asked again in this round. */
#define ASK_WAIT_NS UINT64_C(10000000000)

/*
 * A worker's clock that is wrong by less is left alone. No packet arrives before its time, but on
 * busy machines one may take seconds: a clock that seems to be behind must be so by more. One that
 * is shifted is so until it is wrong by less than half of that.
 */
#define SKEW_AHEAD_LEAST_NS NS_PER_S
#define SKEW_BEHIND_LEAST_NS (10 * NS_PER_S)

/*
 * A link whose timestamps are shifted, and gain on the clock: at its beginning packets were held
 * up, or it is a recording. Only when it has gained more than this it must be a recording.
 */
#define RECORDING_GAIN_NS (60 * NS_PER_S)

/* An estimate that differs by less than this from what is applied is not worth a change. */
#define SKEW_CHANGE_NS INT64_C(10000000)

/*
 * A new estimate takes effect between two tests, so that no test's duration suffers. A stream that
 * always has a test in progress gets it after this time.
 */
#define SETTLE_MOST_NS UINT64_C(60000000000)

/* How far a new link's bytes are searched for further timestamps: a recording shows itself. */
#define LOOK_AHEAD_BYTES 16384

/* Waits for the upstream that are shorter make no estimate wrong; and how long one counts. */
#define HELD_LEAST_NS UINT64_C(100000000)
#define HELD_COUNTS_NS UINT64_C(10000000000)

/* Lines about links' clocks, which peers can provoke. */
#define LINES_PER_SECOND 5
#define LINES_BURST 20

/* The packet that tells of a link's clock. */
#define NOTE_BYTES 512
_Static_assert(MUX_SEGMENT_TEXT_BYTES + 160 <= NOTE_BYTES, "a note's names, content and route");

void mux_clock_init(struct mux *mux) {
    mux_list_init(&mux->clock.unsaid);
    mux->clock.full_ns = UINT64_MAX;
    mux->clock.lines = mux_limiter_init(LINES_PER_SECOND, LINES_BURST);
}

void mux_set_wall(struct mux *mux, int64_t ahead_ns) {
    mux->clock.has_wall = true;
    mux->clock.wall_ns = ahead_ns;
}

int64_t mux_clock_now_ns(const struct mux *mux) {
    int64_t now_ns = (int64_t)mux->ran_ns + mux->clock.wall_ns;
    return mux->clock.has_wall && now_ns > 0 && now_ns <= MUX_TIME_MOST_NS ? now_ns : 0;
}

/*
 * ---- the upstream's clock ----
 */

#define BIT(state) (1u << (state))

/* follows[state]: the states that may come next, as bits. */
static const unsigned follows[] = {
    [MUX_ASK_NOBODY] = BIT(MUX_ASK_NOBODY) | BIT(MUX_ASK_DUE),
    [MUX_ASK_RESTS] = BIT(MUX_ASK_NOBODY) | BIT(MUX_ASK_DUE),
    [MUX_ASK_DUE] = BIT(MUX_ASK_NOBODY) | BIT(MUX_ASK_SENT),
    [MUX_ASK_SENT] = BIT(MUX_ASK_NOBODY) | BIT(MUX_ASK_DUE) | BIT(MUX_ASK_RESTS),
};

static void set_ask(struct mux_clock *clock, enum mux_clock_ask ask) {
    assert(follows[clock->ask] & BIT(ask));
    clock->ask = ask;
}

bool mux_clock_waits(const struct mux *mux) {
    return mux->config.clock_correct && mux->config.upstream_is_node && mux->clock.has_wall &&
           !mux->clock.was_upstream_met;
}

void mux_clock_ask_by_hello(struct mux *mux) {
    mux->handshake.hello.asks_time = mux->clock.has_wall;
    mux->clock.asked_ns = mux->ran_ns;
}

/* An answer has come. */
static void take_reading(struct mux *mux, int64_t said_ns, uint64_t said_error_ns) {
    struct mux_clock *clock = &mux->clock;
    enum mux_reading reading =
        mux_offset_read(&clock->upstream, clock->asked_ns, mux->ran_ns, said_ns, said_error_ns);
    MUX_COUNT(&mux->counters, clock_readings, 1);
    if (reading != MUX_READING_STEPPED)
        return;
    MUX_COUNT(&mux->counters, clock_steps, 1);
    mux_log(mux, "the upstream's clock was set, or it did not run: it is now %+.3f s from ours",
            (double)(clock->upstream.ahead_ns - clock->wall_ns) / (double)NS_PER_S);
}

static void say_clock(struct mux *mux) {
    const struct mux_clock *clock = &mux->clock;
    if (!clock->has_wall || !mux->config.clock_correct)
        return;
    if (clock->upstream.is_known)
        mux_log(mux, "the upstream's clock is %+.6f s from ours: timestamps are shifted by that",
                (double)(clock->upstream.ahead_ns - clock->wall_ns) / (double)NS_PER_S);
    else
        mux_log(mux,
                "the upstream does not tell the time: timestamps are not shifted to its clock");
}

void mux_clock_meet(struct mux *mux, const struct mux_hello *answer, bool is_other) {
    struct mux_clock *clock = &mux->clock;
    bool is_first = !clock->was_upstream_met || is_other;
    bool tells = clock->has_wall && answer->time_ns;
    clock->was_upstream_met = true;
    if (is_other || !tells)
        clock->upstream.is_known = false;
    if (tells) {
        take_reading(mux, answer->time_ns, answer->within_ns);
        clock->asks_left = ROUND_ASKS - 1;
        set_ask(clock, MUX_ASK_DUE);
    }
    if (is_first)
        say_clock(mux);
}

/* What is known of the clock stays known, for it goes on. */
void mux_clock_part(struct mux *mux) {
    set_ask(&mux->clock, MUX_ASK_NOBODY);
}

void mux_clock_ask_anew(struct mux *mux) {
    struct mux_clock *clock = &mux->clock;
    if (clock->ask == MUX_ASK_NOBODY)
        return;
    clock->asks_left = ROUND_ASKS;
    if (clock->ask == MUX_ASK_RESTS)
        set_ask(clock, MUX_ASK_DUE);
}

/* What the upstream shows of this node. */
static void fill_in_ahead(const struct mux *mux, struct mux_time_word *word) {
    const struct mux_offset *upstream = &mux->clock.upstream;
    word->has_ahead = upstream->is_known;
    if (!upstream->is_known)
        return;
    word->ahead_ns = mux->clock.wall_ns - upstream->ahead_ns;
    word->error_ns = mux_offset_error_ns(upstream, mux->ran_ns);
}

size_t mux_clock_take(struct mux *mux, uint8_t out[MUX_HELLO_PACKET_BYTES]) {
    struct mux_clock *clock = &mux->clock;
    if (clock->ask != MUX_ASK_DUE)
        return 0;
    struct mux_time_word word = {.ask = ++clock->ask_number};
    fill_in_ahead(mux, &word);
    clock->asked_ns = mux->ran_ns;
    clock->ask_at_ns = mux->ran_ns + ASK_WAIT_NS;
    set_ask(clock, MUX_ASK_SENT);
    return mux_time_write(&word, out);
}

static void rest(struct mux *mux) {
    set_ask(&mux->clock, MUX_ASK_RESTS);
    mux->clock.ask_at_ns = mux->ran_ns + ROUND_NS;
}

bool mux_clock_handle(struct mux *mux, const struct mux_packet *packet) {
    struct mux_clock *clock = &mux->clock;
    struct mux_time_word word;
    if (!mux_time_is(packet))
        return false;
    if (clock->ask != MUX_ASK_SENT || !mux_time_read(packet, &word) || !word.time_ns ||
        word.ask != clock->ask_number)
        return true; /* late, or nonsense: it says nothing */
    take_reading(mux, word.time_ns, word.within_ns);
    if (--clock->asks_left > 0)
        set_ask(clock, MUX_ASK_DUE);
    else
        rest(mux);
    return true;
}

/* The upstream's time of day, or ours when nobody says what its is: distance to our clock. */
static int64_t target_ns(const struct mux *mux) {
    const struct mux_clock *clock = &mux->clock;
    bool is_upstream = mux->config.clock_correct && clock->upstream.is_known;
    return is_upstream ? clock->upstream.ahead_ns : clock->wall_ns;
}

/* Is the node at the link told the upstream's time? */
static bool is_told_upstreams(const struct mux_link *link) {
    const struct mux *mux = link->mux;
    return link->has_bundles && mux->config.clock_correct && mux->clock.upstream.is_known;
}

int64_t mux_clock_told_ns(const struct mux_link *link, uint64_t *within_ns) {
    const struct mux *mux = link->mux;
    const struct mux_offset *upstream = &mux->clock.upstream;
    *within_ns = 0;
    if (!is_told_upstreams(link))
        return mux_clock_now_ns(mux);
    *within_ns = mux_offset_error_ns(upstream, mux->ran_ns);
    return (int64_t)mux->ran_ns + upstream->ahead_ns;
}

const char *mux_clock_refuses(const struct mux_link *link) {
    return link->has_bundles && mux_clock_waits(link->mux)
               ? "no upstream has told this node the time yet"
               : NULL;
}

bool mux_clock_answer(struct mux_link *link, const struct mux_packet *packet) {
    struct mux *mux = link->mux;
    struct mux_time_word word;
    uint8_t out[MUX_HELLO_PACKET_BYTES];
    if (!mux_time_is(packet))
        return false;
    if (!mux_time_read(packet, &word))
        return true;
    link->clock.has_told = word.has_ahead;
    link->clock.told_ahead_ns = word.ahead_ns; /* of the time that it is told */
    if (is_told_upstreams(link))
        link->clock.told_ahead_ns += target_ns(mux) - mux->clock.wall_ns;
    link->clock.told_error_ns = word.error_ns;
    struct mux_time_word answer = {.ask = word.ask};
    answer.time_ns = mux_clock_told_ns(link, &answer.within_ns);
    /* an answer that has to wait behind others is worth nothing */
    if (!answer.time_ns || link->down.bytes >= MUX_HELLO_PACKET_BYTES)
        return true;
    struct mux_span bytes = mux_span(out, mux_time_write(&answer, out));
    mux_down_queue(link,
                   &(struct mux_pieces){.piece = {bytes}, .count = 1, .len_bytes = bytes.len});
    return true;
}

void mux_clock_run(struct mux *mux) {
    struct mux_clock *clock = &mux->clock;
    if (mux->ran_ns < mux_clock_deadline_ns(mux))
        return;
    if (clock->ask == MUX_ASK_SENT) {
        rest(mux);
        return;
    }
    clock->asks_left = ROUND_ASKS;
    set_ask(clock, MUX_ASK_DUE);
}

uint64_t mux_clock_deadline_ns(const struct mux *mux) {
    const struct mux_clock *clock = &mux->clock;
    bool waits = clock->ask == MUX_ASK_RESTS || clock->ask == MUX_ASK_SENT;
    return waits ? clock->ask_at_ns : UINT64_MAX;
}

static void fill_in_measured(const struct mux_offset *offset, int64_t wall_ns, uint64_t now_ns,
                             struct mux_clock_stats *stats) {
    if (!offset->is_known)
        return;
    stats->basis = MUX_CLOCK_MEASURED;
    stats->ahead_ns = offset->ahead_ns - wall_ns;
    stats->error_ns = mux_offset_error_ns(offset, now_ns);
}

void mux_upstream_clock(const struct mux *mux, struct mux_clock_stats *stats) {
    *stats = (struct mux_clock_stats){.basis = MUX_CLOCK_UNKNOWN};
    fill_in_measured(&mux->clock.upstream, mux->clock.wall_ns, mux->ran_ns, stats);
}

/*
 * ---- a worker's clock ----
 */

void mux_clock_note_full(struct mux *mux, bool is_full) {
    struct mux_clock *clock = &mux->clock;
    if (!is_full) {
        clock->full_ns = UINT64_MAX;
        return;
    }
    if (clock->full_ns == UINT64_MAX)
        clock->full_ns = mux->ran_ns;
    if (mux->ran_ns - clock->full_ns >= HELD_LEAST_NS)
        clock->held_ns = mux->ran_ns;
}

static bool is_held_up(const struct mux *mux) {
    const struct mux_clock *clock = &mux->clock;
    return clock->held_ns && mux->ran_ns - clock->held_ns < HELD_COUNTS_NS;
}

/* The first timestamp of a link: those that have come with it say whether it is a recording. */
static void look_ahead(struct mux_link *link) {
    uint8_t bytes[LOOK_AHEAD_BYTES];
    struct mux_span rest = mux_span(bytes, mux_link_peek(link, bytes, sizeof bytes));
    struct mux_packet packet;
    uint32_t length, header_bytes;
    while (!mux_header_parse(rest, &length, &header_bytes) && length <= rest.len) {
        struct mux_span whole = mux_span(rest.data, length);
        if (!mux_packet_verify(whole) || mux_packet_parse(whole, &packet, NULL))
            return;
        if (packet.has_timestamp)
            mux_skew_sample(&link->clock.skew, link->received_ns, mux_packet_time_ns(&packet),
                            false);
        rest = mux_span(rest.data + length, rest.len - length);
    }
}

static uint64_t absolute(int64_t number) {
    return number < 0 ? -(uint64_t)number : (uint64_t)number;
}

/* How far a worker's clock is ahead of our time of day. */
static int64_t worker_ahead_ns(const struct mux_link *link) {
    return mux_skew_ahead_ns(&link->clock.skew) - link->mux->clock.wall_ns;
}

static void say_skew(struct mux_link *link) {
    struct mux *mux = link->mux;
    mux_list_append(&mux->clock.unsaid, &link->unsaid_entry);
    MUX_COUNT(&mux->counters, clock_skews, 1);
    if (!mux_limiter_allow(&mux->clock.lines, mux->ran_ns)) {
        MUX_COUNT(&mux->counters, log_lines_suppressed, 1);
        return;
    }
    if (link->clock.is_skewed)
        mux_log(mux,
                "%s (link %s): its clock is %+.3f s from ours, estimated from arrival: its "
                "timestamps are shifted",
                link->peer, link->segment, (double)worker_ahead_ns(link) / (double)NS_PER_S);
    else
        mux_log(mux, "%s (link %s): its timestamps are not shifted any more", link->peer,
                link->segment);
}

/* Is its clock wrong enough to be corrected? */
static bool seems_skewed(const struct mux_link *link) {
    const struct mux_link_clock *clock = &link->clock;
    int64_t ahead_ns = worker_ahead_ns(link);
    int64_t least_ns = ahead_ns > 0 ? SKEW_AHEAD_LEAST_NS : SKEW_BEHIND_LEAST_NS;
    if (clock->skew.state == MUX_SKEW_RECORDED)
        return clock->is_skewed &&
               mux_skew_ahead_ns(&clock->skew) - clock->ahead_ns <= RECORDING_GAIN_NS;
    return absolute(ahead_ns) > (uint64_t)(clock->is_skewed ? least_ns / 2 : least_ns);
}

/* Is the estimate to be applied, or another one than is? */
static void decide(struct mux_link *link) {
    struct mux_link_clock *clock = &link->clock;
    int64_t ahead_ns = mux_skew_ahead_ns(&clock->skew);
    bool is_skewed = seems_skewed(link);
    bool is_better = clock->skew.state == MUX_SKEW_LIVE &&
                     absolute(ahead_ns - clock->ahead_ns) > (uint64_t)SKEW_CHANGE_NS;
    clock->decided_ns = link->mux->ran_ns;
    if (is_skewed == clock->is_skewed && !(is_skewed && is_better))
        return;
    clock->is_skewed = is_skewed;
    clock->ahead_ns = ahead_ns;
    say_skew(link);
}

static void take_sample(struct mux_link *link, const struct mux_packet *packet) {
    struct mux_link_clock *clock = &link->clock;
    bool is_first = clock->skew.state == MUX_SKEW_UNKNOWN;
    mux_skew_sample(&clock->skew, link->received_ns, mux_packet_time_ns(packet),
                    is_held_up(link->mux));
    if (!is_first)
        return;
    look_ahead(link);
    decide(link);
}

void mux_clock_settle(struct mux_link *link) {
    struct mux_link_clock *clock = &link->clock;
    bool is_between_tests = !mux_progress_any(&link->tests);
    if (clock->skew.state != MUX_SKEW_UNKNOWN &&
        (is_between_tests || link->mux->ran_ns - clock->decided_ns >= SETTLE_MOST_NS))
        decide(link);
}

/* The packet says what is known of the clock of the link under whose route it goes up. */
static bool send_note(struct mux_link *link) {
    struct mux *mux = link->mux;
    char content[64];
    struct mux_pieces pieces;
    snprintf(content, sizeof content, "basis=estimated\nahead=%" PRId64 "\n",
             link->clock.is_skewed ? link->clock.ahead_ns - mux->clock.wall_ns : 0);
    struct mux_packet packet = {
        .runnable = true,
        .eof = true,
        .mime = mux_span_text("text/plain;charset=utf8"),
        .file_name = mux_span_text("muxd.clock"),
        .file_content = mux_span_text(content),
        .route = mux_link_route(link),
    };
    if (!mux_up_has_room_for(mux, NOTE_BYTES))
        return false;
    mux_clock_change_own(mux, &packet);
    enum mux_error error = mux_packet_gather(&packet, &pieces);
    assert(!error && pieces.len_bytes <= NOTE_BYTES);
    (void)error;
    mux_up_add(mux, &pieces);
    return true;
}

void mux_clock_say(struct mux *mux) {
    struct mux_list *unsaid = &mux->clock.unsaid;
    while (!mux_list_empty(unsaid)) {
        struct mux_link *link = MUX_LIST_ITEM(unsaid->next, struct mux_link, unsaid_entry);
        if (!mux->config.sink && !send_note(link))
            return;
        mux_list_remove(&link->unsaid_entry);
        mux_link_attend(link); /* it may be finished now */
    }
}

void mux_clock_link_stats(const struct mux_link *link, struct mux_clock_stats *stats) {
    const struct mux_link_clock *clock = &link->clock;
    *stats = (struct mux_clock_stats){.basis = MUX_CLOCK_UNKNOWN};
    if (clock->has_told)
        *stats = (struct mux_clock_stats){MUX_CLOCK_MEASURED, clock->told_ahead_ns,
                                          clock->told_error_ns, false};
    else if (clock->is_skewed)
        *stats = (struct mux_clock_stats){MUX_CLOCK_ESTIMATED,
                                          clock->ahead_ns - link->mux->clock.wall_ns, 0, true};
    else if (clock->skew.state == MUX_SKEW_RECORDED)
        stats->basis = MUX_CLOCK_RECORDED;
    else if (clock->skew.state == MUX_SKEW_LIVE)
        *stats = (struct mux_clock_stats){MUX_CLOCK_ESTIMATED, worker_ahead_ns(link), 0, false};
}

/*
 * ---- timestamps ----
 */

/* What is to be added to a timestamp of this link. */
static int64_t shift_ns(const struct mux_link *link) {
    const struct mux_link_clock *clock = &link->clock;
    return target_ns(link->mux) - (clock->is_skewed ? clock->ahead_ns : link->mux->clock.wall_ns);
}

static bool shift(struct mux *mux, struct mux_packet *packet, int64_t by_ns) {
    if (by_ns == 0)
        return false;
    bool is_shifted = mux_packet_set_time_ns(packet, mux_packet_time_ns(packet) + by_ns);
    MUX_COUNT(&mux->counters, timestamps_shifted, is_shifted);
    MUX_COUNT(&mux->counters, timestamps_kept, !is_shifted);
    return is_shifted;
}

static bool stamp(struct mux *mux, struct mux_packet *packet, uint64_t at_ns) {
    bool is_stamped = mux->config.clock_stamp && mux->clock.has_wall &&
                      mux_packet_set_time_ns(packet, (int64_t)at_ns + target_ns(mux));
    MUX_COUNT(&mux->counters, timestamps_added, is_stamped);
    return is_stamped;
}

bool mux_clock_change(struct mux_link *link, struct mux_packet *packet) {
    struct mux *mux = link->mux;
    if (!packet->has_timestamp)
        return stamp(mux, packet, link->received_ns);
    if (!mux->config.clock_correct || !mux->clock.has_wall)
        return false;
    if (!mux_link_is_node(link))
        take_sample(link, packet);
    return shift(mux, packet, shift_ns(link));
}

void mux_clock_change_own(struct mux *mux, struct mux_packet *packet) {
    if (!packet->has_timestamp)
        stamp(mux, packet, mux->ran_ns);
    else if (mux->config.clock_correct && mux->clock.has_wall)
        shift(mux, packet, target_ns(mux) - mux->clock.wall_ns);
}
