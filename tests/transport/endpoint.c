/*
 * Endpoints: their texts, their meaning, and messages about texts without one.
 */
#include "transport/endpoint.h"
#include "transport/interface.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MOST 16

static const struct {
    const char *text;
    enum endpoint_kind kind;
    const char *name;
    unsigned port;
    bool port_given;
    enum transport_via via;
} good[] = {
    {"-", ENDPOINT_STDIO, "", 0, false},
    {"ib0", ENDPOINT_NETWORK, "ib0", 7533, false},
    {"ib0:7000", ENDPOINT_NETWORK, "ib0", 7000, true},
    {"ib0:0", ENDPOINT_NETWORK, "ib0", 0, true},
    {"10.0.0.7:65535", ENDPOINT_NETWORK, "10.0.0.7", 65535, true},
    {"build-7.example.org", ENDPOINT_NETWORK, "build-7.example.org", 7533, false},
    {"[::1]", ENDPOINT_NETWORK, "::1", 7533, false},
    {"[fe80::1%eth0]:80", ENDPOINT_NETWORK, "fe80::1%eth0", 80, true},
    {":7000", ENDPOINT_NETWORK, "", 7000, true},
    {":0", ENDPOINT_NETWORK, "", 0, true},
    {"tcp:10.0.0.7:1", ENDPOINT_NETWORK, "10.0.0.7", 1, true},
    {"tcp:[::1]:00080", ENDPOINT_NETWORK, "::1", 80, true},
    {"tcp::9", ENDPOINT_NETWORK, "", 9, true},
    {"unix:/run/muxd.sock", ENDPOINT_UNIX, "/run/muxd.sock", 0, false},
    {"unix:a:b", ENDPOINT_UNIX, "a:b", 0, false},
    {"file:results", ENDPOINT_FILE, "results", 0, false},
    {"file:-", ENDPOINT_FILE, "-", 0, false},
    {"rdma:ib0", ENDPOINT_NETWORK, "ib0", 7533, false, TRANSPORT_VIA_RDMA},
    {"rdma:[::1]:80,from=::2", ENDPOINT_NETWORK, "::1", 80, true, TRANSPORT_VIA_RDMA},
    {"rdma:build7:7000,from=10.0.0.7", ENDPOINT_NETWORK, "build7", 7000, true, TRANSPORT_VIA_RDMA},
};

static void good_endpoints_are_parsed(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct endpoint endpoint;
        char why[200] = "";
        if (!endpoint_parse(good[i].text, &endpoint, why, sizeof why))
            fail_msg("%s: %s", good[i].text, why);
        assert_int_equal(endpoint.kind, good[i].kind);
        assert_int_equal(endpoint.via, good[i].via);
        assert_string_equal(endpoint.text, good[i].text);
        assert_string_equal(endpoint.name, good[i].name);
        assert_int_equal(endpoint.port, good[i].port);
        assert_int_equal(endpoint.port_given, good[i].port_given);
    }
}

/* The text, and a word that the message must contain. */
static const char *const bad[][2] = {
    {"", "expected"},
    {"tcp:", "expected"},
    {"a:", "port number"},
    {"a:x", "port number"},
    {"a:-1", "port number"},
    {"a:65536", "port number"},
    {"a:99999999999999999999", "port number"},
    {"a: 80", "blank"},
    {"a:8 0", "blank"},
    {"::1", "brackets"},
    {"a:1:2", "brackets"},
    {"[::1", "expected"},
    {"[]", "expected"},
    {"[]:80", "expected"},
    {"[::1]80", "expected"},
    {"[::1]:", "port number"},
    {"[::1]:x", "port number"},
    {"unix:", "path"},
    {"file:", "path"},
    {"rdma:", "expected"},
    {"rdma:a:x", "port number"},
    {"rdma:a,from=", "from="},
    {"rdma:a,from=build7", "from="},
    {"*:80", "without '*'"},
    {"127.0.0.1:80,[::1]:80", "one endpoint at a time"},
    {"7533", "did you mean :7533?"},
    {"tcp:7533", "a port stands behind a colon"},
    {"rdma:7533", "a port stands behind a colon"},
    {"7533:80", "a port stands behind a colon"},
    {"/run/muxd.sock", "did you mean unix:/run/muxd.sock"},
    {"./results", "file:./results?"},
    {"10.0.0.0/8", "slash"},
    {"[::1]/64", "slash"},
    {"build7/x:7533", "slash"},
    {"http://build7:7533/x", "did you mean build7:7533?"},
    {"tcp://build7", "did you mean build7?"},
    {"build7 ", "blank"},
    {"--upstream", "the one before it needs a value"},
    {"mux:build7", "did you mean build7?"},
    {"Unix:/run/muxd.sock", "did you mean unix:/run/muxd.sock?"},
    {"TCP:build7", "did you mean tcp:build7?"},
    {"tcp:unix:/run/muxd.sock", "two prefixes: did you mean unix:/run/muxd.sock?"},
    {"file:~/run.subunit", "$HOME"},
    {"unix:~/muxd.sock", "$HOME"},
};

