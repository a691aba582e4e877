#include "transport/dpdk/eal.h"
#include <errno.h>
#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* For NIC_FRAMES frames of 2.5 KiB, a port's rings and DPDK's own tables. */
#define MEMORY_MB "96"
#define MEMORY_BYTES (96ull << 20)

#define ARGUMENTS_MOST 16

/* The last line that DPDK logged: its reason for a failure is nowhere else. */
static char last_log[160];

static ssize_t note_log(void *cookie, const char *text, size_t len) {
    size_t kept = len < sizeof last_log ? len : sizeof last_log - 1;
    (void)cookie;
    memcpy(last_log, text, kept);
    last_log[kept] = '\0';
    last_log[strcspn(last_log, "\n")] = '\0';
    return (ssize_t)len;
}

/* Logs errors only, and not to stderr: the program reports failures. */
static bool quiet_log(void) {
    FILE *log = fopencookie(NULL, "w", (cookie_io_functions_t){.write = note_log});
    if (!log)
        return false;
    setvbuf(log, NULL, _IOLBF, BUFSIZ);
    rte_log_set_global_level(RTE_LOG_ERR);
    return rte_openlog_stream(log) == 0;
}

void dpdk_eal_failed(struct transport_failure *failure, int error, const char *operation,
                     const char *object) {
    static char text[256];
    snprintf(text, sizeof text, "%s%s%s%s%s%s", operation, *object ? " " : "", object,
             *last_log ? " (" : "", last_log, *last_log ? ")" : "");
    last_log[0] = '\0';
    failure->error = error < 0 ? -error : error;
    failure->operation = text;
}

/* Are enough huge pages (2 MiB each) free? */
static bool has_huge_pages(void) {
    FILE *file = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "re");
    unsigned long long free_pages = 0;
    if (!file)
        return false;
    bool known = fscanf(file, "%llu", &free_pages) == 1;
    fclose(file);
    return known && free_pages << 21 >= MEMORY_BYTES;
}

static int start(const struct dpdk_spec *spec) {
    char lcores[32], device[ENDPOINT_TEXT_BYTES];
    snprintf(lcores, sizeof lcores, "--lcores=0@%d", sched_getcpu());
    snprintf(device, sizeof device, "%s", spec->device);
    const char *arguments[ARGUMENTS_MOST] = {"muxd", lcores, "--no-telemetry", "-m", MEMORY_MB};
    int count = 5;
    if (has_huge_pages()) {
        arguments[count++] = "--in-memory";
    } else {
        arguments[count++] = "--no-huge";
        arguments[count++] = "--no-shconf";
        arguments[count++] = "--iova-mode=va";
    }
    if (spec->is_pci) {
        arguments[count++] = "-a";
        arguments[count++] = device;
    } else {
        arguments[count++] = "--no-pci";
    }
    return rte_eal_init(count, (char **)(uintptr_t)arguments); /* it only changes their order */
}

/*
 * EAL pins the thread that starts it to one processor, and its own threads must not take signals
 * that are meant for this one.
 */
static int start_undisturbed(const struct dpdk_spec *spec) {
    cpu_set_t affinity;
    sigset_t all, before;
    int error = pthread_getaffinity_np(pthread_self(), sizeof affinity, &affinity);
    if (error)
        return -error;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = start(spec);
    error = rte_errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_setaffinity_np(pthread_self(), sizeof affinity, &affinity);
    return result < 0 ? -error : 0;
}

bool dpdk_eal_start(const struct dpdk_spec *spec, struct transport_failure *failure) {
    static bool started, failed;
    if (started)
        return true;
    if (failed) {
        dpdk_eal_failed(failure, EALREADY, "rte_eal_init", "once more in this process");
        return false;
    }
    failed = true; /* DPDK refuses a second try */
    if (!quiet_log()) {
        dpdk_eal_failed(failure, errno, "rte_openlog_stream", "");
        return false;
    }
    int error = start_undisturbed(spec);
    if (error) {
        dpdk_eal_failed(failure, error, "rte_eal_init", "");
        return false;
    }
    started = true;
    last_log[0] = '\0'; /* its complaints did no harm */
    return true;
}
