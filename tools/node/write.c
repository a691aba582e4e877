#include "tools/node/write.h"
#include "tools/node/read.h"

#include <assert.h>

void write_begin(struct json *json, char *room, size_t room_bytes) {
    json_put_start(json, room, room_bytes);
    json_put_open(json, '{');
    json_put_member_number(json, "v", READ_VERSION);
}

void write_end(struct json *json, const char *file, struct mux_packet *packet) {
    json_put_close(json, '}');
    assert(!json->full);
    *packet = (struct mux_packet){
        .eof = true,
        .mime = mux_span_text("application/json"),
        .file_name = mux_span_text(file),
        .file_content = mux_span(json->begin, json_len(json)),
    };
}
