/*
 * Kinds of descriptors, and removing a failed write from a file.
 */
#include "transport/descriptor.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void assert_kind(int fd, enum descriptor_kind expected) {
    enum descriptor_kind kind;
    struct transport_failure failure;
    assert_true(descriptor_kind(fd, &kind, &failure));
    assert_int_equal(kind, expected);
    close(fd);
}

/* A file of ten bytes that vanishes with its descriptor. */
static int file_of_ten(int flags) {
    char path[] = "/tmp/descriptor-test-XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "0123456789", 10), 10);
    close(fd);
    fd = open(path, O_RDWR | flags | O_CLOEXEC);
    unlink(path);
    assert_true(fd >= 0);
    return fd;
}

static off_t size_of(int fd) {
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    return st.st_size;
}

static void kinds_are_told_apart(void **state) {
    (void)state;
    int pipe_fds[2], sockets[2];
    assert_int_equal(pipe(pipe_fds), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    assert_kind(pipe_fds[0], DESCRIPTOR_STREAM);
    assert_kind(pipe_fds[1], DESCRIPTOR_STREAM);
    assert_kind(sockets[0], DESCRIPTOR_SOCKET);
    assert_kind(sockets[1], DESCRIPTOR_SOCKET);
    assert_kind(file_of_ten(0), DESCRIPTOR_FILE);
    assert_kind(open("/dev/null", O_RDWR), DESCRIPTOR_STREAM);
    enum descriptor_kind kind;
    struct transport_failure failure;
    assert_false(descriptor_kind(pipe_fds[0], &kind, &failure)); /* it is closed */
    assert_int_equal(failure.error, EBADF);
    assert_string_equal(failure.operation, "fstat");
}

static void appended_bytes_are_taken_back(void **state) {
    (void)state;
    int fd = file_of_ten(O_APPEND);
    struct file_mark mark;
    assert_true(file_mark(fd, &mark));
    assert_int_equal(write(fd, "abcde", 5), 5);
    assert_true(file_take_back(fd, &mark, 5));
    assert_int_equal(size_of(fd), 10);
    close(fd);
}

/* After a write over the old content and past its end, size and offset are restored. */
static void overwriting_is_taken_back_to_the_size(void **state) {
    (void)state;
    int fd = file_of_ten(0);
    struct file_mark mark;
    assert_int_equal(lseek(fd, 8, SEEK_SET), 8);
    assert_true(file_mark(fd, &mark));
    assert_int_equal(write(fd, "abcde", 5), 5);
    assert_true(file_take_back(fd, &mark, 5));
    assert_int_equal(size_of(fd), 10);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 8);
    assert_int_equal(write(fd, "x", 1), 1); /* within the old size nothing is removed */
    assert_true(file_take_back(fd, &mark, 1));
    assert_int_equal(size_of(fd), 10);
    close(fd);
}

static void writes_of_others_are_kept(void **state) {
    (void)state;
    int fd = file_of_ten(O_APPEND);
    struct file_mark mark;
    assert_true(file_mark(fd, &mark));
    assert_int_equal(write(fd, "abcde", 5), 5);
    assert_int_equal(write(fd, "others", 6), 6);
    assert_false(file_take_back(fd, &mark, 5));
    assert_int_equal(errno, EBUSY);
    assert_int_equal(size_of(fd), 21);
    close(fd);
}

static void pipes_have_no_mark(void **state) {
    (void)state;
    int fds[2];
    struct file_mark mark;
    assert_int_equal(pipe(fds), 0);
    assert_false(file_mark(fds[1], &mark));
    assert_int_equal(errno, ESPIPE);
    close(fds[0]);
    close(fds[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_are_told_apart),
        cmocka_unit_test(appended_bytes_are_taken_back),
        cmocka_unit_test(overwriting_is_taken_back_to_the_size),
        cmocka_unit_test(writes_of_others_are_kept),
        cmocka_unit_test(pipes_have_no_mark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
