/* Jobs that come to an agent, and those that wait in it for a slot. */
#include "mux/hash.h"
#include "mux/packet/route.h"
#include "tools/agent/agent_internal.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * ---- jobs are remembered ----
 */

/* Never 0, which is a free entry. */
static uint64_t hash_of(const struct agent *agent, const struct job *job) {
    char text[2 * ANSWER_NAME_BYTES];
    int len = snprintf(text, sizeof text, "%s%c%s", job->run, '\1', job->name);
    return mux_hash(agent->config.hash_key, mux_span(text, (size_t)len)) | 1;
}

static uint64_t *find_remembered(const struct agent *agent, uint64_t hash) {
    for (unsigned i = 0; i < AGENT_REMEMBERED; i++)
        if (agent->remembered[i] == hash)
            return &agent->remembered[i];
    return NULL;
}

static void remember(struct agent *agent, const struct job *job) {
    agent->remembered[agent->remember_next] = hash_of(agent, job);
    agent->remember_next = (agent->remember_next + 1) % AGENT_REMEMBERED;
}

void agent_forget_job(struct agent *agent, const struct job *job) {
    uint64_t *entry = find_remembered(agent, hash_of(agent, job));
    if (entry)
        *entry = 0;
}

/*
 * ---- jobs that wait ----
 */

void agent_free_job(struct agent *agent, struct agent_job *job) {
    mux_list_remove(&job->entry);
    agent->ahead_count--;
    agent->ahead_bytes -= job->bytes;
    job_free(&job->job);
    free(job);
}

/* It goes back: another agent may have it, or this one when it takes jobs again. */
static void give_back(struct agent *agent, struct agent_job *job, const char *why) {
    agent_forget_job(agent, &job->job);
    agent_refuse(agent, &job->job, why);
    agent_free_job(agent, job);
}

/* `slot` AGENT_ANY_SLOT: all that wait. */
void agent_give_back_all(struct agent *agent, int slot, const char *why) {
    for (struct mux_list *at = agent->ahead.next, *next; at != &agent->ahead; at = next) {
        struct agent_job *job = MUX_LIST_ITEM(at, struct agent_job, entry);
        next = at->next;
        if (slot == AGENT_ANY_SLOT || job->slot == slot)
            give_back(agent, job, why);
    }
    agent->want_is_due = true;
}

void agent_give_back_job(struct agent *agent, struct mux_span name, const char *why) {
    for (struct mux_list *at = agent->ahead.next; at != &agent->ahead; at = at->next) {
        struct agent_job *job = MUX_LIST_ITEM(at, struct agent_job, entry);
        if (!mux_span_equal(name, mux_span_text(job->job.name)))
            continue;
        give_back(agent, job, why);
        agent->want_is_due = true;
        return;
    }
}

/* The oldest job that this slot may run. */
struct agent_job *agent_job_for(const struct agent *agent, int slot) {
    for (struct mux_list *at = agent->ahead.next; at != &agent->ahead; at = at->next) {
        struct agent_job *job = MUX_LIST_ITEM(at, struct agent_job, entry);
        if (job->slot == slot || job->slot == AGENT_ANY_SLOT)
            return job;
    }
    return NULL;
}

/*
 * ---- jobs that come ----
 */

/* Which slot a route names. */
int agent_slot_of(const struct agent *agent, struct mux_span route) {
    struct mux_span segment = mux_route_first(route);
    if (!route.data || route.len == 0)
        return AGENT_ANY_SLOT;
    for (unsigned i = 0; i < agent->config.slots; i++)
        if (mux_span_equal(segment, mux_span_text(agent->slots[i].segment)))
            return segment.len == route.len ? (int)i : AGENT_BELOW_SLOT;
    return AGENT_NO_SLOT;
}

static unsigned ahead_of(const struct agent *agent, int slot) {
    unsigned count = 0;
    for (struct mux_list *at = agent->ahead.next; at != &agent->ahead; at = at->next)
        count += MUX_LIST_ITEM(at, struct agent_job, entry)->slot == slot;
    return count;
}

