#include "tests/sim/faults.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FAULTS_MOST 65536
#define LIST_BYTES 65536

/* One that fails for want of progress takes its time. */
#define SHRINK_SECONDS 180

static struct faults {
    bool are_chosen;               /* else all happen */
    bool happens[FAULTS_MOST + 1]; /* by number, from 1 */
    bool tells;
    unsigned own_count, *count; /* of this farm; shared with a process that waits for it */
} faults;

bool faults_only(const char *list) {
    memset(faults.happens, 0, sizeof faults.happens);
    faults.are_chosen = true;
    while (*list) {
        char *end;
        unsigned long from = strtoul(list, &end, 10), to = from;
        if (end > list && *end == '-')
            to = strtoul(end + 1, &end, 10);
        if (from == 0 || to < from || to > FAULTS_MOST || (*end && *end != ','))
            return false;
        for (unsigned long number = from; number <= to; number++)
            faults.happens[number] = true;
        list = *end ? end + 1 : end;
    }
    return true;
}

static bool happens(void *user, const char *what, unsigned id) {
    const struct farm *farm = user;
    unsigned number = ++*faults.count;
    bool is_one = !faults.are_chosen || (number <= FAULTS_MOST && faults.happens[number]);
    if (is_one && faults.tells)
        fprintf(stderr, "%.6f fault %u: %s %u\n", (double)sim_now_ns(farm->sim) / 1e9, number, what,
                id);
    return is_one;
}

void faults_begin(struct farm *farm, bool tells) {
    if (!faults.count)
        faults.count = &faults.own_count;
    *faults.count = 0;
    faults.tells = tells;
    sim_watch_faults(farm->sim, happens, farm);
}

/*
 * ---- fewer ----
 */

static void write_list(char out[LIST_BYTES], unsigned most) {
    size_t len = 0;
    *out = '\0';
    for (unsigned from = 1; from <= most; from++) {
        unsigned to = from;
        if (!faults.happens[from])
            continue;
        while (to < most && faults.happens[to + 1])
            to++;
        int more = snprintf(out + len, LIST_BYTES - len, to > from ? "%s%u-%u" : "%s%u",
                            len > 0 ? "," : "", from, to);
        len += (size_t)more;
        if (len >= LIST_BYTES)
            return;
        from = to;
    }
}

/* In a process of its own, as a failure ends it. */
static bool fails(uint64_t seed, const struct farm_options *options) {
    const struct rlimit none = {0, 0};
    int status = 0;
    pid_t child = fork();
    assert(child >= 0);
    if (child == 0) {
        struct mux_counters totals = {0};
        bool is_mute = freopen("/dev/null", "w", stderr) && setrlimit(RLIMIT_CORE, &none) == 0;
        if (is_mute)
            farm_run(seed, options, &totals);
        _exit(0);
    }
    pid_t ended = waitpid(child, &status, 0);
    return ended == child && status != 0;
}

static void set(unsigned from, unsigned count, const bool *kept, bool happens_now) {
    for (unsigned i = 0; i < count; i++)
        faults.happens[from + i] = happens_now && kept[from + i];
}

/* Leaves out, in parts of this size, all without which it fails. False: there are none. */
static bool leave_out(uint64_t seed, const struct farm_options *options, unsigned most,
                      unsigned part, time_t until, unsigned *runs) {
    static bool kept[FAULTS_MOST + 1];
    bool are_fewer = false;
    for (unsigned from = 1; from <= most && time(NULL) < until; from += part) {
        unsigned count = part < most + 1 - from ? part : most + 1 - from;
        memcpy(kept, faults.happens, sizeof kept);
        set(from, count, kept, false);
        if (memcmp(kept, faults.happens, sizeof kept) == 0)
            continue;
        ++*runs;
        if (fails(seed, options))
            are_fewer = true;
        else
            set(from, count, kept, true);
    }
    return are_fewer;
}

void faults_shrink(uint64_t seed, const struct farm_options *options, const char *command) {
    static char list[LIST_BYTES];
    struct farm_options mute = *options;
    mute.verbose = false;
    faults.count =
        mmap(NULL, sizeof *faults.count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert(faults.count != MAP_FAILED);
    faults.are_chosen = false;
    if (!fails(seed, &mute)) {
        fprintf(stderr, "seed %" PRIu64 " does not fail\n", seed);
        return;
    }
    unsigned most = *faults.count < FAULTS_MOST ? *faults.count : FAULTS_MOST;
    faults.are_chosen = true;
    memset(faults.happens, false, sizeof faults.happens); /* none behind the failure */
    memset(faults.happens + 1, true, most);
    unsigned runs = 0;
    time_t until = time(NULL) + SHRINK_SECONDS;
    for (unsigned part = (most + 1) / 2; part > 1; part /= 2)
        leave_out(seed, &mute, most, part, until, &runs);
    while (leave_out(seed, &mute, most, 1, until, &runs))
        ;
    write_list(list, most);
    fprintf(stderr,
            "of its %u faults, %u runs have left these: SIM_SEED=%" PRIu64 " %s --faults %s\n",
            most, runs, seed, command, *list ? list : "\"\"");
}
