/* A user's description of a DPDK port. */
#include "transport/dpdk/spec.h"
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *text, *device, *arguments;
    const char *name;
    uint16_t port;
    bool port_given, is_pci;
} good[] = {
    {"dpdk:net_af_packet0,iface=dv0,ip=10.9.0.1/24:7600", "net_af_packet0", "iface=dv0",
     "net_af_packet0,iface=dv0,ip=10.9.0.1/24", 7600, true, false},
    {"dpdk:net_tap0,ip=10.9.0.1/24,iface=t9:0", "net_tap0", "iface=t9",
     "net_tap0,ip=10.9.0.1/24,iface=t9", 0, true, false},
    {"dpdk:net_tap0,iface=t9,ip=10.9.0.1/24", "net_tap0", "iface=t9",
     "net_tap0,iface=t9,ip=10.9.0.1/24", 7533, false, false},
    {"dpdk:0000:3b:00.0,ip=10.9.0.1/24:1", "0000:3b:00.0", "", "0000:3b:00.0,ip=10.9.0.1/24", 1,
     true, true},
    {"dpdk:net_tap0,ip=10.9.0.1/24,gw=10.9.0.254:1", "net_tap0", "",
     "net_tap0,ip=10.9.0.1/24,gw=10.9.0.254", 1, true, false},
    {"dpdk:3B:00.0,a=1,ip=10.9.0.1/24,b=2", "0000:3b:00.0", "a=1,b=2",
     "3B:00.0,a=1,ip=10.9.0.1/24,b=2", 7533, false, true},
    {"dpdk:net_x,ip=fd00::1/64:9", "net_x", "", "net_x,ip=fd00::1/64", 9, true, false},
    {"dpdk:net_x,ip=fd00::1/64", "net_x", "", "net_x,ip=fd00::1/64", 7533, false, false},
    {"dpdk:net_x,ip=10.9.0.1/24,mac=02:00:00:00:00:01", "net_x", "",
     "net_x,ip=10.9.0.1/24,mac=02:00:00:00:00:01", 7533, false, false},
    {"dpdk:net_x,ip=10.9.0.1/24,mac=02:00:00:00:00:01:22", "net_x", "",
     "net_x,ip=10.9.0.1/24,mac=02:00:00:00:00:01", 22, true, false},
    {"dpdk:net_x,ip=10.9.0.1/24,to=build7:22", "net_x", "", "net_x,ip=10.9.0.1/24,to=build7", 22,
     true, false},
    {"dpdk:net_x,ip=fd00::1/64,to=[fd00::2]:22", "net_x", "", "net_x,ip=fd00::1/64,to=[fd00::2]",
     22, true, false},
    {"dpdk:net_x,ip=fd00::1/64,to=[fd00::2]", "net_x", "", "net_x,ip=fd00::1/64,to=[fd00::2]", 7533,
     false, false},
};

static void good_descriptions_are_parsed(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct endpoint endpoint;
        struct dpdk_spec spec;
        char why[400] = "";
        if (!endpoint_parse(good[i].text, &endpoint, why, sizeof why))
            fail_msg("%s: %s", good[i].text, why);
        assert_int_equal(endpoint.kind, ENDPOINT_NETWORK);
        assert_int_equal(endpoint.via, TRANSPORT_VIA_DPDK);
        assert_string_equal(endpoint.name, good[i].name);
        assert_int_equal(endpoint.port, good[i].port);
        assert_int_equal(endpoint.port_given, good[i].port_given);
        assert_true(dpdk_spec_parse(endpoint.name, &spec, why, sizeof why));
        assert_string_equal(spec.device, good[i].device);
        assert_string_equal(spec.arguments, good[i].arguments);
        assert_int_equal(spec.is_pci, good[i].is_pci);
    }
}

