#include "mux/node/hello.h"
#include "mux/node/lines.h"

#include <inttypes.h>
#include <stdio.h>

#define TEXT_OF(number) TEXT_OF_TOKEN(number)
#define TEXT_OF_TOKEN(token) #token
#define OUR_VERSION TEXT_OF(MUX_HELLO_VERSION)

/* What the packet adds to its content: head, names, route, CRC. */
#define AROUND_CONTENT_BYTES 128
#define CONTENT_BYTES (MUX_HELLO_PACKET_BYTES - AROUND_CONTENT_BYTES)
_Static_assert(MUX_NOTICE_ROUTE_BYTES + 2 * AROUND_CONTENT_BYTES < MUX_HELLO_PACKET_BYTES,
               "a notice has a short content, and room for its route");

static const char hello_file[] = "muxd.hello";
static const char goodbye_file[] = "muxd.goodbye";
static const char path_file[] = "muxd.path";
static const char notice_file[] = "muxd.node";
static const char time_file[] = "muxd.time";

static bool is_name_byte(uint8_t byte) {
    return byte > ' ' && byte <= '~' && byte != '/';
}

void mux_hello_init(struct mux_hello *hello, const char *identity, const char *name) {
    *hello = (struct mux_hello){.version = MUX_HELLO_VERSION};
    snprintf(hello->identity, sizeof hello->identity, "%s", identity);
    size_t len = 0;
    for (; name[len] && len < sizeof hello->name - 1; len++)
        hello->name[len] = is_name_byte((uint8_t)name[len]) ? name[len] : '_';
    if (len == 0)
        hello->name[0] = '_';
}

static size_t write_word(const char *file, const char *content, struct mux_span route,
                         uint8_t out[MUX_HELLO_PACKET_BYTES]) {
    struct mux_packet packet = {
        .runnable = true,
        .eof = true,
        .mime = mux_span_text("text/plain;charset=utf8"),
        .file_name = mux_span_text(file),
        .file_content = mux_span_text(content),
        .route = route,
    };
    size_t len;
    enum mux_error error = mux_packet_encode(&packet, out, MUX_HELLO_PACKET_BYTES, &len);
    assert(!error);
    (void)error;
    return len;
}

static const struct mux_span no_route = {NULL, 0};

/* Writes a line of text if it has a value, or must be there even without one. */
static size_t add_line(char *out, size_t at, const char *key, const char *value, bool always) {
    if (!always && !*value)
        return at;
    return at + (size_t)snprintf(out + at, CONTENT_BYTES - at, "%s=%s\n", key, value);
}

static size_t add_number(char *out, size_t at, const char *key, int64_t number) {
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, number);
    return add_line(out, at, key, text, true);
}

/* An answer's time. */
static size_t add_time(char *out, size_t at, int64_t time_ns, uint64_t within_ns) {
    at = add_number(out, at, "time", time_ns);
    return within_ns ? add_number(out, at, "within", (int64_t)within_ns) : at;
}

size_t mux_hello_write(const struct mux_hello *hello, uint8_t out[MUX_HELLO_PACKET_BYTES]) {
    char content[CONTENT_BYTES];
    size_t len = (size_t)snprintf(content, sizeof content, "version=%" PRIu32 "\n", hello->version);
    len = add_line(content, len, "identity", hello->identity, true);
    len = add_line(content, len, "name", hello->name, true);
    len = add_line(content, len, "proof", hello->proof, hello->proves);
    len = add_line(content, len, "secret", hello->secret, false);
    len = add_line(content, len, "path", hello->path, false);
    if (hello->takes_bundles)
        len = add_number(content, len, "bundles", 1);
    if (hello->time_ns)
        len = add_time(content, len, hello->time_ns, hello->within_ns);
    else
        len = add_line(content, len, "time", "", hello->asks_time);
    assert(len < sizeof content);
    return write_word(hello_file, content, no_route, out);
}

size_t mux_path_write(const char *path, uint8_t out[MUX_HELLO_PACKET_BYTES]) {
    char content[CONTENT_BYTES];
    add_line(content, 0, "path", path, true);
    return write_word(path_file, content, no_route, out);
}

size_t mux_notice_write(const struct mux_notice *notice, struct mux_span route,
                        uint8_t out[MUX_HELLO_PACKET_BYTES]) {
    char content[CONTENT_BYTES];
    assert(route.len <= MUX_NOTICE_ROUTE_BYTES);
    size_t len = add_line(content, 0, "identity", notice->identity, true);
    add_line(content, len, "state", notice->here ? "here" : "gone", true);
    return write_word(notice_file, content, route, out);
}

size_t mux_goodbye_write(uint32_t nodes, uint8_t out[MUX_HELLO_PACKET_BYTES]) {
    char content[CONTENT_BYTES];
    snprintf(content, sizeof content, "nodes=%" PRIu32 "\n", nodes);
    return write_word(goodbye_file, content, no_route, out);
}

