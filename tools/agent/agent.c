#include "tools/agent/agent_internal.h"
#include "tools/agent/invocation.h"
#include "tools/node/view.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NS_PER_MS UINT64_C(1000000)

/* How often strays are looked for while there are some. */
#define STRAYS_NS (20 * NS_PER_MS)

extern char **environ;

/*
 * ---- slots ----
 */

/* The file that the command reads its ids from. False with *failure. */
static bool write_ids(struct agent *agent, struct agent_slot *slot, const struct job *job,
                      struct transport_failure *failure) {
    *failure = (struct transport_failure){.error = ENOMEM, .operation = "write the ids"};
    if (!job->has_ids || job->ids_as == JOB_IDS_LIST)
        return true;
    if (asprintf(&slot->ids_path, "%s/" FOLDER_FILE_PREFIX "ids.%u", agent->folder.path,
                 agent->files++) < 0) {
        slot->ids_path = NULL;
        return false;
    }
    FILE *file = fopen(slot->ids_path, "wxe");
    for (size_t i = 0; file && i < job->id_count; i++)
        fprintf(file, "%s\n", job->ids[i]);
    bool is_fine = file && !ferror(file);
    is_fine = (!file || fclose(file) == 0) && is_fine;
    if (!is_fine)
        failure->error = errno;
    return is_fine;
}

static void drop_ids(struct agent_slot *slot) {
    if (slot->ids_path)
        unlink(slot->ids_path);
    free(slot->ids_path);
    slot->ids_path = NULL;
}

static bool start_keeper(struct agent *agent, struct agent_slot *slot, const struct job *job,
                         struct transport_failure *failure) {
    struct invocation invocation;
    if (!write_ids(agent, slot, job, failure))
        return false;
    *failure = (struct transport_failure){.error = ENOMEM, .operation = "arguments"};
    bool made = invocation_make(&invocation, job, agent->config.program,
                                (const char *const *)environ, slot->ids_path);
    const struct keeper_config config = {
        .node = agent->config.node,
        .loop = agent->config.loop,
        .children = agent->config.children,
        .segment = slot->segment,
        .arguments = (const char *const *)invocation.arguments.strings,
        .environment = (const char *const *)invocation.environment.strings,
    };
    bool started = made && keeper_start(&slot->keeper, &config, failure);
    invocation_free(&invocation);
    return started;
}

/* "exec: Argument list too long": of the arguments and the environment together. */
static void refuse_start(struct agent *agent, const struct job *job,
                         const struct transport_failure *failure) {
    char why[READ_WHY_BYTES];
    read_wrong(why, "it could not be started: %s: %s%s", failure->operation,
               strerror(failure->error),
               failure->error == E2BIG ? " (its arguments and its environment together)" : "");
    agent_forget_job(agent, job);
    agent_refuse(agent, job, why);
}

static void begin(struct agent *agent, struct agent_slot *slot, const struct job *job) {
    struct transport_failure failure;
    memcpy(slot->run, job->run, sizeof slot->run);
    memcpy(slot->name, job->name, sizeof slot->name);
    slot->input_bytes = slot->stops = 0;
    slot->has_input_ended = false;
    *slot->why = '\0';
    if (!start_keeper(agent, slot, job, &failure)) {
        drop_ids(slot);
        refuse_start(agent, job, &failure);
        return;
    }
    slot->state = AGENT_SLOT_BUSY;
    agent_answer_slot(agent, slot, ANSWER_BEGUN);
}

void agent_stop_slot(struct agent_slot *slot, enum keeper_why why) {
    if (slot->state != AGENT_SLOT_BUSY)
        return;
    if (!*slot->why)
        snprintf(slot->why, sizeof slot->why, "%s", keeper_why_text(why));
    keeper_stop(&slot->keeper, why);
}

static void stop_all(struct agent *agent, enum keeper_why why) {
    for (unsigned i = 0; i < agent->config.slots; i++)
        agent_stop_slot(&agent->slots[i], why);
}

/* The keeper is done, and all of it is on its way up: so is the answer, behind it. */
static void end_job(struct agent *agent, struct agent_slot *slot) {
    const struct child_end *end = &slot->keeper.end;
    if (keeper_was_held_up(&slot->keeper))
        snprintf(slot->why, sizeof slot->why, "its mux exec was killed: " KEEPER_HELD_UP);
    struct agent_answer *answer = agent_answer_slot(agent, slot, ANSWER_ENDED);
    if (answer) {
        answer->status = end->exited ? end->status : -1;
        answer->signal = end->signal;
    }
    drop_ids(slot);
    slot->state = AGENT_SLOT_FREE;
    agent->has_strays = true; /* perhaps: a killed keeper leaves all, a careful one nothing */
    agent->want_is_due = true;
}

