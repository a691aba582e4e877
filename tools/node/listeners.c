/* The set of listening addresses: which are meant, when they are looked at again, how they stand.
 */
#include "tools/node/listeners_internal.h"
#include "transport/interface.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Pauses between tries, doubled: first as a killed process's sockets need, then as people do. */
#define PAUSE_LEAST_NS UINT64_C(10000000)
#define PAUSE_MOST_NS UINT64_C(10000000000)

/* News come in bursts, one for each address: the interval at which they are looked at. */
#define CHANGES_PAUSE_NS UINT64_C(50000000)

/*
 * ---- interfaces ----
 */

static const char *interface_name(const struct source *source) {
    return source->endpoint->name;
}

static void say_presence(struct listeners *listeners, struct source *source,
                         enum presence presence) {
    const char *text = source->endpoint->text, *name = interface_name(source);
    char line[ENDPOINT_TEXT_BYTES];
    enum presence before = source->presence;
    source->presence = presence;
    if (presence == before)
        return;
    bool came = before == PRESENCE_UNKNOWN || before == PRESENCE_ABSENT;
    if (presence != PRESENCE_ABSENT && came &&
        endpoint_describe_interface(source->endpoint, line, sizeof line))
        log_text(listeners->log, "muxd: %s\n", line);
    if (presence == PRESENCE_BARE)
        log_text(listeners->log, "muxd: --listen %s: %s has no IP address: waiting for one\n", text,
                 name);
    if (presence == PRESENCE_ABSENT) {
        interface_names(line, sizeof line);
        log_text(listeners->log,
                 "muxd: --listen %s: there is no interface %s (but %s): waiting for it\n", text,
                 name, line);
    }
}

static void say_unreadable(struct listeners *listeners, struct source *source,
                           const struct transport_failure *failure) {
    if (!source->said_unreadable)
        log_text(listeners->log, "muxd: --listen %s: the addresses of %s cannot be read: %s: %s\n",
                 source->endpoint->text, interface_name(source), failure->operation,
                 strerror(failure->error));
    source->said_unreadable = true;
}

/* What the source meant before and does not mean now has no bit of it any more. */
static void forget(struct listeners *listeners, unsigned source) {
    for (unsigned i = 0; i < listeners->count; i++)
        if (!listeners->listening[i].offered)
            listeners->listening[i].sources &= ~(UINT64_C(1) << source);
}

static void scan_interface(struct listeners *listeners, unsigned index) {
    struct source *source = &listeners->sources[index];
    struct transport_failure failure;
    enum presence presence = PRESENCE_ABSENT;
    unsigned count = 0;
    if (interface_exists(interface_name(source))) {
        if (!endpoint_interface_addresses(source->endpoint, listeners->found, LISTENERS_MAX + 1,
                                          &count, &failure)) {
            say_unreadable(listeners, source, &failure);
            return; /* what was found before stays */
        }
        presence = count > 0 ? PRESENCE_THERE : PRESENCE_BARE;
    }
    say_presence(listeners, source, presence);
    forget(listeners, index);
    for (unsigned i = 0; i < count; i++)
        listening_want(listeners, index, &listeners->found[i]);
}

static bool has_interfaces(const struct listeners *listeners) {
    for (unsigned i = 0; i < listeners->config.count; i++)
        if (listeners->sources[i].kind == SOURCE_INTERFACE)
            return true;
    return false;
}

/*
 * ---- looking, and when again ----
 */

/* One that goes may take another with it. */
static void sweep(struct listeners *listeners) {
    for (unsigned i = 0; i < listeners->count;) {
        if (listeners->listening[i].sources) {
            i++;
            continue;
        }
        listening_drop(listeners, &listeners->listening[i]);
        listeners->listening[i] = listeners->listening[--listeners->count];
        i = 0;
    }
}

/* Those that take all addresses of a port first: others are then theirs. */
static void open_wanted(struct listeners *listeners, uint64_t now_ns) {
    for (unsigned pass = 0; pass < 2; pass++)
        for (unsigned i = 0; i < listeners->count; i++) {
            struct listening *item = &listeners->listening[i];
            if (item->state == LISTENING_WANTED && listening_is_every_address(item) == (pass == 0))
                listening_open(listeners, item, now_ns);
        }
}

