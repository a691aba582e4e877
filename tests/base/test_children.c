/* test_children ENGINE: real processes and real signals on a loop. */
#include "tests/base/rig.h"
#include "tools/base/children.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Children at a time, and in all: enough that several end at once and their SIGCHLDs merge. */
#define CROWD 40
#define MANY 2000

/* A number that no descriptor of this process has otherwise. */
#define OTHER_DESCRIPTOR 50

static const char *engine_name;
static struct rig rig;
static struct signals signals;
static struct children children;

struct run {
    struct child child;
    struct child_end end;
    unsigned ended;
};

static int setup(void **state) {
    struct transport_failure failure;
    (void)state;
    rig_open(&rig, engine_name);
    assert_true(signals_open(&signals, &failure));
    children_open(&children, &signals);
    assert_true(signals_watch(&signals, &rig.loop, &failure));
    return 0;
}

static int teardown(void **state) {
    (void)state;
    signals_close(&signals);
    rig_close(&rig);
    return 0;
}

static void ended(struct child *child, const struct child_end *end, uint64_t now_ns) {
    struct run *run = (struct run *)child;
    (void)now_ns;
    assert_false(child_runs(child));
    run->end = *end;
    run->ended++;
}

static struct child_config command(const char *const *arguments) {
    return (struct child_config){.arguments = arguments, .descriptors = {0, 1, 2}, .ended = ended};
}

static void start(struct run *run, const struct child_config *config) {
    struct transport_failure failure;
    *run = (struct run){0};
    if (!child_start(&children, &run->child, config, &failure))
        fail_msg("%s: %s", failure.operation, strerror(failure.error));
    assert_true(run->child.pid > 0);
}

/* Runs a script of sh to its end. */
static struct child_end run_script(const char *script) {
    struct run run;
    const struct child_config config = command((const char *[]){"sh", "-c", script, NULL});
    start(&run, &config);
    STEP_UNTIL(&rig, run.ended);
    return run.end;
}

static void every_end_is_reported(void **state) {
    (void)state;
    struct child_end end = run_script("exit 7");
    assert_true(end.exited && end.status == 7 && end.signal == 0 && !end.core);
    end = run_script("exit 0");
    assert_true(end.exited && end.status == 0);
    end = run_script("ulimit -c 0; kill -SEGV $$");
    assert_true(!end.exited && end.signal == SIGSEGV && !end.core);
}