static void look_for_ends(struct agent *agent) {
    for (unsigned i = 0; i < agent->config.slots; i++) {
        struct agent_slot *slot = &agent->slots[i];
        if (slot->state == AGENT_SLOT_BUSY && slot->keeper.state == KEEPER_DONE)
            end_job(agent, slot);
    }
}

static void fill_slots(struct agent *agent) {
    for (unsigned i = 0; i < agent->config.slots; i++) {
        struct agent_slot *slot = &agent->slots[i];
        struct agent_job *job;
        while (slot->state == AGENT_SLOT_FREE && !slot->draining &&
               (job = agent_job_for(agent, (int)i))) {
            begin(agent, slot, &job->job);
            agent_free_job(agent, job);
            agent->want_is_due = true;
        }
    }
}

/*
 * ---- what comes ----
 */

/* Which slots there are, and in which of them jobs run, as far as there is room. */
static void say_slots(struct agent *agent) {
    char text[READ_WHY_BYTES];
    const char *between = "; jobs run in ";
    int len = snprintf(text, sizeof text, VIEW_AGENT "its slots are %s to %s",
                       agent->slots[0].segment, agent->slots[agent->config.slots - 1].segment);
    for (unsigned i = 0; i < agent->config.slots; i++) {
        if (agent->slots[i].state != AGENT_SLOT_BUSY)
            continue;
        if (len + (int)(strlen(between) + AGENT_SEGMENT_BYTES) > (int)sizeof text - 8) {
            strcpy(text + len, ", ...");
            break;
        }
        len += sprintf(text + len, "%s%s", between, agent->slots[i].segment);
        between = ", ";
    }
    agent_message(agent, text);
}

/*
 * Of a terminal that is attached to a slot, or to the agent. A keeper is told it, a free slot has
 * nobody to tell.
 */
static enum mux_taking take_window(struct agent *agent, const struct mux_packet *packet) {
    char text[sizeof VIEW_NO_JOB + AGENT_SEGMENT_BYTES];
    int slot = agent_slot_of(agent, packet->route);
    if (slot != AGENT_ANY_SLOT && (slot < 0 || agent->slots[slot].state != AGENT_SLOT_FREE))
        return MUX_TAKES_NOT;
    if (!agent_has_room_to_answer(agent))
        return MUX_TAKES_LATER;
    if (slot == AGENT_ANY_SLOT) {
        say_slots(agent);
        return MUX_TAKES;
    }
    snprintf(text, sizeof text, VIEW_NO_JOB "%s", agent->slots[slot].segment);
    agent_message(agent, text);
    return MUX_TAKES;
}

enum mux_taking agent_take(struct agent *agent, const struct mux_packet *packet) {
    if (mux_span_equal(packet->file_name, mux_span_text(MESSAGE_JOB_FILE)))
        return agent_take_job(agent, packet);
    if (mux_span_equal(packet->file_name, mux_span_text(ORDER_FILE)))
        return agent_take_order(agent, packet);
    if (mux_span_equal(packet->file_name, mux_span_text("stdin")))
        return agent_take_input(agent, packet);
    if (mux_span_equal(packet->file_name, mux_span_text(VIEW_WINDOW_FILE)))
        return take_window(agent, packet);
    return MUX_TAKES_NOT;
}

/*
 * ---- time ----
 */

static void look_at_upstream(struct agent *agent, uint64_t at_ns) {
    bool is_reached = node_reaches_upstream(agent->config.node);
    if (is_reached == agent->is_reached)
        return;
    agent->is_reached = is_reached;
    if (!is_reached)
        agent->draining_above = false; /* the next node says what holds there */
    agent->want_is_due = true;
    agent->lease_ends_ns = is_reached ? UINT64_MAX : at_ns + agent->config.lease_ns;
}

static void look_at_lease(struct agent *agent, uint64_t at_ns) {
    char why[READ_WHY_BYTES];
    if (at_ns < agent->lease_ends_ns)
        return;
    agent->lease_ends_ns = UINT64_MAX;
    read_wrong(why, "the lease is over: the node was out of reach for %g s",
               (double)agent->config.lease_ns / 1e9);
    node_log(agent->config.node, "%s: its jobs are ended", why);
    agent_give_back_all(agent, AGENT_ANY_SLOT, why);
    stop_all(agent, KEEPER_LEASE_OVER);
}

static void look_at_parts(struct agent *agent, uint64_t at_ns) {
    struct parts_result part;
    while (parts_give_up(&agent->parts, at_ns, &part))
        agent_answer_job(agent, ANSWER_REFUSED, "", part.name, part.why);
}

static void look_at_strays(struct agent *agent, uint64_t at_ns) {
    if (!agent->has_strays || at_ns < agent->strays_ns)
        return;
    agent->has_strays = keeper_kill_strays(agent->config.children);
    agent->strays_ns = at_ns + STRAYS_NS;
}

static bool is_idle(const struct agent *agent) {
    for (unsigned i = 0; i < agent->config.slots; i++)
        if (agent->slots[i].state != AGENT_SLOT_FREE)
            return false;
    return mux_list_empty(&agent->answers) && !agent->has_strays;
}