size_t mux_time_write(const struct mux_time_word *word, uint8_t out[MUX_HELLO_PACKET_BYTES]) {
    char content[CONTENT_BYTES];
    size_t len = add_number(content, 0, "ask", word->ask);
    if (word->time_ns)
        len = add_time(content, len, word->time_ns, word->within_ns);
    if (word->has_ahead) {
        len = add_number(content, len, "ahead", word->ahead_ns);
        len = add_number(content, len, "error", (int64_t)word->error_ns);
    }
    assert(len < sizeof content);
    return write_word(time_file, content, no_route, out);
}

static bool is_file(const struct mux_packet *packet, const char *name) {
    return !packet->test_id.data && mux_span_equal(packet->file_name, mux_span_text(name));
}

bool mux_hello_is(const struct mux_packet *packet) {
    return is_file(packet, hello_file) && !packet->route.data;
}

bool mux_notice_is(const struct mux_packet *packet) {
    return is_file(packet, notice_file);
}

static bool read_lines(const struct mux_packet *packet, struct mux_line *lines, unsigned count) {
    return mux_lines_read(packet->file_content, lines, count);
}

static bool read_digits(struct mux_span text, int64_t *number) {
    uint64_t digits;
    bool fine = mux_lines_number(text, INT64_MAX, &digits);
    *number = (int64_t)digits;
    return fine;
}

static bool read_number(struct mux_span text, uint32_t *number) {
    uint64_t digits;
    bool fine = mux_lines_number(text, UINT32_MAX, &digits);
    *number = (uint32_t)digits;
    return fine;
}

/* Digits, perhaps with a minus in front. */
static bool read_signed(struct mux_span text, int64_t *number) {
    bool is_minus = text.len > 0 && *text.data == '-';
    struct mux_span digits = is_minus ? mux_span(text.data + 1, text.len - 1) : text;
    bool fine = read_digits(digits, number);
    if (is_minus)
        *number = -*number;
    return fine;
}

/* The time of a day after 1970. */
static bool read_time(struct mux_span text, int64_t *time_ns) {
    return read_digits(text, time_ns) && *time_ns > 0 && *time_ns <= MUX_TIME_MOST_NS;
}

/* Is it hexadecimal digits and nothing else? */
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

static bool read_proof(struct mux_span text, struct mux_hello *hello) {
    hello->proves = true;
    return text.len == 0 || read_identity(text, hello->proof);
}

bool mux_hello_is_name(struct mux_span text) {
    for (size_t i = 0; i < text.len; i++)
        if (!is_name_byte(text.data[i]))
            return false;
    return text.len > 0 && text.len < MUX_NODE_NAME_BYTES;
}

static bool read_name(struct mux_span text, char out[MUX_NODE_NAME_BYTES]) {
    if (!mux_hello_is_name(text))
        return false;
    memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    return true;
}

/* Identities with a comma between two. */
static bool read_path(struct mux_span text, char out[MUX_PATH_BYTES]) {
    char identity[MUX_IDENTITY_BYTES];
    struct mux_span rest = text;
    if (text.len >= MUX_PATH_BYTES)
        return false;
    while (rest.len) {
        const uint8_t *comma = memchr(rest.data, ',', rest.len);
        size_t len = comma ? (size_t)(comma - rest.data) : rest.len;
        if (!read_identity(mux_span(rest.data, len), identity))
            return false;
        size_t used = comma ? len + 1 : len;
        rest = mux_span(rest.data + used, rest.len - used);
    }
    if (text.len)
        memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    return true;
}

enum hello_line {
    VERSION,
    IDENTITY,
    NAME,
    PROOF,
    SECRET,
    PATH,
    BUNDLES,
    TIME,
    WITHIN,
    HELLO_LINES
};

/* The lines that not every hello has. */
static bool read_optional(const struct mux_line *lines, struct mux_hello *hello) {
    if (lines[PROOF].value.data && !read_proof(lines[PROOF].value, hello))
        return false;
    if (lines[SECRET].value.data && !read_identity(lines[SECRET].value, hello->secret))
        return false;
    return !lines[PATH].value.data || read_path(lines[PATH].value, hello->path);
}

/* The most that a time may be wrong by; nothing without the line. */
static bool read_within(struct mux_span text, uint64_t *within_ns) {
    return !text.data || mux_lines_number(text, MUX_TIME_MOST_NS, within_ns);
}

/* Nothing in a question, a time in an answer. */
static bool read_hello_time(const struct mux_line *lines, struct mux_hello *hello) {
    const struct mux_span text = lines[TIME].value;
    hello->asks_time = text.data && text.len == 0;
    return (text.len == 0 || read_time(text, &hello->time_ns)) &&
           read_within(lines[WITHIN].value, &hello->within_ns);
}

/* Versions above 1 are to be spoken to as 1. */
static bool read_bundles(struct mux_span text, struct mux_hello *hello) {
    uint32_t version = 0;
    bool fine = !text.data || read_number(text, &version);
    hello->takes_bundles = version > 0;
    return fine;
}

