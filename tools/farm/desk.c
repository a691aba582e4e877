#include "tools/farm/desk.h"

#include "mux/hash.h"
#include "mux/list.h"
#include "mux/packet/route.h"
#include "tools/node/order.h"
#include "tools/node/want.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A node on the way holds 64 KiB for a link that is slow to read. */
#define PART_BYTES ((size_t)32 << 10)

/* A job's name: a number. */
#define NAME_BYTES 24

struct desk_agent {
    char route[DESK_AGENT_ROUTE_BYTES];
    unsigned first_slot, slots;
    uint64_t taken; /* as its last want said */
    bool is_there;
};

struct desk_slot {
    unsigned agent;
    bool drains;
    uint64_t job; /* that was sent last; 0: none */
    bool has_begun;
    uint64_t input_bytes;
    unsigned stops;      /* orders to end it */
    struct parcel *sent; /* nothing shows yet that the agent has it; the oldest first */
};

/* What is sent to a slot. */
enum parcel_kind {
    PARCEL_JOB,
    PARCEL_INPUT,
    PARCEL_ORDER,
};
#define ALL_PARCELS (1u << PARCEL_JOB | 1u << PARCEL_INPUT | 1u << PARCEL_ORDER)

struct parcel {
    struct mux_list entry; /* in desk.parcels, until it was sent */
    struct parcel *next;   /* that was sent */
    enum parcel_kind kind;
    unsigned slot;
    bool is_end;     /* of the input */
    uint64_t behind; /* bytes of the job's input, or orders, that go before it */
    char name[NAME_BYTES];
    size_t len, at;
    uint8_t bytes[];
};

struct desk {
    struct desk_config config;
    struct desk_agent *agents;
    unsigned agent_count, agent_room;
    struct desk_slot *slots;
    unsigned slot_count, slot_room;
    struct mux_list parcels;
    unsigned last; /* the agent that was found last: most packets come in runs */
};

struct desk *desk_open(const struct desk_config *config) {
    struct desk *desk = calloc(1, sizeof *desk);
    if (!desk)
        return NULL;
    desk->config = *config;
    mux_list_init(&desk->parcels);
    return desk;
}

static void free_parcel(struct parcel *parcel) {
    mux_list_remove(&parcel->entry);
    free(parcel);
}

/* The agent has these. */
static void forget_sent(struct desk_slot *slot, unsigned kinds) {
    for (struct parcel **at = &slot->sent; *at;) {
        struct parcel *parcel = *at;
        if (!(kinds & 1u << parcel->kind)) {
            at = &parcel->next;
            continue;
        }
        *at = parcel->next;
        free_parcel(parcel);
    }
}

void desk_close(struct desk *desk) {
    if (!desk)
        return;
    while (!mux_list_empty(&desk->parcels))
        free_parcel(MUX_LIST_ITEM(desk->parcels.next, struct parcel, entry));
    for (unsigned i = 0; i < desk->slot_count; i++)
        forget_sent(&desk->slots[i], ALL_PARCELS);
    free(desk->agents);
    free(desk->slots);
    free(desk);
}

/*
 * ---- parcels ----
 */

static struct parcel *make_parcel(struct desk *desk, enum parcel_kind kind, unsigned slot,
                                  size_t room) {
    struct parcel *parcel = calloc(1, sizeof *parcel + room);
    assert(slot < desk->slot_count);
    if (!parcel)
        return NULL;
    parcel->kind = kind;
    parcel->slot = slot;
    parcel->len = room;
    snprintf(parcel->name, sizeof parcel->name, "%" PRIu64, desk->slots[slot].job);
    mux_list_init(&parcel->entry);
    mux_list_append(&desk->parcels, &parcel->entry);
    return parcel;
}

/* `before`: so many orders to end this job went before. */
static bool send_stop(struct desk *desk, unsigned slot, uint64_t job, unsigned before) {
    static const char order[] = "{\"v\":1,\"do\":\"stop\"}";
    struct parcel *parcel = make_parcel(desk, PARCEL_ORDER, slot, sizeof order - 1);
    if (!parcel)
        return false;
    parcel->behind = before;
    snprintf(parcel->name, sizeof parcel->name, "%" PRIu64, job);
    memcpy(parcel->bytes, order, sizeof order - 1);
    return true;
}

/*
 * ---- who is there ----
 */

