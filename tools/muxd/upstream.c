/* What muxd's node sends to: a place in a network, a file, or stdout. */
#include "tools/muxd/muxd.h"
#include "tools/muxd/outfile.h"
#include "tools/node/dialer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Is the upstream one that is connected to? */
bool muxd_upstream_is_place(const struct options *options) {
    return options->upstream_given && endpoint_is_address(&options->upstream.endpoint);
}

struct transport_conn *muxd_attach(struct muxd *muxd, const struct loop_descriptors *descriptors,
                                   struct loop_handler *handler, char *why, size_t why_bytes) {
    struct transport_failure failure;
    struct transport_conn *conn = loop_attach(&muxd->loop, descriptors, handler, &failure);
    if (!conn)
        snprintf(why, why_bytes, "%s: %s", failure.operation, strerror(failure.error));
    return conn;
}

/* How often a file that is written to is looked at: has it been removed? */
#define REMOVED_LOOK_NS UINT64_C(1000000000)

/* What was there before must not swallow what is appended. */
static bool mend_file(struct muxd *muxd, int fd, const char *name, char *why, size_t why_bytes) {
    char line[PATH_MAX + 256];
    if (!outfile_mend(fd, why, why_bytes))
        return false;
    snprintf(line, sizeof line, "upstream %s: %s", name, why);
    if (*why)
        muxd_say(muxd, line);
    return true;
}

static void forget_file(struct muxd *muxd) {
    if (muxd->upstream_file >= 0)
        close(muxd->upstream_file);
    muxd->upstream_file = -1;
}

/* Its own descriptor: the connection closes the other one. */
static void remember_file(struct muxd *muxd, int fd) {
    forget_file(muxd);
    muxd->upstream_file = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    loop_at(&muxd->loop, &muxd->removed_look, loop_now_ns(&muxd->loop) + REMOVED_LOOK_NS);
}

/* A file that was renamed is written to on, until HUP; one that was removed nobody can read. */
static void look_for_removed(struct timer *timer, uint64_t now_ns) {
    struct muxd *muxd = LOOP_OWNER(timer, struct muxd, removed_look);
    char line[PATH_MAX + 256];
    if (muxd->upstream_file < 0)
        return;
    if (!outfile_is_removed(muxd->upstream_file)) {
        loop_at(&muxd->loop, timer, now_ns + REMOVED_LOOK_NS);
        return;
    }
    forget_file(muxd);
    snprintf(line, sizeof line,
             "upstream %s: the file was removed; what was written to it is gone with it",
             muxd->options.upstream.endpoint.text);
    muxd_say(muxd, line);
    node_reopen_upstream(muxd->node);
}

/*
 * ---- the journal beside it ----
 */

/* A pipe or a device cannot be followed after a crash. */
static bool has_journal(const struct options *options) {
    struct stat status;
    return options->window_bytes > 0 && options->upstream_given &&
           options->upstream.endpoint.kind == ENDPOINT_FILE &&
           (stat(options->upstream.endpoint.name, &status) != 0 || S_ISREG(status.st_mode));
}

/* Without one nothing is acknowledged: then nodes below send plain packets. */
static bool check_journal(struct muxd *muxd) {
    struct options *options = &muxd->options;
    char why[PATH_MAX + 256];
    if (!muxd->has_journal || journal_is_possible(options->upstream.endpoint.name, why, sizeof why))
        return true;
    log_text(&muxd->log, "muxd: %s%s\n", why,
             options->syncs ? ", which --sync needs" : ": nodes below send plain packets");
    muxd->has_journal = false;
    options->window_bytes = 0;
    return !options->syncs;
}

bool muxd_follow_journal(struct muxd *muxd) {
    const struct options *options = &muxd->options;
    char why[PATH_MAX + 256];
    if (!muxd->has_journal)
        return true;
    bool fine = journal_init(&muxd->journal, node_core(muxd->node), options->upstream.endpoint.name,
                             options->syncs, why, sizeof why) &&
                journal_follow(&muxd->journal, why, sizeof why);
    if (*why)
        log_text(&muxd->log, "muxd: %s\n", why);
    return fine;
}

bool muxd_record(void *user, char *why, size_t why_bytes) {
    struct muxd *muxd = user;
    return journal_record(&muxd->journal, why, why_bytes);
}

bool muxd_rest(void *user, char *why, size_t why_bytes) {
    struct muxd *muxd = user;
    if (!journal_moves(&muxd->journal))
        return journal_rest(&muxd->journal, muxd->upstream_file, why, why_bytes);
    node_reopen_upstream(muxd->node);
    return true;
}