static void bad_endpoints_are_explained(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct endpoint endpoint;
        char why[400] = "";
        assert_false(endpoint_parse(bad[i][0], &endpoint, why, sizeof why));
        if (!strstr(why, bad[i][1]) || !strstr(why, bad[i][0]))
            fail_msg("'%s' is explained by: %s", bad[i][0], why);
    }
}

static void long_endpoints_are_refused(void **state) {
    (void)state;
    char text[ENDPOINT_TEXT_BYTES + 100], why[200], tiny[5];
    struct endpoint endpoint;
    for (size_t len = 1; len < sizeof text; len++) {
        memset(text, 'x', len);
        text[len] = '\0';
        assert_int_equal(endpoint_parse(text, &endpoint, why, sizeof why),
                         len < ENDPOINT_TEXT_BYTES);
        memcpy(text, "unix:", len < 5 ? len : 5);
        bool fits = len < 5 || (len > 5 && len - 5 < sizeof(((struct sockaddr_un *)0)->sun_path));
        assert_int_equal(endpoint_parse(text, &endpoint, tiny, sizeof tiny), fits);
        assert_true(fits || strlen(tiny) < sizeof tiny);
    }
}

static unsigned resolve(const char *text, bool listening, struct transport_address *addresses,
                        char why[400]) {
    struct endpoint endpoint;
    why[0] = '\0';
    assert_true(endpoint_parse(text, &endpoint, why, 400));
    return endpoint_resolve(&endpoint, listening, addresses, MOST, why, 400);
}

static void addresses_are_found(void **state) {
    (void)state;
    struct transport_address addresses[MOST];
    char why[400], text[ENDPOINT_TEXT_BYTES];
    assert_int_equal(resolve("127.0.0.1:7000", false, addresses, why), 1);
    address_text(&addresses[0], text, sizeof text);
    assert_string_equal(text, "127.0.0.1:7000");
    assert_true(address_is_local(&addresses[0]));
    assert_int_equal(resolve("[::1]:7000", false, addresses, why), 1);
    address_text(&addresses[0], text, sizeof text);
    assert_string_equal(text, "[::1]:7000");
    assert_true(address_is_local(&addresses[0]));
    assert_int_equal(resolve("192.0.2.77", true, addresses, why), 1);
    address_text(&addresses[0], text, sizeof text);
    assert_string_equal(text, "192.0.2.77:7533");
    assert_false(address_is_local(&addresses[0]));
    assert_int_equal(resolve("[::ffff:127.0.0.9]", true, addresses, why), 1);
    assert_true(address_is_local(&addresses[0]));
    assert_int_equal(resolve("rdma:192.0.2.77:1,from=192.0.2.1", false, addresses, why), 1);
    assert_int_equal(addresses[0].via, TRANSPORT_VIA_RDMA);
    assert_int_equal(addresses[0].source.ss_family, AF_INET);
    address_text(&addresses[0], text, sizeof text);
    assert_string_equal(text, "rdma:192.0.2.77:1");
    assert_int_equal(resolve("unix:/run/x", true, addresses, why), 1);
    address_text(&addresses[0], text, sizeof text);
    assert_string_equal(text, "unix:/run/x");
    assert_true(address_is_local(&addresses[0]));
}