/* As a text. False: there is no room for it. */
static bool join(const char *segment, struct mux_span route, char *out, size_t room) {
    const struct mux_span front = mux_span_text(segment), none = mux_span(NULL, 0);
    uint8_t joined[DESK_SLOT_ROUTE_BYTES];
    struct mux_span whole =
        mux_route_join(front, route.len ? route : none, (struct mux_room){joined, sizeof joined});
    if (whole.len >= room)
        return false;
    snprintf(out, room, "%.*s", (int)whole.len, whole.len ? (const char *)whole.data : "");
    return true;
}

/* False: it is longer than any agent's. */
static bool join_route(const char *segment, struct mux_span route,
                       char out[DESK_AGENT_ROUTE_BYTES]) {
    return join(segment, route, out, DESK_AGENT_ROUTE_BYTES);
}

static bool is_at(const struct desk_agent *agent, const char *route) {
    return agent->is_there && strcmp(agent->route, route) == 0;
}

static struct desk_agent *find_agent(struct desk *desk, const char *route) {
    if (desk->last < desk->agent_count && is_at(&desk->agents[desk->last], route))
        return &desk->agents[desk->last];
    for (unsigned i = 0; i < desk->agent_count; i++)
        if (is_at(&desk->agents[i], route)) {
            desk->last = i;
            return &desk->agents[i];
        }
    return NULL;
}

/* Memory for `more` items beside those that are there. */
static bool reserve(void **items, unsigned *room, unsigned count, unsigned more, size_t bytes) {
    unsigned wanted = *room ? *room : 16;
    while (wanted < count + more)
        wanted *= 2;
    void *grown = wanted == *room ? *items : realloc(*items, wanted * bytes);
    if (!grown)
        return false;
    *items = grown;
    *room = wanted;
    return true;
}

static struct desk_agent *add_agent(struct desk *desk, const char *route, unsigned slots) {
    if (!reserve((void **)&desk->agents, &desk->agent_room, desk->agent_count, 1,
                 sizeof *desk->agents) ||
        !reserve((void **)&desk->slots, &desk->slot_room, desk->slot_count, slots,
                 sizeof *desk->slots))
        return NULL;
    struct desk_agent *agent = &desk->agents[desk->agent_count];
    *agent = (struct desk_agent){.first_slot = desk->slot_count, .slots = slots, .is_there = true};
    snprintf(agent->route, sizeof agent->route, "%s", route);
    for (unsigned i = 0; i < slots; i++)
        desk->slots[desk->slot_count + i] = (struct desk_slot){.agent = desk->agent_count};
    desk->agent_count++;
    desk->slot_count += slots;
    return agent;
}

/* What was to be sent to it goes nowhere. */
static void drop_parcels(struct desk *desk, unsigned first, unsigned count) {
    for (struct mux_list *at = desk->parcels.next, *next; at != &desk->parcels; at = next) {
        struct parcel *parcel = MUX_LIST_ITEM(at, struct parcel, entry);
        next = at->next;
        if (parcel->slot - first < count)
            free_parcel(parcel);
    }
    for (unsigned i = 0; i < count; i++)
        forget_sent(&desk->slots[first + i], ALL_PARCELS);
}

static void lose_agent(struct desk *desk, struct desk_agent *agent) {
    unsigned first = agent->first_slot, count = agent->slots;
    agent->is_there = false;
    drop_parcels(desk, first, count);
    for (unsigned i = 0; i < count; i++)
        desk->config.events->slot_left(desk->config.user, first + i);
}

/* Is it there, at this route or below it? */
static bool is_below(const struct desk_agent *agent, const char *route) {
    size_t len = strlen(route);
    return agent->is_there && strncmp(agent->route, route, len) == 0 &&
           (agent->route[len] == '\0' || agent->route[len] == '/');
}

void desk_lose(struct desk *desk, const char *segment, struct mux_span route) {
    char lost[DESK_AGENT_ROUTE_BYTES];
    if (!join_route(segment, route, lost))
        return;
    for (unsigned i = 0; i < desk->agent_count; i++)
        if (is_below(&desk->agents[i], lost))
            lose_agent(desk, &desk->agents[i]);
}

unsigned desk_slots(const struct desk *desk) {
    return desk->slot_count;
}

