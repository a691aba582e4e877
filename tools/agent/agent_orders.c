/* Orders that come to an agent, for all of it or for one slot. */
#include "tools/agent/agent_internal.h"

static void set_draining(struct agent *agent, int slot, const struct order *order) {
    static const char why[] = "it drains, by an order";
    bool drains = order->verb == ORDER_DRAIN;
    if (order->is_from_above)
        agent->draining_above = drains;
    else if (slot == AGENT_ANY_SLOT)
        agent->draining = drains;
    else
        agent->slots[slot].draining = drains;
    agent->want_is_due = true;
    if (drains)
        agent_give_back_all(agent, slot, why);
}

static const char *stop(struct agent *agent, int slot) {
    if (slot == AGENT_ANY_SLOT) {
        while (agent->life < AGENT_STOPS)
            agent_terminate(agent);
        return NULL;
    }
    if (agent->slots[slot].state != AGENT_SLOT_BUSY)
        return "the slot has no job";
    agent_stop_slot(&agent->slots[slot], KEEPER_ORDERED);
    return NULL;
}

/* Does it take jobs again? */
static const char *why_still_draining(const struct agent *agent, int slot) {
    if (agent->life != AGENT_LIVES)
        return "the agent ends";
    if (agent->draining_above)
        return "the node above it drains: it takes no jobs as long as that does";
    return slot != AGENT_ANY_SLOT && agent->draining ? "its agent drains" : NULL;
}

/* NULL: it is done. Else why not. */
static const char *obey(struct agent *agent, const struct order *order, int slot) {
    switch (order->verb) {
    case ORDER_DRAIN:
        set_draining(agent, slot, order);
        return NULL;
    case ORDER_UNDRAIN:
        set_draining(agent, slot, order);
        return why_still_draining(agent, slot);
    case ORDER_STOP:
        return stop(agent, slot);
    case ORDER_KICK:
    case ORDER_VERBS:
        break;
    }
    return slot == AGENT_ANY_SLOT ? ORDER_NO_KICK
                                  : "a slot has no link that could be closed: stop ends its job";
}

static bool is_draining(const struct agent *agent, int slot) {
    return !agent_takes_jobs(agent) || (slot >= 0 && agent->slots[slot].draining);
}

/* A stop for one job, by its name: it may come twice, before that has begun, or when it is over. */
static bool is_past(struct agent *agent, int index, const struct mux_packet *packet) {
    uint64_t at;
    if (!packet->test_id.data || index < 0)
        return false;
    struct agent_slot *slot = &agent->slots[index];
    if (!agent_is_for_job(slot, packet, &at)) {
        agent_give_back_job(agent, packet->test_id, keeper_why_text(KEEPER_ORDERED));
        return true;
    }
    if (at < slot->stops)
        return true;
    slot->stops = at + 1;
    return false;
}

enum mux_taking agent_take_order(struct agent *agent, const struct mux_packet *packet) {
    char text[READ_WHY_BYTES], line[READ_WHY_BYTES];
    int slot = agent_slot_of(agent, packet->route);
    struct order order;
    const char *why = NULL;
    if (!agent_has_room_to_answer(agent))
        return MUX_TAKES_LATER;
    if (is_past(agent, slot, packet))
        return MUX_TAKES;
    if (!order_parse(packet->file_content, &order, text))
        why = text;
    else if (slot == AGENT_NO_SLOT)
        why = "the agent has no such slot";
    else if (slot == AGENT_BELOW_SLOT)
        why = "the route is too long: it ends with the number of a slot";
    else
        why = obey(agent, &order, slot);
    if (*order.id) {
        agent_answer_order(agent, slot, &order, is_draining(agent, slot), why);
    } else if (why && !order.is_from_above) {
        read_wrong(line, "an order is refused: %.200s", why);
        agent_message(agent, line);
    }
    return MUX_TAKES;
}
