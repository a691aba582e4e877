#include "bundle.h"

#include "crc.h"
#include "hex.h"
#include "pieces_internal.h"

static const char bundle_file[] = "muxd.bundle";

/* The MIME type, in which STREAM, EPOCH, OFFSET and CRC are digits. */
static const char mime_type[] = "application/x-muxd-bundle;s=";
static const char epoch_key[] = ";e=";
static const char offset_key[] = ";o=";
static const char crc_key[] = ";c=";

enum {
    STREAM_DIGITS = 2 * MUX_STREAM_ID_BYTES,
    EPOCH_DIGITS = 8,
    OFFSET_DIGITS = 16,
    CRC_DIGITS = 8
};

enum {
    STREAM_AT = sizeof mime_type - 1,
    EPOCH_KEY_AT = STREAM_AT + STREAM_DIGITS,
    EPOCH_AT = EPOCH_KEY_AT + sizeof epoch_key - 1,
    OFFSET_KEY_AT = EPOCH_AT + EPOCH_DIGITS,
    OFFSET_AT = OFFSET_KEY_AT + sizeof offset_key - 1,
    CRC_KEY_AT = OFFSET_AT + OFFSET_DIGITS,
    CRC_AT = CRC_KEY_AT + sizeof crc_key - 1,
    MIME_END = CRC_AT + CRC_DIGITS,
};
_Static_assert(MIME_END == MUX_BUNDLE_MIME_BYTES, "all of it has a fixed length");

enum mux_error mux_bundle_split(const struct mux_prefix *prefix, const struct mux_packet *packet,
                                struct mux_pieces *first, struct mux_pieces *last) {
    return mux_split_within(MUX_BUNDLE_CONTENT_MAX_BYTES, prefix, packet, first, last);
}

/*
 * The CRC of the whole packet is that of its bytes before the stored CRC, fed these four: inverted,
 * with them in it, times x^32, and inverted again. Both products of the sum are made at once.
 */
void mux_bundle_run_grow(struct mux_bundle_run *run, size_t len_bytes,
                         const uint8_t stored[MUX_CRC_BYTES]) {
    uint32_t crc = mux_packet_crc(mux_span(stored, MUX_CRC_BYTES));
    uint32_t fed = ~crc ^ __builtin_bswap32(crc);
    assert(len_bytes <= MUX_BUNDLE_CONTENT_MAX_BYTES - run->len_bytes);
    run->crc = ~mux_crc_place(run->crc, (int32_t)len_bytes, fed, MUX_CRC_BYTES);
    run->len_bytes += (uint32_t)len_bytes;
}

void mux_bundle_run_add(struct mux_bundle_run *run, struct mux_span packet) {
    mux_bundle_run_grow(run, packet.len, packet.data + packet.len - MUX_CRC_BYTES);
}

static char *write_text(char *out, const char *text) {
    size_t len = strlen(text);
    memcpy(out, text, len);
    return out + len;
}

static void write_mime(const struct mux_bundle *bundle, char out[MUX_BUNDLE_MIME_BYTES]) {
    char *at = write_text(out, mime_type);
    at = mux_hex_write_bytes(at, bundle->stream, MUX_STREAM_ID_BYTES);
    at = mux_hex_write(write_text(at, epoch_key), EPOCH_DIGITS, bundle->epoch);
    at = mux_hex_write(write_text(at, offset_key), OFFSET_DIGITS, bundle->offset);
    at = mux_hex_write(write_text(at, crc_key), CRC_DIGITS, bundle->crc);
    assert(at == out + MUX_BUNDLE_MIME_BYTES);
}

#define BUNDLE_FLAGS \
    (MUX_FLAG_VERSION_2 | MUX_FLAG_RUNNABLE | MUX_FLAG_FILE | MUX_FLAG_MIME | MUX_FLAG_EOF)