/* The text, and a word that the message must contain. */
static const char *const bad[][2] = {
    {"dpdk:", "PCI"},
    {"dpdk:eth0,ip=10.9.0.1/24", "PCI"},
    {"dpdk:0000:3b:00,ip=10.9.0.1/24", "PCI"},
    {"dpdk:net_a b,ip=10.9.0.1/24", "PCI"},
    {"dpdk:net_tap0,iface=t9", "ip="},
    {"dpdk:net_tap0:7533", "ip="},
    {"dpdk:net_tap0,ip=10.9.0.1", "prefix"},
    {"dpdk:net_tap0,ip=10.9.0.1/", "prefix"},
    {"dpdk:net_tap0,ip=10.9.0.1/0", "prefix"},
    {"dpdk:net_tap0,ip=10.9.0.1/31", "prefix"},
    {"dpdk:net_tap0,ip=10.9.0.1/4294967320", "prefix"},
    {"dpdk:net_tap0,ip=10.9.0.0/24", "prefix"},
    {"dpdk:net_tap0,ip=10.9.0.255/24", "prefix"},
    {"dpdk:net_tap0,ip=127.0.0.1/8", "prefix"},
    {"dpdk:net_tap0,ip=224.0.0.1/24", "prefix"},
    {"dpdk:net_tap0,ip=0.0.0.1/24", "prefix"},
    {"dpdk:net_tap0,ip=fd00::1/48", "prefix"},
    {"dpdk:net_tap0,ip=fe80::1/64", "prefix"},
    {"dpdk:net_tap0,ip=::1/64", "prefix"},
    {"dpdk:net_tap0,ip=::ffff:10.9.0.1/64", "prefix"},
    {"dpdk:net_tap0,ip=10.9.0.1/24,ip=10.9.0.2/24", "one IPv4"},
    {"dpdk:net_x,ip=fd00::1/64,ip=fd00::2/64,ip=fd00::3/64,ip=fd00::4/64,ip=fd00::5/64", "more"},
    {"dpdk:net_tap0,ip=10.9.0.1/24,gw=fd00::1:7533", "brackets"},
    {"dpdk:net_tap0,ip=10.9.0.1/24,gw=10.9.0", "gw="},
    {"dpdk:net_tap0,ip=fd00::1/64,gw=10.9.0.1", "IPv4"},
    {"dpdk:net_tap0,ip=10.9.0.1/24,mac=02:00:00:00:00", "mac="},
    {"dpdk:net_tap0,ip=10.9.0.1/24,mac=03:00:00:00:00:01", "mac="},
    {"dpdk:net_tap0,ip=10.9.0.1/24,mac=00:00:00:00:00:00", "mac="},
    {"dpdk:net_tap0,ip=10.9.0.1/24,to=", "to="},
    {"dpdk:net_tap0,ip=10.9.0.1/24,to=fd00::2:22", "brackets"},
    {"dpdk:net_tap0,ip=10.9.0.1/24:", "port number"},
    {"dpdk:net_tap0,ip=10.9.0.1/24:65536", "port number"},
    {"dpdk:net_tap0,ip=10.9.0.1/24:http", "port number"},
    {"dpdk:net_tap0,ip=10.9.0.1/24,iface=\x01", "character"},
    {"dpdk:net_tap0,ip=10.9.0.1/24,gw=1.2.3.4", "network"},
    {"dpdk:net_tap0,ip=10.9.0.1/24,gw=10.9.0.1", "another"},
    {"dpdk:net_tap0,ip=10.9.0.1/24,gw=10.9.0.2,gw=10.9.0.3", "one gateway"},
    {"dpdk:net_x,ip=10.9.0.1/24,mac=02:00:00:00:00:01,mac=02:00:00:00:00:02", "mac="},
    {"dpdk:net_x,ip=10.9.0.1/24,to=a,to=b", "one host"},
    {"dpdk:net_tap0,ip=10.9.0.1/24,:7533", "commas"},
    {"dpdk:net_tap0,,ip=10.9.0.1/24", "commas"},
    {"dpdk:net_af_packet0,iface=a,IP=10.9.0.1/24,ip=10.9.0.1/24", "no argument"},
    {"dpdk:net_af_packet0,iface=a,qpairs=4,ip=10.9.0.1/24", "no argument"},
};