void desk_slot_route(const struct desk *desk, unsigned slot, char route[DESK_SLOT_ROUTE_BYTES]) {
    const struct desk_agent *agent = &desk->agents[desk->slots[slot].agent];
    assert(slot < desk->slot_count);
    snprintf(route, DESK_SLOT_ROUTE_BYTES, "%s/%u", agent->route, slot - agent->first_slot);
}

/* Cuts the slot's segment off the route. False: that is none. */
static bool cut_slot(const char *segment, struct mux_span route, char text[DESK_SLOT_ROUTE_BYTES],
                     unsigned long *slot) {
    bool fits = join(segment, route, text, DESK_SLOT_ROUTE_BYTES);
    char *number = strrchr(text, '/'), *end;
    if (!fits || !number || number[1] < '0' || number[1] > '9')
        return false;
    *slot = strtoul(number + 1, &end, 10);
    *number = '\0';
    return !*end;
}

int desk_slot_of(const struct desk *desk, const char *segment, struct mux_span route) {
    char text[DESK_SLOT_ROUTE_BYTES];
    unsigned long slot;
    if (!cut_slot(segment, route, text, &slot))
        return -1;
    const struct desk_agent *agent = find_agent((struct desk *)desk, text);
    return agent && slot < agent->slots ? (int)(agent->first_slot + slot) : -1;
}

bool desk_is_late(const struct desk *desk, const char *segment, struct mux_span route) {
    char text[DESK_SLOT_ROUTE_BYTES];
    unsigned long slot;
    int now = desk_slot_of(desk, segment, route);
    if ((now >= 0 && desk->slots[now].has_begun) || !cut_slot(segment, route, text, &slot))
        return false;
    for (unsigned i = 0; i < desk->agent_count; i++) {
        const struct desk_agent *agent = &desk->agents[i];
        if (!agent->is_there && slot < agent->slots && strcmp(agent->route, text) == 0)
            return true;
    }
    return false;
}

/*
 * ---- what agents say ----
 */

static void tell_drains(struct desk *desk, const struct desk_agent *agent,
                        const struct want *want) {
    unsigned first = agent->first_slot, count = agent->slots;
    for (unsigned i = 0; i < count; i++) {
        struct desk_slot *slot = &desk->slots[first + i];
        bool drains = want->draining || want->slot_drains[i];
        if (drains == slot->drains)
            continue;
        slot->drains = drains;
        desk->config.events->slot_drains(desk->config.user, first + i, drains);
    }
}

/*
 * It was lost, and is back with the jobs that it had: others have their tests now, and new jobs
 * would wait for them. (Another process at that place knows no such job.)
 */
static bool end_old_jobs(struct desk *desk, const struct desk_agent *agent) {
    bool is_fine = true;
    for (unsigned i = 0; i < desk->slot_count; i++) {
        const struct desk_agent *before = &desk->agents[desk->slots[i].agent];
        unsigned slot = i - before->first_slot;
        if (before->is_there || !desk->slots[i].job || slot >= agent->slots ||
            strcmp(before->route, agent->route) != 0)
            continue;
        is_fine =
            send_stop(desk, agent->first_slot + slot, desk->slots[i].job, desk->slots[i].stops++) &&
            is_fine;
    }
    return is_fine;
}

/* An agent that has taken fewer jobs than before, or has other slots, is another process. */
static bool is_another(const struct desk_agent *agent, const struct want *want) {
    return want->taken < agent->taken || want->slots != agent->slots;
}

static void take_want(struct desk *desk, const char *route, struct mux_span text) {
    char why[READ_WHY_BYTES];
    struct want want;
    if (!want_parse(text, &want, why) || want.slots > MESSAGE_SLOTS_MAX) {
        node_log(desk->config.node, "%s: a want that cannot be read: %s", route, why);
        return;
    }
    struct desk_agent *agent = find_agent(desk, route);
    if (agent && is_another(agent, &want)) {
        lose_agent(desk, agent);
        agent = NULL;
    }
    bool is_new = !agent;
    if (is_new && !(agent = add_agent(desk, route, (unsigned)want.slots))) {
        node_log(desk->config.node, "%s: no memory for its slots: it gets no jobs", route);
        return;
    }
    agent->taken = want.taken;
    if (is_new && !end_old_jobs(desk, agent))
        node_log(desk->config.node, "%s: no memory for orders to end its earlier jobs", route);
    unsigned first = agent->first_slot, count = agent->slots;
    tell_drains(desk, agent, &want);
    for (unsigned i = 0; is_new && i < count; i++)
        desk->config.events->slot_came(desk->config.user, first + i);
}