static void work(struct loop_client *client, uint64_t at_ns) {
    struct agent *agent = LOOP_OWNER(client, struct agent, base);
    agent->retry_ns = UINT64_MAX;
    look_at_upstream(agent, at_ns);
    look_at_lease(agent, at_ns);
    look_at_parts(agent, at_ns);
    look_for_ends(agent);
    fill_slots(agent);
    look_at_strays(agent, at_ns);
    agent_send_answers(agent, at_ns);
    agent_send_want(agent, at_ns);
    if (agent->life == AGENT_LIVES || agent->life == AGENT_ENDED || !is_idle(agent))
        return;
    agent->life = AGENT_ENDED;
    loop_leave(&agent->base);
    agent->config.ended(agent->config.user);
}

static uint64_t earlier(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t deadline_ns(const struct loop_client *client) {
    const struct agent *agent = LOOP_OWNER(client, struct agent, base);
    uint64_t at_ns = earlier(agent->lease_ends_ns, parts_deadline_ns(&agent->parts));
    bool has_news = !mux_list_empty(&agent->answers) || (agent->is_reached && agent->want_is_due);
    if (has_news && agent->retry_ns == UINT64_MAX)
        return 0;
    at_ns = earlier(at_ns, agent->retry_ns);
    if (agent->is_reached)
        at_ns = earlier(at_ns, agent->want_ns);
    return agent->has_strays ? earlier(at_ns, agent->strays_ns) : at_ns;
}

/*
 * ---- life ----
 */

static void set_life(struct agent *agent, enum agent_life life) {
    assert(life > agent->life);
    agent->life = life;
}

void agent_terminate(struct agent *agent) {
    const char *why = keeper_why_text(KEEPER_AGENT_ENDS);
    if (agent->life >= AGENT_KILLS)
        return;
    set_life(agent, agent->life + 1);
    agent_give_back_all(agent, AGENT_ANY_SLOT, why);
    if (agent->life == AGENT_DRAINS)
        node_log(agent->config.node, "it ends when its jobs have ended");
    else if (agent->life == AGENT_STOPS)
        stop_all(agent, KEEPER_AGENT_ENDS);
    else
        for (unsigned i = 0; i < agent->config.slots; i++)
            keeper_kill(&agent->slots[i].keeper);
}

static bool make_slots(struct agent *agent) {
    agent->slots = calloc(agent->config.slots, sizeof *agent->slots);
    agent->remembered = calloc(AGENT_REMEMBERED, sizeof *agent->remembered);
    if (!agent->slots || !agent->remembered) {
        node_log(agent->config.node, "out of memory");
        return false;
    }
    for (unsigned i = 0; i < agent->config.slots; i++)
        snprintf(agent->slots[i].segment, sizeof agent->slots[i].segment, "%u", i);
    return true;
}

/* Ids may be secret. */
static bool make_folder(struct agent *agent) {
    char why[FOLDER_WHY_BYTES];
    if (!folder_make(&agent->folder, "agent", why)) {
        node_log(agent->config.node, "%s", why);
        return false;
    }
    unsigned left = folder_clear_left(&agent->folder);
    if (left)
        node_log(agent->config.node,
                 "the files of agents that were killed are removed: %u folder%s", left,
                 left == 1 ? "" : "s");
    return true;
}

bool agent_open(struct agent *agent, const struct agent_config *config) {
    assert(config->slots > 0 && config->slots <= AGENT_SLOTS_MAX);
    *agent = (struct agent){.base = {.deadline_ns = deadline_ns, .work = work},
                            .config = *config,
                            .retry_ns = UINT64_MAX,
                            .lease_ends_ns = UINT64_MAX,
                            .folder = {.lock = -1}};
    mux_list_init(&agent->ahead);
    mux_list_init(&agent->answers);
    if (!make_slots(agent) || !make_folder(agent))
        return false;
    loop_join(config->loop, &agent->base);
    return true;
}

/* What came when it had ended has no answer: its node is gone from the driver's view. */
static void drop_waiting(struct agent *agent) {
    while (!mux_list_empty(&agent->ahead))
        agent_free_job(agent, MUX_LIST_ITEM(agent->ahead.next, struct agent_job, entry));
    while (!mux_list_empty(&agent->answers)) {
        struct mux_list *first = agent->answers.next;
        mux_list_remove(first);
        free(MUX_LIST_ITEM(first, struct agent_answer, entry));
    }
}

void agent_close(struct agent *agent) {
    if (agent->config.loop)
        drop_waiting(agent);
    for (unsigned i = 0; agent->slots && i < agent->config.slots; i++)
        drop_ids(&agent->slots[i]);
    folder_remove(&agent->folder);
    parts_free(&agent->parts);
    free(agent->slots);
    free(agent->remembered);
}
