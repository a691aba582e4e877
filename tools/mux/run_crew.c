#include "tools/mux/run_crew.h"

#include "tools/base/text.h"
#include "tools/mux/mux.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The agent ends when all it has said is acknowledged: mux run waits for it at its end. */
#define ACK_NS UINT64_C(10000000)

/* What the node needs, and what is received into; pages that are not touched cost nothing. */
#define MEMORY_BYTES ((size_t)96 << 20)
#define RECEIVE_BYTES ((size_t)32 << 20)
#define LINKS 64
#define OTHER_CONNS 16

/* At the end, for acknowledgements of what came from agents elsewhere. */
#define DRAIN_TIMEOUT_NS UINT64_C(2000000000)

#define ARGUMENT_BYTES (CREW_PATH_BYTES + 32)

static bool failed(const struct crew *crew, const char *what,
                   const struct transport_failure *failure) {
    text_complain("%s: %s: %s: %s", crew->station.program, what, failure->operation,
                  strerror(failure->error));
    return false;
}

static struct crew *crew_of(void *station) {
    return LOOP_OWNER(station, struct crew, station);
}

/*
 * ---- the folder and the node ----
 */

static bool make_folder(struct crew *crew) {
    char why[FOLDER_WHY_BYTES];
    if (!folder_make(&crew->folder, "run", why)) {
        text_complain("%s: %s", crew->station.program, why);
        return false;
    }
    folder_clear_left(&crew->folder);
    snprintf(crew->node_path, sizeof crew->node_path, "%s/" FOLDER_FILE_PREFIX "node",
             crew->folder.path);
    snprintf(crew->control_path, sizeof crew->control_path, "%s/" FOLDER_FILE_PREFIX "control",
             crew->folder.path);
    snprintf(crew->screen_path, sizeof crew->screen_path, "%s/" FOLDER_FILE_PREFIX "screen",
             crew->folder.path);
    return true;
}

bool crew_open(struct crew *crew, const struct crew_config *config, const char *program) {
    crew->config = *config;
    crew->folder.fd = crew->agent_pipe[0] = crew->agent_pipe[1] = -1;
    return station_open(&crew->station, program, NULL) && make_folder(crew);
}

static bool sink(void *user, const char *segment, const struct mux_packet *packet) {
    struct crew *crew = crew_of(user);
    return crew->config.sink(crew->config.user, segment, packet);
}

static void show_link(void *user, const char *segment, const char *peer, bool came) {
    struct crew *crew = crew_of(user);
    crew->config.show_link(crew->config.user, segment, peer, came);
}

static void gone(void *user, const char *segment, struct mux_span route) {
    struct crew *crew = crew_of(user);
    crew->config.gone(crew->config.user, segment, route);
}

static void came(void *user, struct mux_span route) {
    struct crew *crew = crew_of(user);
    crew->config.came(crew->config.user, route);
}

void crew_keep(struct crew *crew) {
    node_sink_safe(crew->station.node);
}

/* The folder and the socket let this user in, nobody else. */
static bool allowed(void *user, const struct transport_peer *peer) {
    (void)user, (void)peer;
    return true;
}

static bool start_node(struct crew *crew) {
    struct node_config config = {
        .mux = {.links_max = LINKS,
                .is_quiet = true,
                .window_bytes = STATION_WINDOW_BYTES,
                .ack_ns = ACK_NS,
                .node_grace_ns = STATION_GRACE_NS},
        .drain_timeout_ns = DRAIN_TIMEOUT_NS,
        .sink = sink,
        .show_link = show_link,
        .gone = gone,
        .came = came,
        .allowed = allowed,
    };
    const struct orders_config orders = {.loop = &crew->station.loop};
    orders_init(&crew->orders, &orders);
    if (!station_make_node(&crew->station, &config))
        return false;
    crew->hash_key = config.mux.hash_key;
    orders_open(&crew->orders, crew->station.node);
    return true;
}

/*
 * ---- sockets ----
 */

/* A unix socket for this user alone. */
static bool make_address(const struct crew *crew, const char *path,
                         struct transport_address *address) {
    char text[ARGUMENT_BYTES], why[ENDPOINT_TEXT_BYTES];
    struct endpoint endpoint;
    snprintf(text, sizeof text, "unix:%s", path);
    if (!endpoint_parse(text, &endpoint, why, sizeof why) ||
        !endpoint_resolve(&endpoint, true, address, 1, why, sizeof why)) {
        text_complain("%s: %s: %s", crew->station.program, path, why);
        return false;
    }
    address->mode_given = true;
    address->mode = 0600;
    return true;
}

static bool listen_for_agents(struct crew *crew) {
    struct transport_address address, bound;
    struct transport_failure failure;
    if (!make_address(crew, crew->node_path, &address))
        return false;
    crew->listener = loop_listen(&crew->station.loop, &address, node_listening(crew->station.node),
                                 &bound, &failure);
    return crew->listener || failed(crew, crew->node_path, &failure);
}

static bool open_control(struct crew *crew) {
    struct transport_address address;
    struct transport_failure failure;
    const struct control_config config = {.loop = &crew->station.loop,
                                          .node = crew->station.node,
                                          .orders = &crew->orders,
                                          .version = MUXD_VERSION,
                                          .address = &address};
    if (!make_address(crew, crew->control_path, &address))
        return false;
    crew->control = control_open(&config, &failure);
    return crew->control || failed(crew, crew->control_path, &failure);
}

