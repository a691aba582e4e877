/* Who has connected to the control socket. */
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

const char *control_peer_words(const struct control_peer *peer,
                               char out[CONTROL_PEER_WORDS_BYTES]) {
    if (peer->is_known)
        snprintf(out, CONTROL_PEER_WORDS_BYTES, "pid %u (uid %u)", peer->pid, peer->uid);
    else
        snprintf(out, CONTROL_PEER_WORDS_BYTES, "an unknown process");
    return out;
}