/* May this job wait here, or begin? False, and a sentence: why not. */
static bool has_room(const struct agent *agent, int index, size_t bytes, char *why) {
    const struct agent_slot *slot = index >= 0 ? &agent->slots[index] : NULL;
    if (!agent_takes_jobs(agent))
        return read_wrong(why, "the agent takes no new jobs: it drains");
    if (index == AGENT_NO_SLOT)
        return read_wrong(why, "the agent has no such slot: they are 0 to %u",
                          agent->config.slots - 1);
    if (index == AGENT_BELOW_SLOT)
        return read_wrong(why, "the route is too long: it ends with the number of a slot");
    if (slot && slot->draining)
        return read_wrong(why, "slot %s takes no new jobs: it drains", slot->segment);
    if (slot && ahead_of(agent, index) >= 1 + (slot->state == AGENT_SLOT_FREE))
        return read_wrong(why, "slot %s is busy, and another job waits for it", slot->segment);
    if (agent_want_of(agent).room == 0)
        return read_wrong(why, "all slots are busy, and %u jobs wait: \"room\" was 0",
                          agent->ahead_count);
    if (bytes > AGENT_AHEAD_MOST_BYTES - agent->ahead_bytes)
        return read_wrong(why, "the jobs that wait are too large");
    return true;
}

/* The job's memory is the list's. */
static bool enqueue(struct agent *agent, const struct job *job, int slot, size_t bytes) {
    struct agent_job *entry = malloc(sizeof *entry);
    if (!entry)
        return false;
    *entry = (struct agent_job){.job = *job, .slot = slot, .bytes = bytes};
    mux_list_init(&entry->entry);
    mux_list_append(&agent->ahead, &entry->entry);
    agent->ahead_count++;
    agent->ahead_bytes += bytes;
    agent->taken++;
    remember(agent, job);
    return true;
}

static void accept_job(struct agent *agent, struct job *job, int slot, size_t bytes) {
    char why[READ_WHY_BYTES] = "out of memory";
    if (find_remembered(agent, hash_of(agent, job)))
        agent_answer_job(agent, ANSWER_REPEATED, job->run, job->name, NULL);
    else if (!has_room(agent, slot, bytes, why) || !enqueue(agent, job, slot, bytes))
        agent_refuse(agent, job, why);
    else
        return;
    job_free(job);
}

static void take_text(struct agent *agent, const struct parts_result *part, int slot) {
    struct job job;
    char why[READ_WHY_BYTES];
    bool is_read = job_parse(part->text, &job, why);
    if (!*job.name)
        memcpy(job.name, part->name, sizeof job.name);
    if (is_read && *part->name && strcmp(part->name, job.name) != 0) {
        read_wrong(why, "its packet has another test id than \"job\"");
        job_free(&job);
        is_read = false;
    }
    if (is_read)
        accept_job(agent, &job, slot, part->text.len);
    else
        agent_refuse(agent, &job, why);
}

enum mux_taking agent_take_job(struct agent *agent, const struct mux_packet *packet) {
    struct parts_result part;
    if (!agent_has_room_to_answer(agent))
        return MUX_TAKES_LATER;
    parts_take(&agent->parts, packet, agent_now_ns(agent), &part);
    if (part.outcome == PARTS_WHOLE)
        take_text(agent, &part, agent_slot_of(agent, packet->route));
    else if (part.outcome == PARTS_REFUSED)
        agent_answer_job(agent, ANSWER_REFUSED, "", part.name, part.why);
    return MUX_TAKES;
}

/*
 * ---- what comes for a job that runs ----
 */

bool agent_is_for_job(const struct agent_slot *slot, const struct mux_packet *packet,
                      uint64_t *at) {
    return slot->state == AGENT_SLOT_BUSY &&
           mux_span_equal(packet->test_id, mux_span_text(slot->name)) && parts_at(packet, at);
}

/*
 * A driver sends again what may have been lost on its way. What came twice, or behind something
 * that is missing still, is not passed on.
 */
enum mux_taking agent_take_input(struct agent *agent, const struct mux_packet *packet) {
    int index = agent_slot_of(agent, packet->route);
    uint64_t at;
    if (!packet->test_id.data || index < 0)
        return MUX_TAKES_NOT;
    struct agent_slot *slot = &agent->slots[index];
    if (!agent_is_for_job(slot, packet, &at) || at != slot->input_bytes || slot->has_input_ended)
        return MUX_TAKES;
    slot->input_bytes += packet->file_content.len;
    slot->has_input_ended = packet->eof;
    return MUX_TAKES_NOT;
}
