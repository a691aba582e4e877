/*
 * The words between nodes: hello, path, notice, goodbye, and those about time. Any content is
 * refused (a hello with a reason), or gives a word that can be written again and reads back
 * unchanged.
 *
 * Input: mode, the content or the whole packet.
 */
#include "tests/fuzz/fuzz.h"

#include "mux/node/hello.h"

#include <stdlib.h>

#define MODE_PACKET 1 /* a packet, not the content */

static void check_written(const struct mux_hello *hello) {
    uint8_t out[MUX_HELLO_PACKET_BYTES];
    struct mux_hello again;
    struct mux_packet packet;
    struct mux_span bytes = mux_span(out, mux_hello_write(hello, out));
    assert(bytes.len <= sizeof out && mux_packet_verify(bytes));
    assert(mux_packet_parse(bytes, &packet, NULL) == MUX_OK && mux_hello_is(&packet));
    assert(mux_hello_read(&packet, &again) == NULL);
    assert(again.version == hello->version && strcmp(again.identity, hello->identity) == 0 &&
           strcmp(again.name, hello->name) == 0 && again.asks_time == hello->asks_time &&
           again.takes_bundles == hello->takes_bundles && again.time_ns == hello->time_ns &&
           (!hello->time_ns || again.within_ns == hello->within_ns));
}

/* The number of lines that begin with `start`. */
static unsigned lines_of(struct mux_span content, const char *start) {
    size_t len = strlen(start);
    unsigned count = 0;
    for (size_t i = 0; i + len <= content.len; i++)
        count +=
            (i == 0 || content.data[i - 1] == '\n') && memcmp(content.data + i, start, len) == 0;
    return count;
}

static void check_time(const struct mux_packet *packet) {
    uint8_t out[MUX_HELLO_PACKET_BYTES];
    struct mux_time_word word, again;
    struct mux_packet written;
    if (!mux_time_read(packet, &word))
        return;
    assert(lines_of(packet->file_content, "ask=") == 1 &&
           lines_of(packet->file_content, "time=") <= 1);
    assert(word.time_ns >= 0 && word.time_ns <= MUX_TIME_MOST_NS);
    struct mux_span bytes = mux_span(out, mux_time_write(&word, out));
    assert(mux_packet_parse(bytes, &written, NULL) == MUX_OK && mux_time_is(&written));
    assert(mux_time_read(&written, &again));
    assert(again.ask == word.ask && again.time_ns == word.time_ns &&
           again.has_ahead == word.has_ahead && again.ahead_ns == word.ahead_ns &&
           again.error_ns == word.error_ns && (!word.time_ns || again.within_ns == word.within_ns));
}

static void check_path(const struct mux_packet *packet) {
    char path[MUX_PATH_BYTES], again[MUX_PATH_BYTES];
    uint8_t out[MUX_HELLO_PACKET_BYTES];
    struct mux_packet written;
    if (!mux_path_read(packet, path))
        return;
    assert(memchr(path, '\0', sizeof path));
    struct mux_span bytes = mux_span(out, mux_path_write(path, out));
    assert(mux_packet_parse(bytes, &written, NULL) == MUX_OK);
    assert(mux_path_read(&written, again) && strcmp(path, again) == 0);
}

static void check_notice(const struct mux_packet *packet) {
    struct mux_notice notice, again;
    uint8_t out[MUX_HELLO_PACKET_BYTES];
    struct mux_packet written;
    if (!mux_notice_read(packet, &notice))
        return;
    assert(memchr(notice.identity, '\0', sizeof notice.identity) && *notice.identity);
    struct mux_span bytes = mux_span(out, mux_notice_write(&notice, mux_span_text("3/0"), out));
    assert(mux_packet_parse(bytes, &written, NULL) == MUX_OK && mux_notice_is(&written));
    assert(mux_notice_read(&written, &again));
    assert(again.here == notice.here && strcmp(again.identity, notice.identity) == 0);
}

static void check_goodbye(const struct mux_packet *packet) {
    uint8_t out[MUX_HELLO_PACKET_BYTES];
    uint32_t nodes, again;
    struct mux_packet written;
    if (!mux_goodbye_is(packet, &nodes))
        return;
    struct mux_span bytes = mux_span(out, mux_goodbye_write(nodes, out));
    assert(mux_packet_parse(bytes, &written, NULL) == MUX_OK);
    assert(mux_goodbye_is(&written, &again) && again == nodes);
}

static void check_hello(const struct mux_packet *packet) {
    struct mux_hello hello, made;
    const char *why = mux_hello_read(packet, &hello);
    assert(!why || *why);
    if (why)
        return;
    assert(memchr(hello.identity, '\0', sizeof hello.identity) && *hello.identity);
    assert(memchr(hello.name, '\0', sizeof hello.name) && *hello.name);
    assert(!strchr(hello.name, '/'));
    assert(lines_of(packet->file_content, "version=") == 1 &&
           lines_of(packet->file_content, "identity=") == 1 &&
           lines_of(packet->file_content, "name=") == 1 &&
           lines_of(packet->file_content, "proof=") <= 1 &&
           lines_of(packet->file_content, "time=") <= 1);
    check_written(&hello);
    mux_hello_init(&made, hello.identity, hello.name);
    check_written(&made);
}

static const struct {
    const char *file;
    void (*check)(const struct mux_packet *packet);
} words[] = {
    {"muxd.hello", check_hello}, {"muxd.time", check_time},       {"muxd.path", check_path},
    {"muxd.node", check_notice}, {"muxd.goodbye", check_goodbye},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct script script = {mux_span(data, size)};
    uint8_t mode = script_byte(&script);
    uint8_t *copy = copy_of(script.rest);
    struct mux_span bytes = mux_span(copy, script.rest.len);
    struct mux_packet packet = {.file_content = bytes};
    if (!(mode & MODE_PACKET))
        for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
            packet.file_name = mux_span_text(words[i].file);
            words[i].check(&packet);
        }
    else if (mux_packet_parse(bytes, &packet, NULL) == MUX_OK)
        for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
            if (mux_span_equal(packet.file_name, mux_span_text(words[i].file)))
                words[i].check(&packet);
    free(copy);
    return 0;
}