static void commands_that_cannot_run(void **state) {
    struct run run = {0};
    struct transport_failure failure;
    (void)state;
    struct child_config config = command((const char *[]){"no-such-command-anywhere", NULL});
    assert_false(child_start(&children, &run.child, &config, &failure));
    assert_int_equal(failure.error, ENOENT);
    assert_string_equal(failure.operation, "exec");
    assert_false(child_runs(&run.child));
    config = command((const char *[]){"true", NULL});
    config.directory = "/no/such/directory";
    assert_false(child_start(&children, &run.child, &config, &failure));
    config.directory = NULL;
    config.descriptors[1] = 987;
    assert_false(child_start(&children, &run.child, &config, &failure));
    assert_int_equal(failure.error, EBADF);
    child_signal(&run.child, SIGKILL); /* no process: no effect */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

/* Reads to the end; returns the number of bytes. */
static size_t read_all(int fd, char *bytes, size_t most) {
    size_t len = 0;
    for (ssize_t got; (got = read(fd, bytes + len, most - 1 - len)) > 0;)
        len += (size_t)got;
    bytes[len] = '\0';
    return len;
}

/* The child's stdout is our descriptor 2, which its own stderr must not overwrite. */
static void child_has_the_given_descriptors(void **state) {
    int out[2], err[2], kept = dup(2), other;
    char text[256];
    struct run run;
    (void)state;
    assert_int_equal(pipe(out), 0);
    assert_int_equal(pipe(err), 0);
    /* open and without close-on-exec: it is still not inherited */
    other = fcntl(out[1], F_DUPFD, OTHER_DESCRIPTOR);
    assert_int_equal(other, OTHER_DESCRIPTOR);
    dup2(out[1], 2);
    struct child_config config =
        command((const char *[]){"sh", "-c",
                                 "echo out; echo error >&2; test -e /proc/$$/fd/2 && echo 2; "
                                 "test -e /proc/$$/fd/50 && echo 50; true",
                                 NULL});
    config.descriptors[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    config.descriptors[1] = 2;
    config.descriptors[2] = err[1];
    start(&run, &config);
    dup2(kept, 2);
    close(kept);
    close(other);
    close(out[1]);
    close(err[1]);
    STEP_UNTIL(&rig, run.ended);
    read_all(out[0], text, sizeof text);
    assert_string_equal(text, "out\n2\n");
    read_all(err[0], text, sizeof text);
    assert_string_equal(text, "error\n");
    close(out[0]);
    close(err[0]);
    close(config.descriptors[0]);
}

static void directory_and_environment(void **state) {
    int out[2];
    char text[256];
    struct run run;
    (void)state;
    assert_int_equal(pipe(out), 0);
    struct child_config config =
        command((const char *[]){"sh", "-c", "pwd; echo \"$COLOUR\"; echo \"$HOME\"", NULL});
    config.directory = "/";
    config.environment = (const char *[]){"PATH=/usr/bin:/bin", "COLOUR=blue", NULL};
    config.descriptors[1] = out[1];
    start(&run, &config);
    close(out[1]);
    STEP_UNTIL(&rig, run.ended);
    read_all(out[0], text, sizeof text);
    assert_string_equal(text, "/\nblue\n\n");
    close(out[0]);
}

/* The pipe's other end, which every process of the group holds, is closed everywhere. */
static bool is_closed(int fd, int timeout_ms) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    char byte;
    return poll(&poll_fd, 1, timeout_ms) == 1 && read(fd, &byte, 1) == 0;
}

static void signals_reach_the_group(void **state) {
    int held[2];
    struct run run;
    (void)state;
    assert_int_equal(pipe(held), 0);
    struct child_config config =
        command((const char *[]){"sh", "-c", "sleep 1000 & sleep 1000 & wait", NULL});
    config.descriptors[1] = held[1];
    start(&run, &config);
    close(held[1]);
    assert_false(is_closed(held[0], 50));
    child_signal(&run.child, SIGKILL);
    STEP_UNTIL(&rig, run.ended);
    assert_true(!run.end.exited && run.end.signal == SIGKILL);
    assert_true(is_closed(held[0], -1));
    close(held[0]);
}

/* The process ends by itself. With kill_group the rest of its group is killed, else it stays. */
static void remaining_processes_of_the_group(void **state) {
    (void)state;
    for (unsigned kill_group = 0; kill_group < 2; kill_group++) {
        int held[2];
        struct run run;
        assert_int_equal(pipe(held), 0);
        struct child_config config =
            command((const char *[]){"sh", "-c", "sleep 1000 & exit 3", NULL});
        config.descriptors[1] = held[1];
        config.kill_group = kill_group;
        start(&run, &config);
        pid_t group = run.child.pid;
        close(held[1]);
        STEP_UNTIL(&rig, run.ended);
        assert_true(run.end.exited && run.end.status == 3);
        assert_int_equal(is_closed(held[0], kill_group ? -1 : 50), kill_group);
        if (!kill_group)
            assert_int_equal(kill(-group, SIGKILL), 0);
        close(held[0]);
    }
}

static uint64_t cpu_us(const struct rusage *usage) {
    return (uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec);
}

static void resources_are_counted(void **state) {
    (void)state;
    struct child_end idle = run_script("exit 0");
    struct child_end busy = run_script("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done");
    assert_true(busy.exited && busy.status == 0);
    assert_true(busy.usage.ru_maxrss > 0);
    assert_true(cpu_us(&busy.usage) > cpu_us(&idle.usage));
}

/* Signals that we ignore or catch have their default action in the child. */
static void children_have_default_signals(void **state) {
    (void)state;
    struct child_end end = run_script("kill -PIPE $$"); /* SIGPIPE is ignored here */
    assert_int_equal(end.signal, SIGPIPE);
}

static unsigned again;

static void ended_and_next(struct child *child, const struct child_end *end, uint64_t now_ns) {
    ended(child, end, now_ns);
    assert_true(end->exited && end->status == 0);
    struct run *run = (struct run *)child;
    if (again == 0)
        return;
    again--;
    unsigned count = run->ended;
    struct child_config config = command((const char *[]){"true", NULL});
    config.ended = ended_and_next;
    start(run, &config);
    run->ended = count;
}

static unsigned total(const struct run *runs) {
    unsigned count = 0;
    for (unsigned i = 0; i < CROWD; i++)
        count += runs[i].ended;
    return count;
}

static void thousands(void **state) {
    static struct run runs[CROWD];
    (void)state;
    struct child_config config = command((const char *[]){"true", NULL});
    config.ended = ended_and_next;
    again = MANY - CROWD;
    for (unsigned i = 0; i < CROWD; i++)
        start(&runs[i], &config);
    STEP_UNTIL(&rig, total(runs) == MANY);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_true(mux_list_empty(&children.running));
}

/*
 * ---- signals ----
 */

static unsigned caught_count[SIGNALS_MAX];

static void caught(void *user, int number, uint64_t now_ns) {
    (void)now_ns;
    assert_ptr_equal(user, caught_count);
    caught_count[number]++;
}

/* Every signal is handed over, also those that came before the first step. */
static void signals_are_events(void **state) {
    (void)state;
    memset(caught_count, 0, sizeof caught_count);
    signals_catch(&signals, SIGUSR1, caught, caught_count);
    signals_catch(&signals, SIGTERM, caught, caught_count);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGTERM);
    kill(getpid(), SIGTERM);
    assert_int_equal(caught_count[SIGTERM], 0);
    STEP_UNTIL(&rig, caught_count[SIGUSR1] && caught_count[SIGTERM]);
    assert_int_equal(caught_count[SIGUSR1], 1);
    assert_int_equal(caught_count[SIGTERM], 2);
}

/* One signal comes more often than the pipe holds: no other signal is lost. */
static void a_flood_hides_no_signal(void **state) {
    (void)state;
    memset(caught_count, 0, sizeof caught_count);
    signals_catch(&signals, SIGUSR1, caught, caught_count);
    signals_catch(&signals, SIGUSR2, caught, caught_count);
    for (unsigned i = 0; i < 100000; i++)
        raise(SIGUSR1);
    raise(SIGUSR2);
    STEP_UNTIL(&rig, caught_count[SIGUSR2]);
    assert_int_equal(caught_count[SIGUSR1], 100000);
}

#define CHILD_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        CHILD_TEST(every_end_is_reported),
        CHILD_TEST(commands_that_cannot_run),
        CHILD_TEST(child_has_the_given_descriptors),
        CHILD_TEST(directory_and_environment),
        CHILD_TEST(signals_reach_the_group),
        CHILD_TEST(remaining_processes_of_the_group),
        CHILD_TEST(resources_are_counted),
        CHILD_TEST(children_have_default_signals),
        CHILD_TEST(thousands),
        CHILD_TEST(signals_are_events),
        CHILD_TEST(a_flood_hides_no_signal),
    };
    if (argc != 2)
        return 2;
    engine_name = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
