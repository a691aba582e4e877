/* Who has connected to the control socket, and what is said to one that has no place there. */
#include "tools/node/control_internal.h"

#include <stdio.h>
#include <sys/socket.h>

struct control_peer control_peer_of(const struct transport_conn *conn) {
    struct ucred who;
    socklen_t len = sizeof who;
    int fd = transport_descriptor(conn);
    if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
        return (struct control_peer){false};
    return (struct control_peer){true, (unsigned)who.pid, who.uid};
}

void control_say(const struct transport_conn *conn, const char *why) {
    char line[256];
    struct json json;
    int fd = transport_descriptor(conn);
    json_put_start(&json, line, sizeof line - 1);
    json_put_open(&json, '{');
    json_put_member_text(&json, "error", why);
    json_put_close(&json, '}');
    size_t len = json_len(&json);
    line[len] = '\n';
    if (fd >= 0)
        send(fd, line, len + 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

const char *control_peer_words(const struct control_peer *peer,
                               char out[CONTROL_PEER_WORDS_BYTES]) {
    if (peer->is_known)
        snprintf(out, CONTROL_PEER_WORDS_BYTES, "pid %u (uid %u)", peer->pid, peer->uid);
    else
        snprintf(out, CONTROL_PEER_WORDS_BYTES, "an unknown process");
    return out;
}