/* False: it is no number of ours. */
static bool take_number(const char *text, uint64_t *number) {
    char *end;
    *number = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end;
}

/* What shows that the agent has it. `index` -1: it is not known. */
static void note_answer(struct desk *desk, int index, uint64_t job, const struct answer *answer) {
    bool is_over = answer->state == ANSWER_ENDED || answer->state == ANSWER_REFUSED;
    unsigned slot = index < 0 ? 0 : (unsigned)index;
    while (index < 0 && slot < desk->slot_count && desk->slots[slot].job != job)
        slot++;
    if (slot >= desk->slot_count || desk->slots[slot].job != job)
        return;
    desk->slots[slot].has_begun = desk->slots[slot].has_begun || answer->state == ANSWER_BEGUN;
    forget_sent(&desk->slots[slot], is_over ? ALL_PARCELS : 1u << PARCEL_JOB);
}

/* A job that was refused has no slot in its answer: its route is the agent's. */
static void take_answer(struct desk *desk, const char *segment, const struct mux_packet *packet) {
    char why[READ_WHY_BYTES];
    struct answer answer;
    json_t *tree;
    uint64_t job;
    bool is_fine = answer_parse(packet->file_content, &answer, &tree, why);
    int slot = desk_slot_of(desk, segment, packet->route);
    if (!is_fine) {
        node_log(desk->config.node, "link %s: an answer to a job that cannot be read: %s", segment,
                 why);
    } else if (strcmp(answer.run, desk->config.run) == 0 && take_number(answer.name, &job)) {
        note_answer(desk, slot, job, &answer);
        desk->config.events->answered(desk->config.user, slot < 0 ? UINT32_MAX : (unsigned)slot,
                                      job, &answer);
    }
    json_decref(tree);
}

bool desk_take(struct desk *desk, const char *segment, const struct mux_packet *packet) {
    char route[DESK_AGENT_ROUTE_BYTES];
    if (!packet->file_name.data || packet->status != MUX_STATUS_NONE)
        return false;
    bool is_answer = mux_span_equal(packet->file_name, mux_span_text(MESSAGE_JOB_FILE));
    bool is_want = mux_span_equal(packet->file_name, mux_span_text(MESSAGE_WANT_FILE));
    if (is_answer)
        take_answer(desk, segment, packet);
    else if (is_want && join_route(segment, packet->route, route))
        take_want(desk, route, packet->file_content);
    return is_answer || is_want;
}

/*
 * ---- what is sent to them ----
 */

static bool complete(const struct desk *desk, json_t *object, const char *name) {
    return json_object_set_new(object, "v", json_integer(READ_VERSION)) == 0 &&
           json_object_set_new(object, "run", json_string(desk->config.run)) == 0 &&
           json_object_set_new(object, "job", json_string(name)) == 0;
}

bool desk_send_job(struct desk *desk, unsigned slot, uint64_t job, json_t *object) {
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "%" PRIu64, job);
    char *text = complete(desk, object, name) ? json_dumps(object, JSON_COMPACT) : NULL;
    size_t len = text ? strlen(text) : 0;
    struct desk_slot *at = &desk->slots[slot];
    forget_sent(at, ALL_PARCELS);
    at->job = job;
    at->has_begun = false;
    at->input_bytes = at->stops = 0;
    struct parcel *parcel = text ? make_parcel(desk, PARCEL_JOB, slot, len) : NULL;
    if (parcel)
        memcpy(parcel->bytes, text, len);
    free(text);
    return parcel != NULL;
}

bool desk_send_input(struct desk *desk, unsigned slot, struct mux_span bytes, bool is_end) {
    struct parcel *parcel = make_parcel(desk, PARCEL_INPUT, slot, bytes.len);
    if (!parcel)
        return false;
    parcel->is_end = is_end;
    parcel->behind = desk->slots[slot].input_bytes;
    desk->slots[slot].input_bytes += bytes.len;
    if (bytes.len)
        memcpy(parcel->bytes, bytes.data, bytes.len);
    return true;
}

void desk_input_is_read(struct desk *desk, unsigned slot) {
    forget_sent(&desk->slots[slot], 1u << PARCEL_INPUT);
}