const char *mux_hello_read(const struct mux_packet *packet, struct mux_hello *hello) {
    struct mux_line lines[HELLO_LINES] = {
        [VERSION] = MUX_LINE("version"), [IDENTITY] = MUX_LINE("identity"),
        [NAME] = MUX_LINE("name"),       [PROOF] = MUX_LINE("proof"),
        [SECRET] = MUX_LINE("secret"),   [PATH] = MUX_LINE("path"),
        [BUNDLES] = MUX_LINE("bundles"), [TIME] = MUX_LINE("time"),
        [WITHIN] = MUX_LINE("within"),
    };
    *hello = (struct mux_hello){0};
    if (!read_lines(packet, lines, HELLO_LINES))
        return "its hello is malformed: a key stands in it twice";
    if (!read_number(lines[VERSION].value, &hello->version) || hello->version == 0)
        return "its hello is malformed: its version is missing or no number";
    if (hello->version != MUX_HELLO_VERSION)
        return "it speaks another version of the protocol of node links than " OUR_VERSION;
    if (!read_identity(lines[IDENTITY].value, hello->identity))
        return "its hello is malformed: its identity is missing or not hexadecimal";
    if (!read_name(lines[NAME].value, hello->name))
        return "its hello is malformed: its name is missing or not 1 to 64 visible ASCII "
               "characters "
               "without '/'";
    if (!read_optional(lines, hello))
        return "its hello is malformed: its proof, secret or path is none";
    if (!read_bundles(lines[BUNDLES].value, hello))
        return "its hello is malformed: its bundles is no number";
    return read_hello_time(lines, hello) ? NULL : "its hello is malformed: its time is none";
}

bool mux_path_read(const struct mux_packet *packet, char path[MUX_PATH_BYTES]) {
    struct mux_line line = MUX_LINE("path");
    return is_file(packet, path_file) && !packet->route.data && read_lines(packet, &line, 1) &&
           line.value.data && read_path(line.value, path);
}

bool mux_time_is(const struct mux_packet *packet) {
    return is_file(packet, time_file) && !packet->route.data;
}

enum time_line { TIME_ASK, TIME_TIME, TIME_WITHIN, TIME_AHEAD, TIME_ERROR, TIME_LINES };

/* Both lines or none. */
static bool read_ahead(const struct mux_line *lines, struct mux_time_word *word) {
    const struct mux_span ahead = lines[TIME_AHEAD].value, error = lines[TIME_ERROR].value;
    int64_t error_ns;
    word->has_ahead = ahead.data != NULL;
    if (!ahead.data && !error.data)
        return true;
    if (!ahead.data || !error.data || !read_signed(ahead, &word->ahead_ns) ||
        !read_digits(error, &error_ns))
        return false;
    word->error_ns = (uint64_t)error_ns;
    return true;
}

bool mux_time_read(const struct mux_packet *packet, struct mux_time_word *word) {
    struct mux_line lines[TIME_LINES] = {[TIME_ASK] = MUX_LINE("ask"),
                                         [TIME_TIME] = MUX_LINE("time"),
                                         [TIME_WITHIN] = MUX_LINE("within"),
                                         [TIME_AHEAD] = MUX_LINE("ahead"),
                                         [TIME_ERROR] = MUX_LINE("error")};
    *word = (struct mux_time_word){0};
    if (!read_lines(packet, lines, TIME_LINES) || !read_number(lines[TIME_ASK].value, &word->ask))
        return false;
    if (lines[TIME_TIME].value.data && !read_time(lines[TIME_TIME].value, &word->time_ns))
        return false;
    if (!read_within(lines[TIME_WITHIN].value, &word->within_ns))
        return false;
    return read_ahead(lines, word);
}

bool mux_path_has(const char *path, const char *identity) {
    size_t len = strlen(identity);
    while (*path) {
        const char *comma = strchr(path, ',');
        size_t one = comma ? (size_t)(comma - path) : strlen(path);
        if (one == len && memcmp(path, identity, len) == 0)
            return true;
        path += comma ? one + 1 : one;
    }
    return false;
}

bool mux_path_join(char out[MUX_PATH_BYTES], const char *first, const char *rest) {
    int len = snprintf(out, MUX_PATH_BYTES, "%s%s%s", first, *rest ? "," : "", rest);
    return len < MUX_PATH_BYTES;
}

bool mux_notice_read(const struct mux_packet *packet, struct mux_notice *notice) {
    struct mux_line lines[] = {MUX_LINE("identity"), MUX_LINE("state")};
    *notice = (struct mux_notice){0};
    if (!read_lines(packet, lines, 2) || !read_identity(lines[0].value, notice->identity))
        return false;
    notice->here = mux_span_equal(lines[1].value, mux_span_text("here"));
    return notice->here || mux_span_equal(lines[1].value, mux_span_text("gone"));
}

bool mux_goodbye_is(const struct mux_packet *packet, uint32_t *nodes) {
    struct mux_line line = MUX_LINE("nodes");
    *nodes = 0;
    if (!is_file(packet, goodbye_file) || packet->route.data)
        return false;
    if (!read_lines(packet, &line, 1) || !read_number(line.value, nodes))
        *nodes = 0;
    return true;
}