static void usual_names_are_known(void **state) {
    (void)state;
    static const char *const usual[] = {
        "ib0",      "ib12",     "ibp3s0", "ibs5",   "eth0",
        "eth0.100", "enp3s0f1", "eno1",   "ens192", "enx0a1b2c3d4e5f",
        "enP2p1s0", "bond0",    "br0.7",  "hsn3",   "wlp2s0"};
    static const char *const others[] = {
        "",         "ib",     "ibo",      "nosuch0", "engine1",         "ensemble1",
        "br-1",     "eth0.x", "eth0.1.2", "eth0.",   "build7",          "localhost",
        "storage0", "eth0/1", "10.0.0.5", "ib0 ",    "enx0a1b2c3d4e5f6"};
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        assert_true(interface_name_is_usual(usual[i]));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(interface_name_is_usual(others[i]));
}

/* The state of addresses that every machine has, and of one that none has. */
static void states_of_addresses_are_known(void **state) {
    (void)state;
    struct transport_address addresses[MOST];
    char why[400];
    assert_int_equal(resolve("127.0.0.1", true, addresses, why), 1);
    assert_int_equal(interface_address_state(&addresses[0]), NETLINK_ADDRESS_READY);
    assert_int_equal(resolve("192.0.2.77", true, addresses, why), 1);
    assert_int_equal(interface_address_state(&addresses[0]), NETLINK_ADDRESS_ABSENT);
}

static void interface_means_its_addresses(void **state) {
    (void)state;
    struct transport_address addresses[MOST];
    char why[400], text[ENDPOINT_TEXT_BYTES];
    unsigned count = resolve("lo:7000", true, addresses, why);
    assert_true(count >= 1);
    address_text(&addresses[0], text, sizeof text);
    assert_string_equal(text, "127.0.0.1:7000");
    for (unsigned i = 0; i < count; i++)
        assert_true(address_is_local(&addresses[i]));
    assert_int_equal(resolve("lo:7000", false, addresses, why), 0);
    assert_non_null(strstr(why, "interface of this machine"));
}

/* An interface of this machine without an address: usually one that is down. */
static const char *interface_without_address(struct if_nameindex *interfaces) {
    struct transport_address address;
    struct transport_failure failure;
    unsigned count;
    for (struct if_nameindex *item = interfaces; item && item->if_name; item++)
        if (interface_addresses(item->if_name, 1, &address, 1, &count, &failure) && count == 0)
            return item->if_name;
    return NULL;
}

static void interface_without_address_is_explained(void **state) {
    (void)state;
    struct transport_address addresses[MOST];
    char why[400];
    struct if_nameindex *interfaces = if_nameindex();
    const char *name = interface_without_address(interfaces);
    if (!name) {
        if_freenameindex(interfaces);
        print_message("every interface of this machine has an address\n");
        skip();
    }
    assert_int_equal(resolve(name, true, addresses, why), 0);
    assert_non_null(strstr(why, name));
    assert_non_null(strstr(why, "has no IP address"));
    if_freenameindex(interfaces);
}

static void everywhere_means_every_family(void **state) {
    (void)state;
    struct transport_address addresses[MOST];
    char why[400];
    unsigned count = resolve(":7000", true, addresses, why);
    assert_true(count == 1 || count == 2);
    for (unsigned i = 0; i < count; i++)
        assert_false(address_is_local(&addresses[i]));
    assert_true(resolve(":7000", false, addresses, why) >= 1);
    assert_true(address_is_local(&addresses[0]));
}

static void unknown_names_are_explained(void **state) {
    (void)state;
    struct transport_address addresses[MOST];
    char why[400];
    assert_int_equal(resolve("ibx.invalid", true, addresses, why), 0);
    assert_non_null(strstr(why, "'ibx.invalid' is neither an interface ("));
    assert_non_null(strstr(why, "lo"));
    assert_non_null(strstr(why, "nor a host name: "));
    assert_int_equal(resolve("-", true, addresses, why), 0);
    assert_non_null(strstr(why, "no network address"));
}

static void write_file(const char *directory, const char *name, const char *text) {
    char path[200];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *stream = fopen(path, "w");
    assert_non_null(stream);
    fprintf(stream, "%s\n", text);
    fclose(stream);
}

