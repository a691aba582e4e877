#include "transport/watch.h"
#include "transport/descriptor.h"
#include <stdlib.h>
#include <sys/stat.h>

#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)

void *watch_new(struct watches *watches, size_t bytes, int fd, void *user,
                struct transport_failure *failure) {
    assert(bytes >= sizeof(struct watch) && user);
    if (watches->count == TRANSPORT_WATCHES_MAX) {
        *failure = (struct transport_failure){
            EMFILE, "watching more than " TEXT(TRANSPORT_WATCHES_MAX) " descriptors"};
        return NULL;
    }
    struct watch *watch = calloc(1, bytes);
    if (!watch) {
        transport_failed(failure, "calloc");
        return NULL;
    }
    watch->handle.user = user;
    watch->fd = fd;
    watches->count++;
    return watch;
}

void watch_gone(struct watches *watches, struct watch *watch) {
    assert(watches->count > 0);
    watch->handle.user = NULL;
    watches->count--;
    deferred_free(watches->deferred, &watch->deferred, watch);
}

bool watch_is_possible(int fd, struct transport_failure *failure) {
    struct stat st;
    if (fstat(fd, &st) != 0) {
        transport_failed(failure, "watching");
        return false;
    }
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return true;
    *failure = (struct transport_failure){EPERM, "watching a file"};
    return false;
}
