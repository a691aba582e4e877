/*
 * What GitHub's and GitLab's logs understand: a failure's text can be folded, and GitHub shows a
 * failure at its line. What tests say goes through the same log: GitHub is told to ignore commands,
 * until it sees a word that nobody else can know, around all that is not ours. GitLab's marks have
 * control characters, which what tests say never has here.
 */
#include "tools/farm/run_view_internal.h"

#include "tools/base/random.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

_Static_assert(RUN_VIEW_TOKEN_BYTES == RANDOM_UUID_BYTES, "a token is a UUID");

/* Of an annotation's text; GitHub cuts longer ones. */
#define MESSAGE_BYTES 1024

static bool has_lines(const struct run_view *view) {
    return !view->screen.live && view->config.how != RUN_VIEW_JSON;
}

/*
 * ---- GitHub ----
 */

static bool is_github(const struct run_view *view) {
    return view->config.reader == RUN_VIEW_GITHUB && has_lines(view);
}

static void ignore_commands(struct run_view *view) {
    screen_line(&view->screen, "::stop-commands::%s", view->token);
}

static void heed_commands(struct run_view *view) {
    screen_line(&view->screen, "::%s::", view->token);
}

/* As its toolkit does: a property has no ":" and "," either. */
static void escape(const char *text, bool is_property, char *out, size_t out_bytes) {
    const char *special = is_property ? "%\r\n:," : "%\r\n";
    size_t at = 0;
    for (; *text && at + 4 < out_bytes; text++) {
        if (strchr(special, *text))
            at += (size_t)sprintf(out + at, "%%%02X", (uint8_t)*text);
        else
            out[at++] = *text;
    }
    out[at] = '\0';
}

/* Where it failed: the last place in its text that is a file here. */
struct place {
    char path[512];
    unsigned long line; /* 0: not found */
};

/* Relative to this folder, where the file is in it. */
static void take_place(struct place *place, const char *path, size_t len, unsigned long line) {
    char here[PATH_MAX], text[sizeof place->path];
    if (len == 0 || len >= sizeof text || line == 0 || !getcwd(here, sizeof here))
        return;
    snprintf(text, sizeof text, "%.*s", (int)len, path);
    size_t here_len = strlen(here);
    const char *inside = text;
    if (strncmp(text, here, here_len) == 0 && text[here_len] == '/')
        inside = text + here_len + 1;
    if (*inside == '/' || access(inside, F_OK) != 0)
        return;
    memmove(place->path, inside, strlen(inside) + 1);
    place->line = line;
}

/* `File "a.py", line 7`, as python has it, or `a.py:7:`, as pytest and compilers do. */
static void find_place(void *user, const char *line) {
    static const char begin[] = "File \"", middle[] = "\", line ";
    const char *file = strstr(line, begin);
    const char *end = file ? strstr(file, middle) : NULL;
    if (end) {
        file += sizeof begin - 1;
        take_place(user, file, (size_t)(end - file), strtoul(end + sizeof middle - 1, NULL, 10));
        return;
    }
    line += strspn(line, " ");
    const char *colon = strchr(line, ':');
    if (colon && colon[1] >= '0' && colon[1] <= '9')
        take_place(user, line, (size_t)(colon - line), strtoul(colon + 1, NULL, 10));
}

static void keep_line(void *user, const char *line) {
    snprintf(user, MESSAGE_BYTES, "%s", line);
}

/* "::error file=a.py,line=7,title=pkg.test_x::AssertionError: 1 != 2" */
static void annotate(struct run_view *view, const struct run_ended *ended) {
    char id[RUN_VIEW_ID_BYTES], title[3 * RUN_VIEW_ID_BYTES],
        message[MESSAGE_BYTES] = "failed", text[3 * MESSAGE_BYTES],
        file[3 * sizeof(((struct place *)0)->path)], at[sizeof file + 64] = "";
    struct place place = {.line = 0};
    text_clean(ended->id, false, id, sizeof id);
    if (ended->text.len) {
        text_show_tail(ended->text, UINT_MAX, find_place, &place);
        text_show_tail(ended->text, 1, keep_line, message);
    }
    escape(id, true, title, sizeof title);
    escape(message, false, text, sizeof text);
    escape(place.path, true, file, sizeof file);
    if (place.line)
        snprintf(at, sizeof at, "file=%s,line=%lu,", file, place.line);
    screen_line(&view->screen, "::error %stitle=%.1000s::%.600s", at, title, text);
}

/*
 * ---- GitLab ----
 */

static bool is_gitlab(const struct run_view *view) {
    return view->config.reader == RUN_VIEW_GITLAB && has_lines(view);
}

/* ESC[0K is how its log knows the line for a mark. */
static void mark(struct run_view *view, const char *what, const char *head) {
    screen_line(&view->screen, "\033[0Ksection_%s:%lld:mux_failure_%llu\r\033[0K%s", what,
                (long long)time(NULL), (unsigned long long)view->seen->failures, head);
}

/*
 * ---- both ----
 */

void run_view_ci_begin(struct run_view *view) {
    if (!is_github(view))
        return;
    random_uuid(view->token);
    ignore_commands(view);
}

void run_view_ci_end(struct run_view *view) {
    if (is_github(view))
        heed_commands(view);
}

bool run_view_ci_failure_begin(struct run_view *view, const char *head) {
    char text[SCREEN_LINE_BYTES - 16];
    if (is_gitlab(view))
        mark(view, "start", head);
    if (!is_github(view))
        return is_gitlab(view);
    escape(head, false, text, sizeof text);
    heed_commands(view);
    screen_line(&view->screen, "::group::%s", text);
    ignore_commands(view);
    return true;
}

void run_view_ci_failure_end(struct run_view *view, const struct run_ended *ended) {
    if (is_gitlab(view))
        mark(view, "end", "");
    if (!is_github(view))
        return;
    heed_commands(view);
    screen_line(&view->screen, "::endgroup::");
    annotate(view, ended);
    ignore_commands(view);
}
