#include "tools/agent/keeper.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* After its end, another process may still hold its socket: what comes within this time is read. */
#define LINGER_NS UINT64_C(250000000)

/* A keeper that is stopped is continued, for no limit of its job would hold. It is not for ever. */
#define STOPS_MAX 100

static void set_state(struct keeper *keeper, enum keeper_state state) {
    assert(state > keeper->state);
    keeper->state = state;
}

/*
 * ---- the end ----
 */

/* Its tests in progress are reported failed; when it ended by itself it has done that. */
static void end_link(struct keeper *keeper) {
    char reason[128];
    set_state(keeper, keeper->link ? KEEPER_ENDING : KEEPER_DONE);
    loop_cancel(keeper->loop, &keeper->linger);
    if (!keeper->link)
        return;
    if (keeper->end.exited)
        snprintf(reason, sizeof reason, "its mux exec exited with status %d", keeper->end.status);
    else
        snprintf(reason, sizeof reason, "its mux exec was killed by SIG%s%s%s",
                 sigabbrev_np(keeper->end.signal), keeper_was_held_up(keeper) ? ": " : "",
                 keeper_was_held_up(keeper) ? KEEPER_HELD_UP : "");
    node_end_adopted(keeper->link, reason);
}

bool keeper_was_held_up(const struct keeper *keeper) {
    return keeper->stops == STOPS_MAX;
}

static void child_stopped(struct child *child) {
    struct keeper *keeper = LOOP_OWNER(child, struct keeper, child);
    if (++keeper->stops < STOPS_MAX)
        child_signal(child, SIGCONT);
    else
        keeper_kill(keeper);
}

static void child_ended(struct child *child, const struct child_end *end, uint64_t now_ns) {
    struct keeper *keeper = LOOP_OWNER(child, struct keeper, child);
    bool is_silent = keeper->state == KEEPER_SILENT;
    keeper->end = *end;
    set_state(keeper, KEEPER_DEAD);
    if (is_silent)
        end_link(keeper);
    else
        loop_at(keeper->loop, &keeper->linger, now_ns + LINGER_NS);
}

static void linger(struct timer *timer, uint64_t now_ns) {
    struct keeper *keeper = LOOP_OWNER(timer, struct keeper, linger);
    if (keeper->link && node_link_unread(keeper->link))
        loop_at(keeper->loop, &keeper->linger, now_ns + LINGER_NS);
    else
        end_link(keeper);
}

static void stream_ended(void *user) {
    struct keeper *keeper = user;
    if (keeper->state == KEEPER_RUNNING)
        set_state(keeper, KEEPER_SILENT);
    else if (keeper->state == KEEPER_DEAD)
        end_link(keeper);
}

/* The node may also have closed it of its own accord: then the keeper sees that, and ends. */
static void stream_gone(void *user) {
    struct keeper *keeper = user;
    keeper->link = NULL;
    if (keeper->state == KEEPER_RUNNING)
        set_state(keeper, KEEPER_SILENT);
    else if (keeper->state == KEEPER_ENDING)
        set_state(keeper, KEEPER_DONE);
}

static const struct node_owner owner = {.ended = stream_ended, .gone = stream_gone};

/*
 * ---- the start ----
 */

static bool start_child(struct keeper *keeper, const struct keeper_config *config, int socket,
                        struct transport_failure *failure) {
    const struct child_config child = {
        .arguments = config->arguments,
        .environment = config->environment,
        .descriptors = {socket, socket, STDERR_FILENO},
        .kill_group = true,
        .held_signal = SIGTERM,
        .death_signal = SIGTERM, /* it knows what the job has left anywhere, and ends that, too */
        .ended = child_ended,
        .stopped = child_stopped,
    };
    return child_start(config->children, &keeper->child, &child, failure);
}

/* The socket is the connection's when it is made, and the connection the node's. NULL: no room. */
static struct node_link *adopt(struct keeper *keeper, const struct keeper_config *config,
                               int *socket) {
    struct transport_failure failure;
    const struct loop_descriptors descriptors = {
        .in = *socket, .out = *socket, .pool = TRANSPORT_POOL_SHARED, .name = "mux exec"};
    const struct node_adoption adoption = {
        .conn = loop_attach(config->loop, &descriptors, NULL, &failure),
        .way_down = true,
        .kind = MUX_LINK_WORKER,
        .segment = config->segment,
        .owner = &owner,
        .user = keeper,
    };
    if (!adoption.conn)
        return NULL;
    *socket = -1;
    return node_adopt(config->node, &adoption);
}

bool keeper_start(struct keeper *keeper, const struct keeper_config *config,
                  struct transport_failure *failure) {
    int ends[2];
    assert(keeper->state == KEEPER_NONE || keeper->state == KEEPER_DONE);
    *keeper = (struct keeper){.loop = config->loop, .linger = {.run = linger}};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
        *failure = (struct transport_failure){.error = errno, .operation = "socketpair"};
        return false;
    }
    bool started = start_child(keeper, config, ends[1], failure);
    if (started)
        keeper->link = adopt(keeper, config, &ends[0]);
    close(ends[1]);
    if (ends[0] >= 0)
        close(ends[0]);
    if (!started)
        return false;
    set_state(keeper, keeper->link ? KEEPER_RUNNING : KEEPER_SILENT);
    return true;
}

static const char *const whys[KEEPER_WHYS] = {
    [KEEPER_ORDERED] = "it was stopped by an order",
    [KEEPER_LEASE_OVER] = "the lease is over: the agent's node was out of reach too long",
    [KEEPER_AGENT_ENDS] = "the agent ends",
};

const char *keeper_why_text(int value) {
    return value > KEEPER_NOT_SAID && value < KEEPER_WHYS ? whys[value] : NULL;
}

void keeper_stop(struct keeper *keeper, enum keeper_why why) {
    child_signal_value(&keeper->child, SIGTERM, why);
}

void keeper_kill(struct keeper *keeper) {
    child_signal(&keeper->child, SIGKILL);
}

/*
 * ---- strays ----
 */

static bool is_started(const struct children *children, pid_t pid) {
    for (const struct mux_list *at = children->running.next; at != &children->running;
         at = at->next)
        if (MUX_LIST_ITEM(at, struct child, in_running)->pid == pid)
            return true;
    return false;
}

/* Those that have ended since are taken off the kernel's list here. */
static bool kill_stray(pid_t pid) {
    kill(pid, SIGKILL);
    return waitpid(pid, NULL, WNOHANG) != pid;
}

bool keeper_kill_strays(const struct children *children) {
    char path[64];
    bool are_left = false;
    int pid;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    FILE *list = fopen(path, "re");
    while (list && fscanf(list, "%d", &pid) == 1)
        are_left = (!is_started(children, pid) && kill_stray(pid)) || are_left;
    if (list)
        fclose(list);
    return are_left;
}
