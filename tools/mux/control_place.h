/* A muxd's control socket, from the side of those who ask: its place, and what goes wrong there. */
#ifndef TOOLS_MUX_CONTROL_PLACE_H
#define TOOLS_MUX_CONTROL_PLACE_H

#include <stdbool.h>

/* A muxd that is alive answers in milliseconds; one with ten thousand links in a second or two. */
#define CONTROL_ANSWER_MOST_S 10

struct control_place {
    const char *program; /* "mux ctl": what sentences on stderr begin with */
    const char *text;    /* unix:PATH, as given */
    int fd;
    bool is_usage; /* the text is wrong, nobody was asked */
};

/* Connects. False after a sentence on stderr. Sends and receives wait CONTROL_ANSWER_MOST_S. */
bool control_place_connect(struct control_place *place, const char *program, const char *text);

/* A sentence on stderr. Returns false. */
bool control_place_failed(const struct control_place *place, const char *operation, int error);

/* Does this error mean that the other side has closed the connection? */
bool control_place_is_closed(int error);

#endif
