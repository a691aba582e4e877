#include "tools/node/station.h"
#include "tools/base/text.h"
#include "tools/node/dialer.h"
#include "tools/node/identity.h"

#include <malloc.h>
#include <string.h>

/* Larger tables come fresh from the kernel, so that calloc() need not touch them: these programs
   start often, and use little of theirs. */
#define TABLE_BYTES 16384

static bool failed(const struct station *station, const char *what,
                   const struct transport_failure *failure) {
    text_complain("%s: %s: %s: %s", station->program, what, failure->operation,
                  strerror(failure->error));
    return false;
}

bool station_open(struct station *station, const char *program, const struct place *place) {
    struct transport_failure failure;
    mallopt(M_MMAP_THRESHOLD, TABLE_BYTES);
    station->program = program;
    station->place = place;
    log_open(&station->log, program);
    if (!signals_open(&station->signals, &failure))
        return failed(station, "signals", &failure);
    children_open(&station->children, &station->signals);
    return true;
}

bool station_start(struct station *station, struct stacks_config *config) {
    char said[2 * ENDPOINT_TEXT_BYTES];
    struct transport_failure failure;
    config->upstream = station->place;
    config->io = IO_EPOLL;
    if (!stacks_start(&station->stacks, config, said, sizeof said)) {
        text_complain("%s: %s", station->program, said);
        return false;
    }
    loop_init(&station->loop, station->stacks.ops, station->stacks.transport);
    log_join(&station->log, &station->loop);
    if (!signals_watch(&station->signals, &station->loop, &failure))
        return failed(station, "signals", &failure);
    if (station->place)
        station->resolver = resolver_start(station->place);
    return true;
}

/*
 * ---- what the node asks for ----
 */

void station_say(void *user, const char *line) {
    struct station *station = user;
    log_line(&station->log, line, loop_now_ns(&station->loop));
}

static unsigned addresses_of(void *user, struct transport_address *addresses, char *why,
                             size_t why_bytes) {
    struct station *station = user;
    return resolver_addresses(station->resolver, addresses, DIALER_ADDRESSES_MAX, why, why_bytes);
}

static struct transport_conn *connect_to(void *user, const struct transport_address *address,
                                         void *conn_user, struct transport_failure *failure) {
    struct station *station = user;
    return loop_connect(&station->loop, address, conn_user, failure);
}

bool station_make_node(struct station *station, struct node_config *config) {
    const struct place *place = station->place;
    config->loop = &station->loop;
    config->mux.memory = station->stacks.memory;
    config->mux.upstream_is_node = place && place->is_node;
    config->upstream_retry = place != NULL;
    if (place)
        place_text(place, station->place_text);
    config->upstream_text = place ? station->place_text : "stdout";
    config->upstream_addresses = place ? addresses_of : NULL;
    config->connect = connect_to;
    config->log = station_say;
    config->user = station;
    identity_draw(config, station->name);
    station->node = node_create(config);
    if (!station->node)
        text_complain("%s: out of memory", station->program);
    return station->node != NULL;
}

/*
 * ---- its life ----
 */

void station_run(struct station *station) {
    while (!node_has_ended(station->node) || station->loop.orphans)
        loop_step(&station->loop);
}

bool station_all_sent(const struct station *station) {
    return node_all_sent(station->node) && !node_in_doubt(station->node);
}

static void destroy_node(void *user) {
    struct station *station = user;
    if (station->node)
        node_destroy(station->node);
}

void station_leave(struct station *station) {
    log_close(&station->log);
}

void station_close(struct station *station) {
    if (station->loop.transport)
        signals_close(&station->signals);
    stacks_stop(&station->stacks, destroy_node, station);
    log_close(&station->log);
}
