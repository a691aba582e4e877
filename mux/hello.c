#include "mux/hello.h"

#include <inttypes.h>
#include <stdio.h>

#define TEXT_OF(number) TEXT_OF_TOKEN(number)
#define TEXT_OF_TOKEN(token) #token
#define OUR_VERSION TEXT_OF(MUX_HELLO_VERSION)

static const char hello_file[] = "muxd.hello";
static const char goodbye_file[] = "muxd.goodbye";

void mux_hello_init(struct mux_hello *hello, const char *identity, const char *name) {
    *hello = (struct mux_hello){.version = MUX_HELLO_VERSION};
    snprintf(hello->identity, sizeof hello->identity, "%s", identity);
    size_t len = 0;
    for (; name[len] && len < sizeof hello->name - 1; len++)
        hello->name[len] = name[len] > ' ' && name[len] <= '~' ? name[len] : '_';
}

static size_t encode(const struct mux_packet *packet, uint8_t out[MUX_HELLO_PACKET_BYTES]) {
    size_t len;
    enum mux_error error = mux_packet_encode(packet, out, MUX_HELLO_PACKET_BYTES, &len);
    assert(!error);
    (void)error;
    return len;
}

size_t mux_hello_write(const struct mux_hello *hello, uint8_t out[MUX_HELLO_PACKET_BYTES]) {
    char content[MUX_HELLO_PACKET_BYTES / 2];
    snprintf(content, sizeof content, "version=%" PRIu32 "\nidentity=%s\nname=%s\n", hello->version,
             hello->identity, hello->name);
    struct mux_packet packet = {
        .runnable = true,
        .eof = true,
        .mime = mux_span_text("text/plain;charset=utf8"),
        .file_name = mux_span_text(hello_file),
        .file_content = mux_span_text(content),
    };
    return encode(&packet, out);
}

size_t mux_goodbye_write(uint8_t out[MUX_HELLO_PACKET_BYTES]) {
    struct mux_packet packet = {
        .runnable = true,
        .eof = true,
        .file_name = mux_span_text(goodbye_file),
        .file_content = mux_span_text(""),
    };
    return encode(&packet, out);
}

static bool is_file(const struct mux_packet *packet, const char *name) {
    return !packet->test_id.data && !packet->route.data &&
           mux_span_equal(packet->file_name, mux_span_text(name));
}

bool mux_hello_is(const struct mux_packet *packet) {
    return is_file(packet, hello_file);
}

bool mux_goodbye_is(const struct mux_packet *packet) {
    return is_file(packet, goodbye_file);
}

/* "KEY=VALUE\n" off the front; the last line may lack its newline. */
static bool next_line(struct mux_span *rest, struct mux_span *key, struct mux_span *value) {
    if (rest->len == 0)
        return false;
    const uint8_t *end = memchr(rest->data, '\n', rest->len);
    size_t len = end ? (size_t)(end - rest->data) : rest->len;
    const uint8_t *equals = memchr(rest->data, '=', len);
    size_t key_len = equals ? (size_t)(equals - rest->data) : len;
    *key = mux_span(rest->data, key_len);
    *value = equals ? mux_span(equals + 1, len - key_len - 1) : mux_span(rest->data + len, 0);
    size_t used = end ? len + 1 : len;
    *rest = mux_span(rest->data + used, rest->len - used);
    return true;
}

static bool read_number(struct mux_span text, uint32_t *number) {
    *number = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || *number > UINT32_MAX / 10 - 1)
            return false;
        *number = *number * 10 + (uint32_t)(text.data[i] - '0');
    }
    return text.len > 0;
}

static bool read_identity(struct mux_span text, char out[MUX_IDENTITY_BYTES]) {
    static const char digits[] = "0123456789abcdef";
    if (text.len == 0 || text.len >= MUX_IDENTITY_BYTES)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!memchr(digits, text.data[i], sizeof digits - 1))
            return false;
    memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    return true;
}

static bool read_name(struct mux_span text, char out[MUX_NODE_NAME_BYTES]) {
    if (text.len >= MUX_NODE_NAME_BYTES)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= ' ' || text.data[i] > '~')
            return false;
    if (text.len)
        memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    return true;
}

const char *mux_hello_read(const struct mux_packet *packet, struct mux_hello *hello) {
    struct mux_span rest = packet->file_content, key, value;
    bool fine = true;
    *hello = (struct mux_hello){0};
    while (fine && next_line(&rest, &key, &value)) {
        if (mux_span_equal(key, mux_span_text("version")))
            fine = read_number(value, &hello->version);
        else if (mux_span_equal(key, mux_span_text("identity")))
            fine = read_identity(value, hello->identity);
        else if (mux_span_equal(key, mux_span_text("name")))
            fine = read_name(value, hello->name);
    }
    if (!fine || hello->version == 0)
        return "its hello is malformed";
    if (hello->version != MUX_HELLO_VERSION)
        return "it speaks another version of the protocol of node links than " OUR_VERSION;
    return hello->identity[0] ? NULL : "its hello has no identity";
}
