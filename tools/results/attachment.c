#include "tools/results/attachment.h"

static bool is_one_of(struct mux_span name, const char *const names[], size_t count) {
    for (size_t i = 0; i < count; i++)
        if (mux_span_equal(name, mux_span_text(names[i])))
            return true;
    return false;
}

bool attachment_is_text(const struct mux_packet *packet) {
    static const char prefix[] = "text/";
    static const char *const names[] = {"stdout", "stderr", "stdin", "traceback"};
    const size_t len = sizeof prefix - 1;
    if (packet->mime.len == 0)
        return is_one_of(packet->file_name, names, sizeof names / sizeof *names);
    return packet->mime.len >= len && memcmp(packet->mime.data, prefix, len) == 0;
}
