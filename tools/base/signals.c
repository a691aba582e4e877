#include "tools/base/signals.h"

#include "transport/call.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* What the signal handler may touch: atomics without locks, and write(). */
static atomic_uint came[SIGNALS_MAX];
static atomic_int values[SIGNALS_MAX];
static atomic_int wake_fd = -1;

_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "a signal handler may use atomic integers");

static void on_signal(int number, siginfo_t *info, void *context) {
    int error = errno;
    (void)context;
    bool has_value = info->si_code == SI_QUEUE && info->si_pid == getppid();
    atomic_store(&values[number], has_value ? info->si_value.sival_int : 0);
    atomic_fetch_add(&came[number], 1);
    ssize_t ignored = write(atomic_load(&wake_fd), "", 1);
    (void)ignored; /* a full pipe wakes, too */
    errno = error;
}

static void hand_over(struct signals *signals, uint64_t now_ns) {
    for (int number = 1; number < SIGNALS_MAX; number++) {
        const struct signals_owner *owner = &signals->owners[number];
        for (unsigned count = owner->caught ? atomic_exchange(&came[number], 0) : 0; count; count--)
            owner->caught(owner->user, number, now_ns);
    }
}

/* The pipe is emptied before the numbers are looked at, so that none is left behind in silence. */
static void handle(struct loop_handler *handler, const struct transport_event *event,
                   uint64_t now_ns) {
    struct signals *signals = (struct signals *)handler;
    char bytes[64];
    (void)event;
    while (read(signals->pipe[0], bytes, sizeof bytes) > 0)
        ;
    hand_over(signals, now_ns);
}

bool signals_open(struct signals *signals, struct transport_failure *failure) {
    assert(atomic_load(&wake_fd) < 0); /* one object a process */
    *signals = (struct signals){.base = {handle}};
    if (call_pipe(signals->pipe) < 0) {
        *failure = (struct transport_failure){.error = errno, .operation = "pipe"};
        return false;
    }
    atomic_store(&wake_fd, signals->pipe[1]);
    signal(SIGPIPE, SIG_IGN);
    return true;
}

void signals_catch(struct signals *signals, int number,
                   void (*caught)(void *user, int number, uint64_t now_ns), void *user) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    assert(number > 0 && number < SIGNALS_MAX);
    atomic_store(&came[number], 0);
    signals->owners[number] = (struct signals_owner){caught, user};
    sigaction(number, &action, NULL);
}

int signals_value(int number) {
    return atomic_load(&values[number]);
}

bool signals_watch(struct signals *signals, struct loop *loop, struct transport_failure *failure) {
    signals->loop = loop;
    signals->watch = loop_watch(loop, signals->pipe[0], &signals->base, failure);
    return signals->watch != NULL;
}

void signals_close(struct signals *signals) {
    for (int number = 1; number < SIGNALS_MAX; number++)
        if (signals->owners[number].caught)
            signal(number, SIG_DFL);
    if (signals->watch)
        loop_unwatch(signals->loop, signals->watch);
    atomic_store(&wake_fd, -1);
    close(signals->pipe[0]);
    close(signals->pipe[1]);
    *signals = (struct signals){0};
}
