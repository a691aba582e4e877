/* Links: how they begin and end, their places and segments. Their input is in link_input.c. */
#include "mux/hash.h"
#include "mux/node/mux_internal.h"
#include "mux/packet/report.h"

#include <stdio.h>

static struct mux_link **bucket(const struct mux *mux, struct mux_span segment) {
    return &mux->directory[mux_hash(mux->config.hash_key, segment) % mux->directory_count];
}

struct mux_link *mux_link_find(const struct mux *mux, struct mux_span segment) {
    struct mux_link *link = *bucket(mux, segment);
    while (link && !mux_span_equal(link->prefix.segment, segment))
        link = link->next;
    return link;
}

static void leave_directory(struct mux_link *link) {
    struct mux_link **at = bucket(link->mux, link->prefix.segment);
    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
}

static void enter_directory(struct mux_link *link) {
    enum mux_error error = mux_prefix_init(&link->prefix, mux_span_text(link->segment));
    assert(!error);
    (void)error;
    struct mux_link **at = bucket(link->mux, link->prefix.segment);
    link->next = *at;
    *at = link;
}

void mux_link_take_segment(struct mux_link *link, struct mux_link *from) {
    leave_directory(link);
    leave_directory(from);
    from->prefix.segment = mux_span(NULL, 0);
    memcpy(link->segment, from->segment, sizeof link->segment);
    enter_directory(link);
}

/*
 * ---- the beginning ----
 */

static struct mux_link *take_free(struct mux *mux) {
    struct mux_link *link = mux->free_links;
    if (link) {
        mux->free_links = link->next;
        return link;
    }
    return mux->links_touched < mux->links_count ? &mux->links[mux->links_touched++] : NULL;
}

static bool is_full(const struct mux *mux) {
    return mux->places_taken == mux->config.links_max;
}

/* It becomes a link, with a segment unless it is bare. */
static void start(struct mux_link *link, enum mux_link_entry entry) {
    struct mux *mux = link->mux;
    if (!link->is_bare) {
        if (!*link->segment)
            mux_segments_next(&mux->segments, link->host, link->segment);
        enter_directory(link);
    }
    mux_link_set_entry(link, entry);
    MUX_COUNT(&mux->counters, links_opened, 1);
    MUX_COUNT(&mux->counters, links_open, 1);
}

bool mux_link_may_yield(const struct mux_link *link) {
    return link->entry == MUX_ENTRY_PLACED && link->host[0] != '\0';
}

static bool has_bytes(const struct mux_link *link) {
    return link->inputs.first || mux_framer_stored(&link->framer);
}

/* Is there a place for one that has spoken? The connection that has been silent longest yields. */
static bool find_place(struct mux *mux) {
    for (struct mux_list *at = mux->silent.next; is_full(mux) && at != &mux->silent;
         at = at->next) {
        struct mux_link *link = MUX_LIST_ITEM(at, struct mux_link, spare_entry);
        if (!has_bytes(link)) {
            mux_link_set_entry(link, MUX_ENTRY_SPARE);
            return true;
        }
    }
    return !is_full(mux);
}

bool mux_link_start(struct mux_link *link) {
    if (link->entry == MUX_ENTRY_SPARE && !mux_link_is_rejected(link) && find_place(link->mux))
        mux_link_set_entry(link, MUX_ENTRY_PLACED);
    if (link->entry == MUX_ENTRY_PLACED)
        start(link, MUX_ENTRY_STARTED);
    return mux_link_has_started(link);
}

/* In words, for an end of its connection alone could mean that all it sent was used. */
static void turn_away(struct mux_link *link) {
    struct mux_pieces words;
    mux_report_message(MUX_STATUS_FAIL,
                       mux_span_text("this connection is closed, and nothing of it is used: all "
                                     "places for links are taken"),
                       mux_span(NULL, 0), mux_span(NULL, 0), &words);
    mux_down_queue(link, &words);
    mux_link_set_verdict(link, MUX_VERDICT_TURNED_AWAY);
    mux_link_activate(link);
}

/* Makes room for another connection, which may say what it is. */
static void turn_oldest_spare_away(struct mux *mux) {
    if (!mux_list_empty(&mux->spares))
        turn_away(MUX_LIST_ITEM(mux->spares.next, struct mux_link, spare_entry));
}

