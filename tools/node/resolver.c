#include "tools/node/resolver.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ADDRESSES_MAX 64

/* The start waits this time for the first answer, so that a quick one costs no back-off. */
#define FIRST_ANSWER_SECONDS 1

#define WHY_BYTES 256

struct resolver {
    struct endpoint endpoint;
    struct transport_address addresses[ADDRESSES_MAX]; /* the loop's, as the next three */
    unsigned count;
    bool used; /* asked for once */
    char why[WHY_BYTES];

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t answered;
    bool running;
    bool blocks; /* the last look-up found no thread to run in */
    bool fresh;  /* an answer that the loop has not taken */
    struct transport_address found[ADDRESSES_MAX];
    unsigned found_count;
    char found_why[WHY_BYTES];
};

static void *look_up(void *argument) {
    struct resolver *resolver = argument;
    struct transport_address found[ADDRESSES_MAX];
    char why[WHY_BYTES] = "";
    unsigned count =
        endpoint_resolve(&resolver->endpoint, false, found, ADDRESSES_MAX, why, sizeof why);
    pthread_mutex_lock(&resolver->lock);
    memcpy(resolver->found, found, count * sizeof *found);
    memcpy(resolver->found_why, why, sizeof why);
    resolver->found_count = count;
    resolver->fresh = true;
    resolver->running = false;
    pthread_cond_signal(&resolver->answered);
    pthread_mutex_unlock(&resolver->lock);
    return NULL;
}

/* In a thread. Signals are for the main one. */
static bool begin_beside(struct resolver *resolver) {
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool begun = pthread_create(&thread, NULL, look_up, resolver) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (begun)
        pthread_detach(thread);
    return begun;
}

/* Called with the lock held; one look-up at a time. */
static void begin(struct resolver *resolver) {
    if (resolver->running)
        return;
    resolver->running = true;
    resolver->blocks = !begin_beside(resolver);
    if (!resolver->blocks)
        return;
    pthread_mutex_unlock(&resolver->lock);
    look_up(resolver);
    pthread_mutex_lock(&resolver->lock);
}

/* Takes an answer over. A failed look-up leaves the addresses that were good before. */
static void take(struct resolver *resolver) {
    if (!resolver->fresh)
        return;
    resolver->fresh = false;
    memcpy(resolver->why, resolver->found_why, sizeof resolver->why);
    if (resolver->found_count == 0)
        return;
    memcpy(resolver->addresses, resolver->found, sizeof resolver->found);
    resolver->count = resolver->found_count;
}

bool resolver_is_waiting(struct resolver *resolver) {
    pthread_mutex_lock(&resolver->lock);
    bool waiting = resolver->running && !resolver->fresh && resolver->count == 0;
    pthread_mutex_unlock(&resolver->lock);
    return waiting;
}

struct resolver *resolver_start(const struct endpoint *endpoint) {
    static struct resolver only;
    struct resolver *resolver = &only;
    resolver->endpoint = *endpoint;
    snprintf(resolver->why, sizeof resolver->why, "the name server has not answered yet");
    pthread_mutex_init(&resolver->lock, NULL);
    pthread_cond_init(&resolver->answered, NULL);
    pthread_mutex_lock(&resolver->lock);
    begin(resolver);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += FIRST_ANSWER_SECONDS;
    int error = 0;
    while (!resolver->fresh && error == 0)
        error = pthread_cond_timedwait(&resolver->answered, &resolver->lock, &until);
    pthread_mutex_unlock(&resolver->lock);
    return resolver;
}

bool resolver_blocks(const struct resolver *resolver) {
    return resolver->blocks;
}

unsigned resolver_addresses(struct resolver *resolver, struct transport_address *addresses,
                            unsigned most, char *why, size_t why_bytes) {
    pthread_mutex_lock(&resolver->lock);
    take(resolver);
    if (resolver->used)
        begin(resolver);
    pthread_mutex_unlock(&resolver->lock);
    resolver->used = true;
    if (resolver->count == 0)
        snprintf(why, why_bytes, "%s", resolver->why);
    unsigned count = resolver->count < most ? resolver->count : most;
    memcpy(addresses, resolver->addresses, count * sizeof *addresses);
    return count;
}
