/*
 * Sizes of the structures of each link and connection: a few kilobytes for one of 10,000 idle
 * workers. A change that makes them larger changes this limit, knowingly.
 */
#include "tests/unit/check.h"

#include "mux/node/mux_internal.h"
#include "tools/node/node_internal.h"
#include "transport/epoll/internal.h"

static void hot_structures(void **state) {
    (void)state;
    assert_in_range(sizeof(struct mux_framer), 1, 96);
    assert_in_range(sizeof(struct mux_frame), 1, 224);
    assert_in_range(sizeof(struct mux_input), 1, 32);
    assert_in_range(sizeof(struct mux_link), 1, 1536);
    assert_in_range(sizeof(struct node_link), 1, 128);
    assert_in_range(sizeof(struct transport_conn), 1, 1024);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(hot_structures)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