enum mux_link_step mux_link_enter(struct mux_link *link) {
    struct mux_frame frame;
    if (has_bytes(link) && mux_link_start(link))
        return MUX_LINK_MORE;
    mux_framer_next(&link->framer, &frame);
    if (frame.kind == MUX_FRAME_NONE)
        return mux_link_next_input(link);
    bool may_be_node = frame.kind == MUX_FRAME_PACKET && link->role == MUX_ROLE_UNKNOWN;
    if (!may_be_node || !mux_node_may_enter(link, &frame.packet)) {
        turn_away(link);
        return MUX_LINK_MORE;
    }
    start(link, MUX_ENTRY_GUEST);
    mux_node_handle_word(link, &frame.packet);
    mux_link_has_frame(link);
    return MUX_LINK_MORE;
}

static void init_lists(struct mux_link *link) {
    mux_list_init(&link->turn_entry);
    mux_list_init(&link->spare_entry);
    mux_list_init(&link->node_entry);
    mux_list_init(&link->beat_entry);
    mux_list_init(&link->attention_entry);
    mux_list_init(&link->chatter_entry);
    mux_list_init(&link->resync_entry);
    mux_list_init(&link->starved_entry);
    mux_list_init(&link->fresh_entry);
    mux_list_init(&link->slot_entry);
    mux_list_init(&link->watch_entry);
    mux_list_init(&link->unsaid_entry);
    mux_list_init(&link->below);
    mux_list_init(&link->left_by);
}

/* One that is given can be spoken to before the link has said anything. */
static void take_segment(struct mux_link *link, const char *segment) {
    if (!segment)
        return;
    assert(!link->is_bare && strlen(segment) < sizeof link->segment);
    assert(!mux_link_find(link->mux, mux_span_text(segment)));
    memcpy(link->segment, segment, strlen(segment) + 1);
    mux_link_start(link);
}

struct mux_link *mux_link_open(struct mux *mux, const struct mux_link_config *config) {
    unsigned spares = mux->connection_count - mux->places_taken;
    struct mux_link *link =
        spares < mux->links_count - mux->config.links_max ? take_free(mux) : NULL;
    if (!link) {
        turn_oldest_spare_away(mux);
        return NULL;
    }
    uint8_t *small_store = mux->small_stores + (size_t)(link - mux->links) * SMALL_STORE_BYTES;
    assert(!config->is_bare || config->kind == MUX_LINK_WORKER || config->kind == MUX_LINK_STDERR);
    *link = (struct mux_link){.mux = mux,
                              .user = config->user,
                              .kind = config->kind,
                              .way_down = config->way_down,
                              .is_bare = config->is_bare,
                              .is_raw = config->is_raw,
                              .is_routed =
                                  !config->is_bare && !mux->config.sink && !mux_clock_changes(mux),
                              .small_store = small_store};
    snprintf(link->peer, sizeof link->peer, "%s", config->peer);
    snprintf(link->host, sizeof link->host, "%s", config->host);
    init_lists(link);
    mux_link_restart_framer(link);
    mux_progress_open(&mux->tests, &link->tests, MUX_PROGRESS_WORKER);
    mux_link_set_entry(link, is_full(mux) ? MUX_ENTRY_SPARE : MUX_ENTRY_PLACED);
    if (link->kind == MUX_LINK_WORKER || link->kind == MUX_LINK_STDERR)
        mux_link_set_role(link, MUX_ROLE_WORKER);
    if (link->is_bare && link->way_down)
        mux->bare = link;
    take_segment(link, config->segment);
    mux_link_attend(link);
    mux_link_sane(link);
    return link;
}

void *mux_link_user(const struct mux_link *link) {
    return link->user;
}

const char *mux_link_segment(const struct mux_link *link) {
    return link->segment;
}

/*
 * ---- turns, and the attention of the owner ----
 */

void mux_link_activate(struct mux_link *link) {
    link->mux->is_due = true;
    if (link->turn == MUX_TURN_IDLE)
        mux_link_set_turn(link, MUX_TURN_ACTIVE);
}

void mux_link_attend(struct mux_link *link) {
    if (!mux_link_is_away(link) && mux_list_empty(&link->attention_entry))
        mux_list_append(&link->mux->attention, &link->attention_entry);
}

struct mux_link *mux_next_attention(struct mux *mux) {
    if (mux_list_empty(&mux->attention))
        return NULL;
    struct mux_link *link = MUX_LIST_ITEM(mux->attention.next, struct mux_link, attention_entry);
    mux_list_remove(&link->attention_entry);
    return link;
}

