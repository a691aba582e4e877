/*
 * The hello of node links, and the words about time: any content is refused with a reason, or gives
 * a word that can be written again and reads back unchanged.
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
           again.takes_bundles == hello->takes_bundles && again.time_ns == hello->time_ns);
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
           again.error_ns == word.error_ns);
}

static void check(const struct mux_packet *packet) {
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct script script = {mux_span(data, size)};
    uint8_t mode = script_byte(&script);
    uint8_t *copy = copy_of(script.rest);
    struct mux_span bytes = mux_span(copy, script.rest.len);
    struct mux_packet packet = {.file_name = mux_span_text("muxd.hello"), .file_content = bytes};
    if (!(mode & MODE_PACKET) ||
        (mux_packet_parse(bytes, &packet, NULL) == MUX_OK && mux_hello_is(&packet)))
        check(&packet);
    if (!(mode & MODE_PACKET) || mux_time_is(&packet))
        check_time(&packet);
    free(copy);
    return 0;
}
