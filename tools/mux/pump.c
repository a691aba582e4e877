#include "tools/mux/pump.h"

#include <stdlib.h>

static bool list_init(struct pump_list *list, unsigned most) {
    list->buffers = calloc(most, sizeof(struct mux_buffer *));
    list->spans = calloc(most, sizeof *list->spans);
    return list->buffers && list->spans;
}

static void list_release(struct pump_list *list) {
    for (unsigned i = 0; i < list->count; i++)
        mux_buffer_release(list->buffers[i]);
    list->count = 0;
}

static size_t list_bytes(const struct pump_list *list) {
    size_t bytes = 0;
    for (unsigned i = 0; i < list->count; i++)
        bytes += list->spans[i].len;
    return bytes;
}

bool pump_init(struct pump *pump, unsigned lent_max) {
    return list_init(&pump->waiting, lent_max) && list_init(&pump->sending, lent_max);
}

/* Sends all that waits as one gather list, unless the one before is still being sent. */
static void send_waiting(struct pump *pump) {
    if (!pump->to || pump->sending.count > 0 || pump->waiting.count == 0)
        return;
    struct pump_list sent = pump->sending;
    pump->sending = pump->waiting;
    pump->waiting = sent;
    pump->gather = (struct mux_gather){
        .spans = pump->sending.spans,
        .count = pump->sending.count,
        .len_bytes = list_bytes(&pump->sending),
    };
    transport_send(pump->to, &pump->gather);
}

void pump_keep(struct pump *pump) {
    pump->keeps = true;
}

void pump_start(struct pump *pump, struct transport_conn *to) {
    pump->to = to;
    pump->keeps = false;
    send_waiting(pump);
}

void pump_detach(struct pump *pump) {
    pump->to = NULL;
}

void pump_receive(struct pump *pump, const struct transport_event *event) {
    struct pump_list *waiting = &pump->waiting;
    if (!pump->to && !pump->keeps) {
        pump->dropped_bytes += event->bytes.len;
        mux_buffer_release(event->buffer);
        return;
    }
    waiting->buffers[waiting->count] = event->buffer;
    waiting->spans[waiting->count++] = event->bytes;
    send_waiting(pump);
}

void pump_sent(struct pump *pump) {
    list_release(&pump->sending);
    send_waiting(pump);
}

bool pump_is_empty(const struct pump *pump) {
    return pump->waiting.count == 0 && pump->sending.count == 0;
}

void pump_stop(struct pump *pump, uint64_t sent_bytes) {
    if (pump->sending.count > 0)
        pump->dropped_bytes += list_bytes(&pump->sending) - sent_bytes;
    pump->dropped_bytes += list_bytes(&pump->waiting);
    list_release(&pump->sending);
    list_release(&pump->waiting);
}
