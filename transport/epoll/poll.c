#include "transport/call.h"
#include "transport/epoll/internal.h"
#include <limits.h>
#include <time.h>

#define NS_PER_SEC 1000000000u
#define NS_PER_MS 1000000u

/* Entries fetched from the kernel at a time: 3 KiB of stack; the next call fetches more. */
#define ENTRIES_PER_WAIT 256

static_assert(_Alignof(struct epoll_conn) > ENTRY_KIND_MASK &&
                  _Alignof(struct epoll_listener) > ENTRY_KIND_MASK &&
                  _Alignof(struct epoll_watch) > ENTRY_KIND_MASK,
              "the low bits of a pointer tell what an entry is for");

bool epoll_register(struct transport *transport, int fd, void *object, enum entry_kind kind) {
    struct epoll_event entry = {.events = EPOLLET, .data.u64 = (uintptr_t)object | kind};
    if (kind == ENTRY_WATCH)
        entry.events = EPOLLIN;
    else if (kind == ENTRY_LISTENER || kind & ENTRY_IN)
        entry.events |= EPOLLIN | EPOLLRDHUP | EPOLLPRI;
    if (kind & ENTRY_OUT)
        entry.events |= EPOLLOUT;
    return epoll_ctl(transport->epoll_fd, EPOLL_CTL_ADD, fd, &entry) == 0;
}

void epoll_unregister(struct transport *transport, int fd) {
    epoll_ctl(transport->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

static void note_conn(struct epoll_conn *conn, enum entry_kind kind, uint32_t events) {
    if (kind & ENTRY_IN && events & ~(uint32_t)EPOLLOUT) {
        conn->in.ready = true;
        conn->in.doubtful |= (events & ~(uint32_t)(EPOLLIN | EPOLLOUT)) != 0;
        epoll_receive_wake(conn);
    }
    if (kind & ENTRY_OUT && events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
        conn->out.ready = true;
        conn->hung_up |= kind == ENTRY_OUT && (events & (EPOLLHUP | EPOLLERR)) != 0;
        epoll_send_wake(conn);
    }
}

static void note_listener(struct epoll_listener *listener) {
    listener->ready = true;
    task_stop(&listener->task); /* it may wait for a place: perhaps there is one now */
    epoll_listener_wake(listener);
}

static void note_watch(struct transport *transport, struct epoll_watch *watch) {
    task_wake(&transport->ready, &watch->task);
}

/* Notes what the kernel reported. Nothing is done yet, so no entry can outlive its object. */
static void note(struct transport *transport, const struct epoll_event *entry) {
    enum entry_kind kind = entry->data.u64 & ENTRY_KIND_MASK;
    void *object = (void *)(uintptr_t)(entry->data.u64 & ~ENTRY_KIND_MASK);
    if (kind == ENTRY_WATCH)
        note_watch(transport, object);
    else if (kind == ENTRY_LISTENER)
        note_listener(object);
    else
        note_conn(object, kind, entry->events);
}

static int wait_ms(struct transport *transport, struct epoll_event *entries, uint64_t timeout_ns) {
    uint64_t ms = timeout_ns / NS_PER_MS + (timeout_ns % NS_PER_MS != 0);
    return epoll_wait(transport->epoll_fd, entries, ENTRIES_PER_WAIT,
                      ms < INT_MAX ? (int)ms : INT_MAX);
}

/* Like epoll_wait(), until deadline_ns. */
static int wait_until(struct transport *transport, struct epoll_event *entries,
                      uint64_t deadline_ns) {
    if (deadline_ns == UINT64_MAX)
        return epoll_wait(transport->epoll_fd, entries, ENTRIES_PER_WAIT, -1);
    if (deadline_ns == 0)
        return epoll_wait(transport->epoll_fd, entries, ENTRIES_PER_WAIT, 0);
    uint64_t now_ns = epoll_now_ns(transport);
    uint64_t timeout_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    if (transport->coarse_timeouts)
        return wait_ms(transport, entries, timeout_ns);
    const struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / NS_PER_SEC),
                                     .tv_nsec = (long)(timeout_ns % NS_PER_SEC)};
    int count = epoll_pwait2(transport->epoll_fd, entries, ENTRIES_PER_WAIT, &timeout, NULL);
    if (count >= 0 || !call_is_forbidden(errno))
        return count;
    transport->coarse_timeouts = true;
    return wait_ms(transport, entries, timeout_ns);
}

/* Fetches what is ready, waiting until the deadline. False after a signal. */
static bool fetch(struct transport *transport, uint64_t deadline_ns) {
    struct epoll_event entries[ENTRIES_PER_WAIT];
    int count = wait_until(transport, entries, deadline_ns);
    assert(count >= 0 || errno == EINTR);
    for (int i = 0; i < count; i++)
        note(transport, &entries[i]);
    return count >= 0;
}

unsigned epoll_poll(struct transport *transport, uint64_t deadline_ns,
                    struct transport_event *events, unsigned most) {
    if (conns_recycle(&transport->conns) > 0)
        tasks_wake(&transport->ready, &transport->starved);
    deferred_run(&transport->deferred);
    for (;;) {
        bool busy = !mux_list_empty(&transport->ready);
        bool went_on = fetch(transport, busy ? 0 : deadline_ns);
        unsigned count = tasks_serve(&transport->ready, events, most);
        if (count > 0 || !went_on || deadline_ns <= epoll_now_ns(transport))
            return count;
    }
}
