/* --allow: networks, their edges and their messages. */
#include "tests/unit/check.h"

#include "tools/node/allow.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static bool has(const struct allow *allow, const char *text) {
    struct sockaddr_storage address = {0};
    struct sockaddr_in *in4 = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;
    if (inet_pton(AF_INET, text, &in4->sin_addr) == 1)
        address.ss_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1)
        address.ss_family = AF_INET6;
    else
        fail_msg("%s is no address", text);
    return allow_has(allow, &address);
}

static void test_members(void **state) {
    (void)state;
    static const struct {
        const char *list, *address;
        bool member;
    } cases[] = {
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.1.2.3", "10.1.2.3", true},
        {"10.1.2.3", "10.1.2.2", false},
        {"192.168.4.0/23", "192.168.5.9", true},
        {"192.168.4.0/23", "192.168.6.0", false},
        {"10.9.9.8/31", "10.9.9.9", true},
        {"0.0.0.0/0", "255.1.1.1", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "10.1.1.1", true},
        {"10.0.0.0/8", "::ffff:10.1.1.1", true},
        {"fe80::/10", "febf::1", true},
        {"fe80::/10", "fec0::", false},
        {"::1", "::1", true},
        {"::1/128", "::2", false},
        {"1.1.1.1,10.0.0.0/8", "10.0.0.1", true},
        {"2001:db8::/33", "2001:db8:7fff::", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct allow allow = {0};
        char why[256];
        assert_true(allow_add(&allow, cases[i].list, why, sizeof why));
        assert_int_equal(has(&allow, cases[i].address), cases[i].member);
    }
}

static void test_nobody_is_named(void **state) {
    (void)state;
    struct allow allow = {0};
    assert_true(has(&allow, "203.0.113.9"));
}

static void test_unix_may_always(void **state) {
    (void)state;
    struct allow allow = {0};
    struct sockaddr_storage local = {.ss_family = AF_UNIX}, pipe = {.ss_family = AF_UNSPEC};
    char why[256];
    assert_true(allow_add(&allow, "10.0.0.1", why, sizeof why));
    assert_true(allow_has(&allow, &local));
    assert_true(allow_has(&allow, &pipe));
}

static void test_wrong_lists(void **state) {
    (void)state;
    static const char *const lists[] = {
        "",
        ",",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/-1",
        "10.0.0.0/8x",
        "10.0.0/8",
        "::/129",
        "host",
        "10.0.0.0/ 8",
        "10.0.0.1,",
        ",10.0.0.1",
        "10.0.0.1/8/8",
        "99999999999999999999999999999999999999999999999999999999999999999",
    };
    for (size_t i = 0; i < COUNT(lists); i++) {
        struct allow allow = {0};
        char why[256] = "";
        assert_false(allow_add(&allow, lists[i], why, sizeof why));
        assert_true(strlen(why) > 0);
    }
}

/* Bits beyond the prefix: one machine may be meant, or many. */
static void test_bits_beyond_the_prefix(void **state) {
    (void)state;
    static const struct {
        const char *list, *meant;
    } cases[] = {
        {"10.0.0.1/8", "did you mean 10.0.0.0/8?"},
        {"::1,10.9.9.9/31", "did you mean 10.9.9.8/31?"},
        {"10.9.9.9/1", "did you mean 0.0.0.0/1?"},
        {"0.0.0.1/0", "did you mean 0.0.0.0/0?"},
        {"2001:db8:8000::/32", "did you mean 2001:db8::/32?"},
        {"2001:db8:ffff::1/33", "did you mean 2001:db8:8000::/33?"},
        {"::1/127", "did you mean ::/127?"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct allow allow = {0};
        char why[256] = "";
        assert_false(allow_add(&allow, cases[i].list, why, sizeof why));
        assert_non_null(strstr(why, cases[i].meant));
    }
}

static void test_too_many(void **state) {
    (void)state;
    struct allow allow = {0};
    char why[256];
    for (unsigned i = 0; i < ALLOW_MAX; i++)
        assert_true(allow_add(&allow, "10.0.0.1", why, sizeof why));
    assert_false(allow_add(&allow, "10.0.0.1", why, sizeof why));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),         cmocka_unit_test(test_nobody_is_named),
        cmocka_unit_test(test_unix_may_always), cmocka_unit_test(test_wrong_lists),
        cmocka_unit_test(test_too_many),        cmocka_unit_test(test_bits_beyond_the_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