/*
 * ---- the agent ----
 */

static void stop_listening_to_agent(struct crew *crew) {
    if (crew->agent_words)
        loop_unwatch(&crew->station.loop, crew->agent_words);
    crew->agent_words = NULL;
}

/* What it says is shown if it ends badly: else it says that all is well. True: there may be more.
 */
static bool read_words(struct crew *crew) {
    uint8_t bytes[CREW_WORDS_BYTES];
    ssize_t len = read(crew->agent_pipe[0], bytes, sizeof bytes);
    if (len > 0)
        text_keep_tail((struct mux_room){crew->words, sizeof crew->words}, &crew->words_len,
                       mux_span(bytes, (size_t)len));
    if (len == 0 || (len < 0 && errno != EAGAIN && errno != EINTR))
        stop_listening_to_agent(crew);
    return len > 0;
}

static void agent_says(struct loop_handler *handler, const struct transport_event *event,
                       uint64_t now_ns) {
    (void)event, (void)now_ns;
    read_words(LOOP_OWNER(handler, struct crew, agent_says));
}

static void agent_ended(struct child *child, const struct child_end *end, uint64_t now_ns) {
    struct crew *crew = LOOP_OWNER(child, struct crew, agent);
    char why[128];
    (void)now_ns;
    while (crew->agent_words && read_words(crew))
        ;
    stop_listening_to_agent(crew);
    if (end->exited)
        snprintf(why, sizeof why, "mux agent ended with exit status %d", end->status);
    else
        snprintf(why, sizeof why, "mux agent was ended by signal %d (SIG%s)", end->signal,
                 sigabbrev_np(end->signal));
    crew->config.agent_ended(crew->config.user, why, mux_span(crew->words, crew->words_len));
}

/* Its words come by a pipe, for the screen is ours. */
static bool watch_words(struct crew *crew) {
    struct transport_failure failure = {.operation = "pipe2"};
    if (pipe2(crew->agent_pipe, O_CLOEXEC | O_NONBLOCK) < 0) {
        failure.error = errno;
        return failed(crew, "mux agent", &failure);
    }
    crew->agent_says.handle = agent_says;
    crew->agent_words =
        loop_watch(&crew->station.loop, crew->agent_pipe[0], &crew->agent_says, &failure);
    return crew->agent_words || failed(crew, "mux agent", &failure);
}

static bool spawn_agent(struct crew *crew, int null) {
    char program[PROGRAM_PATH_BYTES], to[ARGUMENT_BYTES], slots[16], lease[32];
    struct transport_failure failure;
    snprintf(to, sizeof to, PLACE_NODE_PREFIX "unix:%s", crew->node_path);
    snprintf(slots, sizeof slots, "%u", crew->config.slots);
    snprintf(lease, sizeof lease, "%llums", (unsigned long long)crew->config.lease_ns / 1000000);
    const char *arguments[] = {program, "agent",           "--to", to,  "--slots", slots, "--lease",
                               lease,   "--drain-timeout", "1",    NULL};
    const struct child_config config = {
        .arguments = arguments,
        .descriptors = {null, null, crew->agent_pipe[1]},
        .death_signal = SIGINT, /* it ends its jobs, and then itself */
        .ended = agent_ended,
    };
    program_path_of_mux(program);
    return child_start(&crew->station.children, &crew->agent, &config, &failure) ||
           failed(crew, program, &failure);
}

static bool start_agent(struct crew *crew) {
    if (!watch_words(crew))
        return false;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    bool is_started = spawn_agent(crew, null);
    if (null >= 0)
        close(null);
    close(crew->agent_pipe[1]);
    crew->agent_pipe[1] = -1;
    return is_started;
}

bool crew_start(struct crew *crew) {
    struct stacks_config config = {
        .memory_bytes = MEMORY_BYTES,
        .receive_bytes = RECEIVE_BYTES,
        .conns_max = LINKS + CONTROL_CONNS_MAX + OTHER_CONNS,
    };
    return station_start(&crew->station, &config) && start_node(crew) && listen_for_agents(crew) &&
           open_control(crew) && start_agent(crew);
}

/*
 * ---- the end ----
 */

void crew_dismiss(struct crew *crew, bool at_once) {
    child_signal(&crew->agent, at_once ? SIGINT : SIGTERM);
}

void crew_stop(struct crew *crew, bool stops) {
    child_signal(&crew->agent, stops ? SIGSTOP : SIGCONT);
}

void crew_leave(struct crew *crew) {
    if (crew->listener)
        transport_unlisten(crew->listener);
    crew->listener = NULL;
    if (crew->control)
        control_close(crew->control);
    node_terminate(crew->station.node, false);
}

void crew_close(struct crew *crew) {
    while (crew->control && !control_is_closed(crew->control))
        loop_step(&crew->station.loop);
    if (crew->control)
        control_destroy(crew->control);
    station_close(&crew->station);
    for (int i = 0; i < 2; i++)
        if (crew->agent_pipe[i] >= 0)
            close(crew->agent_pipe[i]);
    folder_remove(&crew->folder);
}