static void look(struct listeners *listeners, uint64_t now_ns) {
    for (unsigned i = 0; i < listeners->config.count; i++)
        if (listeners->sources[i].kind == SOURCE_INTERFACE)
            scan_interface(listeners, i);
    sweep(listeners);
    open_wanted(listeners, now_ns);
}

static void schedule(struct listeners *listeners, uint64_t now_ns) {
    bool again = !listeners->followed && has_interfaces(listeners);
    listeners->retry_at_ns = UINT64_MAX;
    for (unsigned i = 0; i < listeners->count; i++) {
        const struct listening *item = &listeners->listening[i];
        uint64_t patience_ns = listening_patience_ns(item);
        again = again || item->state == LISTENING_WANTED;
        if (listening_is_in_use_for_now(item, now_ns) && patience_ns < listeners->retry_at_ns)
            listeners->retry_at_ns = patience_ns;
    }
    if (!again)
        return;
    if (now_ns + listeners->pause_ns < listeners->retry_at_ns)
        listeners->retry_at_ns = now_ns + listeners->pause_ns;
    listeners->pause_ns *= 2;
    if (listeners->pause_ns > PAUSE_MOST_NS)
        listeners->pause_ns = PAUSE_MOST_NS;
}

/*
 * ---- how it stands ----
 */

/* Is there, or will there be, something that is listened on? */
static bool has_prospect(const struct listeners *listeners) {
    for (unsigned i = 0; i < listeners->config.count; i++) {
        const struct source *source = &listeners->sources[i];
        bool will_come = source->kind == SOURCE_INTERFACE &&
                         (source->presence == PRESENCE_ABSENT || source->presence == PRESENCE_BARE);
        if (will_come || source->kind == SOURCE_STDIN)
            return true;
    }
    for (unsigned i = 0; i < listeners->count; i++)
        if (listeners->listening[i].state == LISTENING_ON ||
            listening_will_come(listeners, &listeners->listening[i]))
            return true;
    return false;
}

static enum listeners_state judge(const struct listeners *listeners, uint64_t now_ns) {
    if (listeners->state != LISTENERS_STARTING)
        return listeners->state;
    if (has_prospect(listeners))
        return LISTENERS_OPEN;
    for (unsigned i = 0; i < listeners->count; i++)
        if (listening_is_in_use_for_now(&listeners->listening[i], now_ns))
            return LISTENERS_STARTING;
    return LISTENERS_FAILED;
}

static void say_rest(struct listeners *listeners) {
    bool missing = false, some = false;
    for (unsigned i = 0; i < listeners->count; i++) {
        const struct listening *item = &listeners->listening[i];
        missing = missing || (!item->offered && item->logged.error);
        some = some || item->state == LISTENING_ON;
    }
    if (listeners->said_rest || !missing)
        return;
    listeners->said_rest = true;
    log_text(listeners->log, "muxd: %s; what is missing is tried again\n",
             some ? "listening on the rest" : "listening on nothing yet");
}

static void say_state(struct listeners *listeners) {
    if (listeners->state != LISTENERS_OPEN)
        return;
    say_rest(listeners);
    if (!listeners->open_to_all || listeners->said_open_to_all)
        return;
    listeners->said_open_to_all = true;
    if (listeners->config.anybody)
        log_text(listeners->log, "muxd: anybody who can reach these addresses may send results; "
                                 "--allow CIDR,... limits that\n");
}

/* When it is looked at again. */
static void set_timer(struct listeners *listeners) {
    uint64_t at_ns = listeners->retry_at_ns;
    if (listeners->changed && listeners->changes_at_ns < at_ns)
        at_ns = listeners->changes_at_ns;
    if (at_ns == UINT64_MAX)
        loop_cancel(listeners->config.loop, &listeners->timer);
    else
        loop_at(listeners->config.loop, &listeners->timer, at_ns);
}

static void look_if_due(struct listeners *listeners, uint64_t now_ns) {
    bool changed = listeners->changed && now_ns >= listeners->changes_at_ns;
    if (changed)
        listeners->pause_ns = PAUSE_LEAST_NS;
    if (changed || now_ns >= listeners->retry_at_ns) {
        listeners->changed = false;
        listeners->changes_at_ns = now_ns + CHANGES_PAUSE_NS;
        look(listeners, now_ns);
        listeners->state = judge(listeners, now_ns);
        say_state(listeners);
        schedule(listeners, now_ns);
    }
    set_timer(listeners);
}

