/* A table of options: defaults, given values, options that end the program, and --help. */
#include "tests/unit/check.h"

#include "tools/base/option.h"

#include <stdio.h>
#include <unistd.h>

struct target {
    char taken[256]; /* "name=value " of each call of set(), in order */
};

static bool take(const struct option_row *row, void *target, const char *value) {
    struct target *into = target;
    size_t len = strlen(into->taken);
    snprintf(into->taken + len, sizeof into->taken - len, "%s=%s ", row->name,
             value ? value : "given");
    return !value || strcmp(value, "wrong") != 0;
}

static int end(const struct option_table *table) {
    assert_string_equal(table->program, "try");
    return 7;
}

static const struct option_row rows[] = {
    {"size", "BYTES", "12M", .set = take, .group = "First",
     .help = "a help text with more words than fit into one line of a terminal, so that it wraps"},
    {"quick", .set = take, .help = "no value"},
    {"name", "NAME", .set = take, .help = "no default", .group = "Second"},
    {"end", .end = end, .help = "ends"},
    {"help", .end = option_help, .help = OPTION_HELP_TEXT},
};

static const struct option_table table = {.program = "try",
                                          .intro = "usage: try\n",
                                          .outro = "Exit codes: 0\n",
                                          .rows = rows,
                                          .count = sizeof rows / sizeof *rows};

/* Parses these arguments; compares the result of option_parse() and the calls of set(). */
static void check(const char *const *words, int status, const char *taken) {
    struct target target = {""};
    char *argv[16] = {(char *)"try"};
    int argc = 1;
    for (; words[argc - 1]; argc++)
        argv[argc] = (char *)words[argc - 1];
    optind = 0; /* glibc: getopt starts again */
    assert_int_equal(option_parse(&table, argc, argv, &target), status);
    assert_string_equal(target.taken, taken);
}

#define CHECK(status, taken, ...) check((const char *const[]){__VA_ARGS__, NULL}, status, taken)

static void defaults_come_first(void **state) {
    (void)state;
    CHECK(OPTION_GO_ON, "size=12M ", "file");
    assert_int_equal(optind, 1);
    CHECK(OPTION_GO_ON, "size=12M quick=given size=5 name=x ", "--quick", "--size", "5",
          "--name=x");
    CHECK(OPTION_GO_ON, "size=12M ", "--", "--quick");
}

static void wrong_options(void **state) {
    (void)state;
    CHECK(OPTION_EXIT_USAGE, "size=12M size=wrong ", "--size", "wrong", "--quick");
    CHECK(OPTION_EXIT_USAGE, "size=12M ", "--size");
    CHECK(OPTION_EXIT_USAGE, "size=12M ", "--quick=1");
    CHECK(OPTION_EXIT_USAGE, "size=12M ", "--sizes", "5");
    CHECK(OPTION_EXIT_USAGE, "size=12M ", "-q");
}

static void an_option_that_ends(void **state) {
    (void)state;
    CHECK(7, "size=12M quick=given ", "--quick", "--end", "--size", "wrong");
}

static void shows_help(void **state) {
    (void)state;
    char text[2048];
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stdout);
    int before = dup(STDOUT_FILENO);
    assert_true(before >= 0 && dup2(fileno(file), STDOUT_FILENO) >= 0);
    CHECK(0, "size=12M ", "--help");
    fflush(stdout);
    assert_true(dup2(before, STDOUT_FILENO) >= 0);
    close(before);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(
        text, "usage: try\n"
              "\n"
              "First:\n"
              "  --size BYTES             a help text with more words than fit into one line of a "
              "terminal, so\n"
              "                           that it wraps (default 12M)\n"
              "  --quick                  no value\n"
              "\n"
              "Second:\n"
              "  --name NAME              no default\n"
              "  --end                    ends\n"
              "  --help                   show this text, and end\n"
              "\n"
              "Exit codes: 0\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_come_first),
        cmocka_unit_test(wrong_options),
        cmocka_unit_test(an_option_that_ends),
        cmocka_unit_test(shows_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