bool desk_stop(struct desk *desk, unsigned slot) {
    struct desk_slot *at = &desk->slots[slot];
    return send_stop(desk, slot, at->job, at->stops++);
}

/* What is not the first of its kind says where it belongs. */
static void put_place(const struct parcel *parcel, struct mux_packet *packet, uint8_t *tags,
                      size_t tags_bytes) {
    char at[32];
    size_t len = 0;
    packet->test_id = mux_span_text(parcel->name);
    if (parcel->behind + parcel->at == 0)
        return;
    snprintf(at, sizeof at, "at=%" PRIu64, parcel->behind + parcel->at);
    mux_tag_append(tags, tags_bytes, &len, mux_span_text(at));
    packet->has_tags = true;
    packet->tag_count = 1;
    packet->tags = mux_span(tags, len);
}

/* Is there a way to it now? What is sent meanwhile would be dropped. */
static bool is_reached(const struct desk *desk, const char *route) {
    return !node_down_obstacle(desk->config.node, mux_span_text(route));
}

/* False: not now. */
static bool send_part(struct desk *desk, struct parcel *parcel) {
    static const char *const files[] = {
        [PARCEL_JOB] = MESSAGE_JOB_FILE, [PARCEL_INPUT] = "stdin", [PARCEL_ORDER] = ORDER_FILE};
    char route[DESK_SLOT_ROUTE_BYTES];
    uint8_t tags[64];
    size_t len = parcel->len - parcel->at < PART_BYTES ? parcel->len - parcel->at : PART_BYTES;
    bool is_last = parcel->at + len == parcel->len;
    struct mux_packet packet = {
        .file_name = mux_span_text(files[parcel->kind]),
        .file_content = mux_span(parcel->bytes + parcel->at, len),
        .eof = is_last && (parcel->kind != PARCEL_INPUT || parcel->is_end),
    };
    desk_slot_route(desk, parcel->slot, route);
    packet.route = mux_span_text(route);
    put_place(parcel, &packet, tags, sizeof tags);
    if (!is_reached(desk, route) || !node_add_down(desk->config.node, &packet))
        return false;
    parcel->at += len;
    return true;
}

static bool send_parcel(struct desk *desk, struct parcel *parcel) {
    do
        if (!send_part(desk, parcel))
            return false;
    while (parcel->at < parcel->len);
    struct parcel **last = &desk->slots[parcel->slot].sent;
    while (*last)
        last = &(*last)->next;
    *last = parcel;
    mux_list_remove(&parcel->entry);
    return true;
}

/* In front of what was not sent yet. */
static void send_slot_again(struct desk *desk, struct desk_slot *slot) {
    struct mux_list again;
    mux_list_init(&again);
    while (slot->sent) {
        struct parcel *parcel = slot->sent;
        slot->sent = parcel->next;
        parcel->next = NULL;
        parcel->at = 0;
        mux_list_append(&again, &parcel->entry);
    }
    mux_list_prepend(&desk->parcels, &again);
}

/* One of which only the beginning was sent begins anew. */
static void send_agent_again(struct desk *desk, const struct desk_agent *agent) {
    for (struct mux_list *at = desk->parcels.next; at != &desk->parcels; at = at->next) {
        struct parcel *parcel = MUX_LIST_ITEM(at, struct parcel, entry);
        if (parcel->slot - agent->first_slot < agent->slots)
            parcel->at = 0;
    }
    for (unsigned i = 0; i < agent->slots; i++)
        send_slot_again(desk, &desk->slots[agent->first_slot + i]);
}

void desk_send_again(struct desk *desk, struct mux_span route) {
    char there[DESK_AGENT_ROUTE_BYTES];
    if (!join_route("", route, there))
        return;
    for (unsigned i = 0; i < desk->agent_count; i++)
        if (is_below(&desk->agents[i], there))
            send_agent_again(desk, &desk->agents[i]);
}

/* Of one agent in order; one that is behind with reading does not hold the others up. */
bool desk_work(struct desk *desk) {
    unsigned behind = UINT32_MAX;
    for (struct mux_list *at = desk->parcels.next, *next; at != &desk->parcels; at = next) {
        struct parcel *parcel = MUX_LIST_ITEM(at, struct parcel, entry);
        unsigned agent = desk->slots[parcel->slot].agent;
        next = at->next;
        if (agent != behind && !send_parcel(desk, parcel))
            behind = agent;
    }
    return mux_list_empty(&desk->parcels);
}