static void bad_descriptions_are_explained(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct endpoint endpoint;
        char why[600] = "";
        if (endpoint_parse(bad[i][0], &endpoint, why, sizeof why))
            fail_msg("'%s' is taken", bad[i][0]);
        if (!strstr(why, bad[i][1]) || !strstr(why, bad[i][0]))
            fail_msg("'%s' is explained by: %s", bad[i][0], why);
    }
}

static unsigned resolve(const char *text, bool listening, struct transport_address *addresses,
                        char *why, size_t why_bytes) {
    struct endpoint endpoint;
    assert_true(endpoint_parse(text, &endpoint, why, why_bytes));
    return endpoint_resolve(&endpoint, listening, addresses, 4, why, why_bytes);
}

static void each_own_address_is_listened_on(void **state) {
    struct transport_address addresses[4];
    char why[400] = "", text[100];
    (void)state;
    assert_int_equal(
        resolve("dpdk:net_x,ip=10.9.0.1/24,a=1,ip=fd00::1/64:99", true, addresses, why, sizeof why),
        2);
    assert_int_equal(addresses[0].via, TRANSPORT_VIA_DPDK);
    assert_string_equal(addresses[0].device, "net_x,ip=10.9.0.1/24,a=1,ip=fd00::1/64");
    address_text(&addresses[0], text, sizeof text);
    assert_string_equal(text, "dpdk:10.9.0.1:99");
    address_text(&addresses[1], text, sizeof text);
    assert_string_equal(text, "dpdk:[fd00::1]:99");
}

static void it_connects_only_to_its_own_families(void **state) {
    struct transport_address addresses[4];
    char why[400] = "", text[100];
    (void)state;
    assert_int_equal(
        resolve("dpdk:net_x,ip=10.9.0.1/24,to=10.9.0.7:99", false, addresses, why, sizeof why), 1);
    address_text(&addresses[0], text, sizeof text);
    assert_string_equal(text, "dpdk:10.9.0.7:99");
    assert_int_equal(
        resolve("dpdk:net_x,ip=10.9.0.1/24,to=[fd00::7]:99", false, addresses, why, sizeof why), 0);
    assert_non_null(strstr(why, "family"));
    assert_int_equal(resolve("dpdk:net_x,ip=10.9.0.1/24:99", false, addresses, why, sizeof why), 0);
    assert_non_null(strstr(why, "to=HOST"));
}

/* Good descriptions with bytes changed, removed and doubled are accepted or explained. */
static void damaged_descriptions_do_no_harm(void **state) {
    (void)state;
    srand(1);
    for (unsigned round = 0; round < 200000; round++) {
        struct endpoint endpoint;
        char text[2 * ENDPOINT_TEXT_BYTES], why[100] = "";
        strcpy(text, good[(size_t)rand() % (sizeof good / sizeof *good)].text);
        for (int changes = rand() % 4; changes >= 0; changes--) {
            size_t len = strlen(text), at = (size_t)rand() % (len + 1);
            static const char likely[] = ":,[]/=.0159afx \x80";
            if (rand() % 8 == 0 && len < ENDPOINT_TEXT_BYTES / 2) {
                memcpy(text + len, text + at, len - at);
                text[len + (len - at)] = '\0';
            } else if (at < len) {
                text[at] = likely[(size_t)rand() % sizeof likely];
            }
        }
        if (endpoint_parse(text, &endpoint, why, sizeof why))
            assert_int_equal(why[0], '\0');
        else
            assert_int_not_equal(why[0], '\0');
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_descriptions_are_parsed),
        cmocka_unit_test(bad_descriptions_are_explained),
        cmocka_unit_test(each_own_address_is_listened_on),
        cmocka_unit_test(it_connects_only_to_its_own_families),
        cmocka_unit_test(damaged_descriptions_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
