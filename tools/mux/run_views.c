#include "tools/mux/run_views.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

/*
 * ---- the terminal ----
 */

static void pressed(void *user, char key, uint64_t now_ns) {
    struct run_views *views = user;
    enum run_view_wish wish = run_view_key(views->own, key);
    if (wish != RUN_VIEW_NOTHING)
        views->config.wish(views->config.user, wish, now_ns);
}

static void take_terminal(struct run_views *views, uint64_t now_ns) {
    run_keys_begin(&views->keys);
    run_view_redraw(views->own, now_ns);
}

static void resized(void *user, int number, uint64_t now_ns) {
    struct run_views *views = user;
    (void)number;
    run_view_redraw(views->own, now_ns);
}

/* fg */
static void continued(void *user, int number, uint64_t now_ns) {
    (void)number;
    take_terminal(user, now_ns);
}

/*
 * Ctrl-Z: the terminal is the shell's now. The default of the signal stops us, but where no shell
 * would ever continue us.
 */
static void stopped(void *user, int number, uint64_t now_ns) {
    struct run_views *views = user;
    run_view_wipe(views->own, now_ns);
    run_keys_end(&views->keys);
    views->config.stops(views->config.user, true);
    signal(number, SIG_DFL);
    raise(number);
    signals_catch(views->config.signals, number, stopped, views);
    views->config.stops(views->config.user, false);
    take_terminal(views, loop_now_ns(views->config.loop));
}

static void watch_terminal(struct run_views *views, uint64_t now_ns) {
    struct signals *signals = views->config.signals;
    views->keys = (struct run_keys){.loop = views->config.loop, .pressed = pressed, .user = views};
    signals_catch(signals, SIGWINCH, resized, views);
    signals_catch(signals, SIGCONT, continued, views);
    signals_catch(signals, SIGTSTP, stopped, views);
    take_terminal(views, now_ns);
}

/*
 * ---- life ----
 */

bool run_views_open(struct run_views *views, const struct run_views_config *config,
                    const struct run *run) {
    uint64_t now_ns = loop_now_ns(config->loop);
    views->config = *config;
    run_viewers_init(&views->viewers);
    views->config.own.has_keys = run_keys_has_terminal();
    views->seen = run_seen_open(run, now_ns);
    if (!views->seen)
        return false;
    views->own = run_view_open(&views->config.own, views->seen, now_ns);
    if (views->own && run_view_is_live(views->own))
        watch_terminal(views, now_ns);
    return views->own != NULL;
}

bool run_views_let_in(struct run_views *views, const char *path, const char **operation) {
    const struct run_viewers_config config = {
        .loop = views->config.loop,
        .path = path,
        .view = views->config.own,
        .seen = views->seen,
        .wish = views->config.wish,
        .user = views->config.user,
    };
    return run_viewers_open(&views->viewers, &config, operation);
}

void run_views_wipe(struct run_views *views, uint64_t now_ns) {
    if (views->seen)
        run_view_wipe(views->own, now_ns);
}

void run_views_lend(struct run_views *views, bool is_lent, uint64_t now_ns) {
    if (is_lent && views->keys.loop)
        run_keys_end(&views->keys);
    run_view_hold(views->own, is_lent, now_ns);
    if (!is_lent && views->keys.loop)
        run_keys_begin(&views->keys);
}

bool run_views_close(struct run_views *views, uint64_t now_ns) {
    if (!views->seen)
        return true;
    if (views->keys.loop)
        run_keys_end(&views->keys);
    bool is_written = run_view_finish(views->own, now_ns);
    int error = errno;
    run_viewers_close(&views->viewers, now_ns);
    run_seen_close(views->seen);
    views->seen = NULL;
    errno = error;
    return is_written;
}

/*
 * ---- what the run tells ----
 */

/* Of all views, the own one stands in front of the others: see run_viewers_next(). */
enum { OWN = -2 };

static struct run_view *next_view(const struct run_views *views, int *place) {
    if (*place > OWN)
        return run_viewers_next(&views->viewers, place);
    *place = OWN + 1;
    return views->own;
}

void run_views_planned(struct run_views *views, unsigned past_runs, uint64_t now_ns) {
    struct run_view *view;
    run_seen_planned(views->seen, past_runs, now_ns);
    for (int place = OWN; (view = next_view(views, &place));)
        run_view_planned(view, now_ns);
}

void run_views_ended(struct run_views *views, const struct run_ended *ended) {
    struct run_view *view;
    unsigned again = run_seen_ended(views->seen, ended);
    for (int place = OWN; (view = next_view(views, &place));)
        run_view_ended(view, ended, again);
}

void run_views_waits(struct run_views *views, unsigned slot) {
    struct run_view *view;
    for (int place = OWN; (view = next_view(views, &place));)
        run_view_waits(view, slot);
}

void run_views_say(struct run_views *views, const char *line) {
    struct run_view *view;
    for (int place = OWN; (view = next_view(views, &place));)
        run_view_say(view, line);
}

uint64_t run_views_tick(struct run_views *views, uint64_t now_ns) {
    uint64_t own_ns = run_view_tick(views->own, now_ns);
    uint64_t others_ns = run_viewers_tick(&views->viewers, now_ns);
    return own_ns < others_ns ? own_ns : others_ns;
}