void mux_bundle_wrap(const struct mux_bundle *bundle, const struct mux_bundle_run *content,
                     struct mux_bundle_wrap *wrap) {
    const size_t name_len = sizeof bundle_file - 1;
    uint8_t fields[MUX_BUNDLE_FRONT_BYTES], *at = fields;
    assert(content->len_bytes > 0 && content->len_bytes <= MUX_BUNDLE_CONTENT_MAX_BYTES);
    at += mux_varint_write(at, MUX_BUNDLE_MIME_BYTES);
    write_mime(bundle, (char *)at);
    at += MUX_BUNDLE_MIME_BYTES;
    at += mux_varint_write(at, (uint32_t)name_len);
    memcpy(at, bundle_file, name_len);
    at += name_len;
    at += mux_varint_write(at, content->len_bytes);
    size_t fields_len = (size_t)(at - fields);
    size_t length = mux_length_with_varint(3 + fields_len + content->len_bytes + MUX_CRC_BYTES);
    struct mux_head head = mux_head_of(BUNDLE_FLAGS, length);
    mux_head_write(wrap->front, head);
    memcpy(wrap->front + head.len, fields, fields_len);
    wrap->front_len_bytes = head.len + fields_len;
    uint32_t front_crc = mux_crc(0, mux_span(wrap->front, wrap->front_len_bytes));
    mux_write_be32(wrap->crc, mux_crc_concat(front_crc, content->crc, content->len_bytes));
}

bool mux_bundle_is(const struct mux_packet *packet) {
    return !packet->test_id.data &&
           mux_span_equal(packet->file_name, mux_span(bundle_file, sizeof bundle_file - 1));
}

static bool has_text(const uint8_t *at, const char *text) {
    return memcmp(at, text, strlen(text)) == 0;
}

/* Its form; the numbers are read after that. */
static bool is_mime(struct mux_span mime) {
    const uint8_t *at = mime.data;
    return mime.len == MUX_BUNDLE_MIME_BYTES && has_text(at, mime_type) &&
           has_text(at + EPOCH_KEY_AT, epoch_key) && has_text(at + OFFSET_KEY_AT, offset_key) &&
           has_text(at + CRC_KEY_AT, crc_key);
}

static bool read_mime(const uint8_t *at, struct mux_bundle *bundle) {
    uint64_t epoch, crc;
    if (!mux_hex_read_bytes(at + STREAM_AT, bundle->stream, MUX_STREAM_ID_BYTES) ||
        !mux_hex_read(at + EPOCH_AT, EPOCH_DIGITS, &epoch) ||
        !mux_hex_read(at + OFFSET_AT, OFFSET_DIGITS, &bundle->offset) ||
        !mux_hex_read(at + CRC_AT, CRC_DIGITS, &crc))
        return false;
    bundle->epoch = (uint32_t)epoch;
    bundle->crc = (uint32_t)crc;
    return true;
}

const char *mux_bundle_read(const struct mux_packet *packet, struct mux_bundle *bundle) {
    *bundle = (struct mux_bundle){0};
    if (packet->status || packet->has_timestamp || packet->has_tags || !packet->runnable ||
        !packet->eof)
        return "its bundle is malformed: it is more than a whole file";
    if (!is_mime(packet->mime) || !read_mime(packet->mime.data, bundle))
        return "its bundle is malformed: its MIME type does not say where it belongs";
    if (packet->route.len > MUX_BUNDLE_ROUTE_MAX_BYTES)
        return "its bundle is malformed: its route code is too long";
    if (packet->file_content.len == 0)
        return "its bundle is malformed: it is empty";
    if (packet->file_content.len > MUX_BUNDLE_CONTENT_MAX_BYTES)
        return "its bundle is malformed: it is too long";
    if (bundle->offset >= MUX_STREAM_BYTES_MAX ||
        MUX_STREAM_BYTES_MAX - bundle->offset < packet->file_content.len)
        return "its bundle is malformed: its offset is out of range";
    return NULL;
}

enum mux_error mux_bundle_next(struct mux_span *content, struct mux_bundle_item *item) {
    uint32_t length, header_bytes;
    assert(content->len > 0);
    item->bytes = *content;
    enum mux_error error = mux_header_parse(*content, &length, &header_bytes);
    if (!error && length > content->len)
        error = MUX_ERROR_SHORT_PACKET;
    if (error) {
        *content = mux_span(content->data + content->len, 0);
        return error;
    }
    item->bytes.len = length;
    *content = mux_span(content->data + length, content->len - length);
    error = mux_packet_parse(item->bytes, &item->packet, &item->layout);
    return mux_packet_verify(item->bytes) ? error : MUX_ERROR_CRC;
}