/* With invented files of the kernel: few machines have InfiniBand. */
static void interfaces_are_described(void **state) {
    (void)state;
    char sys[] = "/tmp/interface-test-XXXXXX", directory[100], out[200], command[200];
    assert_non_null(mkdtemp(sys));
    snprintf(directory, sizeof directory, "%s/ib0", sys);
    assert_int_equal(mkdir(directory, 0700), 0);
    assert_false(interface_describe(sys, "ib0", out, sizeof out));
    write_file(directory, "type", "32");
    write_file(directory, "mtu", "2044");
    assert_true(interface_describe(sys, "ib0", out, sizeof out));
    assert_string_equal(out, "ib0 is InfiniBand (IPoIB, MTU 2044)");
    write_file(directory, "mode", "datagram");
    assert_true(interface_describe(sys, "ib0", out, sizeof out));
    assert_string_equal(out, "ib0 is InfiniBand (IPoIB, datagram, MTU 2044)");
    write_file(directory, "type", "1");
    assert_true(interface_describe(sys, "ib0", out, sizeof out));
    assert_string_equal(out, "ib0 is Ethernet (MTU 2044)");
    write_file(directory, "speed", "-1");
    assert_true(interface_describe(sys, "ib0", out, sizeof out));
    assert_string_equal(out, "ib0 is Ethernet (MTU 2044)");
    write_file(directory, "speed", "25000");
    assert_true(interface_describe(sys, "ib0", out, sizeof out));
    assert_string_equal(out, "ib0 is Ethernet (MTU 2044, 25000 Mbit/s)");
    write_file(directory, "type", "65534");
    assert_true(interface_describe(sys, "ib0", out, sizeof out));
    assert_string_equal(out, "ib0 is of link type 65534 (MTU 2044)");
    snprintf(command, sizeof command, "rm -r %s", sys);
    assert_int_equal(system(command), 0);
}

/* From the files of a RoCE device's port and of an IPoIB interface. */
static void rdma_devices_are_found(void **state) {
    (void)state;
    char sys[] = "/tmp/interface-test-XXXXXX", ndevs[150], command[400];
    assert_non_null(mkdtemp(sys));
    assert_false(interface_carries_rdma(sys, "eth0"));
    snprintf(ndevs, sizeof ndevs, "%s/infiniband/rxe0/ports/1/gid_attrs/ndevs", sys);
    snprintf(command, sizeof command, "mkdir -p %s %s/net/ib1/device/infiniband", ndevs, sys);
    assert_int_equal(system(command), 0);
    write_file(ndevs, "0", "eth1");
    write_file(ndevs, "1", "eth0");
    assert_true(interface_carries_rdma(sys, "eth0"));
    assert_true(interface_carries_rdma(sys, "eth1"));
    assert_true(interface_carries_rdma(sys, "ib1"));
    assert_false(interface_carries_rdma(sys, "eth"));
    assert_false(interface_carries_rdma(sys, ""));
    assert_false(interface_carries_rdma(sys, "../net/ib1"));
    snprintf(command, sizeof command, "rm -r %s", sys);
    assert_int_equal(system(command), 0);
}

static void only_interfaces_are_described(void **state) {
    (void)state;
    static const char *const others[] = {"127.0.0.1:7", ":7", "unix:lo", "file:lo", "-", "..", "."};
    struct endpoint endpoint;
    char out[200], why[200];
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_true(endpoint_parse(others[i], &endpoint, why, sizeof why));
        assert_false(endpoint_describe_interface(&endpoint, out, sizeof out));
    }
    assert_true(endpoint_parse("lo:0", &endpoint, why, sizeof why));
    if (access("/sys/class/net/lo/type", R_OK) != 0) {
        print_message("/sys/class/net cannot be read here\n");
        skip();
    }
    assert_true(endpoint_describe_interface(&endpoint, out, sizeof out));
    assert_memory_equal(out, "lo is loopback (MTU ", 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_endpoints_are_parsed),
        cmocka_unit_test(bad_endpoints_are_explained),
        cmocka_unit_test(long_endpoints_are_refused),
        cmocka_unit_test(addresses_are_found),
        cmocka_unit_test(usual_names_are_known),
        cmocka_unit_test(states_of_addresses_are_known),
        cmocka_unit_test(interface_means_its_addresses),
        cmocka_unit_test(interface_without_address_is_explained),
        cmocka_unit_test(everywhere_means_every_family),
        cmocka_unit_test(unknown_names_are_explained),
        cmocka_unit_test(interfaces_are_described),
        cmocka_unit_test(rdma_devices_are_found),
        cmocka_unit_test(only_interfaces_are_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