enum listeners_state listeners_look(struct listeners *listeners) {
    look_if_due(listeners, loop_now_ns(listeners->config.loop));
    return listeners->state;
}

static void look_later(struct timer *timer, uint64_t now_ns) {
    struct listeners *listeners = LOOP_OWNER(timer, struct listeners, timer);
    enum listeners_state before = listeners->state;
    look_if_due(listeners, now_ns);
    if (listeners->state != before)
        listeners->config.settled(listeners->config.user, listeners->state);
}

/*
 * ---- the kernel's news ----
 */

/* What they are does not matter: the addresses are read anew. */
static void handle_news(struct loop_handler *handler, const struct transport_event *event,
                        uint64_t now_ns) {
    struct listeners *listeners = LOOP_OWNER(handler, struct listeners, news);
    (void)event, (void)now_ns;
    netlink_discard(listeners->news_fd);
    listeners->changed = true;
    set_timer(listeners);
}

static void follow(struct listeners *listeners) {
    struct transport_failure failure;
    listeners->news.handle = handle_news;
    listeners->news_fd = netlink_subscribe(&failure);
    if (listeners->news_fd >= 0)
        listeners->news_watch =
            loop_watch(listeners->config.loop, listeners->news_fd, &listeners->news, &failure);
    listeners->followed = listeners->news_watch != NULL;
    if (listeners->followed)
        return;
    if (listeners->news_fd >= 0)
        close(listeners->news_fd);
    if (has_interfaces(listeners))
        log_text(listeners->log,
                 "muxd: changes of interfaces are noticed late, the kernel does not report them: "
                 "%s: %s\n",
                 failure.operation, strerror(failure.error));
}

static void follow_no_longer(struct listeners *listeners) {
    if (!listeners->news_watch)
        return;
    loop_unwatch(listeners->config.loop, listeners->news_watch);
    listeners->news_watch = NULL;
    close(listeners->news_fd);
}

/*
 * ---- life ----
 */

static void use_fixed(struct listeners *listeners, unsigned index) {
    const struct listeners_config *config = &listeners->config;
    struct source *source = &listeners->sources[index];
    char why[ENDPOINT_TEXT_BYTES];
    unsigned count = endpoint_resolve(source->endpoint, true, listeners->found, LISTENERS_MAX + 1,
                                      why, sizeof why);
    source->kind = SOURCE_FIXED;
    for (unsigned i = 0; i < count; i++) {
        struct transport_address *address = &listeners->found[i];
        address->mode_given = config->mode_given;
        address->mode = config->mode;
        address->group_given = config->group_given;
        address->group = config->group;
        listening_want(listeners, index, address);
    }
    if (count > 0)
        return;
    if (endpoint_may_be_interface(source->endpoint))
        source->kind = SOURCE_INTERFACE; /* one that will come */
    else
        log_text(listeners->log, "muxd: --listen %s: %s\n", source->endpoint->text, why);
}

static void use_endpoint(struct listeners *listeners, unsigned index) {
    struct source *source = &listeners->sources[index];
    source->endpoint = &listeners->config.endpoints[index];
    if (source->endpoint->kind == ENDPOINT_STDIO)
        source->kind = SOURCE_STDIN;
    else if (endpoint_is_interface(source->endpoint))
        source->kind = SOURCE_INTERFACE;
    else
        use_fixed(listeners, index);
}

struct listeners *listeners_create(const struct listeners_config *config,
                                   const struct stacks *stacks, struct log *log) {
    struct listeners *listeners = calloc(1, sizeof *listeners);
    if (!listeners) {
        log_text(log, "muxd: out of memory for listeners\n");
        return NULL;
    }
    listeners->config = *config;
    listeners->stacks = stacks;
    listeners->log = log;
    listeners->changed = true;
    listeners->retry_at_ns = UINT64_MAX;
    listeners->timer.run = look_later;
    for (unsigned i = 0; i < config->count; i++)
        use_endpoint(listeners, i);
    follow(listeners);
    return listeners;
}

void listeners_stop(struct listeners *listeners) {
    for (unsigned i = 0; i < listeners->count; i++)
        if (listeners->listening[i].state == LISTENING_ON)
            transport_unlisten(listeners->listening[i].listener);
    listeners->count = 0;
    loop_cancel(listeners->config.loop, &listeners->timer);
    follow_no_longer(listeners);
}

void listeners_destroy(struct listeners *listeners) {
    free(listeners);
}