static const char *const verdict_texts[] = {
    [MUX_VERDICT_KEPT] = NULL,
    [MUX_VERDICT_EVICTED] = "others waited for the memory of its large packet",
    [MUX_VERDICT_REPLACED] = "its node has connected anew",
    [MUX_VERDICT_BROKEN_OFF] = NULL, /* mux_link.break_off_why */
    [MUX_VERDICT_REFUSED] = "it was refused as a node",
    [MUX_VERDICT_TURNED_AWAY] = "all places for links are taken",
};

bool mux_link_has_last_words(const struct mux_link *link) {
    return link->verdict >= MUX_VERDICT_REFUSED && link->down.bytes > 0;
}

const char *mux_link_close_reason(const struct mux_link *link) {
    if (link->verdict == MUX_VERDICT_BROKEN_OFF)
        return link->break_off_why;
    return mux_link_has_last_words(link) ? NULL : verdict_texts[link->verdict];
}

void mux_link_break_off(struct mux_link *link, const char *why) {
    if (mux_link_drops_input(link))
        return;
    link->break_off_why = why;
    mux_link_set_verdict(link, MUX_VERDICT_BROKEN_OFF);
    mux_link_activate(link);
}

bool mux_link_has_bundles(const struct mux_link *link) {
    return link->has_bundles;
}

bool mux_link_turned_away(const struct mux_link *link) {
    return link->verdict == MUX_VERDICT_TURNED_AWAY;
}

bool mux_link_finished(const struct mux_link *link) {
    return link->input == MUX_INPUT_FINISHED && mux_list_empty(&link->unsaid_entry) &&
           !mux_unbundle_awaits_acks(link);
}

/*
 * ---- the end ----
 */

void mux_link_ended(struct mux_link *link, const char *reason) {
    if (link->role != MUX_ROLE_LEAVING) /* the goodbye said why */
        snprintf(link->reason, sizeof link->reason, "%s", reason);
    mux_link_set_input(link, MUX_INPUT_ENDED);
    mux_list_remove(&link->resync_entry);
    mux_list_remove(&link->starved_entry);
    link->offered_bytes = 0;
    mux_link_activate(link);
    mux_link_attend(link);
    mux_link_sane(link);
}

static void drop_way_down(struct mux_link *link) {
    size_t undelivered = mux_down_drop(link);
    if (undelivered == 0)
        return;
    MUX_COUNT(&link->mux->counters, down_undelivered_bytes, undelivered);
    mux_log(link->mux, "%s (link %s) ended with %zu bytes for it undelivered", link->peer,
            link->segment, undelivered);
}

void mux_link_deafen(struct mux_link *link) {
    drop_way_down(link);
    link->way_down = false;
}

/* Ends the connection's part of a link. */
static void detach(struct mux_link *link) {
    struct mux *mux = link->mux;
    mux_link_set_turn(link, MUX_TURN_IDLE);
    mux_list_remove(&link->attention_entry);
    mux_list_remove(&link->chatter_entry);
    mux_list_remove(&link->resync_entry);
    mux_list_remove(&link->starved_entry);
    mux_list_remove(&link->fresh_entry);
    mux_list_remove(&link->unsaid_entry);
    if (mux->bare == link)
        mux->bare = NULL;
    mux_sink_forget(link);
    mux_inputs_drop(mux, &link->inputs);
    mux_link_drop_stored(link);
    drop_way_down(link);
}

void mux_link_forget(struct mux_link *link) {
    struct mux *mux = link->mux;
    mux_progress_close(&mux->tests, &link->tests);
    mux_below_clear(link);
    mux_below_forget_lost(link);
    mux_link_set_turn(link, MUX_TURN_IDLE);
    mux_list_remove(&link->node_entry);
    mux_list_remove(&link->beat_entry);
    if (link->predecessor)
        link->predecessor->successor = link->successor;
    if (link->successor)
        link->successor->predecessor = link->predecessor;
    if (mux_link_has_started(link)) {
        if (link->prefix.segment.data)
            leave_directory(link);
        MUX_COUNT(&mux->counters, links_ended, 1);
        mux->counters.value[MUX_COUNT_links_open]--;
    }
    mux_link_set_entry(link, MUX_ENTRY_FREE);
    link->next = mux->free_links;
    mux->free_links = link;
}

void mux_link_close(struct mux_link *link) {
    if (link->input == MUX_INPUT_OPEN)
        mux_link_ended(link, "its connection was closed");
    detach(link);
    mux_relay_lose(link);
    if (mux_node_went(link))
        return;
    mux_node_say_ended(link);
    mux_link_forget(link);
}
