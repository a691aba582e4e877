#include "tools/store/follower.h"

#include "tools/store/indexer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* So often the index reads what is new: a reader is so far behind. */
#define INDEX_NS 100000000

/* After an error (a writer that was stopped in the middle, a full disk) it is tried again so late.
 */
#define AGAIN_NS 1000000000

struct follower {
    struct store *store;
    struct store_run run;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t ends;
    bool is_over;   /* under the mutex */
    bool is_stored; /* all of it, when the thread has ended; else why */
    char why[STORE_WHY_BYTES];
};

/* False: the run is over. */
static bool waits(struct follower *follower, int64_t ns) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t sum_ns = until.tv_nsec + ns;
    until.tv_sec += sum_ns / 1000000000;
    until.tv_nsec = sum_ns % 1000000000;
    pthread_mutex_lock(&follower->mutex);
    int error = 0;
    while (!follower->is_over && error == 0)
        error = pthread_cond_timedwait(&follower->ends, &follower->mutex, &until);
    bool is_over = follower->is_over;
    pthread_mutex_unlock(&follower->mutex);
    return !is_over;
}

/* An indexer that has failed is of no more use: another one goes on where the index ends. */
static bool read_on(struct follower *follower, struct store_indexer **indexer) {
    if (!*indexer)
        *indexer = store_indexer_create(follower->store, &follower->run, follower->why);
    if (*indexer && store_indexer_read(*indexer, follower->why))
        return true;
    store_indexer_free(*indexer);
    *indexer = NULL;
    return false;
}

static void *follow(void *user) {
    struct follower *follower = user;
    struct store_indexer *indexer = NULL;
    int64_t wait_ns = INDEX_NS;
    while (waits(follower, wait_ns))
        wait_ns = read_on(follower, &indexer) ? INDEX_NS : AGAIN_NS;
    follower->is_stored =
        read_on(follower, &indexer) && store_indexer_finish(indexer, follower->why);
    store_indexer_free(indexer);
    return NULL;
}

/* Signals are the program's, not this thread's. */
static int start_thread(struct follower *follower) {
    sigset_t all, before;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&follower->ends, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&follower->mutex, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&follower->thread, NULL, follow, follower);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

static void free_follower(struct follower *follower) {
    pthread_cond_destroy(&follower->ends);
    pthread_mutex_destroy(&follower->mutex);
    free(follower);
}

struct follower *follower_start(struct store *store, const struct store_run *run,
                                char why[STORE_WHY_BYTES]) {
    struct follower *follower = calloc(1, sizeof *follower);
    if (!follower) {
        snprintf(why, STORE_WHY_BYTES, "out of memory");
        return NULL;
    }
    follower->store = store;
    follower->run = *run;
    int error = start_thread(follower);
    if (!error)
        return follower;
    snprintf(why, STORE_WHY_BYTES, "no thread for the index: %s", strerror(error));
    free_follower(follower);
    return NULL;
}

bool follower_finish(struct follower *follower, char why[STORE_WHY_BYTES]) {
    pthread_mutex_lock(&follower->mutex);
    follower->is_over = true;
    pthread_cond_signal(&follower->ends);
    pthread_mutex_unlock(&follower->mutex);
    pthread_join(follower->thread, NULL);
    bool is_stored = follower->is_stored;
    if (!is_stored)
        snprintf(why, STORE_WHY_BYTES, "%s", follower->why);
    free_follower(follower);
    return is_stored;
}
