#include "tools/node/resolver.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ADDRESSES_MAX 64

/* The start waits this time for the first answers, so that quick ones cost no back-off. */
#define FIRST_ANSWER_SECONDS 1

#define WHY_BYTES 256

/* Of one name. */
struct look_up {
    struct resolver *resolver;
    struct endpoint endpoint;
    struct transport_address addresses[ADDRESSES_MAX]; /* the loop's, as the next two */
    unsigned count;
    char why[WHY_BYTES];

    bool running; /* these are under the lock */
    bool fresh;   /* an answer that the loop has not taken */
    struct transport_address found[ADDRESSES_MAX];
    unsigned found_count;
    char found_why[WHY_BYTES];
};

struct resolver {
    bool used; /* asked for once; the loop's */
    pthread_mutex_t lock;
    pthread_cond_t answered;
    bool blocks; /* the last look-up found no thread to run in */
    unsigned count;
    struct look_up look_ups[1 + PLACE_SPARES_MAX]; /* the place, and its spares */
};

static void *look_up(void *argument) {
    struct look_up *of = argument;
    struct transport_address found[ADDRESSES_MAX];
    char why[WHY_BYTES] = "";
    unsigned count = endpoint_resolve(&of->endpoint, false, found, ADDRESSES_MAX, why, sizeof why);
    pthread_mutex_lock(&of->resolver->lock);
    memcpy(of->found, found, count * sizeof *found);
    memcpy(of->found_why, why, sizeof why);
    of->found_count = count;
    of->fresh = true;
    of->running = false;
    pthread_cond_signal(&of->resolver->answered);
    pthread_mutex_unlock(&of->resolver->lock);
    return NULL;
}

/* In a thread. Signals are for the main one. */
static bool begin_beside(struct look_up *of) {
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool begun = pthread_create(&thread, NULL, look_up, of) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (begun)
        pthread_detach(thread);
    return begun;
}

/* Called with the lock held; one look-up of a name at a time. */
static void begin(struct resolver *resolver) {
    for (unsigned i = 0; i < resolver->count; i++) {
        struct look_up *of = &resolver->look_ups[i];
        if (of->running)
            continue;
        of->running = true;
        resolver->blocks = !begin_beside(of);
        if (!resolver->blocks)
            continue;
        pthread_mutex_unlock(&resolver->lock);
        look_up(of);
        pthread_mutex_lock(&resolver->lock);
    }
}

/* Takes an answer over. A failed look-up leaves the addresses that were good before. */
static void take(struct look_up *of, unsigned rank) {
    if (!of->fresh)
        return;
    of->fresh = false;
    memcpy(of->why, of->found_why, sizeof of->why);
    if (of->found_count == 0)
        return;
    memcpy(of->addresses, of->found, sizeof of->found);
    of->count = of->found_count;
    for (unsigned i = 0; i < of->count; i++)
        of->addresses[i].rank = rank;
}

/* Called with the lock held. */
static bool has_answered(const struct resolver *resolver) {
    bool answered = true;
    for (unsigned i = 0; i < resolver->count; i++)
        answered = answered && resolver->look_ups[i].fresh;
    return answered;
}

bool resolver_is_waiting(struct resolver *resolver) {
    bool waits = false, has_some = false;
    pthread_mutex_lock(&resolver->lock);
    for (unsigned i = 0; i < resolver->count; i++) {
        const struct look_up *of = &resolver->look_ups[i];
        waits = waits || (of->running && !of->fresh);
        has_some = has_some || of->count > 0 || of->fresh;
    }
    pthread_mutex_unlock(&resolver->lock);
    return waits && !has_some;
}

static void add(struct resolver *resolver, const struct endpoint *endpoint) {
    struct look_up *of = &resolver->look_ups[resolver->count++];
    of->resolver = resolver;
    of->endpoint = *endpoint;
    snprintf(of->why, sizeof of->why, "the name server has not answered yet");
}

struct resolver *resolver_start(const struct place *place) {
    static struct resolver only;
    struct resolver *resolver = &only;
    add(resolver, &place->endpoint);
    for (unsigned i = 0; i < place->spare_count; i++)
        add(resolver, &place->spares[i]);
    pthread_mutex_init(&resolver->lock, NULL);
    pthread_cond_init(&resolver->answered, NULL);
    pthread_mutex_lock(&resolver->lock);
    begin(resolver);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += FIRST_ANSWER_SECONDS;
    int error = 0;
    while (!has_answered(resolver) && error == 0)
        error = pthread_cond_timedwait(&resolver->answered, &resolver->lock, &until);
    pthread_mutex_unlock(&resolver->lock);
    return resolver;
}

bool resolver_blocks(const struct resolver *resolver) {
    return resolver->blocks;
}

unsigned resolver_addresses(struct resolver *resolver, struct transport_address *addresses,
                            unsigned most, char *why, size_t why_bytes) {
    unsigned count = 0;
    pthread_mutex_lock(&resolver->lock);
    for (unsigned i = 0; i < resolver->count; i++)
        take(&resolver->look_ups[i], i);
    if (resolver->used)
        begin(resolver);
    pthread_mutex_unlock(&resolver->lock);
    resolver->used = true;
    for (unsigned i = 0; i < resolver->count; i++) {
        const struct look_up *of = &resolver->look_ups[i];
        for (unsigned k = 0; k < of->count && count < most; k++)
            addresses[count++] = of->addresses[k];
    }
    if (count == 0)
        snprintf(why, why_bytes, "%s", resolver->look_ups[0].why);
    return count;
}
