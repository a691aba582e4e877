#include "tests/store/stores.h"
#include "tools/store/indexer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

int stores_open(void **state) {
    char why[STORE_WHY_BYTES];
    snprintf(folder, sizeof folder, "/tmp/muxd-store-XXXXXX");
    assert_non_null(mkdtemp(folder));
    *state = store_open(folder, STORE_WRITE, why);
    assert_non_null(*state);
    return 0;
}

const char *stores_folder(void) {
    return folder;
}

int stores_close(void **state) {
    char command[128];
    store_close(*state);
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static void write_packet(int fd, const struct stores_result *result, enum mux_status status,
                         int64_t ms) {
    uint8_t bytes[4096];
    size_t len;
    struct mux_packet packet = {.status = status, .test_id = mux_span_text(result->test)};
    if (result->route)
        packet.route = mux_span_text(result->route);
    if (result->took_ms >= 0)
        assert_true(mux_packet_set_time_ns(&packet, ms * 1000000));
    assert_int_equal(mux_packet_encode(&packet, bytes, sizeof bytes, &len), MUX_OK);
    assert_int_equal(write(fd, bytes, len), len);
}

void stores_add(struct store *store, const struct stores_result *results, size_t count,
                struct store_run *run) {
    char why[STORE_WHY_BYTES];
    int fd = store_begin(store, "test", run, why);
    assert_true(fd >= 0);
    for (size_t i = 0; i < count; i++) {
        write_packet(fd, &results[i], MUX_STATUS_INPROGRESS, results[i].begun_ms);
        if (results[i].status != MUX_STATUS_INPROGRESS)
            write_packet(fd, &results[i], results[i].status,
                         results[i].begun_ms + results[i].took_ms);
    }
    struct store_indexer *indexer = store_indexer_create(store, run, why);
    assert_non_null(indexer);
    assert_true(store_indexer_finish(indexer, why));
    store_indexer_free(indexer);
    close(fd);
}