bool muxd_sent(void *user, char *why, size_t why_bytes) {
    struct muxd *muxd = user;
    if (fdatasync(muxd->upstream_file) == 0)
        return true;
    snprintf(why, why_bytes, "fdatasync: %s", strerror(errno));
    return false;
}

void muxd_stop_upstream(struct muxd *muxd) {
    loop_cancel(&muxd->loop, &muxd->removed_look);
    forget_file(muxd);
    if (muxd->has_journal)
        journal_close(&muxd->journal);
}

static struct transport_conn *open_file(struct muxd *muxd, struct loop_handler *handler, char *why,
                                        size_t why_bytes) {
    const char *path = muxd->options.upstream.endpoint.name;
    int fd = muxd->has_journal ? journal_unfinished(&muxd->journal) : -1;
    struct transport_conn *conn = NULL;
    if (fd < 0)
        fd = outfile_open(path, why, why_bytes);
    bool is_fine = fd >= 0;
    if (is_fine && muxd->has_journal)
        is_fine = journal_trim(&muxd->journal, fd, why, why_bytes);
    if (is_fine)
        is_fine = mend_file(muxd, fd, muxd->options.upstream.endpoint.text, why, why_bytes);
    if (is_fine && muxd->has_journal)
        is_fine = journal_begin(&muxd->journal, fd, why, why_bytes);
    if (is_fine)
        conn = muxd_attach(muxd,
                           &(struct loop_descriptors){-1, fd, false, TRANSPORT_POOL_RESERVE, path},
                           handler, why, why_bytes);
    if (conn)
        remember_file(muxd, fd);
    else if (fd >= 0)
        close(fd);
    return conn;
}

bool muxd_check_upstream(struct muxd *muxd) {
    const struct options *options = &muxd->options;
    char why[256];
    muxd->upstream_file = -1;
    muxd->has_journal = has_journal(options);
    muxd->removed_look.run = look_for_removed;
    place_text(&options->upstream, muxd->upstream_text);
    if (!options->upstream_given || options->upstream.endpoint.kind != ENDPOINT_FILE)
        return true;
    if (outfile_check(options->upstream.endpoint.name, why, sizeof why))
        return check_journal(muxd);
    log_text(&muxd->log, "muxd: --upstream %s: %s\n", options->upstream.endpoint.text, why);
    return false;
}

/* stdin, when it was asked for by "-", unless workers write to it or a person does. */
static int way_down(const struct muxd *muxd) {
    bool is_asked_for = muxd->options.upstream_given && !muxd->stdin_taken;
    return is_asked_for && !isatty(STDIN_FILENO) ? STDIN_FILENO : -1;
}

static struct transport_conn *open_stdout(struct muxd *muxd, struct loop_handler *handler,
                                          char *why, size_t why_bytes) {
    if (!mend_file(muxd, STDOUT_FILENO, "stdout", why, why_bytes))
        return NULL;
    const struct loop_descriptors descriptors = {way_down(muxd), STDOUT_FILENO, true,
                                                 TRANSPORT_POOL_RESERVE, "stdout"};
    return muxd_attach(muxd, &descriptors, handler, why, why_bytes);
}

struct transport_conn *muxd_open_upstream(void *user, struct loop_handler *handler, char *why,
                                          size_t why_bytes) {
    struct muxd *muxd = user;
    const struct options *options = &muxd->options;
    if (options->upstream_given && options->upstream.endpoint.kind == ENDPOINT_FILE)
        return open_file(muxd, handler, why, why_bytes);
    return open_stdout(muxd, handler, why, why_bytes);
}

unsigned muxd_upstream_addresses(void *user, struct transport_address *addresses, char *why,
                                 size_t why_bytes) {
    struct muxd *muxd = user;
    return resolver_addresses(muxd->resolver, addresses, DIALER_ADDRESSES_MAX, why, why_bytes);
}

struct transport_conn *muxd_connect_upstream(void *user, const struct transport_address *address,
                                             void *conn_user, struct transport_failure *failure) {
    struct muxd *muxd = user;
    return loop_connect(&muxd->loop, address, conn_user, failure);
}

void muxd_resolve_upstream(struct muxd *muxd) {
    const struct place *upstream = &muxd->options.upstream;
    if (!muxd_upstream_is_place(&muxd->options))
        return;
    muxd->resolver = resolver_start(upstream);
    if (resolver_blocks(muxd->resolver))
        log_text(&muxd->log,
                 "muxd: no thread can be made (is clone3 forbidden?): while the name of %s is "
                 "looked up nothing else is done\n",
                 muxd->upstream_text);
}
