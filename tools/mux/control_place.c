#include "tools/mux/control_place.h"

#include "tools/base/text.h"
#include "transport/endpoint.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

bool control_place_failed(const struct control_place *place, const char *operation, int error) {
    if (error == EACCES || error == EPERM)
        text_complain("%s: %s: %s: %s: only muxd's user may, and its --control-group",
                      place->program, place->text, operation, strerror(error));
    else if (error == ENOENT || error == ECONNREFUSED)
        text_complain("%s: %s: %s: %s: is muxd running, with --control %s?", place->program,
                      place->text, operation, strerror(error), place->text);
    else
        text_complain("%s: %s: %s: %s", place->program, place->text, operation, strerror(error));
    return false;
}

bool control_place_is_closed(int error) {
    return error == EPIPE || error == ECONNRESET;
}

static bool parse(const struct control_place *place, struct transport_address *address) {
    char why[2 * ENDPOINT_TEXT_BYTES + 256];
    struct endpoint endpoint;
    bool fine = endpoint_parse(place->text, &endpoint, why, sizeof why);
    if (fine && endpoint.kind != ENDPOINT_UNIX)
        fine =
            endpoint_refuse(why, sizeof why, "expected the socket of muxd's --control: unix:PATH");
    if (fine)
        fine = endpoint_resolve(&endpoint, false, address, 1, why, sizeof why) == 1;
    if (!fine)
        text_complain("%s: %s: %s", place->program, place->text, why);
    return fine;
}

bool control_place_connect(struct control_place *place, const char *program, const char *text) {
    const struct timeval most = {.tv_sec = CONTROL_ANSWER_MOST_S};
    struct transport_address address;
    *place = (struct control_place){.program = program, .text = text, .fd = -1};
    place->is_usage = !parse(place, &address);
    if (place->is_usage)
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return control_place_failed(place, "socket", errno);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
    if (connect(fd, &address.any, address.len) < 0) {
        int error = errno;
        close(fd);
        return control_place_failed(place, "connect", error);
    }
    place->fd = fd;
    return true;
}
