#include "tools/mux/run_hooks.h"

#include "tools/base/text.h"
#include "tools/base/white.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Names of instances, or a number: more is a mistake. */
#define OUTPUT_BYTES ((size_t)1 << 20)

/* A signal that comes in front of poll() is seen so late. */
#define LOOK_MS 200

static const int enders[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
static atomic_uint signals_came;

static void on_signal(int number) {
    (void)number;
    atomic_fetch_add(&signals_came, 1);
}

static void change_mask(int how) {
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof enders / sizeof *enders; i++)
        sigaddset(&set, enders[i]);
    sigprocmask(how, &set, NULL);
}

/* A second time it begins to count anew. */
static void count_signals(void) {
    struct sigaction action = {.sa_handler = on_signal};
    atomic_store(&signals_came, 0);
    for (size_t i = 0; i < sizeof enders / sizeof *enders; i++)
        sigaction(enders[i], &action, NULL);
    change_mask(SIG_UNBLOCK);
}

void run_hooks_hold(void) {
    change_mask(SIG_BLOCK);
}

/*
 * ---- a command and what it prints ----
 */

struct output {
    size_t len;
    char bytes[OUTPUT_BYTES + 1];
};

/* In a group of its own, so that a terminal's signals come to us alone. Returns an error number. */
static int spawn(const char *text, int out, pid_t *pid) {
    extern char **environ;
    char *const arguments[] = {(char *)"sh", (char *)"-c", (char *)text, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, &none);
    int error = posix_spawn(pid, "/bin/sh", &actions, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* False: nothing more comes. */
static bool read_some(int in, struct output *output) {
    char rest[4096];
    bool is_full = output->len == OUTPUT_BYTES;
    ssize_t len = is_full ? read(in, rest, sizeof rest)
                          : read(in, output->bytes + output->len, OUTPUT_BYTES - output->len);
    if (len > 0 && !is_full)
        output->len += (size_t)len;
    return len > 0 || (len < 0 && errno == EINTR);
}

/* Until it has closed its output and ended. Returns its wait status. */
static int follow(pid_t pid, int in, struct output *output) {
    unsigned told = atomic_load(&signals_came);
    int status = 0;
    for (bool goes_on = true; goes_on;) {
        struct pollfd waits = {.fd = in, .events = POLLIN};
        int count = poll(&waits, 1, LOOK_MS);
        for (; told < atomic_load(&signals_came); told++)
            kill(-pid, told ? SIGKILL : SIGTERM);
        goes_on = count <= 0 || read_some(in, output);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

/* *status: as of waitpid(). False: it could not be started. */
static bool run_shell(const char *name, const char *text, struct output *output, int *status) {
    int ends[2];
    pid_t pid;
    output->len = 0;
    int error = pipe2(ends, O_CLOEXEC) < 0 ? errno : 0;
    if (!error && (error = spawn(text, ends[1], &pid)) != 0) {
        close(ends[0]);
        close(ends[1]);
    }
    if (error) {
        text_complain("mux run: %s cannot be started: %s", name, strerror(error));
        return false;
    }
    close(ends[1]);
    *status = follow(pid, ends[0], output);
    close(ends[0]);
    output->bytes[output->len] = '\0';
    return true;
}

/* False after a sentence: also when it ends badly. */
static bool run_command(const char *name, const char *text, struct output *output) {
    int status;
    if (!run_shell(name, text, output, &status))
        return false;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    if (WIFEXITED(status))
        text_complain("mux run: %s ended with exit status %d: %s", name, WEXITSTATUS(status), text);
    else
        text_complain("mux run: %s was ended by signal %d: %s", name, WTERMSIG(status), text);
    return false;
}

/* The text of a hook with one variable. */
static bool run_hook(const char *name, const char *text, struct runner_variable variable,
                     struct output *output) {
    const struct runner_variable variables[] = {variable, {NULL, NULL}};
    char *command = runner_replace(text, variables);
    bool is_fine = command && run_command(name, command, output);
    if (!command)
        text_complain("mux run: %s: out of memory", name);
    free(command);
    return is_fine;
}

/*
 * ---- how many slots ----
 */

static bool take_slots(const struct runner *runner, struct output *output, unsigned *slots) {
    char why[RUNNER_WHY_BYTES];
    unsigned number = 0;
    if (!run_command("test_run_concurrency", runner->concurrency, output))
        return false;
    if (!runner_concurrency(mux_span(output->bytes, output->len), &number, why)) {
        text_complain("mux run: %s: %s", runner->path, why);
        return false;
    }
    if (number)
        *slots = number;
    return true;
}

bool run_hooks_slots(const struct runner *runner, unsigned *slots) {
    if (!runner->concurrency)
        return true;
    struct output *output = malloc(sizeof *output);
    bool is_fine = output && take_slots(runner, output, slots);
    free(output);
    return is_fine;
}

/*
 * ---- instances ----
 */

static bool has(const struct strings *list, struct mux_span word) {
    for (size_t i = 0; i < list->count; i++)
        if (mux_span_equal(word, mux_span_text(list->all[i])))
            return true;
    return false;
}

/* Names that are there already are not made once more. False: out of memory. */
static bool add_words(struct strings *list, struct mux_span rest) {
    while ((rest = white_trim(rest)).len) {
        size_t len = white_word(rest);
        if (!has(list, mux_span(rest.data, len)) &&
            !strings_take(list, strndup((const char *)rest.data, len)))
            return false;
        rest = mux_span(rest.data + len, rest.len - len);
    }
    return true;
}

/* One round of it. */
static bool provision_more(const struct runner *runner, unsigned wanted, struct strings *instances,
                           struct output *output) {
    char count[16];
    size_t had = instances->count;
    snprintf(count, sizeof count, "%zu", wanted - had);
    bool is_fine = run_hook("instance_provision", runner->instance_provision,
                            (struct runner_variable){"$INSTANCE_COUNT", count}, output);
    /* What it has printed exists, even if it failed then. */
    if (!add_words(instances, mux_span(output->bytes, output->len))) {
        text_complain("mux run: instance_provision: out of memory");
        return false;
    }
    if (is_fine && instances->count == had)
        text_complain("mux run: instance_provision printed no new instance, and %s more are "
                      "wanted: it is to print their names, with blanks between",
                      count);
    return is_fine && instances->count > had;
}

bool run_hooks_provision(const struct runner *runner, unsigned wanted, struct strings *instances,
                         bool *interrupted) {
    *interrupted = false;
    if (!runner->instance_provision)
        return true;
    struct output *output = malloc(sizeof *output);
    bool is_fine = output != NULL;
    count_signals();
    while (is_fine && !*interrupted && instances->count < wanted) {
        is_fine = provision_more(runner, wanted, instances, output);
        *interrupted = atomic_load(&signals_came) > 0;
    }
    free(output);
    return is_fine && !*interrupted;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names with a blank between them. NULL: out of memory. */
static char *joined(const struct strings *list) {
    size_t bytes = 1;
    for (size_t i = 0; i < list->count; i++)
        bytes += strlen(list->all[i]) + 1;
    char *text = malloc(bytes), *at = text;
    for (size_t i = 0; i < list->count && text; i++) {
        at = stpcpy(at, i ? " " : "");
        at = stpcpy(at, list->all[i]);
    }
    return text;
}

bool run_hooks_dispose(const struct runner *runner, struct strings *instances) {
    if (!runner->instance_dispose || instances->count == 0)
        return true;
    count_signals();
    qsort(instances->all, instances->count, sizeof *instances->all, by_text);
    char *names = joined(instances);
    struct output *output = malloc(sizeof *output);
    bool is_fine = names && output &&
                   run_hook("instance_dispose", runner->instance_dispose,
                            (struct runner_variable){"$INSTANCE_IDS", names}, output);
    if (!is_fine)
        text_complain("mux run: these instances may still be there: %s", names ? names : "");
    free(output);
    free(names);
    return is_fine;
}
